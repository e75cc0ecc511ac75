"""The pages of a customer: who sees them, who changes what, and what bad input meets."""

import re
from datetime import timedelta

import pytest

from accounts import scope
from accounts.models import Assignment, AuditEntry, Contact, Contract, Customer, ProviderContact, SlaTerm, User
from tests.conftest import ClientFor, make_customer

pytestmark = pytest.mark.django_db
TABS = ("", "contract/", "contacts/", "team/")


def contract_of(customer: Customer) -> Contract:
    with scope.platform("test"):
        return Contract.objects.get(customer=customer)


def term_of(customer: Customer, severity: int) -> SlaTerm:
    with scope.platform("test"):
        return SlaTerm.objects.get(customer=customer, severity=severity)


def name_contact(customer: Customer, user: User, kind: str = "primary") -> Contact:
    with scope.platform("test"):
        return Contact.objects.create(customer=customer, kind=kind, user=user, phone="13800000000", email=user.email)


def contract_form(contract: Contract, **changes: object) -> dict[str, object]:
    fields: tuple[str, ...] = (
        "number",
        "provider_name",
        "customer_party",
        "signed_on",
        "starts_on",
        "ends_on",
        "sow_version",
    )
    fields += ("governing_document", "middleware_quota", "url_quota", "probe_points_per_url")
    return {name: getattr(contract, name) for name in fields} | {"port_quota": "", "reason": "as agreed"} | changes


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("who", ["alice", "vera", "chen", "lin"])
def test_both_sides_see_the_customers_pages(
    client_for: ClientFor, request: pytest.FixtureRequest, jia: Customer, who: str, tab: str
) -> None:
    answer = client_for(request.getfixturevalue(who)).get(f"/customers/{jia.pk}/{tab}")
    assert answer.status_code == 200
    assert jia.name in answer.content.decode()


@pytest.mark.parametrize("tab", [*TABS, "edit/", "contract/new/", "contacts/new/"])
def test_another_customers_pages_do_not_exist(client_for: ClientFor, eve: User, jia: Customer, tab: str) -> None:
    assert client_for(eve).get(f"/customers/{jia.pk}/{tab}").status_code in (403, 404)
    assert jia.name not in client_for(eve).get(f"/customers/{jia.pk}/{tab}").content.decode()


def test_an_engineer_does_not_see_customers_of_others(client_for: ClientFor, chen: User, jia: Customer) -> None:
    bing = make_customer("bing", "丙申零售集团")
    assert client_for(chen).get(f"/customers/{bing.pk}/").status_code == 404
    text = client_for(chen).get("/customers/").content.decode()
    assert jia.name in text
    assert bing.name not in text


def test_the_list_of_customers_is_the_providers(client_for: ClientFor, alice: User) -> None:
    assert client_for(alice).get("/customers/").status_code == 403


def test_people_of_a_customer_find_their_contract_by_themselves(
    client_for: ClientFor, vera: User, jia: Customer
) -> None:
    assert client_for(vera).get("/contract/").headers["Location"] == f"/customers/{jia.pk}/contract/"


@pytest.mark.parametrize("who", ["alice", "vera", "chen"])
def test_only_managers_change_customers_contracts_and_sla(
    client_for: ClientFor, request: pytest.FixtureRequest, jia: Customer, who: str
) -> None:
    browser = client_for(request.getfixturevalue(who))
    for path in (
        "/customers/new/",
        f"/customers/{jia.pk}/edit/",
        f"/customers/{jia.pk}/contract/new/",
        f"/contracts/{contract_of(jia).pk}/edit/",
        f"/sla/{term_of(jia, 1).pk}/edit/",
    ):
        assert browser.get(path).status_code == 403, path
        assert browser.post(path, {}).status_code == 403, path


def test_a_manager_takes_a_customer_in(client_for: ClientFor, lin: User) -> None:
    form = {"name": "丁未生物科技", "short_name": "丁未", "code": "ding", "status": "onboarding", "language": "zh-hans"}
    answer = client_for(lin).post("/customers/new/", form)
    with scope.platform("test"):
        made = Customer.objects.get(code="ding")
        assert AuditEntry.objects.filter(customer=made, action="customer.create").exists()
    assert answer.headers["Location"] == f"/customers/{made.pk}/contract/"


def test_a_code_that_is_taken_is_refused_with_a_word(client_for: ClientFor, lin: User, jia: Customer) -> None:
    form = {"name": "Other", "short_name": "O", "code": jia.code, "status": "onboarding", "language": "en"}
    answer = client_for(lin).post("/customers/new/", form)
    assert answer.status_code == 422
    assert "is-invalid" in answer.content.decode()


