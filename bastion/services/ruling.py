"""Command rules: written, ordered, switched and taken back by administrators. Running sessions hear of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import administers, is_administrator
from bastion import policy
from bastion.gateway import contract
from bastion.models import CommandRule, ResourceGroup
from bastion.models.rules import CommandRuleQuerySet
from bastion.services import admitting, living
from bastion.usual_rules import usual_rules
from notify import live

MOST: Final = 200
LONGEST_LINE: Final = 10_000
FIELDS: Final = ("group_id", "name", "pattern", "verdict", "words", "is_on")


@dataclass(frozen=True, slots=True)
class Said:
    """What a rule says."""

    name: str
    pattern: str
    verdict: str
    words: str = ""
    group: ResourceGroup | None = None
    is_on: bool = True


@dataclass(frozen=True, slots=True)
class Tried:
    """How one piece of a line would be judged, and by which rule."""

    piece: str
    verdict: str
    rule: CommandRule | None


@transaction.atomic
def create(*, customer: Customer, said: Said, actor: User, now: datetime) -> CommandRule:
    """At the end of the list. Raises PermissionDenied; DomainError for a pattern that RE2 does not understand."""
    rules = _hold(customer, actor)
    if len(rules) >= MOST:
        raise DomainError(_("Two hundred rules are the most that one customer can have."), code="too_many")
    _check(customer, said)
    last = rules[-1].position if rules else 0
    rule = CommandRule.objects.create(
        customer=customer, position=last + 1, changed_by=actor, changed_at=now, **_fields(said)
    )
    _told(rule, "bastion.rule.create", {name: [None, value] for name, value in _fields(said).items()}, actor, now)
    return rule


@transaction.atomic
def change(*, rule: CommandRule, said: Said, actor: User, now: datetime) -> CommandRule:
    _hold(rule.customer, actor)
    rule = _kept(rule)
    _check(rule.customer, said)
    detail = {name: [getattr(rule, name), value] for name, value in _fields(said).items()}
    detail = {name: pair for name, pair in detail.items() if pair[0] != pair[1]}
    if detail:
        for name, (_before, value) in detail.items():
            setattr(rule, name, value)
        rule.changed_by, rule.changed_at = actor, now
        rule.save()
        _told(rule, "bastion.rule.change", detail, actor, now)
    return rule


@transaction.atomic
def switch(*, rule: CommandRule, is_on: bool, actor: User, now: datetime) -> CommandRule:
    _hold(rule.customer, actor)
    rule = _kept(rule)
    said = Said(rule.name, rule.pattern, rule.verdict, rule.words, rule.group, is_on)
    return change(rule=rule, said=said, actor=actor, now=now)


def _kept(rule: CommandRule) -> CommandRule:
    """As it is under the lock."""
    found: CommandRule | None = CommandRule.objects.kept().joined().filter(pk=rule.pk).first()
    if found is None:
        raise DomainError(_("This rule is no longer there."), code="retired")
    return found


@transaction.atomic
def move(*, rule: CommandRule, places: int, actor: User, now: datetime) -> None:
    """Up (negative) or down the list: of two rules that fit a command the upper one decides."""
    rules = _hold(rule.customer, actor)
    before = next((at for at, one in enumerate(rules) if one.pk == rule.pk), None)
    if before is None:
        raise DomainError(_("This rule is no longer there."), code="retired")
    after = min(max(before + places, 0), len(rules) - 1)
    if after == before:
        return
    rules.insert(after, rules.pop(before))
    for position, one in enumerate(rules, 1):
        one.position = position
    CommandRule.objects.bulk_update(rules, ["position"])
    _told(rule, "bastion.rule.move", {"position": [before + 1, after + 1]}, actor, now)


@transaction.atomic
def retire(*, rule: CommandRule, actor: User, now: datetime) -> None:
    _hold(rule.customer, actor)
    rule = CommandRule.objects.joined().get(pk=rule.pk)
    if rule.retired_at is None:
        rule.retired_at, rule.changed_by, rule.changed_at = now, actor, now
        rule.save()
        _told(rule, "bastion.rule.retire", {name: [getattr(rule, name), None] for name in FIELDS}, actor, now)


@transaction.atomic
def take_usual(*, customer: Customer, actor: User, now: datetime) -> int:
    """Add those of the platform's rules that the customer has not; returns how many. They are the customer's then."""
    rules = _hold(customer, actor)
    known = {rule.shipped_as for rule in rules}
    position = rules[-1].position if rules else 0
    language = get_language() or ""
    made = [
        CommandRule(
            customer=customer,
            position=position + number,
            name=usual.name(language),
            pattern=usual.pattern,
            verdict=usual.verdict.value,
            shipped_as=usual.key,
            changed_by=actor,
            changed_at=now,
        )
        for number, usual in enumerate((one for one in usual_rules() if one.key not in known), 1)
    ]
    CommandRule.objects.bulk_create(made)
    if made:
        detail = {"rules": [rule.shipped_as for rule in made]}
        audit.record(
            action="bastion.rule.take_usual", actor=actor, customer=customer, obj=customer, detail=detail, now=now
        )
        _pass_on(customer.pk, now)
    return len(made)


def try_out(line: str, rules: Sequence[CommandRule]) -> tuple[Tried, list[Tried]]:
    """What would happen to a line as a whole, and how each piece of it was judged."""
    told = [admitting.as_told(rule) for rule in rules]
    by_id = {rule.pk: rule for rule in rules}
    line = line[:LONGEST_LINE]

    def tried(judgement: policy.Judgement) -> Tried:
        return Tried(
            judgement.piece,
            judgement.verdict.value,
            None if judgement.rule is None else by_id.get(judgement.rule.id),
        )

    pieces = policy.simple_commands(line)
    return tried(policy.judge(line, told)), [tried(_of_piece(piece, told)) for piece in pieces]


def seen_by(person: User) -> CommandRuleQuerySet:
    """Of the customers that somebody administers; of the groups that they administer, and what holds there as well."""
    rows: CommandRuleQuerySet = CommandRule.objects.kept()
    if is_administrator(person):
        return rows
    groups = ResourceGroup.objects.filter(administrators__person=person, retired_at=None)
    general = rows.filter(group=None, customer__in=groups.values("customer"))
    found: CommandRuleQuerySet = rows.filter(group__in=groups) | general
    return found


def _of_piece(piece: str, rules: Sequence[contract.CommandRule]) -> policy.Judgement:
    """By itself, as `policy.judge` looks at each."""
    for rule in rules:
        if policy.fits(rule.pattern, piece):
            return policy.Judgement(rule.verdict, rule, piece)
    return policy.Judgement(contract.Verdict.ALLOW, None, piece)


def _hold(customer: Customer, actor: User) -> list[CommandRule]:
    if not administers(actor, customer.pk):
        raise PermissionDenied
    audit.hold(customer.pk)
    return list(CommandRule.objects.kept().filter(customer=customer).order_by("position", "pk"))


def _check(customer: Customer, said: Said) -> None:
    if not said.name.strip():
        raise DomainError(_("Please give it a name."), code="no_name")
    if said.group is not None and (said.group.customer_id != customer.pk or said.group.retired_at is not None):
        raise DomainError(_("There is no such group."), code="unknown_group")
    try:
        policy.check_pattern(said.pattern)
    except ValueError as problem:
        raise DomainError(
            _("RE2 does not understand this pattern: %(why)s") % {"why": str(problem)[-200:]}, code="bad_pattern"
        ) from None


def _fields(said: Said) -> dict[str, object]:
    return {
        "group_id": None if said.group is None else said.group.pk,
        "name": said.name.strip()[:120],
        "pattern": said.pattern,
        "verdict": CommandRule.Verdict(said.verdict).value,
        "words": " ".join(said.words.split())[:300],
        "is_on": said.is_on,
    }


def _told(rule: CommandRule, action: str, detail: dict[str, list[object]], actor: User, now: datetime) -> None:
    audit.record(action=action, actor=actor, customer=rule.customer, obj=rule, detail=detail, now=now)
    _pass_on(rule.customer_id, now)


def _pass_on(customer_id: int, now: datetime) -> None:
    living.ask_again(customer_id=customer_id, now=now, renews=True)
    live.publish(customer_id=customer_id, topic="bastion", object_id=0)
