"""Several workers at once, and workers that are killed: the budget holds, nothing is lost, nothing is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis
from celery import current_app
from django.conf import LazySettings
from django.db import connection, connections
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, Severity
from demo.robots import Fault, Robots, running
from notify import budget
from notify.models import Delivery
from notify.services import delivering, leasing
from notify.services.outbox import broadcast
from tests.notify import worker
from tests.notify.conftest import attempts, make_dingtalk, message, states

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def robots(settings: LazySettings) -> Iterator[Robots]:
    """Robots on the real clock, which the worker processes share."""
    with running() as endpoint:
        settings.NOTIFY_DINGTALK_BASE = endpoint.base
        settings.NOTIFY_ALLOWED_HOSTS = [endpoint.host]
        yield endpoint


def say_many(customer: Customer, count: int, severity: Severity) -> None:
    with scope.customer(customer):
        for number in range(count):
            said = message(severity, subject=f"m{severity}-{number:03}.")
            broadcast(customer=customer, key=f"k{severity}-{number}", message=said, now=timezone.now())


def times_heard(robots: Robots, count: int, severity: Severity) -> list[int]:
    text = "\n".join(entry.text for entry in robots.received)
    return [text.count(f"m{severity}-{number:03}.") for number in range(count)]


def test_two_processes_never_send_more_than_the_budget_and_every_message_once(jia: Customer, robots: Robots) -> None:
    channel = make_dingtalk(robots, jia)
    say_many(jia, 30, Severity.DISASTER)
    say_many(jia, 30, Severity.WARNING)
    workers = [worker.start(channel.pk, robots) for _ in range(2)]
    assert [process.wait(60) for process in workers] == [0, 0]
    assert robots.refused == []
    assert len(robots.received) == budget.PER_MINUTE
    # The digest shows the first twenty by name, which is more than are left over here.
    assert times_heard(robots, 30, Severity.DISASTER) == [1] * 30
    assert set(states(channel)) == {"delivered", "digested", "pending"}
    with scope.customer(jia):
        assert set(Delivery.objects.filter(state="pending").values_list("severity", flat=True)) == {Severity.WARNING}


def test_threads_on_two_channels_of_one_robot_share_its_budget(jia: Customer, yi: Customer, robots: Robots) -> None:
    lanes = [make_dingtalk(robots, customer, "one-robot").pk for customer in (jia, yi)]
    say_many(jia, 15, Severity.HIGH)
    say_many(yi, 15, Severity.HIGH)

    def work(lane: int) -> int:
        try:
            return delivering.drain(lane=lane)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        tries = sum(pool.map(work, lanes * 4))
    assert tries == budget.PER_MINUTE == len(robots.received)
    assert robots.refused == []


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.HANG])
def test_a_worker_killed_in_the_middle_of_a_call_loses_no_disaster(jia: Customer, robots: Robots, fault: Fault) -> None:
    """Whether the robot had taken the message (then it comes twice, marked) or not (then once)."""
    channel = make_dingtalk(robots, jia)
    say_many(jia, 1, Severity.DISASTER)
    robots.fail_next(fault)
    process = worker.start(channel.pk, robots)
    wait_until_calling(robots)
    kill(process)
    taken = len(robots.received)
    assert attempts(channel) == [("", "")]
    later = timezone.now() + leasing.LEASE + timedelta(seconds=2)
    assert delivering.recover(now=later) == 1
    assert delivering.drain(lane=channel.pk, clock=lambda: later + timedelta(seconds=10)) == 1
    assert len(robots.received) == taken + 1
    assert attempts(channel) == [("uncertain", "worker lost"), ("accepted", "0")]
    assert states(channel) == ["delivered"]


def test_a_worker_killed_after_the_robot_took_a_warning_does_not_double_it(jia: Customer, robots: Robots) -> None:
    channel = make_dingtalk(robots, jia)
    say_many(jia, 1, Severity.WARNING)
    robots.fail_next(Fault.TIMEOUT_AFTER)
    process = worker.start(channel.pk, robots)
    wait_until_calling(robots)
    kill(process)
    later = timezone.now() + leasing.LEASE + timedelta(seconds=2)
    delivering.recover(now=later)
    assert delivering.drain(lane=channel.pk, clock=lambda: later + timedelta(hours=1)) == 0
    assert len(robots.received) == 1
    assert states(channel) == ["uncertain"]


def wait_until_calling(robots: Robots) -> None:
    """Until a worker's call has reached the robot."""
    until = time.monotonic() + 30
    while robots.book.faults:
        assert time.monotonic() < until, "the worker never called"
        time.sleep(0.02)
    time.sleep(0.2)  # taking the message comes a moment after the fault was drawn


def test_the_attempt_is_on_disk_before_the_provider_is_called(jia: Customer, robots: Robots) -> None:
    channel = make_dingtalk(robots, jia)
    say_many(jia, 1, Severity.HIGH)
    claim = delivering.claim_next(lane=channel.pk, now=timezone.now())
    assert claim is not None
    assert not connection.in_atomic_block
    assert attempts(channel) == [("", "")]
    assert delivering.claim_next(lane=channel.pk, now=timezone.now()) is None
    assert robots.received == []


def test_a_flushed_queue_only_delays_what_the_sweep_finds(jia: Customer, robots: Robots, redis_url: str) -> None:
    """First the wake-up is lost with all of Redis, and the sweep brings the message; then a wake-up does it alone."""
    channel = make_dingtalk(robots, jia)
    queue = redis.Redis.from_url(redis_url)
    say_many(jia, 1, Severity.HIGH)
    queue.flushdb()
    process = worker.start_celery(robots)
    try:
        assert robots.wait_for(1, timeout_s=1) == []
        current_app.send_task("notify.sweep", queue="notify")
        assert len(robots.wait_for(1, timeout_s=40)) == 1
        say_many(jia, 1, Severity.DISASTER)
        assert len(robots.wait_for(2, timeout_s=20)) == 2
    finally:
        process.terminate()
        process.wait(20)
        queue.flushdb()
    assert states(channel) == ["delivered", "delivered"]
