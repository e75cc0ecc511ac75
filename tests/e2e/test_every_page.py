"""Every page that a menu, a list or another page leads to, on a phone, with the demo customers' data."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.urls import Resolver404, resolve
from playwright.sync_api import Error, Page

from tests.e2e.browser import PHONE, chromium, signed_in
from tests.e2e.conftest import Platform

pytestmark = pytest.mark.e2e

LEFT_OUT = ("/accounts/logout/", "/static/", "/api/")
MOST_OF_IT = 120
"""Pages."""
LINKS = "() => [...document.querySelectorAll('a[href]:not([download])')].map((one) => one.href)"
STICKS_OUT = """() => {
  const cuts = (one) => ["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(one).overflowX);
  const isCut = (one) => one && one !== document.body && (cuts(one) || isCut(one.parentElement));
  return [...document.querySelectorAll("body *")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width && box.right > innerWidth + 1 && !isCut(one.parentElement);
  }).slice(0, 3).map((one) => `${one.tagName}.${one.className}: ${Math.round(one.getBoundingClientRect().right)}`);
}"""


def pages(page: Page, origin: str) -> Iterator[tuple[str, list[str]]]:
    """One page of every route that is linked from those before it, with what is wrong with it."""
    said: list[str] = []
    page.on("pageerror", lambda problem: said.append(str(problem)))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    waiting, known = [("/", "")], {""}
    while waiting:
        path, linked_from = waiting.pop(0)
        said.clear()
        try:
            answer = page.goto(origin + path, wait_until="load")
        except Error as problem:
            if "Download is starting" in problem.message:
                continue
            raise
        page.wait_for_timeout(300)  # for what is loaded into the page
        status = answer.status if answer is not None else 0
        problems = [*said] if status == 200 else [f"HTTP {status}", *said]
        width = page.evaluate("document.documentElement.scrollWidth")
        if width != PHONE[0]:
            problems += [f"{width} px wide", *page.evaluate(STICKS_OUT)]
        yield path, [*problems, f"linked from {linked_from}"] if problems else []
        for href in page.evaluate(LINKS):
            address = urlsplit(href)
            route = _route(address.path)
            if f"{address.scheme}://{address.netloc}" == origin and route not in known:
                known.add(route)
                waiting.append((address.path, path))


def _route(path: str) -> str:
    try:
        return "" if path.startswith(LEFT_OUT) else resolve(path).route
    except Resolver404:
        return path


@pytest.mark.parametrize("email", ["wang@xinghai.example", "lin@rdmp.example"])
def test_every_page_that_is_linked_opens_fits_a_phone_and_complains_of_nothing(platform: Platform, email: str) -> None:
    with chromium() as browser:
        page = signed_in(browser, platform.stack, email, size=PHONE)
        seen = dict(pages(page, platform.stack.url))
    assert {path: problems for path, problems in seen.items() if problems} == {}
    assert len(seen) > MOST_OF_IT, "links lead from page to page"
