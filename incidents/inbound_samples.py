"""One message of each alarm tool, as it sends it: what the preview of a way in begins with. Read from data files."""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "data" / "samples"


@cache
def sample_of(kind: str) -> str:
    """The sample of this kind, or nothing."""
    path = FOLDER / f"{kind}.txt"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""
