"""Whether an alert is told: silences and causes hold it back, and what is free again and still fires is told then.

An alert that is held back is open like any other; it has no incident and nobody hears of it. Each stretch of holding is
a row (`AlertHold`) that stays. An alert that people were told of before is only marked: its recovery is always told.
The customer's ledger must be held by whoever calls what writes here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, prefetch_related_objects
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import bulk
from accounts.models import Customer, Severity
from assets.models import Asset
from assets.relations import behind
from assets.services.relations import READ, thing_of
from incidents import services as incidents
from monitoring import wording
from monitoring.extra_rules import CLOUD_NO_DATA, EXTRA_RULES
from monitoring.inhibition import (
    CAUSES,
    GRACE,
    WORSE,
    Cause,
    Relation,
    Symptom,
    Thing,
    Topology,
    causes,
    follows,
)
from monitoring.matching import Scope
from monitoring.models import Alert, AlertHold, Held, Silence
from monitoring.rules import RULES
from monitoring.services import cloud
from monitoring.services.levels import groups_of_assets
from notify import live
from timers import services as timers


@dataclass(frozen=True, slots=True)
class Why:
    """One reason why an alert is held back now."""

    kind: Held
    silence_id: int | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """The silences of a customer that are quiet at a moment."""

    silences: Sequence[tuple[int, Scope]]
    groups: Mapping[int, tuple[int, ...]]

    def silence_of(self, *, asset_id: int, rule_id: str, labels: str) -> int | None:
        """The silence that covers this, the oldest first."""
        groups = self.groups.get(asset_id, ())
        for silence_id, scope in self.silences:
            if scope.covers(asset_id=asset_id, groups=groups, rule_id=rule_id, labels=labels):
                return silence_id
        return None


def scope_of(silence: Silence) -> Scope:
    return Scope(
        frozenset(silence.asset_ids), frozenset(silence.group_ids), frozenset(silence.rule_ids), dict(silence.labels)
    )


def quiet_at(at: datetime, silences: Iterable[Silence] | None = None) -> Quiet:
    """Of the customer in scope. `silences`: those to ask instead of all that stand."""
    rows = Silence.objects.standing(at).order_by("pk") if silences is None else silences
    quiet = [(silence.pk, scope_of(silence)) for silence in rows if silence.is_quiet(at)]
    has_groups = any(scope.group_ids for _, scope in quiet)
    return Quiet(quiet, groups_of_assets() if has_groups else {})


# --- new alerts ------------------------------------------------------------------------------------------------------


def hold_new(*, customer: Customer, alerts: Sequence[Alert], now: datetime) -> list[Alert]:
    """Decide about alerts that have just been made; returns those to be told. `held` and `cause` are set, not saved."""
    if not alerts:
        return []
    why = _reasons(alerts, now)
    held = [alert for alert in alerts if why[alert.pk]]
    _begin(customer, [(alert, one) for alert in held for one in why[alert.pk]], now)
    for alert in held:
        _mark(alert, why[alert.pk])
    return [alert for alert in alerts if not alert.held]


def follow_new(*, customer: Customer, alerts: Sequence[Alert], now: datetime) -> None:
    """New alerts may be causes of older ones: those not told yet are held back, those told lately are noted."""
    fresh = [alert for alert in alerts if alert.rule_id in CAUSES]
    if not fresh:
        return
    topology = _topology(fresh)
    hosts = {topology.host(alert.asset_id) for alert in fresh} | {alert.asset_id for alert in fresh}
    older = Alert.objects.open().filter(asset_id__in=topology.on(hosts)).exclude(pk__in=[each.pk for each in alerts])
    by_id = {alert.pk: alert for alert in fresh}
    symptoms = {alert.pk: alert for alert in older.filter(cause=None) if not alert.is_event}
    found = causes([_symptom(each) for each in symptoms.values()], [_symptom(each) for each in fresh], topology)
    notes = []
    with translation.override(customer.language):
        said = _("Symptom of: %(cause)s")
    for pk, cause in found.items():
        alert, root = symptoms[pk], by_id[cause.alert_id or 0]
        if alert.incident_id is None:
            _begin(customer, [(alert, Why(Held.INHIBITED, cause=cause))], now)
            alert.held, alert.cause = alert.held or Held.INHIBITED, root
        elif follows(_symptom(alert), _symptom(root)):
            alert.cause = root
            notes.append(incidents.Reminder(alert.incident_id, alert.key, said % {"cause": root.title}, is_loud=False))
    bulk.update([symptoms[pk] for pk in found], ["held", "cause"])
    incidents.remind(customer=customer, reminders=notes, now=now)


# --- what is held already --------------------------------------------------------------------------------------------


def settle(*, customer: Customer, now: datetime) -> int:
    """Look at all open alerts of the customer anew: hold back, tell what is free; returns how many changed.

    Idempotent: called when a silence begins, ends or is taken back, when a cause has ended, and by the sweep.
    """
    alerts = list(Alert.objects.open().select_related("asset", "cause"))
    why = _reasons(alerts, now)
    running: dict[int, list[AlertHold]] = {}
    for hold in AlertHold.objects.filter(until_at=None, alert__recovered_at=None).select_related("by_alert"):
        running.setdefault(hold.alert_id, []).append(hold)
    begins: list[tuple[Alert, Why]] = []
    ends: list[AlertHold] = []
    changed = []
    for alert in alerts:
        wanted = [one for one in why[alert.pk] if one.kind is Held.SILENCED or alert.incident_id is None]
        known = running.get(alert.pk, [])
        wanted += _in_grace(known, wanted, now)
        begins += [(alert, one) for one in wanted if one not in map(_why, known)]
        ends += [hold for hold in known if _why(hold) not in wanted]
        before = alert.held
        _mark(alert, wanted)
        if alert.held != before:
            changed.append((alert, before))
    for hold in ends:
        hold.until_at = now
    bulk.update(ends, ["until_at"])
    _begin(customer, begins, now)
    bulk.update([alert for alert, _ in changed], ["held", "cause"])
    _tell_freed(customer, changed, now)
    if changed:
        live.publish(customer_id=customer.pk, topic="alerts", object_id=changed[-1][0].pk)
    return len(changed)


def causes_ended(*, customer: Customer, alerts: Collection[Alert], now: datetime) -> None:
    """Alerts that have just ended: what they held back is looked at when the time of grace is over."""
    ended = [alert.pk for alert in alerts if alert.rule_id in CAUSES]
    if not ended:
        return
    held = AlertHold.objects.filter(by_alert__in=ended, until_at=None, alert__recovered_at=None)
    relations = set(held.values_list("relation", flat=True))
    if not relations:
        return
    longest = max(GRACE[Relation(each)] for each in relations)
    if any(not GRACE[Relation(each)] for each in relations):
        settle(customer=customer, now=now)
    if longest:
        due_at = now + longest
        key = f"alerts-settle:{customer.pk}:{due_at:%Y%m%d%H%M%S}"
        timers.set(
            key=key, due_at=due_at, task="monitoring.settle", args={"customer_id": customer.pk}, customer=customer
        )


def end_holds(alerts: Sequence[Alert], now: datetime) -> None:
    """Alerts that are over are held back no longer."""
    ids = [alert.pk for alert in alerts if alert.held]
    if ids:
        AlertHold.objects.filter(alert__in=ids, until_at=None).update(until_at=now)


def tell(*, customer: Customer, alerts: Sequence[Alert], now: datetime, why: str = "") -> None:
    """Open or join the incidents of alerts that nobody was told of yet. `why`: why only now."""
    untold = sorted((alert for alert in alerts if alert.incident_id is None), key=lambda one: one.severity)
    prefetch_related_objects(untold, "asset")
    alarms = [
        incidents.Alarm(
            alert.asset,
            alert.level,
            alert.title,
            _joined(why, alert.text),
            alert.key,
            occurred_at=alert.opened_at,
            channels=tuple(alert.condition.get("channels", ())),
        )
        for alert in untold
    ]
    opened = incidents.open_from_alerts(customer=customer, alarms=alarms, now=now)
    for alert, incident in zip(untold, opened, strict=True):
        alert.incident = incident
    bulk.update(untold, ["incident"])


# --- how it is decided -----------------------------------------------------------------------------------------------


def _reasons(alerts: Sequence[Alert], now: datetime) -> dict[int, list[Why]]:
    quiet = quiet_at(now)
    found: dict[int, list[Why]] = {alert.pk: [] for alert in alerts}
    if quiet.silences:
        for alert in alerts:
            silence = quiet.silence_of(asset_id=alert.asset_id, rule_id=alert.rule_id, labels=alert.labels)
            if silence is not None:
                found[alert.pk].append(Why(Held.SILENCED, silence_id=silence))
    for pk, cause in _causes_of(alerts).items():
        found[pk].append(Why(Held.INHIBITED, cause=cause))
    return found


def _causes_of(alerts: Sequence[Alert]) -> dict[int, Cause]:
    bad = {alert.pk: alert for alert in Alert.objects.open().filter(rule_id__in=CAUSES) if not alert.is_calm}
    bad |= {alert.pk: alert for alert in alerts if alert.rule_id in CAUSES and not alert.is_calm}
    if not bad and all(alert.rule_id != CLOUD_NO_DATA for alert in alerts):
        return {}
    symptoms = [_symptom(alert) for alert in alerts if not alert.is_event]
    of_cloud = [alert for alert in alerts if alert.rule_id == CLOUD_NO_DATA]
    topology = _topology([*bad.values(), *of_cloud])
    return causes(symptoms, [_symptom(alert) for alert in bad.values()], topology)


def _symptom(alert: Alert) -> Symptom:
    return Symptom(alert.pk, alert.rule_id, alert.asset_id, alert.labels, alert.severity, alert.opened_at)


def _topology(bad: Sequence[Alert] = ()) -> Topology:
    """What runs where, for the customer in scope; empty when these causes are of the same thing as their symptoms."""
    if bad and all(alert.rule_id in WORSE.values() for alert in bad):
        return Topology()
    known = [thing_of(row) for row in Asset.objects.active().only(*READ)]
    things = [Thing(one.id, one.kind, one.addresses, one.account_id, behind(one, known)) for one in known]
    return Topology.of(things, cloud.unreadable())


def _in_grace(known: Sequence[AlertHold], wanted: Sequence[Why], now: datetime) -> list[Why]:
    """Symptoms whose cause has ended may still recover by themselves for a while."""
    if any(one.kind is Held.INHIBITED for one in wanted):
        return []
    return [
        _why(hold)
        for hold in known
        if hold.by_alert is not None
        and hold.by_alert.recovered_at is not None
        and now < hold.by_alert.recovered_at + GRACE[Relation(hold.relation)]
    ]


def _why(hold: AlertHold) -> Why:
    cause = Cause(hold.by_alert_id, Relation(hold.relation)) if hold.relation else None
    return Why(Held(hold.kind), hold.silence_id, cause)


def _mark(alert: Alert, why: Sequence[Why]) -> None:
    """Of several reasons the silence is shown: it is what a person said."""
    kinds = {one.kind for one in why}
    alert.held = Held.SILENCED if Held.SILENCED in kinds else Held.INHIBITED if kinds else ""
    cause = next((one.cause for one in why if one.cause is not None), None)
    if cause is not None:
        alert.cause_id = cause.alert_id


def _begin(customer: Customer, begins: Iterable[tuple[Alert, Why]], now: datetime) -> None:
    bulk.insert(
        [
            AlertHold(
                customer=customer,
                alert=alert,
                kind=one.kind,
                from_at=now,
                silence_id=one.silence_id,
                by_alert_id=one.cause.alert_id if one.cause else None,
                relation=one.cause.relation if one.cause else "",
            )
            for alert, one in begins
        ]
    )


def _tell_freed(customer: Customer, changed: Sequence[tuple[Alert, str]], now: datetime) -> None:
    """What is free again and still fires: its incident, or, if people know it already, that it still does."""
    freed = [(alert, before) for alert, before in changed if not alert.held and not alert.is_calm]
    if not freed:
        return
    with translation.override(customer.language):
        for kind in (Held.SILENCED, Held.INHIBITED):
            untold = [alert for alert, before in freed if before == kind and alert.incident_id is None]
            tell(customer=customer, alerts=untold, now=now, why=_why_now(kind))
            known = [
                alert
                for alert, before in freed
                if before == kind and alert not in untold and not alert.is_acknowledged and alert.incident_id
            ]
            text = _("The silence is over, and it still fires.")
            reminders = [incidents.Reminder(each.incident_id or 0, each.key, text) for each in known]
            incidents.remind(customer=customer, reminders=reminders, now=now)


def _why_now(kind: Held) -> str:
    if kind is Held.SILENCED:
        return _("It fired while it was silenced; the silence is over, and it still fires.")
    return _("It was taken for a symptom of another alert; that one has ended, and this one still fires.")


def _joined(*sentences: str) -> str:
    return "\n\n".join(each for each in sentences if each)


# --- afterwards ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reason:
    """What kept an alert quiet at a moment, or would have."""

    kind: Held
    text: str
    from_at: datetime | None = None
    until_at: datetime | None = None
    silence_id: int | None = None
    alert_id: int | None = None


def explain(*, asset_id: int, rule_id: str, labels: str, at: datetime) -> list[Reason]:
    """Why nobody was told, or would have been, of this rule on this thing at a moment; empty: nothing held it back.

    In the customer's scope. Goes by the records where there was an alert, by the silences and alerts of that moment
    where there was none.
    """
    key = f"{rule_id}/{asset_id}/{labels}"
    there = Alert.objects.filter(asset_id=asset_id, open_key=key, opened_at__lte=at)
    alert = there.filter(Q(recovered_at=None) | Q(recovered_at__gt=at)).order_by("-opened_at").first()
    if alert is None:
        return _would_be(asset_id, rule_id, labels, at)
    holds = alert.holds.filter(Q(until_at=None) | Q(until_at__gt=at), from_at__lte=at).select_related(
        "silence", "by_alert"
    )
    found = [reason_of(hold) for hold in holds]
    if alert.flapping_since is not None and alert.flapping_since <= at:
        found.append(Reason(Held.FLAPPING, flapping_text(alert), alert.flapping_since, None, alert_id=alert.pk))
    return found


def reason_of(hold: AlertHold) -> Reason:
    """A record of holding, in the language that is active."""
    if hold.silence is not None:
        text = _("Silenced: %(reason)s") % {"reason": hold.silence.reason}
        return Reason(Held.SILENCED, text, hold.from_at, hold.until_at, silence_id=hold.silence_id)
    if hold.by_alert is not None:
        text = _("Symptom of: %(cause)s") % {"cause": wording.alert_title(hold.by_alert)}
    else:
        text = _("The cloud account refuses our credentials: missing figures are not the customer's outage.")
    return Reason(Held.INHIBITED, text, hold.from_at, hold.until_at, alert_id=hold.by_alert_id)


def flapping_text(alert: Alert) -> str:
    return _("Flapping: it came and went %(count)s times since; told once, then ever less often.") % {
        "count": len(alert.flaps)
    }


def _usual_severity(rule_id: str) -> int:
    rule = RULES.get(rule_id) or EXTRA_RULES.get(rule_id)
    return Severity[rule.severity.upper()] if rule else Severity.WARNING


def _would_be(asset_id: int, rule_id: str, labels: str, at: datetime) -> list[Reason]:
    standing = Silence.objects.filter(created_at__lte=at).filter(Q(ended_at=None) | Q(ended_at__gt=at))
    silences = {silence.pk: silence for silence in standing.filter(Q(over_at=None) | Q(over_at__gt=at)).order_by("pk")}
    found = []
    silence_id = quiet_at(at, silences.values()).silence_of(asset_id=asset_id, rule_id=rule_id, labels=labels)
    if silence_id is not None:
        text = _("Silenced: %(reason)s") % {"reason": silences[silence_id].reason}
        found.append(Reason(Held.SILENCED, text, silence_id=silence_id))
    rows = Alert.objects.filter(rule_id__in=CAUSES, opened_at__lte=at)
    bad = {alert.pk: alert for alert in rows.filter(Q(recovered_at=None) | Q(recovered_at__gt=at))}
    if bad:
        wanted = Symptom(0, rule_id, asset_id, labels, _usual_severity(rule_id), at)
        cause = causes([wanted], [_symptom(alert) for alert in bad.values()], _topology()).get(0)
        if cause is not None and cause.alert_id is not None:
            root = bad[cause.alert_id]
            text = _("Symptom of: %(cause)s") % {"cause": wording.alert_title(root)}
            found.append(Reason(Held.INHIBITED, text, root.opened_at, root.recovered_at, alert_id=root.pk))
    return found
