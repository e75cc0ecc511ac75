"""Giving events of the audit trail their verdicts, and opening incidents for what is suspicious (R89, R91)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import bulk
from accounts.models import Severity
from assets.aliyun.trail import record_of
from assets.models import Asset, Credential, CredentialKind, Rotation
from changes.matching import EMERGENCY_BEFORE, Before, Facts, Happened, Judgement, Run, Verdict, Work, judge
from changes.models import (
    Change,
    ChangeState,
    RunStep,
    TrailActor,
    TrailEvent,
    TrailEventAsset,
    TrailReading,
    TrailVerdict,
)
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
OVERLAP: Final = timedelta(minutes=5)
"""A change that was pressed before a look may be committed after it."""
SIGN_IN: Final = "ConsoleSignin"
LONGEST_BURST: Final = max((rule.burst.within for rule in rules().values() if rule.burst), default=timedelta())
JUDGED: Final = ("verdict", "because", "rule", "known_as", "change", "incident")
FEW: Final = 500


def judge_new(*, reading: TrailReading, events: Sequence[TrailEvent], now: datetime) -> None:
    """Verdicts for events that were stored just now, oldest first. The caller holds the customer.

    What is suspicious opens an incident when it came after the account did; what was read afterwards is only listed.
    """
    for at in range(0, len(events), FEW):
        _judge(reading, events[at : at + FEW], now)


@transaction.atomic
def judge_again(*, reading: TrailReading, events: Iterable[TrailEvent], now: datetime) -> int:
    """Verdicts of the machine once more, because something else is known now; returns how many are others."""
    locks.hold_customer(reading.cloud_account.customer)
    wanted = [event.pk for event in events]
    rows = TrailEvent.objects.select_for_update(of=("self",)).filter(pk__in=wanted).by_machine()
    held = list(rows.order_by("occurred_at", "pk"))
    before = {event.pk: (event.verdict, event.change_id) for event in held}
    judge_new(reading=reading, events=held, now=now)
    changed = sum(before[event.pk] != (event.verdict, event.change_id) for event in held)
    if changed:
        live.publish(customer_id=reading.customer_id, topic="trail", object_id=reading.cloud_account_id)
    return changed


def follow_changes(*, reading: TrailReading, now: datetime) -> int:
    """Look again at what nobody explained, around the changes that moved since the last look: one may have been begun
    or written down late. Returns how many events found their change."""
    moved = Change.objects.filter(
        customer=reading.customer_id, begun_at__isnull=False, changed_at__gt=reading.judged_at, changed_at__lte=now
    )
    found = 0
    for change in moved:
        starts, ends = _work(change, reading.cloud_account_id, ()).span
        rows = TrailEvent.objects.filter(cloud_account=reading.cloud_account_id, occurred_at__gte=starts)
        rows = rows.unexplained().by_machine()
        found += judge_again(
            reading=reading, events=rows if ends is None else rows.filter(occurred_at__lte=ends), now=now
        )
    reading.judged_at = max(reading.judged_at, now - OVERLAP)
    reading.save(update_fields=["judged_at"])
    return found


def judgement_of(*, reading: TrailReading, event: TrailEvent) -> Judgement:
    """What the machine makes of one event now, whatever a person said."""
    return judge(
        happened(event, _asset_ids([event])[event.pk]),
        facts_around(reading, [event]),
        rules=rules().values(),
        actions=actions(),
        before=_before(event, reading, ()),
    )


def apply(event: TrailEvent, found: Judgement) -> None:
    """Put a judgement on an event; the caller saves it."""
    event.verdict = TrailVerdict(found.verdict)
    event.because = TrailEvent.Because(found.because)
    event.rule, event.known_as, event.change_id = found.rule, found.who[:120], found.change


def _judge(reading: TrailReading, events: Sequence[TrailEvent], now: datetime) -> None:
    if not events:
        return
    facts, assets = facts_around(reading, events), _asset_ids(events)
    done: list[TrailEvent] = []
    for event in events:
        before = _before(event, reading, done)
        found = judge(
            happened(event, assets[event.pk]), facts, rules=rules().values(), actions=actions(), before=before
        )
        apply(event, found)
        done.append(event)
        if found.verdict is Verdict.SUSPICIOUS and event.incident_id is None and event.occurred_at >= _since(reading):
            event.incident = report(event, rules()[found.rule], now=now)
            event.save(update_fields=JUDGED)  # the next one of this person finds it
    bulk.update(done, list(JUDGED))


def _since(reading: TrailReading) -> datetime:
    """From when on suspicion opens incidents: a little before the account came, where the news begin."""
    return reading.began_at - timedelta(minutes=15)


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


def facts_around(reading: TrailReading, events: Sequence[TrailEvent]) -> Facts:
    """Changes, runs and people that may explain these events, in a constant number of queries."""
    account = reading.cloud_account
    first, last = min(event.occurred_at for event in events), max(event.occurred_at for event in events)
    rows = Change.objects.filter(customer=account.customer_id, begun_at__lte=last + EMERGENCY_BEFORE)
    rows = rows.exclude(state__in=(ChangeState.CLOSED, ChangeState.ROLLED_BACK), ended_at__lt=first - REMEMBERED)
    works = [_work(change, account.pk, change.assets.all()) for change in rows.prefetch_related("assets")]
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


def _work(change: Change, account_id: int, assets: Iterable[Asset]) -> Work:
    """What a begun change explains. Undoing it belongs to it; after the customer's word nothing does any more."""
    begun_at = change.begun_at or change.created_at
    ends_at = {
        ChangeState.EXECUTING: None,
        ChangeState.FAILED: None,
        ChangeState.ROLLED_BACK: change.ended_at,
    }.get(ChangeState(change.state), change.finished_at or change.ended_at)
    places = {asset.pk: asset.cloud_account_id for asset in assets}
    return Work(
        pk=change.pk,
        operation=change.operation,
        asset_ids=frozenset(places),
        begun_at=begun_at,
        ends_at=ends_at,
        is_emergency=change.kind == "emergency",
        in_account=not places or account_id in places.values(),
    )


