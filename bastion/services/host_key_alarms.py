"""Incidents of changed host keys: one for a server at its place, until a key is confirmed or the known one is back."""

from __future__ import annotations

from datetime import datetime

from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import Severity, User
from assets.models import SshAccess
from bastion.models import HostKeySighting
from bastion.models.host_keys import HostKeySightingQuerySet
from incidents import timeline
from incidents.models import UNSOLVED_STATES, Incident, IncidentKind, TimelineEntry
from incidents.services import opening
from notify import live


def raise_for(sighting: HostKeySighting, *, now: datetime) -> None:
    """Open the incident of a key that is another than the confirmed one, or join it. The caller holds the customer."""
    if sighting.incident_id is not None and sighting.alarm_over_at is None:
        return
    told = _alarming(sighting.asset_id, sighting.host, sighting.port).filter(incident__state__in=UNSOLVED_STATES)
    earlier = told.select_related("incident__customer").order_by("pk").first()
    incident = None if earlier is None else earlier.incident
    with translation.override(sighting.customer.language):
        sighting.incident = _open(sighting, now) if incident is None else _join(incident, sighting, now)
    sighting.alarm_over_at = None
    sighting.save(update_fields=["incident", "alarm_over_at"])


def is_doubted(access: SshAccess) -> bool:
    """Whether the server last answered with another key than the confirmed one."""
    return bool(access.host_key) and _alarming(access.asset_id, access.host, access.port).exists()


def known_again(access: SshAccess, *, allowed_at: datetime, now: datetime) -> None:
    """A session that was allowed at that moment met the confirmed key. The incidents stay: people close them."""
    alarms = _alarming(access.asset_id, access.host, access.port).filter(last_seen_at__lte=allowed_at)
    with translation.override(access.asset.customer.language):
        _end(alarms, _("%(server)s shows its confirmed host key again") % {"server": access.asset.name}, None, now)


def confirmed(sighting: HostKeySighting, *, actor: User, now: datetime) -> None:
    """The key was compared, and is the server's from now on: what was told of others at this place is over as well."""
    alarms = _alarming(sighting.asset_id, sighting.host, sighting.port)
    with translation.override(sighting.customer.language):
        said = {"name": actor.name, "fingerprint": sighting.fingerprint}
        _end(alarms, _("%(name)s has confirmed the host key %(fingerprint)s") % said, actor, now)


def _alarming(asset_id: int, host: str, port: int) -> HostKeySightingQuerySet:
    rows: HostKeySightingQuerySet = HostKeySighting.objects.alarming()
    return rows.filter(asset=asset_id, host=host, port=port)


def _open(sighting: HostKeySighting, now: datetime) -> Incident:
    asset = sighting.asset
    body = "\n\n".join(
        (
            _(
                "The server answers with another key than the one that was confirmed. Either it was set up anew, or "
                "somebody stands between. Nobody gets in until this is settled."
            ),
            _keys(sighting),
            _("Compare the key at the server's own console, then confirm or reject it on the page of host keys."),
        )
    )
    return opening.open_by_platform(
        customer=sighting.customer,
        kind=IncidentKind.INCIDENT,
        title=_("Changed host key of %(server)s") % {"server": asset.name},
        description=body,
        severity=Severity.HIGH,
        detected_at=now,
        now=now,
        assets=(asset,),
        category=Incident.Category.SYSTEM,
    )


def _join(incident: Incident, sighting: HostKeySighting, now: datetime) -> Incident:
    title = _("Changed host key of %(server)s") % {"server": sighting.asset.name}
    data = {"title": title, "severity": int(Severity.HIGH), "at": now.isoformat()}
    timeline.write(incident, TimelineEntry.Kind.ALERT, actor=None, now=now, body=_keys(sighting), data=data)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return incident


def _keys(sighting: HostKeySighting) -> str:
    place = f"{sighting.host}:{sighting.port}"
    return f"{place}\n{sighting.fingerprint_before} → {sighting.fingerprint}"


def _end(alarms: HostKeySightingQuerySet, title: str, actor: User | None, now: datetime) -> None:
    told = {row.incident for row in alarms.select_related("incident") if row.incident is not None}
    alarms.update(alarm_over_at=now)
    for incident in sorted(told, key=lambda one: one.pk):
        data = {"title": title, "at": now.isoformat()}
        timeline.write(incident, TimelineEntry.Kind.RECOVERY, actor=actor, now=now, data=data)
        live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
