"""Events of Security Center are imported as incidents and followed until they are settled there (R143)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db.models import Q, QuerySet

from accounts import scope
from accounts.models import Customer, Severity
from assets.models import Asset, CloudAccount
from demo.aliyun import JIA_UID, CloudServer, FaultKind, demo_cloud
from demo.aliyun.estate import Estate, millis
from demo.aliyun.security import add_suspicion
from incidents.models import Incident, TimelineEntry
from monitoring.models import Alert, CloudReading, Event
from tests.monitoring.watched_account import later, look, watched

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        running.cloud.estate(JIA_UID).suspicions.clear()
        yield running


@pytest.fixture
def estate(server: CloudServer) -> Estate:
    return server.cloud.estate(JIA_UID)


@pytest.fixture
def account(jia: Customer, server: CloudServer) -> Iterator[CloudAccount]:
    with watched(jia, server) as made:
        yield made


def follow(account: CloudAccount) -> None:
    """A round in which those that are open are looked up again."""
    CloudReading.objects.update(security_followed_at=None)
    look(account)


def instance(estate: Estate, name: str) -> str:
    return str(estate.find(name)["InstanceId"])


def alerts() -> QuerySet[Alert]:
    """Without those of the simulated account's own events."""
    return Alert.objects.filter(rule_id="security-event").order_by("pk")


def incidents() -> QuerySet[Incident]:
    own = Event.objects.filter(source="security").values("incident")
    return Incident.objects.filter(Q(pk__in=alerts().values("incident")) | Q(pk__in=own)).order_by("pk")


def recoveries() -> list[str]:
    rows = TimelineEntry.objects.filter(kind=TimelineEntry.Kind.RECOVERY, incident__in=incidents()).order_by("pk")
    return [entry.body for entry in rows]


def test_an_event_is_an_incident_of_its_server_once(account: CloudAccount, estate: Estate) -> None:
    add_suspicion(
        estate,
        instance_id=instance(estate, "mall-web-01"),
        name="挖矿程序",
        at=later(-40),
        text="xmrig 连接矿池",
    )
    look(account)
    look(account)
    alert = alerts().get()
    assert (alert.asset.name, alert.severity, alert.is_open) == ("mall-web-01", Severity.HIGH, True)
    assert "挖矿程序" in alert.title
    assert "xmrig" in alert.text
    incident = incidents().get()
    assert alert.incident_id == incident.pk
    assert incident.severity == Severity.HIGH
    assert Event.objects.filter(source="security").count() == 1


@pytest.mark.parametrize(
    ("level", "severity"), [("serious", Severity.HIGH), ("suspicious", Severity.AVERAGE), ("remind", Severity.WARNING)]
)
def test_how_bad_it_is_follows_its_level(account: CloudAccount, estate: Estate, level: str, severity: Severity) -> None:
    add_suspicion(estate, instance_id=instance(estate, "mall-web-01"), name="x", at=later(-5), level=level)
    look(account)
    assert alerts().get().severity == severity


@pytest.mark.parametrize(("status", "how"), [(2, "已忽略"), (8, "误报"), (32, "已处理"), (513, "已拦截")])
def test_settled_there_it_ends_here_and_the_incident_says_how(
    account: CloudAccount, estate: Estate, status: int, how: str
) -> None:
    row = add_suspicion(estate, instance_id=instance(estate, "mall-web-01"), name="挖矿程序", at=later(-40))
    look(account)
    row["EventStatus"] = status
    follow(account)
    alert = alerts().get()
    assert (alert.is_open, alert.ending) == (False, Alert.Ending.SETTLED)
    assert Event.objects.get(source="security").ends_at is not None
    (body,) = recoveries()
    assert how in body
    assert incidents().get().state == "open", "people close it"


def test_while_somebody_is_at_it_there_it_stays_open(account: CloudAccount, estate: Estate) -> None:
    row = add_suspicion(estate, instance_id=instance(estate, "mall-web-01"), name="x", at=later(-40))
    look(account)
    row["EventStatus"] = 16
    follow(account)
    assert alerts().get().is_open
    assert Event.objects.get(source="security").detail["status"] == 16


