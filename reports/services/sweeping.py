"""What the rhythm of reports does: opens what outages ask for, and finds documents that nobody is making."""

from datetime import datetime

from accounts import scope
from incidents.services import interruptions
from reports.models import AccidentFile, AccidentReport
from reports.services import accidents


def open_what_is_owed(*, now: datetime) -> int:
    """Look at the incidents whose outage may have crossed 30 minutes; returns how many reports were opened.

    It is a question to the rows and not a wake-up that could be lost: after any standstill the next one finds what
    is owed, and the database keeps it at one report per incident.
    """
    with scope.platform("outages of every customer"):
        suspects = list(interruptions.suspects(now).exclude(pk__in=AccidentReport.objects.values("incident_id")))
    opened = 0
    for incident in suspects:
        with scope.customer(incident.customer_id):
            opened += accidents.open_for_outage(incident=incident, now=now) is not None
    return opened


def documents_waiting(*, now: datetime) -> list[int]:
    """Needs a platform scope."""
    return list(AccidentFile.objects.waiting(now).order_by("pk").values_list("pk", flat=True)[:20])
