"""Alarms become incidents and their recoveries are written down, any number at once.

However many alarms come together, the number of statements stays the same: rows are made in memory in the order of the
alarms and then written kind by kind. The result is that of one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import models, transaction

from accounts import audit, bulk
from accounts.models import Customer, Severity
from assets.models import Asset
from incidents import clocks, locks, messages, states, timeline
from incidents.models import UNSOLVED_STATES, Incident, IncidentAlert, IncidentAsset, IncidentState, TimelineEntry
from incidents.policy import Policy, freeze
from incidents.services import escalating, kinship
from incidents.states import Side, Verb
from notify import live

RECENT: Final = timedelta(days=7)
NAMED_HINTS: Final = 20
"""So many incidents are named to open pages one by one; of more they hear only that something changed."""
ESCALATED: Final = ("state", "severity", "policy", "next_due_at", "version", "changed_at")


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert as it reaches us."""

    asset: Asset
    severity: Severity
    title: str
    text: str
    key: str
    occurred_at: datetime
    channels: tuple[int, ...] = ()
    """Only these channels are told of it; none: whichever listen."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """An alert that is good again, or that ended otherwise: then `how` says so in the customer's words."""

    incident_id: int
    alert_key: str
    text: str
    occurred_at: datetime
    how: str = ""


def open_from_alert(
    *,
    customer: Customer,
    asset: Asset,
    severity: Severity,
    title: str,
    text: str,
    alert_key: str,
    occurred_at: datetime,
    now: datetime,
) -> Incident:
    """Like `open_from_alerts`, for one."""
    alarm = Alarm(asset, Severity(severity), title, text, alert_key, occurred_at)
    return open_from_alerts(customer=customer, alarms=[alarm], now=now)[0]


@transaction.atomic
def open_from_alerts(*, customer: Customer, alarms: Sequence[Alarm], now: datetime) -> list[Incident]:
    """For each alarm the unsolved incident that gathers its asset's alarms, opened when there is none.

    A storm on one asset is one incident, and an alert that is already on one stays there. A worse alert raises the
    severity and asks for a response again. The provider's duty to respond begins when the alert is raised, `now`.
    """
    if not alarms:
        return []
    locks.hold_customer(customer)
    unsolved = _unsolved(customer, {alarm.asset.pk for alarm in alarms})
    known = _known(customer, {alarm.key for alarm in alarms}, unsolved.values())
    opening = [alarm.asset for alarm in alarms if alarm.key not in known and alarm.asset.pk not in unsolved]
    family = kinship.gather(customer=customer, opening=opening, unsolved=unsolved.values(), now=now)
    wave = _Wave(customer, now, family)
    found: dict[int, Incident] = {}
    for place in family.roots_first([alarm.asset for alarm in alarms]):
        alarm = alarms[place]
        incident = known.get(alarm.key)
        if incident is None:
            incident = unsolved.get(alarm.asset.pk)
            if incident is None:
                incident = unsolved[alarm.asset.pk] = wave.open(alarm)
            elif alarm.severity < incident.severity and wave.has_moved(incident):
                wave.write()
                wave = _Wave(customer, now, family, terms=wave.terms)
            wave.join(incident, alarm)
            known[alarm.key] = incident
        found[place] = incident
    wave.write()
    _bring_together(customer, family, wave.terms, now)
    return [found[place] for place in range(len(alarms))]


def _bring_together(customer: Customer, family: kinship.Family, terms: dict[Severity, Policy], now: datetime) -> None:
    """Children hang under their roots, and a root is as bad as the worst of them."""
    parents = kinship.record(family, customer=customer, now=now)
    last = _Wave(customer, now, family, terms=terms)
    for parent, severity in family.made_worse():
        last.escalate(parent, severity)
    last.write()
    _tell_pages(customer, [parent.pk for parent in parents])


