"""Giving events of the audit trail their verdicts, and opening incidents for what is suspicious (R89, R91)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Prefetch
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import bulk
from accounts.models import Severity
from assets.aliyun.trail import record_of
from assets.models import Asset, CloudAccount, Credential, CredentialKind, Rotation
from changes.matching import EMERGENCY_BEFORE, Before, Facts, Happened, Judgement, Run, Verdict, Work, is_agreed, judge
from changes.models import (
    Change,
    ChangeEntry,
    ChangeKind,
    ChangeState,
    RunStep,
    TrailActor,
    TrailEvent,
    TrailEventAsset,
    TrailReading,
    TrailVerdict,
)
from changes.models.trail import TrailEventQuerySet
from changes.trail_rules import Rule, actions, rules
from changes.words import said
from incidents import locks
from incidents.models import Incident, IncidentKind
from incidents.models.incident import UNSOLVED_STATES
from incidents.services.opening import open_by_platform
from notify import live

LANGUAGE: Final = "zh-hans"
"""Of incidents that the platform opens, as for alarms."""
REMEMBERED: Final = timedelta(days=1)
"""Before the first of the events: changes that ended earlier explain none of them."""
UNDONE_WITHIN: Final = timedelta(days=1)
"""How long the undoing of a failure explains what is done: there is no window for it, and it is begun at once or in the
night that follows."""
FAILURES: Final = (ChangeEntry.Kind.FAILED, ChangeEntry.Kind.OBJECTED)
OVERLAP: Final = timedelta(minutes=5)
"""A change that was pressed before a look may be committed after it."""
SIGN_IN: Final = "ConsoleSignin"
LONGEST_BURST: Final = max((rule.burst.within for rule in rules().values() if rule.burst), default=timedelta())
NEWS: Final = timedelta(minutes=15)
"""So much before its first reading begin the news of a region."""
JUDGED: Final = ("verdict", "because", "rule", "known_as", "change", "incident")
FEW: Final = 500


def judge_new(*, account: CloudAccount, events: Sequence[TrailEvent], began_at: datetime, now: datetime) -> None:
    """Verdicts for events that were stored just now, oldest first. The caller holds the customer.

    What is suspicious opens an incident when it came after `began_at`, since when its region is read; what was there
    before is only listed.
    """
    for at in range(0, len(events), FEW):
        _judge(account, events[at : at + FEW], began_at, now)


@transaction.atomic
def judge_again(*, account: CloudAccount, events: Iterable[TrailEvent], now: datetime) -> int:
    """Verdicts of the machine once more, because something else is known now; returns how many are others."""
    locks.hold_customer(account.customer)
    wanted = [event.pk for event in events]
    rows = TrailEvent.objects.select_for_update(of=("self",)).filter(pk__in=wanted).by_machine()
    held = list(rows.order_by("occurred_at", "pk"))
    before = {event.pk: (event.verdict, event.change_id) for event in held}
    judge_new(account=account, events=held, began_at=_began(account, now), now=now)
    changed = sum(before[event.pk] != (event.verdict, event.change_id) for event in held)
    if changed:
        live.publish(customer_id=account.customer_id, topic="trail", object_id=account.pk)
    return changed


def follow_changes(*, account: CloudAccount, now: datetime) -> int:
    """Look again at what nobody explained, around the changes that moved since the last look: one may have been begun
    or written down late, or its window's end was moved. Returns how many events found their change."""
    readings = TrailReading.objects.filter(cloud_account=account)
    judged_at = min(readings.values_list("judged_at", flat=True), default=now)
    moved = Change.objects.filter(
        customer=account.customer_id, begun_at__isnull=False, changed_at__gt=judged_at, changed_at__lte=now
    )
    found = 0
    for change in moved.prefetch_related(_failures()):
        for work in _works(change, account.pk, ()):
            rows = TrailEvent.objects.filter(cloud_account=account, occurred_at__range=work.span)
            found += judge_again(account=account, events=rows.unexplained().by_machine(), now=now)
    readings.filter(judged_at__lt=now - OVERLAP).update(judged_at=now - OVERLAP)
    return found


def judgement_of(*, event: TrailEvent) -> Judgement:
    """What the machine makes of one event now, whatever a person said."""
    facts, assets = facts_around(event.cloud_account, [event]), _asset_ids([event])
    return judge(
        happened(event, assets[event.pk]),
        facts,
        rules=rules().values(),
        actions=actions(),
        before=_before(event, frozenset()),
    )


