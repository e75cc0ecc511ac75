"""SFTP as the browser speaks it, against a server that answers short and closes badly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, Route

from tests.portal import browser  # noqa: F401 - a fixture

pytestmark = pytest.mark.e2e

SERVER = """
async ({ size, listed, most, closes, writes }) => {
  const { Sftp } = await import("/terminal-sftp.js");
  const packet = (kind, id, ...numbers) => {
    const view = new DataView(new ArrayBuffer(9 + 4 * numbers.length));
    view.setUint32(0, 5 + 4 * numbers.length);
    view.setUint8(4, kind);
    [id, ...numbers].forEach((number, at) => view.setUint32(5 + 4 * at, number));
    return new Uint8Array(view.buffer);
  };
  const answer = (asked) => {
    const view = new DataView(asked.buffer);
    const kind = view.getUint8(4), id = view.getUint32(5);
    if (kind === 3) return packet(102, id, 0);
    if (kind === 4) return packet(101, id, closes, 0, 0);
    if (kind === 6) return packet(101, id, 0, 0, 0);
    const at = Number(view.getBigUint64(13));
    const count = Math.min(view.getUint32(21), most, size - at);
    if (count <= 0) return packet(101, id, 1, 0, 0);
    const data = packet(103, id, count);
    const begin = data.length;
    const whole = new Uint8Array(begin + count).map((_, n) => (n < begin ? data[n] : (at + n - begin) % 251));
    new DataView(whole.buffer).setUint32(0, whole.length - 4);
    return whole;
  };
  const link = { room: async () => {}, send: (asked) => setTimeout(() => sftp.take(answer(asked))) };
  const sftp = new Sftp(link);
  const got = [];
  try {
    if (writes) await sftp.write("there", new Blob([new Uint8Array(size)]), () => {}, () => false);
    else await sftp.read("there", listed, (data) => got.push(...data), () => {}, () => false);
  } catch (problem) {
    return problem.code;
  }
  return writes || (got.length === size && got.every((byte, at) => byte === at % 251));
}
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:  # noqa: F811 - the fixture
    page = browser.new_page()

    def serve(route: Route) -> None:
        if route.request.url.endswith(".js"):
            script = Path(settings.BASE_DIR) / "static/js/terminal-sftp.js"
            route.fulfill(body=script.read_text(), content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html>", content_type="text/html")

    page.route("**/*", serve)
    page.goto("http://browser.test/")
    yield page
    page.close()


@pytest.mark.parametrize(
    ("size", "listed", "most"),
    [
        (200_000, 200_000, 32 * 1024),
        (200_000, 200_000, 1000),
        (200_000, 0, 1000),
        (200_000, 11, 20_000),
        (100, 200_000, 32 * 1024),
        (0, 0, 1000),
    ],
)
def test_a_file_comes_whole_however_short_the_answers(page: Page, size: int, listed: int, most: int) -> None:
    said = {"size": size, "listed": listed, "most": most, "closes": 0, "writes": False}
    assert page.evaluate(SERVER, said) is True


@pytest.mark.parametrize(("closes", "result"), [(0, True), (4, 4)])
def test_an_upload_is_done_when_it_was_closed_well(page: Page, closes: int, result: object) -> None:
    said = {"size": 70_000, "listed": 0, "most": 0, "closes": closes, "writes": True}
    assert page.evaluate(SERVER, said) == result
