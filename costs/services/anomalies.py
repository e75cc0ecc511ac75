"""Finding days that cost more than usual, telling them once, and what people say to them (R135)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Max, Sum
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from costs import permissions, settling
from costs.anomaly import WEEKS, Threshold, Usual, judge
from costs.models import BillLine, CostAnomaly, CostThreshold
from costs.money import cents
from costs.services import figures, messages
from incidents import locks
from notify import live

LOOKED_AT: Final = timedelta(days=35)
"""Days that are judged again with each reading: corrections come late."""
TOLD_WITHIN: Final = timedelta(days=8)
"""Older days are found and listed, and nobody is woken for them."""
SAME_WITHIN: Final = timedelta(days=4)
"""Days apart by no more belong to one anomaly, weekends between them included."""
EXPECTED_FOR: Final = timedelta(days=56)
"""So long what is expected raises no other alarm, unless it is higher; then it is what is usual anyway."""
HIGHER: Final = Decimal("1.2")
MOVERS: Final = 5
Subject = tuple[str, str]
"""Product code and instance id; "" for the whole product."""
Name = tuple[str, str, int | None]
"""Product's name, resource's name, asset."""
Names = Mapping[Subject, Name]


@dataclass(frozen=True, slots=True)
class Found:
    """A day of a product or resource that is above its limit."""

    subject: Subject
    day: date
    amount: Decimal
    usual: Usual


def threshold_of(customer: Customer) -> Threshold:
    kept = CostThreshold.objects.filter(customer=customer).first()
    return kept.pure if kept else Threshold()


@transaction.atomic
def set_threshold(
    *, customer: Customer, deviations: Decimal, percent: int, amount: Decimal, actor: User, now: datetime
) -> CostThreshold:
    """Hear of more or of less. What was found stays found."""
    if not permissions.may_set_threshold(actor):
        raise PermissionDenied
    if not (1 <= deviations <= 50 and 0 <= percent <= 1000 and 0 <= amount <= 10_000_000):
        raise DomainError(_("These figures are out of range. Nothing was changed."), code="threshold")
    values = {"deviations": deviations, "percent": percent, "amount": amount, "changed_by": actor, "changed_at": now}
    kept, _made = CostThreshold.objects.update_or_create(customer=customer, defaults=values)
    detail = {"deviations": str(deviations), "percent": percent, "amount": str(amount)}
    audit.record(action="cost.threshold", actor=actor, customer=customer, obj=kept, detail=detail, now=now)
    return kept


def look(*, customer: Customer, now: datetime) -> list[CostAnomaly]:
    """Judge the last weeks once more; returns what was not known before. Needs the customer's scope.

    Everything is reckoned before the customer's turn is taken: its alarms do not wait for statistics.
    """
    today = settling.today(now)
    first = today - LOOKED_AT
    start = first - timedelta(weeks=WEEKS)
    settled = figures.ledger(customer.pk, start, today).whole
    judged = sorted(day for day in settled if day >= first)
    if not judged:
        return []
    resources = _by_resource(customer.pk, start, today)
    found = _found(resources, settled, judged, threshold_of(customer))
    if not found:
        return []
    lately = _Lately(resources, settled, _names(customer.pk, start))
    told = [_Told(one, *_named(one.subject, lately.names), _movers(one, lately)) for one in found]
    return _write(customer, told, now)


@transaction.atomic
def _write(customer: Customer, found: Sequence[_Told], now: datetime) -> list[CostAnomaly]:
    locks.hold_customer(customer)
    today = settling.today(now)
    fresh = [one for each in found if (one := _keep(customer, each, now)) is not None]
    for anomaly in fresh:
        if anomaly.last_day >= today - TOLD_WITHIN and anomaly.state == CostAnomaly.State.OPEN:
            messages.unusual(anomaly, now=now)
    return fresh


def _by_resource(customer_id: int, start: date, end: date) -> dict[Subject, dict[date, float]]:
    rows = BillLine.objects.filter(customer=customer_id).between(start, end).usage().order_by()
    found: dict[Subject, dict[date, float]] = defaultdict(dict)
    for code, instance_id, day, amount in rows.values_list("product_code", "instance_id", "day").annotate(
        amount=Sum("amount")
    ):
        found[code, instance_id][day] = float(amount)
    return dict(found)


def _found(
    resources: Mapping[Subject, Mapping[date, float]],
    settled: Collection[date],
    judged: Iterable[date],
    threshold: Threshold,
) -> list[Found]:
    """Products above their limits, and resources above theirs where the product as a whole hides it. A resource that is
    new is none by itself: one takes the place of another every day."""
    products: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    for (code, _instance), amounts in resources.items():
        for day, amount in amounts.items():
            products[code][day] += amount
    known_products = {code: figures.filled(amounts, settled) for code, amounts in products.items()}
    known_resources = {subject: figures.filled(amounts, settled) for subject, amounts in resources.items()}
    found: list[Found] = []
    for day in judged:
        loud = set()
        for code, known in known_products.items():
            verdict = judge(known, day, threshold)
            if verdict.is_anomaly and verdict.usual:
                loud.add(code)
                found.append(Found((code, ""), day, Decimal(str(verdict.amount)), verdict.usual))
        for subject, known in known_resources.items():
            if subject[0] in loud or not subject[1]:
                continue
            verdict = judge(known, day, threshold)
            if verdict.is_anomaly and verdict.usual and verdict.usual.middle > 0:
                found.append(Found(subject, day, Decimal(str(verdict.amount)), verdict.usual))
    return found


def _names(customer_id: int, start: date) -> Names:
    """What bills lately called a product and a resource, and its asset."""
    rows = BillLine.objects.filter(customer=customer_id, day__gte=start).order_by()
    grouped = rows.values_list("product_code", "instance_id").annotate(
        product=Max("product_name"), named=Max("name"), known=Max("asset_id")
    )
    return {(code, instance): (product, name, asset) for code, instance, product, name, asset in grouped}


def _named(subject: Subject, names: Names) -> Name:
    if subject[1]:
        return names.get(subject, ("", "", None))
    products = (product for (code, _instance), (product, *_rest) in names.items() if code == subject[0])
    return next(products, ""), "", None


@dataclass(frozen=True, slots=True)
class _Lately:
    """What the last weeks cost, and what things are called."""

    resources: Mapping[Subject, Mapping[date, float]]
    settled: Collection[date]
    names: Names


@dataclass(frozen=True, slots=True)
class _Told:
    """What was found, with everything that is written of it."""

    found: Found
    product: str
    name: str
    asset_id: int | None
    movers: list[dict[str, object]]


def _keep(customer: Customer, told: _Told, now: datetime) -> CostAnomaly | None:
    """The anomaly of a day if it is a new one. A day that goes on belongs to the one beside it, unless it is higher
    than what somebody called expected."""
    found = told.found
    amount, middle = cents(found.amount), cents(found.usual.middle)
    same = list(
        CostAnomaly.objects.filter(
            customer=customer, product_code=found.subject[0], instance_id=found.subject[1]
        ).order_by("-last_day", "-pk")
    )
    if any(known.first_day <= found.day <= known.last_day for known in same):
        return None
    quiet = [known for known in same if known.state != CostAnomaly.State.EXPECTED or amount <= known.amount * HIGHER]
    for known in quiet:
        if known.first_day - SAME_WITHIN <= found.day <= known.last_day + SAME_WITHIN:
            _go_on(known, found, amount, middle)
            return None
    for known in quiet:
        is_soon = timedelta(0) < found.day - known.last_day <= EXPECTED_FOR
        if known.state == CostAnomaly.State.EXPECTED and is_soon:
            return None
    anomaly = CostAnomaly.objects.create(
        customer=customer,
        product_code=found.subject[0],
        product_name=told.product or found.subject[0],
        instance_id=found.subject[1],
        name=told.name,
        asset_id=told.asset_id,
        first_day=found.day,
        last_day=found.day,
        days=[found.day.isoformat()],
        amount=amount,
        usual=middle,
        excess=amount - middle,
        weeks=found.usual.weeks,
        movers=told.movers,
        found_at=now,
    )
    audit.record(
        action="cost.anomaly", actor=None, customer=customer, obj=anomaly, now=now,
        detail={"day": found.day.isoformat(), "amount": str(amount), "usual": str(middle)},
    )  # fmt: skip
    live.publish(customer_id=customer.pk, topic="costs", object_id=anomaly.pk)
    return anomaly


def _go_on(known: CostAnomaly, found: Found, amount: Decimal, middle: Decimal) -> None:
    """What is expected keeps the level that somebody agreed to, or it would creep up day by day."""
    if amount > known.amount and known.state != CostAnomaly.State.EXPECTED:
        known.amount, known.usual = amount, middle
    known.excess += amount - middle
    known.days = [*known.days, found.day.isoformat()]
    known.first_day, known.last_day = min(known.first_day, found.day), max(known.last_day, found.day)
    known.save(update_fields=["amount", "usual", "excess", "days", "first_day", "last_day"])


def _movers(found: Found, lately: _Lately) -> list[dict[str, object]]:
    """The resources of the product that rose most on the day."""
    if found.subject[1]:
        return []
    risen = []
    for subject, amounts in lately.resources.items():
        if subject[0] == found.subject[0] and found.day in amounts:
            verdict = judge(figures.filled(amounts, lately.settled), found.day, Threshold())
            middle = verdict.usual.middle if verdict.usual else 0.0
            risen.append((amounts[found.day] - middle, subject, amounts[found.day], middle))
    return [
        {
            "instance_id": subject[1],
            "name": _named(subject, lately.names)[1] or subject[1],
            "asset": _named(subject, lately.names)[2],
            "amount": round(amount, 2),
            "usual": round(middle, 2),
        }
        for rise, subject, amount, middle in sorted(risen, key=lambda one: -one[0])[:MOVERS]
        if rise > 0
    ]


# --- what people say --------------------------------------------------------------------------------------------------


@transaction.atomic
def explain(*, anomaly: CostAnomaly, note: str, expected: bool, actor: User, now: datetime) -> CostAnomaly:
    """Say what it was. `expected`: the same level raises no other alarm in the next weeks."""
    if not permissions.may_explain(actor):
        raise PermissionDenied
    locks.hold_customer(anomaly.customer)
    anomaly = CostAnomaly.objects.select_for_update(of=("self",)).select_related("customer").get(pk=anomaly.pk)
    if anomaly.state != CostAnomaly.State.OPEN:
        raise DomainError(_("It is explained already. Nothing was changed."), code="explained")
    if not note.strip():
        raise DomainError(_("Please say what it was. Nothing was changed."), code="note_missing")
    anomaly.state = CostAnomaly.State.EXPECTED if expected else CostAnomaly.State.EXPLAINED
    anomaly.note, anomaly.explained_by, anomaly.explained_at = note.strip()[:1000], actor, now
    anomaly.save(update_fields=["state", "note", "explained_by", "explained_at"])
    detail = {"state": anomaly.state, "note": anomaly.note}
    audit.record(action="cost.explain", actor=actor, customer=anomaly.customer, obj=anomaly, detail=detail, now=now)
    live.publish(customer_id=anomaly.customer_id, topic="costs", object_id=anomaly.pk)
    return anomaly


@transaction.atomic
def reopen(*, anomaly: CostAnomaly, actor: User, now: datetime) -> CostAnomaly:
    """Take the explanation back; the log keeps it."""
    if not permissions.may_explain(actor):
        raise PermissionDenied
    locks.hold_customer(anomaly.customer)
    anomaly = CostAnomaly.objects.select_for_update(of=("self",)).select_related("customer").get(pk=anomaly.pk)
    if anomaly.state == CostAnomaly.State.OPEN:
        raise DomainError(_("It is not explained. Nothing was changed."), code="not_explained")
    anomaly.state, anomaly.note, anomaly.explained_by, anomaly.explained_at = CostAnomaly.State.OPEN, "", None, None
    anomaly.save(update_fields=["state", "note", "explained_by", "explained_at"])
    audit.record(action="cost.reopen", actor=actor, customer=anomaly.customer, obj=anomaly, now=now)
    live.publish(customer_id=anomaly.customer_id, topic="costs", object_id=anomaly.pk)
    return anomaly
