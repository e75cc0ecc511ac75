"""The pages of escalation: policies edited in versions, what they would do tonight, and the steps on an incident."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import Customer, RosterShift, Severity, User
from incidents import services
from incidents.models import EscalationPolicy, EscalationStep
from incidents.services import escalating, policies
from tests.conftest import NOW, ClientFor, make_customer
from tests.incidents.conftest import raise_incident

pytestmark = pytest.mark.django_db
DEFAULT = "/escalation/high/"


def form(**changes: object) -> dict[str, object]:
    """Three steps as a browser sends them, with two empty rows."""
    sent: dict[str, object] = {
        "hours": "7x24",
        "rounds": "2",
        "round_minutes": "30",
        "reason": "agreed on the phone",
        "form-TOTAL_FORMS": "5",
        "form-INITIAL_FORMS": "3",
    }
    for number, who in enumerate(("first", "second", "manager")):
        sent |= {
            f"form-{number}-after_minutes": str(number * 6),
            f"form-{number}-who": who,
            f"form-{number}-ways": ["inbox", "email"],
        }
    for number in (3, 4):
        sent |= {f"form-{number}-after_minutes": "", f"form-{number}-who": ""}
    return sent | changes


def own(customer: Customer) -> str:
    return f"/customers/{customer.pk}/escalation/high/"


def versions() -> int:
    with scope.platform("test"):
        return EscalationPolicy.objects.count()


def test_a_manager_makes_the_next_version_for_all_and_the_page_shows_it(
    client_for: ClientFor, lin: User, jia: Customer
) -> None:
    browser = client_for(lin)
    assert browser.post(f"{DEFAULT}edit/", form()).headers["Location"] == DEFAULT
    text = browser.get(DEFAULT).content.decode()
    assert "agreed on the phone" in text
    with scope.platform("test"):
        made = EscalationPolicy.objects.get()
        assert (made.customer, made.number, [step["after_minutes"] for step in made.steps]) == (None, 1, [0, 6, 12])
        assert policies.in_force(jia)[Severity.HIGH].version == made


def test_a_customer_gets_one_of_its_own_and_gives_it_up_again(client_for: ClientFor, lin: User, jia: Customer) -> None:
    browser = client_for(lin)
    assert browser.post(f"{own(jia)}edit/", form(rounds="4")).status_code == 302
    with scope.customer(jia):
        assert policies.in_force(jia)[Severity.HIGH].terms.rounds == 4
    assert browser.post(f"{own(jia)}follow/").status_code == 302
    with scope.customer(jia):
        assert not policies.in_force(jia)[Severity.HIGH].is_customers


def test_a_step_is_taken_out_and_another_added_for_named_people(
    client_for: ClientFor, lin: User, root: User, jia: Customer
) -> None:
    changes = {
        "form-3-after_minutes": "3",
        "form-3-who": "people",
        "form-3-ways": ["inbox"],
        "form-3-people": [str(root.pk)],
        "form-0-DELETE": "on",
        "form-4-after_minutes": "1",
        "form-4-who": "first",
        "form-4-ways": ["inbox"],
    }
    assert client_for(lin).post(f"{own(jia)}edit/", form(**changes)).status_code == 302
    with scope.customer(jia):
        terms = policies.in_force(jia)[Severity.HIGH].terms
        assert [(step.after_minutes, step.who.value) for step in terms.steps] == [
            (1, "first"), (3, "people"), (6, "second"), (12, "manager"),
        ]  # fmt: skip
        assert terms.steps[1].people == (root.pk,)


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": "0"},
        {"rounds": "99"},
        {"round_minutes": "12"},
        {"hours": "24x8"},
        {"reason": ""},
        {"form-0-who": "king"},
        {"form-0-who": ""},
        {"form-0-ways": ["carrier pigeon"]},
        {"form-0-ways": []},
        {"form-0-after_minutes": ""},
        {"form-0-after_minutes": "-5"},
        {"form-0-after_minutes": "soon"},
        {"form-0-who": "people", "form-0-people": ["777777"]},
        {"form-TOTAL_FORMS": "5000"},
        {"form-TOTAL_FORMS": "x"},
    ],
)
def test_a_policy_that_cannot_be_is_refused_and_what_was_typed_stays(
    client_for: ClientFor, lin: User, jia: Customer, changes: dict[str, object]
) -> None:
    answer = client_for(lin).post(f"{own(jia)}edit/", form(**changes))
    assert answer.status_code == 422
    assert versions() == 0


def test_a_customers_person_cannot_be_among_the_named(
    client_for: ClientFor, lin: User, alice: User, jia: Customer
) -> None:
    changes = {"form-0-who": "people", "form-0-people": [str(alice.pk)]}
    assert client_for(lin).post(f"{own(jia)}edit/", form(**changes)).status_code == 422


def test_the_page_says_who_would_be_called_when_tonight(
    client_for: ClientFor, chen: User, lin: User, jia: Customer
) -> None:
    with scope.platform("test"):
        for duty, person in (("first", chen), ("manager", lin)):
            RosterShift.objects.create(duty=duty, user=person, starts_at=NOW, ends_at=NOW + timedelta(days=3))
    text = client_for(chen).get(f"{own(jia)}?at=2026-03-03T02:00").content.decode()
    assert "2026-03-03 02:00:00" in text
    assert "2026-03-03 02:07:00" in text
    assert text.count("13800000000") >= 3
    assert "text-warning" in text, "nobody is second responder: somebody stands in"


def test_an_edit_is_tried_before_it_is_saved(client_for: ClientFor, lin: User, chen: User, jia: Customer) -> None:
    answer = client_for(lin).post(f"{own(jia)}edit/", form(preview="1", at="2026-03-03T02:00"))
    assert answer.status_code == 200
    assert "02:06:00" in answer.content.decode()
    assert versions() == 0


@pytest.mark.parametrize(
    "address", ["?at=nonsense", "?at=0001-01-01T00:00", "?customer=x", "?customer=999999999999999999", "?at=9999-99-99"]
)
def test_a_strange_moment_is_harmless(client_for: ClientFor, lin: User, jia: Customer, address: str) -> None:
    assert client_for(lin).get(f"{DEFAULT}{address}").status_code == 200


def test_only_managers_edit_and_customers_see_nothing_of_it(
    client_for: ClientFor, chen: User, alice: User, eve: User, jia: Customer
) -> None:
    engineer, customer = client_for(chen), client_for(alice)
    assert engineer.get("/escalation/").status_code == engineer.get(DEFAULT).status_code == 200
    for path in (f"{DEFAULT}edit/", f"{own(jia)}edit/"):
        assert engineer.get(path).status_code == engineer.post(path, form()).status_code == 403
    assert engineer.post(f"{own(jia)}follow/").status_code == 403
    for path in ("/escalation/", DEFAULT, own(jia)):
        assert customer.get(path).status_code == 403
    assert engineer.get("/escalation/terrible/").status_code == 404
    assert engineer.get("/customers/999999/escalation/high/").status_code == 404
    assert versions() == 0


def test_the_list_asks_the_same_number_of_queries_however_many_customers(
    client_for: ClientFor, lin: User, jia: Customer
) -> None:
    browser = client_for(lin)

    def queries() -> int:
        browser.get("/escalation/")
        with CaptureQueriesContext(connection) as seen:
            assert browser.get("/escalation/").status_code == 200
        return len(seen)

    before = queries()
    for number in range(5):
        customer = make_customer(f"more{number}", f"丙{number}公司")
        with scope.customer(customer):
            policies.save(
                customer=customer,
                severity=Severity.HIGH,
                policy=policies.brought_along()[Severity.DISASTER],
                reason="x",
                actor=lin,
                now=NOW,
            )
    assert queries() == before


# --- on the incident -------------------------------------------------------------------------------------------------


def test_the_incident_shows_done_next_and_cancelled_steps_to_the_provider_alone(
    client_for: ClientFor, jia: Customer, alice: User, chen: User
) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.customer(jia):
        first = EscalationStep.objects.filter(incident=incident)[0]
        escalating.fire(step_id=first.pk, now=NOW)
    text = client_for(chen).get(f"/incidents/{incident.pk}/").content.decode()
    assert 'id="escalation-title"' in text
    assert f"/incidents/{incident.pk}/escalate/" in text
    assert 'id="escalation-title"' not in client_for(alice).get(f"/incidents/{incident.pk}/").content.decode()
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=NOW)
        spared = EscalationStep.objects.filter(incident=incident, state="cancelled").count()
    text = client_for(chen).get(f"/incidents/{incident.pk}/").content.decode()
    assert f"/incidents/{incident.pk}/escalate/" not in text
    assert f"{spared} 个步骤无需执行" in text, "what is spared is said once, not listed as if it came"


def press(browser: Client, pk: int) -> int:
    return browser.post(f"/incidents/{pk}/escalate/").status_code


def test_the_button_calls_the_next_person_now(
    client_for: ClientFor, jia: Customer, alice: User, eve: User, vera: User, chen: User
) -> None:
    incident = raise_incident(alice, customer=jia)
    assert [press(client_for(person), incident.pk) for person in (alice, vera, eve)] == [403, 403, 403]
    assert client_for(chen).get(f"/incidents/{incident.pk}/escalate/").status_code == 405
    assert press(client_for(chen), incident.pk) == 302
    with scope.customer(jia):
        (done,) = EscalationStep.objects.filter(incident=incident, state="done")
        assert (done.number, done.done_by) == (1, chen)
    assert press(client_for(chen), 999_999) == 404
