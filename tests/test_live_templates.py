"""What people type or choose stands outside what refreshes itself, or is marked to be left alone."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings

TEMPLATES = Path(settings.BASE_DIR) / "templates"
LIVE = sorted(path for path in TEMPLATES.rglob("*.html") if "data-live=" in path.read_text())
FILTERS = re.compile(r'\{% include "_components/filters\.html"[^%]*%\}')
TYPED = {"input", "select", "textarea"}
VOID = {"input", "link", "img", "br", "hr", "meta", "source"}
BY_SCRIPT = {"monitoring/alert_list.html"}
"""Keeps what is chosen in `alerts.js`."""


class _Fields(HTMLParser):
    """Fields inside a live element that no `data-kept` around them protects."""

    def __init__(self) -> None:
        super().__init__()
        self.around: list[tuple[str, str]] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _value in attrs}
        kinds = [kind for _tag, kind in self.around]
        is_hidden = ("type", "hidden") in attrs
        if tag in TYPED and not is_hidden and "live" in kinds and "kept" not in kinds:
            self.found.append(str(self.get_starttag_text()))
        if tag not in VOID:
            self.around.append((tag, "kept" if "data-kept" in names else "live" if "data-live" in names else ""))

    def handle_endtag(self, tag: str) -> None:
        while self.around and self.around.pop()[0] != tag:
            pass


@pytest.mark.parametrize("path", LIVE, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_filter_and_no_field_is_inside_what_refreshes_itself(path: Path) -> None:
    if str(path.relative_to(TEMPLATES)) in BY_SCRIPT:
        return
    text = FILTERS.sub('<input name="q">', path.read_text())
    fields = _Fields()
    fields.feed(re.sub(r"\{[%#].*?[%#]\}|\{\{.*?\}\}", "", text))
    assert fields.found == []