def _asset_ids(events: Sequence[TrailEvent]) -> dict[int, frozenset[int]]:
    found: dict[int, set[int]] = {event.pk: set() for event in events}
    links = TrailEventAsset.objects.filter(event__in=list(found))
    for event_id, asset_id in links.values_list("event_id", "asset_id"):
        found[event_id].add(asset_id)
    return {pk: frozenset(ids) for pk, ids in found.items()}


def _before(event: TrailEvent, reading: TrailReading, done: Sequence[TrailEvent]) -> Before:
    """What this person did around or before; `done` are events of the same page that are judged and not saved yet."""
    known = actions()
    same = TrailEvent.objects.filter(cloud_account=reading.cloud_account_id, actor_name=event.actor_name)
    deletions: list[datetime] = []
    origins: frozenset[str] | None = None
    if LONGEST_BURST and known.is_deletion(event.service, event.action):
        near = same.exclude(pk__in=[event.pk, *(one.pk for one in done)]).filter(
            occurred_at__gte=event.occurred_at - LONGEST_BURST, occurred_at__lte=event.occurred_at + LONGEST_BURST
        )
        rows = [*near.defer("raw"), *(one for one in done if one.actor_name == event.actor_name)]
        deletions = [
            one.occurred_at
            for one in rows
            if known.is_deletion(one.service, one.action)
            and not one.error_code
            and one.verdict not in (TrailVerdict.CHANGE, TrailVerdict.AUTOMATION)
        ]
    if event.action == SIGN_IN and reading.is_complete:
        earlier = same.filter(action=SIGN_IN, error_code="", occurred_at__lt=event.occurred_at).exclude(origin="")
        found = frozenset(earlier.exclude(pk=event.pk).values_list("origin", flat=True).distinct())
        origins = found or None  # somebody who never signed in before has no usual place
    return Before(deletions, origins)


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
