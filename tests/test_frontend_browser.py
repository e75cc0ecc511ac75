"""The small modules in a real browser: clocks on the server's time, one press one request, keys, theme."""

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.e2e
ROOT = Path(settings.BASE_DIR)
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
Show = Callable[..., Page]


class Site(http.server.ThreadingHTTPServer):
    """Serves one page and the project's static files, and remembers what was posted."""

    html = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        file = ROOT / self.path.partition("?")[0].lstrip("/")
        if self.path.startswith("/static/") and file.is_file():
            self.answer(file.read_bytes(), KINDS.get(file.suffix, "application/octet-stream"))
        else:
            self.answer(self.server.html.encode(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        self.server.posts.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        threading.Event().wait(0.3)  # an answer that takes its time, so that there is time for a second press
        self.answer(b"<p>done</p>", "text/html")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; base-uri 'none'")
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


@pytest.fixture
def show(browser: Browser, site: Site) -> Iterator[Show]:
    """Shows a body inside our document; fails when the browser complains."""
    context = browser.new_context(viewport={"width": 900, "height": 700})
    complaints: list[str] = []

    def shown(body: str, *, server_now: datetime | None = None, **cookies: str) -> Page:
        with translation.override("en"):
            html: str = render_to_string("base_entrance.html", {"request": {"COOKIES": cookies}})
            dialogs = render_to_string("_components/dialogs.html")
        html = re.sub(r"<body>.*</body>", lambda _: f"<body>{body}{dialogs}</body>", html, flags=re.DOTALL)
        now = server_now or datetime.now(UTC)
        site.html = re.sub(r'data-now="[^"]*"', f'data-now="{now.isoformat()}"', html)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.goto(site.url)
        return page

    yield shown
    context.close()
    assert complaints == []


def clock(due_at: datetime, **data: str) -> str:
    attributes = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in data.items())
    return (
        f'<span class="countdown" data-countdown data-due-at="{due_at.isoformat()}"{attributes}>'
        "<span data-countdown-label></span> <span data-countdown-figure></span></span>"
    )


def test_a_clock_follows_the_server_and_not_the_laptop(show: Show) -> None:
    """The browser's own clock is twenty minutes fast here; the server says that ten minutes are left."""
    server_now = datetime.now(UTC) - timedelta(minutes=20)
    page = show(clock(server_now + timedelta(minutes=10)), server_now=server_now)
    expect(page.locator("[data-countdown-figure]")).to_have_text(re.compile(r"^09:5\d$"))
    expect(page.locator(".countdown")).to_have_attribute("data-state", "ok")


def test_a_clock_runs_out_turns_red_and_counts_up(show: Show) -> None:
    page = show(clock(datetime.now(UTC) + timedelta(seconds=2)))
    span = page.locator(".countdown")
    expect(span).to_have_attribute("data-state", "soon")
    expect(span).to_have_attribute("data-state", "late", timeout=6000)
    expect(span).to_have_text(re.compile(r"over 00:0[1-9]"), timeout=6000)


def test_a_stopped_clock_stands_still(show: Show) -> None:
    due = datetime.now(UTC)
    page = show(clock(due, stopped_at=(due - timedelta(minutes=3)).isoformat()))
    expect(page.locator("[data-countdown-figure]")).to_have_text("03:00")
    expect(page.locator(".countdown")).to_have_attribute("data-state", "stopped")


def test_two_presses_send_one_request(show: Show, site: Site) -> None:
    page = show('<form method="post"><button name="verb" value="go">Go</button></form>')
    page.evaluate(
        "() => { const button = document.querySelector('button[name=verb]'); button.click(); button.click(); }"
    )
    expect(page.locator("text=done")).to_be_visible()
    assert site.posts == ["verb=go"]


QUESTIONS = {
    "on the button": '<form method="post"><button name="verb" value="end" data-confirm="End it?">End</button></form>',
    "on the form": '<form method="post" data-confirm="End it?"><button name="verb" value="end">End</button></form>',
}


@pytest.mark.parametrize("form", QUESTIONS.values(), ids=QUESTIONS.keys())
@pytest.mark.parametrize(("answer", "posts"), [("yes", 1), ("no", 0)])
def test_what_cannot_be_undone_is_asked_first(show: Show, site: Site, form: str, answer: str, posts: int) -> None:
    page = show(form)
    page.click("button[name=verb]")
    expect(page.locator("#confirm-dialog")).to_contain_text("End it?")
    page.click(f"#confirm-dialog button[value={answer}]")
    expect(page.locator("#confirm-dialog")).to_be_hidden()
    if posts:
        expect(page.locator("text=done")).to_be_visible()
    assert site.posts == ["verb=end"] * posts


def test_keys_press_buttons_but_not_while_typing(show: Show) -> None:
    page = show('<input id="text"><button type="button" data-shortcut="a" data-dialog="#keyboard-help">Act</button>')
    page.focus("#text")
    page.keyboard.press("a")
    assert page.input_value("#text") == "a"
    expect(page.locator("#keyboard-help")).to_be_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator("#keyboard-help")).to_be_visible()


def test_a_question_mark_lists_the_keys_of_this_page(show: Show) -> None:
    page = show('<button type="button" data-shortcut="a">Acknowledge</button>')
    page.keyboard.press("?")
    expect(page.locator("#keyboard-help")).to_contain_text("Acknowledge")


def test_rows_are_walked_with_j_and_k_and_opened_with_enter(show: Show, site: Site) -> None:
    rows = "".join(f'<tr data-row data-href="/row/{number}"><td>{number}</td></tr>' for number in (1, 2, 3))
    page = show(f"<table data-keynav><tbody>{rows}</tbody></table>")
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/row/2")


def test_the_theme_is_chosen_and_remembered(show: Show) -> None:
    page = show('<button type="button" data-theme-choice="dark">Dark</button>', theme="light")
    assert page.get_attribute("html", "data-bs-theme") == "light"
    page.click("text=Dark")
    assert page.get_attribute("html", "data-bs-theme") == "dark"
    assert {"name": "theme", "value": "dark"}.items() <= cookie(page, "theme").items()


def cookie(page: Page, name: str) -> dict[str, Any]:
    return next(dict(each) for each in page.context.cookies() if each.get("name") == name)


def test_without_a_choice_the_theme_is_the_systems(show: Show) -> None:
    page = show("<p>x</p>")
    page.emulate_media(color_scheme="dark")
    page.reload()
    assert page.get_attribute("html", "data-bs-theme") == "dark"


def test_a_message_of_the_server_appears_and_is_text_only(show: Show) -> None:
    page = show("<p>x</p>")
    detail = '{level: "error", text: "<b>refused</b>"}'
    page.evaluate(f"() => document.body.dispatchEvent(new CustomEvent('toast', {{bubbles: true, detail: {detail}}}))")
    expect(page.locator("#toasts .alert-danger")).to_have_text("<b>refused</b>")
