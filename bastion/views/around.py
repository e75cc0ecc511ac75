"""The sessions of an incident, a change, an asset or an event of the audit trail, as a part of those pages."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from accounts.permissions import can_write, person_of
from assets.models import Asset
from bastion.models import BastionSession, BastionSessionQuerySet
from bastion.services import around, authorising, web_terminal
from changes.models import Change, TrailEvent
from incidents.models import Incident

MOST: Final = 8


@require_safe
def for_incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    incident = get_object_or_404(Incident.objects, pk=incident_id)
    return _render(request, around.of_incident(incident), {"incident": incident.pk})


@require_safe
def for_change(request: HttpRequest, change_id: int) -> HttpResponse:
    change = get_object_or_404(Change.objects, pk=change_id)
    return _render(request, around.of_change(change), {"change": change.pk})


@require_safe
def for_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    asset = get_object_or_404(Asset.objects, pk=asset_id)
    rows = BastionSession.objects.filter(asset=asset).exclude(opened_at=None)
    person = person_of(request)
    is_reached = can_write(person) and web_terminal.reaches(person, asset_id=asset.pk, now=timezone.now())
    return _render(request, rows, {"asset": asset.pk}, terminal=asset.pk if is_reached else None)


@require_safe
def for_event(request: HttpRequest, event_id: int) -> HttpResponse:
    """Which session was open when something was changed on the cloud: the second click of the audit trail."""
    event = get_object_or_404(TrailEvent.objects.select_related("change"), pk=event_id)
    return _render(request, around.of_event(event), {})


def _render(
    request: HttpRequest, rows: BastionSessionQuerySet, rest: dict[str, int], *, terminal: int | None = None
) -> HttpResponse:
    """Those that this person may watch; `rest` is the query by which the list shows all of them."""
    seen = rows.filter(pk__in=authorising.watchable(person_of(request)).values("pk")).joined()[: MOST + 1]
    sessions = list(seen)
    context = {"sessions": sessions[:MOST], "terminal": terminal, "more": ""}
    if rest and len(sessions) > MOST:
        context["more"] = urlencode(rest)
    return render(request, "bastion/_around.html", context)
