"""Saving proposals: found in what was measured and listed, decided by the customer, done, and measured by the bills."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contact, Customer, Role, User
from assets.models import Asset, CloudAccount
from changes.models import Change, ChangeState
from changes.services import approving, confirming, drafting, scheduling
from costs import settling
from costs.models import ProposalKind, ProposalState, SavingProposal
from costs.services import deciding, finding, reading
from demo.aliyun import CloudServer
from demo.aliyun.estate import Estate
from incidents.models import RequestPhase
from monitoring import registry, storage
from notify.models import Delivery
from tests.assets.conftest import sync
from tests.changes.conftest import sign
from tests.conftest import ClientFor, make_person
from tests.costs.conftest import DAY, bill, item, later

pytestmark = pytest.mark.django_db
HOUR_MS = 3_600_000
Counted = Callable[[int], AbstractContextManager[object]]


def measured(asset: Asset, metric: str, value: float, *, days: int = 15, until: datetime | None = None) -> None:
    """A steady figure every hour."""
    end = (until or later()).timestamp() * 1000 // HOUR_MS * HOUR_MS
    ts = np.arange(end - days * 24 * HOUR_MS, end, HOUR_MS, dtype=np.int64)
    series, owner = registry.resolve(asset.customer_id, [(asset.customer_id, asset.pk, metric, "")], now=later())
    storage.make_days(storage.days_of(ts))
    storage.write(
        customer_id=asset.customer_id,
        asset=np.repeat(owner, len(ts)),
        ts=ts,
        series=np.repeat(series, len(ts)),
        value=np.full(len(ts), value, dtype=np.float64),
    )


@pytest.fixture
def oa(account: CloudAccount) -> Asset:
    found: Asset = Asset.objects.get(name="oa-01")
    return found


def look(account: CloudAccount, now: datetime | None = None) -> list[SavingProposal]:
    return finding.look(reading_id=reading.reading_of(account, later()).pk, now=now or later())


def costs(account: CloudAccount, instance: str, amount: object, *, days: int = 40) -> None:
    today = settling.today(later())
    for back in range(days, 0, -1):
        bill(account, today - back * DAY, item(amount, instance=instance), now=later())


@pytest.fixture
def idle(account: CloudAccount, oa: Asset) -> SavingProposal:
    measured(oa, "ecs.cpu.util", 0.8)
    costs(account, oa.provider_id, 10)
    [found] = look(account)
    return found


def test_an_idle_server_is_proposed_with_its_evidence_and_its_price(
    idle: SavingProposal, oa: Asset, chen: User, account: CloudAccount
) -> None:
    assert (idle.kind, idle.asset_id, idle.monthly) == (ProposalKind.IDLE, oa.pk, Decimal(300))
    [evidence] = idle.facts["metrics"]
    assert (evidence["metric"], evidence["p95"], evidence["peak"]) == ("ecs.cpu.util", 0.8, 0.8)
    assert evidence["covered"] > 0.99
    assert look(account) == []
    assert AuditEntry.objects.filter(action="saving.propose").count() == 1


def test_an_oversized_server_saves_half(account: CloudAccount, oa: Asset) -> None:
    measured(oa, "ecs.cpu.util", 11)
    measured(oa, "ecs.mem.util", 20)
    costs(account, oa.provider_id, 10)
    [found] = look(account)
    assert (found.kind, found.monthly) == (ProposalKind.OVERSIZED, Decimal(150))


@pytest.mark.parametrize("days", [0, 5])
def test_silence_is_not_idleness(account: CloudAccount, oa: Asset, days: int) -> None:
    if days:
        measured(oa, "ecs.cpu.util", 0, days=days)
    assert look(account) == []
    unjudged = {one["asset"] for one in reading.reading_of(account, later()).unjudged}
    assert oa.pk in unjudged


def test_a_proposal_without_a_bill_says_that_its_saving_is_not_known(account: CloudAccount, oa: Asset) -> None:
    measured(oa, "ecs.cpu.util", 0.8)
    [found] = look(account)
    assert found.monthly is None
    costs(account, oa.provider_id, 10)
    look(account)
    found.refresh_from_db()
    assert found.monthly == 300


def test_what_is_used_again_is_taken_back_and_what_cannot_be_judged_is_not(
    idle: SavingProposal, account: CloudAccount, oa: Asset
) -> None:
    look(account, later() + timedelta(days=12))  # no figure lately: nobody knows
    idle.refresh_from_db()
    assert idle.state == ProposalState.PROPOSED
    measured(oa, "ecs.cpu.util", 60, days=14, until=later() + timedelta(days=30))
    look(account, later() + timedelta(days=30))
    idle.refresh_from_db()
    assert idle.state == ProposalState.OBSOLETE


def test_disks_and_addresses_that_hang_on_nothing_are_proposed_until_they_are_gone(
    account: CloudAccount, estate: Estate, server: CloudServer
) -> None:
    disk, eip = estate.add_loose_disk(500), estate.add_eip("old-gateway", "47.96.1.1")
    found = {(one.kind, one.instance_id) for one in look(account)}
    assert found == {("disk", disk), ("eip", eip)}
    server.cloud.fail("error", 50, action="DescribeEipAddresses")
    look(account)
    assert SavingProposal.objects.waiting().count() == 2  # not asked is not gone
    server.cloud.heal()
    estate.eips.clear()
    look(account)
    assert list(SavingProposal.objects.waiting().values_list("kind", flat=True)) == ["disk"]


def test_a_stopped_instance_that_costs_is_proposed(account: CloudAccount, estate: Estate, oa: Asset) -> None:
    estate.find("oa-01")["Status"] = "Stopped"
    sync(account, later())
    assert look(account) == []
    assert look(account, later() + 6 * DAY) == []
    assert [one.kind for one in look(account, later() + 8 * DAY)] == ["stopped"]


def test_the_project_manager_decides_and_the_engineer_does_it(
    idle: SavingProposal, alice: User, bob: User, chen: User, eve: User, lin: User, account: CloudAccount
) -> None:
    now = later()
    for person in (bob, chen, lin):
        with pytest.raises(PermissionDenied):
            deciding.accept(proposal=idle, actor=person, now=now)
    with pytest.raises(DomainError):
        deciding.finish(proposal=idle, result="released", actor=chen, now=now)
    accepted = deciding.accept(proposal=idle, reason="好", actor=alice, now=now)
    assert (accepted.state, accepted.decided_by) == (ProposalState.ACCEPTED, alice)
    assert Delivery.objects.filter(user=chen, medium="inbox", subject__contains="Alice").exists()
    with pytest.raises(PermissionDenied):
        deciding.finish(proposal=idle, result="released", actor=alice, now=now)
    done = deciding.finish(proposal=idle, result="released", actor=chen, now=now)
    assert (done.state, done.baseline) == (ProposalState.DONE, Decimal(10))
    actions = ["saving.accept", "saving.finish"]
    assert (
        list(AuditEntry.objects.filter(action__in=actions).order_by("pk").values_list("action", flat=True)) == actions
    )


def test_a_rejection_has_a_reason_and_is_not_asked_again_soon(
    idle: SavingProposal, alice: User, account: CloudAccount, oa: Asset
) -> None:
    with pytest.raises(DomainError):
        deciding.reject(proposal=idle, reason=" ", actor=alice, now=later())
    deciding.reject(proposal=idle, reason="年底要用", actor=alice, now=later())
    assert look(account) == []
    SavingProposal.objects.update(decided_at=later() - timedelta(days=100))
    assert len(look(account)) == 1


def test_what_it_saved_is_measured_by_the_bills_after_it(
    idle: SavingProposal, alice: User, chen: User, account: CloudAccount, oa: Asset
) -> None:
    past = later() - timedelta(days=8)
    deciding.accept(proposal=idle, actor=alice, now=past)
    done = deciding.finish(proposal=idle, result="halved", actor=chen, now=past)
    today = settling.today(later())
    for back in range(7, 0, -1):
        bill(account, today - back * DAY, item(4, instance=oa.provider_id), now=later())
    found = deciding.realised(done, later())
    assert found is not None
    assert found.days >= deciding.FEWEST_DAYS
    assert found.monthly == Decimal(180)
    done.done_at = timezone.now()
    fresh = deciding.realised(done, later())
    assert fresh is not None
    assert fresh.monthly is None


def test_an_accepted_proposal_becomes_a_draft_of_a_change_once(
    idle: SavingProposal, alice: User, chen: User, oa: Asset
) -> None:
    with pytest.raises(DomainError):
        deciding.draft_change(proposal=idle, actor=chen, now=later())
    deciding.accept(proposal=idle, actor=alice, now=later())
    with pytest.raises(PermissionDenied):
        deciding.draft_change(proposal=idle, actor=alice, now=later())
    change = deciding.draft_change(proposal=idle, actor=chen, now=later())
    assert (change.operation, list(change.assets.all())) == ("ecs-delete", [oa])
    with pytest.raises(DomainError):
        deciding.draft_change(proposal=idle, actor=chen, now=later())
    assert Change.objects.count() == 1


def test_what_the_customer_accepted_authorises_the_change_up_to_ready(
    idle: SavingProposal, alice: User, bob: User, chen: User, lin: User, oa: Asset
) -> None:
    for user, kinds in ((alice, ("first_pm", "primary")), (bob, ("second_pm",))):
        for kind in kinds:
            Contact.objects.create(customer=idle.customer, user=user, kind=kind, phone="1", email=user.email)
    rita = make_person("rita", Role.MANAGER)
    deciding.accept(proposal=idle, actor=alice, now=later())
    change = deciding.draft_change(proposal=idle, actor=chen, now=later())
    assert change.incident is not None
    assert (change.incident.phase, change.requester) == (RequestPhase.ACCEPTED, alice)
    said = drafting.Content(
        title=change.title,
        operation=change.operation,
        fields={"name": "oa-01", "reason": "idle"},
        assets=(oa,),
        risk=change.risk,
        plan="1. Release it",
        rollback="1. From the snapshot",
        test_waiver="There is nothing to try",
        backup_waiver="It is empty",
    )
    drafting.edit(change=change, content=said, actor=chen, now=later())
    drafting.submit(change=change, actor=chen, now=later())
    confirming.tell_risk(change=change, text="It is gone for good", actor=chen, now=later())
    sign(change, alice, now=later())
    for person in (lin, rita, alice, bob):
        approving.decide(change=change, is_yes=True, words="", actor=person, now=later())
    scheduling.schedule(change=change, starts_at=later(), ends_at=later() + DAY, actor=chen, now=later())
    change.refresh_from_db()
    assert change.state == ChangeState.READY


def test_an_engineer_proposes_what_an_announcement_recommends(
    jia: Customer, yi: Customer, chen: User, alice: User, oa: Asset
) -> None:
    made = deciding.propose(
        customer=jia, title="改用新一代实例", text="同价多两成性能", monthly=None, actor=chen, now=later(), asset=oa
    )
    assert made.kind == ProposalKind.OTHER
    with pytest.raises(PermissionDenied):
        deciding.propose(customer=jia, title="x", text="y", monthly=None, actor=alice, now=later())
    with scope.platform("test"), pytest.raises(DomainError):
        deciding.propose(customer=yi, title="x", text="y", monthly=None, actor=chen, now=later(), asset=oa)


def test_accounts_are_looked_through_once_a_day(account: CloudAccount) -> None:
    made = reading.reading_of(account, later())
    with scope.platform("test"):
        assert finding.claim(now=later()) == []
        made.read_at = later()
        made.save()
        assert finding.claim(now=later()) == [(account.customer_id, made.pk)]
        assert finding.claim(now=later()) == []
        assert len(finding.claim(now=later() + DAY)) == 1


def test_what_is_found_again_soon_is_taken_up_and_nobody_is_told_twice(
    idle: SavingProposal, account: CloudAccount, oa: Asset, chen: User
) -> None:
    told = Delivery.objects.filter(user=chen, key__startswith="savings:").count()
    idle.state = ProposalState.OBSOLETE
    idle.save()
    assert look(account) == []
    idle.refresh_from_db()
    assert idle.state == ProposalState.PROPOSED
    assert Delivery.objects.filter(user=chen, key__startswith="savings:").count() == told
    assert SavingProposal.objects.count() == 1
    SavingProposal.objects.update(state=ProposalState.OBSOLETE, seen_at=later() - timedelta(days=100))
    assert len(look(account)) == 1  # after a quarter of a year it is news


def test_an_account_that_is_registered_again_proposes_nothing_twice(
    idle: SavingProposal, account: CloudAccount
) -> None:
    SavingProposal.objects.update(facts={**idle.facts, "account": 0})
    assert look(account) == []
    idle.refresh_from_db()
    assert idle.facts["account"] == account.pk


def test_an_instance_that_runs_again_begins_its_week_anew(account: CloudAccount, estate: Estate) -> None:
    server = estate.find("oa-01")
    for days, state in ((0, "Stopped"), (5, "Running"), (6, "Stopped"), (9, "Stopped")):
        server["Status"] = state
        sync(account, later())
        assert look(account, later() + days * DAY) == []
    assert [one.kind for one in look(account, later() + 14 * DAY)] == ["stopped"]


def test_a_saving_that_no_bill_can_show_is_not_zero(
    account: CloudAccount, oa: Asset, alice: User, chen: User, client_for: ClientFor
) -> None:
    measured(oa, "ecs.cpu.util", 0.8)
    costs(account, "i-other", 10)
    [found] = look(account)
    past = later() - timedelta(days=8)
    deciding.accept(proposal=found, actor=alice, now=past)
    done = deciding.finish(proposal=found, result="released", actor=chen, now=past)
    assert done.baseline is None
    assert deciding.realised(done, later()) == deciding.Realised(None, 0)
    assert "无法测算" in client_for(alice).get(f"/costs/proposals/{done.pk}/").content.decode()


def test_what_a_page_of_proposals_saved_takes_as_many_queries_as_one(
    idle: SavingProposal, alice: User, chen: User, client_for: ClientFor, django_assert_max_num_queries: Counted
) -> None:
    past = later() - timedelta(days=8)
    deciding.accept(proposal=idle, actor=alice, now=past)
    done = deciding.finish(proposal=idle, result="released", actor=chen, now=past)
    for number in range(20):
        done.pk, done.instance_id = None, f"i-{number}"
        done.save(force_insert=True)
    rows = list(SavingProposal.objects.all())
    with django_assert_max_num_queries(7):
        assert len(deciding.measured(rows, later())) == 21
    [shown, *_rest] = client_for(alice).get("/api/v1/saving-proposals/").json()["results"]
    assert shown["realised_monthly"] == 300


def test_nothing_is_priced_while_the_customers_turn_is_held(
    account: CloudAccount, oa: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(oa, "ecs.cpu.util", 0.8)
    held: list[str] = []
    monkeypatch.setattr("costs.services.finding.locks.hold_customer", lambda customer: held.append("held"))
    price = finding.monthly_cost

    def priced(customer_id: int, instance_id: str, now: datetime) -> Decimal | None:
        assert not held
        return price(customer_id, instance_id, now)

    monkeypatch.setattr(finding, "monthly_cost", priced)
    assert len(look(account)) == 1
    assert held


def test_what_saves_most_comes_before_what_nobody_knows(jia: Customer, account: CloudAccount) -> None:
    for number, monthly in enumerate((None, 5, 80)):
        SavingProposal.objects.create(
            customer=jia, kind="disk", instance_id=f"d-{number}", title="x", monthly=monthly, proposed_at=later(),
            seen_at=later(),
        )  # fmt: skip
    assert [one.monthly for one in SavingProposal.objects.all().dearest_first()] == [80, 5, None]
