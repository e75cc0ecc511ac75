"""What people decide about events of the audit trail, who is known on a cloud, and how a month was reconciled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import CloudAccount
from changes.models import Change, TrailActor, TrailEvent, TrailReading, TrailVerdict
from changes.services import trail_judging
from changes.services.marks import required
from incidents import locks
from notify import live

NEAR: Final = timedelta(days=7)
"""How far from an event the changes lie that are offered for it."""


def may_decide(person: User) -> bool:
    return person.is_provider


@transaction.atomic
def belongs_to(*, event: TrailEvent, change: Change, actor: User, now: datetime) -> TrailEvent:
    """It was done under this change, whatever its clock says."""
    event = _hold(event, actor)
    if change.customer_id != event.customer_id:
        raise PermissionDenied
    if change.begun_at is None:
        raise DomainError(
            _("%(number)s was never begun: nothing was done under it.") % {"number": change.number}, code="never_begun"
        )
    event.change = change
    return _decided(event, TrailVerdict.CHANGE, actor, now, change=change.number)


@transaction.atomic
def harmless(*, event: TrailEvent, reason: str, actor: User, now: datetime) -> TrailEvent:
    """It is known why it was done, and nothing is wrong with it."""
    event = _hold(event, actor)
    event.change = None
    event.reason = required(reason, _("Please write how it is known to be harmless."))[:400]
    return _decided(event, TrailVerdict.HARMLESS, actor, now, reason=event.reason)


@transaction.atomic
def suspicious(*, event: TrailEvent, actor: User, now: datetime) -> TrailEvent:
    """Something is wrong with it: an incident is opened, unless it has one."""
    event = _hold(event, actor)
    event.change = None
    if event.incident is None:
        event.incident = trail_judging.report(event, event.broken, now=now)
    return _decided(event, TrailVerdict.SUSPICIOUS, actor, now, incident=event.incident.number)


@transaction.atomic
def undo(*, event: TrailEvent, actor: User, now: datetime) -> TrailEvent:
    """Take a person's verdict back: the machine's holds again. An incident that was opened stays, as all do."""
    event = _hold(event, actor)
    if event.decided_by_id is None:
        raise DomainError(_("Nobody has decided about this event: there is nothing to take back."), code="not_decided")
    before = event.verdict
    trail_judging.apply(event, trail_judging.judgement_of(event=event))
    event.decided_by, event.decided_at, event.reason = None, None, ""
    return _saved(event, "undo", actor, now, {"before": before, "after": event.verdict})


def nearby(event: TrailEvent) -> Iterable[Change]:
    """Changes that the event may belong to: those on its assets first, then the nearest in time."""
    rows = Change.objects.filter(
        customer=event.customer_id, begun_at__gte=event.occurred_at - NEAR, begun_at__lte=event.occurred_at + NEAR
    )
    touched = set(event.assets.values_list("pk", flat=True))

    def distance(change: Change) -> tuple[bool, timedelta]:
        shares = bool(touched & {asset.pk for asset in change.assets.all()})
        return not shares, abs((change.begun_at or change.created_at) - event.occurred_at)

    return sorted(rows.prefetch_related("assets")[:200], key=distance)[:50]


def _hold(event: TrailEvent, actor: User) -> TrailEvent:
    if not may_decide(actor):
        raise PermissionDenied
    locks.hold_customer(event.customer)
    rows = TrailEvent.objects.select_for_update(of=("self",)).select_related("customer", "cloud_account", "incident")
    return rows.get(pk=event.pk)


def _decided(event: TrailEvent, verdict: TrailVerdict, actor: User, now: datetime, **detail: str) -> TrailEvent:
    before = event.verdict
    event.verdict, event.because = verdict, TrailEvent.Because.PERSON
    event.known_as, event.decided_by, event.decided_at = "", actor, now
    if verdict != TrailVerdict.HARMLESS:
        event.reason = ""
    return _saved(event, verdict, actor, now, {"before": before, **detail})


def _saved(event: TrailEvent, verb: str, actor: User, now: datetime, detail: dict[str, str]) -> TrailEvent:
    event.save()
    told = {"event": event.event_id, "action": f"{event.service}:{event.action}", "who": event.who, **detail}
    audit.record(action=f"trail.{verb}", actor=actor, customer=event.customer, obj=event, detail=told, now=now)
    live.publish(customer_id=event.customer_id, topic="trail", object_id=event.cloud_account_id)
    return event


# --- who is known -----------------------------------------------------------------------------------------------------


@transaction.atomic
def know(*, customer: Customer, name: str, person: str, actor: User | None, now: datetime) -> TrailActor:
    """Put a RAM user or role on the list of the customer's people; what they did and nobody explained is explained."""
    if actor is not None and not may_decide(actor):
        raise PermissionDenied
    locks.hold_customer(customer)
    name = required(name, _("Please write the RAM user or role.")).partition("@")[0]
    person = required(person, _("Please write who that is."))
    try:
        with transaction.atomic():
            made = TrailActor.objects.create(
                customer=customer, name=name[:128], person=person[:120], created_by=actor, created_at=now
            )
    except IntegrityError:
        raise DomainError(_("%(name)s is on the list already.") % {"name": name}, code="known_already") from None
    audit.record(
        action="trail.know", actor=actor, customer=customer, obj=made, detail={"name": name, "who": person}, now=now
    )
    for account in CloudAccount.objects.filter(customer=customer).select_related("customer"):
        rows = TrailEvent.objects.filter(cloud_account=account, actor_name__istartswith=name)
        trail_judging.judge_again(account=account, events=rows.unexplained(), now=now)
    return made


