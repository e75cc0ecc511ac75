"""The rhythm of collecting: who takes what, what a dead or slow worker leaves, what reaches the pipeline."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from celery import current_app
from django.conf import LazySettings
from django.db import OperationalError, connection, connections
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring import pipeline, tasks
from monitoring.collectors import batch_of
from monitoring.collectors.config import Kind
from monitoring.grid import next_due
from monitoring.models import Alert, Series, Target
from monitoring.services import claims, poll, settling, targets
from notify.models import Delivery
from tests.conftest import NOW
from tests.monitoring.samples import server
from tests.monitoring.test_agent import TOKEN, agent, wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def watch(asset: Asset, port: int, *, now: datetime = NOW, host: str = "127.0.0.1", period_s: int = 60) -> Target:
    with scope.customer(asset.customer_id):
        return targets.create(
            asset=asset,
            kind=Kind.TCP,
            config={"host": host, "port": port, "timeout_s": 20},
            period_s=period_s,
            allow_internal=True,
            actor=None,
            now=now,
        )


def claim(now: datetime = NOW, limit: int = 100) -> list[claims.Work]:
    with scope.platform("test"):
        return claims.claim(now=now, limit=limit)


def collect(works: Sequence[claims.Work]) -> int:
    stored = 0
    for work in works:
        with scope.customer(work.customer_id):
            stored += poll.collect(work)
    return stored


def reread(target: Target) -> Target:
    with scope.platform("test"):
        return Target.objects.get(pk=target.pk)


@pytest.mark.django_db
def test_what_is_due_is_claimed_once_with_a_lease_and_its_next_moment(web: Asset) -> None:
    target = watch(web, 80)
    [work] = claim()
    assert (work.customer_id, work.kind, work.target_ids) == (web.customer_id, "tcp", [target.pk])
    assert claim() == []
    after = reread(target)
    assert after.lease_until == NOW + claims.LEASE == work.lease
    assert NOW < after.next_due_at <= NOW + timedelta(seconds=60)


@pytest.mark.django_db
def test_beats_that_were_missed_do_not_pile_up(web: Asset) -> None:
    target = watch(web, 80)
    for when in (NOW, NOW + timedelta(hours=3)):
        assert len(claim(when)) == 1
        assert claim(when + timedelta(seconds=0.1)) == []
    assert reread(target).next_due_at <= NOW + timedelta(hours=3, minutes=1)


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.999])
def test_the_next_moment_lies_on_the_targets_own_grid(phase: float) -> None:
    moments = [next_due(NOW + timedelta(seconds=late), 60, phase) for late in (0, 7, 59.9)]
    assert all(moment > NOW for moment in moments)
    assert {round((moment.timestamp() - phase * 60) % 60, 6) % 60 for moment in moments} == {0.0}


def test_a_group_is_due_together_and_groups_are_spread() -> None:
    assert len({targets.phase(1, "tcp", number) for number in range(targets.GROUP)}) == 1
    assert len({targets.phase(customer, "tcp", 0) for customer in range(50)}) > 40


def test_the_setting_shortens_every_period_but_cloudmonitors(settings: LazySettings) -> None:
    settings.CHECK_PERIOD_S = 1
    assert Target(kind="tcp", period_s=60).interval == timedelta(seconds=1)
    assert Target(kind="cms", period_s=120).interval == timedelta(minutes=2), "it has a point a minute at most"


@pytest.mark.django_db
def test_batches_hold_one_customer_and_one_collector_and_have_a_size(
    web: Asset, yi: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BATCH", 3)
    other = server(yi, "db-01")
    for number in range(7):
        watch(web, 1000 + number)
    watch(other, 80)
    works = claim()
    assert sorted((work.customer_id == yi.pk, len(work.target_ids)) for work in works) == [
        (False, 1),
        (False, 3),
        (False, 3),
        (True, 1),
    ]


@pytest.mark.django_db
def test_a_dead_workers_targets_come_back_when_its_lease_has_run_out(web: Asset) -> None:
    watch(web, 80, period_s=10)
    claim()
    assert claim(NOW + timedelta(seconds=30)) == []
    assert len(claim(NOW + claims.LEASE)) == 1


@pytest.mark.django_db
def test_a_worker_that_was_too_slow_changes_nothing_any_more(web: Asset) -> None:
    target = watch(web, free_port(), period_s=10)
    [slow] = claim()
    [quick] = claim(NOW + claims.LEASE)
    assert collect([slow]) == 0
    assert reread(target).lease_until == quick.lease
    assert collect([quick]) > 0
    assert reread(target).lease_until is None
    with scope.customer(web.customer_id):
        outcomes = poll.run("tcp", [reread(target)], now=timezone.now())
        settling.settle([reread(target)], outcomes, lease=slow.lease, now=NOW + timedelta(days=1))
    assert reread(target).last_ok_at != NOW + timedelta(days=1)


@pytest.mark.django_db
def test_three_failed_checks_of_a_real_port_open_one_alert_and_three_good_ones_close_it(web: Asset) -> None:
    port = free_port()
    target = watch(web, port)
    for number in range(4):
        check_again(target, number)
    alert = only_alert(web)
    assert (alert.rule_id, alert.is_open, alert.incident_id is not None) == ("port-not-running", True, True)
    with socket.create_server(("127.0.0.1", port)):
        for number in range(3):
            check_again(target, 4 + number)
    assert not only_alert(web).is_open
    assert reread(target).problem_code == ""


def check_again(target: Target, number: int) -> None:
    """One round, a minute apart by the points' own time."""
    with scope.customer(target.customer_id):
        at = timezone.now() - timedelta(minutes=30 - number)
        [outcome] = poll.run("tcp", [reread(target)], now=at)
        outcome.ts = [round(at.timestamp() * 1000)] * len(outcome.ts)
        pipeline.ingest(batch_of(target.customer_id, [outcome]), now=at)


