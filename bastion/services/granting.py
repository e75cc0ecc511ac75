"""Grants are given and taken back; nobody gives more than they may, nor to themselves by a group they administer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import administers, can_write, is_administrator
from accounts.windows import WindowError, from_json
from assets.models import Asset
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.models import Grant, GrantQuerySet, ResourceGroup
from bastion.permissions import administers_group, works_for
from bastion.services import living
from notify import live

ZONE: Final = "Asia/Shanghai"
LONGEST_DESTINATION: Final = 300
NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Wanted:
    actions: frozenset[Action]
    protocols: frozenset[Protocol]
    accounts: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    windows: Sequence[Mapping[str, object]] = ()
    reason: str = ""
    forwards: tuple[str, ...] = ()
    needs_consent: bool = False


@transaction.atomic
def grant(*, person: User, to: Asset | ResourceGroup, wanted: Wanted, actor: User, now: datetime) -> Grant:
    """Let a person to an asset or a group. Raises PermissionDenied, and DomainError for what makes no sense."""
    audit.hold(to.customer_id)
    if not may_grant(actor, person, to) or not works_for(person, to.customer):
        raise PermissionDenied
    _check(wanted, now)
    return make(person=person, to=to, wanted=wanted, actor=actor, now=now)


@transaction.atomic
def replace(*, grant: Grant, wanted: Wanted, actor: User, now: datetime) -> Grant:
    """Other terms for the same person and place: the old grant ends, a new one holds. Live sessions hear of it."""
    grant = _hold(grant)
    if grant.ended_at is not None:
        raise DomainError(_("It has ended. Nothing was saved: give a new one."), code="ended")
    if not may_end(actor, grant) or not may_grant(actor, grant.person, grant.place):
        raise PermissionDenied
    _check(wanted, now)
    _close(grant, actor, now)
    made = make(person=grant.person, to=grant.place, wanted=wanted, actor=actor, now=now)
    living.ask_again(customer_id=grant.customer_id, now=now, renews=True)
    return made


@transaction.atomic
def end(*, grant: Grant, actor: User, now: datetime) -> Grant:
    """Take it back, or give it back. Live sessions hear of it at once and are asked about again."""
    grant = _hold(grant)
    if grant.person_id != actor.pk and not may_end(actor, grant):
        raise PermissionDenied
    if grant.ended_at is None:
        _close(grant, actor, now)
        living.ask_again(customer_id=grant.customer_id, now=now)
    return grant


def make(*, person: User, to: Asset | ResourceGroup, wanted: Wanted, actor: User, now: datetime) -> Grant:
    """The row and its record, for a caller that has seen to who may."""
    made = Grant.objects.create(
        customer_id=to.customer_id,
        person=person,
        asset=to if isinstance(to, Asset) else None,
        group=to if isinstance(to, ResourceGroup) else None,
        accounts=sorted(wanted.accounts),
        protocols=sorted(wanted.protocols),
        actions=sorted(wanted.actions),
        forwards=sorted(wanted.forwards),
        since=wanted.since,
        until=wanted.until,
        windows=list(wanted.windows),
        reason=wanted.reason.strip()[:300],
        needs_consent=wanted.needs_consent,
        granted_by=actor,
        granted_at=now,
    )
    _write(made, "bastion.grant", actor, now)
    return made


def seen_by(person: User) -> GrantQuerySet:
    """The grants that somebody may see, within their scope: those they may end, and their own."""
    rows: GrantQuerySet = Grant.objects.all()
    if is_administrator(person):
        return rows
    return rows.filter(Q(person=person) | Q(pk__in=rows.in_group_of(person).values("pk")))


def may_end(actor: User, grant: Grant) -> bool:
    return may_grant(actor, None, grant.place)


def endable_by(actor: User, grants: Iterable[Grant]) -> set[int]:
    """Which of them somebody may end, by their numbers: asked once for all."""
    grants = list(grants)
    if not can_write(actor):
        return set()
    of_group = Grant.objects.in_group_of(actor).filter(pk__in=[grant.pk for grant in grants])
    theirs = set(of_group.values_list("pk", flat=True))
    return {grant.pk for grant in grants if grant.pk in theirs or administers(actor, grant.customer_id)}


def may_grant(actor: User, person: User | None, to: Asset | ResourceGroup) -> bool:
    """Administrators; a group's own administrators for the group as a whole, and never to themselves."""
    if not can_write(actor):
        return False
    if administers(actor, to.customer_id):
        return True
    if not isinstance(to, ResourceGroup) or (person is not None and person.pk == actor.pk):
        return False
    return to.retired_at is None and administers_group(actor, to)


def _hold(grant: Grant) -> Grant:
    audit.hold(grant.customer_id)
    rows = Grant.objects.select_for_update(no_key=True, of=("self",))
    held: Grant = rows.select_related("customer", "person", "asset__customer", "group__customer").get(pk=grant.pk)
    return held


def _close(grant: Grant, actor: User, now: datetime) -> None:
    grant.ended_at, grant.ended_by = now, actor
    grant.save(update_fields=["ended_at", "ended_by"])
    _write(grant, "bastion.grant.end", actor, now)


def _check(wanted: Wanted, now: datetime) -> None:
    if not wanted.actions or not wanted.protocols:
        raise DomainError(_("Please choose what may be done, and by which protocol."), code="nothing")
    if (Action.FORWARD in wanted.actions) != bool(wanted.forwards):
        raise DomainError(
            _("Port forwarding and its destinations belong together: name them, or leave both out."), code="forwards"
        )
    if wrong := next((one for one in wanted.forwards if not is_destination(one)), ""):
        raise DomainError(
            _("This is no destination: %(text)s. Write host:port, network/bits:port or *:port.") % {"text": wrong[:80]},
            code="forwards",
        )
    if wanted.until is not None and wanted.until <= max(now, wanted.since or now):
        raise DomainError(_("It would end before it begins. Nothing was saved."), code="in_the_past")
    try:
        from_json(wanted.windows, ZONE)
    except (WindowError, ValueError, KeyError, TypeError):
        raise DomainError(_("These weekly windows cannot be read. Nothing was saved."), code="bad_windows") from None


def is_destination(text: str) -> bool:
    """As `gateway.contract.Access.forwards` has them; the port may be `*`."""
    place, _colon, port = text.rpartition(":")
    is_port = port == "*" or (port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536)
    if not is_port or len(text) > LONGEST_DESTINATION:
        return False
    if place == "*" or NAME.fullmatch(place) is not None:
        return True
    try:
        ip_network(place.strip("[]"), strict=False)
    except ValueError:
        return False
    return True


def _write(grant: Grant, action: str, actor: User, now: datetime) -> None:
    detail = {
        "person": grant.person.name,
        "to": str(grant.asset or grant.group),
        "actions": grant.actions,
        "protocols": grant.protocols,
        "accounts": grant.accounts,
        "forwards": grant.forwards,
        "windows": grant.windows,
        "needs_consent": grant.needs_consent,
        "until": None if grant.until is None else grant.until.isoformat(),
    }
    audit.record(action=action, actor=actor, customer=grant.customer, obj=grant, detail=detail, now=now)
    live.publish(customer_id=grant.customer_id, topic="bastion", object_id=grant.pk)
