"""Looking for what could be saved (R137): what monitoring measured, what the cloud lists as unattached, and the bills.

A resource whose figures are missing is named as unjudged and never taken for idle. The evidence of a proposal is kept
as it was then; the graphs on its page show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import Sum
from django.utils import translation

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer
from assets.aliyun import AliyunError
from assets.aliyun.unused import Unattached, unattached
from assets.models import Asset, CloudAccount
from assets.services import client_for
from costs import settling, waste
from costs.models import BillDay, BillLine, BillReading, Charge, ProposalKind, ProposalState, SavingProposal
from costs.models.proposals import HEADLINES, SavingProposalQuerySet
from costs.money import cents
from costs.services import messages, resources
from costs.services.reading import Pace
from incidents import locks
from monitoring import storage
from monitoring.models import Series
from notify import live

EVERY: Final = timedelta(hours=20)
COST_DAYS: Final = 30
ORDER_DAYS: Final = 183
"""Over which orders of subscriptions are spread out."""
HALF: Final = Decimal("0.5")
"""One size smaller costs half."""
STOPPED_FOR: Final = timedelta(days=7)
"""Who stops an instance for the weekend is told nothing."""
TAKEN_UP_WITHIN: Final = timedelta(days=90)
"""What is found again so soon after it was not is the same proposal, and nobody is told twice."""
REJECTED_FOR: Final = timedelta(days=90)
DONE_FOR: Final = timedelta(days=30)
MOST_UNJUDGED: Final = 200
HOUR_S: Final = 3600
LANGUAGE: Final = "zh-hans"
"""Of titles that the platform writes, as for incidents that it opens."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that could be saved."""

    kind: ProposalKind
    instance_id: str
    name: str
    asset: Asset | None = None
    share: Decimal = Decimal(1)
    facts: Mapping[str, object] = field(default_factory=dict)


@transaction.atomic
def claim(*, now: datetime, limit: int = 50) -> list[tuple[int, int]]:
    """Take accounts that were not looked at for a day: customer and reading. Needs a platform scope."""
    rows = BillReading.objects.filter(cloud_account__retired_at=None, cloud_account__is_enabled=True)
    rows = rows.exclude(customer__status=Customer.Status.LEFT).exclude(looked_at__gt=now - EVERY)
    rows = rows.exclude(read_at=None, problem_code="")  # the first bills tell what a proposal would save
    taken = list(rows.select_for_update(skip_locked=True, of=("self",)).order_by("pk")[:limit])
    BillReading.objects.filter(pk__in=[row.pk for row in taken]).update(looked_at=now)
    return [(row.customer_id, row.pk) for row in taken]


def look(*, reading_id: int, now: datetime) -> list[SavingProposal]:
    """Look through one account; returns what is proposed for the first time. Needs the customer's scope."""
    reading = BillReading.objects.select_related("cloud_account__customer").get(pk=reading_id)
    account = reading.cloud_account
    found, unjudged = judged(account, now)
    found, reading.stopped = _long_stopped(found, reading.stopped, now)
    loose, is_complete = _loose(account, now)
    found += [_of_loose(one) for one in loose]
    sure = {ProposalKind.IDLE, ProposalKind.OVERSIZED, ProposalKind.STOPPED}
    sure |= {ProposalKind.DISK, ProposalKind.EIP} if is_complete else set()
    priced = [Priced(one, monthly_cost(account.customer_id, one.instance_id, now)) for one in found]
    new = _keep(account, priced, sure, {one["asset"] for one in unjudged}, now)
    reading.looked_at, reading.unjudged = now, unjudged[:MOST_UNJUDGED]
    reading.save(update_fields=["looked_at", "unjudged", "stopped"])
    live.publish(customer_id=account.customer_id, topic="costs", object_id=account.pk)
    return new


# --- by what was measured ---------------------------------------------------------------------------------------------


