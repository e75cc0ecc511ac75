"""The heartbeat hangs on the timers: whatever of rhythm, sweep, queue and worker dies, it is silent outside (N10)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote, urlsplit

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from accounts import scope
from monitoring import tasks as monitoring_tasks
from monitoring.models import PlatformFigure, PlatformTrouble
from monitoring.services import heartbeat
from tests.conftest import NOW
from timers import services as timers
from timers import tasks
from timers.models import Timer

MINUTE = timedelta(minutes=1)
assert monitoring_tasks.tell_outside.name == heartbeat.TASK, "known to Celery from here on"


@contextmanager
def listening() -> Iterator[tuple[str, list[float]]]:
    """Somebody outside, who notes when they were called."""
    heard: list[float] = []

    class Ear(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(time.monotonic())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_port}/beat", heard
    finally:
        made.shutdown()
        made.server_close()


@pytest.fixture
def outside(settings: LazySettings) -> Iterator[list[float]]:
    with listening() as (url, heard):
        settings.HEARTBEAT_URL = url
        yield heard


def sweep(now: datetime) -> None:
    with scope.platform("test sweep"):
        for timer_id in timers.claim(now=now):
            timers.fire(timer_id=timer_id, now=now)


def looked_at(now: datetime) -> None:
    with scope.platform("test"):
        PlatformFigure.objects.create(at=now, name="db_ms", value=1.0)


@pytest.mark.django_db
def test_the_sweep_calls_every_minute_by_a_timer_that_arms_itself(outside: list[float]) -> None:
    with scope.platform("test"):
        assert heartbeat.keep_armed(now=NOW)
        assert not heartbeat.keep_armed(now=NOW), "it is armed already"
    looked_at(NOW)
    for minutes in range(4):
        sweep(NOW + minutes * MINUTE)
        sweep(NOW + minutes * MINUTE)
    assert len(outside) == 4


@pytest.mark.django_db
def test_without_a_sweep_it_is_silent_however_well_the_rest_is(outside: list[float]) -> None:
    with scope.platform("test"):
        heartbeat.keep_armed(now=NOW)
    looked_at(NOW)
    with scope.platform("test"):
        assert not heartbeat.keep_armed(now=NOW + MINUTE)
    assert outside == []


@pytest.mark.django_db
def test_it_is_silent_while_something_fails_and_while_nobody_looked(outside: list[float]) -> None:
    with scope.platform("test"):
        heartbeat.keep_armed(now=NOW)
        sweep(NOW)
        looked_at(NOW)
        trouble = PlatformTrouble.objects.create(part="timers", level="failing", since=NOW)
        sweep(NOW + MINUTE)
        assert outside == []
        trouble.over_at = NOW + MINUTE
        trouble.save()
        sweep(NOW + 2 * MINUTE)
        sweep(NOW + timedelta(minutes=30))
    assert len(outside) == 1, "half an hour later the judgement is too old"


@pytest.mark.django_db
def test_without_an_address_nothing_is_armed(settings: LazySettings) -> None:
    settings.HEARTBEAT_URL = ""
    with scope.platform("test"):
        assert not heartbeat.keep_armed(now=NOW)
        assert not Timer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_kill_9_of_the_worker_that_sweeps_silences_it_and_its_return_ends_the_silence(
    outside: list[float], settings: LazySettings, redis_url: str
) -> None:
    """A real worker, a real queue; the rhythm is ours."""
    looked_at(timezone.now())
    arm()
    worker = start_worker(settings.HEARTBEAT_URL, redis_url)
    try:
        assert heard_within(outside, 1, 60)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(10)
    arm()
    assert not heard_within(outside, 2, 4), "nobody sweeps: silence"
    worker = start_worker(settings.HEARTBEAT_URL, redis_url)
    try:
        assert heard_within(outside, 2, 90)
    finally:
        worker.terminate()
        worker.wait(20)


def arm() -> None:
    with scope.platform("test"):
        timers.set(key=heartbeat.KEY, due_at=timezone.now(), task=heartbeat.TASK, args={}, customer=None)


def heard_within(heard: list[float], count: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tasks.sweep.apply_async(expires=5)
        time.sleep(0.3)
        if len(heard) >= count:
            return True
    return False


def start_worker(url: str, redis_url: str) -> subprocess.Popen[bytes]:
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + quote(connection.settings_dict["NAME"]))
    environment = {
        **os.environ,
        "DATABASE_URL": database.geturl(),
        "REDIS_URL": redis_url,
        "RDMP_HEARTBEAT_URL": url,
    }
    command = "-m celery -A rdmp --quiet worker -Q timers --pool solo --hostname heart@%h"
    command += " --without-gossip --without-mingle --without-heartbeat --loglevel WARNING"
    return subprocess.Popen([sys.executable, *command.split()], env=environment)
