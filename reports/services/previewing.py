"""A look ahead at a customer's format: the document of figures that are plainly made up."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Customer
from incidents.months import Month
from reports import blocks
from reports.blocks import Chart, Column, Curve, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.models import ReportKind, ReportPlan
from reports.services import service_content, service_reports, writing


def content(customer: Customer, plan: ReportPlan, *, now: datetime) -> dict[str, Any]:
    month = Month.of(timezone.localdate(now)).shifted(-1)
    language = plan.language or customer.language
    with translation.override(language):
        layout = service_reports.layout(ReportKind.MONTHLY, plan, language)
        parts = [_sample(one["name"], one["title"]) for one in layout]
        kept = blocks.written(parts)
        return {
            "number": "REP-000000", "issue": 0, "language": language, "customer": customer.name,
            "provider": writing.provider(language), "author": "", "reason": "",
            "kind": ReportKind.MONTHLY, "title": f"{ReportKind.MONTHLY.label} {month}", "period": str(month),
            "starts_at": month.starts_at.isoformat(), "ends_at": month.ends_at.isoformat(), "figures_at": None,
            "layout": {"parts": layout, "accent": plan.accent, "logo": plan.logo},
            "parts": [
                {**one, "text": given.get("text") or service_content.sentences(part.findings)}
                for one, part, given in zip(kept, parts, layout, strict=True)
            ],
        }  # fmt: skip


def _sample(name: str, title: str) -> Part:
    source = Source(_("A sample: nothing was read."))
    days = tuple(f"{day:02}" for day in range(1, 31))
    wave = tuple(float(40 + (day * 7) % 23) for day in range(30))
    return Part(
        name,
        title,
        (
            Remark(_("This page shows the format. Its figures are made up.")),
            Figures(
                (
                    Figure("a", _("Sample"), 99.95, source, kind="share", better="up", before=99.9),
                    Figure("b", _("Sample"), 12, source, better="down", before=9),
                )
            ),
            Chart(f"{name}-chart", _("Sample"), days, (Curve("A", wave), Curve("B", wave[::-1])), source, unit="%"),
            Table(
                f"{name}-table", _("Sample"), (Column(_("Name")), Column(_("Value"), "number")),
                tuple((f"web-{number:02}", number * 3) for number in range(1, 9)), source,
            ),
        ),
        (Finding("good", _("A sentence of this kind stands here.")), Finding("next", _("So does this one."))),
    )  # fmt: skip
