"""What a page gets back after a verb."""

import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.fragments import is_fragment
from incidents.models import Incident


def answer(request: HttpRequest, incident: Incident, done: str, *, anchor: str = "", event: str = "") -> HttpResponse:
    """Back to the incident; htmx gets the news as events and refreshes what it shows."""
    if is_fragment(request):
        events: dict[str, object] = {"press:done": {}, "live": {"topic": "incidents", "id": incident.pk}}
        if event:
            events[event] = {"id": incident.pk}
        if done:
            events["toast"] = {"level": "success", "text": done}
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(events)})
    if done:
        messages.success(request, done)
    return redirect(f"/incidents/{incident.pk}/{anchor}")
