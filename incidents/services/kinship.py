"""Alarms of what runs on one host belong together: the host's own incident is the root, the others its children.

A child is an incident of its own, with its alerts and its timeline; but the root alone calls people, and its clocks
count. What is worse on a child makes the root worse. All of it in a constant number of statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import models

from accounts import audit, bulk
from accounts.models import Customer, Severity
from assets.hosting import HOSTS, ON_HOSTS
from assets.models import Asset
from assets.services.hosting import hosts_of
from incidents import clocks, timeline
from incidents.models import UNSOLVED_STATES, Incident, IncidentKind, IncidentState, TimelineEntry
from incidents.services import escalating

SHORTLY: Final = timedelta(minutes=10)
"""An incident that opened this long before its root did, and that nobody has in hand, still becomes its child."""


@dataclass(slots=True)
class Family:
    """Who hangs under whom among the incidents at hand. Incidents may be unsaved: they are told apart as objects."""

    host_of: Mapping[int, int] = field(default_factory=dict)
    roots: dict[int, Incident] = field(default_factory=dict)
    """By the host's asset."""
    waiting: dict[int, list[Incident]] = field(default_factory=dict)
    """By the host's asset: incidents that opened shortly before it."""
    parents: dict[int, Incident] = field(default_factory=dict)
    """By `id()` of the child."""
    joined: list[tuple[Incident, Incident]] = field(default_factory=list)
    """Parent and child, of those that came together just now."""
    adopted: list[Incident] = field(default_factory=list)
    worst: dict[int, tuple[Incident, Severity]] = field(default_factory=dict)
    """By `id()` of the parent: the worst that its children were told of just now."""

    def parent_of(self, incident: Incident) -> Incident | None:
        return self.parents.get(id(incident))

    def root_for(self, asset: Asset) -> Incident | None:
        """The unsolved incident of the host that this asset runs on."""
        host = self.host_of.get(asset.pk)
        return None if host is None else self.roots.get(host)

    def opened(self, incident: Incident, asset: Asset, parent: Incident | None) -> None:
        """Take in an incident that has just been made for an asset."""
        if parent is not None:
            self.parents[id(incident)] = parent
            self.joined.append((parent, incident))
            self.worsen(parent, Severity(incident.severity))
            return
        if asset.kind in HOSTS:
            self.roots[asset.pk] = incident
            for orphan in self.waiting.pop(asset.pk, ()):
                self.parents[id(orphan)] = incident
                self.joined.append((incident, orphan))
                self.adopted.append(orphan)
                self.worsen(incident, Severity(orphan.severity))

    def worsen(self, parent: Incident, severity: Severity) -> None:
        known = self.worst.get(id(parent))
        if known is None or severity < known[1]:
            self.worst[id(parent)] = (parent, severity)

    def made_worse(self) -> list[tuple[Incident, Severity]]:
        """The parents that have a child which is worse than they are."""
        return [(parent, severity) for parent, severity in self.worst.values() if severity < parent.severity]

    def roots_first(self, assets: Sequence[Asset]) -> list[int]:
        """Places in `assets`, hosts of others before all others: a child finds its root there already."""
        hosts = set(self.host_of.values())
        return sorted(range(len(assets)), key=lambda place: assets[place].pk not in hosts)


