"""What an accident report says, in the moment that it is written or signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import Contact, Severity
from reports import accident_document, facts, parts
from reports.models import AccidentIssue, AccidentPart, AccidentReport, PartName


def texts(report: AccidentReport, now: datetime) -> Mapping[str, str]:
    return {part.value: text for part, text in facts.texts(report, now=now).items()}


def in_order(found: Sequence[AccidentPart]) -> list[AccidentPart]:
    return sorted(found, key=lambda part: parts.ORDER.index(part.part))


def check(report: AccidentReport) -> None:
    """All five parts must be filled, and the outage must have ended (R116)."""
    empty = parts.missing({part.part: part.text for part in report.parts.all()})
    if empty:
        names = ", ".join(str(PartName(part).label) for part in empty)
        raise DomainError(
            _("These parts are still empty: %(names)s. Nothing was issued.") % {"names": names}, code="empty"
        )
    if report.outage_ended_at is None:
        raise DomainError(
            _("The outage has not ended yet, or the facts are old: refresh them when it is over."), code="ongoing"
        )


def content(report: AccidentReport) -> dict[str, Any]:
    incident = report.incident
    with translation.override(report.language):
        entries = [
            {
                "at": entry.at.isoformat(),
                "kind": entry.kind,
                "who": entry.actor.name if entry.actor else "",
                "text": facts.told(entry),
            }
            for entry in facts.entries_of(incident)
        ]
        severity = str(Severity(incident.severity).label)
    ended = report.outage_ended_at
    return {
        "incident": {"number": incident.number, "title": incident.title, "severity": severity},
        "outage": {
            "started_at": report.outage_started_at.isoformat(),
            "ended_at": None if ended is None else ended.isoformat(),
        },
        "parts": {part.name: part.text for part in report.parts.all()},
        "timeline": entries,
    }


def html(issue: AccidentIssue) -> str:
    return accident_document.html(issue)


def shown(issue: AccidentIssue) -> dict[str, object]:
    """In the language in which it was signed."""
    with translation.override(issue.content["language"]):
        return accident_document.context(issue, issue.content)


def usual(report: AccidentReport) -> set[int]:
    """The contacts, and whoever raised the incident."""
    contacts = set(Contact.objects.filter(customer=report.customer).values_list("user_id", flat=True))
    raised_by = report.incident.raised_by
    return contacts | ({raised_by.pk} if raised_by and raised_by.customer_id == report.customer_id else set())