def only_alert(asset: Asset) -> Alert:
    with scope.customer(asset.customer_id):
        return Alert.objects.get()


@pytest.mark.django_db
def test_what_cannot_be_looked_at_is_a_problem_of_the_target_and_no_alert(
    web: Asset, chen: User, lin: User, django_capture_on_commit_callbacks: object
) -> None:
    target = watch(web, 80)
    with scope.customer(web.customer_id):
        Target.objects.filter(pk=target.pk).update(allow_internal=False)
    for number in range(5):
        at = NOW + timedelta(minutes=number)
        for work in claim(at):
            with scope.customer(work.customer_id):
                poll.collect(work, clock=lambda at=at: at)  # type: ignore[misc]  # a default argument binds the moment
    after = reread(target)
    assert (after.problem_code, after.failures, after.problem_since) == ("blocked", 5, NOW)
    assert after.last_ok_at is None
    with scope.customer(web.customer_id):
        assert not Alert.objects.exists()
        assert not Series.objects.exists()
    with scope.platform("test"):
        told = Delivery.objects.filter(key__startswith="target:")
        assert told.count() == 1, "the engineer is told once per spell"


@pytest.mark.django_db
def test_a_target_that_works_again_has_no_problem_any_more(web: Asset) -> None:
    target = watch(web, free_port())
    with scope.customer(web.customer_id):
        Target.objects.filter(pk=target.pk).update(problem_code="timeout", problem_since=NOW, failures=9)
    collect(claim(timezone.now()))
    after = reread(target)
    assert (after.problem_code, after.problem_since, after.failures, after.last_samples) == ("", None, 0, 1)


@pytest.mark.django_db
def test_counters_go_on_in_another_worker(web: Asset) -> None:
    with agent() as (_, port), scope.customer(web.customer_id):
        target = targets.create(
            asset=web,
            kind=Kind.PROMETHEUS,
            config={"url": f"http://127.0.0.1:{port}/metrics"},
            token=TOKEN,
            allow_internal=True,
            actor=None,
            now=timezone.now(),
        )
        collect(claim(timezone.now()))
        assert "host.disk" in reread(target).state["names"] or "cpu.total" in reread(target).state["names"]
        poll._tokens.clear()
        poll.EXPORTERS.close()
        time.sleep(0.8)
        Target.objects.update(next_due_at=timezone.now())
        collect(claim(timezone.now()))
        metrics = set(Series.objects.values_list("metric", flat=True))
    assert {"host.cpu.util", "host.mem.util", "host.fs.free_pct"} <= metrics
    assert reread(target).problem_code == ""


