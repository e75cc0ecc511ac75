"""Which sessions are known to run: nodes say so every ten seconds, and what they are silent about is not believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import prefetch_related_objects

from accounts import audit
from accounts.models import User
from bastion.access import Decision
from bastion.gateway import wire
from bastion.gateway.contract import End, Lock, NewTerms, Order, Say
from bastion.models import BastionSession, Node
from bastion.models.sessions import LEASE
from bastion.services import admitting, authorising, node_watch, regimes

STATES: Final = BastionSession.State
ENDINGS: Final = BastionSession.Ending
UNUSED_AFTER: Final = timedelta(minutes=2)
SILENT_AFTER: Final = timedelta(hours=1)
MOST_LOAD: Final = 16
CUT_AGAIN_S: Final = 5


def group_of(node_id: int) -> str:
    """The channel group in which a node's WebSocket listens."""
    return f"node.{node_id}"


def beat(*, node: Node, sessions: Iterable[str], load: Mapping[str, object], now: datetime) -> None:
    """A node is there and carries these sessions."""
    numbers = {str(key)[:20]: value for key, value in list(load.items())[:MOST_LOAD] if isinstance(value, int | float)}
    Node.objects.filter(pk=node.pk).update(seen_at=now, load=numbers)
    node_watch.note(node=node, load=numbers, now=now)
    rows = BastionSession.objects.filter(node=node).called(*sessions)
    rows.exclude(state=STATES.ENDED).update(leased_until=now + LEASE)
    rows.filter(state=STATES.UNKNOWN).update(state=STATES.OPEN)


def sweep(*, now: datetime) -> None:
    """Mark what nobody has heard of: unknown at first, and over when nothing comes for an hour."""
    lost = BastionSession.objects.filter(state=STATES.OPEN, leased_until__lt=now)
    lost.update(state=STATES.UNKNOWN)
    not_begun_or_lost = (STATES.ALLOWED, STATES.UNKNOWN)
    silent = BastionSession.objects.filter(state__in=not_begun_or_lost, leased_until__lt=now - SILENT_AFTER)
    silent.update(state=STATES.ENDED, ended_at=now, ending=ENDINGS.SILENT)
    unused = BastionSession.objects.filter(state=STATES.ALLOWED, allowed_at__lt=now - UNUSED_AFTER)
    unused.filter(leased_until=None).update(state=STATES.ENDED, ended_at=now, ending=ENDINGS.UNUSED)


def disconnect(*, session: BastionSession, words: str, actor: User, now: datetime) -> None:
    """The node ends it within a second; of a node that is silent the row stays until it is heard of again."""
    _order(session, End("killed", words.strip()[:300], actor.pk), "bastion.session.disconnect", actor, now)


def lock(*, session: BastionSession, is_locked: bool, actor: User, now: datetime) -> None:
    if not authorising.may_lock(actor, session):
        raise PermissionDenied
    action = "bastion.session.lock" if is_locked else "bastion.session.unlock"
    _order(session, Lock(is_locked), action, actor, now)


def say(*, session: BastionSession, words: str, actor: User, now: datetime) -> None:
    """A sentence on the person's screen."""
    _order(session, Say(words.strip()[:500], actor.name), "bastion.session.say", actor, now)


def ask_again(
    *,
    now: datetime,
    customer_id: int | None = None,
    node_id: int | None = None,
    person_id: int | None = None,
    renews: bool = False,
) -> None:
    """Something has changed: whoever may no longer be connected is cut off, the others hear of their new terms.

    Without a customer, a node or a person it asks about everybody. `renews`: tell the terms even where they seem the
    same.
    """
    live = BastionSession.objects.exclude(state=STATES.ENDED)
    if customer_id is not None:
        live = live.filter(customer=customer_id)
    if node_id is not None:
        live = live.filter(node=node_id)
    if person_id is not None:
        live = live.filter(person=person_id)
    asked = live.select_related("person", "asset__customer").defer("asset__details")
    allowed = {}
    for session, decision in authorising.still_allowed(asked, now=now).items():
        if decision.is_allowed:
            allowed[session] = decision
        else:
            _cut_off(session, now)
    changed = {one: decision for one, decision in allowed.items() if renews or _differs(one, decision)}
    prefetch_related_objects(list(changed), "incident", "change")
    touched = list({one.asset_id: one.asset for one in changed}.values())
    rules = admitting.rules_of(touched) if touched else {}
    kept = regimes.regimes_of(touched) if touched else {}
    for session, decision in changed.items():
        session.actions, session.ends_at = sorted(decision.actions), decision.ends_at
        session.forwards = sorted(decision.forwards)
        session.save(update_fields=["actions", "ends_at", "forwards"])
        resource = admitting.brief(session.asset, session.account)
        access = admitting.access_of(
            session, decision, resource=resource, rules=rules[session.asset_id], regime=kept[session.asset_id]
        )
        tell(session, NewTerms(access))


def _differs(session: BastionSession, decision: Decision) -> bool:
    said = session.actions, session.ends_at, session.forwards
    return said != (sorted(decision.actions), decision.ends_at, sorted(decision.forwards))


def _cut_off(session: BastionSession, now: datetime) -> None:
    """Said again only after a while: a node that has not heard it is asked every second."""
    if cache.add(f"bastion-cut:{session.pk}", 1, CUT_AGAIN_S):
        is_over = session.ends_at is not None and session.ends_at <= now
        tell(session, End("window" if is_over else "revoked"))


@transaction.atomic
def _order(session: BastionSession, order: End | Lock | Say, action: str, actor: User, now: datetime) -> None:
    if not authorising.may_end(actor, session):
        raise PermissionDenied
    detail = {"words": order.words} if order.words else {}
    audit.record(action=action, actor=actor, customer=session.customer, obj=session, detail=detail, now=now)
    tell(session, order)


def tell(session: BastionSession, order: Order) -> None:
    """To its node, after commit. Asks nobody: that is the caller's affair."""
    said = {"type": "node.said", "said": wire.order_said(str(session.uid), order)}
    layer = get_channel_layer()
    transaction.on_commit(partial(async_to_sync(layer.group_send), group_of(session.node_id), said), robust=True)


def shut(node: Node) -> None:
    """Whatever WebSocket it has is closed, after commit: its key is worth nothing any more."""
    layer = get_channel_layer()
    over = partial(async_to_sync(layer.group_send), group_of(node.pk), {"type": "node.over"})
    transaction.on_commit(over, robust=True)
