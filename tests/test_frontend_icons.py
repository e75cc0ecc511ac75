"""Every icon that a page names is in the icon font: a missing one is an empty place that nobody notices."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r"\bti ti-([a-z0-9-]+)|\bicon=\"([a-z0-9-]+)\"")
DRAWN = re.compile(r"\.ti-([a-z0-9-]+):+before")


def test_the_font_has_every_icon_that_templates_name() -> None:
    font = set(DRAWN.findall((ROOT / "static/vendor/tabler-icons/tabler-icons.min.css").read_text("utf-8")))
    assert len(font) > 1000
    missing = {
        f"{template.relative_to(ROOT)}: {name}"
        for template in (ROOT / "templates").rglob("*.html")
        for names in NAMED.findall(template.read_text("utf-8"))
        if (name := "".join(names)) and not name.endswith("-") and name not in font
    }
    assert not missing