def test_open_there_again_it_is_open_here_again(account: CloudAccount, estate: Estate) -> None:
    row = add_suspicion(estate, instance_id=instance(estate, "mall-web-01"), name="x", at=later(-40))
    look(account)
    row["EventStatus"] = 2
    follow(account)
    row["EventStatus"] = 1
    look(account)
    assert [alert.is_open for alert in alerts()] == [False, True]
    assert Event.objects.get(source="security").ends_at is None
    assert incidents().count() == 1


def test_those_that_are_open_are_looked_for_again_every_quarter_of_an_hour(
    account: CloudAccount, estate: Estate
) -> None:
    """However old they are: the news are read from shortly before the last round."""
    look(account)
    row = add_suspicion(estate, instance_id=instance(estate, "mall-web-01"), name="x", at=later(-60))
    look(account)
    long_ago = later(-60 * 24 * 20).replace(microsecond=0)
    row["OccurrenceTimeStamp"] = millis(long_ago)
    Event.objects.filter(source="security").update(occurred_at=long_ago)
    row["EventStatus"] = 32
    CloudReading.objects.update(security_followed_at=later(-5))
    look(account)
    assert alerts().get().is_open, "not its turn yet"
    CloudReading.objects.update(security_followed_at=later(-16))
    look(account)
    assert not alerts().get().is_open
    assert "已处理" in recoveries()[0]


def test_what_was_open_long_before_is_one_incident_and_each_ends_on_it(account: CloudAccount, estate: Estate) -> None:
    of = instance(estate, "mall-web-01")
    first = add_suspicion(estate, instance_id=of, name="一", at=later(-60 * 24 * 20), level="remind")
    add_suspicion(estate, instance_id="", name="二", at=later(-60 * 24 * 3))
    add_suspicion(estate, instance_id=of, name="三", at=later(-60 * 24 * 2), status=32)
    look(account)
    assert not alerts().exists()
    incident = incidents().get()
    assert incident.severity == Severity.HIGH, "that of the worst"
    assert "一" in incident.description
    assert "二" in incident.description
    assert "三" not in incident.description
    first["EventStatus"] = 8
    follow(account)
    assert ["误报" in body for body in recoveries()] == [True]
    assert Event.objects.filter(incident=incident, ends_at=None).count() == 1


def test_what_is_missing_once_stays_and_twice_has_ended(account: CloudAccount, estate: Estate) -> None:
    add_suspicion(estate, instance_id=instance(estate, "mall-web-01"), name="x", at=later(-40))
    look(account)
    estate.suspicions.clear()
    follow(account)
    assert alerts().get().is_open
    follow(account)
    assert not alerts().get().is_open
    assert "不再列出" in recoveries()[0]


def test_what_is_settled_or_older_than_a_month_when_first_seen_alarms_nobody(
    account: CloudAccount, estate: Estate
) -> None:
    of = instance(estate, "mall-web-01")
    add_suspicion(estate, instance_id=of, name="settled", at=later(-40), status=32)
    add_suspicion(estate, instance_id=of, name="old", at=later(-60 * 24 * 31))
    look(account)
    assert [event.detail["name"] for event in Event.objects.filter(source="security")] == ["settled"]
    assert not alerts().exists()
    assert not incidents().exists()


def test_what_belongs_to_no_asset_has_an_incident_and_more_of_the_same_joins_it(
    account: CloudAccount, estate: Estate
) -> None:
    rows = [add_suspicion(estate, instance_id="", name="AccessKey 泄露", at=later(-40 + step)) for step in range(2)]
    add_suspicion(estate, instance_id="i-nobodys", name="AccessKey 泄露", at=later(-1), level="remind")
    add_suspicion(estate, instance_id="", name="其他", at=later(-3))
    look(account)
    leaked, other = incidents()
    assert account.name in leaked.title
    assert leaked.severity == Severity.HIGH
    assert "其他" in other.title
    assert Event.objects.filter(incident=leaked).count() == 3
    assert TimelineEntry.objects.filter(incident=leaked, kind="alert").count() == 2
    for row in rows:
        row["EventStatus"] = 32
    follow(account)
    assert len(recoveries()) == 2
    assert Event.objects.filter(incident=leaked, ends_at=None).count() == 1
    assert incidents().filter(state="open").count() == 2