def apply(event: TrailEvent, found: Judgement) -> None:
    """Put a judgement on an event; the caller saves it."""
    event.verdict = TrailVerdict(found.verdict)
    event.because = TrailEvent.Because(found.because)
    event.rule, event.known_as, event.change_id = found.rule, found.who[:120], found.change


def _judge(account: CloudAccount, events: Sequence[TrailEvent], began_at: datetime, now: datetime) -> None:
    if not events:
        return
    facts, assets = facts_around(account, events), _asset_ids(events)
    these = {event.pk: happened(event, assets[event.pk]) for event in events}
    agreed = frozenset(pk for pk, one in these.items() if is_agreed(one, facts, actions()))
    for event in events:
        before = _before(event, agreed)
        found = judge(these[event.pk], facts, rules=rules().values(), actions=actions(), before=before)
        apply(event, found)
        is_news = event.occurred_at >= began_at - NEWS
        if found.verdict is Verdict.SUSPICIOUS and event.incident_id is None and is_news:
            event.incident = report(event, rules()[found.rule], now=now)
            event.save(update_fields=JUDGED)  # the next one of this person finds it
    bulk.update(events, list(JUDGED))


def _began(account: CloudAccount, now: datetime) -> datetime:
    """Since when some region of the account is read: rather an alarm of what is old than none of what is new."""
    return min(TrailReading.objects.filter(cloud_account=account).values_list("began_at", flat=True), default=now)


# --- what is known around events --------------------------------------------------------------------------------------


def happened(event: TrailEvent, asset_ids: frozenset[int]) -> Happened:
    record = record_of(event.raw)
    return Happened(
        service=event.service,
        action=event.action,
        actor_type=event.actor_type,
        actor_name=event.actor_name.partition("@")[0],
        access_key_id=event.access_key_id,
        origin=event.origin,
        request_id=event.request_id,
        occurred_at=event.occurred_at,
        is_refused=bool(event.error_code),
        asset_ids=asset_ids,
        key_ids=frozenset() if record is None else record.key_ids,
        parameters={} if record is None else record.parameters,
    )


def facts_around(account: CloudAccount, events: Sequence[TrailEvent]) -> Facts:
    """Changes, runs and people that may explain these events, in a constant number of queries."""
    first, last = min(event.occurred_at for event in events), max(event.occurred_at for event in events)
    rows = Change.objects.filter(customer=account.customer_id, begun_at__lte=last + EMERGENCY_BEFORE)
    rows = rows.exclude(state__in=(ChangeState.CLOSED, ChangeState.ROLLED_BACK), ended_at__lt=first - REMEMBERED)
    begun = rows.prefetch_related("assets", _failures())
    works = [work for change in begun for work in _works(change, account.pk, change.assets.all())]
    ours = {account.key_user, account.ram_username}
    mine = Credential.objects.filter(cloud_account=account, retired_at=None)
    ours |= set(mine.filter(kind=CredentialKind.CONSOLE).values_list("username", flat=True))
    keys = set(mine.filter(kind=CredentialKind.ACCESS_KEY).values_list("access_key_id", flat=True))
    rotated = Rotation.objects.filter(credential__cloud_account=account).values_list("old_key_id", "new_key_id")
    known = TrailActor.objects.filter(customer=account.customer_id).known().values_list("name", "person")
    return Facts(
        works=works,
        runs=runs_of({event.request_id for event in events} - {""}, account.customer_id),
        rotated_keys=frozenset(key for pair in rotated for key in pair if key),
        ours=frozenset(name.partition("@")[0].lower() for name in ours if name),
        our_keys=frozenset(keys | {account.access_key_id}) - {""},
        people={name.lower(): person for name, person in known},
    )


def runs_of(request_ids: set[str], customer_id: int) -> Mapping[str, Run]:
    """The calls among these that the platform made itself: the steps of its runs keep their requests."""
    if not request_ids:
        return {}
    steps = RunStep.objects.filter(customer=customer_id, request_ids__has_any_keys=sorted(request_ids))
    return {
        request_id: Run(step.run.change.number, step.run.change_id)
        for step in steps.select_related("run__change")
        for request_id in step.request_ids
        if request_id in request_ids
    }


def _failures() -> Prefetch[Any]:
    return Prefetch("entries", ChangeEntry.objects.filter(kind__in=FAILURES))


