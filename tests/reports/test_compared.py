"""Numbers beside those of the month before: of the same report about the same, and in sentences."""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import pytest
from django.utils import translation

from accounts import scope
from accounts.models import Customer
from incidents.months import Month
from reports import blocks, cells, service_document, workbook
from reports.blocks import Cell, Column, Figure, Figures, Finding, Part, Remark, Source, Table
from reports.kinds import comparing
from reports.models import ServiceReport
from reports.services import service_content, service_reports
from tests.conftest import NOW

FEBRUARY, MARCH = Month(2026, 2), Month(2026, 3)
SOURCE = Source("x")


def part(name: str, *found: Figure, said: tuple[Finding, ...] = ()) -> Part:
    return Part(name, name, (Remark("x"), Figures(found)), said)


def kept(customer: Customer, month: Month, value: float, **said: Any) -> ServiceReport:
    usual = {"kind": "performance", "trigger": "by_hand", "state": "draft"}
    figures = blocks.written([part("hosts", Figure("short", "x", value, SOURCE))])
    return ServiceReport.objects.create(
        customer=customer, period=str(month), starts_at=month.starts_at, ends_at=month.ends_at, language="zh-hans",
        opened_at=NOW, changed_at=NOW, due_at=month.freezes_at, figures={"parts": figures}, **{**usual, **said},
    )  # fmt: skip


def before(report: ServiceReport) -> Cell:
    found = service_reports._before(report)
    return next((one.value for one in found[0].figures()), None) if found else None


@pytest.mark.django_db
def test_the_month_before_is_that_of_the_same_question(jia: Customer) -> None:
    with scope.platform("test"):
        report = kept(jia, MARCH, 1, wishes={"assets": [3, 4]})
        assert before(report) is None
        kept(jia, FEBRUARY, 10)
        kept(jia, FEBRUARY, 11, wishes={"assets": [3]})
        kept(jia, Month(2026, 1), 12, wishes={"assets": [3, 4]})
        assert before(report) is None, "other resources, another month"
        kept(jia, FEBRUARY, 13, wishes={"assets": [4, 3]})
        assert before(report) == 13, "in whatever order they were named"
        kept(jia, FEBRUARY, 14, wishes={"assets": [3, 4]})
        kept(jia, FEBRUARY, 15, wishes={"assets": [3, 4]}, state="withdrawn")
        assert before(report) == 14, "the newest that stands"
        assert before(kept(jia, MARCH, 1)) == 10


def notes(*parts: Part) -> list[str]:
    with translation.override("en"):
        return [one.text for each in comparing.told(parts) for one in each.findings if one.tone == "note"]


def test_head_figures_are_compared_in_sentences() -> None:
    available = Figure("available", "Availability", 99.95, SOURCE, kind="share", better="up", before=99.9)
    outages = Figure("outages", "Outages", 3, SOURCE, better="down", before=1)
    good = (Finding("good", "x"),)
    assert notes(part("web", available, outages, said=good)) == [
        "Availability: 99.95 %, better than the month before (99.90 %).",
        "Outages: 3, worse than the month before (1).",
    ]
    same = Figure("count", "Incidents", 3, SOURCE, better="down", before=3)
    assert notes(part("incidents", same, said=good)) == ["Incidents: 3, as the month before."]
    neutral = Figure("count", "Incidents", 3, SOURCE, before=4)
    assert notes(part("incidents", neutral, said=good)) == ["Incidents: 3, against 4 the month before."]


def test_what_is_not_known_of_either_month_is_not_compared() -> None:
    new = Figure("available", "Availability", 99.95, SOURCE, better="up")
    gone = Figure("available", "Availability", None, SOURCE, better="up", before=99.9)
    assert notes(part("web", new, said=(Finding("bad", "x"),))) == []
    assert notes(part("web", gone)) == ["Nothing is known of this part."]
    assert notes(part("web", new)) == ["Nothing stood out."]
    patchy = Part("web", "web", (Remark("x", is_warning=True), Figures((new,))))
    assert notes(patchy) == ["Nothing stood out in what was measured."]
    assert notes(part("cause"), part("inventory", new)) == [], "parts that have no head figures"


def test_a_part_says_it_in_its_text() -> None:
    with translation.override("en"):
        text = service_content.sentences([Finding("bad", "It failed."), Finding("note", "Nothing stood out.")])
    assert text == "**In short**\n\n- Nothing stood out.\n\n**What was not good**\n\n- It failed."


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (99.996, "share", "99.99 %"), (100.0, "share", "100 %"), (99.984, "share", "99.98 %"), (0.0, "share", "0 %"),
        (-0.001, "number", "0.00"), (-0.5, "number", "-0.50"), (12.0, "number", "12"), (1234.5, "number", "1,234.50"),
    ],
)  # fmt: skip
def test_nothing_short_of_everything_reads_as_everything_and_no_zero_has_a_sign(
    value: float, kind: blocks.Kind, text: str
) -> None:
    assert cells.written(value, kind, service_document.ZONE) == text


def test_better_and_worse_are_words_as_well() -> None:
    with translation.override("en"):
        up = service_document.number(Figure("a", "A", 2, SOURCE, better="up", before=1))
        down = service_document.number(Figure("a", "A", 1, SOURCE, better="up", before=2))
        same = service_document.number(Figure("a", "A", 1, SOURCE, better="up", before=1))
        assert [one.verdict for one in (up, down, same)] == ["better", "worse", ""]


def test_whole_numbers_of_a_workbook_have_no_point() -> None:
    table = Table("t", "T", (Column("N", "number"),), ((12,), (12.0,), (12.5,), (None,)), SOURCE)
    book = workbook.made("x", [Part("p", "P", (table,))], service_document.ZONE)
    sheet = openpyxl.load_workbook(io.BytesIO(book)).worksheets[1]
    assert [cell.number_format for cell in sheet["A"][1:4]] == ["#,##0", "#,##0", "#,##0.00"]
    table = Table("t", "T", (Column("S", "share"),), ((99.996,), (99.9,)), SOURCE)
    book = workbook.made("x", [Part("p", "P", (table,))], service_document.ZONE)
    sheet = openpyxl.load_workbook(io.BytesIO(book)).worksheets[1]
    assert [cell.number_format for cell in sheet["A"][1:3]] == ['0.0000" %"', '0.00" %"']
