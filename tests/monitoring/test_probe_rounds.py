"""Rounds of several places: quorum, missing places, places elsewhere with their sealed parcels, one place alone."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from celery import Celery, current_app
from django.conf import LazySettings
from django.conf import settings as django_settings
from kombu.exceptions import OperationalError

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from monitoring import storage
from monitoring.collectors import Job, Problem, asking, parcel, places
from monitoring.collectors.config import Kind
from monitoring.collectors.config.machines import TcpConfig
from monitoring.collectors.config.web import FlowConfig, HttpConfig, RequestSecret
from monitoring.collectors.network import Guard
from monitoring.collectors.parcel import ParcelError
from monitoring.collectors.places import Answer, Location, chosen, locations_of, verdict
from monitoring.models import Alert, ProbePoint, ProbeRound, Series, Target
from monitoring.services import poll, probe_events, rounds, targets
from tests.conftest import NOW
from tests.monitoring.probes import job_for
from tests.monitoring.samples import server
from tests.monitoring.test_poll import claim, reread

ROOT = Path(__file__).parents[2]
FAR = ["local-1", "hangzhou:杭州:电信:CN", "singapore:新加坡::SG"]


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = self.server.status  # type: ignore[attr-defined]  # set below
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def site(status: int = 200) -> Iterator[Any]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    made.status = status  # type: ignore[attr-defined]  # read above
    Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, "shop", kind="url")


@pytest.fixture
def far(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Two places elsewhere besides this machine; what is sent to them."""
    settings.PROBE_POINTS = FAR
    sent: list[tuple[str, str]] = []

    def send(name: str, args: tuple[str], *, queue: str, **_: object) -> None:
        assert name == rounds.PROBE_TASK
        sent.append((queue, args[0]))

    monkeypatch.setattr(current_app, "send_task", send)
    return sent


def watch(asset: Asset, url: str, **config: Any) -> Target:
    with scope.customer(asset.customer_id):
        return targets.create(
            asset=asset,
            kind=Kind.HTTP,
            config={"url": url, "area": "world", **config},
            allow_internal=True,
            actor=None,
            now=NOW,
            token=RequestSecret({"X-Key": "hush"}).as_text(),
        )


def answer(sealed: str, location: str, code: int = 0, **fields: Any) -> str:
    """What a location sends home for a parcel."""
    key = rounds.key_of(location)
    content = parcel.unseal(sealed, key=key, location=location, direction=parcel.QUESTION)
    found = Answer(location, code, 12.5, 200 if code == 0 else 0, **fields).as_json()
    answers = [{"target": each["target"], "answer": found} for each in content["jobs"]]
    return parcel.seal(
        {"round": content["round"], "answers": answers}, key=key, location=location, direction=parcel.ANSWER
    )


def come_home(sealed: str, location: str, now: datetime = NOW + timedelta(seconds=2)) -> int:
    with scope.platform("test"):
        return poll.take_results(location, sealed, now=now)


def stored(asset: Asset) -> dict[str, float]:
    """The last value of every series, by metric and place."""
    with scope.customer(asset.customer_id):
        series = {one.pk: one for one in Series.objects.filter(asset=asset)}
        columns = storage.read(
            asset_id=asset.pk, series_ids=list(series), start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=1)
        )
    return {
        f"{series[pk].metric} {series[pk].labels}": float(column.value[-1])
        for pk, column in columns.items()
        if len(column.ts)
    }


# --- pure ----------------------------------------------------------------------------------------------------------


def said(*codes: int | None) -> list[Answer]:
    return [
        Answer(f"p{at}", code or 0, 1.0, problem=Problem("timeout") if code is None else None)
        for at, code in enumerate(codes)
    ]


