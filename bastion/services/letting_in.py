"""From a name that somebody typed to all that a node needs for a session: the resource, its account, the way there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from ipaddress import ip_address
from itertools import count
from operator import or_
from typing import Final

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import User
from accounts.numbers import row_number
from assets.models import Asset, Credential, CredentialKind, SshAccess
from assets.services import credentials
from bastion.access import OWN, Protocol, is_own, own_name
from bastion.gateway import contract, wire
from bastion.models import BastionSession, Favourite, GroupAsset, Node
from bastion.services import admitting, authorising, connecting, consenting, host_key_alarms, host_keys, regimes
from bastion.services.authorising import Wish
from changes.models import Change
from incidents.models import Incident

MOST_LISTED: Final = 500
MOST_WORDS: Final = 5
MOST_CHOICES: Final = 20
MOST_OFFERS: Final = 9


class NotYet(DomainError):
    """Something more must be said first: which of several, or what it is for."""

    def __init__(self, answer: wire.No) -> None:
        super().__init__(answer.words, code=answer.code)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Found:
    asset: Asset
    accounts: list[Credential]
    may_be_own: bool = False
    """By a name and password that the person types."""

    @property
    def names(self) -> tuple[str, ...]:
        own = (OWN,) if self.may_be_own else ()
        return (*dict.fromkeys(one.username for one in self.accounts), *own)


def resources(person: User, *, node: Node, query: str, limit: int, now: datetime) -> list[contract.Resource]:
    """The menu: what somebody may connect to now, their favourites first, then what they used last."""
    rows = connecting.marked(_served(person, node, now), person).filter(called(query)).defer("details")
    usable = _usable(person, rows.order_by(*connecting.MINE_FIRST), max(1, min(limit, MOST_LISTED)), now)
    found = [one.asset for one in usable]
    groups, used, starred = groups_of(found), used_by(person, found), starred_by(person)
    return [
        _listed(one, groups[one.asset.pk], used_at=used.get(one.asset.pk), is_favourite=one.asset.pk in starred)
        for one in usable
    ]


def let_in(person: User, *, node: Node, said: wire.ForAccess, now: datetime, key: str = "") -> contract.Access:
    """`key`: the fingerprint of the one they signed in with. Raises DomainError, and NotYet with choices or offers."""
    found = _one(person, node, said.resource, now)
    credential = _account(found, said.account)
    if person.is_provider and not said.work.strip():
        raise NotYet(wire.No("work_needed", _("What do you work on?"), offers=offers(found.asset)))
    access = _way_to(found.asset)
    wish = Wish(found.asset, credential, Protocol.SSH, said.work, said.front, said.client, key)
    session = authorising.authorise(person=person, wish=wish, node=node, now=now)
    decision = authorising.decide(
        person, found.asset, account=session.account, protocol=Protocol(session.protocol), now=now
    )
    waits_for = consenting.waits_for(session, decision)
    own = contract.Account(own_name(said.account))
    return admitting.access_of(
        session,
        decision,
        resource=_listed(found, groups_of([found.asset])[found.asset.pk]),
        rules=admitting.rules_of([found.asset])[found.asset.pk],
        regime=regimes.regimes_of([found.asset])[found.asset.pk],
        hops=() if waits_for else _hops(access, own, credential, session, now),
        waits_for=waits_for,
    )


def way_of(person: User, *, node: Node, session_id: str, now: datetime) -> tuple[contract.Hop, ...]:
    """Of a session that somebody has let in; its rights are judged again. Raises DomainError."""
    rows = BastionSession.objects.select_related("person", "asset__customer").filter(node=node, person=person)
    session = rows.called(session_id).exclude(state=BastionSession.State.ENDED).first()
    if session is None or not consenting.is_let_in(session):
        raise DomainError(_("Nobody has let this session in."), code="no_consent")
    decision = authorising.decide(
        person, session.asset, account=session.account, protocol=Protocol(session.protocol), now=now
    )
    if not decision.is_allowed:
        raise DomainError(_("Your access to it has ended."), code="ended")
    credential = _account(_found(person, session.asset, now), session.account)
    own = contract.Account(own_name(session.account))
    return _hops(_way_to(session.asset), own, credential, session, now)


def _hops(
    access: SshAccess, own: contract.Account, credential: Credential | None, session: BastionSession, now: datetime
) -> tuple[contract.Hop, ...]:
    account = own if credential is None else _with_secret(credential, session.person, session, now)
    return (_hop(access, account, session.asset),)


def called(query: str) -> Q:
    """Every word of it stands in the name, an address, or the name of a group that it is in."""
    meant = Q()
    of_it = GroupAsset.objects.filter(asset=OuterRef("pk"), group__retired_at=None)
    for word in query.replace("\0", "").split()[:MOST_WORDS]:
        places = ("name", "url", "host", "public_ip", "private_ip")
        by_group = Q(Exists(of_it.filter(group__name__icontains=word)))
        meant &= reduce(or_, (Q(**{f"{place}__icontains": word}) for place in places), by_group)
    return meant


def _usable(person: User, rows: QuerySet[Asset], limit: int, now: datetime) -> list[Found]:
    """The first ones that somebody has an account for."""
    found: list[Found] = []
    for start in count(0, MOST_LISTED):
        assets = list(rows[start : start + MOST_LISTED])
        accounts = authorising.accounts_of_many(person, assets, protocol=Protocol.SSH, now=now)
        by_own = authorising.by_own_of_many(person, assets, protocol=Protocol.SSH, now=now)
        all_of = [Found(one, accounts[one.pk], one.pk in by_own) for one in assets]
        found += [one for one in all_of if one.names]
        if len(found) >= limit or len(assets) < MOST_LISTED:
            break
    return found[:limit]


def _served(person: User, node: Node, now: datetime) -> QuerySet[Asset]:
    """Those that answer SSH at a known place, through this node: what stands behind one, through its own alone."""
    assets = authorising.reachable(person, protocol=Protocol.SSH, now=now)
    doors = SshAccess.objects.filter(asset=OuterRef("pk"))
    if node.customer_id is not None:
        assets = assets.filter(customer=node.customer_id)
    else:
        doors = doors.exclude(through=SshAccess.Through.NODE)
    return assets.filter(Exists(doors))


def _found(person: User, asset: Asset, now: datetime) -> Found:
    accounts = authorising.accounts_of(person, asset, protocol=Protocol.SSH, now=now)
    by_own = authorising.by_own_of_many(person, [asset], protocol=Protocol.SSH, now=now)
    return Found(asset, accounts, asset.pk in by_own)


def _one(person: User, node: Node, name: str, now: datetime) -> Found:
    """By number (#12), by name, by address; of several, the person chooses."""
    name = name.strip()
    served = _served(person, node, now)
    if name.startswith("#") and (number := row_number(name[1:])):
        meant = list(served.filter(pk=number))
    else:
        called = Q(name__iexact=name) | Q(host__iexact=name)
        if (address := _address(name)) is not None:
            called |= Q(private_ip=address) | Q(public_ip=address)
        meant = list(served.filter(called)[: MOST_CHOICES + 1]) if name else []
    if not meant:
        where = {"address": f"{settings.PUBLIC_URL}{reverse('bastion:connect')}"}
        words = _("There is no such resource, or you have no access to it. Ask for access at %(address)s.") % where
        raise DomainError(words, code="unknown_resource")
    if len(meant) > 1:
        several = meant[:MOST_CHOICES]
        groups = groups_of(several)
        accounts = authorising.accounts_of_many(person, several, protocol=Protocol.SSH, now=now)
        choices = tuple(_listed(Found(one, accounts[one.pk]), groups[one.pk]) for one in several)
        words = _("Several resources are called %(name)s: choose one by its number.") % {"name": name}
        raise NotYet(wire.No("ambiguous", words, choices=choices))
    [asset] = meant
    return _found(person, asset, now)


def _account(found: Found, name: str) -> Credential | None:
    """The one that was named, or the usual one of the person's side. None: their own."""
    meant = [one for one in found.accounts if name in ("", one.username)]
    if not meant and found.may_be_own and (not name or is_own(name)):
        return None
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
    return contract.Hop(
        id=asset.pk,
        host=access.host,
        port=access.port,
        account=account,
        host_keys=(access.host_key,) if access.host_key else (),
        trusts_first_sight=not access.host_key and host_keys.is_trusted_at_first_sight(asset.pk),
        is_doubted=host_key_alarms.is_doubted(access),
        legacy_algorithms=access.legacy_algorithms,
    )


def _listed(
    found: Found, groups: Sequence[str], *, used_at: float | None = None, is_favourite: bool = False
) -> contract.Resource:
    asset = found.asset
    return contract.Resource(
        id=asset.pk,
        name=asset.name,
        address=asset.address,
        group=", ".join(groups[:3]),
        customer=asset.customer.short_name,
        accounts=found.names,
        is_favourite=is_favourite,
        used_at=used_at,
    )


def groups_of(assets: Iterable[Asset]) -> dict[int, list[str]]:
    """The names of the groups that each of them is in, by its number."""
    found: dict[int, list[str]] = {asset.pk: [] for asset in assets}
    rows = GroupAsset.objects.filter(asset__in=list(found), group__retired_at=None).order_by("group__name")
    for asset_id, name in rows.values_list("asset_id", "group__name"):
        found[asset_id].append(name)
    return found


def used_by(person: User, assets: Iterable[Asset]) -> dict[int, float]:
    """When somebody last used which of them, by the resource's number."""
    rows = BastionSession.objects.filter(person=person, asset__in=[asset.pk for asset in assets])
    rows = rows.exclude(opened_at=None)
    last = rows.values_list("asset_id").annotate(Max("opened_at"))
    return {asset_id: at.timestamp() for asset_id, at in last}


def starred_by(person: User) -> set[int]:
    return set(Favourite.objects.filter(person=person).values_list("asset_id", flat=True))


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def offers(asset: Asset) -> tuple[tuple[str, str], ...]:
    """What is open about this resource: changes first, then incidents that touch it."""
    changes = Change.objects.filter(assets=asset).unfinished().order_by("-pk")[:MOST_OFFERS]
    touching = Q(pk__in=Incident.objects.touching(asset.pk).values("pk"))
    incidents = Incident.objects.unsolved().filter(touching).order_by("-pk")[:MOST_OFFERS]
    found = [(one.number, one.title) for one in (*changes, *incidents)]
    return tuple(found[:MOST_OFFERS])