def record_recovery(*, incident_id: int, alert_key: str, text: str, occurred_at: datetime, now: datetime) -> None:
    """Like `record_recoveries`, for one."""
    customer = Incident.objects.select_related("customer").get(pk=incident_id).customer
    recovery = Recovery(incident_id, alert_key, text, occurred_at)
    record_recoveries(customer=customer, recoveries=[recovery], now=now)


@transaction.atomic
def record_recoveries(*, customer: Customer, recoveries: Sequence[Recovery], now: datetime) -> None:
    """Write recoveries on their alerts' incidents and tell the customer. The incidents stay: people close them.

    Merging and splitting move alerts: each is looked for wherever it is now. One that is not open any more changes
    nothing.
    """
    if not recoveries:
        return
    locks.hold_customer(customer)
    keys = {each.alert_key for each in recoveries}
    still_open = IncidentAlert.objects.filter(customer=customer, alert_key__in=keys, recovered_at=None)
    alerts = {alert.alert_key: alert for alert in still_open}
    incidents = {one.pk: one for one in _held(customer).filter(pk__in={one.incident_id for one in alerts.values()})}
    post = messages.Post(customer, now=now)
    recovered, entries = [], []
    for each in recoveries:
        alert = alerts.pop(each.alert_key, None)
        if alert is None:
            continue
        incident = incidents[alert.incident_id]
        incident.customer = customer
        alert.recovered_at = max(each.occurred_at, alert.occurred_at)
        recovered.append(alert)
        data = {"title": alert.title, "at": each.occurred_at.isoformat(), "alert": alert.pk}
        if each.how:
            data["how"] = each.how
        kind = TimelineEntry.Kind.RECOVERY
        entries.append(timeline.entry_of(incident, kind, actor=None, now=now, body=each.text, data=data))
        messages.post_recovered(post, incident, alert, each.text, each.occurred_at, how=each.how)
    bulk.update(recovered, ["recovered_at"])
    bulk.insert(entries)
    post.send()
    _tell_pages(customer, [alert.incident_id for alert in recovered])


