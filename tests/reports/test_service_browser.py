"""A month's report in Chromium: an engineer edits, a manager signs, the mail comes, the customer takes receipt."""

from __future__ import annotations

import email as mails
import re
from datetime import datetime
from email import policy
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.utils import timezone
from playwright.sync_api import Browser, Route, expect

from accounts import scope
from accounts.models import Contract, Customer, User
from incidents.months import Month
from notify.channels import email
from notify.models import Delivery
from notify.services import delivering
from reports.models import ReportKind, ServiceFigures, ServiceFile, ServiceRecipient, ServiceReport
from reports.services import rendering, sending, service_reports, writing
from tests.conftest import ClientFor
from tests.notify.conftest import mailbox  # noqa: F401 - a fixture
from tests.notify.mailbox import Mailbox
from tests.portal import Visit, browser, elsewhere, portal, visit  # noqa: F401 - fixtures

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
IS_GUARDED = "() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
PERSONAL_MAIL = next(lane for lane, medium in delivering.MEDIUM_OF_LANE.items() if medium == Delivery.Medium.EMAIL)


def asked_for(customer: Customer, actor: User, now: datetime) -> ServiceReport:
    """Last month's, with its figures still to be read."""
    month = Month.of(timezone.localdate(now)).shifted(-1)
    with scope.platform("test"):
        Contract.objects.filter(customer=customer).update(starts_on="2020-01-01", ends_on="2099-12-31")
    with scope.user(actor):
        return service_reports.open_by_hand(
            customer=customer, kind=ReportKind.MONTHLY, month=month, actor=actor, now=now
        )


@pytest.fixture
def report(jia: Customer, chen: User) -> ServiceReport:
    """Jia's of last month, with its figures, which chen writes."""

    def begin() -> ServiceReport:
        begun = asked_for(jia, chen, timezone.now())
        read_figures(begun)
        return begun

    return elsewhere(begin)


def page_of(report: ServiceReport) -> str:
    return f"/reports/service/{report.pk}/"


@pytest.fixture
def box(mailbox: tuple[Mailbox, email.Server], settings: LazySettings) -> Mailbox:  # noqa: F811 - the fixture
    """Where mails arrive."""
    made, server = mailbox
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_SSL = server.host, server.port, False
    return made


def make_document(report: ServiceReport) -> None:
    with scope.platform("test"):
        file = ServiceFile.objects.get(issue__report=report)
        assert rendering.render(family="service", file_id=file.pk)


def test_written_signed_mailed_opened_and_received(
    report: ServiceReport,
    alice: User,
    eve: User,
    chen: User,
    lin: User,
    visit: Visit,  # noqa: F811
    portal: str,  # noqa: F811
    browser: Browser,  # noqa: F811
    client_for: ClientFor,
    box: Mailbox,
) -> None:
    address = page_of(report)
    page = visit(chen, address)
    part = page.locator("form[data-autosaves]").first
    part.locator("textarea").fill("A quiet month in our own words.")
    expect(part.locator("[data-status]")).to_contain_text("Saved")
    page.locator("[data-report-chart]").first.scroll_into_view_if_needed()
    expect(page.locator("[data-report-chart] canvas").first).to_be_visible()
    page.get_by_role("button", name="Ask for signature").click()
    expect(page.get_by_text("In review").first).to_be_visible()

    page = visit(lin, address)
    section = page.locator("section[id^=part-]").first
    section.get_by_text("Comment on this part").click()
    section.locator("textarea[name=body]").fill("Say why it was quiet.")
    section.get_by_role("button", name="Comment", exact=True).click()
    expect(page.get_by_text("Say why it was quiet.")).to_be_visible()
    page = visit(chen, address)
    page.locator("section[id^=part-]").first.get_by_role("button", name="Settled").click()
    expect(page.locator("section[id^=part-] .ti-circle-check").first).to_be_visible()

    page = visit(lin, f"{address}sign/")
    page.get_by_label("I have read all parts").check()
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.get_by_text("Signed").first).to_be_visible()
    elsewhere(lambda: make_document(report))

    page = visit(chen, f"{address}send/")
    page.get_by_label(re.compile("Alice")).check()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("Sent").first).to_be_visible()
    elsewhere(lambda: delivering.drain(lane=PERSONAL_MAIL))

    content = next(sent.content for sent in box.envelopes if "alice@example.com" in sent.rcpt_tos)
    mail = mails.message_from_bytes(content if isinstance(content, bytes) else b"", policy=policy.default)
    body = mail.get_body(("plain",))
    assert body is not None
    found = re.search(r"https?://\S+/reports/open/[^\s)>]+", body.get_content())
    assert found is not None
    stranger = browser.new_page()
    stranger.goto(portal + urlsplit(found[0]).path)
    assert not elsewhere(lambda: is_received(report))
    with stranger.expect_download() as download:
        stranger.locator("form[data-download] button").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    assert elsewhere(lambda: is_received(report))

    page = visit(alice, address)
    expect(page.get_by_text("A quiet month in our own words.")).to_be_visible()
    expect(page.get_by_text("Say why it was quiet.")).to_have_count(0)
    assert elsewhere(lambda: client_for(eve).get(address).status_code) == 404


