"""The whole way of a check: a port that the node asks, the program that asks it, the node, the portal, a graph."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGKILL

import psutil
import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from bastion.models import NodeErrand
from bastion.services import enrolling
from monitoring import storage
from monitoring.collectors import errand
from monitoring.collectors.config import Kind
from monitoring.models import Series, Target, Through
from monitoring.services import targets
from tests.bastion.test_node_program import Program, until
from tests.monitoring.samples import server
from tests.portal import Portal

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def portal() -> Iterator[Portal]:
    made = Portal()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def program(portal: Portal, jia: Customer, tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path, portal.url)
    with scope.platform("test"):
        _node, token = enrolling.announce(name="one", customer=jia, actor=None, now=timezone.now())
    done = made.enrol(token)
    assert done.returncode == 0, done.stderr
    made.start()
    yield made
    made.stop()


@pytest.fixture
def asset(program: Program, jia: Customer) -> Iterator[Asset]:
    """A server with a port that is asked every second."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with scope.customer(jia):
            made = server(jia, "web-01", host="127.0.0.1")
            targets.create(
                asset=made, kind=Kind.TCP, config={"host": "127.0.0.1", "port": listening.getsockname()[1]},
                period_s=1, allow_internal=True, through=Through.NODE, actor=None, now=timezone.now(),
            )  # fmt: skip
        yield made


def stored(asset: Asset) -> list[int]:
    """The moments of the port's figures, in milliseconds."""
    with scope.customer(asset.customer_id):
        series = Series.objects.filter(asset=asset, metric="port.result_code").first()
        if series is None:
            return []
        now = timezone.now()
        column = storage.read(asset_id=asset.pk, series_ids=[series.pk], start=now - timedelta(hours=1), end=now)
        return [int(ts) for ts in column[series.pk].ts]


def checker(program: Program) -> psutil.Process | None:
    """The program beside the node that asks."""
    assert program.process is not None
    for one in psutil.Process(program.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it may end while it is looked at
            if "monitoring.errands" in one.cmdline():
                return one
    return None


def waiting(program: Program) -> list[int]:
    """The moments of the port's figures that lie at the node."""
    found = []
    for path in sorted((program.state / "spool" / "errands" / "checks").glob("*.answer")):
        try:
            kept = path.read_bytes()
        except FileNotFoundError:  # has just gone up
            continue
        for result in errand.decode(kept):
            found += [ts for metric, _labels, ts, _value in result.samples if metric == "port.result_code"]
    return found


def test_what_was_found_while_the_portal_was_away_arrives_once_whoever_was_killed_meanwhile(
    program: Program, asset: Asset, portal: Portal
) -> None:
    until(lambda: len(stored(asset)) >= 2, 40)
    portal.stop()
    stopped_at = time.time()
    before = len(waiting(program))
    until(lambda: len(waiting(program)) >= before + 3)

    first = checker(program)
    assert first is not None
    first.send_signal(SIGKILL)
    until(lambda: checker(program) not in (None, first))
    before = len(waiting(program))
    until(lambda: len(waiting(program)) >= before + 3)

    second = checker(program)
    assert second is not None
    program.stop(SIGKILL)
    until(lambda: not second.is_running() or second.status() == psutil.STATUS_ZOMBIE)
    before = len(waiting(program))
    program.start()
    until(lambda: len(waiting(program)) >= before + 3)

    kept, came_back_at = waiting(program), time.time()
    portal.start()
    until(lambda: set(kept) <= set(stored(asset)) and stored(asset)[-1] / 1000 > came_back_at, 40)
    found = stored(asset)
    assert len(found) == len(set(found))
    away = [ts for ts in found if stopped_at < ts / 1000 < came_back_at]
    assert len(away) >= 6, "at their own moments, those of each of the two that were killed and of their followers"
    until(lambda: len(waiting(program)) <= 1)
    with scope.platform("test"):
        row = NodeErrand.objects.get()
        target = Target.objects.get()
    assert row.refused == 0
    assert (target.problem_code, target.last_run_at) == ("", target.last_ok_at)
    assert target.last_run_at is not None
    assert datetime.now(UTC) - target.last_run_at < timedelta(seconds=10)
