"""Graphs in a real browser under the policy that refuses inline code: drawn, ranged, going on, empty, on a phone."""

from __future__ import annotations

import http.server
import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.e2e
ROOT = Path(settings.BASE_DIR)
KINDS = {".js": "text/javascript", ".css": "text/css"}
POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'"
HOURS = {"1h": 1, "6h": 6, "24h": 24}
BODY = """<!doctype html><html lang="en" data-bs-theme="light"><head><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="/static/vendor/tabler/css/tabler.min.css">
<link rel="stylesheet" href="/static/css/rdmp.css">
</head><body><section data-graphs data-marks="/marks.json" data-usual="/usual/0.json" id="g">
<button data-graph-range="1h">1h</button><button data-graph-range="6h" class="active">6h</button>
<button data-graph-range="24h">24h</button>
<button data-graph-compare aria-pressed="false">before</button>
<button data-graph-usual aria-pressed="false">usual</button>
<button data-graph-custom aria-controls="custom" aria-expanded="false">custom</button>
<form id="custom" class="d-none" data-graph-custom-form><input type="datetime-local" name="start">
<input type="datetime-local" name="end"><button>show</button></form>
<a data-chart-export href="/graph.csv">csv</a>
<div class="graph-card"><button data-chart-picture>png</button><div class="chart" data-chart data-src="/graph.json"
 data-word-empty="nothing here" data-word-error="not loaded"></div></div>
</section><script type="module" src="/static/js/chart.js"></script></body></html>"""


class Site(http.server.ThreadingHTTPServer):
    """One page with one graph, its figures, and the questions that the graph asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, str]] = []
        self.marked: list[dict[str, str]] = []
        self.marks: list[dict[str, object]] = []
        self.ahead: list[dict[str, object]] = []
        self.has_figures = True
        self.is_broken = False
        self.step = 60_000

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def graph(self, query: dict[str, str]) -> dict[str, Any]:
        now = int(time.time() * 1000)
        start, end = now - HOURS.get(query.get("range", ""), 6) * 3_600_000, now
        if "start" in query:
            start, end = int(query["start"]), int(query["end"])
        first = max(start, int(query.get("since", 0)))
        ts = list(range(first // self.step * self.step, end, self.step)) if self.has_figures else []
        values: list[float | None] = [50 + 30 * math.sin(at / 3e6) for at in ts]
        if len(values) > 20:
            values[10] = None
        alarm = {"from": end - 3_600_000, "to": None, "name": "CPU", "severity": 2, "level": "High", "url": ""}
        series = [
            {"id": 1, "name": "util", "codes": {}, "t": ts, "v": values, "lo": values, "hi": values},
            {"id": 2, "name": "iowait", "codes": {}, "t": ts, "v": [5] * len(ts), "lo": [], "hi": []},
        ]
        return {
            "id": "cpu", "title": "CPU", "unit": "%", "state": False, "min": 0, "max": 100, "from": start, "to": end,
            "step": self.step, "hidden": 0, "series": series, "alarms": [alarm] if ts else [],
            "ahead": self.ahead,
        }  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        file = ROOT / parts.path.lstrip("/")
        if parts.path == "/graph.json":
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.server.asked.append(query)
            body = json.dumps(self.server.graph(query)).encode()
            self.answer(body, "application/json", 500 if self.server.is_broken else 200)
        elif parts.path == "/marks.json":
            self.server.marked.append({name: values[0] for name, values in parse_qs(parts.query).items()})
            self.answer(json.dumps({"marks": self.server.marks}).encode(), "application/json")
        elif parts.path == "/usual/1.json":
            start, end = (int(parse_qs(parts.query)[name][0]) for name in ("start", "end"))
            ts = list(range(start, end, 3_600_000))
            usual = {"ts": ts, "low": [20] * len(ts), "high": [70] * len(ts), "unusual": []}
            self.answer(json.dumps(usual).encode(), "application/json")
        elif parts.path.startswith("/static/") and file.is_file():
            self.answer(file.read_bytes(), KINDS.get(file.suffix, "application/octet-stream"))
        else:
            self.answer(BODY.encode(), "text/html; charset=utf-8")

    def answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Quiet."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page whose browser must have nothing to complain about but answers that the test breaks itself."""
    context = browser.new_context(viewport={"width": 900, "height": 700}, timezone_id="America/New_York")
    complaints: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda problem: complaints.append(str(problem)))
    yield page
    context.close()
    assert [text for text in complaints if "500" not in text] == []


def inked(page: Page) -> int:
    """How many pixels of the graph are painted."""
    count: int = page.evaluate(
        """() => { const c = document.querySelector("[data-chart] canvas"); if (!c) return 0;
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"""
    )
    return count


