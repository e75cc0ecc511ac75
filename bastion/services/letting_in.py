"""From a name that somebody typed to all that a node needs for a session: the resource, its account, the way there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from django.db.models import Max, Q
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import User
from assets.models import Asset, Credential, CredentialKind, SshAccess
from assets.services import credentials
from bastion.access import Protocol
from bastion.gateway import contract, wire
from bastion.gateway.contract import Action, Front
from bastion.models import BastionSession, GroupAsset, Node
from bastion.services import authorising
from bastion.services.authorising import Wish
from changes.models import Change
from incidents.models import Incident

FRONT: Final = Front.SSH
IDLE_S: Final = 30 * 60.0
TOTAL_S: Final = 12 * 3600.0
MOST_LISTED: Final = 500
MOST_CHOICES: Final = 20
MOST_OFFERS: Final = 9
MOST_DIGITS: Final = 12


class NotYet(DomainError):
    """Something more must be said first: which of several, or what it is for."""

    def __init__(self, answer: wire.No) -> None:
        super().__init__(answer.words, code=answer.code)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Found:
    asset: Asset
    accounts: list[Credential]


def resources(person: User, *, node: Node, query: str, limit: int, now: datetime) -> list[contract.Resource]:
    """The menu: what somebody may connect to now, what they used last first."""
    assets = _served(person, node, now)
    words = query.lower().split()[:5]
    if words:
        assets = [one for one in assets if all(word in f"{one.name} {one.address}".lower() for word in words)]
    used = _used(person)
    assets.sort(key=lambda one: (-used.get(one.pk, 0), one.name))
    found = (_found(person, asset, now) for asset in assets)
    usable = (_listed(one, used.get(one.asset.pk)) for one in found if one.accounts)
    return list(islice(usable, max(1, min(limit, MOST_LISTED))))


def let_in(person: User, *, node: Node, said: wire.ForAccess, now: datetime) -> contract.Access:
    """Raises DomainError, and NotYet with choices or offers."""
    found = _one(person, node, said.resource, now)
    credential = _account(found, said.account)
    if person.is_provider and not said.work.strip():
        raise NotYet(wire.No("work_needed", _("What do you work on?"), offers=offers(found.asset)))
    access = _way_to(found.asset)
    wish = Wish(found.asset, credential, Protocol.SSH, said.work, said.front, said.client)
    session = authorising.authorise(person=person, wish=wish, node=node, now=now)
    account = _with_secret(credential, person, session, now)
    return contract.Access(
        session_id=str(session.uid),
        customer_id=session.customer_id,
        resource=_listed(found, None),
        hops=(_hop(access, account, found.asset),),
        actions=frozenset(Action(action) for action in session.actions),
        limits=contract.Limits(IDLE_S, TOTAL_S, None if session.ends_at is None else session.ends_at.timestamp()),
        work="" if session.incident is None and session.change is None else session.work,
    )


def _served(person: User, node: Node, now: datetime) -> list[Asset]:
    """Those that answer SSH at a known place, through this node."""
    assets = authorising.reachable(person, protocol=Protocol.SSH, now=now)
    doors = set(SshAccess.objects.filter(asset__in=[asset.pk for asset in assets]).values_list("asset_id", flat=True))
    return [one for one in assets if one.pk in doors and node.customer_id in (None, one.customer_id)]


def _found(person: User, asset: Asset, now: datetime) -> Found:
    return Found(asset, authorising.accounts_of(person, asset, protocol=Protocol.SSH, now=now))


def _one(person: User, node: Node, name: str, now: datetime) -> Found:
    """By number (#12), by name, by address; of several, the person chooses."""
    name = name.strip()
    served = _served(person, node, now)
    if name.startswith("#") and name[1:].isdecimal() and len(name) <= MOST_DIGITS:
        meant = [one for one in served if one.pk == int(name[1:])]
    else:
        meant = [one for one in served if name.lower() in {one.name.lower(), *_addresses(one)}]
    if not meant:
        raise DomainError(_("There is no such resource, or you have no access to it."), code="unknown_resource")
    if len(meant) > 1:
        choices = tuple(_listed(_found(person, one, now), None) for one in meant[:MOST_CHOICES])
        words = _("Several resources are called %(name)s: choose one by its number.") % {"name": name}
        raise NotYet(wire.No("ambiguous", words, choices=choices))
    return _found(person, meant[0], now)


def _account(found: Found, name: str) -> Credential:
    """The one that was named, or the usual one of the person's side."""
    meant = [one for one in found.accounts if name in ("", one.username)]
    if not meant:
        raise DomainError(_("There is no such account, or you may not use it."), code="unknown_account")
    return meant[0]


def _way_to(asset: Asset) -> SshAccess:
    return SshAccess.objects.get(asset=asset)


def _with_secret(credential: Credential, person: User, session: BastionSession, now: datetime) -> contract.Account:
    secret = credentials.use(credential=credential, reason=f"bastion session {session.uid}", actor=person, now=now)
    if credential.kind == CredentialKind.KEY_PAIR:
        return contract.Account(credential.username, private_key=secret)
    return contract.Account(credential.username, password=secret)


def _hop(access: SshAccess, account: contract.Account, asset: Asset) -> contract.Hop:
    trusting = GroupAsset.objects.filter(asset=asset, group__trusts_first_sight=True, group__retired_at=None)
    return contract.Hop(
        id=asset.pk,
        host=access.host,
        port=access.port,
        account=account,
        host_keys=(access.host_key,) if access.host_key else (),
        trusts_first_sight=not access.host_key and trusting.exists(),
    )


def _listed(found: Found, used_at: float | None) -> contract.Resource:
    asset = found.asset
    groups = GroupAsset.objects.filter(asset=asset, group__retired_at=None).order_by("group__name")
    return contract.Resource(
        id=asset.pk,
        name=asset.name,
        address=asset.address,
        group=", ".join(groups.values_list("group__name", flat=True)[:3]),
        customer=asset.customer.short_name,
        accounts=tuple(dict.fromkeys(one.username for one in found.accounts)),
        used_at=used_at,
    )


def _used(person: User) -> dict[int, float]:
    rows = BastionSession.objects.filter(person=person).exclude(opened_at=None)
    last = rows.values_list("asset_id").annotate(Max("opened_at"))
    return {asset_id: at.timestamp() for asset_id, at in last}


def _addresses(asset: Asset) -> set[str]:
    return {text.lower() for text in (asset.host, asset.private_ip, asset.public_ip) if text}


def offers(asset: Asset) -> tuple[tuple[str, str], ...]:
    """What is open about this resource: changes first, then incidents that touch it."""
    changes = Change.objects.filter(assets=asset).unfinished().order_by("-pk")[:MOST_OFFERS]
    touching = Q(pk__in=Incident.objects.touching(asset.pk).values("pk"))
    incidents = Incident.objects.unsolved().filter(touching).order_by("-pk")[:MOST_OFFERS]
    found = [(one.number, one.title) for one in (*changes, *incidents)]
    return tuple(found[:MOST_OFFERS])