def test_a_changed_quota_is_kept_with_reason_and_author(client_for: ClientFor, lin: User, jia: Customer) -> None:
    contract = contract_of(jia)
    browser = client_for(lin)
    form = contract_form(contract, middleware_quota=80, reason="补充协议 3")
    assert browser.post(f"/contracts/{contract.pk}/edit/", form).status_code == 302
    text = browser.get(f"/customers/{jia.pk}/contract/").content.decode()
    assert "补充协议 3" in text
    assert "50" in text
    assert "80" in text
    assert "Lin" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"ends_on": "2020-01-01"},
        {"middleware_quota": "-1"},
        {"signed_on": "yesterday"},
        {"reason": ""},
        {"number": ""},
        {"url_quota": "1" * 30},
    ],
)
def test_a_contract_that_cannot_be_is_refused(
    client_for: ClientFor, lin: User, jia: Customer, changes: dict[str, object]
) -> None:
    contract = contract_of(jia)
    answer = client_for(lin).post(f"/contracts/{contract.pk}/edit/", contract_form(contract, **changes))
    assert answer.status_code == 422
    assert contract_of(jia).middleware_quota == 50


def test_a_new_contract_brings_the_sla_table_along(client_for: ClientFor, lin: User, jia: Customer) -> None:
    old = contract_of(jia)
    start = old.ends_on + timedelta(days=1)
    form = contract_form(old, number="jia-2", starts_on=start, ends_on=start + timedelta(days=364))
    assert client_for(lin).post(f"/customers/{jia.pk}/contract/new/", form).status_code == 302
    with scope.platform("test"):
        assert SlaTerm.objects.filter(contract__number="jia-2").count() == 4


def test_a_contract_number_is_used_once_per_customer(client_for: ClientFor, lin: User, jia: Customer) -> None:
    form = contract_form(contract_of(jia))
    answer = client_for(lin).post(f"/customers/{jia.pk}/contract/new/", form)
    assert answer.status_code == 422


def test_an_sla_term_is_changed_with_its_reason(client_for: ClientFor, lin: User, jia: Customer) -> None:
    term = term_of(jia, 3)
    form = {
        "response_minutes": 30,
        "monitoring_response_minutes": 30,
        "notice_minutes": 15,
        "handling_calendar": "5x8",
        "handling_minutes": "",
        "customer_reply_minutes": 2880,
        "customer_reply_calendar": "7x24",
        "report_minutes": 240,
        "warning_shares": "50, 80",
        "definition": term.definition,
        "customer_duty": term.customer_duty,
        "reason": "客户来函",
    }
    browser = client_for(lin)
    assert browser.post(f"/sla/{term.pk}/edit/", form | {"response_minutes": 0}).status_code == 422
    assert browser.post(f"/sla/{term.pk}/edit/", form).status_code == 302
    assert term_of(jia, 3).response_minutes == 30
    assert "客户来函" in browser.get(f"/customers/{jia.pk}/contract/").content.decode()


# --- contacts --------------------------------------------------------------------------------------------------------


def contact_form(user: User, **changes: object) -> dict[str, object]:
    return {"kind": "first_pm", "user": user.pk, "phone": "0571-56337786", "email": "pm@example.com"} | changes


def test_a_project_manager_names_the_contacts_of_the_own_side(
    client_for: ClientFor, alice: User, jia: Customer
) -> None:
    answer = client_for(alice).post(f"/customers/{jia.pk}/contacts/new/", contact_form(alice))
    assert answer.status_code == 302
    with scope.customer(jia):
        assert Contact.objects.get().phone == "0571-56337786"


@pytest.mark.parametrize("who", ["bob", "vera", "chen"])
def test_nobody_else_names_contacts(
    client_for: ClientFor, request: pytest.FixtureRequest, jia: Customer, bob: User, who: str
) -> None:
    browser = client_for(request.getfixturevalue(who))
    assert browser.post(f"/customers/{jia.pk}/contacts/new/", contact_form(bob)).status_code == 403


@pytest.mark.parametrize("changes", [{"phone": ""}, {"phone": "later"}, {"email": "nobody"}, {"kind": "king"}])
def test_a_contact_must_be_reachable(
    client_for: ClientFor, alice: User, jia: Customer, changes: dict[str, object]
) -> None:
    answer = client_for(alice).post(f"/customers/{jia.pk}/contacts/new/", contact_form(alice, **changes))
    assert answer.status_code == 422


def test_a_person_of_another_customer_cannot_be_named(
    client_for: ClientFor, alice: User, eve: User, jia: Customer
) -> None:
    answer = client_for(alice).post(f"/customers/{jia.pk}/contacts/new/", contact_form(eve))
    assert answer.status_code == 422
    assert not re.search(rf"\b{eve.name}\b", answer.content.decode())


def test_a_duty_is_taken_once(client_for: ClientFor, alice: User, bob: User, jia: Customer) -> None:
    name_contact(jia, alice, "first_pm")
    answer = client_for(alice).post(f"/customers/{jia.pk}/contacts/new/", contact_form(bob))
    assert answer.status_code == 422


def test_while_the_first_is_away_the_second_is_in_charge(
    client_for: ClientFor, alice: User, bob: User, jia: Customer
) -> None:
    first = name_contact(jia, alice, "first_pm")
    name_contact(jia, bob, "second_pm")
    browser = client_for(alice)
    browser.post(f"/contacts/{first.pk}/away/", {"away": "1"})
    text = browser.get(f"/customers/{jia.pk}/").content.decode()
    assert "Bob" in text.split("13800000000")[0][-80:]
    browser.post(f"/contacts/{first.pk}/away/", {"away": "0"})
    with scope.customer(jia):
        assert not Contact.objects.get(pk=first.pk).is_away


