"""The platform watches itself: figures, levels, who is told and when, the status page, /metrics, the heartbeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from accounts import scope
from accounts.models import Customer, User
from monitoring.models import Alert, PlatformFigure, PlatformTrouble
from monitoring.services import claims, heartbeat, platform, vitals
from notify import services as notify
from notify.models import Delivery
from tests.conftest import NOW, ClientFor
from tests.monitoring.samples import server
from tests.monitoring.test_poll import watch
from timers import services as timers

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clean() -> None:
    vitals.client().delete(vitals.COUNTERS, vitals.ALIVE, vitals.RATES, f"{vitals.RATES}:last")


def told(step: str) -> list[Delivery]:
    with scope.platform("test"):
        return list(Delivery.objects.filter(key__startswith="platform:polling", key__endswith=step))


WELL = dict.fromkeys((part.figure for part in platform.PARTS), 0.0)


def judge(lag: float, minute: float) -> None:
    platform.judge(WELL | {"poll_lag_s": lag}, now=NOW + timedelta(minutes=minute))


def states(now: datetime = NOW) -> dict[str, platform.State]:
    with scope.platform("test"):
        return {state.part.id: state for state in platform.parts(now=now)}


def test_trouble_is_told_when_it_lasts_and_louder_when_it_lasts_long(root: User, lin: User, alice: User) -> None:
    judge(300, 0)
    assert told("told") == [], "what is over in a minute wakes nobody"
    judge(300, 1)
    assert {row.user_id for row in told("told")} == {root.pk}
    judge(300, 2)
    assert len(told("told")) == 1
    judge(300, 16)
    assert {row.user_id for row in told("escalated")} >= {root.pk, lin.pk}
    assert "email" in {row.medium for row in told("escalated")}
    judge(0, 17)
    assert {row.user_id for row in told("over")} == {root.pk, lin.pk}
    trouble = PlatformTrouble.objects.get()
    assert (trouble.since, trouble.over_at) == (NOW, NOW + timedelta(minutes=17))
    with scope.platform("test"):
        assert not Alert.objects.exists(), "trouble of ours is no customer's alarm"
        assert not Delivery.objects.filter(user=alice).exists()


def test_late_is_told_but_not_escalated(root: User, lin: User) -> None:
    for minute in (0, 1, 40):
        judge(60, minute)
    assert {row.user_id for row in told("told")} == {root.pk}
    assert told("escalated") == []


def test_what_is_over_at_once_leaves_a_trace_and_no_message(root: User) -> None:
    judge(300, 0)
    judge(0, 0.5)
    assert PlatformTrouble.objects.get().over_at is not None
    assert told("told") == told("over") == []


def test_customers_read_that_monitoring_is_delayed_while_it_is(root: User, alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    browser.cookies["django_language"] = "en"
    assert "Monitoring is delayed" not in browser.get("/monitoring/sites/").content.decode()
    platform.judge(WELL | {"poll_lag_s": 300.0}, now=timezone.now() - timedelta(minutes=5))
    assert "Monitoring is delayed" in browser.get("/monitoring/sites/").content.decode()
    platform.judge(WELL, now=timezone.now())
    assert "Monitoring is delayed" not in browser.get("/monitoring/sites/").content.decode()


def test_the_lag_is_that_of_the_longest_waiting_target(jia: Customer) -> None:
    watch(server(jia), 80)
    with scope.platform("test"):
        assert vitals.figures(now=NOW + timedelta(seconds=90))["poll_lag_s"] == 90
        claims.claim(now=NOW + timedelta(seconds=90))
        assert vitals.figures(now=NOW + timedelta(seconds=91))["poll_lag_s"] == 0


def well_redis(now: datetime = NOW) -> None:
    for queue in settings.QUEUES:
        vitals.stamp(queue, now=now)


@contextmanager
def filled(queue: str, waiting: int) -> Iterator[None]:
    """So many tasks wait in a queue, and nobody takes them."""
    name = f"{vitals.QUEUE_PREFIX}{queue}"
    vitals.client().delete(name)
    vitals.client().rpush(name, *("{}" for _ in range(waiting)))
    try:
        yield
    finally:
        vitals.client().delete(name)


@pytest.fixture
def without_redis(settings: LazySettings) -> Iterator[None]:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    vitals.client.cache_clear()
    yield
    vitals.client.cache_clear()


def test_every_part_has_a_figure_that_can_be_had(jia: Customer) -> None:
    watch(server(jia), 80)
    well_redis()
    with scope.platform("test"):
        found = vitals.figures(now=NOW)
    assert {part.figure for part in platform.PARTS if part.is_needed} <= set(found)
    assert found["db_connections"] >= 1
    assert {state.level for state in states().values() if state.value is None} <= {"ok"}


def test_a_queue_that_nobody_empties_is_seen() -> None:
    vitals.stamp("poll", now=NOW - timedelta(minutes=10))
    found = states()["queue-poll"]
    assert (found.level, found.value) == ("failing", 600)


def test_a_queue_whose_worker_was_never_heard_of_is_failing() -> None:
    well_redis()
    vitals.client().hdel(vitals.ALIVE, "automation")
    found = {part: state for part, state in states().items() if part.startswith("queue-")}
    assert set(found) == {f"queue-{queue}" for queue in settings.QUEUES}, "each queue has somebody who looks after it"
    assert {part for part, state in found.items() if state.level != "ok"} == {"queue-automation"}
    assert (found["queue-automation"].level, found["queue-automation"].value) == ("failing", None)


def test_each_queue_is_stamped_by_its_worker_more_often_than_it_may_be_silent() -> None:
    entries: list[dict[str, Any]] = list(settings.CELERY_BEAT_SCHEDULE.values())
    rhythm = {entry["args"]: entry for entry in entries if entry["task"] == "monitoring.stamp"}
    assert set(rhythm) == {(queue,) for queue in settings.QUEUES}
    limits = {part.figure: part for part in platform.PARTS}
    for (queue,), entry in rhythm.items():
        every, part = entry["schedule"].run_every.total_seconds(), limits[f"queue_silence_s.{queue}"]
        assert entry["options"]["queue"] == queue
        assert every < part.late < part.failing


def test_without_redis_neither_it_nor_a_queue_is_in_order(without_redis: None) -> None:
    bad = {part for part, state in states().items() if state.level == "failing"}
    assert {"redis", "redis-answers", "queue-poll", "queue-reports", "depth-poll"} <= bad
    assert not {"timers", "database"} & bad


def test_trouble_does_not_end_because_its_figure_is_gone(root: User) -> None:
    silent = WELL | {"queue_silence_s.poll": 600.0}
    gone = {name: value for name, value in WELL.items() if name != "queue_silence_s.poll"}
    for minute, figures in enumerate((silent, silent, gone, gone)):
        platform.judge(figures, now=NOW + timedelta(minutes=minute))
    [trouble] = PlatformTrouble.objects.all()
    assert (trouble.part, trouble.level, trouble.since, trouble.over_at) == ("queue-poll", "failing", NOW, None)
    with scope.platform("test"):
        assert not Delivery.objects.filter(key__startswith="platform:", key__endswith=":over").exists()


def test_what_need_not_be_there_is_well_without_a_figure() -> None:
    platform.judge({name: value for name, value in WELL.items() if name != "packer_lag_s"}, now=NOW)
    assert not PlatformTrouble.objects.exists()


@pytest.mark.parametrize(
    ("queue", "waiting", "level"),
    [
        ("poll", 999, "ok"),
        ("poll", 1000, "late"),
        ("poll", 10_000, "failing"),
        ("automation", 200, "late"),
        ("reports", 199, "ok"),
        ("reports", 1000, "failing"),
    ],
)
def test_a_queue_that_grows_is_trouble(queue: str, waiting: int, level: str) -> None:
    with filled(queue, waiting):
        found = states()[f"depth-{queue}"]
    assert (found.level, found.value) == (level, waiting)


def test_figures_of_a_minute_are_kept_once_and_old_ones_go() -> None:
    for second in (0, 30):
        platform.keep({"poll_lag_s": 1.0}, now=NOW.replace(minute=5, second=second))
    assert PlatformFigure.objects.count() == 1
    platform.keep({"poll_lag_s": 1.0}, now=(NOW + platform.KEPT + timedelta(days=1)).replace(minute=0))
    assert PlatformFigure.objects.count() == 1


# --- /metrics ------------------------------------------------------------------------------------------------------


def metrics(client: Client, **extra: str) -> dict[str, float]:
    response = client.get("/metrics", **extra)  # type: ignore[arg-type]  # headers of the WSGI environment
    assert response.status_code == 200
    return {
        f"{sample.name}{''.join(sorted(sample.labels.values()))}": sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def test_metrics_are_prometheus_and_count_for_all_processes(client: Client) -> None:
    vitals.count_batch(kind="tcp", targets=3, samples=6, took_s=0.3)
    vitals.count_batch(kind="tcp", targets=2, samples=4, took_s=70)
    found = metrics(client)
    assert found["rdmp_collected_samples_totaltcp"] == 10
    assert (found["rdmp_batch_seconds_bucket0.5"], found["rdmp_batch_seconds_bucket60.0"]) == (1, 1)
    assert (found["rdmp_batch_seconds_bucket+Inf"], found["rdmp_uppostgres"], found["rdmp_upredis"]) == (2, 1, 1)


def test_metrics_tell_of_queues_lag_late_timers_and_failed_messages(client: Client, jia: Customer, root: User) -> None:
    now = timezone.now()
    ago = {seconds: now - timedelta(seconds=seconds) for seconds in (90, 120, 600, 7200)}
    well_redis(now)
    vitals.stamp("automation", now=ago[600])
    watch(server(jia), 80, now=ago[90])
    with scope.platform("test"):
        timers.set(key="late", due_at=ago[120], task="monitoring.heartbeat", args={}, customer=None)
        for number, settled_at in enumerate((ago[90], ago[120], ago[7200])):
            message = notify.Message(topic="account", subject="x", text="x", url="/")
            notify.tell(user=root, key=f"m{number}", message=message, now=ago[600], channels=("inbox",))
            Delivery.objects.filter(key__startswith=f"m{number}").update(state="failed", settled_at=settled_at)
    with filled("reports", 7):
        found = metrics(client)
    assert (found["rdmp_queue_depthreports"], found["rdmp_queue_depthautomation"]) == (7, 0)
    assert 90 <= found["rdmp_poll_lag_s"] < 120
    assert 120 <= found["rdmp_timer_late_s"] < 600
    assert found["rdmp_timers_pending"] == 1
    assert found["rdmp_delivery_failed_1h"] == 2, "what failed two hours ago is of another hour"
    assert found["rdmp_queue_silence_spoll"] < 90
    assert 600 <= found["rdmp_queue_silence_sautomation"] < 7200


@pytest.mark.parametrize(
    ("token", "extra", "status"),
    [
        ("", {}, 200),
        ("", {"REMOTE_ADDR": "203.0.113.9"}, 403),
        ("", {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
        ("s3cret", {}, 403),
        ("s3cret", {"HTTP_AUTHORIZATION": "Bearer wrong"}, 403),
        ("s3cret", {"HTTP_AUTHORIZATION": "Bearer s3cret", "REMOTE_ADDR": "203.0.113.9"}, 200),
    ],
)
def test_metrics_are_not_for_everybody(
    client: Client, settings: LazySettings, token: str, extra: dict[str, str], status: int
) -> None:
    settings.METRICS_TOKEN = token
    assert client.get("/metrics", **extra).status_code == status  # type: ignore[arg-type]  # as above


def test_behind_a_proxy_nobody_counts_as_this_machine(client: Client, settings: LazySettings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert client.get("/metrics").status_code == 403


def test_the_status_page_is_for_managers_and_says_what_to_do(
    root: User, chen: User, alice: User, client_for: ClientFor
) -> None:
    judge(300, 0)
    vitals.stamp("poll", now=timezone.now() - timedelta(minutes=10))
    for person in (chen, alice):
        assert client_for(person).get("/monitoring/platform/").status_code == 403
        assert client_for(person).get("/monitoring/platform/lag.json").status_code == 403
    browser = client_for(root)
    browser.cookies["django_language"] = "en"
    page = browser.get("/monitoring/platform/").content.decode()
    assert "Start more pollers" in page
    assert browser.get("/monitoring/platform/lag.json").json()["series"] == []
    assert browser.get("/monitoring/platform/nothing.json").status_code == 404


# --- the heartbeat -------------------------------------------------------------------------------------------------


@contextmanager
def listening(status: int) -> Iterator[tuple[str, list[str]]]:
    heard: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(status)
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


def test_the_heartbeat_is_heard_outside_only_while_nothing_fails() -> None:
    with listening(200) as (url, heard):
        assert heartbeat.send(url, is_well=True)
        assert not heartbeat.send(url, is_well=False)
    assert heard == ["/beat"]
    assert not heartbeat.send(url, is_well=True), "nobody listens any more"
    with listening(500) as (url, _heard):
        assert not heartbeat.send(url, is_well=True)
    assert not heartbeat.send("file:///etc/passwd", is_well=True)