def _works(change: Change, account_id: int, assets: Iterable[Asset]) -> list[Work]:
    """What a begun change explains: its work, at most until its window ends, and the undoing of what failed. A change
    that nobody ends explains nothing after its window. The change comes with its `_failures`."""
    begun_at = change.begun_at or change.created_at
    window = change.ends_at or begun_at  # none is begun without one
    places = {asset.pk: asset.cloud_account_id for asset in assets}
    work = Work(
        pk=change.pk,
        operation=change.operation,
        asset_ids=frozenset(places),
        begun_at=begun_at,
        ends_at=max(begun_at, min(change.finished_at or change.ended_at or window, window)),
        is_emergency=change.kind == ChangeKind.EMERGENCY,
        in_account=not places or account_id in places.values(),
    )
    failed_at = max((entry.at for entry in change.entries.all()), default=None)
    if failed_at is None:
        return [work]
    limit = failed_at + UNDONE_WITHIN
    return [work, replace(work, begun_at=failed_at, ends_at=min(change.ended_at or limit, limit), is_emergency=False)]


def _asset_ids(events: Sequence[TrailEvent]) -> dict[int, frozenset[int]]:
    found: dict[int, set[int]] = {event.pk: set() for event in events}
    links = TrailEventAsset.objects.filter(event__in=list(found))
    for event_id, asset_id in links.values_list("event_id", "asset_id"):
        found[event_id].add(asset_id)
    return {pk: frozenset(ids) for pk, ids in found.items()}


def _before(event: TrailEvent, agreed: frozenset[int]) -> Before:
    """What this person did around or before; `agreed` are deletions of the same page that somebody agreed on."""
    same = TrailEvent.objects.filter(cloud_account=event.cloud_account_id, actor_name=event.actor_name)
    deletions: list[datetime] = []
    origins: frozenset[str] | None = None
    if LONGEST_BURST and actions().is_deletion(event.service, event.action):
        near = same.exclude(pk__in={event.pk, *agreed}).filter(
            error_code="", occurred_at__range=(event.occurred_at - LONGEST_BURST, event.occurred_at + LONGEST_BURST)
        )
        deletions = [one.occurred_at for one in _not_agreed(near) if actions().is_deletion(one.service, one.action)]
    if event.action == SIGN_IN and TrailReading.objects.filter(cloud_account=event.cloud_account_id).are_complete():
        earlier = same.filter(action=SIGN_IN, error_code="", occurred_at__lt=event.occurred_at).exclude(origin="")
        found = frozenset(earlier.exclude(pk=event.pk).values_list("origin", flat=True).distinct())
        origins = found or None  # somebody who never signed in before has no usual place
    return Before(deletions, origins)


def _not_agreed(near: TrailEventQuerySet) -> TrailEventQuerySet:
    """Without what the platform did itself, what was the removal of its asset under a change, as `is_agreed` says of
    one, and what a person assigned to a change."""
    removed = near.filter(
        verdict=TrailVerdict.CHANGE,
        change__operation__in=actions().removals,
        touched__asset=F("change__touched__asset"),
    )
    rows = near.exclude(verdict=TrailVerdict.AUTOMATION).exclude(pk__in=removed.values("pk"))
    return rows.exclude(verdict=TrailVerdict.CHANGE, decided_by__isnull=False).defer("raw")


# --- incidents --------------------------------------------------------------------------------------------------------


def report(event: TrailEvent, rule: Rule | None, *, now: datetime) -> Incident:
    """The incident of a suspicious event: one for a rule and a person as long as it is not solved (R89)."""
    if rule is not None:
        same = TrailEvent.objects.filter(
            cloud_account=event.cloud_account_id, rule=rule.code, actor_name=event.actor_name,
            incident__state__in=UNSOLVED_STATES,
        )  # fmt: skip
        known = same.select_related("incident").order_by("pk").first()
        if known is not None and known.incident is not None:
            return known.incident
    with translation.override(LANGUAGE):
        name = said(rule.name) if rule is not None else _("Suspicious operation on the cloud account")
        title = _("%(what)s: %(who)s · %(action)s") % {"what": name, "who": event.who, "action": event.action}
        lines = [
            said(rule.advice) if rule is not None else "",
            _("Account: %(account)s") % {"account": event.cloud_account},
            _("Who: %(who)s (%(type)s) from %(ip)s")
            % {"who": event.who, "type": event.actor_type, "ip": event.source_ip or "—"},
            _("What: %(service)s %(action)s %(resources)s")
            % {"service": event.service, "action": event.action, "resources": ", ".join(event.resources[:10])},
            _("Event of the audit trail: %(id)s") % {"id": event.event_id},
        ]
        return open_by_platform(
            customer=event.cloud_account.customer,
            kind=IncidentKind.INCIDENT,
            title=title[:200],
            description="\n".join(filter(None, lines)),
            severity=Severity[rule.severity.upper()] if rule is not None else Severity.HIGH,
            detected_at=now,
            assets=list(event.assets.all()),
            category=Incident.Category.ALIYUN,
            now=now,
        )
