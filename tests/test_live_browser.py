"""What is live in a real browser: no hint is lost by a swap, nobody's typing is undone, no chart stays behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.test_frontend_browser import Site, browser, site

__all__ = ["browser", "site"]  # fixtures
pytestmark = pytest.mark.e2e
SOCKETS = """
window.sockets = [];
window.WebSocket = class extends EventTarget { constructor() { super(); window.sockets.push(this); } close() {} };
"""
HINT = """window.sockets[0].dispatchEvent(new MessageEvent("message", { data: '{"topic":"costs","id":1}' }))"""
HEAD = """<!doctype html><html lang="en"><head><script src="/static/vendor/htmx/htmx.min.js" defer></script>
<script src="/static/vendor/idiomorph/idiomorph-ext.min.js" defer></script>
<script type="module" src="/static/js/live.js"></script>
<script type="module" src="/static/js/costs.js"></script></head>"""


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    opened = browser.new_page()
    opened.add_init_script(SOCKETS)
    yield opened
    opened.close()


def show(page: Page, site: Site, body: str) -> None:
    site.html = f'{HEAD}<body hx-ext="morph">{body}</body></html>'


def live(text: str, *, swap: str = "outerHTML", every: int = 0, inner: str = "") -> str:
    return (
        f'<div id="costs" hx-get="/" data-live="costs" data-live-every="{every}" hx-trigger="refresh" '
        f'hx-select="#costs" hx-swap="{swap}"><b>{text}</b>{inner}</div>'
    )


def test_a_hint_that_comes_while_the_whole_element_is_swapped_is_not_lost(page: Page, site: Site) -> None:
    show(page, site, live("first"))
    page.goto(site.url)
    show(page, site, live("second"))
    page.evaluate(f"{HINT}; const old = document.getElementById('costs'); old.replaceWith(old.cloneNode(true));"
                  "htmx.process(document.getElementById('costs'))")  # fmt: skip
    expect(page.locator("#costs b")).to_have_text("second")


def test_the_rest_between_two_requests_holds_over_a_swap_of_the_whole_element(page: Page, site: Site) -> None:
    show(page, site, live("first", every=60_000))
    page.goto(site.url)
    show(page, site, live("second", every=60_000))
    page.evaluate(HINT)
    expect(page.locator("#costs b")).to_have_text("second")
    show(page, site, live("third", every=60_000))
    page.evaluate(HINT)
    page.wait_for_timeout(800)
    expect(page.locator("#costs b")).to_have_text("second")


def test_what_is_typed_and_chosen_in_a_live_element_stays(page: Page, site: Site) -> None:
    form = (
        '<form id="plan" data-kept><input name="n" value="5"><select name="c">'
        "<option>a</option><option>b</option></select></form>"
    )
    show(page, site, live("first", swap="morph:innerHTML", inner=form).replace('hx-select="#costs" ', ""))
    page.goto(site.url)
    site.html = f"<b>second</b>{form}"
    page.fill("input", "17")
    page.select_option("select", "b")
    page.evaluate(HINT)
    expect(page.locator("#costs b")).to_have_text("second")
    expect(page.locator("input")).to_have_value("17")
    expect(page.locator("select")).to_have_value("b")


def test_a_chart_that_is_swapped_away_is_taken_down(page: Page, site: Site) -> None:
    data = '{"days": ["1"], "stacks": [{"name": "ECS", "values": [3]}]}'
    inner = (
        '<div id="chart" data-costs="d" data-costs-kind="days"></div>'
        f'<script id="d" type="application/json">{data}</script>'
    )
    show(page, site, live("first", inner=inner))
    page.goto(site.url)
    expect(page.locator("#chart canvas")).to_have_count(1)
    page.evaluate("window.first = document.getElementById('chart')")
    show(page, site, live("second", inner=inner))
    page.evaluate(HINT)
    expect(page.locator("#costs b")).to_have_text("second")
    expect(page.locator("#chart canvas")).to_have_count(1)
    page.wait_for_function("!window.first.querySelector('canvas')")  # what is disposed of has no canvas left
