"""Figures of the monthly reports before this one, as they were issued or else stand: never reckoned anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from django.db.models import F, Func, JSONField, Value
from django.urls import reverse
from django.utils.translation import gettext as _

from incidents.months import Month
from reports.blocks import Cell, Source
from reports.kinds.asking import Asked
from reports.models import ServiceIssue, ServiceReport

MONTHS: Final = 12
"""Of a curve over months, the reported one among them."""


class _Kept(Func):
    """A figure's value, found inside the database: what is kept of a month is megabytes."""

    function = "jsonb_path_query_first"
    template = "%(function)s(%(expressions)s::jsonpath)"
    output_field = JSONField()

    def __init__(self, field: str, part: str, key: str) -> None:
        path = f'$.parts[*] ? (@.name == "{part}").blocks[*].figures[*] ? (@.key == "{key}").value'
        super().__init__(F(field), Value(path))


def months(asked: Asked) -> list[Month]:
    return [asked.month.shifted(back) for back in range(1 - MONTHS, 1)]


def source(asked: Asked) -> Source:
    return Source(
        _("Each month as its report said it; a month without a report has no value."),
        "reports.serviceissue, content; reports.servicereport, figures",
        f"{reverse('reports:service')}?customer={asked.customer.pk}&kind=monthly",
    )  # fmt: skip


def by_month(asked: Asked, part: str, now: Mapping[str, Cell]) -> dict[str, tuple[float | None, ...]]:
    """Of each key its value in every month up to this one, whose values are given; None where none was reported."""
    before = _before(asked, part, list(now))
    return {
        key: (*(before.get((month, key)) for month in months(asked)[:-1]), _number(value)) for key, value in now.items()
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _before(asked: Asked, part: str, keys: Sequence[str]) -> dict[tuple[Month, str], float | None]:
    reports = ServiceReport.objects.monthly().filter(
        customer=asked.customer, period__in=[str(month) for month in months(asked)[:-1]]
    )
    names = {f"kept_{place}": key for place, key in enumerate(keys)}
    drafts = reports.annotate(**{name: _Kept("figures", part, key) for name, key in names.items()})
    issues = ServiceIssue.objects.filter(report__in=reports.values("pk")).order_by("report_id", "-number")
    newest = issues.distinct("report_id").annotate(**{name: _Kept("content", part, key) for name, key in names.items()})
    rows = [*drafts.order_by("pk").values("period", *names), *newest.values("report__period", *names)]
    found: dict[tuple[Month, str], float | None] = {}
    for row in rows:
        month = Month.parse(row.get("period") or row["report__period"])
        for name, key in names.items():
            found[month, key] = _number(row[name])
    return found
