"""What people do with a proposal: the customer decides, an engineer does it, and the bills say what it saved (R137)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from changes.catalogue import Operation, Risk, operations
from changes.models import Change
from changes.services import drafting, targets
from costs import settling
from costs.models import ProposalKind, ProposalState, SavingProposal
from costs.money import cents
from costs.permissions import may, may_propose
from costs.services import figures, messages, resources
from costs.states import Verb, after
from incidents import locks
from incidents.models import AnnouncementCopy, Incident, ServiceRequest
from incidents.services import acknowledge, requests
from notify import live

Danger = ServiceRequest.Risk
LONGEST: Final = 1000
BASE_DAYS: Final = 30
FEWEST_DAYS: Final = 3
"""After it was done, before anything is said about what it saved."""
DATABASES: Final = ("rds", "redis", "memcache", "mongodb")


@transaction.atomic
def propose(
    *,
    customer: Customer,
    title: str,
    text: str,
    monthly: Decimal | None,
    actor: User,
    now: datetime,
    asset: Asset | None = None,
    announcement: AnnouncementCopy | None = None,
) -> SavingProposal:
    """Write down what best practice or an announcement of Alibaba Cloud recommends (R136)."""
    if not may_propose(actor):
        raise PermissionDenied
    for thing in (asset, announcement):
        if thing is not None and thing.customer_id != customer.pk:
            raise DomainError(_("That is another customer's. Nothing was saved."), code="other_customer")
    if not title.strip() or not text.strip():
        raise DomainError(_("Please say what is recommended and why. Nothing was saved."), code="text_missing")
    proposal = SavingProposal.objects.create(
        customer=customer,
        kind=ProposalKind.OTHER,
        asset=asset,
        instance_id=asset.provider_id if asset else "",
        title=title.strip()[:200],
        text=text.strip(),
        monthly=monthly,
        announcement=announcement,
        proposed_at=now,
        proposed_by=actor,
        seen_at=now,
    )
    detail = {"title": proposal.title, "monthly": str(monthly)}
    audit.record(action="saving.propose", actor=actor, customer=customer, obj=proposal, detail=detail, now=now)
    messages.proposed(customer, [proposal], now=now)
    live.publish(customer_id=customer.pk, topic="costs", object_id=proposal.pk)
    return proposal


@transaction.atomic
def accept(*, proposal: SavingProposal, reason: str = "", actor: User, now: datetime) -> SavingProposal:
    proposal = _moved(proposal, Verb.ACCEPT, actor)
    return _decided(proposal, "saving.accept", reason, actor, now)


@transaction.atomic
def reject(*, proposal: SavingProposal, reason: str, actor: User, now: datetime) -> SavingProposal:
    """With a reason: it is not proposed again for a quarter of a year."""
    if not reason.strip():
        raise DomainError(_("Please say why not. Nothing was changed."), code="reason_missing")
    proposal = _moved(proposal, Verb.REJECT, actor)
    return _decided(proposal, "saving.reject", reason, actor, now)


@transaction.atomic
def reopen(*, proposal: SavingProposal, actor: User, now: datetime) -> SavingProposal:
    """Think about it again; the log keeps what was said."""
    proposal = _moved(proposal, Verb.REOPEN, actor)
    same = SavingProposal.objects.filter(customer=proposal.customer_id, kind=proposal.kind)
    if proposal.kind != ProposalKind.OTHER and same.filter(instance_id=proposal.instance_id).open().exists():
        raise DomainError(_("It is proposed anew already. Nothing was changed."), code="proposed_already")
    proposal.decided_by, proposal.decided_at, proposal.reason = None, None, ""
    proposal.save(update_fields=["state", "decided_by", "decided_at", "reason"])
    audit.record(action="saving.reopen", actor=actor, customer=proposal.customer, obj=proposal, now=now)
    live.publish(customer_id=proposal.customer_id, topic="costs", object_id=proposal.pk)
    return proposal


@transaction.atomic
def finish(*, proposal: SavingProposal, result: str, actor: User, now: datetime) -> SavingProposal:
    """It is done: from here the bills show what it saves."""
    if not result.strip():
        raise DomainError(_("Please say what was done. Nothing was changed."), code="result_missing")
    proposal = _moved(proposal, Verb.FINISH, actor)
    today = settling.today(now)
    before = today - timedelta(days=BASE_DAYS)
    if proposal.instance_id and resources.is_billed(proposal.customer_id, proposal.instance_id, before, today):
        daily, days = resources.daily_cost(proposal.customer_id, proposal.instance_id, before, today)
        proposal.baseline = round(daily, 4) if days else None
    proposal.done_by, proposal.done_at, proposal.result = actor, now, result.strip()[:LONGEST]
    proposal.save(update_fields=["state", "baseline", "done_by", "done_at", "result"])
    detail = {"result": proposal.result, "baseline": str(proposal.baseline)}
    audit.record(action="saving.finish", actor=actor, customer=proposal.customer, obj=proposal, detail=detail, now=now)
    live.publish(customer_id=proposal.customer_id, topic="costs", object_id=proposal.pk)
    return proposal


def operation_of(proposal: SavingProposal) -> Operation | None:
    """What the catalogue calls doing it; None where it has no operation for that."""
    asset = proposal.asset
    kind = asset.kind if asset else ""
    code = {
        (ProposalKind.OVERSIZED, "ecs"): "ecs-resize",
        (ProposalKind.IDLE, "ecs"): "ecs-delete",
        (ProposalKind.STOPPED, "ecs"): "ecs-delete",
        **{(ProposalKind.OVERSIZED, one): "database-resize" for one in DATABASES},
    }.get((ProposalKind(proposal.kind), kind), "")
    found = operations().get(code)
    return found if found is not None and asset is not None and found.about(asset.kind) else None


@transaction.atomic
def draft_change(*, proposal: SavingProposal, actor: User, now: datetime) -> Change:
    """The change that does it, as a draft with what is known; its gates are those of every change."""
    if not may_propose(actor):
        raise PermissionDenied
    locks.hold_customer(proposal.customer)
    proposal = (
        SavingProposal.objects.select_for_update(of=("self",)).select_related("customer", "asset").get(pk=proposal.pk)
    )
    operation = operation_of(proposal)
    if proposal.state != ProposalState.ACCEPTED or operation is None or proposal.asset is None:
        raise DomainError(_("A change is drafted from a proposal that was accepted. Nothing was made."), code="state")
    if proposal.change_id is not None:
        raise DomainError(_("There is a change for it already. Nothing was made."), code="drafted")
    risk = Risk.LOW if operation.risk is Risk.NONE else operation.risk
    content = drafting.Content(
        title=proposal.title,
        operation=operation.code,
        fields={},
        assets=(proposal.asset,),
        risk=risk.value,
        reason="\n".join(filter(None, (proposal.number, proposal.text, proposal.reason))),
    )
    change = drafting.draft(
        customer=proposal.customer,
        content=content,
        origin=Change.Origin.PROVIDER,
        incident=_request(proposal, operation, actor, now),
        actor=actor,
        now=now,
    )
    proposal.change = change
    proposal.save(update_fields=["change"])
    detail = {"change": change.number}
    audit.record(action="saving.change", actor=actor, customer=proposal.customer, obj=proposal, detail=detail, now=now)
    return change


def _request(proposal: SavingProposal, operation: Operation, actor: User, now: datetime) -> Incident:
    """What the change is authorised by (R83): who accepted the proposal asked for it, and it is taken in hand."""
    assert proposal.asset is not None and proposal.decided_by is not None  # noqa: S101, PT018 - it was accepted
    incident = requests.raise_request(
        customer=proposal.customer,
        title=proposal.title,
        description="\n".join(filter(None, (proposal.number, proposal.text, proposal.reason))),
        assets=(proposal.asset,),
        actor=proposal.decided_by,
        now=now,
        wanted=requests.Wanted(
            operation=operation.code,
            risk=Danger.DANGEROUS if operation.risk is Risk.DANGEROUS else Danger.NORMAL,
            billing=operation.billing,
            owes_change=True,
        ),
    )
    targets.freeze(incident=incident, operation=operation)
    incident = acknowledge(incident=incident, actor=actor, now=now)
    return requests.accept(incident=incident, words=proposal.number, actor=actor, now=now)


@dataclass(frozen=True, slots=True)
class Realised:
    """What was saved in 30 days by the bills since; `days` is how many of them are known, None: too few to say."""

    monthly: Decimal | None
    days: int


def realised(proposal: SavingProposal, now: datetime) -> Realised | None:
    """Measured, not estimated: the cost a day before, less the cost a day since. None while it is not done."""
    return measured([proposal], now).get(proposal.pk)


def measured(proposals: Iterable[SavingProposal], now: datetime) -> dict[int, Realised]:
    """What each of those that are done saved by now, in as many queries for a page of them as for one."""
    found: dict[int, Realised] = {}
    asked: list[tuple[SavingProposal, date, Decimal]] = []
    for one in proposals:
        if one.state != ProposalState.DONE or one.done_at is None:
            continue
        found[one.pk] = Realised(None, 0)
        if one.baseline is not None and one.instance_id:
            asked.append((one, settling.today(one.done_at) + timedelta(days=1), one.baseline))
    if not asked:
        return found
    first, today = min(since for _one, since, _baseline in asked), settling.today(now)
    ledgers = figures.ledgers({one.customer_id for one, *_rest in asked}, first, today)
    cost = resources.daily_of({(one.customer_id, one.instance_id) for one, *_rest in asked}, first, today)
    for one, since, baseline in asked:
        whole = ledgers.get(one.customer_id, figures.Ledger()).whole
        days = [day for day in settling.days_between(since, today) if day in whole]
        if len(days) < FEWEST_DAYS:
            found[one.pk] = Realised(None, len(days))
            continue
        mine = cost.get((one.customer_id, one.instance_id), {})
        daily = sum((mine.get(day, Decimal(0)) for day in days), Decimal(0)) / len(days)
        found[one.pk] = Realised(cents((baseline - daily) * 30), len(days))
    return found


def _moved(proposal: SavingProposal, verb: Verb, actor: User) -> SavingProposal:
    """The proposal as it is now, held, in the state that the verb leads to."""
    if not may(actor, verb):
        raise PermissionDenied
    locks.hold_customer(proposal.customer)
    rows = SavingProposal.objects.select_for_update(of=("self",)).select_related("customer", "asset")
    proposal = rows.get(pk=proposal.pk)
    target = after(proposal.state, verb)
    if target is None:
        raise DomainError(
            _("It is %(state)s: that can no longer be done. Nothing was changed.")
            % {"state": proposal.get_state_display()},
            code="state",
        )
    proposal.state = ProposalState(target)
    return proposal


def _decided(proposal: SavingProposal, action: str, reason: str, actor: User, now: datetime) -> SavingProposal:
    proposal.decided_by, proposal.decided_at, proposal.reason = actor, now, reason.strip()[:LONGEST]
    proposal.save(update_fields=["state", "decided_by", "decided_at", "reason"])
    detail = {"reason": proposal.reason}
    audit.record(action=action, actor=actor, customer=proposal.customer, obj=proposal, detail=detail, now=now)
    messages.decided(proposal, now=now)
    live.publish(customer_id=proposal.customer_id, topic="costs", object_id=proposal.pk)
    return proposal
