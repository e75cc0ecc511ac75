"""A portal of its own process on the test's database, and a browser that visits it as somebody."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accounts.models import User
from rdmp.embedded.ports import free_port
from tests.conftest import ClientFor

T = TypeVar("T")
Visit = Callable[..., Page]
NODE_SECRET = "by which the node beside this portal enrols"


def elsewhere(act: Callable[[], T]) -> T:
    """Run something of Django in a thread of its own: the browser's event loop occupies this one."""

    def run() -> T:
        with closing(connection):
            return act()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


class Portal:
    """A portal as a process of its own, on the test's database; it comes back at the same address."""

    def __init__(self, **environment: str) -> None:
        self.port, self._environment = free_port(), environment
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        environment = {**os.environ, "DATABASE_URL": urlunsplit(database), "RDMP_NODE_SECRET": NODE_SECRET}
        command = [sys.executable, "-m", "uvicorn", "rdmp.asgi:application", "--port", str(self.port)]
        self._process = subprocess.Popen(
            [*command, "--lifespan", "off", "--log-level", "warning"],
            cwd=settings.BASE_DIR,
            env=environment | self._environment,
        )
        wait_for(self.url)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None


@pytest.fixture(scope="module")
def portal(django_db_setup: None) -> Iterator[str]:
    """The portal as a process of its own, on the test's database."""
    made = Portal()
    try:
        made.start()
        yield made.url
    finally:
        made.stop()


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/accounts/login/", timeout=10)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the portal did not start")


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(portal: str, browser: Browser, client_for: ClientFor) -> Iterator[Visit]:
    """A page of a signed-in person that listens to the live channel; fails when a page complains."""
    complaints: list[str] = []

    def visited(person: User, path: str, *, width: int = 1440, height: int = 900) -> Page:
        key = elsewhere(lambda: client_for(person).cookies[settings.SESSION_COOKIE_NAME].value)
        context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
        context.add_cookies(
            [
                {"name": settings.SESSION_COOKIE_NAME, "value": key, "url": portal},
                {"name": "django_language", "value": "en", "url": portal},
            ]
        )
        page = context.new_page()
        page.on("pageerror", lambda problem: complaints.append(str(problem)))
        page.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
        page.goto(f"{portal}{path}")
        expect(page.locator("html[data-live=on]")).to_have_count(1)
        return page

    yield visited
    assert complaints == []
