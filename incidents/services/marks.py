"""What every verb does before and after: ask whether it may, and save what it changed."""

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import User
from incidents import states
from incidents.models import Incident, IncidentState, RequestPhase
from incidents.permissions import side_of
from incidents.states import State, Transition, Verb


def allowed(verb: Verb, incident: Incident, actor: User | None) -> Transition:
    """The transition that this person may make now.

    Raises PermissionDenied when their side never may, DomainError when it is too late or too early.
    """
    side = side_of(actor)
    if not states.may_ever(verb, side):
        raise PermissionDenied
    transition = states.find(verb, incident.stage, side, incident.step)
    if transition is None:
        raise DomainError(_refusal(verb, incident), code="wrong_state")
    if verb is Verb.REOPEN and incident.duplicate_of_id is not None:
        raise DomainError(
            _("%(number)s was closed as a duplicate: write on the incident that goes on, or have the two taken apart.")
            % {"number": incident.number},
            code="is_duplicate",
        )
    return transition


def move_on(incident: Incident, transition: Transition) -> None:
    """Let a service request enter the phase that the table names; the caller saves."""
    if transition.phase is not None:
        incident.phase = RequestPhase(transition.phase)


def same_version(incident: Incident, expected: int | None) -> None:
    """Refuse to overwrite what somebody else changed since the person loaded the page; None means they do not care."""
    if expected is not None and expected != incident.version:
        raise DomainError(
            _("Somebody else changed %(number)s meanwhile. Nothing was overwritten: look at it again, then decide.")
            % {"number": incident.number},
            code="changed_meanwhile",
        )


def touch(incident: Incident, *, now: datetime) -> None:
    """Save everything on the incident and count the change."""
    incident.version += 1
    incident.changed_at = now
    incident.save()


def _refusal(verb: Verb, incident: Incident) -> str:
    first, at = incident.acknowledged_by, incident.acknowledged_at
    in_hand = incident.stage in (State.ACKNOWLEDGED, State.WAITING_CUSTOMER)
    if verb is Verb.ACKNOWLEDGE and in_hand and first is not None and at is not None:
        return _("%(name)s has already taken %(number)s, at %(time)s. Nothing was changed.") % {
            "name": first.name,
            "number": incident.number,
            "time": f"{timezone.localtime(at):%m-%d %H:%M:%S}",
        }
    return _("%(number)s is now “%(state)s”, so this is not possible any more. Nothing was changed.") % {
        "number": incident.number,
        "state": IncidentState(incident.state).label,
    }
