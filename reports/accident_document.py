"""The document of a signed issue, as HTML: made of what was signed and of nothing else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from incidents import prose
from reports import chart
from reports.models import AccidentIssue, PartName
from reports.parts import ORDER, Part

TONES = {
    "alert": "bad", "breach": "bad", "reopened": "bad", "opened": "plain", "acknowledged": "work", "assigned": "work",
    "recovery": "good", "resolved": "good", "closed": "good",
}  # fmt: skip
DRAWN = frozenset({"opened", "alert", "acknowledged", "recovery", "resolved", "reopened", "breach"})
LONGEST_LABEL = 18


@dataclass(frozen=True, slots=True)
class Section:
    """One of the five parts as it is printed; `anchor` is where the list of contents points."""

    number: int
    anchor: str
    title: str
    html: SafeString
    has_timeline: bool


@dataclass(frozen=True, slots=True)
class Row:
    at: datetime
    who: str
    text: str
    tone: str


def html(issue: AccidentIssue) -> str:
    content: dict[str, Any] = issue.content
    with translation.override(content["language"]), timezone.override(settings.TIME_ZONE):
        return render_to_string("reports/pdf/accident.html", context(issue, content))


def context(issue: AccidentIssue, content: dict[str, Any]) -> dict[str, object]:
    """What the template shows; pages of the portal show the same."""
    started_at, ended_at = _moment(content["outage"]["started_at"]), _moment(content["outage"]["ended_at"])
    rows = [
        Row(_known(entry["at"]), _bare(entry["who"]), _bare(entry["text"]), entry["kind"])
        for entry in content["timeline"]
    ]
    return {
        "issue": issue,
        "signed_at": issue.signed_at.replace(microsecond=0).isoformat(),
        "content": {name: _bare(value) if isinstance(value, str) else value for name, value in content.items()},
        "incident": {name: _bare(value) for name, value in content["incident"].items()},
        "started_at": started_at,
        "ended_at": ended_at,
        "minutes": None
        if ended_at is None or started_at is None
        else int((ended_at - started_at).total_seconds() // 60),
        "sections": [_section(number, part, content["parts"].get(part, "")) for number, part in enumerate(ORDER, 1)],
        "rows": rows,
        "chart": None if started_at is None else _chart(rows, started_at, ended_at or issue.signed_at),
        "emergency": {"name": settings.EMERGENCY_NAME, "phone": settings.EMERGENCY_PHONE},
    }


def _section(number: int, part: Part, text: str) -> Section:
    body = SafeString(prose.html(text, below=2, for_print=True))
    return Section(number, f"part-{number}", str(PartName(part).label), body, part is Part.PROCESS)


def _chart(rows: list[Row], started_at: datetime, ended_at: datetime) -> chart.Chart:
    """What happened around the outage; what came days after it would squeeze the rest into a corner."""
    until = ended_at + max(ended_at - started_at, timedelta(hours=1))
    events = [
        chart.Event(row.at, _short(row), TONES.get(row.tone, "plain"))
        for row in rows
        if row.tone in DRAWN and row.at <= until
    ]
    return chart.draw(events, (started_at, ended_at), ZoneInfo(settings.TIME_ZONE))


def _short(row: Row) -> str:
    words = {
        "opened": pgettext("event", "Opened"),
        "alert": _("Alert"),
        "acknowledged": _("Acknowledged"),
        "recovery": _("Recovered"),
        "resolved": _("Resolved"),
        "reopened": _("Reopened"),
        "breach": _("Deadline missed"),
    }
    return f"{timezone.localtime(row.at):%H:%M} {words[row.tone]}"[:LONGEST_LABEL]


def _bare(text: str) -> str:
    """Without characters that a document must not hold; the template escapes the rest."""
    return prose.clean(text)


def _moment(text: str | None) -> datetime | None:
    return parse_datetime(text) if text else None


def _known(text: str) -> datetime:
    moment = parse_datetime(text)
    assert moment is not None  # noqa: S101 - written by isoformat() when it was signed
    return moment
