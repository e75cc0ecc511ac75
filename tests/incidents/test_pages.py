"""What people see and press; customers and viewers see less and may do less."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, Severity, SlaTerm, User
from accounts.services import customers
from assets.models import Asset
from incidents import services
from incidents.models import Incident, TimelineEntry
from incidents.services import requests
from tests.conftest import ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident

HTMX = {"HX-Request": "true"}


@pytest.fixture
def incident(jia: Customer, alice: User) -> Incident:
    return raise_incident(alice, customer=jia, now=timezone.now())


def test_the_board_shows_the_nearest_deadline_first(
    jia: Customer, alice: User, chen: User, web: Asset, client_for: ClientFor
) -> None:
    now = timezone.now()
    alarm(web, severity=Severity.WARNING, title="Disk fills up", now=now)
    raise_incident(alice, customer=jia, title="Second to raise", now=now)
    raise_incident(alice, customer=jia, title="First to raise", now=now - timedelta(minutes=5))
    page = client_for(chen).get("/board/").content.decode()
    order = [page.index(title) for title in ("First to raise", "Second to raise", "Disk fills up")]
    assert order == sorted(order)
    assert "data-countdown" in page


def test_the_board_belongs_to_the_provider(alice: User, client_for: ClientFor) -> None:
    assert client_for(alice).get("/board/").status_code == 403


def test_the_board_asks_a_constant_number_of_queries(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    browser = client_for(chen)
    browser.get("/board/")
    raise_incident(alice, customer=jia)
    few = queries_of(browser, "/board/")
    for number in range(20):
        alarm(make_asset(jia, f"web-{number}"), key=f"k:{number}")
    assert queries_of(browser, "/board/") == few
    assert few < 20


def queries_of(browser: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert browser.get(address).status_code == 200
    return len(captured)


def test_the_filters_of_the_board_stand_in_the_address(
    alice: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    jia, yi = alice.customer, eve.customer
    assert jia is not None
    assert yi is not None
    raise_incident(alice, customer=jia, title="Of jia")
    raise_incident(eve, customer=yi, title="Of yi")
    browser = client_for(chen)
    page = browser.get(f"/board/?customer={jia.pk}&view=columns").content.decode()
    assert "Of jia" in page
    assert "Of yi" not in page
    assert "Of jia" not in browser.get("/board/?who=me").content.decode()
    assert browser.get("/board/?severity=9&state=x&customer=abc&q=%00").status_code == 200


def test_a_refresh_answers_with_the_cards_alone(incident: Incident, chen: User, client_for: ClientFor) -> None:
    page = client_for(chen).get("/board/", headers=HTMX).content.decode()
    assert f'id="incident-{incident.pk}"' in page
    assert "<html" not in page


def test_acknowledging_on_the_page_stops_the_clock(incident: Incident, chen: User, client_for: ClientFor) -> None:
    response = client_for(chen).post(f"/incidents/{incident.pk}/acknowledge/", follow=True)
    assert response.status_code == 200
    with scope.platform("test"):
        incident.refresh_from_db()
    assert incident.state == "acknowledged"


def test_who_presses_second_gets_a_sentence_and_no_error_page(
    incident: Incident, chen: User, lin: User, client_for: ClientFor
) -> None:
    client_for(chen).post(f"/incidents/{incident.pk}/acknowledge/")
    second = client_for(lin)
    page = second.post(f"/incidents/{incident.pk}/acknowledge/", follow=True)
    assert page.status_code == 200
    assert "Chen" in page.content.decode()
    toast = second.post(f"/incidents/{incident.pk}/acknowledge/", headers=HTMX)
    assert (toast.status_code, "Chen" in toast.headers["HX-Trigger"]) == (422, True)


VERBS = ["acknowledge", "assign", "severity", "wait", "resume", "resolve", "close", "reopen"]


@pytest.mark.parametrize("verb", [*VERBS, "comment"])
def test_a_viewer_presses_nothing(incident: Incident, vera: User, client_for: ClientFor, verb: str) -> None:
    browser = client_for(vera)
    assert browser.get(f"/incidents/{incident.pk}/").status_code == 200
    said = {"body": "x", "reason": "x", "remark": "x", "resolution": "x", "cause": "system", "question": "x"}
    assert browser.post(f"/incidents/{incident.pk}/{verb}/", said).status_code == 403


@pytest.mark.parametrize("verb", ["acknowledge", "assign", "severity", "wait", "resume", "resolve"])
def test_a_customer_does_not_press_the_engineers_buttons(
    incident: Incident, alice: User, client_for: ClientFor, verb: str
) -> None:
    browser = client_for(alice)
    assert browser.get(f"/incidents/{incident.pk}/{verb}/").status_code == 403
    assert browser.post(f"/incidents/{incident.pk}/{verb}/").status_code == 403
    assert f"/{verb}/" not in browser.get(f"/incidents/{incident.pk}/").content.decode()


@pytest.mark.parametrize("path", ["", *[f"{verb}/" for verb in VERBS]])
def test_another_customers_incident_is_not_found(
    incident: Incident, eve: User, client_for: ClientFor, path: str
) -> None:
    browser = client_for(eve)
    assert browser.get(f"/incidents/{incident.pk}/{path}").status_code == 404
    assert browser.post(f"/incidents/{incident.pk}/comment/", {"body": "x"}).status_code == 404


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page_of_its_own_for_browsers_without_javascript(
    incident: Incident, chen: User, client_for: ClientFor, verb: str
) -> None:
    page = client_for(chen).get(f"/incidents/{incident.pk}/{verb}/")
    assert page.status_code == 200
    assert b"csrfmiddlewaretoken" in page.content


def test_an_incomplete_form_comes_back_with_what_was_written(
    incident: Incident, chen: User, client_for: ClientFor
) -> None:
    page = client_for(chen).post(f"/incidents/{incident.pk}/resolve/", {"resolution": "Restarted nginx", "cause": ""})
    assert page.status_code == 422
    assert "Restarted nginx" in page.content.decode()


def test_both_sides_walk_the_same_record_from_raise_to_confirm(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    customer, engineer = client_for(alice), client_for(chen)
    customer.post("/incidents/raise/", {"title": "Cannot pay", "severity": "2", "category": "application"})
    with scope.platform("test"):
        incident = Incident.objects.get()
    address = f"/incidents/{incident.pk}/"
    engineer.post(f"{address}acknowledge/")
    engineer.post(f"{address}wait/", {"question": "Which order?"})
    assert "Which order?" in customer.get(address).content.decode()
    customer.post(f"{address}comment/", {"body": "Order 7"})
    engineer.post(f"{address}resolve/", {"resolution": "Restarted", "cause": "system"})
    customer.post(f"{address}close/", {"remark": "Thank you"})
    with scope.platform("test"):
        incident.refresh_from_db()
        told = list(incident.timeline.values_list("kind", flat=True))
    assert incident.state == "closed"
    assert told == ["opened", "acknowledged", "waiting", "comment", "resumed", "resolved", "closed"]


def test_internal_notes_reach_no_customer_by_any_page(
    incident: Incident, alice: User, vera: User, chen: User, client_for: ClientFor
) -> None:
    with scope.customer(incident.customer_id):
        services.comment(incident=incident, body="ZANZIBAR", actor=chen, now=timezone.now(), is_internal=True)
    address = f"/incidents/{incident.pk}/"
    assert "ZANZIBAR" in client_for(chen).get(address).content.decode()
    for person in (alice, vera):
        browser = client_for(person)
        for page in (address, "/incidents/", "/incidents/?export=csv", "/incidents/search/?q=ZANZIBAR"):
            assert "ZANZIBAR" not in browser.get(page).content.decode()
        assert "ZANZIBAR" not in browser.get(address, headers=HTMX).content.decode()
    denied = client_for(alice).post(f"{address}comment/", {"body": "x", "is_internal": "on"})
    assert denied.status_code == 403


@pytest.mark.parametrize(
    "title", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "{{ 7|add:7 }}", '"><svg onload=alert(1)>']
)
def test_a_hostile_title_is_only_text(
    jia: Customer, alice: User, chen: User, client_for: ClientFor, title: str
) -> None:
    incident = raise_incident(alice, customer=jia, title=title, now=timezone.now())
    browser = client_for(chen)
    for page in ("/board/", "/incidents/", f"/incidents/{incident.pk}/", f"/incidents/search/?q=INC-{incident.pk}"):
        shown = browser.get(page).content.decode()
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert "<svg onload" not in shown


def test_an_export_is_no_formula_and_holds_only_the_own_customer(
    jia: Customer, yi: Customer, alice: User, eve: User, client_for: ClientFor
) -> None:
    raise_incident(alice, customer=jia, title='=HYPERLINK("http://x")')
    raise_incident(eve, customer=yi, title="Of yi")
    rows = client_for(alice).get("/incidents/?export=csv").content.decode()
    assert "'=HYPERLINK" in rows
    assert "Of yi" not in rows


def test_the_list_finds_by_number_asset_and_word(jia: Customer, web: Asset, alice: User, client_for: ClientFor) -> None:
    incident = alarm(web, title="Port 443 does not answer")
    raise_incident(alice, customer=jia, title="Something else")
    browser = client_for(alice)
    for query in (incident.number, incident.number.lower(), str(incident.pk), "web-01", "443 answer"):
        page = browser.get("/incidents/", {"q": query}).content.decode()
        assert "Port 443" in page, query
        assert "Something else" not in page, query


def test_odd_addresses_do_no_harm(alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    for query in (
        "q=%00",
        "sort=;drop",
        "page=999999999999999999",
        "asset=abc",
        "asset=99999999999999999999",
        "missed=2",
    ):
        assert browser.get(f"/incidents/?{query}").status_code == 200, query
    assert browser.get("/incidents/search/?q=%00").status_code == 200
    assert browser.get("/incidents/99999999999999999999/").status_code == 404


def test_the_assets_page_lists_its_incidents_and_hides_those_of_others(
    web: Asset, alice: User, eve: User, client_for: ClientFor
) -> None:
    incident = alarm(web)
    page = client_for(alice).get(f"/incidents/for-asset/{web.pk}/").content.decode()
    assert incident.number in page
    assert client_for(eve).get(f"/incidents/for-asset/{web.pk}/").status_code == 404


def test_the_form_shows_the_definition_and_what_each_severity_promises(alice: User, client_for: ClientFor) -> None:
    page = client_for(alice).get("/incidents/raise/").content.decode()
    assert "全面崩溃" in page
    assert page.count('name="severity"') == 4


def test_an_english_reader_gets_the_definitions_in_english_with_what_the_contract_says_beside_them(
    jia: Customer, alice: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        customers.sign_default_contract(
            customer=jia, number="JIA-1", signed_on=timezone.localdate(), actor=None, now=timezone.now()
        )
    usual = customers.default_terms()[0]["definition"]
    browser = client_for(alice)
    assert [offer.original for offer in browser.get("/incidents/raise/").context["offers"]] == [""] * 4
    browser.cookies["django_language"] = "en"
    first = browser.get("/incidents/raise/").context["offers"][0]
    assert (first.definition, first.original) == (usual["en"], usual["zh"])
    with scope.customer(jia):
        SlaTerm.objects.filter(severity=first.value).update(definition="商城下单不可用")
    own = browser.get("/incidents/raise/").context["offers"][0]
    assert (own.definition, own.original) == ("商城下单不可用", ""), "nobody has translated a contract's own words"


def test_a_request_stands_under_requests_in_the_menu(alice: User, jia: Customer, client_for: ClientFor) -> None:
    with scope.customer(jia):
        asked = requests.raise_request(
            customer=jia, title="Kernel", description="", assets=[], actor=alice, now=timezone.now()
        )
    other = raise_incident(alice, customer=jia)
    for incident, place in ((asked, "/requests/"), (other, "/incidents/")):
        page = client_for(alice).get(f"/incidents/{incident.pk}/").content.decode()
        assert f'<a class="nav-link active" href="{place}"' in page


def test_a_customer_names_only_their_own_assets(
    jia: Customer, yi: Customer, alice: User, web: Asset, client_for: ClientFor
) -> None:
    foreign = make_asset(yi, "secret-db")
    browser = client_for(alice)
    said = {"title": "x", "severity": "2", "category": "system", "assets": [web.pk, foreign.pk]}
    refused = browser.post("/incidents/raise/", said)
    assert refused.status_code == 422
    assert "secret-db" not in refused.content.decode()
    assert browser.post("/incidents/raise/", {**said, "assets": [web.pk]}).status_code == 302
    assert "secret-db" not in browser.get("/incidents/raise/assets/?asset_q=secret").content.decode()
    assert "secret-db" not in browser.get(f"/incidents/raise/?asset={foreign.pk}").content.decode()


def test_a_customer_cannot_raise_for_another(jia: Customer, yi: Customer, alice: User, client_for: ClientFor) -> None:
    said = {"title": "x", "severity": "2", "category": "system", "customer": yi.pk}
    client_for(alice).post("/incidents/raise/", said)
    with scope.platform("test"):
        assert Incident.objects.get().customer == jia


def test_an_engineer_logs_a_call_and_takes_it(jia: Customer, yi: Customer, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    assert "?customer=" in browser.get("/incidents/raise/").content.decode()
    called = timezone.localtime() - timedelta(minutes=10)
    said = {
        "customer": jia.pk,
        "source": "phone",
        "contacted_at": called.strftime("%Y-%m-%dT%H:%M"),
        "caller": "王总",
        "title": "Site down",
        "severity": "1",
        "category": "system",
        "take": "on",
    }
    assert browser.post(f"/incidents/raise/?customer={jia.pk}", said).status_code == 302
    with scope.platform("test"):
        incident = Incident.objects.get()
        assert (incident.state, incident.source, incident.assignee) == ("acknowledged", "phone", chen)
        assert incident.clock_started_at == called.replace(second=0, microsecond=0)
        assert TimelineEntry.objects.get(kind="opened").data["callee"] == "Chen"


def test_an_engineer_opens_nothing_for_a_customer_who_is_not_theirs(
    jia: Customer, chen: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        stranger = Customer.objects.create(name="丙", short_name="丙", code="bing", created_at=timezone.now())
    assert client_for(chen).get(f"/incidents/raise/?customer={stranger.pk}").status_code == 404
