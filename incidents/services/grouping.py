"""Putting incidents together and taking them apart by hand: grouping, merging duplicates, splitting alerts off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Severity, User
from incidents import clocks, contacting, locks, messages, timeline
from incidents.models import (
    Clock,
    Incident,
    IncidentAlert,
    IncidentAsset,
    IncidentKind,
    IncidentState,
    Merge,
    TimelineEntry,
)
from incidents.policy import freeze
from incidents.services import escalating
from incidents.services.marks import allowed, touch
from incidents.states import UNSOLVED, State, Verb
from notify import live

Kind = TimelineEntry.Kind


@transaction.atomic
def group(*, incident: Incident, parent: Incident, actor: User, now: datetime) -> Incident:
    """Hang an incident under another. Its clocks stop; the parent's count from the earlier start of the two."""
    child, root = _two(incident, parent)
    allowed(Verb.GROUP, child, actor)
    if root.parent_id is not None:
        raise DomainError(_("%(number)s is grouped itself: choose the one above it.") % {"number": root.number})
    if root.stage not in UNSOLVED:
        raise DomainError(_("%(number)s is solved already: nothing can be grouped under it.") % {"number": root.number})
    if child.parent_id == root.pk:
        return child
    moving = [child, *Incident.objects.select_for_update(no_key=True).filter(parent=child).order_by("pk")]
    clocks.carry(moving, now=now)
    escalating.stop(customer=root.customer, incidents=moving, because=escalating.Because.GROUPED, now=now)
    for each in moving:
        each.parent = root
        _note(each, Kind.GROUPED, "incident.group", {"under": root.number, "parent": root.pk}, actor=actor, now=now)
    _take_over(root, moving, now=now)
    data: dict[str, object] = {"children": [each.number for each in moving]}
    _note(root, Kind.GROUPED, "incident.group", data, actor=actor, now=now)
    return child


@transaction.atomic
def detach(*, incident: Incident, actor: User, now: datetime) -> Incident:
    """Let a grouped incident stand alone again: its clocks run from its own start, and people hear of it."""
    if incident.parent_id is None:
        raise DomainError(_("%(number)s is not grouped.") % {"number": incident.number}, code="not_grouped")
    held = locks.hold_all(incident.customer_id, [incident.pk, incident.parent_id])
    child, root = held[incident.pk], held[incident.parent_id]
    allowed(Verb.DETACH, child, actor)
    child.parent = None
    _count_again(child, now=now)
    _call_again([child], now=now)
    _note(child, Kind.GROUPED, "incident.detach", {"from": root.number}, actor=actor, now=now)
    _note(root, Kind.GROUPED, "incident.detach", {"freed": child.number}, actor=actor, now=now)
    messages.stands_alone(child, now=now)
    return child


@transaction.atomic
def merge(*, duplicate: Incident, into: Incident, reason: str, actor: User, now: datetime) -> Merge:
    """Close an incident as a duplicate. Its alerts and assets move; its talk and files are shown on the other."""
    gone, kept = _two(duplicate, into)
    allowed(Verb.MERGE, gone, actor)
    if kept.duplicate_of_id is not None or kept.stage not in UNSOLVED:
        raise DomainError(
            _("%(number)s is solved already: only an unsolved incident takes a duplicate in.") % {"number": kept.number}
        )
    if gone.children.exists():
        raise DomainError(
            _("Others are grouped under %(number)s: group them elsewhere first.") % {"number": gone.number}
        )
    before = _before(gone, kept)
    ran = clocks.carry([gone], now=now)
    escalating.stop(customer=kept.customer, incidents=[gone], because=escalating.Because.MERGED, now=now)
    moved = _move(gone, kept)
    record = Merge.objects.create(
        customer_id=kept.customer_id,
        incident=kept,
        duplicate=gone,
        reason=reason.strip(),
        merged_at=now,
        merged_by=actor,
        kept={**before, **moved, "clocks": [clock.pk for clock in ran]},
    )
    clocks.end_pause(gone, now=now)
    contacting.stop(gone, now=now)
    gone.state, gone.closed_at, gone.duplicate_of, gone.parent = IncidentState.CLOSED, now, kept, None
    Incident.objects.filter(duplicate_of=gone).update(duplicate_of=kept)
    _take_over(kept, [gone], now=now)
    data: dict[str, object] = {"into": kept.number, "incident": kept.pk}
    _note(gone, Kind.MERGED, "incident.merge", data, actor=actor, now=now, body=record.reason)
    data = {"duplicate": gone.number, "incident": gone.pk}
    _note(kept, Kind.MERGED, "incident.merge", data, actor=actor, now=now, body=record.reason)
    messages.merged(gone, kept, actor, now=now)
    return record