@pytest.mark.django_db
def test_figures_that_could_not_be_stored_are_said_and_the_old_counters_kept(
    web: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = watch(web, free_port())

    def broken(*_: object, **__: object) -> None:
        raise OperationalError("disk full")

    monkeypatch.setattr(pipeline, "_ingest", broken)
    assert collect(claim(timezone.now())) == 0
    assert reread(target).problem_code == "store"


@pytest.mark.django_db
def test_a_configuration_that_became_invalid_does_not_stop_the_others(web: Asset) -> None:
    bad, good = watch(web, 80), watch(web, free_port())
    with scope.customer(web.customer_id):
        Target.objects.filter(pk=bad.pk).update(config={"host": "", "port": 0})
    collect(claim(timezone.now()))
    assert reread(bad).problem_code == "config"
    assert reread(good).problem_code == ""


def test_the_tasks_have_their_queue() -> None:
    for name in ("monitoring.poll", "monitoring.collect", "monitoring.collect_many"):
        assert getattr(current_app.tasks[name], "queue", None) == "poll"


@pytest.mark.django_db
def test_the_beat_hands_each_batch_to_a_worker_and_a_worker_stores_it(
    web: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = watch(web, free_port())
    sent: list[tuple[int, str, list[int], str]] = []
    monkeypatch.setattr(tasks.collect, "apply_async", lambda args, **_: sent.append(args))
    tasks.poll()
    assert len(sent) == 1
    tasks.collect(*sent[0])
    assert reread(target).last_samples == 1


def work(customer_id: int, size: int, kind: str = "prometheus", *, is_slow: bool = False) -> claims.Work:
    return claims.Work(customer_id, kind, list(range(size)), NOW, is_slow)


def test_small_batches_of_one_kind_are_bundled_and_no_customer_comes_twice() -> None:
    works = [work(1, 10), work(2, 80), work(3, 20), work(1, 5), work(4, 10, "tcp"), work(5, 10, is_slow=True)]
    customers = [[one.customer_id for one in bundle] for bundle in claims.bundles(works)]
    assert customers == [[1, 2], [3, 1], [4], [5]]
    assert max(sum(len(one.target_ids) for one in bundle) for bundle in claims.bundles(works)) <= claims.BATCH


@pytest.mark.django_db
def test_targets_of_two_customers_are_collected_together_and_settled_apart(
    web: Asset, yi: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[list[tuple[int, str, list[int], str]]] = []
    monkeypatch.setattr(tasks.collect_many, "apply_async", lambda args, **_: sent.append(*args))
    theirs = server(yi)
    with agent() as (_, port):
        mine = {asset.customer_id: exporter(asset, port) for asset in (web, theirs)}
        tasks.poll()
        ((first, second),) = sent
        assert {first[0], second[0]} == {web.customer_id, yi.pk}
        tasks.collect_many(sent[0])
    for customer_id, target in mine.items():
        after = reread(target)
        assert (after.problem_code, after.lease_until) == ("", None)
        assert (after.last_samples or 0) > 5
        with scope.customer(customer_id):
            assert set(Series.objects.values_list("asset_id", flat=True)) == {target.asset_id}


def exporter(asset: Asset, port: int) -> Target:
    with scope.customer(asset.customer_id):
        return targets.create(
            asset=asset,
            kind=Kind.PROMETHEUS,
            config={"url": f"http://127.0.0.1:{port}/metrics"},
            token=TOKEN,
            allow_internal=True,
            actor=None,
            now=NOW,
        )


# --- real races and real deaths ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_take_different_targets(web: Asset) -> None:
    for number in range(40):
        watch(web, 2000 + number)
    together = threading.Barrier(4)

    def beat(_: int) -> list[int]:
        try:
            together.wait(10)
            return [pk for work in claim(limit=10) for pk in work.target_ids]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        taken = [pk for ids in pool.map(beat, range(4)) for pk in ids]
    assert len(taken) == len(set(taken)) <= 40


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_middle_of_a_check_leaves_its_target_to_the_next(web: Asset) -> None:
    with silent_port() as port:
        target = watch(web, port)
        process = subprocess.Popen([sys.executable, "-m", "tests.monitoring.worker"], cwd=ROOT, env=environment())
        wait_until(lambda: reread(target).lease_until is not None or process.poll() is not None, 60)
        assert process.poll() is None, "the worker ended by itself"
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    held = reread(target)
    assert held.lease_until is not None
    assert held.last_ok_at is None
    assert claim(held.lease_until - timedelta(seconds=1)) == []
    again = held.lease_until + timedelta(seconds=60)
    assert collect(claim(again)) == 1
    assert reread(target).last_ok_at is not None


def environment() -> dict[str, str]:
    """What a process of its own needs to work on this test's database."""
    database = connection.settings_dict
    host = str(database["HOST"])
    login = quote(str(database["USER"])) + (f":{quote(str(database['PASSWORD']))}" if database["PASSWORD"] else "")
    port = f":{database['PORT']}" if database["PORT"] else ""
    where, query = ("", f"?host={host}") if host.startswith("/") else (host, "")
    return os.environ | {
        "DATABASE_URL": f"postgresql://{login}@{where}{port}/{database['NAME']}{query}",
        "DJANGO_SETTINGS_MODULE": "rdmp.settings",
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server_socket:
        return int(server_socket.getsockname()[1])


class silent_port:  # noqa: N801  # reads like a function where it is used
    """A port whose queue is full: connecting to it neither succeeds nor fails."""

    def __enter__(self) -> int:
        self.full = socket.socket()
        self.full.bind(("127.0.0.1", 0))
        self.full.listen(0)
        self.waiting = [socket.socket() for _ in range(4)]
        for one in self.waiting:
            one.setblocking(False)
            one.connect_ex(self.full.getsockname())
        time.sleep(0.1)
        return int(self.full.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        for one in (*self.waiting, self.full):
            one.close()


# --- whose turn it is ----------------------------------------------------------------------------------------------


def slow_down(*targets: Target) -> None:
    with scope.platform("test"):
        Target.objects.filter(pk__in=[target.pk for target in targets]).update(last_duration_ms=claims.SLOW_MS)


@pytest.mark.django_db
def test_the_slow_machines_of_one_customer_hold_up_nobody_else(
    web: Asset, yi: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BATCH", 5)
    slow_down(*(watch(web, 1000 + number) for number in range(40)))
    first = claim()
    assert [len(work.target_ids) for work in first] == [5], "the slow lane holds one of two workers"
    target = watch(server(yi, "db-01"), 80)
    later = NOW + timedelta(seconds=1)
    assert [work.target_ids for work in claim(later)] == [[target.pk]]


@pytest.mark.django_db
def test_slow_customers_take_turns(web: Asset, yi: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BATCH", 5)
    slow_down(*(watch(web, 1000 + number) for number in range(40)))
    slow_down(watch(server(yi, "db-01"), 80, now=NOW + timedelta(seconds=1)))
    seen = []
    for number in range(12):
        for work in claim(NOW + timedelta(seconds=2 + number)):
            seen.append(work.customer_id)
            with scope.customer(work.customer_id):
                Target.objects.filter(pk__in=work.target_ids).update(lease_until=None)
    assert yi.pk in seen[:9]


@pytest.mark.django_db
def test_a_customer_whose_machines_all_fall_silent_at_once_keeps_its_share(
    web: Asset, yi: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BATCH", 2)
    for number in range(30):
        watch(web, 1000 + number)
    target = watch(server(yi, "db-01"), 80, now=NOW + timedelta(seconds=0.5))
    assert sum(len(work.target_ids) for work in claim()) == 8, "four batches under way and no more"
    assert [work.target_ids for work in claim(NOW + timedelta(seconds=1))] == [[target.pk]]


@pytest.mark.django_db
def test_the_first_batch_of_everybody_comes_before_anybodys_second(
    web: Asset, yi: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "BATCH", 2)
    for number in range(6):
        watch(web, 1000 + number)
    watch(server(yi, "db-01"), 80, now=NOW + timedelta(seconds=0.5))
    firsts = {work.customer_id for work in claim(NOW + timedelta(seconds=1))[:2]}
    assert firsts == {web.customer_id, yi.pk}
