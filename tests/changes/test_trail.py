"""The audit trail read from a simulated cloud: pages, late and doubled events, throttling, death in the middle,
verdicts, incidents, and what people decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Severity, User
from assets.aliyun.transport import Connection
from assets.models import Asset, CloudAccount
from assets.services import pacing
from changes.models import (
    Change,
    ChangeEntry,
    ChangeState,
    OperationRun,
    RunStep,
    TrailActor,
    TrailEvent,
    TrailReading,
    TrailVerdict,
)
from changes.services import trail_judging, trail_reading, trail_verdicts
from demo.aliyun import CloudServer, FaultKind, demo_cloud
from demo.aliyun import cloud as simulated
from demo.aliyun.cloud import YI_READ_ONLY, YI_UID
from demo.aliyun.estate import Estate
from demo.aliyun.trail import add_trail_event
from incidents.models import Incident
from tests.assets.conftest import _hasty, register, sync  # noqa: F401 - calls that fail are repeated soon
from tests.conftest import ClientFor
from tests.incidents.conftest import make_asset

pytestmark = pytest.mark.django_db
HANGZHOU, SINGAPORE, SHANGHAI = "cn-hangzhou", "ap-southeast-1", "cn-shanghai"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OPEN_ALL: dict[str, object] = {"SecurityGroupId": "sg-1", "SourceCidrIp": "0.0.0.0/0", "Password": "hunter2"}


def later(minutes: float = 0) -> datetime:
    """The simulated cloud checks clocks for real."""
    return datetime.now(UTC) + timedelta(minutes=minutes)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ninety days in two calls a second would take a minute."""
    monkeypatch.setitem(pacing.LIMITS, "Actiontrail", 5000.0)
    monkeypatch.setitem(simulated.CALLS_PER_SECOND, "Actiontrail", 5000)


@pytest.fixture
def server() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


@pytest.fixture
def estate(server: CloudServer) -> Estate:
    return server.cloud.estate(YI_UID)


@pytest.fixture
def account(jia: Customer, server: CloudServer) -> Iterator[CloudAccount]:
    with scope.customer(jia):
        made = register(jia, server, key=YI_READ_ONLY)
        sync(made, datetime.now(UTC))
        yield made


def reading(account: CloudAccount, region: str = HANGZHOU) -> TrailReading:
    """Of one region; all of them are there as soon as one is asked for."""
    if not TrailReading.objects.filter(cloud_account=account).exists():
        trail_reading.follow(account, trail_reading.regions_of(account), later())
    return TrailReading.objects.get(cloud_account=account, region=region)


def look(account: CloudAccount, *, calls: int = 500, now: datetime | None = None) -> int:
    """Read every region."""
    reading(account)
    ids = list(TrailReading.objects.filter(cloud_account=account).values_list("pk", flat=True))
    return trail_reading.read_some(reading_ids=ids, now=now or later(), calls=calls)


def look_at(account: CloudAccount, region: str = HANGZHOU, *, calls: int) -> int:
    """One round over one region."""
    return trail_reading.read(reading=reading(account, region), now=later(), calls=calls)


def instance(estate: Estate) -> dict[str, list[str]]:
    return {"ACS::ECS::Instance": [str(estate.find("oa-01")["InstanceId"])]}


def begun(
    account: CloudAccount, chen: User, at: datetime, *, operation: str = "ecs-power", kind: str = "normal"
) -> Change:
    change = Change.objects.create(
        customer=account.customer, title="重启", operation=operation, risk="medium", kind=kind, requester=chen,
        state=ChangeState.EXECUTING, begun_at=at, created_at=at, changed_at=at, starts_at=at, ends_at=at + 2 * HOUR,
    )  # fmt: skip
    change.touched.create(customer=account.customer, asset=Asset.objects.get(name="oa-01"))
    return change


# --- reading ----------------------------------------------------------------------------------------------------------


def test_ninety_days_are_read_over_many_pages_each_event_once(account: CloudAccount, estate: Estate) -> None:
    for number in range(180):
        add_trail_event(estate, action="ModifyInstanceAttribute", at=later(-60 - 11 * number), who=f"u{number}")
    for days in (30, 60, 89):
        add_trail_event(estate, action="RebootInstance", at=later() - days * DAY)
    add_trail_event(estate, action="RebootInstance", at=later() - 91 * DAY)
    add_trail_event(estate, action="DescribeInstances", at=later(-70), reads=True)
    assert look(account) == 183
    assert TrailReading.objects.filter(cloud_account=account).are_complete()
    assert look(account) == 0
    assert TrailEvent.objects.count() == 183


