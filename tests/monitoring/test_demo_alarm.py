"""The demo's port: a real process that stops listening on request and listens again by itself."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from accounts import scope
from accounts.models import Customer
from demo import service
from monitoring.management.commands import demo_alarm
from monitoring.services import targets
from tests.conftest import NOW
from tests.monitoring.samples import server
from tests.monitoring.test_agent import wait_until
from tests.monitoring.test_poll import free_port

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def running(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {"PATH": os.environ["PATH"], "RDMP_STATE_DIR": str(folder), "RDMP_DEMO_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.service"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as visitor:
            return visitor.recv(100) == service.GREETING
    except OSError:
        return False


@pytest.fixture
def port() -> int:
    return free_port()


def test_the_service_closes_on_request_and_opens_again_by_itself(tmp_path: Path, port: int) -> None:
    with running(tmp_path, port):
        wait_until(lambda: listens(port))
        service.close_for(tmp_path, 1.5)
        wait_until(lambda: not listens(port))
        wait_until(lambda: listens(port))


def test_it_opens_at_once_when_told(tmp_path: Path, port: int) -> None:
    with running(tmp_path, port):
        wait_until(lambda: listens(port))
        service.close_for(tmp_path, 600)
        wait_until(lambda: not listens(port))
        service.reopen(tmp_path)
        wait_until(lambda: listens(port))


def test_a_restart_keeps_it_closed_and_a_broken_file_leaves_it_open(tmp_path: Path, port: int) -> None:
    service.close_for(tmp_path, 600)
    with running(tmp_path, port):
        time.sleep(1)
        assert not listens(port)
    (tmp_path / service.FILE).write_text("{ not json")
    with running(tmp_path, port):
        wait_until(lambda: listens(port))


def test_it_stops_on_sigterm(tmp_path: Path, port: int) -> None:
    with running(tmp_path, port) as process:
        wait_until(lambda: listens(port))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_the_command_and_the_service_speak_of_the_same_file() -> None:
    assert demo_alarm.CONTROL_FILE == service.FILE


@pytest.mark.django_db
def test_the_command_closes_the_port_that_is_watched_and_recovers_it(
    jia: Customer, tmp_path: Path, port: int, settings: LazySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.STATE_DIR, settings.DEMO_PORT, settings.CHECK_PERIOD_S = tmp_path, port, 5
    with scope.customer(jia):
        config = {"host": "127.0.0.1", "port": port}
        targets.create(asset=server(jia), kind="tcp", config=config, allow_internal=True, actor=None, now=NOW)
    with running(tmp_path, port):
        wait_until(lambda: listens(port))
        call_command("demo_alarm", minutes=5)
        wait_until(lambda: not listens(port))
        assert 290 < service.closed_until(tmp_path) - time.time() <= 300
        said = capsys.readouterr().out
        assert "checked every 5 s" in said
        assert "/board/" in said
        call_command("demo_recover")
        wait_until(lambda: listens(port))


@pytest.mark.django_db
def test_without_the_demo_the_command_says_so(tmp_path: Path, settings: LazySettings) -> None:
    settings.STATE_DIR = tmp_path
    with pytest.raises(CommandError, match="No target checks port"):
        call_command("demo_alarm")
    assert service.closed_until(tmp_path) == 0
