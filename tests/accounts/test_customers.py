"""Customers and what was agreed with them: the SOW's own numbers, each change with its history, contacts that serve."""

from datetime import date

import pytest
from django.db import IntegrityError, transaction

from accounts import history, scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contact, Contract, Customer, Severity, SlaTerm, User
from accounts.services import customers
from tests.conftest import NOW


def contract_of(customer: Customer) -> Contract:
    return Contract.objects.filter(customer=customer).get()


def entries(action: str) -> list[AuditEntry]:
    with scope.platform("test"):
        return list(AuditEntry.objects.filter(action=action).order_by("sequence"))


def test_the_default_contract_holds_the_quotas_of_the_sow(jia: Customer) -> None:
    """R7, R8: 50 middleware instances counted per instance, 5 URLs from 3 points each, ports without limit."""
    with scope.customer(jia):
        found = contract_of(jia)
        assert (found.middleware_quota, found.url_quota, found.probe_points_per_url, found.port_quota) == (
            50,
            5,
            3,
            None,
        )
        assert found.customer_party == jia.name


@pytest.mark.parametrize(
    ("severity", "raised", "monitoring", "notice", "hours", "reply"),
    [
        (Severity.DISASTER, 15, 15, 15, "7x24", 15),
        (Severity.HIGH, 15, 15, 15, "7x24", 15),
        (Severity.AVERAGE, 15, 15, 15, "5x8", 48 * 60),
        (Severity.WARNING, 15, 24 * 60, 30, "5x8", 48 * 60),
    ],
)
def test_the_default_contract_holds_table_1_of_the_sow(
    severity: Severity, raised: int, monitoring: int, notice: int, hours: str, reply: int, jia: Customer
) -> None:
    """R53-R56 and the note below the table: what a customer raises is answered in 15 minutes whatever its severity."""
    with scope.customer(jia):
        term = SlaTerm.objects.get(severity=severity)
        minutes = (term.response_minutes, term.monitoring_response_minutes, term.notice_minutes)
        assert minutes == (raised, monitoring, notice)
        assert (term.handling_calendar, term.customer_reply_minutes) == (hours, reply)
        assert term.definition
        assert term.customer_duty


@pytest.mark.parametrize(
    ("signed", "ends"),
    [
        (date(2026, 3, 2), date(2027, 3, 1)),
        (date(2027, 6, 1), date(2028, 5, 31)),
        (date(2028, 2, 29), date(2029, 2, 28)),
        (date(2026, 1, 1), date(2026, 12, 31)),
    ],
)
def test_a_contract_of_a_year_ends_the_day_before_its_anniversary(signed: date, ends: date, jia: Customer) -> None:
    with scope.platform("test"):
        made = customers.sign_default_contract(customer=jia, number="2", signed_on=signed, actor=None, now=NOW)
        assert made.ends_on == ends


def test_a_name_or_code_that_is_taken_is_refused_in_words(jia: Customer) -> None:
    for name, code in ((jia.name, "new"), ("New", jia.code)):
        with scope.platform("test"), pytest.raises(DomainError) as caught:
            customers.create(name=name, short_name="x", code=code, actor=None, now=NOW)
        assert caught.value.code == "duplicate"


def test_the_contract_in_force_governs_its_days_and_the_latest_one_every_other(jia: Customer) -> None:
    with scope.platform("test"):
        first = contract_of(jia)
        second = customers.sign_default_contract(
            customer=jia, number="2", signed_on=date(2027, 3, 2), actor=None, now=NOW
        )
        assert customers.contract_in_force(jia, date(2026, 5, 1)) == first
        assert customers.contract_in_force(jia, date(2027, 3, 1)) == first
        assert customers.contract_in_force(jia, date(2027, 3, 2)) == second
        assert customers.contract_in_force(jia, date(2030, 1, 1)) == second


def test_an_edited_quota_is_kept_with_before_after_who_and_why(jia: Customer, lin: User) -> None:
    with scope.user(lin):
        found = contract_of(jia)
        found.middleware_quota = 60
        customers.save(obj=found, customer=jia, actor=lin, now=NOW, reason="addendum 1")
        latest, *_older = history.of(found)
        assert [(line.before, line.after) for line in latest.lines] == [("50", "60")]
        assert latest.reason == "addendum 1"
    (entry,) = entries("contract.change")
    assert entry.detail["changed"] == {"middleware_quota": [50, 60]}
    assert (entry.detail["reason"], entry.actor_id) == ("addendum 1", lin.pk)


