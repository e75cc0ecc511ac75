"""The REST API: the same rules as the pages, problem details instead of pages, nothing of others."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import ApiToken, Customer, User
from accounts.services import tokens
from assets.models import Asset
from incidents import services
from incidents.models import Incident
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import make_asset, raise_incident

API = "/api/v1/incidents/"


@pytest.fixture
def incident(jia: Customer, alice: User) -> Incident:
    return raise_incident(alice, customer=jia)


def machine(person: User, kind: str = ApiToken.Scope.WRITE) -> Client:
    with scope.platform("test"):
        _token, key = tokens.issue(
            actor=person, name="ci", scope=kind, valid_for=timedelta(days=30), now=timezone.now()
        )
    return Client(headers={"Authorization": f"Bearer {key}"})


def send(client: Client, address: str, **said: Any) -> Any:
    return client.post(address, said, content_type="application/json")


def test_a_machine_raises_and_an_engineer_walks_it_to_the_end(
    jia: Customer, web: Asset, alice: User, chen: User
) -> None:
    customer, engineer = machine(alice), machine(chen)
    made = send(customer, API, title="Cannot pay", severity=2, assets=[web.pk])
    assert made.status_code == 201, made.json()
    body = made.json()
    assert (body["state"], body["source"], body["assets"]) == ("open", "api", [web.pk])
    assert {clock["kind"] for clock in body["clocks"]} == {"response", "handling"}
    address = f"{API}{body['id']}/"
    for verb, said in (
        ("acknowledge", {}),
        ("assign", {"assignee": chen.pk}),
        ("severity", {"severity": 1, "reason": "All orders"}),
        ("wait", {"question": "Which order?"}),
        ("resume", {}),
        ("resolve", {"resolution": "Restarted", "cause": "system"}),
    ):
        answer = send(engineer, f"{address}{verb}/", **said)
        assert answer.status_code == 200, (verb, answer.content)
    assert send(customer, f"{address}close/").json()["state"] == "closed"
    assert [entry["kind"] for entry in customer.get(f"{address}timeline/").json()][-1] == "closed"


def test_the_second_to_acknowledge_gets_a_problem_that_says_who_was_first(
    incident: Incident, chen: User, lin: User
) -> None:
    assert send(machine(chen), f"{API}{incident.pk}/acknowledge/").status_code == 200
    second = send(machine(lin), f"{API}{incident.pk}/acknowledge/")
    assert (second.status_code, second["Content-Type"]) == (409, "application/problem+json")
    assert second.json()["type"] == "urn:rdmp:wrong_state"
    assert "Chen" in second.json()["detail"]


def test_an_old_version_is_refused(incident: Incident, chen: User, lin: User) -> None:
    send(machine(lin), f"{API}{incident.pk}/acknowledge/")
    answer = send(machine(chen), f"{API}{incident.pk}/assign/", assignee=chen.pk, version=0)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:rdmp:changed_meanwhile")


@pytest.mark.parametrize("verb", ["acknowledge", "assign", "severity", "wait", "resume", "resolve"])
def test_a_customers_machine_does_not_do_the_engineers_work(incident: Incident, alice: User, verb: str) -> None:
    said = {"assignee": None, "severity": 1, "reason": "x", "question": "x", "resolution": "x", "cause": "system"}
    assert send(machine(alice), f"{API}{incident.pk}/{verb}/", **said).status_code == 403


def test_reading_tokens_and_viewers_write_nothing(incident: Incident, alice: User, vera: User) -> None:
    for client in (machine(alice, ApiToken.Scope.READ), machine(vera, ApiToken.Scope.READ)):
        assert client.get(f"{API}{incident.pk}/").status_code == 200
        assert send(client, f"{API}{incident.pk}/comments/", body="x").status_code == 403
        assert send(client, API, title="x", severity=2).status_code == 403


def test_nothing_of_another_customer_is_reachable(incident: Incident, yi: Customer, eve: User) -> None:
    stranger = machine(eve)
    assert stranger.get(API).json()["results"] == []
    assert stranger.get(f"{API}{incident.pk}/").status_code == 404
    assert send(stranger, f"{API}{incident.pk}/comments/", body="x").status_code == 404
    assert stranger.get(f"{API}{incident.pk}/timeline/").status_code == 404
    refused = send(stranger, API, title="x", severity=2, customer=incident.customer_id)
    assert refused.status_code == 400


def test_a_foreign_asset_is_refused_without_a_word_about_it(jia: Customer, yi: Customer, alice: User) -> None:
    foreign = make_asset(yi, "secret-db")
    answer = send(machine(alice), API, title="x", severity=2, assets=[foreign.pk])
    assert answer.status_code == 400
    assert "secret-db" not in answer.content.decode()


def test_internal_notes_stay_inside(incident: Incident, alice: User, chen: User) -> None:
    with scope.customer(incident.customer_id):
        services.comment(incident=incident, body="ZANZIBAR", actor=chen, now=NOW, is_internal=True)
    timeline = f"{API}{incident.pk}/timeline/"
    assert "ZANZIBAR" in machine(chen).get(timeline).content.decode()
    customer = machine(alice)
    for address in (timeline, f"{API}{incident.pk}/", API):
        assert "ZANZIBAR" not in customer.get(address).content.decode()
    assert send(customer, f"{API}{incident.pk}/comments/", body="x", is_internal=True).status_code == 403


def test_lists_are_filtered_and_paged(jia: Customer, alice: User, chen: User) -> None:
    for number in range(3):
        raise_incident(alice, customer=jia, title=f"Number {number}")
    client = machine(chen)
    first = client.get(f"{API}?unsolved=true&severity=2&page_size=2").json()
    assert len(first["results"]) == 2
    assert len(client.get(first["next"]).json()["results"]) == 1
    assert client.get(f"{API}?state=closed").json()["results"] == []
    assert [row["title"] for row in client.get(f"{API}?q=Number+1").json()["results"]] == ["Number 1"]


def test_nonsense_is_a_problem_and_no_crash(jia: Customer, alice: User) -> None:
    client = machine(alice)
    for said in ({}, {"title": "x", "severity": 9}, {"title": "", "severity": 2}, {"title": "x\x00", "severity": 2}):
        assert send(client, API, **said).status_code == 400, said
    assert send(client, f"{API}{10**18}/comments/", body="x").status_code == 404


def test_the_browser_may_use_the_api_too(incident: Incident, alice: User, client_for: ClientFor) -> None:
    assert client_for(alice).get(f"{API}{incident.pk}/").json()["number"] == incident.number


def test_the_providers_people_read_the_steps_of_an_escalation_and_do_the_next_at_once(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    incident = raise_incident(alice, customer=jia)
    address = f"/api/v1/incidents/{incident.pk}/"
    read = client_for(chen).get(f"{address}escalation/")
    steps = read.json()
    assert [step["state"] for step in steps] == ["pending"] * len(steps)
    done = client_for(chen).post(f"{address}escalate/")
    assert (done.status_code, done.json()["id"], done.json()["state"]) == (200, steps[0]["id"], "done")
    for method, path in (("get", "escalation"), ("post", "escalate")):
        assert getattr(client_for(alice), method)(f"{address}{path}/").status_code == 403
