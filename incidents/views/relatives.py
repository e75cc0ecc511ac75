"""The incidents that another one was put together with, as its page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from incidents.models import Incident, IncidentKind, Merge
from incidents.permissions import may
from incidents.states import Verb

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Relatives:
    """Children and duplicates of one incident, and whether it is one itself."""

    children: list[Incident]
    more: int
    merges: list[Merge]
    undoable: frozenset[int]
    """Numbers of the duplicates that this person may still take apart."""

    @classmethod
    def of(cls, incident: Incident, person: User, now: datetime) -> Relatives:
        rows = Incident.objects.filter(parent=incident).order_by("severity", "opened_at", "pk")
        children = list(rows.prefetch_related("assets", "alerts")[: SHOWN + 1])
        more = rows.count() - SHOWN if len(children) > SHOWN else 0
        merges = list(Merge.objects.filter(incident=incident, undone_at=None).select_related("duplicate", "merged_by"))
        own = frozenset(
            merge.duplicate_id
            for merge in merges
            if merge.can_be_undone(now) and may(person, Verb.UNMERGE, merge.duplicate)
        )
        return cls(children[:SHOWN], more, merges, own)


def makes_sense(verb: Verb, incident: Incident) -> bool:
    """Whether a verb that the table allows has something to act on."""
    applies: dict[Verb, bool] = {
        Verb.DETACH: incident.parent_id is not None,
        Verb.GROUP: incident.parent_id is None,
        Verb.UNMERGE: incident.duplicate_of_id is not None,
        Verb.REOPEN: incident.duplicate_of_id is None,
        Verb.SPLIT: len(incident.alerts.all()) > 1,
        Verb.TAKE_BACK: any(each.ended_at is None for each in incident.third_party_times.all()),
        Verb.PROPOSE_FAULT: incident.kind == IncidentKind.INCIDENT,
        Verb.QUOTE: not incident.is_request or incident.request.needs_quote,
    }
    return applies.get(verb, True)