@transaction.atomic
def forget(*, known: TrailActor, actor: User, now: datetime) -> None:
    """From now on they are nobody we know; verdicts that were given stay."""
    if not may_decide(actor):
        raise PermissionDenied
    locks.hold_customer(known.customer)
    if TrailActor.objects.known().filter(pk=known.pk).update(ended_at=now):
        detail = {"name": known.name, "who": known.person}
        audit.record(action="trail.forget", actor=actor, customer=known.customer, obj=known, detail=detail, now=now)


# --- months -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A customer's month: events by verdict, and how many suspicious ones have their incident."""

    customer: Customer
    counts: dict[str, int]
    incidents: int

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def unexplained(self) -> int:
        return self.counts[TrailVerdict.UNMATCHED]

    @property
    def shown(self) -> list[int]:
        return [self.counts[verdict] for verdict in TrailVerdict.values]

    @property
    def explained_percent(self) -> int:
        """Rounded down: one that nobody explained is never "100 %"."""
        return 100 * (self.total - self.unexplained) // self.total if self.total else 100


def month_of(first: date) -> tuple[datetime, datetime]:
    """Both ends of a month on the platform's wall clock."""
    after = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    starts, ends = (timezone.make_aware(datetime.combine(day, time.min)) for day in (first.replace(day=1), after))
    return starts, ends


def reconciled(first: date) -> list[Reconciled]:
    """The month of every customer in scope who has an audit trail."""
    starts, ends = month_of(first)
    rows = TrailEvent.objects.filter(occurred_at__gte=starts, occurred_at__lt=ends)
    counts: dict[int, dict[str, int]] = {}
    for row in rows.values("customer_id", "verdict").annotate(count=Count("pk")).order_by():
        counts.setdefault(row["customer_id"], {})[row["verdict"]] = row["count"]
    opened = dict(
        rows.exclude(incident=None).values("customer_id").annotate(count=Count("incident", distinct=True)).order_by()
        .values_list("customer_id", "count")
    )  # fmt: skip
    wanted = set(TrailReading.objects.values_list("customer_id", flat=True)) | counts.keys()
    return [
        Reconciled(
            customer,
            {verdict: counts.get(customer.pk, {}).get(verdict, 0) for verdict in TrailVerdict.values},
            opened.get(customer.pk, 0),
        )
        for customer in Customer.objects.filter(pk__in=wanted).order_by("name", "pk")
    ]