def test_the_customers_manager_follows_the_mail_downloads_and_marks_it_received(
    report: ServiceReport,
    alice: User,
    vera: User,
    eve: User,
    chen: User,
    lin: User,
    visit: Visit,  # noqa: F811
    client_for: ClientFor,
    box: Mailbox,
) -> None:
    """Signed in to the portal: it shows figures and charts, hands out both files, and takes the receipt once."""
    address = page_of(report)
    elsewhere(lambda: sent_to(report, chen, lin, alice))
    elsewhere(lambda: delivering.drain(lane=PERSONAL_MAIL))
    assert any("alice@example.com" in sent.rcpt_tos for sent in box.envelopes)

    page = visit(alice, address)
    expect(page.locator("[data-report-chart] canvas").first).to_be_visible()
    page.locator("details.report-number > summary").first.click()
    expect(page.locator("details.report-number[open] code").first).to_be_visible()
    for name, begins in (("PDF", b"%PDF-"), ("Excel", b"PK")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        assert download.value.path().read_bytes().startswith(begins)
    assert not elsewhere(lambda: is_received(report))
    page.get_by_role("button", name="Confirm receipt").click()
    expect(page.get_by_text("Your receipt", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Confirm receipt")).to_have_count(0)
    assert elsewhere(lambda: is_received(report))

    page = visit(vera, address)
    expect(page.get_by_role("button", name="Confirm receipt")).to_have_count(0)
    issue = elsewhere(lambda: issue_of(report))
    closed = ("", f"issues/{issue}/", f"issues/{issue}/pdf/", f"issues/{issue}/workbook/")
    assert elsewhere(lambda: {client_for(eve).get(f"{address}{path}").status_code for path in closed}) == {404}
    page = visit(chen, address)
    expect(page.locator("#report-receipts")).to_contain_text("received")


def issue_of(report: ServiceReport) -> int:
    with scope.platform("test"):
        return ServiceFile.objects.get(issue__report=report).issue_id


def sent_to(report: ServiceReport, chen: User, lin: User, *people: User) -> None:
    now = timezone.now()
    with scope.user(chen):
        writing.submit(report=report, actor=chen, now=now)
    with scope.user(lin):
        writing.sign(report=report, actor=lin, now=now)
    make_document(report)
    with scope.platform("test"):
        report = ServiceReport.objects.select_related("customer", "author").get(pk=report.pk)
    with scope.user(chen):
        sending.send(report=report, people=people, actor=chen, now=now)


def is_received(report: ServiceReport) -> bool:
    with scope.platform("test"):
        return ServiceRecipient.objects.filter(issue__report=report, received_at__isnull=False).exists()


def test_new_figures_show_themselves(jia: Customer, chen: User, visit: Visit) -> None:  # noqa: F811
    report = elsewhere(lambda: asked_for(jia, chen, timezone.now()))
    page = visit(chen, page_of(report))
    button = page.get_by_role("button", name="Ask for signature")
    expect(button).to_be_disabled()
    elsewhere(lambda: read_figures(report))
    expect(button).to_be_enabled(timeout=10_000)
    expect(page.locator("[data-new-figures]")).to_have_count(0)


def test_what_is_typed_while_a_save_is_under_way_stays_guarded(
    report: ServiceReport,
    chen: User,
    visit: Visit,  # noqa: F811
) -> None:
    page = visit(chen, page_of(report))
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/parts/*/", hold)
    part = page.locator("form[data-autosaves]").first
    with page.expect_request("**/parts/*/"):
        part.locator("textarea").fill("The first half")
    part.locator("textarea").fill("The first half and the second")
    with page.expect_response("**/parts/*/"):
        held[0].continue_()
    expect(part.locator("[data-status]")).to_contain_text("Saved")
    assert page.evaluate(IS_GUARDED)
    page.unroute("**/parts/*/")
    for route in held[1:]:
        route.continue_()
    page.wait_for_function(f"() => !({IS_GUARDED})()")


def read_figures(report: ServiceReport) -> None:
    with scope.platform("test"):
        assert service_reports.read_figures(reading_id=ServiceFigures.objects.get(report=report).pk)


DRAW = """async (chart) => {
  const place = document.createElement("div"), data = document.createElement("script");
  place.dataset.reportChart = "";
  place.style.width = "600px";
  place.style.height = "240px";
  data.type = "application/json";
  data.textContent = JSON.stringify(chart);
  document.body.prepend(place, data);
  await import("/static/js/report-charts.js?again");
}"""
MARKS = """async () => {
  const echarts = await import("/static/vendor/echarts/echarts.esm.min.js");
  const drawn = echarts.getInstanceByDom(document.querySelector("[data-report-chart]"));
  const seen = drawn.getZr().storage.getDisplayList(true).filter((one) => one.style.text === "?");
  const marks = drawn.getOption().series.map((one) => (one.markPoint?.data ?? []).map((mark) => mark.coord));
  return [marks, seen.filter((one) => (one.style.opacity ?? 1) > 0.5).length];
}"""


@pytest.mark.parametrize(
    ("shape", "lowest", "marks"),
    [("bar", 95, [[[0, 95], [1, 95]], [[1, 95]]]), ("stack", 0, [[[1, 0]], []]), ("line", None, [[], []])],
)
def test_a_bar_that_nobody_knows_is_a_question_mark_on_the_page_too(
    chen: User,
    visit: Visit,  # noqa: F811
    shape: str,
    lowest: float | None,
    marks: list[list[list[float]]],
) -> None:
    curves = [{"name": "2026-02", "values": [None, None]}, {"name": "2026-03", "values": [99, None]}]
    chart = {"shape": shape, "unit": "", "lowest": lowest, "highest": None, "labels": ["a", "b"], "curves": curves}
    page = visit(chen, "/customers/")
    page.evaluate(DRAW, chart)
    expect(page.locator("[data-report-chart] canvas").first).to_be_visible()
    assert page.evaluate(MARKS) == [marks, sum(map(len, marks))], "and they can be seen"
