"""Alerts that are recorded and not told: symptoms of a cause, and what becomes of them when the cause has ended."""

from datetime import timedelta

import pytest
from django.conf import LazySettings

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from incidents.models import Incident, IncidentAlert, TimelineEntry
from monitoring import pipeline
from monitoring.models import Alert, AlertHold, Held
from monitoring.services import holding, watching
from notify.models import Delivery
from tests.monitoring.samples import Sample, alerts, batch, feed, minute, server
from tests.monitoring.test_flapping import come_and_go
from tests.monitoring.test_silences import quiet, turn
from timers.models import Timer


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, private_ip="10.0.0.5")


@pytest.fixture
def nginx(jia: Customer, web: Asset) -> Asset:
    return server(jia, "nginx-01", kind="port", host="10.0.0.5", port=80, os="")


def ping(asset: Asset, values: list[float], start: float = 0) -> None:
    feed(asset.customer, asset, "ping.result_code", values, start=start)


def port(asset: Asset, values: list[float], start: float = 0) -> None:
    feed(asset.customer, asset, "port.result_code", values, start=start)


def of_rule(customer: Customer, rule_id: str) -> Alert:
    return next(alert for alert in alerts(customer) if alert.rule_id == rule_id)


def settle(customer: Customer, at: float) -> int:
    with scope.customer(customer):
        return watching.settle(customer=customer, now=minute(at))


def incidents_of(customer: Customer) -> int:
    with scope.customer(customer):
        return Incident.objects.count()


def holds(customer: Customer) -> list[AlertHold]:
    with scope.customer(customer):
        return list(AlertHold.objects.order_by("pk"))


def test_a_symptom_after_its_cause_is_recorded_and_opens_no_incident(jia: Customer, web: Asset, nginx: Asset) -> None:
    ping(web, [1, 1, 1])
    port(nginx, [1, 1, 1], start=1)
    cause, symptom = of_rule(jia, "ping-unreachable"), of_rule(jia, "port-not-running")
    assert (symptom.held, symptom.cause_id, symptom.incident_id) == (Held.INHIBITED, cause.pk, None)
    assert incidents_of(jia) == 1
    (hold,) = holds(jia)
    assert (hold.alert_id, hold.by_alert_id, hold.relation, hold.until_at) == (symptom.pk, cause.pk, "ping", None)


def test_a_symptom_in_the_same_batch_as_its_cause_is_held_too(jia: Customer, web: Asset, nginx: Asset) -> None:
    points: list[Sample] = [(web, "ping.result_code", {}, minute(at), 1.0) for at in range(3)]
    points += [(nginx, "port.result_code", {}, minute(at), 1.0) for at in range(3)]
    pipeline.ingest(batch(jia, points), now=minute(2))
    assert of_rule(jia, "port-not-running").held == Held.INHIBITED
    assert incidents_of(jia) == 1


def test_a_symptom_told_shortly_before_its_cause_is_noted_as_one(jia: Customer, web: Asset, nginx: Asset) -> None:
    port(nginx, [1, 1, 1])
    ping(web, [1, 1, 1], start=1)
    cause, symptom = of_rule(jia, "ping-unreachable"), of_rule(jia, "port-not-running")
    assert (symptom.held, symptom.cause_id) == ("", cause.pk)
    with scope.customer(jia):
        notes = TimelineEntry.objects.filter(incident=symptom.incident_id, data__again=True)
        assert [cause.title in note.body for note in notes] == [True]


def test_an_alert_told_long_before_is_no_symptom(jia: Customer, web: Asset, nginx: Asset) -> None:
    port(nginx, [1, 1, 1])
    ping(web, [1, 1, 1], start=20)
    assert of_rule(jia, "port-not-running").cause_id is None


def test_a_symptom_that_ends_with_its_cause_was_never_told(jia: Customer, web: Asset, nginx: Asset) -> None:
    ping(web, [1, 1, 1])
    port(nginx, [1, 1, 1], start=1)
    ping(web, [0, 0, 0], start=5)
    port(nginx, [0, 0, 0], start=5)
    settle(jia, 20)
    assert of_rule(jia, "port-not-running").ending == Alert.Ending.RECOVERED
    assert incidents_of(jia) == 1
    (hold,) = holds(jia)
    assert hold.until_at is not None
    with scope.customer(jia):
        assert IncidentAlert.objects.count() == 1


def test_a_symptom_that_goes_on_after_its_cause_is_told_after_a_time_of_grace(
    jia: Customer, web: Asset, nginx: Asset
) -> None:
    ping(web, [1, 1, 1])
    port(nginx, [1, 1, 1], start=1)
    ping(web, [0, 0, 0], start=5)
    with scope.platform("look"):
        (timer,) = Timer.objects.pending().filter(task="monitoring.settle")
        assert timer.due_at == minute(9)
    settle(jia, 8.9)
    assert of_rule(jia, "port-not-running").incident_id is None
    settle(jia, 9)
    symptom = of_rule(jia, "port-not-running")
    assert (symptom.held, symptom.incident_id is not None) == ("", True)
    assert incidents_of(jia) == 2
    assert settle(jia, 10) == 0


def test_the_timer_itself_tells_it(jia: Customer, web: Asset, nginx: Asset) -> None:
    from monitoring import tasks  # noqa: PLC0415 - the Celery task, as the timer calls it

    ping(web, [1, 1, 1])
    port(nginx, [1, 1, 1], start=1)
    ping(web, [0, 0, 0], start=5)
    with scope.customer(jia):
        tasks.settle.run(jia.pk, due_at=minute(9), now=minute(9))
    assert incidents_of(jia) == 2


