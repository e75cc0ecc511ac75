"""Which part of an incident's timeline a page shows: a filter, and the newest entries first in long ones."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import User
from incidents.models import Incident, TimelineEntry
from incidents.permissions import sees_internal

Kind = TimelineEntry.Kind
STEP = 100
TALK = (Kind.COMMENT, Kind.STAGE, Kind.NOTE, Kind.ATTACHMENT, Kind.WAITING, Kind.RESOLVED, Kind.REOPENED)
ALERTS = (Kind.ALERT, Kind.RECOVERY)
KEPT: dict[str, Q] = {
    "": Q(),
    "talk": Q(kind__in=TALK),
    "steps": ~Q(kind__in=(*TALK, *ALERTS)),
    "alerts": Q(kind__in=ALERTS),
    "internal": Q(is_internal=True),
}
WORDS: dict[str, str | Promise] = {
    "": pgettext_lazy("timeline", "Everything"),
    "talk": _("What people wrote"),
    "steps": _("Steps and deadlines"),
    "alerts": _("Alerts"),
    "internal": _("Internal notes"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """The entries on the page, oldest first. `earlier` more were left out; `entries` is how many were asked for."""

    entries: list[TimelineEntry]
    earlier: int
    show: str
    asked: int
    choices: list[tuple[str, str | Promise]]

    @property
    def more(self) -> int:
        """What to ask for to see the next piece."""
        return self.asked + STEP


def shown(incident: Incident, person: User, params: QueryDict) -> Shown:
    """What the address asks for; whatever it says, nobody sees more than they may."""
    choices = [(key, words) for key, words in WORDS.items() if key != "internal" or sees_internal(person)]
    show = params.get("show", "")
    if show not in dict(choices):
        show = ""
    asked = max(STEP, min(_number(params.get("entries", "")), 5000))
    rows = visible_entries(incident, person).filter(KEPT[show])
    newest = list(rows.order_by("-at", "-pk")[: asked + 1])
    earlier = rows.count() - asked if len(newest) > asked else 0
    return Shown(newest[:asked][::-1], earlier, show, asked, choices)


def visible_entries(incident: Incident, person: User) -> QuerySet[TimelineEntry]:
    """The timeline as this person may read it: internal entries are the provider's own."""
    rows = TimelineEntry.objects.filter(incident=incident).select_related("actor").prefetch_related("attachments")
    return rows if sees_internal(person) else rows.filter(is_internal=False)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 0