@pytest.mark.parametrize(
    ("codes", "wished", "is_down"),
    [
        ((0, 0, 0), 0, False),
        ((0, 0, 3), 0, False),
        ((0, 3, 3), 0, True),
        ((3, 3, 3), 0, True),
        ((0, 0, None), 0, False),
        ((0, 3, None), 0, False),
        ((3, 3, None), 0, True),
        ((3, None, None), 0, None),
        ((0, None, None), 0, None),
        ((None, None, None), 0, None),
        ((0, 0, 3), 1, True),
        ((0, 3, 3), 3, False),
        ((3,), 0, True),
        ((3,), 3, True),
    ],
)
def test_two_of_three_is_an_outage_and_a_missing_place_is_neither(
    codes: tuple[int | None, ...], wished: int, is_down: bool | None
) -> None:
    assert verdict(said(*codes), points=len(codes), wished=wished).is_down is is_down


def test_three_places_of_the_country_are_chosen_unless_somebody_chose() -> None:
    known = locations_of(
        ["a:杭州:电信:CN", "b:北京:联通:CN", "c:广州:移动:CN", "d:成都:电信:CN", "s:新加坡::SG", "f:法兰克福::DE"]
    )
    url = "http://example.com/"
    assert [one.slug for one in chosen(HttpConfig(url), known)] == ["a", "b", "c"]
    assert [one.slug for one in chosen(HttpConfig(url, area="world"), known)] == ["s", "f", "a"]
    assert [one.slug for one in chosen(HttpConfig(url, points=("d", "gone")), known)] == ["d"]
    assert chosen(TcpConfig("h", 80), known) == []
    assert [one.slug for one in chosen(TcpConfig("h", 80, points=("s",)), known)] == ["s"]


def test_a_place_without_a_country_is_this_machine() -> None:
    assert Location.parse("local-1").is_local
    assert not Location.parse("hangzhou:杭州:电信:CN").is_local
    with pytest.raises(ValueError, match="probe point"):
        Location.parse("Hang Zhou")


async def test_a_place_that_is_offline_itself_says_nothing_about_anybody() -> None:
    job = job_for(HttpConfig("http://no-such-name.invalid/"), trusted=False)
    with socket.create_server(("127.0.0.1", 0)) as control:
        here = f"127.0.0.1:{control.getsockname()[1]}"
        [found] = await asking.ask(Kind.HTTP, [job], guard=Guard(), point="x", control=[here])
    assert (found.code, found.problem) == (places.NOT_RESOLVED, None)
    [found] = await asking.ask(Kind.HTTP, [job], guard=Guard(), point="x", control=[here])
    assert found.problem == Problem(asking.OFFLINE)


# --- sealed --------------------------------------------------------------------------------------------------------


def test_a_parcel_opens_for_its_place_and_its_direction_only() -> None:
    ours, theirs = parcel.key_for("hangzhou", "secret"), parcel.key_for("beijing", "secret")
    sealed = parcel.seal({"a": 1}, key=ours, location="hangzhou", direction=parcel.QUESTION)
    assert parcel.unseal(sealed, key=ours, location="hangzhou", direction=parcel.QUESTION) == {"a": 1}
    for key, location, direction in (
        (theirs, "hangzhou", parcel.QUESTION),
        (ours, "beijing", parcel.QUESTION),
        (ours, "hangzhou", parcel.ANSWER),
    ):
        with pytest.raises(ParcelError):
            parcel.unseal(sealed, key=key, location=location, direction=direction)
    with pytest.raises(ParcelError):
        parcel.unseal(sealed[:-8] + "AAAAAAA=", key=ours, location="hangzhou", direction=parcel.QUESTION)


def test_a_job_arrives_as_it_left_and_without_whose_it_is() -> None:
    step = {"name": "a", "url": "http://h/", "extract": [{"name": "t", "source": "json", "expression": "$.t"}]}
    config = FlowConfig.of({"steps": [step], "secrets": ["p"]})
    there = parcel.job_as_json("flow", Job(5, 7, 42, config, token='{"p": "x"}'))
    kind, job = parcel.job_of(json.loads(json.dumps(there)))
    assert (kind, job.config, job.token, job.customer_id, job.asset_id) == (Kind.FLOW, config, '{"p": "x"}', 0, 0)


