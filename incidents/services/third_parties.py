"""Times that an incident lay with Alibaba Cloud or another third party (R14). Our clocks run on."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from incidents import locks, timeline
from incidents.models import Incident, ThirdPartyTime, TimelineEntry
from incidents.services.marks import allowed, touch
from incidents.states import Verb
from notify import live

Party = ThirdPartyTime.Party


@transaction.atomic
def hand_over(
    *,
    incident: Incident,
    party: str,
    ticket: str,
    started_at: datetime,
    actor: User,
    now: datetime,
    name: str = "",
    note: str = "",
) -> ThirdPartyTime:
    """The work lies with somebody else from a moment on, under their ticket number."""
    incident = locks.hold(incident)
    allowed(Verb.HAND_OVER, incident, actor)
    chosen = Party(party)
    if started_at > now + timedelta(minutes=1):
        raise DomainError(_("The time lies in the future. Nothing was saved: please correct it."))
    if ThirdPartyTime.objects.filter(incident=incident, party=chosen, ended_at=None).exists():
        raise DomainError(
            _("It lies with %(party)s already. Nothing was changed.") % {"party": chosen.label}, code="with_them"
        )
    stretch = ThirdPartyTime.objects.create(
        customer_id=incident.customer_id,
        incident=incident,
        party=chosen,
        name=name.strip(),
        ticket=ticket.strip(),
        started_at=min(started_at, now),
        note=note.strip(),
        recorded_by=actor,
    )
    data: dict[str, object] = {"party": chosen.value, "name": stretch.name, "ticket": stretch.ticket}
    data["at"] = stretch.started_at.isoformat()
    _finish(incident, data, "third_party.hand_over", stretch.note, actor=actor, now=now)
    return stretch


@transaction.atomic
def take_back(
    *,
    stretch: ThirdPartyTime,
    ended_at: datetime,
    answered_at: datetime | None,
    actor: User,
    now: datetime,
    note: str = "",
) -> ThirdPartyTime:
    """It is with us again. `answered_at`: when they first answered, by their own ticket."""
    incident = locks.hold(stretch.incident)
    allowed(Verb.TAKE_BACK, incident, actor)
    stretch = ThirdPartyTime.objects.get(pk=stretch.pk)
    if stretch.ended_at is not None:
        raise DomainError(_("That stretch is over already. Nothing was changed."), code="over")
    if not stretch.started_at <= ended_at <= now + timedelta(minutes=1):
        raise DomainError(_("The end must lie between its beginning and now. Nothing was saved."))
    if answered_at is not None and not stretch.started_at <= answered_at <= ended_at:
        raise DomainError(_("Their first answer must lie within the stretch. Nothing was saved."))
    stretch.ended_at, stretch.answered_at = ended_at, answered_at
    stretch.note = "\n\n".join(part for part in (stretch.note, note.strip()) if part)
    stretch.save(update_fields=["ended_at", "answered_at", "note"])
    data: dict[str, object] = {"party": stretch.party, "back": True, "name": stretch.name, "ticket": stretch.ticket}
    data["at"] = ended_at.isoformat()
    _finish(incident, data, "third_party.take_back", note, actor=actor, now=now)
    return stretch


def end_with(incident: Incident, *, now: datetime) -> None:
    """A solved incident lies with nobody. The caller holds it."""
    ThirdPartyTime.objects.filter(incident=incident, ended_at=None, started_at__lte=now).update(ended_at=now)


def _finish(incident: Incident, data: dict[str, object], action: str, body: str, *, actor: User, now: datetime) -> None:
    touch(incident, now=now)
    timeline.write(incident, TimelineEntry.Kind.THIRD_PARTY, actor=actor, now=now, body=body.strip(), data=data)
    audit.record(action=action, actor=actor, customer=incident.customer, obj=incident, detail=data, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