def test_contacts_of_another_customer_cannot_be_touched(
    client_for: ClientFor, eve: User, alice: User, jia: Customer
) -> None:
    contact = name_contact(jia, alice)
    browser = client_for(eve)
    for verb in ("edit", "away", "remove"):
        assert browser.post(f"/contacts/{contact.pk}/{verb}/").status_code == 404
    with scope.customer(jia):
        assert Contact.objects.filter(pk=contact.pk).exists()


def test_a_removed_contact_stays_in_the_audit_log(client_for: ClientFor, alice: User, jia: Customer) -> None:
    contact = name_contact(jia, alice)
    assert client_for(alice).post(f"/contacts/{contact.pk}/remove/").status_code == 302
    with scope.customer(jia):
        assert not Contact.objects.exists()
        assert AuditEntry.objects.filter(action="contact.remove", object_id=str(contact.pk)).exists()


def test_the_page_says_which_contacts_are_missing(client_for: ClientFor, alice: User, jia: Customer) -> None:
    name_contact(jia, alice, "first_pm")
    text = client_for(alice).get(f"/customers/{jia.pk}/contacts/").content.decode()
    assert str(Contact.Kind.SECONDARY.label) in text


# --- team ------------------------------------------------------------------------------------------------------------


def test_an_assigned_engineer_sees_the_customer_and_an_ended_one_does_not(
    client_for: ClientFor, lin: User, chen: User
) -> None:
    bing = make_customer("bing", "丙申零售集团")
    manager, engineer = client_for(lin), client_for(chen)
    assert engineer.get(f"/customers/{bing.pk}/").status_code == 404
    manager.post(f"/customers/{bing.pk}/team/assign/", {"user": chen.pk})
    assert engineer.get(f"/customers/{bing.pk}/").status_code == 200
    with scope.platform("test"):
        assignment = Assignment.objects.get(customer=bing)
    manager.post(f"/assignments/{assignment.pk}/remove/")
    assert engineer.get(f"/customers/{bing.pk}/").status_code == 404


def test_an_engineer_assigns_nobody(client_for: ClientFor, chen: User, jia: Customer) -> None:
    assert client_for(chen).post(f"/customers/{jia.pk}/team/assign/", {"user": chen.pk}).status_code == 403


def test_customers_see_whom_we_named_but_not_who_else_works_here(
    client_for: ClientFor, alice: User, chen: User, lin: User, jia: Customer
) -> None:
    client_for(lin).post(f"/customers/{jia.pk}/team/name/", {"kind": "project_owner", "user": lin.pk})
    text = client_for(alice).get(f"/customers/{jia.pk}/team/").content.decode()
    assert lin.email in text
    assert chen.name not in text


def test_the_same_person_is_not_named_twice_for_one_duty(client_for: ClientFor, lin: User, jia: Customer) -> None:
    browser = client_for(lin)
    form = {"kind": "project_owner", "user": lin.pk}
    browser.post(f"/customers/{jia.pk}/team/name/", form)
    assert browser.post(f"/customers/{jia.pk}/team/name/", form).status_code == 422
    with scope.platform("test"):
        contact = ProviderContact.objects.get()
    assert browser.post(f"/provider-contacts/{contact.pk}/remove/").status_code == 302


# --- lists -----------------------------------------------------------------------------------------------------------


def test_the_list_takes_as_many_queries_for_many_customers_as_for_few(
    client_for: ClientFor, lin: User, jia: Customer, django_assert_max_num_queries: object
) -> None:
    browser = client_for(lin)
    browser.get("/customers/")
    for number in range(15):
        make_customer(f"more{number}", f"More {number}")
    with django_assert_max_num_queries(14):  # type: ignore[operator]  # typed loosely by pytest-django
        assert "More 14" in browser.get("/customers/").content.decode()


def test_the_list_is_exported(client_for: ClientFor, lin: User, jia: Customer) -> None:
    answer = client_for(lin).get("/customers/?export=csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert jia.name in answer.content.decode("utf-8-sig")


def test_a_page_answers_only_to_the_methods_it_has(client_for: ClientFor, lin: User, jia: Customer) -> None:
    browser = client_for(lin)
    assert browser.post("/customers/").status_code == 405
    assert browser.get(f"/customers/{jia.pk}/team/assign/").status_code == 405


def test_quotas_are_shown_with_what_is_used_and_to_nobody_else(
    client_for: ClientFor, alice: User, eve: User, jia: Customer
) -> None:
    address = f"/assets/quota/{jia.pk}/"
    text = client_for(alice).get(address).content.decode()
    assert "/ 50" in text
    assert address in client_for(alice).get(f"/customers/{jia.pk}/contract/").content.decode()
    assert client_for(eve).get(address).status_code == 404