# --- rounds --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_three_places_of_one_machine_answer_at_once(web: Asset) -> None:
    with site() as page:
        target = watch(web, f"http://127.0.0.1:{page.server_port}/")
        [work] = claim()
        with scope.customer(web.customer_id):
            assert poll.collect(work, clock=lambda: NOW) > 0
    found = stored(web)
    assert [value for name, value in found.items() if name.startswith("url.point.result_code")] == [0.0] * 3
    assert next(value for name, value in found.items() if name.startswith("url.points ")) == 3
    assert reread(target).problem_code == ""
    with scope.customer(web.customer_id):
        assert {row.point for row in ProbePoint.objects.all()} == {"local-1", "local-2", "local-3"}


@pytest.mark.django_db
def test_a_round_waits_for_places_elsewhere_and_ends_with_the_last(web: Asset, far: list[tuple[str, str]]) -> None:
    with site() as page:
        target = watch(web, f"http://127.0.0.1:{page.server_port}/")
        [work] = claim()
        with scope.customer(web.customer_id):
            assert poll.collect(work, clock=lambda: NOW) == 0
    assert sorted(queue for queue, _ in far) == ["probe-hangzhou", "probe-singapore"]
    assert reread(target).lease_until is not None
    assert all("hush" not in sealed for _, sealed in far)
    by_queue = dict(far)
    assert come_home(answer(by_queue["probe-hangzhou"], "hangzhou", 1), "hangzhou") == 0
    assert come_home(answer(by_queue["probe-singapore"], "singapore", 1), "singapore") == 1
    found = stored(web)
    assert next(value for name, value in found.items() if name.startswith("url.result_code")) == 1
    after = reread(target)
    assert (after.lease_until, after.problem_code) == (None, "")


@pytest.mark.django_db
def test_a_place_that_never_answers_is_missing_and_the_round_ends_without_it(
    web: Asset, far: list[tuple[str, str]]
) -> None:
    with site() as page:
        target = watch(web, f"http://127.0.0.1:{page.server_port}/")
        [work] = claim()
        with scope.customer(web.customer_id):
            poll.collect(work, clock=lambda: NOW)
    come_home(answer(dict(far)["probe-hangzhou"], "hangzhou", 1), "hangzhou")
    with scope.platform("test"):
        assert poll.end_overdue_rounds(now=NOW + rounds.PATIENCE - timedelta(seconds=1)) == 0
        assert poll.end_overdue_rounds(now=NOW + rounds.PATIENCE) == 1
        assert poll.end_overdue_rounds(now=NOW + rounds.PATIENCE) == 0
        missing = ProbePoint.objects.get(target=target, point="singapore")
    assert (missing.missing_rounds, missing.bad_rounds, missing.code) == (1, 0, None)
    found = stored(web)
    assert next(value for name, value in found.items() if name.startswith("url.result_code")) == 0
    late = come_home(answer(dict(far)["probe-singapore"], "singapore"), "singapore")
    assert late == 0, "what comes after the end opens nothing again"


@pytest.mark.django_db
def test_with_two_places_missing_nothing_is_said_about_the_site(web: Asset, far: list[tuple[str, str]]) -> None:
    with site(503) as page:
        target = watch(web, f"http://127.0.0.1:{page.server_port}/")
        [work] = claim()
        with scope.customer(web.customer_id):
            poll.collect(work, clock=lambda: NOW)
    with scope.platform("test"):
        assert poll.end_overdue_rounds(now=NOW + rounds.PATIENCE) == 1
    assert not any(name.startswith("url.result_code") for name in stored(web))
    assert reread(target).problem_code == "points_missing"


