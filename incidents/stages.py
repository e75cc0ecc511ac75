"""The stages of which the customer hears while an incident is unsolved (R80)."""

from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from incidents.models import Incident, TimelineEntry

Kind = TimelineEntry.Kind
TELLING = (Kind.ACKNOWLEDGED, Kind.STAGE, Kind.RESOLVED, Kind.REOPENED)


class Stage(models.TextChoices):
    """In the order in which an incident usually reaches them."""

    RECEIVED = "received", pgettext_lazy("phase", "Received")
    DIAGNOSED = "diagnosed", _("Diagnosed")
    WORKAROUND = "workaround", _("Workaround in place")
    SOLVED = "solved", _("Solved")


REPORTED = (Stage.DIAGNOSED, Stage.WORKAROUND)
"""Reported by hand; acknowledging and resolving report the other two."""


@dataclass(frozen=True, slots=True)
class Step:
    stage: Stage
    at: datetime | None


def steps(incident: Incident) -> list[Step]:
    """Each stage with the moment at which it was first reported; reopening takes the solution back."""
    reached: dict[Stage, datetime] = {}
    for entry in TimelineEntry.objects.filter(incident=incident, kind__in=TELLING).order_by("at", "pk"):
        match entry.kind:
            case Kind.ACKNOWLEDGED:
                reached.setdefault(Stage.RECEIVED, entry.at)
            case Kind.STAGE if entry.data.get("stage") in Stage.values:
                reached.setdefault(Stage(entry.data["stage"]), entry.at)
            case Kind.RESOLVED:
                reached[Stage.SOLVED] = entry.at
            case Kind.REOPENED:
                reached.pop(Stage.SOLVED, None)
    return [Step(stage, reached.get(stage)) for stage in Stage]