def judged(account: CloudAccount, now: datetime) -> tuple[list[Finding], list[dict[str, object]]]:
    """What stands still or is too large, and what cannot be judged."""
    assets = list(Asset.objects.filter(cloud_account=account, kind__in=waste.LIMITS).active().order_by("pk"))
    measured = measure(assets, now)
    found: list[Finding] = []
    unjudged: list[dict[str, object]] = []
    for asset in assets:
        if asset.status == Asset.Status.STOPPED:
            found.append(Finding(ProposalKind.STOPPED, asset.provider_id, asset.name, asset))
            continue
        verdict = waste.judge(asset.kind, measured.get(asset.pk, {}))
        if verdict.use is waste.Use.UNKNOWN:
            unjudged.append({"asset": asset.pk, "name": asset.name, "lacking": list(verdict.lacking)})
        elif verdict.use in (waste.Use.IDLE, waste.Use.OVERSIZED):
            is_idle = verdict.use is waste.Use.IDLE
            found.append(
                Finding(
                    ProposalKind.IDLE if is_idle else ProposalKind.OVERSIZED,
                    asset.provider_id,
                    asset.name,
                    asset,
                    Decimal(1) if is_idle else HALF,
                    {"days": waste.DAYS, "spec": asset.spec, "metrics": [_shown(one) for one in verdict.evidence]},
                )
            )
    return found, unjudged


def _long_stopped(
    found: Sequence[Finding], since: Mapping[str, str], now: datetime
) -> tuple[list[Finding], dict[str, str]]:
    """Without what was found stopped only lately; and since when each is stopped, by instance."""
    stopped = {one.instance_id for one in found if one.kind is ProposalKind.STOPPED}
    kept = {name: since.get(name, now.isoformat()) for name in sorted(stopped)}
    long = {name for name, at in kept.items() if datetime.fromisoformat(at) <= now - STOPPED_FOR}
    return [one for one in found if one.kind is not ProposalKind.STOPPED or one.instance_id in long], kept


def measure(assets: Sequence[Asset], now: datetime) -> dict[int, dict[str, waste.Measured]]:
    """The figures of each asset over the window, by hours; of several parts the busiest counts."""
    metrics = {limit.metric for limits in waste.LIMITS.values() for limit in limits}
    rows = list(Series.objects.filter(asset__in=[asset.pk for asset in assets], metric__in=metrics))
    start, hours = now - timedelta(days=waste.DAYS), waste.DAYS * 24
    found: dict[int, dict[str, waste.Measured]] = defaultdict(dict)
    for some in _by_asset(rows):
        kept = storage.rollup(series_ids=[row.pk for row in some], start=start, end=now, step_s=HOUR_S)
        for row in some:
            steps = kept[row.pk]
            if not len(steps.ts):
                continue
            one = waste.Measured(
                metric=row.metric,
                p95=waste.percentile(steps.mean.tolist()),
                peak=float(steps.high.max()),
                covered=min(1.0, len(steps.ts) / hours),
            )
            known = found[row.asset_id].get(row.metric)
            if known is None or (one.is_enough, one.p95) > (known.is_enough, known.p95):
                found[row.asset_id][row.metric] = one
    return dict(found)


def _by_asset(rows: Iterable[Series]) -> Iterator[list[Series]]:
    mine: dict[int, list[Series]] = defaultdict(list)
    for row in rows:
        mine[row.asset_id].append(row)
    yield from mine.values()


def _shown(one: waste.Measured) -> dict[str, object]:
    return {
        "metric": one.metric, "p95": round(one.p95, 2), "peak": round(one.peak, 2), "covered": round(one.covered, 3),
    }  # fmt: skip


# --- what hangs on nothing --------------------------------------------------------------------------------------------


def _loose(account: CloudAccount, now: datetime) -> tuple[Sequence[Unattached], bool]:
    """What the cloud lists as unattached, and whether all of it could be asked."""
    try:
        client = client_for(account, purpose="unattached resources", now=now).watched(Pace(account.account_uid))
        return unattached(client, account.regions), True
    except (AliyunError, DomainError):
        return (), False


def _of_loose(one: Unattached) -> Finding:
    facts: dict[str, object] = {"size": one.size, "region": one.region}
    if one.since is not None:
        facts["since"] = one.since.isoformat()
    return Finding(ProposalKind(one.kind), one.instance_id, one.name or one.instance_id, facts=facts)


# --- proposals --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Priced:
    """A finding and what its resource costs a month; None: the bills do not tell."""

    finding: Finding
    cost: Decimal | None

    @property
    def saving(self) -> Decimal | None:
        return None if self.cost is None else cents(self.cost * self.finding.share)

    def facts(self, account: CloudAccount) -> dict[str, object]:
        cost = None if self.cost is None else str(self.cost)
        return {**self.finding.facts, "name": self.finding.name, "account": account.pk, "cost": cost}