@dataclass(slots=True)
class _Wave:
    """Alarms of one customer until an incident would change twice: then the next wave begins.

    At most four come of any number of alarms, because an incident opens once and gets worse three times.
    """

    customer: Customer
    now: datetime
    family: kinship.Family
    terms: dict[Severity, Policy] = field(default_factory=dict)
    opened: list[Incident] = field(default_factory=list)
    joined: list[tuple[Incident, IncidentAlert, str]] = field(default_factory=list)
    escalated: list[tuple[Incident, Severity]] = field(default_factory=list)
    events: list[tuple[TimelineEntry, IncidentAlert | None]] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)

    def open(self, alarm: Alarm) -> Incident:
        severity = Severity(alarm.severity)
        parent = self.family.root_for(alarm.asset)
        incident = Incident(
            customer=self.customer,
            parent=parent,
            title=_title(alarm),
            description=alarm.text,
            severity=severity,
            category=Incident.Category.ALIYUN if alarm.asset.cloud_account_id else Incident.Category.SYSTEM,
            source=Incident.Source.MONITORING,
            state=IncidentState.OPEN,
            storm_asset=alarm.asset,
            detected_at=min(alarm.occurred_at, self.now),
            clock_started_at=self.now,
            opened_at=self.now,
            changed_at=self.now,
            policy=self._terms(severity),
        )
        self.opened.append(incident)
        self.moved.add(id(incident))
        self.family.opened(incident, alarm.asset, parent)
        self._note(incident, TimelineEntry.Kind.OPENED)
        return incident

    def join(self, incident: Incident, alarm: Alarm) -> None:
        """Put the alert on its incident, which it may have opened just now."""
        alert = IncidentAlert(
            customer=self.customer,
            incident=incident,
            asset=alarm.asset,
            alert_key=alarm.key,
            title=_title(alarm),
            severity=alarm.severity,
            channels=list(alarm.channels),
            occurred_at=alarm.occurred_at,
        )
        data = {"title": alert.title, "severity": int(alarm.severity), "at": alarm.occurred_at.isoformat()}
        self._note(incident, TimelineEntry.Kind.ALERT, alert=alert, body=alarm.text, data=data)
        self.joined.append((incident, alert, alarm.text))
        if alarm.severity < incident.severity:
            self.escalate(incident, Severity(alarm.severity))

    def has_moved(self, incident: Incident) -> bool:
        return id(incident) in self.moved

    def escalate(self, incident: Incident, severity: Severity) -> None:
        """A worse alert: the new severity's response is due from this alert on, even when somebody has it in hand.

        A child has no clocks: its root gets worse with it.
        """
        old = incident.level
        incident.severity = severity
        incident.policy = self._terms(severity)
        incident.version += 1
        incident.changed_at = self.now
        self.escalated.append((incident, old))
        parent = self.family.parent_of(incident)
        if parent is not None:
            self.family.worsen(parent, severity)
        self.moved.add(id(incident))
        self._note(incident, TimelineEntry.Kind.SEVERITY, data=_escalation(old, incident))

    def _terms(self, severity: Severity) -> dict[str, object]:
        if severity not in self.terms:
            self.terms[severity] = freeze(customer=self.customer, severity=severity, now=self.now)
        return self.terms[severity].as_json()

    def _note(
        self,
        incident: Incident,
        kind: TimelineEntry.Kind,
        *,
        alert: IncidentAlert | None = None,
        body: str = "",
        data: dict[str, object] | None = None,
    ) -> None:
        entry = timeline.entry_of(incident, kind, actor=None, now=self.now, body=body, data=data)
        self.events.append((entry, alert))

    def write(self) -> None:
        if not self.joined and not self.escalated:
            return
        self._write_opened()
        bulk.insert([alert for _, alert, _ in self.joined])
        self._write_escalated()
        self._write_events()
        self._write_audit()
        self._write_messages()
        changed = [incident for incident, _, _ in self.joined] + [incident for incident, _ in self.escalated]
        _tell_pages(self.customer, [incident.pk for incident in changed])

    def _write_opened(self) -> None:
        roots = [incident for incident in self.opened if self.family.parent_of(incident) is None]
        children = [incident for incident in self.opened if self.family.parent_of(incident) is not None]
        planned = [(incident, clocks.plan(incident, now=self.now)) for incident in roots]
        bulk.insert(roots)
        bulk.insert(children)
        clocks.start(planned, now=self.now)
        bulk.insert(
            [
                IncidentAsset(customer=self.customer, incident=incident, asset_id=incident.storm_asset_id or 0)
                for incident in self.opened
            ]
        )
        escalating.begin(customer=self.customer, incidents=roots, now=self.now)

    def _write_escalated(self) -> None:
        incidents = [incident for incident, _ in self.escalated]
        counting = [incident for incident in incidents if self.family.parent_of(incident) is None]
        paused = []
        for incident in counting:
            transition = states.find(Verb.ESCALATE, incident.stage, Side.SYSTEM)
            if transition is not None and transition.target is not None:
                incident.state = transition.target
                paused.append(incident)
        if paused:
            clocks.end_pauses(paused, now=self.now)
        if counting:
            clocks.follow_alerts(counting, since=self.now, now=self.now)
        bulk.update(incidents, ESCALATED)
        severity = escalating.Because.SEVERITY
        escalating.begin_again(customer=self.customer, incidents=counting, because=severity, now=self.now)

    def _write_events(self) -> None:
        earlier = _earlier(self.opened, self.now)
        for entry, alert in self.events:
            if alert is not None:
                entry.data["alert"] = alert.pk
            elif entry.kind == TimelineEntry.Kind.OPENED:
                entry.data = {"by_monitoring": True} | earlier.get(entry.incident.storm_asset_id or 0, {})
        bulk.insert([entry for entry, _ in self.events])

    def _write_audit(self) -> None:
        acts = [
            audit.Act(
                "incident.open",
                incident,
                {"severity": incident.severity, "source": incident.source, "policy": incident.policy},
            )
            for incident in self.opened
        ]
        acts += [
            audit.Act("incident.escalate", incident, _escalation(old, incident)) for incident, old in self.escalated
        ]
        audit.record_many(acts=acts, actor=None, customer=self.customer, now=self.now)

    def _write_messages(self) -> None:
        post = messages.Post(self.customer, now=self.now)
        first: dict[int, IncidentAlert] = {}
        for incident, alert, _ in self.joined:
            first.setdefault(id(incident), alert)
        opened = [incident for incident in self.opened if self.family.parent_of(incident) is None]
        for incident in opened:
            messages.post_opened(post, incident, channels=first[id(incident)].channels)
        said = {id(incident) for incident in opened}
        for incident, alert, text in self.joined:
            if id(incident) in said and first[id(incident)] is alert:
                continue  # the alert that opened it: that message has said so
            messages.post_alert_joined(post, self.family.parent_of(incident) or incident, alert, text)
        for incident, _ in self.escalated:
            if self.family.parent_of(incident) is None:
                messages.post_escalated(post, incident)
        post.send()


