"""Standing still for a signature: an incident waits for a confirmation or a quote, and runs on when it is answered."""

from __future__ import annotations

from datetime import datetime

from incidents import clocks
from incidents.models import Attestation, Incident, IncidentState, Pause
from incidents.states import State

SIGNATURES = (Pause.Reason.CONFIRMATION, Pause.Reason.QUOTE)


def stand_still(incident: Incident, reason: Pause.Reason, *, now: datetime) -> None:
    """Pause the clocks for a signature. The caller holds the incident and saves it.

    One that waits for the customer already goes on waiting, now for the signature: a comment no longer ends it.
    """
    clocks.end_pause(incident, now=now)
    incident.state = IncidentState.WAITING_CUSTOMER
    clocks.begin_pause(incident, reason, now=now)
    clocks.arm(incident, now=now)


def run_on(incident: Incident, *, now: datetime) -> bool:
    """Let the clocks run when nothing is left to be signed; True when they do. The caller holds and saves."""
    if not for_signature(incident) or Attestation.objects.filter(incident=incident).unanswered().exists():
        return False
    incident.state = IncidentState.ACKNOWLEDGED
    clocks.end_pause(incident, now=now)
    clocks.arm(incident, now=now)
    return True


def for_signature(incident: Incident) -> bool:
    if incident.stage is not State.WAITING_CUSTOMER:
        return False
    return Pause.objects.filter(incident=incident, ended_at=None, reason__in=SIGNATURES).exists()
