"""The monthly report from its day to the customer's receipt (R109..R114)."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import openpyxl
import pypdf
import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError
from PIL import Image

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Contract, Customer, Severity, User
from incidents.models import Incident, IncidentKind
from incidents.months import Month
from notify.models import Delivery
from reports import blocks
from reports.kinds import registry
from reports.kinds.asking import Asked, PartOf
from reports.models import MadeState, ReportKind, ServiceFigures, ServiceIssue, ServicePart, ServiceReport
from reports.services import documents, rendering, sending, service_deadlines, service_reports, sweeping, writing
from tests.conftest import ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident
from timers.models import Timer

MONTH = Month(2026, 3)
FIRST = datetime(2026, 3, 31, 18, 5, tzinfo=UTC)
"""1 April, 02:05 in Shanghai."""


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 20)) -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", size, "#d1661c").save(kept, kind)
    return kept.getvalue()


@pytest.fixture(autouse=True)
def _served_all_month(jia: Customer, yi: Customer) -> None:
    with scope.platform("test"):
        Contract.objects.update(starts_on="2026-01-01", ends_on="2026-12-31")


@pytest.fixture
def broken(jia: Customer) -> Incident:
    return alarm(make_asset(jia, "web-01"), severity=Severity.HIGH)


def opened(*, now: datetime = FIRST) -> list[ServiceReport]:
    sweeping.open_months(now=now)
    with scope.platform("test"):
        return list(ServiceReport.objects.select_related("customer").order_by("customer__code"))


def read(report: ServiceReport, *, now: datetime = FIRST) -> ServiceReport:
    with scope.platform("test"):
        reading = ServiceFigures.objects.get(report=report)
        assert service_reports.read_figures(reading_id=reading.pk, clock=lambda: now)
        return ServiceReport.objects.select_related("customer", "author").get(pk=report.pk)


def issued(report: ServiceReport, chen: User, lin: User, *, now: datetime = FIRST) -> ServiceIssue:
    with scope.user(chen):
        writing.submit(report=report, actor=chen, now=now)
    with scope.user(lin):
        issue: ServiceIssue = writing.sign(report=report, actor=lin, now=now, address="192.0.2.9")
    with scope.platform("test"):
        assert rendering.render(family="service", file_id=issue.file.pk, clock=lambda: now)
        return ServiceIssue.objects.select_related("file", "report", "report__customer").get(pk=issue.pk)


def test_each_customer_in_service_has_its_report_on_the_first_once(jia: Customer, yi: Customer) -> None:
    assert opened(now=FIRST - timedelta(minutes=10)) == []
    reports = opened()
    assert [(one.customer.code, one.period, one.kind) for one in reports] == [
        ("jia", "2026-03", "monthly"), ("yi", "2026-03", "monthly"),
    ]  # fmt: skip
    assert opened(now=FIRST + timedelta(days=3)) == reports
    assert reports[0].due_at == datetime(2026, 4, 9, 15, 59, 59, tzinfo=UTC)


def test_it_has_exactly_the_six_parts(jia: Customer) -> None:
    report = read(opened()[0])
    assert [part["name"] for part in report.figures["parts"]] == [
        "overview", "incidents", "security", "web", "hosts", "databases",
    ]  # fmt: skip
    with scope.platform("test"):
        assert ServicePart.objects.filter(report=report).count() == 6


def test_a_customer_that_joined_in_the_month_is_told_from_its_first_day(jia: Customer) -> None:
    with scope.platform("test"):
        Contract.objects.filter(customer=jia).update(starts_on="2026-03-16")
    report = opened()[0]
    assert report.starts_at == datetime(2026, 3, 15, 16, tzinfo=UTC)
    assert report.ends_at == MONTH.ends_at


def test_who_was_not_served_has_no_report(jia: Customer) -> None:
    with scope.platform("test"):
        Contract.objects.filter(customer=jia).update(starts_on="2026-04-01")
    assert [one.customer.code for one in opened()] == ["yi"]


def test_figures_begin_and_end_with_the_month_in_shanghai(jia: Customer, alice: User) -> None:
    second = timedelta(seconds=1)
    for at in (MONTH.starts_at - second, MONTH.starts_at, MONTH.ends_at - second, MONTH.ends_at):
        incident = raise_incident(alice, customer=jia)
        with scope.platform("test"):
            Incident.objects.filter(pk=incident.pk).update(opened_at=at)
    assert numbers_of(read(opened()[0]), "incidents")["count"] == 2


def test_texts_say_what_the_figures_say_and_what_was_edited_stays(jia: Customer, broken: Incident, chen: User) -> None:
    report = read(opened()[0])
    with scope.user(chen):
        part = ServicePart.objects.select_related("report").get(report=report, name="incidents")
        assert part.text == part.facts
        writing.edit(part=part, text="In our own words.", revision=part.revision, actor=chen, now=FIRST)
        service_reports.read_again(report=report, actor=chen, now=FIRST)
    for number in range(3):
        with scope.platform("test"):
            Incident.objects.filter(pk=alarm(make_asset(jia, f"db-{number}")).pk).update(opened_at=MONTH.starts_at)
    read(report, now=FIRST + timedelta(minutes=5))
    with scope.user(chen):
        part = ServicePart.objects.get(pk=part.pk)
    assert part.text == "In our own words."


def test_from_the_draft_to_the_customers_receipt(
    jia: Customer, alice: User, bob: User, eve: User, chen: User, lin: User, client_for: ClientFor
) -> None:
    report = read(opened()[0])
    assert client_for(alice).get(f"/reports/service/{report.pk}/").status_code == 404
    issue = issued(report, chen, lin)
    with scope.user(chen):
        sending.send(report=issue.report, people=[alice], actor=chen, now=FIRST)
    page = client_for(alice).get(f"/reports/service/{report.pk}/", follow=True)
    assert page.status_code == 200
    assert client_for(eve).get(f"/reports/service/{report.pk}/").status_code == 404
    assert client_for(eve).get(f"/reports/service/{report.pk}/issues/{issue.pk}/pdf/").status_code == 404
    assert client_for(eve).get(f"/reports/service/{report.pk}/issues/{issue.pk}/workbook/").status_code == 404
    with scope.platform("test"):
        recipient = issue.recipients.get()
    assert recipient.read_at is not None
    assert recipient.received_at is None
    client_for(alice).post(f"/reports/service/{report.pk}/issues/{issue.pk}/receipt/")
    with scope.platform("test"):
        assert issue.recipients.get().received_at is not None
        mails = Delivery.objects.filter(customer=jia, medium="email")
        assert any("/reports/open/" in mail.text for mail in mails)
        assert not Timer.objects.filter(key__startswith=report.key).exists()


def test_the_document_says_the_frozen_figures(jia: Customer, broken: Incident, chen: User, lin: User) -> None:
    with scope.platform("test"):
        Incident.objects.filter(pk=broken.pk).update(opened_at=MONTH.starts_at + timedelta(days=2))
    issue = issued(read(opened()[0]), chen, lin)
    with scope.platform("test"):
        content = documents.read(issue.file)
        Incident.objects.filter(pk=broken.pk).update(title="Another title")
    reader = pypdf.PdfReader(io.BytesIO(content))
    text = "".join(page.extract_text() for page in reader.pages)
    assert broken.number in text
    assert len(content) < 8 * 1024 * 1024
    assert [entry["/Title"] for entry in reader.outline if isinstance(entry, dict)][:1] != []
    shown = blocks.read([{k: v for k, v in part.items() if k != "text"} for part in issue.content["parts"]])
    assert writing.is_intact(issue)
    assert shown[1].name == "incidents"


def test_the_workbook_holds_each_table_and_no_formula(jia: Customer, chen: User, client_for: ClientFor) -> None:
    incident = alarm(make_asset(jia, "web-01"))
    with scope.platform("test"):
        Incident.objects.filter(pk=incident.pk).update(
            opened_at=MONTH.starts_at + timedelta(days=1), title="=HYPERLINK(0)"
        )
    report = read(opened()[0])
    answer = client_for(chen).get(f"/reports/service/{report.pk}/workbook/")
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert all(cell.data_type != "f" for cell in cells)
    assert any("HYPERLINK" in str(cell.value) for cell in cells)
    assert len(book.sheetnames) > 8


def test_figures_are_issued_only_of_a_month_that_is_over(jia: Customer, chen: User) -> None:
    with scope.user(chen):
        report = service_reports.open_by_hand(
            customer=jia, kind=ReportKind.SLA, month=MONTH, actor=chen, now=MONTH.starts_at + timedelta(days=9)
        )
    read(report, now=MONTH.starts_at + timedelta(days=9))
    with scope.user(chen), pytest.raises(DomainError) as refused:
        writing.submit(report=report, actor=chen, now=MONTH.starts_at + timedelta(days=9))
    assert refused.value.code == "not_over"


def test_a_reader_that_fails_is_tried_again_and_holds_up_nobody_else(
    jia: Customer, yi: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(asked: Asked) -> Any:
        if asked.customer.pk == jia.pk:
            raise DatabaseError("no such luck")
        return registry_read(asked)

    first = registry.KINDS[ReportKind.MONTHLY][0]
    registry_read = first.read
    mine = [PartOf(first.name, first.title, breaks), *registry.KINDS[ReportKind.MONTHLY][1:]]
    monkeypatch.setattr(service_reports, "KINDS", {ReportKind.MONTHLY: mine})
    ours, theirs = opened()
    with scope.platform("test"):
        reading = ServiceFigures.objects.get(report=ours)
        for _attempt in range(3):
            assert not service_reports.read_figures(reading_id=reading.pk, clock=lambda: FIRST)
        reading.refresh_from_db()
        assert reading.state == MadeState.FAILED
        assert "no such luck" in reading.error
    assert read(theirs).figures_at is not None


def test_a_killed_reader_leaves_the_report_as_it_was(jia: Customer) -> None:
    report = opened()[0]
    with scope.platform("test"):
        reading = ServiceFigures.objects.get(report=report)
        ServiceFigures.objects.filter(pk=reading.pk).update(
            state=MadeState.RENDERING, tries=1, leased_until=FIRST + timedelta(minutes=1)
        )
        assert reading.pk not in sweeping.figures_waiting(now=FIRST)
        assert reading.pk in sweeping.figures_waiting(now=FIRST + timedelta(minutes=2))
        assert ServiceReport.objects.get(pk=report.pk).figures == {}
    assert read(report, now=FIRST + timedelta(minutes=2)).figures_at is not None


def test_deadlines_warn_alarm_and_count_lateness(jia: Customer, chen: User) -> None:
    report = opened()[0]
    with scope.platform("test"):
        due = {timer.key.rpartition(":")[2]: timer.due_at for timer in Timer.objects.filter(key__startswith=report.key)}
        assert due == {
            "warn": datetime(2026, 4, 5, 1, tzinfo=UTC),
            "alarm": datetime(2026, 4, 8, 1, tzinfo=UTC),
            "due": datetime(2026, 4, 9, 15, 59, 59, tzinfo=UTC),
        }
    with scope.customer(jia):
        for what, at in due.items():
            assert service_reports.meet_deadline(report_id=report.pk, what=what, now=at)
            service_reports.meet_deadline(report_id=report.pk, what=what, now=at)
    with scope.platform("test"):
        assert Incident.objects.filter(customer=jia, kind=IncidentKind.INTERNAL).count() == 1
        assert ServiceReport.objects.get(pk=report.pk).missed_at == service_deadlines.due(MONTH)


def test_a_report_is_issued_again_and_the_former_one_stays(jia: Customer, chen: User, lin: User, alice: User) -> None:
    first = issued(read(opened()[0]), chen, lin)
    with scope.user(chen):
        sending.send(report=first.report, people=[alice], actor=chen, now=FIRST)
        writing.reissue(report=first.report, reason="A figure was wrong.", actor=chen, now=FIRST)
    second = issued(first.report, chen, lin, now=FIRST + timedelta(hours=1))
    assert (first.number, second.number) == (1, 2)
    assert second.reason == "A figure was wrong."
    with scope.platform("test"):
        assert documents.read(first.file) != documents.read(second.file)


def test_a_customers_people_open_and_read_nothing_by_hand(jia: Customer, alice: User) -> None:
    with scope.user(alice), pytest.raises(PermissionDenied):
        service_reports.open_by_hand(customer=jia, kind=ReportKind.MONTHLY, month=MONTH, actor=alice, now=FIRST)


def test_pages_answer_for_those_who_may(jia: Customer, chen: User, alice: User, client_for: ClientFor) -> None:
    report = read(opened()[0])
    engineer = client_for(chen)
    for address in (
        "/reports/", "/reports/?export=csv", "/reports/new/", "/reports/plans/", f"/reports/plans/{jia.pk}/",
        f"/reports/service/{report.pk}/", f"/reports/service/{report.pk}/figures/",
    ):  # fmt: skip
        assert engineer.get(address).status_code == 200, address
    customer = client_for(alice)
    assert customer.get("/reports/").status_code == 200
    assert report.number not in customer.get("/reports/").content.decode()
    assert customer.get("/reports/plans/").status_code == 403


def test_a_customers_format_holds_for_its_next_report(
    jia: Customer, chen: User, alice: User, client_for: ClientFor
) -> None:
    page = client_for(chen)
    form = {
        "is_on": "on", "day": "1", "hour": "2", "language": "en", "accent": "#1f7a3f", "recipients": [str(alice.pk)],
        "place_overview": 1, "place_databases": 2, "place_incidents": 3, "place_security": 4, "place_web": 5,
        "place_hosts": 6, "section_title_0": "Projects", "section_text_0": "What is planned.",
    }  # fmt: skip
    for number in range(1, 6):
        form |= {f"section_title_{number}": "", f"section_text_{number}": ""}
    assert page.post(f"/reports/plans/{jia.pk}/", form).status_code == 302
    report = read(opened()[0])
    with scope.platform("test"):
        parts = list(ServicePart.objects.filter(report=report))
    assert [part.name for part in parts] == [
        "overview", "databases", "incidents", "security", "web", "hosts", "section-1",
    ]  # fmt: skip
    assert (parts[-1].title, parts[-1].text) == ("Projects", "What is planned.")
    assert parts[0].title == "Overview"
    assert page.get(f"/reports/plans/{jia.pk}/preview/").content.startswith(b"%PDF-")


def test_the_page_of_a_format_has_every_field_of_it_and_says_what_is_wrong_where_it_is(
    jia: Customer, chen: User, alice: User, client_for: ClientFor
) -> None:
    page = client_for(chen)
    shown = page.get(f"/reports/plans/{jia.pk}/")
    body = shown.content.decode()
    assert alice.name in body
    assert [name for name in shown.context["form"].fields if body.count(f'name="{name}"') < 1] == []
    wrong = page.post(f"/reports/plans/{jia.pk}/", plan_form(place_hosts=9))
    body = wrong.content.decode()
    assert wrong.status_code == 422
    assert re.search(r'id="id_place_hosts_error">\s*\S', body)
    assert 'value="9" aria-invalid="true" aria-describedby="id_place_hosts_error"' in body


def plan_form(**said: object) -> dict[str, object]:
    names = ("overview", "incidents", "security", "web", "hosts", "databases")
    form: dict[str, object] = {"is_on": "on", "day": "1", "hour": "2", "language": "", "accent": "#1f7a3f"}
    return form | {f"place_{name}": place for place, name in enumerate(names, 1)} | said


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_logo_is_taken_shown_and_printed(jia: Customer, chen: User, client_for: ClientFor, kind: str) -> None:
    page = client_for(chen)
    logo = picture(kind)
    kept = page.post(f"/reports/plans/{jia.pk}/", plan_form(logo=SimpleUploadedFile("l.svg", logo)))
    assert kept.status_code == 302
    shown = page.get(f"/reports/plans/{jia.pk}/logo/")
    assert (shown["Content-Type"], shown.content) == (f"image/{kind.lower()}", logo)
    printed = page.get(f"/reports/plans/{jia.pk}/preview/").content
    [drawn] = pypdf.PdfReader(io.BytesIO(printed)).pages[0].images
    assert drawn.image is not None
    assert drawn.image.size == (40, 20)


@pytest.mark.parametrize(
    "said",
    [
        {"logo": SimpleUploadedFile("l.png", b"<svg/>")},
        {"logo": SimpleUploadedFile("l.png", picture()[:60])},
        {"logo": SimpleUploadedFile("l.png", picture(size=(4001, 2)))},
        {"logo": SimpleUploadedFile("l.png", picture("GIF"))},
        {"accent": "xx#0b5fa5"},
        {"accent": "#0b5fa5\n"},
        {"section_text_0": "Written, and nobody named it."},
    ],
    ids=["no picture", "cut off", "too wide", "gif", "colour in a word", "colour and a line", "section without title"],
)
def test_a_format_that_cannot_be_printed_is_refused(
    jia: Customer, chen: User, client_for: ClientFor, said: dict[str, object]
) -> None:
    answer = client_for(chen).post(f"/reports/plans/{jia.pk}/", plan_form(**said))
    assert answer.status_code == 422
    assert 'class="invalid-feedback' in answer.content.decode()


def test_last_months_numbers_stand_beside_this_months(jia: Customer, chen: User) -> None:
    with scope.user(chen):
        earlier = service_reports.open_by_hand(
            customer=jia, kind=ReportKind.MONTHLY, month=Month(2026, 2), actor=chen, now=FIRST
        )
    with scope.platform("test"):
        incident = alarm(make_asset(jia, "web-01"))
        Incident.objects.filter(pk=incident.pk).update(opened_at=Month(2026, 2).starts_at + timedelta(days=3))
    read(earlier)
    report = read(next(one for one in opened() if one.customer.code == "jia" and one.period == "2026-03"))
    count = next(one for one in parts_of(report, "incidents").figures() if one.key == "count")
    assert (count.value, count.before) == (0, 1)


def parts_of(report: ServiceReport, name: str) -> blocks.Part:
    return next(part for part in blocks.read(report.figures["parts"]) if part.name == name)


def numbers_of(report: ServiceReport, name: str) -> dict[str, blocks.Cell]:
    return {figure.key: figure.value for figure in parts_of(report, name).figures()}


def test_a_customer_is_led_to_no_page_that_is_closed_to_it(
    jia: Customer, alice: User, chen: User, lin: User, client_for: ClientFor
) -> None:
    issue = issued(read(opened()[0]), chen, lin)
    with scope.user(chen):
        sending.send(report=issue.report, people=[alice], actor=chen, now=FIRST)
    for person, sees_all in ((alice, False), (chen, True)):
        page = client_for(person)
        told = page.get(f"/reports/service/{issue.report_id}/issues/{issue.pk}/").content.decode()
        paths = {unescape(path) for path in re.findall(r'<a href="([^"]+)">[^<]*</a></(?:div|td)>', told)}
        assert len(paths) > 10
        assert [path for path in sorted(paths) if page.get(path).status_code != 200] == []
        assert any("/assets/credentials/" in path for path in paths) is sees_all
        assert any("clock=handling" in path for path in paths), "each promise leads to its rows"
        assert any("/roster/" in path for path in paths) is sees_all