def painted(page: Page, color: str) -> int:
    """How many pixels of the graph have this colour."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    count: int = page.evaluate(
        """([r, g, b]) => { const c = document.querySelector("[data-chart] canvas");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        const near = (a, b) => Math.abs(a - b) < 5;
        let n = 0; for (let i = 0; i < d.length; i += 4)
          n += near(d[i], r) && near(d[i + 1], g) && near(d[i + 2], b) && d[i + 3] > 100;
        return n; }""",
        [red, green, blue],
    )
    return count


def wait_until_drawn(page: Page) -> None:
    expect(page.locator("[data-chart] canvas")).to_have_count(1)
    page.wait_for_timeout(300)


def test_the_graph_is_drawn_and_asks_for_its_range(page: Page, site: Site) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    assert inked(page) > 1000
    assert site.asked[0] == {"range": "6h"}


@pytest.mark.parametrize(
    ("theme", "first", "second"), [("light", "#0072b2", "#d55e00"), ("dark", "#56b4e9", "#ff8a3d")]
)
def test_each_series_has_its_own_colour_and_a_name_in_the_legend_by_which_it_is_put_away(
    page: Page, site: Site, theme: str, first: str, second: str
) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    page.evaluate(
        """(theme) => { document.documentElement.dataset.bsTheme = theme;
        document.dispatchEvent(new CustomEvent("rdmp:theme", { detail: { theme } })); }""",
        theme,
    )
    page.wait_for_timeout(400)
    legend, colors = page.evaluate(
        """async () => { const echarts = await import("/static/vendor/echarts/echarts.esm.min.js");
        const view = echarts.getInstanceByDom(document.querySelector("[data-chart]"));
        const color = (seriesIndex) => view.getVisual({ seriesIndex }, "color");
        return [view.getOption().legend[0].data, [color(0), color(1)]]; }"""
    )
    assert legend == ["util", "iowait"]
    assert colors == [first, second]
    both = painted(page, first), painted(page, second)
    assert min(both) > 100, "both curves are drawn, each in its colour"
    page.evaluate(
        """async () => { const echarts = await import("/static/vendor/echarts/echarts.esm.min.js");
        echarts.getInstanceByDom(document.querySelector("[data-chart]"))
          .dispatchAction({ type: "legendUnSelect", name: "iowait" }); }"""
    )
    page.wait_for_timeout(300)
    assert painted(page, second) < both[1] / 5
    assert painted(page, first) > both[0] * 0.8


def test_a_range_reloads_the_graph_and_the_export_follows(page: Page, site: Site) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    page.click("[data-graph-range='24h']")
    page.wait_for_timeout(500)
    assert site.asked[-1] == {"range": "24h"}
    expect(page.locator("[data-graph-range='24h']")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-chart-export]")).to_have_attribute("href", f"{site.url}/graph.csv?range=24h")


def test_a_stretch_of_ones_own_is_china_time_wherever_the_reader_is(page: Page, site: Site) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    page.click("[data-graph-custom]")
    page.fill("input[name=start]", "2026-03-02T10:00")
    page.fill("input[name=end]", "2026-03-02T12:00")
    page.click("form button")
    page.wait_for_timeout(500)
    assert site.asked[-1] == {"start": "1772416800000", "end": "1772424000000"}


def test_a_graph_goes_on_by_itself_and_asks_only_for_what_is_new(page: Page, site: Site) -> None:
    site.step = 1000
    page.goto(site.url)
    page.click("[data-graph-range='1h']")
    wait_until_drawn(page)
    page.wait_for_timeout(9000)
    later = [query for query in site.asked if query.get("range") == "1h" and "since" in query]
    assert later, "the graph never asked again"
    assert time.time() * 1000 - int(later[-1]["since"]) < 30_000
    assert inked(page) > 1000


def test_no_figures_and_no_answer_are_said_in_words(page: Page, site: Site) -> None:
    site.has_figures = False
    page.goto(site.url)
    expect(page.locator("[data-chart]")).to_have_text("nothing here")
    site.has_figures, site.is_broken = True, True
    page.goto(site.url)
    expect(page.locator("[data-chart]")).to_have_text("not loaded")
    site.is_broken = False
    page.click("[data-graph-range='24h']")
    wait_until_drawn(page)
    assert inked(page) > 1000


def test_the_dark_theme_and_a_phone_have_their_own_drawing(page: Page, site: Site) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    light = page.locator("[data-chart]").screenshot()
    page.evaluate(
        """() => { document.documentElement.dataset.bsTheme = "dark";
        document.dispatchEvent(new CustomEvent("rdmp:theme", { detail: { theme: "dark" } })); }"""
    )
    page.wait_for_timeout(400)
    assert page.locator("[data-chart]").screenshot() != light
    page.set_viewport_size({"width": 390, "height": 700})
    page.wait_for_timeout(400)
    widths = page.evaluate("[document.querySelector('canvas').clientWidth, document.documentElement.scrollWidth]")
    assert widths[0] <= 390
    assert widths[1] <= 390


def drag(page: Page) -> None:
    """Over the middle third of the graph."""
    box = page.locator("[data-chart] canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 2 / 3, box["y"] + 90, steps=6)
    page.mouse.up()
    page.wait_for_timeout(500)


def test_a_stretch_dragged_over_is_shown_alone_and_a_double_click_leaves_it(page: Page, site: Site) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    whole = site.asked[-1]
    drag(page)
    zoomed = site.asked[-1]
    length = int(zoomed["end"]) - int(zoomed["start"])
    assert 1.5 * 3_600_000 < length < 3 * 3_600_000
    expect(page.locator("[data-graph-custom]")).to_have_attribute("aria-pressed", "true")
    page.locator("[data-chart]").dblclick(position={"x": 300, "y": 80})
    page.wait_for_timeout(500)
    assert site.asked[-1] == whole


def test_the_week_before_is_asked_for_and_drawn_until_it_is_no_longer_wanted(page: Page, site: Site) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    alone = inked(page)
    page.click("[data-graph-compare]")
    page.wait_for_timeout(600)
    before, now = site.asked[-1], site.asked[-2]
    assert now["range"] == "6h"
    assert abs(int(before["end"]) - (time.time() * 1000 - 7 * 86_400_000)) < 60_000
    assert inked(page) > alone
    page.click("[data-graph-compare]")
    page.wait_for_timeout(600)
    assert site.asked[-1]["range"] == "6h"


def test_what_is_usual_is_drawn_behind_the_first_curve_until_it_is_no_longer_wanted(page: Page, site: Site) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    alone = inked(page)
    page.click("[data-graph-usual]")
    page.wait_for_timeout(600)
    assert inked(page) > alone * 1.5
    expect(page.locator("[data-graph-usual]")).to_have_attribute("aria-pressed", "true")
    page.click("[data-graph-usual]")
    page.wait_for_timeout(600)
    assert inked(page) < alone * 1.2


def test_marks_are_asked_for_once_for_a_stretch_of_time_and_drawn(page: Page, site: Site) -> None:
    now = int(time.time() * 1000)
    page.goto(site.url)
    wait_until_drawn(page)
    plain = page.locator("[data-chart]").screenshot()
    assert site.marked == [{"range": "6h"}]
    site.marks = [
        {"kind": "maintenance", "name": "Reboot", "from": now - 3 * 3_600_000, "to": now - 2 * 3_600_000},
        {"kind": "host", "name": "sshd_config changed", "from": now - 5 * 3_600_000, "to": None},
    ]
    page.click("[data-graph-range='24h']")
    page.wait_for_timeout(500)
    assert site.marked[-1] == {"range": "24h"}
    page.click("[data-graph-range='6h']")
    page.wait_for_timeout(500)
    assert page.locator("[data-chart]").screenshot() != plain


def test_a_trend_goes_on_to_its_end_and_a_button_shows_it_where_it_is_too_far(page: Page, site: Site) -> None:
    now = int(time.time() * 1000)
    page.goto(site.url)
    wait_until_drawn(page)
    plain = page.locator("[data-chart]").screenshot()
    trend = {
        "id": 1,
        "from": now,
        "level": 60,
        "limit": 100,
        "label": "full",
        "text": "/data: full soon",
        "range": "24h",
    }
    site.ahead = [{**trend, "to": now + 30 * 3_600_000}]
    page.reload()
    wait_until_drawn(page)
    note = page.locator("[data-chart-ahead]")
    expect(note).to_contain_text("/data: full soon")
    note.locator("button").click()
    page.wait_for_timeout(500)
    assert site.asked[-1] == {"range": "24h"}
    expect(note.locator("button")).to_have_count(0)
    assert page.locator("[data-chart]").screenshot() != plain
    site.ahead = []
    page.click("[data-graph-range='6h']")
    expect(note).to_have_count(0)


def test_the_graph_goes_out_as_a_picture(page: Page, site: Site, tmp_path: Path) -> None:
    page.goto(site.url)
    wait_until_drawn(page)
    with page.expect_download() as waiting:
        page.click("[data-chart-picture]")
    assert waiting.value.suggested_filename.startswith("cpu-20")
    waiting.value.save_as(tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