def test_an_edited_sla_term_is_kept_too(jia: Customer, lin: User) -> None:
    with scope.user(lin):
        term = SlaTerm.objects.get(severity=Severity.WARNING, customer=jia)
        term.monitoring_response_minutes = 20
        customers.save(obj=term, customer=jia, actor=lin, now=NOW)
    (entry,) = entries("slaterm.change")
    assert entry.detail["changed"] == {"monitoring_response_minutes": [1440, 20]}


def test_a_new_contract_begins_with_the_table_of_the_sow(jia: Customer, lin: User) -> None:
    with scope.user(lin):
        new = contract_of(jia)
        new.pk, new.number = None, "2"
        new._state.adding = True
        customers.save(obj=new, customer=jia, actor=lin, now=NOW)
        assert new.sla_terms.count() == 4
    assert len(entries("contract.create")) == 1


def test_a_response_of_no_minutes_is_no_promise(jia: Customer) -> None:
    with scope.customer(jia), pytest.raises(IntegrityError), transaction.atomic():
        SlaTerm.objects.update(response_minutes=0)


def name(customer: Customer, user: User, kind: str) -> Contact:
    with scope.platform("test"):
        return Contact.objects.create(customer=customer, user=user, kind=kind, phone="139", email=user.email)


def test_what_the_contract_still_wants_named_is_listed(jia: Customer, alice: User, bob: User) -> None:
    with scope.customer(jia):
        assert len(customers.missing_contacts(jia)) == 4
    for user, kind in ((alice, "first_pm"), (bob, "second_pm"), (alice, "primary")):
        name(jia, user, kind)
    with scope.customer(jia):
        assert customers.missing_contacts(jia) == [str(Contact.Kind.SECONDARY.label)]


@pytest.mark.parametrize("lacks", ["phone", "email"])
def test_a_contact_can_be_phoned_and_written_to(lacks: str, jia: Customer, alice: User) -> None:
    contact = name(jia, alice, "first_pm")
    with scope.customer(jia), pytest.raises(IntegrityError), transaction.atomic():
        Contact.objects.filter(pk=contact.pk).update(**{lacks: ""})


def test_the_second_project_manager_stands_in_while_the_first_is_away(jia: Customer, alice: User, bob: User) -> None:
    with scope.customer(jia):
        assert customers.project_manager_in_charge(jia) is None
    second = name(jia, bob, "second_pm")
    with scope.customer(jia):
        assert customers.project_manager_in_charge(jia) == second
    first = name(jia, alice, "first_pm")
    with scope.customer(jia):
        assert customers.project_manager_in_charge(jia) == first
        Contact.objects.filter(pk=first.pk).update(is_away=True)
        assert customers.project_manager_in_charge(jia) == second
        Contact.objects.filter(pk=second.pk).delete()
        assert customers.project_manager_in_charge(jia) == first


@pytest.mark.parametrize("kind", ["first_pm", "second_pm", "primary"])
def test_each_duty_is_taken_once_but_for_the_secondary_contacts(
    kind: str, jia: Customer, alice: User, bob: User
) -> None:
    name(jia, alice, kind)
    with pytest.raises(IntegrityError), transaction.atomic():
        name(jia, bob, kind)
    name(jia, alice, "secondary")
    name(jia, bob, "secondary")


def test_a_removed_contact_stays_in_the_history_and_the_log(jia: Customer, alice: User) -> None:
    contact = name(jia, alice, "first_pm")
    with scope.customer(jia):
        customers.remove(obj=contact, actor=alice, now=NOW)
        assert not Contact.objects.exists()
        assert Contact.history.filter(history_type="-").count() == 1
    (entry,) = entries("contact.remove")
    assert entry.detail["email"] == alice.email


def test_an_engineer_sees_a_customer_from_assignment_to_unassignment(
    jia: Customer, yi: Customer, chen: User, lin: User
) -> None:
    with scope.user(lin):
        for _ in range(2):
            customers.unassign(customer=jia, engineer=chen, actor=lin, now=NOW)
    assert scope.of(chen).customer_ids == frozenset({yi.pk})
    with scope.user(lin):
        for _ in range(2):
            customers.assign(customer=jia, engineer=chen, actor=lin, now=NOW)
    assert scope.of(chen).customer_ids == frozenset({jia.pk, yi.pk})
    assert len(entries("engineer.assign")) == len(entries("engineer.unassign")) == 1


@pytest.mark.parametrize("who", ["lin", "root", "alice"])
def test_only_engineers_are_assigned(who: str, request: pytest.FixtureRequest, jia: Customer) -> None:
    with scope.platform("test"), pytest.raises(DomainError):
        customers.assign(customer=jia, engineer=request.getfixturevalue(who), actor=None, now=NOW)
