"""Real processes that race for the same timers and are killed at the worst moments, and a Redis that forgets."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess

import pytest
import redis
from django.core.cache import caches
from django.db import connections

from accounts import scope
from accounts.models import Customer
from tests.conftest import NOW
from tests.timers.bells import leave_a_trace, rings
from timers import services
from timers.models import Timer

pytestmark = pytest.mark.django_db(transaction=True)
FORK = multiprocessing.get_context("fork")
MANY = 60


def arm(customer: Customer, name: str, task: str = "bells.ring", **args: int | str) -> int:
    services.set(key=f"bell:{name}:", due_at=NOW, task=task, args={"name": name, **args}, customer=customer)
    with scope.platform("test"):
        return int(Timer.objects.get(key=f"bell:{name}:").pk)


def sweep_and_fire(now: datetime) -> int:
    """What sweeper and worker do together, until nothing is due."""
    acted = 0
    with scope.platform("test"):
        while ids := services.claim(now=now, limit=5):
            acted += sum(services.fire(timer_id=timer_id, now=now) for timer_id in ids)
    return acted


@contextmanager
def process(work: Callable[[], object]) -> Iterator[BaseProcess]:
    """`work` in a process of its own with connections of its own; killed at the end of the block if it still lives."""

    def run() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
        connections.close_all()

    connections.close_all()  # a forked connection would be two processes' at once
    caches.close_all()
    child = FORK.Process(target=run)
    child.start()
    try:
        yield child
    finally:
        if child.is_alive():
            kill(child)
        child.join()


class Middle:
    """The middle of a task: where it waits for us, and we for it."""

    def __init__(self) -> None:
        self._told, told = os.pipe()
        release, self._release = os.pipe()
        self.args = {"told": told, "release": release}

    def wait(self) -> None:
        assert os.read(self._told, 1) == b"x"

    def release(self) -> None:
        os.write(self._release, b"x")


def kill(child: BaseProcess) -> None:
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if is_so():
            return
        time.sleep(0.005)
    raise AssertionError("waited for ten seconds in vain")


def test_two_processes_that_sweep_and_fire_at_once_share_the_work(jia: Customer) -> None:
    names = [f"{number:03}" for number in range(MANY)]
    for name in names:
        arm(jia, name)
    with process(lambda: sweep_and_fire(NOW)) as one, process(lambda: sweep_and_fire(NOW)) as other:
        one.join()
        other.join()
        assert (one.exitcode, other.exitcode) == (0, 0)
    assert sorted(rings(jia)) == names


def test_two_workers_with_the_same_messages_act_once(jia: Customer) -> None:
    ids = [arm(jia, f"{number:03}") for number in range(MANY)]

    def fire_all() -> None:
        with scope.platform("test"):
            for timer_id in ids:
                services.fire(timer_id=timer_id, now=NOW)

    with process(fire_all) as one, process(fire_all) as other:
        one.join()
        other.join()
    assert len(rings(jia)) == len(set(rings(jia))) == MANY


def test_a_worker_killed_between_claim_and_call_loses_nothing(jia: Customer) -> None:
    arm(jia, "orphan")

    def claim_and_stop() -> None:
        with scope.platform("test"):
            services.claim(now=NOW)
        time.sleep(60)

    def is_claimed() -> bool:
        with scope.platform("test"):
            return Timer.objects.exclude(leased_until=None).exists()

    with process(claim_and_stop) as child:
        wait_until(is_claimed)
        kill(child)
    assert sweep_and_fire(NOW) == 0
    assert sweep_and_fire(NOW + services.LEASE) == 1
    assert rings(jia) == ["orphan"]


def test_a_worker_killed_in_the_middle_of_the_task_leaves_no_half_effect(jia: Customer) -> None:
    middle = Middle()
    orphan = arm(jia, "orphan", task="bells.hold", **middle.args)
    with process(lambda: sweep_and_fire(NOW)) as child:
        middle.wait()
        kill(child)
    assert rings(jia) == []
    assert sweep_and_fire(NOW) == 0
    with scope.platform("test"):
        Timer.objects.filter(pk=orphan).update(task="bells.ring", args={"name": "orphan"})
    assert sweep_and_fire(NOW + services.LEASE) == 1
    assert rings(jia) == ["orphan"]


@pytest.mark.parametrize("after", range(0, 6, 2))
def test_a_kill_at_any_moment_neither_doubles_nor_loses(jia: Customer, after: int) -> None:
    """One of two workers dies when a number of timers has acted; the other goes on, and a third comes later."""
    names = [f"{number:03}" for number in range(MANY)]
    for name in names:
        arm(jia, name)
    with process(lambda: sweep_and_fire(NOW)) as victim, process(lambda: sweep_and_fire(NOW)) as survivor:
        wait_until(lambda: len(rings(jia)) > after * 8)
        kill(victim)
        survivor.join()
    sweep_and_fire(NOW + services.LEASE)
    assert sorted(rings(jia)) == names


def test_a_timer_that_outlives_its_lease_is_tried_twice_and_acts_once(jia: Customer) -> None:
    middle = Middle()
    slow = arm(jia, "slow", task="bells.hold", **middle.args)
    with process(lambda: sweep_and_fire(NOW)) as child:
        middle.wait()
        with scope.platform("test"):
            Timer.objects.filter(pk=slow).update(task="bells.ring", args={"name": "slow"})
        assert sweep_and_fire(NOW + services.LEASE) == 1
        middle.release()
        child.join()
        assert child.exitcode == 0
    assert rings(jia) == ["slow"]


def in_thread(work: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_what_is_cancelled_while_it_fires_does_not_act(jia: Customer) -> None:
    """The cancelling commits while the task runs: the task's work is rolled back."""
    middle = Middle()
    bell = arm(jia, "race", task="bells.hold", **middle.args)
    acted: list[bool] = []

    def fire() -> None:
        with scope.platform("test"):
            acted.append(services.fire(timer_id=bell, now=NOW))

    firing = in_thread(fire)
    middle.wait()
    assert services.cancel(prefix="bell:race:") == 1
    middle.release()
    firing.join()
    assert acted == [False]
    assert rings(jia) == []


