"""What somebody may reach now and how they get there with a client of their own."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, F, Max, OrderBy, OuterRef, Q, QuerySet, Subquery

from accounts.models import User
from assets import keypairs
from assets.models import Asset, Credential, SshAccess
from bastion import access
from bastion.access import Decision, Protocol
from bastion.gateway.contract import Action
from bastion.gateway.ssh.names import WORD
from bastion.models import BastionSession, Favourite, Node
from bastion.services import authorising
from bastion.services.rights import Rights

MINE_FIRST: Final[tuple[str | OrderBy, ...]] = ("-is_favourite", F("used_at").desc(nulls_last=True), "name", "pk")
"""Of rows that are `marked`: favourites, then what was used last."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A resource as it stands open to one person now."""

    asset: Asset
    accounts: list[Credential]
    """Those by which they may connect now, the usual one first, each name once."""
    decision: Decision
    """Of the usual account, whether it says yes or no; of their own where there is no other."""
    has_way: bool
    """Somebody has written down where it answers SSH."""
    may_be_own: bool = False
    """By a name and password that the person types."""

    @property
    def is_open(self) -> bool:
        return (bool(self.accounts) or self.may_be_own) and self.has_way

    @property
    def actions(self) -> list[Action]:
        return [action for action in Action if action in self.decision.actions]

    @property
    def words(self) -> str:
        """Why not."""
        return "" if self.decision.denial is None else str(authorising.DENIED[self.decision.denial])


@dataclass(frozen=True, slots=True)
class Gateway:
    """A node as clients find it."""

    node: Node
    fingerprints: list[tuple[str, str]]
    """Kind of key and fingerprint, as OpenSSH shows them at the first connection."""

    def line(self, user: str) -> str:
        return self._line("ssh", "-p", shlex.quote(f"{user}@{self.node.ssh_host}"))

    def sftp(self, user: str) -> str:
        return self._line("sftp", "-P", shlex.quote(f"{user}@{self.node.ssh_host}"))

    def _line(self, program: str, option: str, place: str) -> str:
        port = "" if self.node.public_port == 22 else f"{option} {self.node.public_port} "
        return f"{program} {port}{place}"


def reachable(person: User, *, now: datetime) -> QuerySet[Asset]:
    """By SSH, as `marked`. Within their scope."""
    return marked(authorising.reachable(person, protocol=Protocol.SSH, now=now), person)


def marked(rows: QuerySet[Asset], person: User) -> QuerySet[Asset]:
    """With `is_favourite` and `used_at`, when this person last did."""
    starred = Favourite.objects.filter(person=person, asset=OuterRef("pk"))
    used = BastionSession.objects.filter(person=person, asset=OuterRef("pk")).exclude(opened_at=None)
    last = used.order_by().values("asset").annotate(last=Max("opened_at")).values("last")
    return rows.annotate(is_favourite=Exists(starred), used_at=Subquery(last))


def offers(person: User, assets: Iterable[Asset], *, now: datetime) -> list[Offer]:
    assets = list(assets)
    known, rights = authorising.known_accounts(person, assets), Rights([person], assets, now=now)
    ways = set(SshAccess.objects.filter(asset__in=[one.pk for one in assets]).values_list("asset_id", flat=True))
    found = []
    for asset in assets:
        by_name = {row.username: row for row in reversed(known[asset.pk])}
        terms, mine = rights.terms(person, asset), [row for row in known[asset.pk] if by_name[row.username] is row]
        judged = [(one, _judged(terms, one.username, now)) for one in mine]
        usable = [one for one, decision in judged if decision.is_allowed]
        first = next((decision for _one, decision in judged if decision.is_allowed), None)
        own = _judged(terms, access.OWN, now)
        if first is None and own.is_allowed:
            first = own
        decision = first or (judged[0][1] if judged else _judged(terms, "", now))
        found.append(Offer(asset, usable, decision, asset.pk in ways, own.is_allowed))
    return found


def gateways(asset: Asset, *, now: datetime) -> list[Gateway]:
    """The nodes that let somebody in to it now; the customer's own first."""
    rows = Node.objects.filter(Q(customer=asset.customer_id) | Q(customer=None), state=Node.State.ENROLLED)
    behind = authorising.behind_nodes([asset])
    serving = [node for node in rows.exclude(ssh_host="") if authorising.serves(node, asset, behind)]
    found = [node for node in serving if not node.is_draining and not node.is_silent(now)]
    found.sort(key=lambda node: (node.customer_id is None, node.name))
    return [Gateway(node, fingerprints(node)) for node in found]


def fingerprints(node: Node) -> list[tuple[str, str]]:
    """Kind and SHA-256 of each host key, as OpenSSH shows them; what is no key is left out."""
    found = []
    for key in node.host_keys:
        with contextlib.suppress(keypairs.NotAKey):
            found.append((_kind(str(key)), keypairs.fingerprint(str(key))))
    return found


def user_name(person: User, asset: Asset, account: str = "") -> str:
    """What stands before the gateway in an SSH command; empty when neither name nor address can be said there."""
    place = next((text for text in (asset.name, asset.address) if WORD.fullmatch(text)), "")
    if not place:
        return ""
    return f"{person.email}@{account}@{place}" if account else f"{person.email}#{place}"


@transaction.atomic
def star(*, person: User, asset: Asset, is_on: bool, now: datetime) -> None:
    """One's own mark: it comes first in one's lists and in the menu of the SSH door."""
    if is_on:
        Favourite.objects.get_or_create(
            person=person, asset=asset, defaults={"customer_id": asset.customer_id, "starred_at": now}
        )
    else:
        Favourite.objects.filter(person=person, asset=asset).delete()


def _judged(terms: list[access.Terms], account: str, now: datetime) -> Decision:
    return access.decide(terms, protocol=Protocol.SSH, account=account, at=now)


def _kind(public_key: str) -> str:
    kind = (public_key.split() or [""])[0]
    return {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA"}.get(kind, "ECDSA" if kind.startswith("ecdsa") else kind)