@transaction.atomic
def unmerge(*, incident: Incident, actor: User, now: datetime) -> Incident:
    """It was no duplicate: what had moved goes back, and its clocks run as if nothing had been."""
    record = Merge.objects.filter(duplicate=incident, undone_at=None).first()
    if record is None:
        raise DomainError(_("%(number)s is no duplicate.") % {"number": incident.number}, code="not_merged")
    gone, kept = _two(incident, record.incident)
    record = Merge.objects.select_for_update().get(pk=record.pk)
    allowed(Verb.UNMERGE, gone, actor)
    if not record.can_be_undone(now):
        raise DomainError(_("A merge can be undone within seven days. Nothing was changed: raise a new incident."))
    state = State(record.kept["state"])
    IncidentAlert.objects.filter(pk__in=record.kept["alerts"], incident=kept).update(incident=gone)
    IncidentAsset.objects.filter(incident=kept, asset__in=record.kept["assets"]).delete()
    gone.state = IncidentState(state)
    gone.closed_at = gone.duplicate_of = None
    gone.parent = Incident.objects.unsolved().filter(pk=record.kept["parent"], parent=None).first()
    _leave_storm(gone)
    clocks.run_again(gone, record.kept["clocks"], now=now)
    _call_again([gone], now=now)
    record.undone_at, record.undone_by = now, actor
    record.save(update_fields=["undone_at", "undone_by"])
    _give_back(kept, record, now=now)
    _note(gone, Kind.MERGED, "incident.unmerge", {"undone": kept.number}, actor=actor, now=now)
    _note(kept, Kind.MERGED, "incident.unmerge", {"undone": gone.number}, actor=actor, now=now)
    return gone


@transaction.atomic
def split(*, incident: Incident, alerts: Sequence[IncidentAlert], title: str, actor: User, now: datetime) -> Incident:
    """Give some of an incident's alerts an incident of their own. What was promised runs on from the same start."""
    old = locks.hold(incident)
    allowed(Verb.SPLIT, old, actor)
    rows = IncidentAlert.objects.filter(incident=old).select_related("asset").order_by("pk")
    wanted = {alert.pk for alert in alerts}
    going, staying = [one for one in rows if one.pk in wanted], [one for one in rows if one.pk not in wanted]
    if not going or len(going) != len(wanted):
        raise DomainError(_("Please choose alerts of this incident."), code="no_alerts")
    if not staying:
        raise DomainError(_("At least one alert has to stay. Nothing was changed."), code="nothing_stays")
    new = _split_off(old, going, title, actor, now)
    IncidentAlert.objects.filter(pk__in=[one.pk for one in going]).update(incident=new)
    left = {one.asset_id for one in staying}
    IncidentAsset.objects.bulk_create(
        IncidentAsset(customer_id=new.customer_id, incident=new, asset_id=asset_id)
        for asset_id in dict.fromkeys(one.asset_id for one in going)
    )
    IncidentAsset.objects.filter(incident=old, asset__in={one.asset_id for one in going} - left).delete()
    _call_again([new], now=now)
    _note(new, Kind.SPLIT, "incident.split", {"from": old.number}, actor=actor, now=now)
    _note(old, Kind.SPLIT, "incident.split", {"into": new.number}, actor=actor, now=now)
    return new


def _two(one: Incident, other: Incident) -> tuple[Incident, Incident]:
    """Both, held, once it is sure that they can have to do with each other."""
    held = locks.hold_all(one.customer_id, [one.pk, other.pk])
    if one.pk == other.pk:
        raise DomainError(_("An incident cannot be put together with itself."), code="same_incident")
    if other.pk not in held:
        raise DomainError(_("Both incidents must be of the same customer."), code="other_customer")
    first, second = held[one.pk], held[other.pk]
    if (first.kind == IncidentKind.INTERNAL) != (second.kind == IncidentKind.INTERNAL):
        raise DomainError(_("An internal incident and one that the customer sees stay apart."), code="internal")
    return first, second


def _take_over(root: Incident, others: Sequence[Incident], *, now: datetime) -> None:
    """What was promised for the others is promised on the root: the earliest start, the worst severity."""
    worst = min(each.severity for each in others)
    if worst < root.severity:
        _follow(root, Severity(worst), now=now)
    earliest = min(root.clock_started_at, *(each.clock_started_at for each in others))
    clocks.begin_at([(root, earliest)], now=now)


def _follow(root: Incident, severity: Severity, *, now: datetime) -> None:
    """The severity that its group makes; the caller times the clocks anew."""
    data: dict[str, object] = {"old": root.severity, "new": severity.value, "by_grouping": True}
    root.severity = severity
    root.policy = freeze(customer=root.customer, severity=severity, now=now).as_json()
    timeline.write(root, Kind.SEVERITY, actor=None, now=now, data=data)


def _count_again(child: Incident, *, now: datetime) -> None:
    """The clocks of one that stands alone again: those it had, or those it never got because it opened as a child."""
    known = list(Clock.objects.filter(incident=child))
    if not known:
        clocks.start([(child, clocks.plan(child, now=now))], now=now)
        if child.acknowledged_at is not None:
            _is_in_hand(child, child.acknowledged_at, now)
        return
    owed = [Clock.Kind.HANDLING] if child.acknowledged_at is not None else [Clock.Kind.RESPONSE, Clock.Kind.HANDLING]
    latest = {clock.kind: clock for clock in sorted(known, key=lambda one: one.round)}
    clocks.run_again(child, [clock.pk for kind, clock in latest.items() if kind in owed], now=now)
    if child.acknowledged_at is not None:
        _is_in_hand(child, child.acknowledged_at, now)


