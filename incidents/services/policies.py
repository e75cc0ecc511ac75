"""Escalation policies: which one is in force, and making the next version of one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.calendars import ALWAYS, Calendar
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from accounts.services import calendars
from incidents import escalation
from incidents.escalation import Policy, Problem
from incidents.models import EscalationPolicy
from incidents.policy import calendar_version

FILE = Path(__file__).parent.parent / "data" / "escalation.json"


@dataclass(frozen=True, slots=True)
class InForce:
    """A policy that holds, and the version it stands in; without one it is what the platform brings along."""

    terms: Policy
    version: EscalationPolicy | None

    @property
    def is_customers(self) -> bool:
        return self.version is not None and self.version.customer_id is not None


@cache
def brought_along() -> Mapping[Severity, Policy]:
    """The policies of the data file. Raises ValueError when one is missing or cannot be used."""
    found = {
        Severity(one["severity"]): escalation.policy_of(one) for one in json.loads(FILE.read_text("utf-8"))["policies"]
    }
    if set(found) != set(Severity) or any(escalation.problems(policy) for policy in found.values()):
        raise ValueError(f"{FILE.name} must hold one usable policy for each severity")
    return found


def in_force(customer: Customer | None) -> dict[Severity, InForce]:
    """The policy of each severity: the customer's own, else the provider's, else the data file's. One query."""
    whose = Q(customer=None) if customer is None else Q(customer=customer) | Q(customer=None)
    versions = EscalationPolicy.objects.filter(whose).order_by("customer_id", "severity", "-number")
    latest = {(one.customer_id, one.severity): one for one in versions.distinct("customer_id", "severity")}
    return _of(customer, latest)


Latest = Mapping[tuple[int | None, int], EscalationPolicy]


def _of(customer: Customer | None, latest: Latest) -> dict[Severity, InForce]:
    found = {}
    for severity in Severity:
        own = latest.get((customer.pk, severity.value)) if customer is not None else None
        row = own if own is not None and own.is_own else latest.get((None, severity.value))
        found[severity] = InForce(brought_along()[severity] if row is None else row.as_policy(), row)
    return found


def calendar_for(policy: Policy, customer: Customer) -> Calendar:
    """What the minutes of a policy are counted on, as it is today."""
    if policy.hours != escalation.BUSINESS:
        return ALWAYS
    version = calendars.current_version(customer)
    return ALWAYS if version is None else calendar_version(version.pk)


@transaction.atomic
def save(
    *, customer: Customer | None, severity: Severity, policy: Policy, reason: str, actor: User, now: datetime
) -> EscalationPolicy:
    """Make the next version; incidents that wait already keep theirs. Raises DomainError when it cannot be used."""
    wrong = escalation.problems(policy)
    if wrong:
        raise DomainError(complaint(wrong[0]), code=f"escalation_{wrong[0]}")
    return _add(customer, severity, policy, is_own=True, reason=reason, actor=actor, now=now)


@transaction.atomic
def follow_default(*, customer: Customer, severity: Severity, actor: User, now: datetime) -> None:
    """End what a customer has of its own; doing it twice changes nothing."""
    own = in_force(customer)[severity]
    if own.is_customers:
        _add(customer, severity, own.terms, is_own=False, reason=_("As for all customers"), actor=actor, now=now)


def _add(
    customer: Customer | None,
    severity: Severity,
    policy: Policy,
    *,
    is_own: bool,
    reason: str,
    actor: User,
    now: datetime,
) -> EscalationPolicy:
    audit.hold(None if customer is None else customer.pk)  # two who save at once make two versions, one after the other
    with scope.platform("policies of the provider belong to no customer"):
        last = EscalationPolicy.objects.filter(customer=customer, severity=severity).order_by("-number").first()
        version = EscalationPolicy.objects.create(
            customer=customer,
            severity=severity,
            number=1 if last is None else last.number + 1,
            is_own=is_own,
            hours=policy.hours,
            rounds=policy.rounds,
            round_minutes=policy.round_minutes,
            steps=[step.as_json() for step in escalation.in_order(policy.steps)],
            reason=reason[:200],
            created_at=now,
            created_by=actor,
        )
    detail = {"version": version.number, "own": is_own, "reason": reason, "steps": version.steps}
    audit.record(action="escalation.version", actor=actor, customer=customer, obj=version, detail=detail, now=now)
    return version


def complaint(problem: Problem) -> str:
    """What to say to somebody whose policy cannot be."""
    return {
        Problem.NO_STEPS: _("A policy needs steps."),
        Problem.TOO_MANY: _("At most %(count)d steps.") % {"count": escalation.MOST_STEPS},
        Problem.TIME: _("A step is due between 0 minutes and 7 days."),
        Problem.NO_MEDIUM: _("Each step needs at least one way to tell people."),
        Problem.NO_PEOPLE: _("A step for named people needs their names."),
        Problem.ROUNDS: _("There are between 1 and %(count)d rounds.") % {"count": escalation.MOST_ROUNDS},
        Problem.ROUND_TOO_SHORT: _("A round must be longer than the time until its last step."),
        Problem.DUTY_MISSING: _(
            "The statement of work wants the first responder, the second responder and the manager in every policy."
        ),
    }[problem]


def of_everybody(customers: Sequence[Customer]) -> list[tuple[Customer | None, dict[Severity, InForce]]]:
    """The policies of all customers (None), then of each of these; one query however many they are."""
    versions = EscalationPolicy.objects.order_by("customer_id", "severity", "-number")
    latest = {(one.customer_id, one.severity): one for one in versions.distinct("customer_id", "severity")}
    whose: list[Customer | None] = [None, *customers]
    return [(customer, _of(customer, latest)) for customer in whose]
