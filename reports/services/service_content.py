"""What a service report says: the sentences that its figures ask for, and the figures as they were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.errors import DomainError
from accounts.models import Contact
from reports import blocks, parts, service_document
from reports.blocks import Finding, Part
from reports.facts import plain
from reports.kinds.registry import KINDS
from reports.models import ReportPlan, ServiceFigures, ServiceIssue, ServiceReport


def parts_of(report: ServiceReport) -> list[Part]:
    """The figures of a report that is being written."""
    return blocks.read(report.figures.get("parts", []))


def texts(report: ServiceReport, now: datetime) -> Mapping[str, str]:
    """For each part what was done, what was good, what was not, and what to do next, as the figures say it."""
    given = {one["name"]: one.get("text", "") for one in report.layout["parts"]}
    with translation.override(report.language):
        return given | {part.name: sentences(part.findings) for part in parts_of(report)}


def sentences(findings: Sequence[Finding]) -> str:
    """Markdown: a heading and a list for each tone that has something to say."""
    headings = {
        "note": pgettext("report", "In short"),
        "done": pgettext("report", "What was done"),
        "good": _("What was good"),
        "bad": _("What was not good"),
        "next": _("What to do next"),
    }
    sections = []
    for tone, heading in headings.items():
        lines = [f"- {plain(one.text)}" for one in findings if one.tone == tone]
        if lines:
            sections.append("\n".join([f"**{heading}**", "", *lines]))
    return "\n\n".join(sections)


def check(report: ServiceReport) -> None:
    """The figures must have been read, after the stretch that they are about was over, and what only people can say
    must have been written."""
    if report.figures_at is None:
        raise DomainError(_("The figures have not been read yet. Nothing was issued."), code="no_figures")
    if report.figures_at < report.ends_at:
        raise DomainError(
            _("The figures were read before the reported time was over: read them again."), code="not_over"
        )
    by_hand = by_hand_parts(report)
    empty = [part.title for part in report.parts.all() if part.name in by_hand and not parts.is_filled(part.text)]
    if empty:
        names = ", ".join(empty)
        raise DomainError(
            _("These parts are still empty: %(names)s. Nothing was issued.") % {"names": names}, code="empty"
        )


def by_hand_parts(report: ServiceReport) -> set[str]:
    """Parts in which the platform has nothing to say: those of the kind, and the customer's further sections."""
    read = {part.name for part in KINDS[report.kind] if not part.is_by_hand}
    return {one["name"] for one in report.layout["parts"]} - read


def content(report: ServiceReport) -> dict[str, Any]:
    written = {part.name: part for part in report.parts.all()}
    figures = {part["name"]: part for part in report.figures.get("parts", [])}
    with translation.override(report.language):
        title = report.title
    return {
        "kind": report.kind,
        "title": title,
        "period": report.period,
        "starts_at": report.starts_at.isoformat(),
        "ends_at": report.ends_at.isoformat(),
        "figures_at": None if report.figures_at is None else report.figures_at.isoformat(),
        "layout": report.layout,
        "parts": [
            {"name": name, "title": part.title, "text": part.text, "blocks": figures.get(name, {}).get("blocks", [])}
            for name, part in written.items()
        ],
    }


def html(issue: ServiceIssue) -> str:
    return service_document.html(issue)


def shown(issue: ServiceIssue) -> dict[str, object]:
    """In the language in which it was signed."""
    with translation.override(issue.content["language"]):
        return service_document.context(issue.content, draws=False)


def workshop(report: ServiceReport) -> dict[str, object]:
    """The reading of its figures, and what it brought, by part."""
    with translation.override(report.language):
        sections = service_document.sections(parts_of(report))
    return {
        "reading": ServiceFigures.objects.get(report=report),
        "figures_of": {one.name: one for one in sections},
        "figures_stamp": f"{report.figures_at:%Y%m%d%H%M%S%f}" if report.figures_at else "",
    }


def usual(report: ServiceReport) -> set[int]:
    """Whom the customer's plan names; else its contacts."""
    plan = ReportPlan.objects.filter(customer=report.customer).first()
    if plan is not None and plan.recipients:
        return set(plan.recipients)
    return set(Contact.objects.filter(customer=report.customer).values_list("user_id", flat=True))