def test_an_event_that_is_listed_late_is_not_lost(account: CloudAccount, estate: Estate) -> None:
    look(account)
    add_trail_event(estate, action="RebootInstance", at=later(-9), late=9 * MINUTE)
    assert look(account) == 1
    add_trail_event(estate, action="StopInstance", at=later(-12), late=11 * MINUTE)
    assert look(account, now=later(4)) == 1


def test_a_long_past_goes_on_where_the_round_ended(account: CloudAccount, estate: Estate, server: CloudServer) -> None:
    for number in range(400):
        add_trail_event(
            estate, action="ModifyInstanceAttribute", at=later(-30) - number * timedelta(minutes=2), who=f"u{number}"
        )
    found, rounds = 0, 0
    while not reading(account).is_complete:
        before = server.cloud.calls(action="LookupEvents")
        found += look_at(account, calls=2)
        rounds += 1
        assert server.cloud.calls(action="LookupEvents") - before <= 2
        assert rounds < 40
    assert found == TrailEvent.objects.count() == 400
    assert rounds > 6


@pytest.mark.parametrize("backwards", [False, True])
def test_whoever_dies_between_a_page_and_its_saving_loses_nothing(
    account: CloudAccount, estate: Estate, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    made = reading(account)
    at = later(-40) if backwards else later(-6)
    for number in range(120):
        add_trail_event(
            estate, action="ModifyInstanceAttribute", at=at - number * timedelta(seconds=1), who=f"u{number}"
        )
    real, pages = trail_judging.judge_new, 0

    def dies(**said: object) -> None:
        nonlocal pages
        pages += bool(said["events"])
        real(**said)  # type: ignore[arg-type]  # handed through
        if pages == 2:
            raise SystemExit("killed")

    monkeypatch.setattr(trail_judging, "judge_new", dies)
    with pytest.raises(SystemExit):
        look(account)
    there = TrailEvent.objects.count()
    assert 0 < there < 120, "one page is there, the other one not at all"
    monkeypatch.setattr(trail_judging, "judge_new", real)
    assert look(account) == 120 - there
    assert set(TrailEvent.objects.values_list("verdict", flat=True)) == {TrailVerdict.UNMATCHED}
    made.refresh_from_db()
    assert made.is_complete


def test_throttling_is_waited_out_and_what_lasts_is_shown(
    account: CloudAccount, estate: Estate, server: CloudServer, client_for: ClientFor, chen: User
) -> None:
    add_trail_event(estate, action="RebootInstance", at=later(-30))
    server.cloud.fail(FaultKind.THROTTLE, 2, action="LookupEvents")
    assert look(account) == 1
    server.cloud.fail(FaultKind.THROTTLE, 50, action="LookupEvents")
    add_trail_event(estate, action="StopInstance", at=later(-8))
    assert look(account) == 0
    row = reading(account)
    assert row.problem_code.startswith("Throttling")
    assert row.problem
    with scope.platform("test"):
        page = client_for(chen).get("/changes/trail/").content.decode()
        regions = client_for(chen).get("/changes/trail/readings/").content.decode()
    assert "Main" in page
    assert row.problem in regions
    server.cloud.heal()
    assert look(account) == 1
    assert reading(account).problem_code == ""


def test_the_simulated_cloud_holds_to_two_calls_a_second_and_the_pace_keeps_within(
    account: CloudAccount, server: CloudServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pacing.LIMITS, "Actiontrail", 2.0)
    monkeypatch.setitem(simulated.CALLS_PER_SECOND, "Actiontrail", 2)
    reading(account)
    began = datetime.now(UTC)
    for region in (HANGZHOU, SINGAPORE):
        look_at(account, region, calls=2)
        assert reading(account, region).problem_code == ""
    assert server.cloud.calls(action="LookupEvents") <= 6, "two may go at once; what is refused then is asked again"
    assert datetime.now(UTC) - began > timedelta(seconds=1), "the regions of an account share its two calls"


def test_one_account_that_refuses_does_not_hold_up_another(
    account: CloudAccount, yi: Customer, server: CloudServer, estate: Estate
) -> None:
    add_trail_event(estate, action="RebootInstance", at=later(-30))
    with scope.customer(yi):
        other = register(yi, server)
    server.cloud.fail(FaultKind.ERROR, 99, action="LookupEvents", uid="1623400000000001")
    with scope.platform("test"):
        assert trail_reading.follow_accounts(now=later()) == sum(
            len(trail_reading.regions_of(a)) for a in (account, other)
        )
        assert trail_reading.follow_accounts(now=later()) == 0
        due = trail_reading.claim(now=later())
        assert trail_reading.claim(now=later()) == []
    assert len(due) == 2
    for customer_id, ids in due:
        with scope.customer(customer_id):
            trail_reading.read_some(reading_ids=ids, now=later(), calls=200)
    assert reading(account).problem_code == ""
    assert TrailEvent.objects.filter(cloud_account=account).count() == 1
    with scope.customer(yi):
        assert reading(other).problem_code == "InternalError"


# --- regions ----------------------------------------------------------------------------------------------------------


def test_every_region_is_read_and_what_belongs_to_none_wherever_it_is_kept(
    account: CloudAccount, estate: Estate
) -> None:
    """A stranger's mining servers stand where nobody looks, and keys are made in Singapore's books."""
    reading(account)
    add_trail_event(estate, action="RunInstances", at=later(-8), who="miner", region=SHANGHAI)
    add_trail_event(estate, service="Ram", action="CreateAccessKey", at=later(-8))
    estate.global_region = HANGZHOU
    add_trail_event(estate, service="Ram", action="CreateUser", at=later(-8))
    for region, found in ((HANGZHOU, {"CreateUser"}), (SHANGHAI, {"RunInstances"}), (SINGAPORE, {"CreateAccessKey"})):
        before = set(TrailEvent.objects.values_list("action", flat=True))
        look_at(account, region, calls=20)
        assert set(TrailEvent.objects.values_list("action", flat=True)) - before == found, region
    assert Incident.objects.get().title.startswith("创建了 AccessKey")


def test_each_region_is_asked_at_its_own_address() -> None:
    """Also those that are younger than the SDK's table of addresses."""
    connection = Connection("LTAI", "secret")
    for region in (HANGZHOU, SINGAPORE, "cn-wulanchabu"):
        assert connection._endpoint("Actiontrail", region) == f"actiontrail.{region}.aliyuncs.com"


def test_an_event_that_two_regions_list_is_stored_once(account: CloudAccount, estate: Estate) -> None:
    add_trail_event(estate, service="Ram", action="CreateUser", at=later(-30))
    estate.trail.append({**estate.trail[-1], "kept_in": HANGZHOU})
    assert look(account) == 1
    assert look(account) == 0


def test_a_region_that_refuses_keeps_its_gap_and_the_account_is_not_complete(
    account: CloudAccount, estate: Estate, server: CloudServer, chen: User, client_for: ClientFor
) -> None:
    look(account)
    assert TrailReading.objects.are_complete()
    begins = reading(account, SHANGHAI).read_until
    add_trail_event(estate, action="RebootInstance", at=later(-6), region=SHANGHAI)
    server.cloud.fail(FaultKind.ERROR, 99, action="LookupEvents", region=SHANGHAI)
    hour = later(60)
    assert look(account, now=hour) == 0
    assert reading(account, SHANGHAI).read_until == begins
    assert reading(account, HANGZHOU).read_until > begins
    assert TrailReading.objects.by_account()[account.pk].until == begins, "nobody knows what happened there since"
    with scope.platform("test"):
        engineer = client_for(chen)
        assert "个地域中有 1 个无法读取" in engineer.get("/changes/trail/").content.decode()
        page = engineer.get("/changes/trail/readings/").content.decode()
    assert "部分地域无法读取" in page
    assert reading(account, SHANGHAI).problem in page
    assert reading(account, SHANGHAI).next_due_at == hour + trail_reading.EVERY
    TrailReading.objects.filter(region=SHANGHAI).update(problem_since=later(-60))
    look(account, now=hour)
    assert reading(account, SHANGHAI).next_due_at > later(70), "what has not answered for an hour is asked less often"
    server.cloud.heal()
    assert look(account, now=later(61)) == 1
    assert TrailReading.objects.by_account()[account.pk].until > begins


def test_the_page_calls_an_account_complete_only_when_every_region_is(
    account: CloudAccount, alice: User, eve: User, client_for: ClientFor
) -> None:
    look(account)
    with scope.platform("test"):
        mine, strange = client_for(alice), client_for(eve)
        page = mine.get("/changes/trail/readings/").content.decode()
        assert page.count("正在补读历史") == 0
        assert "/changes/trail/readings/" in mine.get("/changes/trail/").content.decode()
        TrailReading.objects.filter(region=SHANGHAI).update(back_until=later(-60))
        page = mine.get("/changes/trail/readings/").content.decode()
        assert page.count("正在补读历史") == 2, "the region, and the account"
        assert "正在补读历史" in mine.get("/changes/trail/").content.decode()
        page = strange.get("/changes/trail/readings/").content.decode()
        assert SHANGHAI not in page
        assert account.name not in page


def test_regions_come_and_go_with_the_account(account: CloudAccount, estate: Estate) -> None:
    look(account)
    add_trail_event(estate, service="Ram", action="CreateAccessKey", at=later() - 2 * DAY)
    add_trail_event(estate, action="RebootInstance", at=later() - 2 * DAY, region="cn-chengdu")
    CloudAccount.objects.filter(pk=account.pk).update(regions=["cn-chengdu"])
    TrailReading.objects.filter(region=SHANGHAI).update(lease_until=later(5))
    with scope.platform("test"):
        assert trail_reading.follow_accounts(now=later()) == 1
        assert TrailReading.objects.filter(region=SHANGHAI).exists(), "a worker is reading it"
        assert trail_reading.follow_accounts(now=later(6)) == 0
    regions = TrailReading.objects.filter(cloud_account=account).values_list("region", flat=True)
    assert set(regions) == {"cn-chengdu", HANGZHOU, SINGAPORE}
    assert not TrailReading.objects.are_complete()
    assert look(account) == 1
    assert TrailReading.objects.are_complete()


def test_the_past_of_a_region_that_came_later_alarms_nobody_and_its_news_do(
    account: CloudAccount, estate: Estate
) -> None:
    CloudAccount.objects.filter(pk=account.pk).update(regions=[HANGZHOU])
    account.refresh_from_db()
    look(account)
    TrailReading.objects.update(began_at=later() - 30 * DAY)
    for days in (3, 0):
        add_trail_event(
            estate, action="AuthorizeSecurityGroup", at=later(-6) - days * DAY, parameters=OPEN_ALL, region=SHANGHAI
        )
    CloudAccount.objects.filter(pk=account.pk).update(regions=[HANGZHOU, SHANGHAI])
    with scope.platform("test"):
        trail_reading.follow_accounts(now=later())
    assert look(account) == 2
    assert TrailEvent.objects.exclude(incident=None).count() == Incident.objects.count() == 1
    assert TrailEvent.objects.filter(verdict=TrailVerdict.SUSPICIOUS).count() == 2


def test_what_was_read_of_an_account_is_what_was_read_of_its_first_region(account: CloudAccount) -> None:
    migration = import_module("changes.migrations.0008_trail_regions")
    look(account)
    TrailReading.objects.exclude(region=HANGZHOU).delete()
    TrailReading.objects.update(region="")
    migration.name_the_region(apps, None)
    assert TrailReading.objects.get().region == account.regions[0]
    look(account)
    trail_reading.follow(account, [SHANGHAI, SINGAPORE], later())
    migration.keep_one_region(apps, None)
    assert TrailReading.objects.get().region == account.regions[0]


def test_one_worker_at_a_time_reads_an_account_and_every_region_has_its_turn(account: CloudAccount) -> None:
    regions = [f"cn-place-{number}" for number in range(20)]
    CloudAccount.objects.filter(pk=account.pk).update(regions=regions)
    now, seen = later(), []
    with scope.platform("test"):
        trail_reading.follow_accounts(now=now)
        for _ in range(6):
            [(_customer, ids)] = trail_reading.claim(now=now)
            assert len(ids) <= trail_reading.REGIONS
            assert trail_reading.claim(now=now) == [], "its two calls a second are one queue"
            seen += ids
            TrailReading.objects.filter(pk__in=ids).update(lease_until=None)
    assert len(seen) == len(set(seen)) == 22
    assert set(TrailReading.objects.values_list("pk", flat=True)) == set(seen)


def test_the_past_has_its_share_however_many_news_there_are(account: CloudAccount, estate: Estate) -> None:
    """More than four pages within the quarter of an hour that is always read again."""
    for number in range(260):
        add_trail_event(estate, action="ModifyInstanceAttribute", at=later(-6) - number * timedelta(seconds=1))
    for days in (20, 50, 80):
        add_trail_event(estate, action="RebootInstance", at=later() - days * DAY)
    for _ in range(4):
        look_at(account, calls=trail_reading.CALLS)
    assert reading(account).is_complete
    assert TrailEvent.objects.filter(action="RebootInstance").count() == 3


def test_one_second_that_fills_many_pages_does_not_stop_the_reading(account: CloudAccount, estate: Estate) -> None:
    reading(account)
    for number in range(260):
        add_trail_event(estate, action="ModifyInstanceAttribute", at=later(-20), who=f"u{number}", late=MINUTE)
    TrailReading.objects.update(read_until=later(-25), back_until=later(-25))
    add_trail_event(estate, action="RebootInstance", at=later(-18))
    for _ in range(3):
        look_at(account, calls=trail_reading.CALLS)
    assert TrailEvent.objects.filter(action="RebootInstance").exists()
    assert TrailEvent.objects.count() == 261


def test_secrets_in_parameters_are_not_stored(account: CloudAccount, estate: Estate) -> None:
    add_trail_event(estate, action="ResetPassword", at=later(-30), parameters=OPEN_ALL)
    look(account)
    event = TrailEvent.objects.get()
    assert "hunter2" not in str(event.raw)
    assert event.raw["requestParameters"]["SourceCidrIp"] == "0.0.0.0/0"


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_an_event_finds_its_change_and_one_begun_late_finds_its_event(
    account: CloudAccount, estate: Estate, chen: User
) -> None:
    look(account)
    add_trail_event(estate, action="RebootInstance", at=later(-7), resources=instance(estate))
    look(account)
    event = TrailEvent.objects.get()
    assert event.verdict == TrailVerdict.UNMATCHED
    assert [asset.name for asset in event.assets.all()] == ["oa-01"]
    change = begun(account, chen, later(), kind="emergency")
    look(account, now=later(1))
    event.refresh_from_db()
    assert (event.verdict, event.change_id) == (TrailVerdict.CHANGE, change.pk)


def test_a_change_that_nobody_ends_explains_nothing_after_its_window(
    account: CloudAccount, estate: Estate, chen: User
) -> None:
    """Of a month of forgotten work one key would have been enough."""
    look(account)
    change = begun(account, chen, later() - 20 * DAY, operation="ram-user")
    add_trail_event(estate, service="Ram", action="CreateAccessKey", at=later(-6))
    add_trail_event(estate, service="Ram", action="CreateUser", at=later() - 20 * DAY + HOUR, who="neu")
    TrailReading.objects.update(back_until=later(), back_goal=later() - 30 * DAY)
    look(account)
    assert TrailEvent.objects.get(action="CreateAccessKey").verdict == TrailVerdict.SUSPICIOUS
    inside = TrailEvent.objects.get(action="CreateUser")
    assert (inside.verdict, inside.change) == (TrailVerdict.CHANGE, change)


def test_whoever_moves_the_windows_end_explains_what_was_done_meanwhile(
    account: CloudAccount, estate: Estate, chen: User
) -> None:
    change = begun(account, chen, later(-180))
    add_trail_event(estate, action="RebootInstance", at=later(-20), resources=instance(estate))
    look(account)
    assert TrailEvent.objects.get().verdict == TrailVerdict.UNMATCHED
    Change.objects.filter(pk=change.pk).update(ends_at=later(60), changed_at=later())
    look(account, now=later(1))
    assert TrailEvent.objects.get().change == change


@pytest.mark.parametrize(("hours", "verdict"), [(3, TrailVerdict.CHANGE), (30, TrailVerdict.UNMATCHED)])
def test_undoing_a_failure_belongs_to_the_change_for_a_day(
    account: CloudAccount, estate: Estate, chen: User, hours: int, verdict: TrailVerdict
) -> None:
    begins = later() - 3 * DAY
    change = begun(account, chen, begins)
    failed_at = begins + 10 * HOUR
    Change.objects.filter(pk=change.pk).update(state=ChangeState.FAILED, finished_at=begins + HOUR)
    ChangeEntry.objects.create(
        customer=account.customer, change=change, at=failed_at, kind=ChangeEntry.Kind.OBJECTED, actor=chen
    )
    add_trail_event(estate, action="RebootInstance", at=failed_at + hours * HOUR, resources=instance(estate))
    add_trail_event(estate, action="StopInstance", at=failed_at - 5 * HOUR, resources=instance(estate))
    look(account)
    assert TrailEvent.objects.get(action="RebootInstance").verdict == verdict
    between = TrailEvent.objects.get(action="StopInstance")
    assert between.verdict == TrailVerdict.UNMATCHED, "while the customer tests nothing is done"


def test_an_emergencys_window_ends_too(account: CloudAccount, estate: Estate, chen: User) -> None:
    begun(account, chen, later() - DAY, kind="emergency")
    for hours in (1, 5):
        add_trail_event(
            estate,
            action="RebootInstance",
            at=later() - DAY + hours * HOUR,
            resources=instance(estate),
            who=f"u{hours}",
        )
    look(account)
    assert dict(TrailEvent.objects.values_list("actor_name", "verdict")) == {
        "u1": TrailVerdict.CHANGE, "u5": TrailVerdict.UNMATCHED
    }  # fmt: skip


def test_an_open_change_explains_no_lost_backup(account: CloudAccount, estate: Estate, chen: User) -> None:
    look(account)
    begun(account, chen, later(-60), operation="linux-patch")
    for number in range(5):
        add_trail_event(
            estate, action="DeleteSnapshot", at=later(-8) + number * timedelta(seconds=20), who="stranger",
            resources={"ACS::ECS::Snapshot": [f"s-{number}"]},
        )  # fmt: skip
    add_trail_event(estate, action="CreateSnapshot", at=later(-7), who="stranger")
    look(account)
    assert set(TrailEvent.objects.filter(action="DeleteSnapshot").values_list("rule", flat=True)) == {"many-deletions"}
    assert Incident.objects.get().severity == Severity.DISASTER
    assert TrailEvent.objects.get(action="CreateSnapshot").verdict == TrailVerdict.CHANGE


def test_removing_the_servers_of_a_change_alarms_nobody_and_one_more_is_counted_alone(
    account: CloudAccount, estate: Estate, chen: User
) -> None:
    look(account)
    change = begun(account, chen, later(-60), operation="ecs-delete")
    assets = [make_asset(account.customer, f"old-{number}") for number in range(5)]
    for asset in assets:
        Asset.objects.filter(pk=asset.pk).update(cloud_account=account, provider_id=f"i-{asset.name}")
        change.touched.create(customer=account.customer, asset=asset)
    for number, provider_id in enumerate([*(f"i-{asset.name}" for asset in assets), "i-another"]):
        add_trail_event(
            estate, action="DeleteInstance", at=later(-8) + number * timedelta(seconds=20),
            resources={"ACS::ECS::Instance": [provider_id]},
        )  # fmt: skip
    look(account)
    assert set(TrailEvent.objects.values_list("verdict", flat=True)) == {TrailVerdict.CHANGE}
    for number in range(4):
        add_trail_event(estate, action="DeleteVSwitch", service="Vpc", at=later(-6) + number * timedelta(seconds=1))
    look(account)
    assert TrailEvent.objects.filter(rule="many-deletions").count() == 4, "with the one that no change removes, five"
    assert Incident.objects.count() == 1


def test_a_database_opened_to_everybody_opens_an_incident(account: CloudAccount, estate: Estate) -> None:
    look(account)
    add_trail_event(
        estate, service="Rds", action="ModifySecurityIps", at=later(-6),
        parameters={"SecurityIps": "10.0.0.0/8,0.0.0.0/0", "DBInstanceIPArrayName": "default"},
    )  # fmt: skip
    look(account)
    assert Incident.objects.get().title.startswith("数据库白名单向全网放开")


def test_a_request_of_a_run_was_the_platform_itself(account: CloudAccount, estate: Estate, chen: User) -> None:
    change = begun(account, chen, later(-60))
    said = {"customer": account.customer, "operation": "restart"}
    run = OperationRun.objects.create(
        **said, change=change, cloud_account=account, revision=1, token="t", planned_by=chen, planned_at=later(-50)
    )
    RunStep.objects.create(
        customer=account.customer, run=run, position=1, product="Rds", action="RestartDBInstance",
        repeat="harmless", request_ids=["RID-1"],
    )  # fmt: skip
    add_trail_event(estate, service="Rds", action="RestartDBInstance", at=later(-20), request_id="RID-1")
    look(account)
    event = TrailEvent.objects.get()
    assert (event.verdict, event.change_id, event.known_as) == (TrailVerdict.AUTOMATION, change.pk, change.number)


def test_a_suspicion_opens_one_incident_and_more_of_it_joins(account: CloudAccount, estate: Estate) -> None:
    look(account)
    for minutes in (5, 6):
        add_trail_event(
            estate, action="AuthorizeSecurityGroup", at=later(-minutes), parameters=OPEN_ALL, resources=instance(estate)
        )
    look(account)
    look(account)
    incident = Incident.objects.get()
    assert incident.severity == Severity.HIGH
    assert incident.category == Incident.Category.ALIYUN
    assert "安全组向全网放开" in incident.title
    assert "0.0.0.0/0" not in incident.title
    assert [asset.name for asset in incident.assets.all()] == ["oa-01"]
    assert TrailEvent.objects.filter(incident=incident, rule="open-to-the-world").count() == 2


def test_what_was_suspicious_before_the_account_came_is_listed_and_alarms_nobody(
    account: CloudAccount, estate: Estate
) -> None:
    add_trail_event(estate, service="Ram", action="CreateAccessKey", at=later() - 20 * DAY)
    look(account)
    event = TrailEvent.objects.get()
    assert (event.verdict, event.rule) == (TrailVerdict.SUSPICIOUS, "access-key-created")
    assert not Incident.objects.exists()


def test_many_deletions_become_a_disaster_however_they_are_listed(account: CloudAccount, estate: Estate) -> None:
    look(account)
    for number in range(6):
        add_trail_event(
            estate, action="DeleteDisk", at=later(-9) + number * timedelta(seconds=30),
            resources={"ACS::ECS::Disk": [f"d-{number}"]}, late=timedelta(minutes=number % 3),
        )  # fmt: skip
    look(account)
    incident = Incident.objects.get()
    assert incident.severity == Severity.DISASTER
    assert TrailEvent.objects.filter(rule="many-deletions").count() == 6


def test_a_sign_in_from_a_new_country_is_told_once_the_past_is_known(account: CloudAccount, estate: Estate) -> None:
    for days in (3, 30):
        add_trail_event(estate, service="AasSub", action="ConsoleSignin", at=later() - days * DAY, ip="47.96.1.1")
    look(account)
    add_trail_event(estate, service="AasSub", action="ConsoleSignin", at=later(-6), ip="223.5.5.5")
    add_trail_event(estate, service="AasSub", action="ConsoleSignin", at=later(-6), ip="81.2.69.142")
    add_trail_event(estate, service="AasSub", action="ConsoleSignin", at=later(-6), ip="81.2.69.142", who="neu")
    look(account)
    assert TrailEvent.objects.get(rule="new-country").source_ip == "81.2.69.142"
    assert TrailEvent.objects.get(rule="new-country").actor_name == "zhangwei"


def test_whoever_is_put_on_the_list_explains_what_they_did(
    account: CloudAccount, estate: Estate, chen: User, alice: User
) -> None:
    add_trail_event(estate, action="RebootInstance", at=later(-30))
    add_trail_event(estate, action="RebootInstance", at=later(-31), who="zhangwei2")
    look(account)

    def know(actor: User, name: str) -> TrailActor:
        return trail_verdicts.know(customer=account.customer, name=name, person="张伟", actor=actor, now=later())

    with pytest.raises(PermissionDenied):
        know(alice, "ZhangWei@jiahe")
    known = know(chen, "ZhangWei@jiahe")
    with pytest.raises(DomainError):
        know(chen, "ZhangWei")
    assert dict(TrailEvent.objects.values_list("actor_name", "verdict")) == {
        "zhangwei": TrailVerdict.KNOWN,
        "zhangwei2": TrailVerdict.UNMATCHED,
    }
    trail_verdicts.forget(known=known, actor=chen, now=later())
    add_trail_event(estate, action="StopInstance", at=later(-8))
    look(account)
    assert TrailEvent.objects.get(action="StopInstance").verdict == TrailVerdict.UNMATCHED


# --- people -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def event(account: CloudAccount, estate: Estate) -> TrailEvent:
    look(account)
    add_trail_event(estate, action="RebootInstance", at=later(-7), resources=instance(estate))
    look(account)
    return TrailEvent.objects.select_related("customer").get()


def test_a_person_decides_and_takes_it_back_and_all_of_it_is_audited(
    account: CloudAccount, event: TrailEvent, chen: User
) -> None:
    change = begun(account, chen, later(-3 * 24 * 60), operation="dns-record")
    assert change in trail_verdicts.nearby(event)
    done = trail_verdicts.belongs_to(event=event, change=change, actor=chen, now=later())
    assert (done.verdict, done.change, done.decided_by) == (TrailVerdict.CHANGE, change, chen)
    with pytest.raises(DomainError):
        trail_verdicts.harmless(event=event, reason="  ", actor=chen, now=later())
    done = trail_verdicts.harmless(event=event, reason="演练", actor=chen, now=later())
    assert (done.verdict, done.change, done.reason) == (TrailVerdict.HARMLESS, None, "演练")
    done = trail_verdicts.suspicious(event=event, actor=chen, now=later())
    done = trail_verdicts.suspicious(event=event, actor=chen, now=later())
    assert Incident.objects.get() == done.incident
    done = trail_verdicts.undo(event=event, actor=chen, now=later())
    assert (done.verdict, done.decided_by, done.incident) == (TrailVerdict.UNMATCHED, None, Incident.objects.get())
    with pytest.raises(DomainError):
        trail_verdicts.undo(event=event, actor=chen, now=later())
    acts = AuditEntry.objects.filter(action__startswith="trail.").order_by("sequence").values_list("action", flat=True)
    assert list(acts) == ["trail.change", "trail.harmless", "trail.suspicious", "trail.suspicious", "trail.undo"]


def test_the_machine_never_overrules_a_person(account: CloudAccount, event: TrailEvent, chen: User) -> None:
    trail_verdicts.harmless(event=event, reason="演练", actor=chen, now=later())
    begun(account, chen, later())
    look(account, now=later(1))
    event.refresh_from_db()
    assert event.verdict == TrailVerdict.HARMLESS


def test_a_change_that_was_never_begun_or_is_anothers_takes_no_event(
    account: CloudAccount, event: TrailEvent, chen: User, yi: Customer
) -> None:
    change = begun(account, chen, later())
    Change.objects.filter(pk=change.pk).update(begun_at=None, state=ChangeState.READY)
    change.refresh_from_db()
    with pytest.raises(DomainError):
        trail_verdicts.belongs_to(event=event, change=change, actor=chen, now=later())
    change.customer = yi
    with pytest.raises(PermissionDenied):
        trail_verdicts.belongs_to(event=event, change=change, actor=chen, now=later())


def test_pages_show_who_changed_the_asset_and_take_verdicts(
    account: CloudAccount, event: TrailEvent, chen: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    engineer, customer, stranger = client_for(chen), client_for(alice), client_for(eve)
    asset = Asset.objects.get(name="oa-01")
    address = f"/changes/trail/{event.pk}/"
    with scope.platform("test"):
        assert f"/changes/trail/for-asset/{asset.pk}/" in engineer.get(f"/assets/{asset.pk}/").content.decode()
        fragment = customer.get(f"/changes/trail/for-asset/{asset.pk}/").content.decode()
        assert "zhangwei" in fragment
        assert address in fragment
        assert "RebootInstance" in customer.get(address).content.decode()
        assert "trail-harmless" not in customer.get(address).content.decode()
        assert customer.post(f"{address}suspicious/").status_code == 403
        assert engineer.post(f"{address}harmless/", {"reason": ""}).status_code == 422
        assert engineer.post(f"{address}harmless/", {"reason": "=cmd()"}).status_code == 302
        exported = engineer.get("/changes/trail/?export=csv&verdict=harmless").content.decode()
        assert "'=cmd()" in exported
        month = engineer.get("/changes/trail/month/?month=9999-99").content.decode()
        assert account.customer.name[:4] in month
        assert "RebootInstance" not in stranger.get("/changes/trail/").content.decode()
        for path in (address, f"{address}undo/", f"/changes/trail/for-asset/{asset.pk}/"):
            assert stranger.get(path).status_code in (403, 404)
        assert account.customer.name[:4] not in stranger.get("/changes/trail/month/").content.decode()


def test_hostile_words_of_a_cloud_are_shown_as_words(
    account: CloudAccount, estate: Estate, chen: User, client_for: ClientFor
) -> None:
    add_trail_event(
        estate, action="<script>alert(1)</script>", at=later(-20), who="<b>x</b>", ip="<i>",
        resources={"x": ["\0<u>"]}, parameters={"a\0": "\0", "b": float("nan")},
    )  # fmt: skip
    look(account)
    event = TrailEvent.objects.get()
    with scope.platform("test"):
        for path in ("/changes/trail/", f"/changes/trail/{event.pk}/"):
            page = client_for(chen).get(path).content.decode()
            assert "<script>alert(1)" not in page
            assert "<b>x</b>" not in page


def test_a_months_reconciliation_counts_each_event_once(
    account: CloudAccount, event: TrailEvent, chen: User, client_for: ClientFor
) -> None:
    trail_verdicts.suspicious(event=event, actor=chen, now=later())
    event.refresh_from_db()
    first = event.occurred_at.astimezone().date().replace(day=1)
    row = next(one for one in trail_verdicts.reconciled(first) if one.customer == account.customer)
    assert (row.total, row.counts[TrailVerdict.SUSPICIOUS], row.incidents, row.unexplained) == (1, 1, 1, 0)
    with scope.platform("test"):
        found = client_for(chen).get(f"/api/v1/trail-reconciliation/?month={first:%Y-%m}").json()
        listed = client_for(chen).get("/api/v1/trail-events/?verdict=suspicious").json()
        bad = client_for(chen).get("/api/v1/trail-reconciliation/?month=2026-13")
    assert found[0]["counts"]["suspicious"] == 1
    assert listed["results"][0]["incident"] == Incident.objects.get().pk
    assert bad.status_code == 400
