"""Turns at an API: shared through Redis by all workers, stricter alone, bounded in time."""

from __future__ import annotations

import threading
import uuid

import pytest
import redis

from assets.services.pacing import LIMITS, LONE_SHARE, LONGEST_WAIT_S, SHARE, Bucket, TooBusy


def account() -> str:
    return uuid.uuid4().hex


def test_a_burst_goes_at_once_and_the_rest_waits_its_turn(redis_url: str) -> None:
    waited: list[float] = []
    bucket, uid = Bucket(url=redis_url, sleep=waited.append), account()
    for _ in range(60):
        bucket.wait(uid, "Cms", "DescribeMetricList")
    rate = LIMITS["Cms"] * SHARE
    assert len(waited) > 40, "a quarter of a second's worth goes at once"
    assert waited == sorted(waited)
    assert waited[-1] > 40 / rate, "nobody slept, so the queue stands as long as the calls would take"


def test_two_workers_share_one_limit(redis_url: str) -> None:
    uid, alone = account(), account()
    first, second = (Bucket(url=redis_url, sleep=lambda _s: None) for _ in range(2))
    mine = [first.wait(alone, "Cms", "DescribeMetricList") for _ in range(40)][-1]
    shared = [bucket.wait(uid, "Cms", "DescribeMetricList") for _ in range(40) for bucket in (first, second)][-1]
    assert shared > mine * 1.5


def test_many_threads_never_get_more_turns_than_the_limit(redis_url: str) -> None:
    uid, waits, lock = account(), [], threading.Lock()
    bucket = Bucket(url=redis_url, sleep=lambda _s: None)

    def work() -> None:
        for _ in range(20):
            waited = bucket.wait(uid, "Cms", "DescribeMetricList")
            with lock:
                waits.append(waited)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    at_once = sum(waited < 1 for waited in waits)
    assert at_once <= LIMITS["Cms"] * SHARE * 2.2, "one burst and a second's turns"


def test_accounts_and_apis_do_not_hold_each_other_up(redis_url: str) -> None:
    waited: list[float] = []
    bucket, uid = Bucket(url=redis_url, sleep=waited.append), account()
    for _ in range(40):
        bucket.wait(uid, "Cms", "DescribeMetricList")
    waited.clear()
    bucket.wait(uid, "Cms", "DescribeMetricLast")
    bucket.wait(account(), "Cms", "DescribeMetricList")
    assert waited == []


def test_without_redis_a_process_keeps_to_a_smaller_share() -> None:
    waited: list[float] = []
    bucket = Bucket(url="redis://127.0.0.1:1/0", sleep=waited.append)
    for _ in range(12):
        bucket.wait("uid", "Cms", "DescribeMetricList")
    assert waited[-1] == pytest.approx(11 / (LIMITS["Cms"] * LONE_SHARE), rel=0.2)


def test_a_queue_that_is_too_long_is_refused_and_takes_no_turn(redis_url: str) -> None:
    bucket, uid = Bucket(url=redis_url, sleep=lambda _s: None), account()
    calls = 0
    with pytest.raises(TooBusy):
        while calls < 200:
            bucket.wait(uid, "Actiontrail", "LookupEvents")
            calls += 1
    assert calls == pytest.approx(LONGEST_WAIT_S * LIMITS["Actiontrail"] * SHARE, abs=3)
    with pytest.raises(TooBusy):
        bucket.wait(uid, "Actiontrail", "LookupEvents")
    key = redis.Redis.from_url(redis_url).get(f"pace:{uid}:Actiontrail:LookupEvents")
    assert key is not None