def _unsolved(customer: Customer, asset_ids: set[int]) -> dict[int, Incident]:
    """The unsolved incidents that gather alarms of these assets, held until the transaction ends."""
    found = _held(customer).filter(storm_asset__in=asset_ids, state__in=UNSOLVED_STATES).select_related("assignee")
    incidents = {incident.storm_asset_id or 0: incident for incident in found}
    incidents |= _of_duplicates(customer, asset_ids - incidents.keys())
    for incident in incidents.values():
        incident.customer = customer
    return incidents


def _of_duplicates(customer: Customer, asset_ids: set[int]) -> dict[int, Incident]:
    """Where the alarms of an asset gather whose own incident was closed as a duplicate of another."""
    duplicates = Incident.objects.filter(
        customer=customer, storm_asset__in=asset_ids, duplicate_of__state__in=UNSOLVED_STATES
    )
    kept = dict(duplicates.order_by("pk").values_list("storm_asset_id", "duplicate_of_id"))
    held = {incident.pk: incident for incident in _held(customer).filter(pk__in=kept.values())} if kept else {}
    return {asset_id: held[pk] for asset_id, pk in kept.items() if asset_id is not None and pk in held}


def _held(customer: Customer) -> models.QuerySet[Incident]:
    held = Incident.objects.select_for_update(no_key=True, of=("self",)).filter(customer=customer)
    return held.order_by("pk")


def _known(customer: Customer, keys: set[str], unsolved: Iterable[Incident]) -> dict[str, Incident]:
    """The incidents of the alerts that are open already."""
    at_hand = {incident.pk: incident for incident in unsolved}
    found = IncidentAlert.objects.filter(customer=customer, alert_key__in=keys, recovered_at=None)
    return {
        alert.alert_key: at_hand.get(alert.incident_id, alert.incident) for alert in found.select_related("incident")
    }


def _earlier(opened: Sequence[Incident], now: datetime) -> dict[int, dict[str, object]]:
    """The last incident of each asset before these, when it is recent enough to be the same trouble."""
    links = IncidentAsset.objects.filter(
        asset_id__in=[incident.storm_asset_id for incident in opened], incident__opened_at__gte=now - RECENT
    ).exclude(incident__in=[incident.pk for incident in opened])
    latest = links.order_by("asset_id", "-incident__opened_at", "-incident_id").distinct("asset_id")
    return {link.asset_id: {"earlier": link.incident.number} for link in latest.select_related("incident")}


def _title(alarm: Alarm) -> str:
    return alarm.title.strip()[:200] or alarm.asset.name[:200]


def _escalation(old: Severity, incident: Incident) -> dict[str, object]:
    return {"old": old.value, "new": incident.severity, "by_alert": True}


def _tell_pages(customer: Customer, incident_ids: Iterable[int]) -> None:
    changed = list(dict.fromkeys(incident_ids))
    for incident_id in changed if len(changed) <= NAMED_HINTS else [0]:
        live.publish(customer_id=customer.pk, topic="incidents", object_id=incident_id)