@pytest.mark.django_db
def test_a_place_speaks_only_for_rounds_it_was_asked_in(
    web: Asset, far: list[tuple[str, str]], settings: LazySettings
) -> None:
    settings.PROBE_POINTS = [*FAR, "frankfurt:法兰克福::DE"]
    with site() as page:
        watch(web, f"http://127.0.0.1:{page.server_port}/", points=["local-1", "hangzhou"])
        [work] = claim()
        with scope.customer(web.customer_id):
            poll.collect(work, clock=lambda: NOW)
    [(_queue, sealed)] = far
    content = parcel.unseal(sealed, key=rounds.key_of("hangzhou"), location="hangzhou", direction=parcel.QUESTION)
    forged = {"round": content["round"], "answers": [{"target": content["jobs"][0]["target"],
              "answer": Answer("hangzhou", 1, 1.0).as_json()}]}  # fmt: skip
    key = rounds.key_of("frankfurt")
    assert come_home(parcel.seal(forged, key=key, location="frankfurt", direction=parcel.ANSWER), "frankfurt") == 0
    with scope.customer(web.customer_id):
        assert not ProbePoint.objects.exclude(point="local-1").exists()
        assert ProbeRound.objects.get().is_open
    sealed_by_another = parcel.seal(forged, key=key, location="frankfurt", direction=parcel.ANSWER)
    assert come_home(sealed_by_another, "hangzhou") == 0
    with scope.customer(web.customer_id):
        assert ProbeRound.objects.get().is_open


@pytest.mark.django_db
def test_a_broker_that_takes_nothing_leaves_the_place_missing(
    web: Asset, far: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("no broker")

    monkeypatch.setattr(current_app, "send_task", refuse)
    with site() as page:
        watch(web, f"http://127.0.0.1:{page.server_port}/")
        [work] = claim()
        with scope.customer(web.customer_id):
            poll.collect(work, clock=lambda: NOW)
    with scope.platform("test"):
        assert poll.end_overdue_rounds(now=NOW + rounds.PATIENCE) == 1


# --- one place alone -----------------------------------------------------------------------------------------------


def one_round(target: Target, number: int, *codes: int) -> None:
    at = NOW + timedelta(minutes=number)
    points = ["hangzhou", "beijing", "shanghai"]
    answers = [Answer(point, code, 10.0, 200) for point, code in zip(points, codes, strict=True)]
    with scope.customer(target.customer_id):
        rounds.keep([target], {target.pk: answers}, asked_at=at, now=at)
        rounds.watch_regions(target, answers, points=points, now=at)


@pytest.mark.django_db
def test_one_place_of_three_is_a_warning_about_a_region_after_three_rounds(web: Asset) -> None:
    target = watch(web, "http://shop.example.com/")
    for number in range(3):
        assert open_regions(web) == []
        one_round(target, number, 1, 0, 0)
    [alert] = open_regions(web)
    assert (alert.rule_id, alert.severity, alert.asset_id) == ("url-region", 4, web.pk)
    one_round(target, 3, 1, 0, 0)
    assert len(open_regions(web)) == 1
    for number in range(3):
        assert open_regions(web)
        one_round(target, 4 + number, 0, 0, 0)
    assert open_regions(web) == []


@pytest.mark.django_db
def test_when_the_whole_site_is_down_no_region_is_told(web: Asset) -> None:
    target = watch(web, "http://shop.example.com/")
    for number in range(5):
        one_round(target, number, 1, 1, 0)
    assert open_regions(web) == []


def open_regions(asset: Asset) -> list[Alert]:
    with scope.customer(asset.customer_id):
        return list(Alert.objects.open())


# --- what ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "rung"), [(31, None), (30, 30), (15.5, 30), (15, 15), (7, 7), (2.9, 3), (1, 1), (-4, 1)]
)
def test_the_rung_that_has_been_reached(days: float, rung: int | None) -> None:
    assert probe_events.rung_of(days, (30, 15, 7, 3, 1)) == rung


@pytest.mark.django_db
def test_each_rung_is_told_once_and_a_renewed_certificate_is_well(web: Asset) -> None:
    target = watch(web, "https://shop.example.com/")
    ends = NOW + timedelta(days=30)

    def climb(at: datetime, until: datetime) -> bool:
        left = (until - at).total_seconds() / 86_400
        with scope.customer(web.customer_id):
            return probe_events.climb(
                probe_events.Ending(reread(target), "tls-expiry", left, until), probe_events.RUNGS, now=at
            )

    told = [climb(NOW + timedelta(hours=hour), ends) for hour in range(0, 31 * 24, 6)]
    assert sum(told) == 5
    with scope.customer(web.customer_id):
        [alert] = Alert.objects.open()
        assert alert.severity == 2
    climb(ends, ends + timedelta(days=365))
    assert open_regions(web) == []


