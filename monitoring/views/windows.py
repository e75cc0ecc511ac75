"""The stretch of time that the address of a graph asks for."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest
from django.utils import timezone

from monitoring.forms import WindowForm
from monitoring.services import graphs


def window_of(request: HttpRequest) -> tuple[graphs.Window, datetime | None]:
    """The window, and since when figures are wanted by a graph that goes on. Nonsense is ignored, never an error."""
    form = WindowForm(request.GET)
    form.is_valid()
    asked = form.cleaned_data
    start, end, since = (_moment(asked.get(name)) for name in ("start", "end", "since"))
    return graphs.window(asked.get("range", ""), start, end, now=timezone.now()), since


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
