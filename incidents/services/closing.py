"""The end of an incident: the customer's confirmation and score, or nobody's answer until the time is over."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from incidents import locks, messages, timeline
from incidents.models import Incident, Satisfaction, TimelineEntry
from incidents.models.satisfaction import BEST
from incidents.services.handling import close
from incidents.services.marks import allowed
from incidents.states import State, Verb
from notify import live


@transaction.atomic
def confirm(*, incident: Incident, actor: User, now: datetime, remark: str = "", score: int | None = None) -> Incident:
    """Close, and with a score say how good the solution is: the remark is then the customer's words about it."""
    incident = close(incident=incident, actor=actor, now=now, remark=remark)
    if score is not None:
        rate(incident=incident, score=score, words=remark, actor=actor, now=now)
    return incident


@transaction.atomic
def rate(*, incident: Incident, score: int, actor: User, now: datetime, words: str = "") -> Satisfaction:
    """One score per incident, from 1 to 5. It may be changed for some days after the incident was closed."""
    incident = locks.hold(incident)
    allowed(Verb.RATE, incident, actor)
    if not 1 <= score <= BEST:
        raise DomainError(_("Please give 1 to 5 stars."), code="score_missing")
    if now > may_rate_until(incident):
        raise DomainError(
            _("%(number)s was closed too long ago to be rated. Nothing was changed.") % {"number": incident.number},
            code="too_late",
        )
    words = words.strip()
    given = Satisfaction.objects.filter(incident=incident).first()
    if given is not None and (given.score, given.words) == (score, words):
        return given
    before = None if given is None else given.score
    if given is None:
        given = Satisfaction(customer_id=incident.customer_id, incident=incident, given_at=now)
    else:
        given.changed_at = now
    given.score, given.words, given.given_by = score, words, actor
    given.save()
    data: dict[str, object] = {"score": score} if before is None else {"score": score, "before": before}
    timeline.write(incident, TimelineEntry.Kind.RATED, actor=actor, now=now, body=words, data=data)
    audit.record(action="incident.rate", actor=actor, customer=incident.customer, obj=incident, detail=data, now=now)
    messages.rated(incident, given, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return given


def may_rate_until(incident: Incident) -> datetime:
    """The last moment for a score, or for another one."""
    closed_at = incident.closed_at
    assert closed_at is not None  # noqa: S101 - only closed incidents are rated
    return closed_at + timedelta(days=settings.INCIDENT_RATING_DAYS)


@transaction.atomic
def close_unanswered(*, incident_id: int, now: datetime) -> bool:
    """Nobody answered in time. False when somebody did, or the time was moved."""
    incident = _resolved(incident_id)
    if incident is None or incident.closes_at is None or now < incident.closes_at:
        return False
    incident = close(incident=incident, actor=None, now=now, unanswered=True)
    messages.closed_unanswered(incident, now=now)
    return True


@transaction.atomic
def remind_of_closing(*, incident_id: int, now: datetime) -> bool:
    """The last day to answer has begun. False when nobody needs to hear that."""
    incident = _resolved(incident_id)
    if incident is None or incident.closes_at is None or now >= incident.closes_at:
        return False
    messages.closing_soon(incident, now=now)
    return True


def _resolved(incident_id: int) -> Incident | None:
    """The incident, held, while it is resolved and not closed."""
    found = Incident.objects.filter(pk=incident_id, state=State.RESOLVED).first()
    if found is None:
        return None
    incident = locks.hold(found)
    return incident if incident.stage is State.RESOLVED else None