# --- a worker elsewhere --------------------------------------------------------------------------------------------


def test_a_location_needs_no_django_and_no_database() -> None:
    inside = "{'django.db', 'django.conf', 'accounts', 'monitoring.models'}"
    code = f"import sys, monitoring.location; sys.exit(bool({inside} & set(sys.modules)))"
    environment = {"PATH": os.environ["PATH"], "RDMP_PROBE_LOCATION": "hangzhou", "RDMP_PROBE_KEY": "x"}
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=False).returncode == 0


def test_a_real_worker_elsewhere_asks_and_answers_and_may_touch_only_its_own_queues() -> None:
    """A real Celery worker under a Redis user that sees the keys docs/probes.md gives it, and no others."""
    broker = redis.Redis.from_url(django_settings.REDIS_URL)
    user, password = "probe-testtown", "only-for-this-test"
    broker.acl_setuser(
        user, enabled=True, reset=True, passwords=[f"+{password}"], commands=["+@all", "-@admin", "-@dangerous"],
        keys=["q:probe-testtown*", "q:probe-results*", "q:_kombu*", "q:unacked*testtown*"],
        channels=["*"],
    )  # fmt: skip
    host = broker.connection_pool.connection_kwargs
    key = parcel.key_for("testtown", django_settings.SECRET_KEY)
    if "path" in host:
        url = f"redis+socket://{user}:{password}@{host['path']}"
    else:
        url = f"redis://{user}:{password}@{host['host']}:{host['port']}/{host.get('db', 0)}"
    environment = {
        "PATH": os.environ["PATH"],
        "RDMP_PROBE_LOCATION": "testtown",
        "RDMP_PROBE_KEY": key,
        "REDIS_URL": url,
        "HOME": "/tmp",
    }
    command = [sys.executable, "-m", "celery", "-A", "monitoring.location", "--quiet", "worker", "--pool", "solo",
               "--queues", "probe-testtown", "--without-gossip", "--without-mingle", "--without-heartbeat"]  # fmt: skip
    broker.delete("q:probe-results")
    with site() as page:
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            job = Job(5, 7, 42, HttpConfig(f"http://127.0.0.1:{page.server_port}/"), allow_internal=True)
            blocked = Job(6, 7, 42, HttpConfig(f"http://127.0.0.1:{page.server_port}/"), allow_internal=False)
            content = {
                "round": NOW.isoformat(),
                "expires": 4_102_444_800,
                "jobs": [parcel.job_as_json("http", each) for each in (job, blocked)],
            }
            sealed = parcel.seal(content, key=key, location="testtown", direction=parcel.QUESTION)
            send_to("probe-testtown", sealed)
            popped = broker.blpop(["q:probe-results"], timeout=60)
        finally:
            process.terminate()
            process.wait(20)
            broker.acl_deluser(user)
    assert popped is not None, "the worker answered nothing"
    message = json.loads(popped[1])
    body = json.loads(base64.b64decode(message["body"]))
    location, answer_sealed = body[0]
    found = parcel.unseal(answer_sealed, key=key, location=location, direction=parcel.ANSWER)
    first, second = (Answer.of(each["answer"]) for each in found["answers"])
    assert (message["headers"]["task"], location, first.code, first.status) == (
        "monitoring.probe_result", "testtown", 0, 200,
    )  # fmt: skip
    assert second.problem == Problem("blocked")


def send_to(queue: str, sealed: str) -> None:
    sender = Celery(broker=django_settings.REDIS_URL, set_as_current=False)
    sender.conf.update(
        broker_transport_options={"global_keyprefix": "q:"}, task_default_queue=queue, task_ignore_result=True
    )
    with sender.connection_for_write() as connection:
        sender.send_task(rounds.PROBE_TASK, (sealed,), queue=queue, connection=connection)
