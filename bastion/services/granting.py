"""Grants are given and taken back; nobody gives more than they may, nor to themselves by a group they administer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.windows import WindowError, from_json
from assets.models import Asset
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.models import Grant, ResourceGroup
from bastion.permissions import administers, administers_group, works_for
from bastion.services import living
from notify import live

ZONE = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class Wanted:
    actions: frozenset[Action]
    protocols: frozenset[Protocol]
    accounts: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    windows: Sequence[Mapping[str, object]] = ()
    reason: str = ""


@transaction.atomic
def grant(*, person: User, to: Asset | ResourceGroup, wanted: Wanted, actor: User, now: datetime) -> Grant:
    """Let a person to an asset or a group. Raises PermissionDenied, and DomainError for what makes no sense."""
    audit.hold(to.customer_id)
    if not _may_grant(actor, person, to) or not works_for(person, to.customer):
        raise PermissionDenied
    _check(wanted, now)
    made = Grant.objects.create(
        customer_id=to.customer_id,
        person=person,
        asset=to if isinstance(to, Asset) else None,
        group=to if isinstance(to, ResourceGroup) else None,
        accounts=sorted(wanted.accounts),
        protocols=sorted(wanted.protocols),
        actions=sorted(wanted.actions),
        since=wanted.since,
        until=wanted.until,
        windows=list(wanted.windows),
        reason=wanted.reason.strip()[:300],
        granted_by=actor,
        granted_at=now,
    )
    _write(made, "bastion.grant", actor, now)
    return made


@transaction.atomic
def end(*, grant: Grant, actor: User, now: datetime) -> Grant:
    """Take it back. Live sessions hear of it at once and are asked about again."""
    audit.hold(grant.customer_id)
    rows = Grant.objects.select_for_update(no_key=True, of=("self",)).select_related(
        "customer", "person", "asset", "group"
    )
    grant = rows.get(pk=grant.pk)
    place = grant.asset or grant.group
    if place is None or not _may_grant(actor, None, place):
        raise PermissionDenied
    if grant.ended_at is None:
        grant.ended_at, grant.ended_by = now, actor
        grant.save(update_fields=["ended_at", "ended_by"])
        _write(grant, "bastion.grant.end", actor, now)
        living.ask_again(customer_id=grant.customer_id, now=now)
    return grant


def _may_grant(actor: User, person: User | None, to: Asset | ResourceGroup) -> bool:
    """Administrators; a group's own administrators for the group as a whole, and never to themselves."""
    if administers(actor, to.customer_id):
        return True
    if not isinstance(to, ResourceGroup) or (person is not None and person.pk == actor.pk):
        return False
    return administers_group(actor, to)


def _check(wanted: Wanted, now: datetime) -> None:
    if not wanted.actions or not wanted.protocols:
        raise DomainError(_("Please choose what may be done, and by which protocol."), code="nothing")
    if wanted.until is not None and wanted.until <= max(now, wanted.since or now):
        raise DomainError(_("It would end before it begins. Nothing was saved."), code="in_the_past")
    try:
        from_json(wanted.windows, ZONE)
    except (WindowError, ValueError, KeyError, TypeError):
        raise DomainError(_("These weekly windows cannot be read. Nothing was saved."), code="bad_windows") from None


def _write(grant: Grant, action: str, actor: User, now: datetime) -> None:
    detail = {
        "person": grant.person.name,
        "to": str(grant.asset or grant.group),
        "actions": grant.actions,
        "accounts": grant.accounts,
        "until": None if grant.until is None else grant.until.isoformat(),
    }
    audit.record(action=action, actor=actor, customer=grant.customer, obj=grant, detail=detail, now=now)
    live.publish(customer_id=grant.customer_id, topic="bastion", object_id=grant.pk)