def _is_in_hand(incident: Incident, since: datetime, now: datetime) -> None:
    """Somebody had answered before it stood alone: the customer hears of it as a stage report from now on."""
    clocks.stop(incident, Clock.Kind.RESPONSE, now=since)
    clocks.begin(incident, Clock.Kind.STAGE_REPORT, since=now)
    clocks.arm(incident, now=now)


def _call_again(freed: Sequence[Incident], *, now: datetime) -> None:
    """Of those that stand alone now, the ones that nobody has in hand wait for somebody again."""
    for incident in freed:
        if incident.stage is State.OPEN and incident.parent_id is None:
            again = escalating.Because.AGAIN
            escalating.begin_again(customer=incident.customer, incidents=[incident], because=again, now=now)


def _before(gone: Incident, kept: Incident) -> dict[str, object]:
    return {
        "state": gone.state,
        "parent": gone.parent_id,
        "clock_started_at": kept.clock_started_at.isoformat(),
        "severity": kept.severity,
    }


def _move(gone: Incident, kept: Incident) -> dict[str, object]:
    """Alerts move, assets are added; what was moved is returned for the undoing."""
    alerts = IncidentAlert.objects.filter(incident=gone)
    moved = list(alerts.values_list("pk", flat=True))
    alerts.update(incident=kept)
    has = set(IncidentAsset.objects.filter(incident=kept).values_list("asset_id", flat=True))
    theirs = IncidentAsset.objects.filter(incident=gone).values_list("asset_id", flat=True)
    added = sorted(set(theirs) - has)
    IncidentAsset.objects.bulk_create(
        IncidentAsset(customer_id=kept.customer_id, incident=kept, asset_id=asset_id) for asset_id in added
    )
    return {"alerts": moved, "assets": added}


def _give_back(kept: Incident, record: Merge, *, now: datetime) -> None:
    """The start and the severity that the duplicate had lent, unless another one or a person set them since."""
    started, severity = datetime.fromisoformat(record.kept["clock_started_at"]), Severity(record.kept["severity"])
    later = Merge.objects.filter(incident=kept, undone_at=None).exists()
    if later or kept.stage not in UNSOLVED or (started, severity) == (kept.clock_started_at, kept.severity):
        return
    judged = TimelineEntry.objects.filter(incident=kept, kind=Kind.SEVERITY, at__gt=record.merged_at)
    if severity != kept.severity and not judged.exists():
        _follow(kept, severity, now=now)
    clocks.begin_at([(kept, started)], now=now)


def _leave_storm(incident: Incident) -> None:
    """Its asset's alarms may gather elsewhere by now."""
    if incident.storm_asset_id is None or incident.stage not in UNSOLVED:
        return
    unsolved = Incident.objects.unsolved().filter(storm_asset=incident.storm_asset_id).exclude(pk=incident.pk)
    if unsolved.exists():
        incident.storm_asset = None


def _split_off(old: Incident, going: Sequence[IncidentAlert], title: str, actor: User, now: datetime) -> Incident:
    severity = Severity(min(one.severity for one in going))
    asset = going[0].asset
    gathers = Incident.objects.unsolved().filter(storm_asset=asset).exists()
    new = Incident(
        customer=old.customer,
        kind=old.kind,
        title=" ".join(title.split())[:200] or going[0].title,
        description=old.description,
        severity=severity,
        category=old.category,
        source=old.source,
        raised_by=old.raised_by,
        assignee=old.assignee,
        storm_asset=None if gathers else asset,
        detected_at=min(one.occurred_at for one in going),
        clock_started_at=old.clock_started_at,
        opened_at=now,
        changed_at=now,
        policy=freeze(customer=old.customer, severity=severity, now=now).as_json(),
    )
    planned = [clock for clock in clocks.plan(new, now=now) if clock.kind != Clock.Kind.NOTICE]
    if old.acknowledged_at is not None:
        new.state = IncidentState.ACKNOWLEDGED
        new.acknowledged_at, new.acknowledged_by = old.acknowledged_at, old.acknowledged_by
    new.save(force_insert=True)
    clocks.start([(new, planned)], now=now)
    if old.acknowledged_at is not None:
        _is_in_hand(new, old.acknowledged_at, now)
    timeline.write(new, Kind.OPENED, actor=actor, now=now, data={"split_from": old.number})
    return new


def _note(
    incident: Incident,
    kind: TimelineEntry.Kind,
    action: str,
    data: dict[str, object],
    *,
    actor: User,
    now: datetime,
    body: str = "",
) -> None:
    touch(incident, now=now)
    timeline.write(incident, kind, actor=actor, now=now, data=data, body=body)
    audit.record(action=action, actor=actor, customer=incident.customer, obj=incident, detail=data, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