def test_its_clocks_run_from_when_it_was_listed(account: CloudAccount, estate: Estate) -> None:
    look(account)
    add_suspicion(estate, instance_id="", name="AccessKey 泄露", at=later(-90))
    look(account)
    incident = incidents().get()
    assert later(-2) < incident.clock_started_at
    assert Event.objects.get(incident=incident).occurred_at < later(-89)


def test_a_worse_one_does_not_join_quietly(account: CloudAccount, estate: Estate) -> None:
    add_suspicion(estate, instance_id="", name="AccessKey 泄露", at=later(-9), level="remind")
    look(account)
    add_suspicion(estate, instance_id="", name="AccessKey 泄露", at=later(-5), level="serious")
    look(account)
    assert [incident.severity for incident in incidents()] == [Severity.WARNING, Severity.HIGH]


def test_the_same_number_in_another_account_is_another_event(
    account: CloudAccount, estate: Estate, jia: Customer
) -> None:
    row = add_suspicion(estate, instance_id="", name="AccessKey 泄露", at=later(-9))
    look(account)
    Event.objects.filter(source="security").update(key=f"sas:1234567890123456:{row['Id']}")
    CloudReading.objects.update(security_until=None)
    look(account)
    assert Event.objects.filter(source="security").count() == 2


def test_what_happens_on_a_retired_server_is_not_its_alarm(account: CloudAccount, estate: Estate) -> None:
    Asset.objects.filter(name="mall-web-01").update(retired_at=later(-60))
    add_suspicion(estate, instance_id=instance(estate, "mall-web-01"), name="x", at=later(-9))
    look(account)
    assert not alerts().exists()
    assert Event.objects.get(source="security").asset is None


def test_a_month_of_many_pages_comes_whole_and_one_server_is_one_incident(
    account: CloudAccount, estate: Estate
) -> None:
    of = instance(estate, "mall-web-01")
    for number in range(130):
        add_suspicion(estate, instance_id=of, name=f"e{number}", at=later(-number - 1), level="remind")
    look(account)
    assert Event.objects.filter(source="security").count() == 130
    assert incidents().count() == 1


def test_a_page_that_got_lost_loses_nothing(account: CloudAccount, estate: Estate, server: CloudServer) -> None:
    for number in range(130):
        add_suspicion(estate, instance_id="", name=f"e{number}", at=later(-60 * 24 * 3))
    server.cloud.fail(FaultKind.LOST_PAGE, 9, product="Sas")
    look(account)
    assert not Event.objects.filter(source="security").exists()
    server.cloud.faults.clear()
    look(account)
    assert Event.objects.filter(source="security").count() == 130


def test_the_other_customer_sees_none_of_it(account: CloudAccount, estate: Estate, yi: Customer) -> None:
    add_suspicion(estate, instance_id="", name="AccessKey 泄露", at=later(-5))
    look(account)
    with scope.customer(yi):
        assert not Event.objects.exists()
        assert not incidents().exists()


def test_a_customer_who_reads_english_is_told_in_english(account: CloudAccount, estate: Estate) -> None:
    Customer.objects.filter(pk=account.customer_id).update(language="en")
    row = add_suspicion(estate, instance_id=instance(estate, "mall-web-01"), name="Miner", at=later(-5))
    look(account)
    alert = alerts().get()
    assert alert.title.endswith("Miner (Security Center)")
    assert "settle the event in Security Center" in alert.text
    row["EventStatus"] = 8
    follow(account)
    assert "marked as a false alarm" in recoveries()[0]


def test_the_marks_move_only_when_all_came(account: CloudAccount, estate: Estate, server: CloudServer) -> None:
    add_suspicion(estate, instance_id="", name="x", at=later(-5))
    server.cloud.fail(FaultKind.UNAVAILABLE, 20, product="Sas")
    look(account)
    assert CloudReading.objects.get().security_until is None
    server.cloud.faults.clear()
    look(account)
    assert CloudReading.objects.get().security_until is not None
