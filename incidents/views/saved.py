"""The filters that a person keeps of the board and the list."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import tables
from accounts.models import User
from accounts.permissions import person_of
from incidents import services
from incidents.models import Incident, SavedFilter

ROUTES = {SavedFilter.Place.BOARD.value: "incidents:board", SavedFilter.Place.LIST.value: "incidents:list"}
ALLOWED = frozenset({"q", "customer", "severity", "state", "who", "source", "category", "sort", "view", "kind"})


def saved_filters(person: User, place: str, page: tables.Page[Incident]) -> dict[str, Any]:
    """What `incidents/_saved.html` shows: the person's filters here, and what would be saved now."""
    query = page.params.copy()
    query.pop("page", None)
    return {
        "saved": services.filters_of(person, place),
        "place": place,
        "query_now": query.urlencode() if page.is_filtered or "sort" in query else "",
    }


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Keep the filter under a name and show the page with it."""
    place = request.POST.get("place", "")
    if place not in ROUTES:
        raise Http404
    saved = services.save_filter(
        person=person_of(request),
        place=place,
        name=request.POST.get("name", ""),
        query=request.POST.get("query", ""),
        allowed=ALLOWED,
    )
    messages.success(request, _("“%(name)s” is kept.") % {"name": saved.name})
    return redirect(f"{reverse(ROUTES[place])}?{saved.query}")


@require_POST
def remove(request: HttpRequest, filter_id: int) -> HttpResponse:
    if not services.remove_filter(person=person_of(request), filter_id=filter_id):
        raise Http404
    place = request.POST.get("place", "")
    return redirect(ROUTES.get(place, "incidents:board"))
