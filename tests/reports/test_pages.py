"""Pages of accident reports, from the incident to the customer's receipt."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from playwright.sync_api import expect

from accounts import scope
from accounts.models import Customer, User
from incidents.models import Incident
from reports.models import AccidentIssue, AccidentReport
from tests.conftest import ClientFor
from tests.incidents.conftest import alarm, make_asset
from tests.portal import Visit, elsewhere
from tests.reports.conftest import at, made, part_of, recover, reports_of, sweep, write

HTMX = {"HX-Request": "true"}


def test_from_the_incident_to_the_sent_report_by_pages(
    outage: Incident, chen: User, lin: User, alice: User, client_for: ClientFor
) -> None:
    engineer, manager, customer = (client_for(person) for person in (chen, lin, alice))
    fragment = f"/reports/for-incident/{outage.pk}/"
    assert f"/reports/accidents/of-incident/{outage.pk}/" in engineer.get(fragment).content.decode()
    assert "of-incident" not in customer.get(fragment).content.decode()
    opened = engineer.post(f"/reports/accidents/of-incident/{outage.pk}/")
    address = opened["Location"]
    report = reports_of(outage)[0]
    page = engineer.get(address).content.decode()
    assert "ecs.g7.large" in page
    for name, text in (("analysis", "The pool was too small"), ("advice", "Raise it")):
        part = part_of(report, name)
        saved = engineer.post(f"{address}parts/{part.pk}/", {"text": text, "revision": 0}, headers=HTMX)
        assert saved.status_code == 200
        assert 'value="1"' in saved.content.decode()
    engineer.post(f"{address}submit/")
    part = part_of(report, "advice")
    manager.post(f"{address}parts/{part.pk}/comment/", {"body": "By when?"})
    assert "By when?" in manager.get(address).content.decode()
    shown = manager.get(f"{address}sign/").context["shown"]
    assert manager.post(f"{address}sign/", {"shown": shown}).status_code == 422
    assert manager.post(f"{address}sign/", {"read": "on", "shown": shown}).status_code == 302
    with scope.platform("test"):
        issue = AccidentIssue.objects.select_related("file").get()
    assert "progress" in manager.get(address).content.decode()
    made(issue, now=timezone.now())
    assert customer.get(address).status_code == 404
    sent = engineer.post(f"{address}send/", {"people": [alice.pk]})
    assert sent.status_code == 302
    shown = customer.get(address, follow=True).content.decode()
    assert "The pool was too small" in shown
    assert "By when?" not in shown
    assert report.number in customer.get("/reports/accidents/").content.decode()
    assert report.number in customer.get(fragment).content.decode()
    pdf = customer.get(f"{address}issues/{issue.pk}/pdf/")
    assert pdf.content.startswith(b"%PDF")
    assert "attachment" in pdf["Content-Disposition"]
    assert report.number in engineer.get("/reports/accidents/?export=csv").content.decode()


def test_a_conflict_keeps_both_texts_and_says_whose(
    report: AccidentReport, chen: User, lin: User, client_for: ClientFor
) -> None:
    part = part_of(report, "analysis")
    address = f"/reports/accidents/{report.pk}/parts/{part.pk}/"
    client_for(lin).post(address, {"text": "Lin's text", "revision": 0}, headers=HTMX)
    engineer = client_for(chen)
    answer = engineer.post(address, {"text": "Chen's text", "revision": 0}, headers=HTMX)
    assert answer.status_code == 422
    assert "Lin&#x27;s text" in answer.content.decode()
    assert part_of(report, "analysis").text == "Lin's text"
    again = engineer.post(address, {"text": "Chen's text", "revision": 0, "overwrite": "1"}, headers=HTMX)
    assert again.status_code == 200
    assert part_of(report, "analysis").text == "Chen's text"


@pytest.mark.parametrize("text", ["x" * 40_001, "\x00"])
def test_what_is_too_long_or_no_text_is_refused_and_the_old_one_stays(
    report: AccidentReport, chen: User, client_for: ClientFor, text: str
) -> None:
    part = part_of(report, "fault")
    answer = client_for(chen).post(f"/reports/accidents/{report.pk}/parts/{part.pk}/", {"text": text}, headers=HTMX)
    assert answer.status_code == 422
    assert part_of(report, "fault").text == part.text


POSTS = ["refresh/", "submit/", "return/", "sign/", "send/", "reissue/", "withdraw/", "restore/"]


@pytest.mark.parametrize("path", POSTS)
def test_strangers_find_nothing_and_the_customers_people_press_nothing(
    report: AccidentReport, chen: User, lin: User, alice: User, eve: User, client_for: ClientFor, path: str
) -> None:
    address = f"/reports/accidents/{report.pk}/{path}"
    assert client_for(eve).post(address, {"reason": "x"}).status_code in (403, 404)
    assert client_for(alice).post(address, {"reason": "x"}).status_code in (403, 404)
    with scope.platform("test"):
        AccidentReport.objects.update(sent_at=at(70))
    assert client_for(alice).post(address, {"reason": "x"}).status_code == 403
    assert client_for(eve).get(f"/reports/accidents/{report.pk}/").status_code == 404


def test_an_engineer_neither_signs_nor_returns_nor_withdraws(
    report: AccidentReport, chen: User, client_for: ClientFor
) -> None:
    for path in ("sign/", "return/", "withdraw/"):
        assert client_for(chen).get(f"/reports/accidents/{report.pk}/{path}").status_code == 403


def test_the_pages_ask_a_constant_number_of_queries(
    jia: Customer, chen: User, lin: User, report: AccidentReport, client_for: ClientFor
) -> None:
    browser = client_for(chen)

    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(address).status_code == 200
        return len(captured)

    queries("/reports/accidents/")
    few = queries("/reports/accidents/")
    one = queries(f"/reports/accidents/{report.pk}/")
    for number in range(6):
        incident = alarm(make_asset(jia, f"web-{number}"), key=f"k:{number}", now=at(100))
        recover(incident, key=f"k:{number}", now=at(150))
    assert sweep(at(160)) == 6
    assert queries("/reports/accidents/") == few
    with scope.user(lin):
        for part in report.parts.all():
            for _ in range(3):
                part.comments.create(customer=jia, body="x", author=lin, made_at=at(61))
    assert queries(f"/reports/accidents/{report.pk}/") == one


@pytest.mark.e2e
@pytest.mark.django_db(transaction=True)
def test_an_engineer_writes_and_it_is_saved_while_a_second_one_is_warned(
    report: AccidentReport, chen: User, lin: User, visit: Visit
) -> None:
    part = elsewhere(lambda: part_of(report, "analysis"))
    page = visit(chen, f"/reports/accidents/{report.pk}/")
    area = page.locator(f"#text-{part.pk}")
    area.fill("The pool was too small")
    expect(page.locator(f"#part-{part.pk} [data-status]")).to_contain_text("Saved")
    assert elsewhere(lambda: part_of(report, "analysis").text) == "The pool was too small"
    elsewhere(lambda: write(report, lin, now=timezone.now(), analysis="Lin was faster"))
    area.fill("The pool was far too small")
    expect(page.locator(f"#part-{part.pk} [role=alert]")).to_contain_text("Somebody else")
    assert elsewhere(lambda: part_of(report, "analysis").text) == "Lin was faster"
    page.locator(f"#part-{part.pk}").get_by_role("button", name="Keep my text").click()
    expect(page.locator(f"#part-{part.pk} [data-status]")).to_contain_text("Saved")
    assert elsewhere(lambda: part_of(report, "analysis").text) == "The pool was far too small"