def gather(*, customer: Customer, opening: Collection[Asset], unsolved: Iterable[Incident], now: datetime) -> Family:
    """What is known before incidents are opened for these assets; `unsolved` are the incidents that others join.

    The caller holds the customer.
    """
    family = Family()
    children = [incident for incident in unsolved if incident.parent_id is not None]
    riders = any(asset.kind in ON_HOSTS for asset in opening)
    hosts = {asset.pk for asset in opening if asset.kind in HOSTS}
    if not children and not riders and not hosts:
        return family
    at_hand = {incident.pk: incident for incident in unsolved}
    rows = Incident.objects.filter(customer=customer, state__in=UNSOLVED_STATES).exclude(kind=IncidentKind.INTERNAL)
    rows = rows.select_for_update(no_key=True, of=("self",)).select_related("assignee").order_by("pk")
    if riders:
        known = [at_hand.get(row.pk, row) for row in rows.filter(parent=None, storm_asset__kind__in=HOSTS)]
        family.roots = {root.storm_asset_id: root for root in known if root.storm_asset_id is not None}
    young = _young(rows, now) if hosts else []
    if young or (riders and (family.roots or hosts)):
        family.host_of = hosts_of(customer.pk)
    for incident in young:
        host = family.host_of.get(incident.storm_asset_id or 0)
        if host in hosts:
            family.waiting.setdefault(host, []).append(at_hand.get(incident.pk, incident))
    if children:
        wanted = {child.parent_id for child in children if child.parent_id is not None}
        parents = {row.pk: at_hand.get(row.pk, row) for row in rows.filter(pk__in=wanted)}
        parents |= {root.pk: root for root in family.roots.values() if root.pk in wanted}
        family.parents = {id(child): parents[child.parent_id] for child in children if child.parent_id in parents}
    for incident in [*family.roots.values(), *family.parents.values(), *young]:
        incident.customer = customer
    return family


def _young(rows: models.QuerySet[Incident], now: datetime) -> list[Incident]:
    young = rows.filter(
        parent=None,
        state=IncidentState.OPEN,
        source=Incident.Source.MONITORING,
        storm_asset__kind__in=ON_HOSTS,
        opened_at__gte=now - SHORTLY,
    )
    return list(young.exclude(pk__in=Incident.objects.exclude(parent=None).values("parent")))


def record(family: Family, *, customer: Customer, now: datetime) -> list[Incident]:
    """Write down who came together: on the children, on their parents, in the audit log. Returns the parents."""
    if not family.joined:
        return []
    _adopt(family, customer, now)
    kind = TimelineEntry.Kind.GROUPED
    numbers: dict[int, list[str]] = {}
    parents: dict[int, Incident] = {}
    entries = []
    for parent, child in family.joined:
        data = {"under": parent.number, "parent": parent.pk}
        entries.append(timeline.entry_of(child, kind, actor=None, now=now, data=data))
        numbers.setdefault(parent.pk, []).append(child.number)
        parents[parent.pk] = parent
    for pk, parent in parents.items():
        parent.version += 1
        parent.changed_at = now
        data = {"children": numbers[pk]}
        entries.append(timeline.entry_of(parent, kind, actor=None, now=now, data=data))
    bulk.update(list(parents.values()), ["version", "changed_at"])
    TimelineEntry.objects.bulk_create(entries)
    acts = [audit.Act("incident.group", child, {"under": parent.number}) for parent, child in family.joined]
    audit.record_many(acts=acts, actor=None, customer=customer, now=now)
    return list(parents.values())


def _adopt(family: Family, customer: Customer, now: datetime) -> None:
    """Those that were open already stop counting for themselves; the earliest of their starts is that of the root."""
    if not family.adopted:
        return
    began: dict[int, tuple[Incident, datetime]] = {}
    for child in family.adopted:
        parent = child.parent = family.parents[id(child)]
        earliest = min(began.get(parent.pk, (parent, parent.clock_started_at))[1], child.clock_started_at)
        began[parent.pk] = (parent, earliest)
        child.version += 1
        child.changed_at = now
    clocks.carry(family.adopted, now=now)
    grouped = escalating.Because.GROUPED
    escalating.stop(customer=customer, incidents=family.adopted, because=grouped, now=now)
    bulk.update(family.adopted, ["parent", "next_due_at", "version", "changed_at"])
    earlier = [(parent, at) for parent, at in began.values() if at < parent.clock_started_at]
    if earlier:
        clocks.begin_at(earlier, now=now)
        bulk.update([parent for parent, _ in earlier], ["clock_started_at", "next_due_at"])