@transaction.atomic
def _keep(
    account: CloudAccount, found: Sequence[Priced], sure: set[ProposalKind], unjudged: set[object], now: datetime
) -> list[SavingProposal]:
    """Propose what is new, and take back what nobody decided on and is so no longer.

    What is known of a resource is known of the customer: an account that is registered again proposes nothing twice.
    """
    customer = account.customer
    locks.hold_customer(customer)
    same = CloudAccount.objects.filter(customer=customer, account_uid=account.account_uid)
    everything = SavingProposal.objects.filter(customer=customer)
    still = {(one.finding.kind.value, one.finding.instance_id) for one in found}
    mine = everything.filter(facts__account__in=list(same.values_list("pk", flat=True)))
    for proposal in mine.waiting().filter(kind__in=sure):
        if (proposal.kind, proposal.instance_id) not in still and proposal.asset_id not in unjudged:
            proposal.state = ProposalState.OBSOLETE
            proposal.save(update_fields=["state"])
            audit.record(action="saving.obsolete", actor=None, customer=customer, obj=proposal, now=now)
    new = []
    for one in found:
        known = everything.filter(kind=one.finding.kind, instance_id=one.finding.instance_id)
        if known.open().update(seen_at=now):
            _reckon_again(known.waiting(), one, account)
        elif known.answered(now - REJECTED_FOR, now - DONE_FOR).exists():
            continue
        elif _taken_up(known, now):
            _reckon_again(known.waiting(), one, account)
        else:
            new.append(_propose(account, one, now))
    if new:
        messages.proposed(customer, new, now=now)
    return new


def _taken_up(known: SavingProposalQuerySet, now: datetime) -> bool:
    """The same as not long ago: it is proposed again, and nobody is told once more."""
    lately = known.filter(state=ProposalState.OBSOLETE, seen_at__gt=now - TAKEN_UP_WITHIN)
    proposal = lately.order_by("-pk").first()
    if proposal is None:
        return False
    proposal.state, proposal.seen_at = ProposalState.PROPOSED, now
    proposal.save(update_fields=["state", "seen_at"])
    audit.record(action="saving.again", actor=None, customer=proposal.customer, obj=proposal, now=now)
    return True


def _reckon_again(waiting: SavingProposalQuerySet, priced: Priced, account: CloudAccount) -> None:
    """Until somebody decides, the estimate and the evidence follow what is found."""
    for proposal in waiting:
        facts = priced.facts(account)
        if (priced.saving, facts) != (proposal.monthly, proposal.facts):
            proposal.monthly, proposal.facts = priced.saving, facts
            proposal.save(update_fields=["monthly", "facts"])


def _propose(account: CloudAccount, priced: Priced, now: datetime) -> SavingProposal:
    finding = priced.finding
    with translation.override(LANGUAGE):
        title = str(HEADLINES[finding.kind]) % {"name": finding.name}
    proposal = SavingProposal.objects.create(
        customer=account.customer,
        kind=finding.kind,
        asset=finding.asset,
        instance_id=finding.instance_id,
        title=title[:200],
        facts=priced.facts(account),
        monthly=priced.saving,
        proposed_at=now,
        seen_at=now,
    )
    detail = {"kind": finding.kind.value, "instance": finding.instance_id, "monthly": str(proposal.monthly)}
    audit.record(action="saving.propose", actor=None, customer=account.customer, obj=proposal, detail=detail, now=now)
    return proposal


def monthly_cost(customer_id: int, instance_id: str, now: datetime) -> Decimal | None:
    """What a resource costs in 30 days: its use lately, and its orders spread over the half year; None: no bill names
    it."""
    rows = BillLine.objects.filter(customer=customer_id, instance_id=instance_id)
    if not rows.exists():
        return None
    today = settling.today(now)
    daily, days = resources.daily_cost(customer_id, instance_id, today - timedelta(days=COST_DAYS), today)
    first = today - timedelta(days=ORDER_DAYS)
    known = BillDay.objects.filter(customer=customer_id, day__gte=first).read().values("day").distinct().count()
    orders = rows.filter(charge=Charge.SUBSCRIPTION).between(first, today).aggregate(amount=Sum("amount"))["amount"]
    spread = (orders or Decimal(0)) / known * 30 if known else Decimal(0)
    return cents(daily * 30 + spread) if days or orders else None
