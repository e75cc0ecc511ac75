"""How nodes are: their load every five minutes for a week, and what is done about one that has fallen silent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from django.core.cache import cache
from django.db import transaction
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import scope
from accounts.models import Role, Severity, User
from accounts.permissions import is_admin
from bastion.models import Node, NodeLoad
from incidents import timeline
from incidents.models import Incident, IncidentKind, TimelineEntry
from incidents.services.opening import open_by_platform
from notify import services as notify
from notify.models import Topic

EVERY: Final = timedelta(minutes=5)
KEPT: Final = timedelta(days=7)
TELL_AFTER: Final = timedelta(minutes=3)
AWAKE, AWAKE_S = "node-watch-since", 60
LANGUAGE: Final = "zh-hans"
FIGURES: Final = ("cpu", "memory", "disk_free", "sessions", "spooled")


def note(*, node: Node, load: Mapping[str, float], now: datetime) -> None:
    """Keep one sample of each five minutes; the others cost a look at the cache."""
    every = int(EVERY.total_seconds())
    at = datetime.fromtimestamp(int(now.timestamp()) // every * every, tz=UTC)
    if not cache.add(f"node-load:{node.pk}:{at:%Y%m%d%H%M}", 1, 2 * every):
        return
    row = NodeLoad(customer_id=node.customer_id, node=node, at=at)
    for name in FIGURES:
        setattr(row, name, float(load.get(name, 0)))
    NodeLoad.objects.bulk_create([row], ignore_conflicts=True)
    NodeLoad.objects.filter(node=node, at__lt=now - KEPT).delete()


def look(*, now: datetime) -> None:
    """Tell of nodes that have fallen silent, and of those that are heard again.

    Not before this has been asked without a break for as long: after a pause of the platform's own, nobody was heard.
    """
    since: datetime = cache.get(AWAKE, now)
    cache.set(AWAKE, since, AWAKE_S)
    if now - since < TELL_AFTER:
        return
    for node in Node.objects.silent(now - TELL_AFTER).filter(silence_told_at=None):
        _tell_of_silence(node, now)
    for node in Node.objects.exclude(silence_told_at=None).exclude(pk__in=Node.objects.silent(now - TELL_AFTER)):
        _tell_of_return(node, now)


@transaction.atomic
def _tell_of_silence(node: Node, now: datetime) -> None:
    """Nobody gets to the servers behind it: an incident of its customer; the platform's own is our own affair."""
    since = node.seen_at or now
    if not Node.objects.filter(pk=node.pk, silence_told_at=None).update(silence_told_at=now):
        return
    if node.customer is not None:
        with scope.customer(node.customer), translation.override(LANGUAGE):
            incident = open_by_platform(
                customer=node.customer,
                kind=IncidentKind.INCIDENT,
                title=_("The node %(name)s is silent") % {"name": node.name},
                description=_("Nobody reaches the servers behind it through the bastion until it is back."),
                severity=Severity.HIGH,
                detected_at=since,
                now=now,
            )
        Node.objects.filter(pk=node.pk).update(silence_incident=incident)
    _tell(node, since, now, is_over=False)


@transaction.atomic
def _tell_of_return(node: Node, now: datetime) -> None:
    """The incident stays: people close it."""
    told_at, incident_id = node.silence_told_at, node.silence_incident_id
    rows = Node.objects.filter(pk=node.pk, silence_told_at=told_at)
    if told_at is None or not rows.update(silence_told_at=None, silence_incident=None):
        return
    is_heard = node.state == Node.State.ENROLLED
    incident = Incident.objects.filter(pk=incident_id).first()
    if incident is not None and is_heard:
        with translation.override(LANGUAGE):
            title = _("The node %(name)s is heard again") % {"name": node.name}
        data: dict[str, object] = {"title": title, "at": now.isoformat()}
        timeline.write(incident, TimelineEntry.Kind.RECOVERY, actor=None, now=now, data=data)
    if is_heard:
        _tell(node, told_at, now, is_over=True)


def _tell(node: Node, since: datetime, now: datetime, *, is_over: bool) -> None:
    for person in User.objects.filter(Q(role=Role.ADMIN) | Q(role=Role.MANAGER), is_active=True):
        with translation.override(person.language):
            subject = _("The node %(name)s is heard again") if is_over else _("The node %(name)s is silent")
            text = "" if is_over else _("Nobody reaches the servers behind it through the bastion until it is back.")
            url = f"/bastion/nodes/{node.pk}/" if is_admin(person) else ""
            message = notify.Message(topic=Topic.ALERT, subject=subject % {"name": node.name}, text=text, url=url)
        key = f"node:{node.pk}:{since:%Y%m%d%H%M%S}:{'over' if is_over else 'silent'}"
        notify.tell(user=person, key=key, message=message, now=now, customer=node.customer)
