"""Customers and what was agreed with them: creating, signing, editing, naming contacts."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypedDict

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Assignment, Contact, Contract, Customer, ProviderContact, Role, Severity, SlaTerm, User

SLA_FILE = Path(__file__).parent.parent / "data" / "sla.json"


class Term(TypedDict):
    severity: int
    definition: Mapping[str, str]
    customer_duty: Mapping[str, str]
    response_minutes: int
    monitoring_response_minutes: int
    notice_minutes: int
    handling_calendar: str
    customer_reply_minutes: int
    customer_reply_calendar: str
    report_minutes: int
    warning_shares: list[int]


@cache
def default_terms() -> tuple[Term, ...]:
    """Table 1 of the statement of work, worst first. Raises ValueError when the file misses a severity."""
    terms: list[Term] = json.loads(SLA_FILE.read_text(encoding="utf-8"))["terms"]
    if [term["severity"] for term in terms] != [severity.value for severity in Severity]:
        raise ValueError(f"{SLA_FILE.name} must hold each severity once, worst first")
    return tuple(terms)


@transaction.atomic
def create(*, name: str, short_name: str, code: str, actor: User | None, now: datetime, notes: str = "") -> Customer:
    """Take a customer in, at the beginning of onboarding."""
    try:
        with transaction.atomic():
            customer = Customer.objects.create(name=name, short_name=short_name, code=code, notes=notes, created_at=now)
    except IntegrityError:
        raise DomainError(_("A customer with this name or code exists already."), code="duplicate") from None
    audit.record(action="customer.create", actor=actor, customer=customer, obj=customer, now=now)
    return customer


@transaction.atomic
def sign_default_contract(
    *,
    customer: Customer,
    number: str,
    signed_on: date,
    actor: User | None,
    now: datetime,
    sow_version: str = "MSP 运维版",
) -> Contract:
    """Sign the statement of work as it stands: its quotas, its SLA table, one year from the day of signing."""
    contract = Contract.objects.create(
        customer=customer,
        number=number,
        provider_name=settings.PROVIDER_NAME,
        customer_party=customer.name,
        signed_on=signed_on,
        starts_on=signed_on,
        ends_on=_last_day_of_a_year_from(signed_on),
        sow_version=sow_version,
        governing_document=_("Statement of work, Cloud Maintenance MSP edition"),
    )
    add_default_terms(contract)
    audit.record(action="contract.sign", actor=actor, customer=customer, obj=contract, now=now)
    return contract


def _last_day_of_a_year_from(day: date) -> date:
    leap_day = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year + 1, day=28) if leap_day else day.replace(year=day.year + 1) - timedelta(days=1)


def add_default_terms(contract: Contract) -> None:
    """Give a new contract the SLA table of the statement of work, in the customer's language."""
    language = "zh" if contract.customer.language.startswith("zh") else "en"
    for term in default_terms():
        SlaTerm.objects.create(
            customer=contract.customer,
            contract=contract,
            severity=term["severity"],
            definition=term["definition"][language],
            customer_duty=term["customer_duty"][language],
            response_minutes=term["response_minutes"],
            monitoring_response_minutes=term["monitoring_response_minutes"],
            notice_minutes=term["notice_minutes"],
            handling_calendar=term["handling_calendar"],
            customer_reply_minutes=term["customer_reply_minutes"],
            customer_reply_calendar=term["customer_reply_calendar"],
            report_minutes=term["report_minutes"],
            warning_shares=list(term["warning_shares"]),
        )


def contract_in_force(customer: Customer, day: date) -> Contract | None:
    """The contract that governs a day, or else the latest one: a promise does not lapse by a late signature."""
    contracts = Contract.objects.filter(customer=customer)
    return contracts.filter(starts_on__lte=day, ends_on__gte=day).first() or contracts.first()


@transaction.atomic
def save(*, obj: Model, customer: Customer, actor: User, now: datetime, reason: str = "") -> None:
    """Store an edited or new customer, contract, SLA term or contact, with its history and an audit entry."""
    is_new = obj.pk is None
    before = {} if is_new else _values(type(obj)._default_manager.get(pk=obj.pk))
    if reason:
        obj._change_reason = reason  # type: ignore[attr-defined]  # read by django-simple-history
    obj.save()
    if isinstance(obj, Contract) and is_new:
        add_default_terms(obj)
    after = _values(obj)
    changed = {name: [before.get(name), value] for name, value in after.items() if before.get(name) != value}
    verb = "create" if is_new else "change"
    detail = {"changed": changed, "reason": reason}
    audit.record(
        action=f"{obj._meta.model_name}.{verb}", actor=actor, customer=customer, obj=obj, detail=detail, now=now
    )


@transaction.atomic
def remove(*, obj: Contact | ProviderContact, actor: User, now: datetime) -> None:
    """Take a duty away from a person; the history keeps it."""
    audit.record(
        action=f"{obj._meta.model_name}.remove",
        actor=actor,
        customer=obj.customer,
        obj=obj,
        detail=_values(obj),
        now=now,
    )
    obj.delete()


@transaction.atomic
def assign(*, customer: Customer, engineer: User, actor: User | None, now: datetime) -> None:
    """Let an engineer work for a customer. Doing it twice changes nothing."""
    if engineer.role != Role.ENGINEER:
        raise DomainError(_("Only engineers are assigned; managers and administrators see every customer."))
    _assignment, created = Assignment.objects.get_or_create(
        customer=customer, user=engineer, defaults={"assigned_at": now}
    )
    if created:
        audit.record(action="engineer.assign", actor=actor, customer=customer, obj=engineer, now=now)


@transaction.atomic
def unassign(*, customer: Customer, engineer: User, actor: User, now: datetime) -> None:
    """End an engineer's work for a customer; from the next request on they do not see it."""
    deleted, _rows = Assignment.objects.filter(customer=customer, user=engineer).delete()
    if deleted:
        audit.record(action="engineer.unassign", actor=actor, customer=customer, obj=engineer, now=now)


def missing_contacts(customer: Customer) -> list[str]:
    """The duties that the contract still wants named, in words: R180, R181. Whoever is named has a phone (R184)."""
    named = set(Contact.objects.filter(customer=customer).values_list("kind", flat=True))
    return [str(Contact.Kind(kind).label) for kind in Contact.Kind.values if kind not in named]


def project_manager_in_charge(customer: Customer) -> Contact | None:
    """The first project manager or, while they are away, the second (R180)."""
    by_kind = {contact.kind: contact for contact in Contact.objects.filter(customer=customer).select_related("user")}
    first, second = by_kind.get(Contact.Kind.FIRST_PM), by_kind.get(Contact.Kind.SECOND_PM)
    return second if first is not None and first.is_away and second is not None else first or second


def _values(obj: Model) -> dict[str, object]:
    return {field.attname: field.value_from_object(obj) for field in obj._meta.concrete_fields}
