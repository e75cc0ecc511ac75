"""Host keys that nodes have met: confirmed by a person, or by a group's rule at first sight; a changed one is alarm.

A key is pinned for one server at one place (`assets.SshAccess`), so what a jump host shows can never be taken for its
target's (Warpgate CVE-2026-91166): a fact counts only when it is about the server of its own session, at the place that
the platform itself knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import administers, is_admin, is_customer_pm
from assets import keypairs
from assets.models import SshAccess
from assets.permissions import can_manage_credentials
from assets.services import reaching
from bastion import messages
from bastion.models import BastionSession, GroupAsset, HostKeySighting
from bastion.services import host_key_alarms
from notify import live

STATES: Final = HostKeySighting.State
KINDS: Final = HostKeySighting.Kind
LONGEST_KEY: Final = 8000


@transaction.atomic
def note(*, session: BastionSession, data: Mapping[str, object], now: datetime) -> HostKeySighting | None:
    """What a node told of a key that was not the pinned one, or is it again after another was seen.

    None: it says nothing new, or was taken at first sight.
    """
    access = SshAccess.objects.select_related("asset__customer").filter(asset=session.asset_id).first()
    key = _line(data.get("key"))
    if access is None or key is None or data.get("hop") != session.asset_id:
        return None
    place = (data.get("host", access.host), data.get("port", access.port))
    if place != (access.host, access.port):
        return None
    audit.hold(session.customer_id)
    if access.host_key == key:
        if data.get("result") == "pinned":
            host_key_alarms.known_again(access, allowed_at=session.allowed_at, now=now)
        return None
    if not access.host_key and is_trusted_at_first_sight(access.asset_id):
        reaching.pin_seen(access=access, host_key=key, actor=None, now=now)
        return None
    return _meet(session, access, key, now)


@transaction.atomic
def confirm(*, sighting: HostKeySighting, words: str, actor: User, now: datetime) -> HostKeySighting:
    """From now on this key is the only one accepted for the server. Whoever confirms has compared it."""
    sighting = _hold(sighting)
    if not may_confirm(actor, sighting.customer_id):
        raise PermissionDenied
    if sighting.state not in (STATES.WAITING, STATES.REJECTED):
        raise DomainError(_("It is settled already."), code="settled")
    access = SshAccess.objects.select_for_update(of=("self",)).select_related("asset__customer")
    door = access.filter(asset=sighting.asset_id, host=sighting.host, port=sighting.port).first()
    if door is None:
        raise DomainError(
            _("The server answers at another address now. Connect again, so that its key is read there."), code="moved"
        )
    if door.pinned_at and door.host_key and door.pinned_at > sighting.last_seen_at:
        raise DomainError(_("Another key was confirmed since it was seen. Connect again to see it anew."), code="old")
    reaching.pin_seen(access=door, host_key=sighting.key, actor=actor, now=now)
    host_key_alarms.confirmed(sighting, actor=actor, now=now)
    others = HostKeySighting.objects.waiting().filter(asset=sighting.asset_id).exclude(pk=sighting.pk)
    others.update(state=STATES.REPLACED, decided_at=now, decided_by=actor)
    return _settle(sighting, STATES.CONFIRMED, words, actor, now)


@transaction.atomic
def reject(*, sighting: HostKeySighting, words: str, actor: User, now: datetime) -> HostKeySighting:
    """It stays shut out, and nobody is told of it again while it stays."""
    sighting = _hold(sighting)
    if not may_confirm(actor, sighting.customer_id):
        raise PermissionDenied
    if sighting.state != STATES.WAITING:
        raise DomainError(_("It is settled already."), code="settled")
    if not words.strip():
        raise DomainError(_("Please say what you found: others read it later."), code="no_words")
    return _settle(sighting, STATES.REJECTED, words, actor, now)


def may_confirm(actor: User, customer_id: int) -> bool:
    return administers(actor, customer_id) or can_manage_credentials(actor)


def seen_by(person: User) -> QuerySet[HostKeySighting]:
    """Within their scope: what they may confirm."""
    rows: QuerySet[HostKeySighting] = HostKeySighting.objects.joined()
    may_see = is_admin(person) or is_customer_pm(person) or can_manage_credentials(person)
    return rows if may_see else rows.none()


def is_trusted_at_first_sight(asset_id: int) -> bool:
    trusting = GroupAsset.objects.filter(asset=asset_id, group__trusts_first_sight=True, group__retired_at=None)
    return trusting.exists()


def _meet(session: BastionSession, access: SshAccess, key: str, now: datetime) -> HostKeySighting:
    kind = KINDS.CHANGED if access.host_key else KINDS.FIRST
    sighting, is_new = HostKeySighting.objects.get_or_create(
        asset_id=access.asset_id,
        host=access.host,
        port=access.port,
        fingerprint=keypairs.fingerprint(key),
        state__in=(STATES.WAITING, STATES.REJECTED),
        defaults={
            "customer_id": session.customer_id,
            "key": key,
            "fingerprint_before": access.fingerprint if access.host_key else "",
            "kind": kind,
            "state": STATES.WAITING,
            "session": session,
            "seen_at": now,
            "last_seen_at": now,
        },
    )
    if is_new:
        detail = {"place": f"{access}", "now": sighting.fingerprint, "before": sighting.fingerprint_before}
        action = f"bastion.host_key.{kind}"
        audit.record(
            action=action,
            actor=session.person,
            customer=access.asset.customer,
            obj=access.asset,
            detail=detail,
            now=now,
        )
        messages.host_key_met(sighting, now=now)
    else:
        seen = {"times": F("times") + 1, "last_seen_at": now, "session": session, "kind": kind}
        HostKeySighting.objects.filter(pk=sighting.pk).update(**seen)
    if kind == KINDS.CHANGED:
        host_key_alarms.raise_for(sighting, now=now)
    live.publish(customer_id=session.customer_id, topic="bastion", object_id=sighting.pk)
    return sighting


def _line(value: object) -> str | None:
    """As `ssh-ed25519 AAAA…`; None for what is no key."""
    if not isinstance(value, str) or len(value) > LONGEST_KEY:
        return None
    line = " ".join(value.split()[:2])
    try:
        keypairs.fingerprint(line)
    except keypairs.NotAKey:
        return None
    return line


def _hold(sighting: HostKeySighting) -> HostKeySighting:
    audit.hold(sighting.customer_id)
    rows = HostKeySighting.objects.select_for_update(no_key=True, of=("self",)).joined()
    held: HostKeySighting = rows.get(pk=sighting.pk)
    return held


def _settle(sighting: HostKeySighting, state: str, words: str, actor: User, now: datetime) -> HostKeySighting:
    sighting.state, sighting.decided_at, sighting.decided_by = state, now, actor
    sighting.words = words.strip()[:300]
    sighting.save()
    detail = {"place": f"{sighting.host}:{sighting.port}", "fingerprint": sighting.fingerprint, "words": sighting.words}
    audit.record(
        action=f"bastion.host_key.{state}",
        actor=actor,
        customer=sighting.customer,
        obj=sighting.asset,
        detail=detail,
        now=now,
    )
    live.publish(customer_id=sighting.customer_id, topic="bastion", object_id=sighting.pk)
    return sighting