def test_what_is_armed_anew_while_it_fires_acts_at_the_new_time_only(jia: Customer) -> None:
    middle = Middle()
    bell = arm(jia, "race", task="bells.hold", **middle.args)
    acted: list[bool] = []

    def fire() -> None:
        with scope.platform("test"):
            acted.append(services.fire(timer_id=bell, now=NOW))

    firing = in_thread(fire)
    middle.wait()
    later = NOW + timedelta(hours=1)
    services.set(key="bell:race:", due_at=later, task="bells.ring", args={"name": "race"}, customer=jia)
    middle.release()
    firing.join()
    assert acted == [False]
    assert sweep_and_fire(NOW) == 0
    assert sweep_and_fire(later) == 1
    assert rings(jia) == ["race"]


def test_cancelling_and_firing_in_many_threads_agree_on_every_timer(jia: Customer) -> None:
    """For each timer either the cancelling counts it or the bell rang, never both and never neither."""
    ids = [arm(jia, f"{number:03}") for number in range(MANY)]
    cancelled: list[int] = []

    def cancel_all() -> None:
        cancelled.append(sum(services.cancel(prefix=f"bell:{number:03}:") for number in range(MANY)))

    def fire_all() -> None:
        with scope.platform("test"):
            for timer_id in reversed(ids):
                services.fire(timer_id=timer_id, now=NOW)

    threads = [in_thread(fire_all), in_thread(cancel_all), in_thread(fire_all)]
    for thread in threads:
        thread.join()
    assert len(rings(jia)) + cancelled[0] == MANY
    assert len(set(rings(jia))) == len(rings(jia))


def test_a_redis_that_was_flushed_between_claim_and_call_loses_nothing(jia: Customer, redis_url: str) -> None:
    arm(jia, "only a row")
    with scope.platform("test"):
        assert len(services.claim(now=NOW)) == 1
    redis.Redis.from_url(redis_url).flushdb()
    assert sweep_and_fire(NOW + services.LEASE) == 1
    assert rings(jia) == ["only a row"]


def test_the_effect_and_the_mark_are_one_transaction(jia: Customer) -> None:
    """Nobody ever sees a bell that rang without its mark, nor a mark without the bell."""
    for number in range(20):
        arm(jia, f"{number:03}")
    seen: list[tuple[int, int]] = []

    def watch() -> None:
        with scope.platform("test"):
            for _ in range(100):
                rung = len(rings(jia))
                fired = Timer.objects.exclude(fired_at=None).count()
                seen.append((rung, fired))

    watching = in_thread(watch)
    sweep_and_fire(NOW)
    watching.join()
    assert all(rung <= fired for rung, fired in seen)  # the marks were counted after the bells


def test_the_bell_of_this_file_would_show_a_double_effect(jia: Customer) -> None:
    with scope.customer(jia):
        leave_a_trace("twice")
        leave_a_trace("twice")
    assert rings(jia) == ["twice", "twice"]
