"""The overview of a month of which every number is known beforehand; costs and sessions of which nothing was read."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset, CloudAccount, Kind
from bastion.models import DirectLogin, HardenedServer, HardeningCheck, HardeningRun, Node
from changes.models import Change, DutyOccurrence, RecurringDuty
from demo.aliyun import CloudServer
from incidents.months import ZONE, Month
from monitoring.models import Alert
from reports.kinds import costs, inventory, sessions
from reports.kinds.asking import Asked
from reports.kinds.monthly import overview, overview_health
from tests.assets.conftest import _hasty, account, server  # noqa: F401 - fixtures
from tests.bastion.conftest import node  # noqa: F401 - fixture
from tests.conftest import NOW
from tests.costs.conftest import whole_month
from tests.reports.golden import MARCH, asset_of, day, figure, read, rows, said, table, warnings, write
from tests.reports.test_golden_security import session

pytestmark = pytest.mark.django_db


def alert(asset: Asset, title: str, since: datetime, until: datetime | None = None) -> None:
    with scope.customer(asset.customer):
        Alert.objects.create(
            customer=asset.customer, asset=asset, rule_id="x", open_key=title, severity=Severity.HIGH, title=title,
            first_breach_at=since, opened_at=since, detected_at=since, recovered_at=until,
            ending="" if until is None else Alert.Ending.RECOVERED,
        )  # fmt: skip


def looked_at(asset: Asset, at: datetime, score: int) -> None:
    with scope.customer(asset.customer):
        run = HardeningRun.objects.create(customer=asset.customer, state="done", started_at=at, ended_at=at)
        HardeningCheck.objects.create(
            customer=asset.customer, run=run, asset=asset, state="done", score=score, ended_at=at
        )
        HardenedServer.objects.update_or_create(asset=asset, defaults={"customer": asset.customer, "score": score})


def test_what_ends_in_the_first_hours_of_a_day_ends_on_it_in_shanghai(jia: Customer) -> None:
    asset_of(jia, "db", "rds", expires_at=day(40, 2), provider_id="rm-1")
    assert rows(read(jia, inventory.read), "resources")["db"][-1] == "2026-04-09"
    assert rows(read(jia, overview.read), "expiring")["db"][1] == "2026-04-09"


def test_kinds_and_counts_of_a_month_long_past_are_those_of_its_end(jia: Customer) -> None:
    """What Alibaba Cloud resources the price was reckoned for: it does not follow what came and went since (R4)."""
    asset_of(jia, "stays", "ecs")
    asset_of(jia, "went before", "ecs", retired_at=day(-3))
    asset_of(jia, "went", "ecs", retired_at=day(20))
    asset_of(jia, "came", "ecs", created_at=day(10))
    asset_of(jia, "went since", "ecs", retired_at=day(33))
    asset_of(jia, "came since", "ecs", created_at=day(33))
    asset_of(jia, "orders", "rds")
    assert rows(read(jia, overview.read), "resources") == {
        str(Kind.ECS.label): (3, 1, 1, 3),
        str(Kind.RDS.label): (1, 0, 0, 1),
    }
    listed = read(jia, inventory.read)
    assert rows(listed, "kinds") == {str(Kind.ECS.label): (3,), str(Kind.RDS.label): (1,)}
    assert rows(listed, "resources").keys() == {"stays", "came", "went since", "orders"}


def test_changes_closed_are_those_that_were_closed(jia: Customer, chen: User) -> None:
    with scope.customer(jia):
        for state in ("closed", "cancelled", "rolled_back"):
            Change.objects.create(
                customer=jia, title=state, operation="snapshot-create", fields={}, risk="low", requester=chen,
                state=state, created_at=day(2), changed_at=day(2), begun_at=day(2), ended_at=day(3),
            )  # fmt: skip
    assert figure(read(jia, overview.read), "changes") == 1


def test_a_duty_done_on_its_day_in_shanghai_is_in_time_and_one_to_come_is_not_late(jia: Customer, chen: User) -> None:
    with scope.customer(jia):
        duty = RecurringDuty.objects.create(
            customer=jia, kind="other", name_zh="x", name_en="x", rhythm="monthly", first_due_on=date(2026, 3, 1),
            created_at=NOW,
        )  # fmt: skip
        for due_on, done_at in (
            (date(2026, 3, 5), day(5, 3)),
            (date(2026, 3, 6), day(7, 3)),
            (date(2026, 3, 20), None),
        ):
            DutyOccurrence.objects.create(
                customer=jia, duty=duty, due_on=due_on, opened_at=day(1), done_at=done_at,
                done_by=chen if done_at else None, minutes="x" if done_at else "",
            )  # fmt: skip
        halfway = Asked(jia, MARCH, MARCH.starts_at, MARCH.ends_at, day(15), {})
        assert overview_health.duties(halfway) == [True, False]
    assert figure(read(jia, overview.read), "health_care") == pytest.approx(100 / 3)


def test_hardening_is_that_of_the_last_look_before_the_end(jia: Customer) -> None:
    web, gone = asset_of(jia, "web"), asset_of(jia, "gone", retired_at=day(1) - timedelta(days=9))
    looked_at(gone, day(1) - timedelta(days=10), 10)
    looked_at(web, day(20), 80)
    looked_at(web, day(33), 20)
    assert figure(read(jia, overview.read), "health_hardening") == 80


def test_risks_are_the_alerts_that_were_open_at_the_end(jia: Customer) -> None:
    web = asset_of(jia, "web")
    alert(web, "solved after it", day(30), day(33))
    alert(web, "solved before it", day(30), day(31))
    alert(web, "opened after it", day(33))
    why = [str(row[1]) for row in table(read(jia, overview.read), "risks").rows]
    assert [text.rpartition(": ")[2] for text in why] == ["solved after it"]


def test_a_business_that_came_in_the_month_is_covered_from_then_on(jia: Customer) -> None:
    shop = asset_of(jia, "shop", "url", created_at=day(16))
    write(shop, "url.result_code", 0, first=day(16), url="https://shop.example/")
    part = read(jia, overview.read)
    assert rows(part, "availability")["shop"][:2] == (100.0, pytest.approx(100.0))
    assert "shop" not in said(part, "bad")


def test_costs_of_a_month_that_nobody_read_are_not_known(
    jia: Customer,
    server: CloudServer,  # noqa: F811
    account: CloudAccount,  # noqa: F811
) -> None:
    with scope.customer(jia):
        whole_month(account, Month(2026, 2), 10, now=datetime(2026, 3, 5, 14, tzinfo=ZONE))
    part = read(jia, costs.read)
    assert (figure(part, "total"), figure(part, "before")) == (None, 280)
    assert not table(part, "products").rows
    assert not [one for one in read(jia, overview.read).figures() if one.key == "cost"]
    with scope.customer(jia):
        whole_month(account, Month(2026, 3), 10, now=day(34))
    assert figure(read(jia, costs.read), "total") == 310
    assert figure(read(jia, overview.read), "cost") == 310


def test_log_ins_that_no_server_told_of_are_not_praised(jia: Customer) -> None:
    web = asset_of(jia, "web")
    unread = read(jia, sessions.read)
    assert figure(unread, "direct") is None
    assert not unread.findings
    assert any("web" in text for text in warnings(unread))
    with scope.customer(jia):
        HardenedServer.objects.create(customer=jia, asset=web, logins_upto=MARCH.ends_at)
    assert figure(read(jia, sessions.read), "direct") == 0
    assert said(read(jia, sessions.read), "good")


def test_a_session_audit_of_some_servers_tells_of_no_other(jia: Customer, node: Node, chen: User) -> None:  # noqa: F811
    web, other = asset_of(jia, "web"), asset_of(jia, "other")
    with scope.customer(jia):
        for one in (web, other):
            session(one, node, chen, day(3))
            HardenedServer.objects.create(customer=jia, asset=one, logins_upto=MARCH.ends_at)
            DirectLogin.objects.create(
                customer=jia, asset=one, at=day(4), account="root", found_in="journal", seen_at=day(4)
            )
        asked = Asked(jia, MARCH, MARCH.starts_at, MARCH.ends_at, day(34), {"assets": [web.pk]})
        part = sessions.read(asked)
    assert [figure(part, key) for key in ("sessions", "servers", "direct")] == [1, 1, 1]
    assert [row[3] for row in table(part, "sessions").rows] == ["web"]
    assert [row[1] for row in table(part, "direct_logins").rows] == ["web"]
