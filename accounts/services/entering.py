"""Who may enter from where: asked at every sign-in, request, socket and bastion session, and kept by administrators."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts import addresses, audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, EntryRule, User
from accounts.models.people import CUSTOMER_ROLES, PROVIDER_ROLES
from accounts.permissions import administers, is_administrator

MOST_RANGES: Final = 100
TOLD_EVERY_S: Final = 600


class Entry:
    """The rules of these people, read once."""

    def __init__(self, people: Iterable[User]) -> None:
        people = list(people)
        meant = Q(person__in=[person.pk for person in people]) | Q(role__in={person.role for person in people})
        with scope.platform("who may enter from where"):
            rows = list(EntryRule.objects.filter(meant))
        self._own = {row.person_id: row for row in rows if row.person_id is not None}
        self._by_role = {(row.customer_id, row.role): row for row in rows if row.person_id is None}

    def rule_of(self, person: User) -> EntryRule | None:
        return self._own.get(person.pk) or self._by_role.get((person.customer_id, person.role))

    def may_enter(self, person: User, address: str) -> bool:
        """An address that cannot be read is in no range."""
        rule = self.rule_of(person)
        if rule is None or not rule.ranges:
            return True
        found = addresses.address(address)
        return found is not None and bool(addresses.around(found, rule.ranges))


def may_enter(person: User, address: str) -> bool:
    return Entry([person]).may_enter(person, address)


def needs_key_and_code(person: User) -> bool:
    rule = Entry([person]).rule_of(person)
    return rule is not None and rule.needs_key_and_code


def note_refused(*, person: User, address: str, door: str, now: datetime) -> None:
    """In the audit log, once in a while: a browser that stays open asks again and again."""
    if cache.add(f"entry-refused:{person.pk}:{door}:{address}", 1, TOLD_EVERY_S):
        with scope.platform("somebody came from elsewhere"):
            detail = {"address": address, "door": door}
            audit.record(
                action="entry.refused", actor=person, customer=person.customer, obj=person, detail=detail, now=now
            )


def seen_by(actor: User) -> QuerySet[EntryRule]:
    """Those that somebody keeps, within their scope: the provider's administrators all, project managers their own."""
    rows: QuerySet[EntryRule] = EntryRule.objects.select_related("customer", "person", "changed_by")
    return rows if is_administrator(actor) else rows.none()


@transaction.atomic
def keep(
    *,
    customer: Customer | None,
    role: str,
    person: User | None,
    ranges: str,
    needs_key_and_code: bool,
    actor: User,
    address: str,
    now: datetime,
) -> EntryRule:
    """Write the rule of a role of one side, or of one person, in place of what there was. `address`: the actor's own.

    Raises PermissionDenied, and DomainError: whom, ranges, lock_out.
    """
    if person is not None:
        customer, role = person.customer, ""
    if not administers(actor, None if customer is None else customer.pk):
        raise PermissionDenied
    if person is None and role not in (PROVIDER_ROLES if customer is None else CUSTOMER_ROLES):
        raise DomainError(_("Please choose a role or a person."), code="whom")
    try:
        written = addresses.ranges(ranges)
    except addresses.BadRange as bad:
        raise DomainError(_("%(text)s is no address range.") % {"text": bad}, code="ranges") from None
    if len(written) > MOST_RANGES:
        raise DomainError(_("A rule has at most %(most)d ranges.") % {"most": MOST_RANGES}, code="ranges")
    audit.hold(None if customer is None else customer.pk)
    rule, _is_new = EntryRule.objects.update_or_create(
        customer=customer,
        role=role,
        person=person,
        defaults={
            "ranges": written,
            "needs_key_and_code": needs_key_and_code,
            "changed_by": actor,
            "changed_at": now,
        },
    )
    _stays_inside(actor, address)
    detail = {"who": str(rule), "ranges": written, "needs_key_and_code": needs_key_and_code}
    audit.record(action="entry.rule", actor=actor, customer=customer, obj=rule, detail=detail, now=now)
    return rule


@transaction.atomic
def remove(*, rule: EntryRule, actor: User | None, address: str = "", now: datetime) -> None:
    """What held before it for the role or everybody holds again. Without an actor it is the machine's own console."""
    if actor is not None and not administers(actor, rule.customer_id):
        raise PermissionDenied
    audit.hold(rule.customer_id)
    detail = {"who": str(rule), "ranges": rule.ranges, "needs_key_and_code": rule.needs_key_and_code}
    audit.record(action="entry.rule.remove", actor=actor, customer=rule.customer, obj=rule, detail=detail, now=now)
    rule.delete()
    if actor is not None:
        _stays_inside(actor, address)


def _stays_inside(actor: User, address: str) -> None:
    """Nobody shuts themselves out without knowing: what was written is taken back."""
    if not may_enter(actor, address):
        raise DomainError(
            _("You come from %(address)s, which would be shut out: you could not undo it. Nothing was saved.")
            % {"address": address or "?"},
            code="lock_out",
        )
