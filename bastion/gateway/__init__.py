"""The node program: SSH fronts, recorder, and the channel to the portal. It knows no Django and has no database."""

from pathlib import Path

VERSION = "0.1.0"


def version() -> str:
    """With the build's mark, where a bundle was installed."""
    mark = Path(__file__).with_name("build")
    return f"{VERSION}+{mark.read_text(encoding='utf-8').strip()}" if mark.exists() else VERSION