def test_the_milder_rule_is_told_at_once_when_the_worse_one_ends(jia: Customer, web: Asset) -> None:
    labels = {"device": "vda1", "mountpoint": "/data"}

    def disk(percent: float, start: float) -> None:
        points: list[Sample] = []
        for at in range(3):
            points.append((web, "host.fs.free_pct", labels, minute(start + at), percent))
            points.append((web, "host.fs.free_bytes", labels, minute(start + at), percent * 2**26))
        pipeline.ingest(batch(jia, points), now=minute(start + 2))

    disk(4, 0)
    mild, worse = of_rule(jia, "host-fs-free-10"), of_rule(jia, "host-fs-free-5")
    assert (worse.held, mild.held, mild.cause_id) == ("", Held.INHIBITED, worse.pk)
    disk(8, 3)
    mild, worse = of_rule(jia, "host-fs-free-10"), of_rule(jia, "host-fs-free-5")
    assert not worse.is_open
    assert (mild.is_open, mild.held, mild.incident_id) == (True, "", worse.incident_id)


def test_another_customers_ping_is_no_cause(jia: Customer, yi: Customer, nginx: Asset) -> None:
    ping(server(yi, "theirs", private_ip="10.0.0.5"), [1, 1, 1])
    port(nginx, [1, 1, 1])
    assert of_rule(jia, "port-not-running").held == ""


def test_a_tag_names_the_backends_of_a_balancer(jia: Customer, web: Asset) -> None:
    balancer = server(jia, "lb-front", kind="slb", os="", cloud_account=None)
    with scope.customer(jia):
        Asset.objects.filter(pk=web.pk).update(tags={"slb": "lb-front"})
    ping(web, [1, 1, 1])
    feed(jia, balancer, "slb.unhealthy_servers", [1, 1, 1], start=1)
    assert of_rule(jia, "slb-unhealthy-servers").held == Held.INHIBITED


def test_nobody_gets_a_message_about_a_symptom(jia: Customer, web: Asset, nginx: Asset, chen: object) -> None:
    ping(web, [1, 1, 1])
    with scope.platform("look"):
        before = Delivery.objects.count()
    port(nginx, [1, 1, 1], start=1)
    port(nginx, [0, 0, 0], start=5)
    with scope.platform("look"):
        assert Delivery.objects.count() == before


def test_it_can_be_asked_afterwards_what_held_an_alert_back(jia: Customer, web: Asset, nginx: Asset) -> None:
    ping(web, [1, 1, 1])
    port(nginx, [1, 1, 1], start=1)
    cause = of_rule(jia, "ping-unreachable")

    def reasons(at: float) -> list[tuple[str, int | None]]:
        found = holding.explain(asset_id=nginx.pk, rule_id="port-not-running", labels="", at=minute(at))
        return [(reason.kind, reason.alert_id) for reason in found]

    with scope.customer(jia):
        assert reasons(4) == [("inhibited", cause.pk)]
        assert reasons(2.5) == [("inhibited", cause.pk)]  # no alert yet: by the alerts of that moment
        assert reasons(-1) == []
        assert holding.explain(asset_id=web.pk, rule_id="ecs-cpu-util", labels="", at=minute(4)) == []


def test_a_silence_is_named_as_the_reason_with_and_without_an_alert(jia: Customer, nginx: Asset, chen: User) -> None:
    silence = quiet(jia, chen, start=0, end=10)
    port(nginx, [1, 1, 1], start=1)

    def reasons(at: float, rule_id: str = "port-not-running") -> list[holding.Reason]:
        return holding.explain(asset_id=nginx.pk, rule_id=rule_id, labels="", at=minute(at))

    with scope.customer(jia):
        for at, rule_id in ((4, "port-not-running"), (4, "tomcat-heap-util"), (0.5, "port-not-running")):
            (reason,) = reasons(at, rule_id)
            assert (reason.kind, reason.silence_id) == (Held.SILENCED, silence.pk)
            assert "patching" in reason.text
        assert reasons(11, "tomcat-heap-util") == []
    turn(jia, silence, 10)
    with scope.customer(jia):
        assert reasons(10.5) == [], "the silence is over: people were told"


def test_flapping_is_named_as_the_reason_from_when_it_began(jia: Customer, web: Asset, settings: LazySettings) -> None:
    settings.FLAP_CHANGES = 4
    come_and_go(jia, web, 2)
    flapping = alerts(jia)[-1]
    assert flapping.flapping_since == minute(11)

    def reasons(at: float) -> list[tuple[str, int | None]]:
        found = holding.explain(asset_id=web.pk, rule_id="host-cpu-util", labels="", at=minute(at))
        return [(reason.kind, reason.alert_id) for reason in found]

    with scope.customer(jia):
        assert reasons(12) == [(Held.FLAPPING, flapping.pk)]
        assert reasons(10) == [], "open, and told like any other"


def test_looking_again_changes_nothing(jia: Customer, web: Asset, nginx: Asset) -> None:
    ping(web, [1, 1, 1])
    port(nginx, [1, 1, 1], start=1)
    assert settle(jia, 4) == 0
    assert len(holds(jia)) == 1
    assert of_rule(jia, "port-not-running").opened_at + timedelta(minutes=1) == minute(4)
