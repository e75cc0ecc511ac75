"""Anomalies found in bills: told once, explained, expected, and never on days that nobody read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied

from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import CloudAccount
from costs import anomaly
from costs.anomaly import Threshold, Verdict
from costs.models import BillDay, CostAnomaly
from costs.services import anomalies
from costs.views.anomalies import _chart, _figures
from notify.models import Delivery
from tests.costs.conftest import DAY, bill, item, noon_after

pytestmark = pytest.mark.django_db
MONDAY = date(2026, 3, 2)
NOW = noon_after(MONDAY)


def history(account: CloudAccount, *, amount: object = 100, until: date = MONDAY, weeks: int = 9) -> None:
    for back in range(weeks * 7, 0, -1):
        bill(account, until - back * DAY, item(amount, product="cdn", instance="dl.example"))


def find(jia: Customer, now: datetime = NOW) -> list[CostAnomaly]:
    return anomalies.look(customer=jia, now=now)


def test_a_dear_day_is_told_once_to_the_contact_and_the_engineer(
    jia: Customer, account: CloudAccount, contacts: None, alice: User, chen: User
) -> None:
    history(account)
    bill(account, MONDAY, item(400, product="cdn", instance="dl.example"), item(3, product="cdn", instance="www"))
    [found] = find(jia)
    assert (found.product_code, found.instance_id) == ("cdn", "")
    assert [int(one) for one in (found.amount, found.usual, found.excess)] == [403, 100, 303]
    assert found.movers[0]["instance_id"] == "dl.example"
    assert find(jia) == []
    for person in (alice, chen):
        told = Delivery.objects.filter(user=person, medium="inbox", key__startswith=f"cost-anomaly:{found.pk}")
        assert told.count() == 1
    assert AuditEntry.objects.filter(action="cost.anomaly").count() == 1


def test_days_that_go_on_are_one_anomaly_and_one_message(jia: Customer, account: CloudAccount, chen: User) -> None:
    history(account)
    for at in range(4):
        day = MONDAY + at * DAY
        bill(account, day, item(400 + at, product="cdn", instance="dl.example"))
        find(jia, noon_after(day))
    found = CostAnomaly.objects.get()
    assert (found.first_day, found.last_day) == (MONDAY, MONDAY + 3 * DAY)
    assert int(found.amount) == 403
    assert Delivery.objects.filter(user=chen, key__startswith="cost-anomaly:", medium="inbox").count() == 1


def test_one_resource_is_found_although_its_product_hides_it(jia: Customer, account: CloudAccount) -> None:
    for back in range(63, -1, -1):
        day = MONDAY - back * DAY
        bill(account, day, item(900, instance="i-big"), item(20 if back else 160, instance="i-small"))
    [found] = find(jia)
    assert found.instance_id == "i-small"


def test_a_day_that_was_not_read_or_not_settled_is_no_anomaly_and_no_history(
    jia: Customer, account: CloudAccount
) -> None:
    history(account)
    bill(account, MONDAY, item(400, product="cdn"), now=noon_after(MONDAY) - timedelta(hours=4))
    assert find(jia) == []
    bill(account, MONDAY, item(400, product="cdn"))
    BillDay.objects.filter(day__lt=MONDAY - 20 * DAY).delete()
    assert find(jia) == []


def test_orders_of_subscriptions_are_no_anomaly(jia: Customer, account: CloudAccount) -> None:
    history(account)
    bill(account, MONDAY, item(100, product="cdn"), item(9000, product="rds", charge="subscription"))
    assert find(jia) == []


def test_what_is_expected_stays_quiet_until_it_is_higher(jia: Customer, account: CloudAccount, alice: User) -> None:
    history(account)
    bill(account, MONDAY, item(400, product="cdn", instance="dl.example"))
    [found] = find(jia)
    anomalies.explain(anomaly=found, note="大促", expected=True, actor=alice, now=NOW)
    for at in range(1, 15):
        amount = 410 if at == 14 else 100
        bill(account, MONDAY + at * DAY, item(amount, product="cdn", instance="dl.example"))
    assert find(jia, noon_after(MONDAY + 14 * DAY)) == []
    for at in range(15, 22):
        amount = 900 if at == 21 else 100
        bill(account, MONDAY + at * DAY, item(amount, product="cdn", instance="dl.example"))
    assert len(find(jia, noon_after(MONDAY + 21 * DAY))) == 1


def test_an_explanation_has_an_author_and_can_be_taken_back(
    jia: Customer, account: CloudAccount, alice: User, vera: User
) -> None:
    history(account)
    bill(account, MONDAY, item(400, product="cdn"))
    [found] = find(jia)
    with pytest.raises(PermissionDenied):
        anomalies.explain(anomaly=found, note="x", expected=False, actor=vera, now=NOW)
    with pytest.raises(DomainError):
        anomalies.explain(anomaly=found, note="  ", expected=False, actor=alice, now=NOW)
    explained = anomalies.explain(anomaly=found, note="直播", expected=False, actor=alice, now=NOW)
    assert explained.state == CostAnomaly.State.EXPLAINED
    with pytest.raises(DomainError):
        anomalies.explain(anomaly=found, note="again", expected=False, actor=alice, now=NOW)
    assert anomalies.reopen(anomaly=found, actor=alice, now=NOW).state == CostAnomaly.State.OPEN


def test_a_customers_threshold_decides_what_it_hears(
    jia: Customer, account: CloudAccount, alice: User, bob: User
) -> None:
    history(account)
    bill(account, MONDAY, item(400, product="cdn"))
    with pytest.raises(PermissionDenied):
        anomalies.set_threshold(
            customer=jia, deviations=Decimal(4), percent=30, amount=Decimal(500), actor=bob, now=NOW
        )
    anomalies.set_threshold(customer=jia, deviations=Decimal(4), percent=30, amount=Decimal(500), actor=alice, now=NOW)
    assert find(jia) == []
    anomalies.set_threshold(customer=jia, deviations=Decimal(4), percent=30, amount=Decimal(200), actor=alice, now=NOW)
    assert len(find(jia)) == 1
    with pytest.raises(DomainError):
        anomalies.set_threshold(customer=jia, deviations=Decimal(0), percent=3, amount=Decimal(1), actor=alice, now=NOW)


def test_an_old_anomaly_is_listed_and_wakes_nobody(jia: Customer, account: CloudAccount, chen: User) -> None:
    history(account)
    bill(account, MONDAY, item(400, product="cdn"))
    for at in range(1, 25):
        bill(account, MONDAY + at * DAY, item(100, product="cdn"))
    assert len(find(jia, noon_after(MONDAY + 24 * DAY))) == 1
    assert not Delivery.objects.filter(user=chen, key__startswith="cost-anomaly:").exists()


def test_a_rise_right_after_what_was_expected_is_told_and_the_expected_level_does_not_creep(
    jia: Customer, account: CloudAccount, alice: User
) -> None:
    history(account)
    bill(account, MONDAY, item(400, product="cdn", instance="dl.example"))
    [found] = find(jia)
    anomalies.explain(anomaly=found, note="大促", expected=True, actor=alice, now=NOW)
    for at, amount in enumerate((450, 470), start=1):
        bill(account, MONDAY + at * DAY, item(amount, product="cdn", instance="dl.example"))
        assert find(jia, noon_after(MONDAY + at * DAY)) == []
    found.refresh_from_db()
    assert (int(found.amount), found.last_day) == (400, MONDAY + 2 * DAY)
    bill(account, MONDAY + 3 * DAY, item(900, product="cdn", instance="dl.example"))
    [higher] = find(jia, noon_after(MONDAY + 3 * DAY))
    assert (int(higher.amount), higher.first_day) == (900, MONDAY + 3 * DAY)
    assert find(jia, noon_after(MONDAY + 3 * DAY)) == []


def test_what_rose_most_names_its_day_and_the_chart_marks_the_unusual_days_alone(
    jia: Customer, account: CloudAccount
) -> None:
    history(account)
    for at, amount in enumerate((400, 100, 410)):
        bill(account, MONDAY + at * DAY, item(amount, product="cdn", instance="dl.example"))
    find(jia, noon_after(MONDAY + 2 * DAY))
    found = CostAnomaly.objects.get()
    assert (found.first_day, found.last_day) == (MONDAY, MONDAY + 2 * DAY)
    assert found.days == ["2026-03-02", "2026-03-04"]
    found.days = ["2026-03-04", "2026-03-02"]  # a correction came late: found on the later day
    assert found.movers_day == MONDAY + 2 * DAY
    shown = _figures(found)
    marked = [shown[at][0] for at in _chart(found, shown)["marked"]]  # type: ignore[attr-defined]  # a list
    assert marked == [MONDAY, MONDAY + 2 * DAY]


def test_nothing_is_reckoned_while_the_customers_turn_is_held(
    jia: Customer, account: CloudAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(account)
    bill(account, MONDAY, item(400, product="cdn", instance="dl.example"))
    held: list[str] = []
    monkeypatch.setattr("costs.services.anomalies.locks.hold_customer", lambda customer: held.append("held"))

    def judged(known: Mapping[date, float], day: date, threshold: Threshold) -> Verdict:
        assert not held
        return anomaly.judge(known, day, threshold)

    monkeypatch.setattr("costs.services.anomalies.judge", judged)
    assert len(find(jia)) == 1
    assert held == ["held"]


def test_what_nobody_has_explained_comes_first(jia: Customer, account: CloudAccount, alice: User) -> None:
    for at, state in enumerate(("open", "explained", "expected")):
        CostAnomaly.objects.create(
            customer=jia, product_code="cdn", product_name="CDN", first_day=MONDAY + at * DAY,
            last_day=MONDAY + at * DAY, amount=4, usual=1, excess=3, weeks=8, found_at=NOW, state=state, note="x",
            explained_by=alice,
        )  # fmt: skip
    assert CostAnomaly.objects.all().open_first()[0].state == "open"
