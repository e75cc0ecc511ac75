"""A month's report wherever its numbers stand: as JSON, on the page of its draft, on paper."""

from dataclasses import dataclass
from html import unescape

from django.test import Client

from accounts import scope
from accounts.models import Customer, User
from reports import blocks, pdf, service_document
from reports.blocks import Part
from reports.models import ReportKind, ServiceFigures, ServiceReport
from reports.services import service_reports, writing
from tests.reports import paper
from tests.reports.golden import MARCH, day


@dataclass(frozen=True)
class Shown:
    """`paper`: the text of the document without blanks."""

    parts: dict[str, Part]
    page: str
    paper: str


def shown_everywhere(customer: Customer, writer: User, browser: Client) -> Shown:
    """The monthly report of March, opened and read on the third of April; `browser` is the writer's."""
    with scope.user(writer):
        report = service_reports.open_by_hand(
            customer=customer, kind=ReportKind.MONTHLY, month=MARCH, actor=writer, now=day(34)
        )
    with scope.platform("test"):
        reading = ServiceFigures.objects.get(report=report)
        assert service_reports.read_figures(reading_id=reading.pk, clock=lambda: day(34))
        report = ServiceReport.objects.select_related("customer", "author").get(pk=report.pk)
        document = pdf.make(service_document.preview(writing.content_of(report, 1)))
    kept = blocks.read(browser.get(f"/reports/service/{report.pk}/figures/").json()["parts"])
    page = unescape(browser.get(f"/reports/service/{report.pk}/").content.decode())
    return Shown({part.name: part for part in kept}, page, paper.packed("".join(paper.texts(document))))
