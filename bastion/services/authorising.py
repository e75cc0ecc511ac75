"""The one question: may this person do that, now? Asked at every connect, live view, replay, download and disconnect.

Whoever is not let in learns no more than that: a resource out of reach is unknown, whatever its name.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.numbers import row_number
from accounts.permissions import administers, can_write, is_administrator
from accounts.services import entering
from assets.models import AccountPurpose, Asset, Credential, CredentialKind, Kind, SshAccess
from bastion import access
from bastion.access import Decision, Denial, Protocol, Terms
from bastion.gateway.contract import Client, Front
from bastion.models import BastionSession, BastionSessionQuerySet, Grant, Node, SshKey
from bastion.permissions import looked_after
from bastion.services.rights import Rights
from changes.models import Change
from incidents.models import Incident

REACHED = {
    Protocol.SSH: (Kind.ECS, Kind.SERVER),
    Protocol.SFTP: (Kind.ECS, Kind.SERVER),
}
"""What each protocol leads to."""
PURPOSES = {
    True: (AccountPurpose.OPERATIONS, AccountPurpose.OTHER),
    False: (AccountPurpose.CUSTOMER, AccountPurpose.APPLICATION, AccountPurpose.OTHER),
}
"""Whose account is whose, by whether somebody is the provider's; the first one offered is the usual one (R121)."""
SHORTEST_REASON = 5
MOST_SESSIONS = 30
"""Of one person at once."""
DENIED = {
    Denial.NO_GRANT: gettext_lazy("You have no access to it."),
    Denial.ENDED: gettext_lazy("Your access to it has ended."),
    Denial.NOT_YET: gettext_lazy("Your access to it has not begun."),
    Denial.OTHER_PROTOCOL: gettext_lazy("Your access to it is not by this protocol."),
    Denial.OTHER_ACCOUNT: gettext_lazy("Your access to it is not by this account."),
    Denial.OUTSIDE_WINDOW: gettext_lazy("Your access to it is at other hours."),
    Denial.NO_CONNECT: gettext_lazy("You may not connect to it."),
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a session is for; a reason alone is not matched with anything."""

    incident: Incident | None = None
    change: Change | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """Without credential: by a name and password of the person's own."""

    asset: Asset
    credential: Credential | None
    protocol: Protocol
    work: str
    front: Front
    client: Client
    key: str = ""
    """The fingerprint of the SSH key with which the person signed in."""

    @property
    def account(self) -> str:
        return access.OWN if self.credential is None else self.credential.username


def terms(person: User, asset: Asset, *, now: datetime) -> list[Terms]:
    """What leads this person to this asset, as it is judged."""
    return Rights([person], [asset], now=now).terms(person, asset)


def decide(person: User, asset: Asset, *, account: str, protocol: Protocol, now: datetime) -> Decision:
    return access.decide(terms(person, asset, now=now), protocol=protocol, account=account, at=now)


def reachable(person: User, *, protocol: Protocol, now: datetime) -> QuerySet[Asset]:
    """What somebody may try to connect to, a window that is shut for now apart. Within their scope."""
    rows = Asset.objects.active().filter(kind__in=REACHED[protocol]).select_related("customer")
    if not can_write(person):
        return rows.none()
    if person.customer_id is not None:
        rows = rows.filter(customer=person.customer_id)
    grants = Grant.objects.in_force(now).filter(person=person)
    granted = Q(pk__in=grants.exclude(asset=None).values("asset")) | Q(
        pk__in=grants.filter(group__retired_at=None).values("group__members__asset")
    )
    if not administers(person, 0 if person.customer_id is None else person.customer_id):
        rows = rows.filter(granted)
    found: QuerySet[Asset] = rows.order_by("name", "pk")
    return found


def accounts_of(person: User, asset: Asset, *, protocol: Protocol, now: datetime) -> list[Credential]:
    """The accounts by which somebody may connect now, the usual one of their side first."""
    return accounts_of_many(person, [asset], protocol=protocol, now=now)[asset.pk]


def accounts_of_many(
    person: User, assets: Iterable[Asset], *, protocol: Protocol, now: datetime
) -> dict[int, list[Credential]]:
    """The same of several resources, by their numbers."""
    assets = list(assets)
    rights, known = Rights([person], assets, now=now), known_accounts(person, assets)
    found = {}
    for asset in assets:
        mine = known[asset.pk]
        names = [row.username for row in mine]
        leading = rights.terms(person, asset)
        usable = set(access.usable_accounts(leading, names, protocol=protocol, at=now))
        found[asset.pk] = [row for row in mine if row.username in usable]
    return found


def by_own_of_many(person: User, assets: Iterable[Asset], *, protocol: Protocol, now: datetime) -> set[int]:
    """The resources to which somebody may connect now by a name and password of their own: by their numbers."""
    assets = list(assets)
    rights = Rights([person], assets, now=now)
    return {
        asset.pk
        for asset in assets
        if access.decide(rights.terms(person, asset), protocol=protocol, account=access.OWN, at=now).is_allowed
    }


def known_accounts(person: User, assets: Iterable[Asset]) -> dict[int, list[Credential]]:
    """The accounts of each resource that are for this person's side, whether they may use them or not."""
    kinds = (CredentialKind.HOST, CredentialKind.KEY_PAIR)
    assets = list(assets)
    rows = Credential.objects.in_use().filter(asset__in=[asset.pk for asset in assets], kind__in=kinds)
    order = PURPOSES[person.is_provider]
    found: dict[int, list[Credential]] = {asset.pk: [] for asset in assets}
    for row in rows.exclude(secret_set_at=None):
        if row.purpose in order and row.asset_id is not None:
            found[row.asset_id].append(row)
    return {pk: sorted(rows, key=lambda row: (order.index(row.purpose), row.pk)) for pk, rows in found.items()}


def authorise(*, person: User, wish: Wish, node: Node, now: datetime) -> BastionSession:
    """Let one session begin: its row, with what it may do and until when, is the permission.

    Raises DomainError with a code of `Denial`, or unknown_resource, unknown_account, no_work, node. Each no is audited.
    """
    try:
        return _begin(person, wish, node, now)
    except DomainError as refusal:
        detail = {"account": wish.account, "code": refusal.code, "address": wish.client.address}
        audit.record(
            action="bastion.denied", actor=person, customer=wish.asset.customer, obj=wish.asset, detail=detail, now=now
        )
        raise


@transaction.atomic
def _begin(person: User, wish: Wish, node: Node, now: datetime) -> BastionSession:
    asset, credential = wish.asset, wish.credential
    audit.hold(asset.customer_id)
    if not person.is_active or node.state != Node.State.ENROLLED or node.is_draining:
        raise DomainError(_("This node takes no new sessions."), code="node")
    if not entering.may_enter(person, wish.client.address):
        raise DomainError(_("You may not enter from this address."), code="address")
    is_served = serves(node, asset, behind_nodes([asset])) and asset.kind in REACHED[wish.protocol]
    if not is_served or asset.retired_at is not None:
        raise DomainError(_("There is no such resource."), code="unknown_resource")
    if BastionSession.objects.filter(person=person).exclude(state=BastionSession.State.ENDED).count() >= MOST_SESSIONS:
        raise DomainError(_("You have as many sessions as one can: end some of them first."), code="too_many")
    is_other = credential is not None and credential.asset_id != asset.pk
    if is_other or (credential is not None and credential.purpose not in PURPOSES[person.is_provider]):
        raise DomainError(_("There is no such account."), code="unknown_account")
    decision = decide(person, asset, account=wish.account, protocol=wish.protocol, now=now)
    if decision.denial is not None:
        raise DomainError(str(DENIED[decision.denial]), code=decision.denial)
    work = work_of(person, asset, wish.work)
    return BastionSession.objects.create(
        customer_id=asset.customer_id,
        node=node,
        person=person,
        asset=asset,
        account=wish.account,
        protocol=wish.protocol,
        front=wish.front,
        client_address=wish.client.address,
        client_software=wish.client.software[:120],
        key_fingerprint=wish.key,
        sign_in_epoch=person.sign_in_epoch,
        actions=sorted(decision.actions),
        incident=work.incident,
        change=work.change,
        reason=work.reason,
        allowed_at=now,
        ends_at=decision.ends_at,
        forwards=sorted(decision.forwards),
    )


def behind_nodes(assets: Iterable[Asset]) -> set[int]:
    """Which of them are reached by way of a node in their customer's network: by their numbers."""
    rows = SshAccess.objects.filter(asset__in=[asset.pk for asset in assets], through=SshAccess.Through.NODE)
    return set(rows.values_list("asset_id", flat=True))


def serves(node: Node, asset: Asset, behind: Container[int]) -> bool:
    """A customer's node its customer's resources, the platform's own those that need no node in a customer's network:
    elsewhere the same address is another machine."""
    if node.customer_id is None:
        return asset.pk not in behind
    return node.customer_id == asset.customer_id


def work_of(person: User, asset: Asset, said: str) -> Work:
    """The incident or change that was named. The provider's people must name one, or write down why there is none."""
    said = " ".join(said.split())[:300]
    number = said.upper()
    incidents = Incident.objects.unsolved().filter(customer=asset.customer_id)
    if incident := incidents.filter(pk=_id_of(number, "INC-")).first():
        return Work(incident=incident)
    changes = Change.objects.filter(customer=asset.customer_id, assets=asset).unfinished()
    if change := changes.filter(pk=_id_of(number, "CHG-")).first():
        return Work(change=change)
    # What begins beside a session that runs goes on with its work, solved meanwhile or not: the files of a terminal.
    beside = (
        BastionSession.objects.joined().filter(person=person, asset=asset).exclude(state=BastionSession.State.ENDED)
    )
    known = Q(incident=_id_of(number, "INC-"), incident__isnull=False) | Q(
        change=_id_of(number, "CHG-"), change__isnull=False
    )
    if (running := beside.filter(known).first()) is not None:
        return Work(running.incident, running.change)
    if person.is_provider and (len(said) < SHORTEST_REASON or number.startswith(("INC-", "CHG-"))):
        raise DomainError(
            _("Please say what you work on: an open incident, a change of this resource, or the reason."),
            code="no_work",
        )
    return Work(reason=said)


def watchable(person: User) -> BastionSessionQuerySet:
    """The sessions that somebody may see. Within their scope."""
    rows: BastionSessionQuerySet = BastionSession.objects.all()
    if is_administrator(person):
        return rows
    return rows.filter(Q(person=person) | Q(asset__in=looked_after(person).values("asset")))


def unmatched() -> Q:
    """What the provider's people did without naming an incident or a change."""
    return Q(incident=None, change=None, person__customer=None)


def may_watch(person: User, session: BastionSession) -> bool:
    """See it live, play it back, read its commands: administrators, the group's administrators, and one's own."""
    if session.person_id == person.pk or administers(person, session.customer_id):
        return True
    return administers_a_group_of(person, session.asset_id)


def may_end(person: User, session: BastionSession) -> bool:
    """Disconnect or warn it: whoever may watch somebody else's, and one's own."""
    return may_watch(person, session)


def may_lock(person: User, session: BastionSession) -> bool:
    """And unlock it: whoever may watch somebody else's. Whoever is locked does not unlock themselves."""
    return session.person_id != person.pk and may_watch(person, session)


def still_allowed(sessions: Iterable[BastionSession], *, now: datetime) -> dict[BastionSession, Decision]:
    """What each live session may do now: asked when something has changed, and every second."""
    sessions = list(sessions)
    people = [one.person for one in sessions]
    rights, entry = Rights(people, [one.asset for one in sessions], now=now), entering.Entry(people)
    signed_in = _still_signed_in(sessions)
    return {
        session: access.decide(
            rights.terms(session.person, session.asset)
            if session.pk in signed_in and entry.may_enter(session.person, session.client_address)
            else (),
            protocol=Protocol(session.protocol),
            account=session.account,
            at=now,
        )
        for session in sessions
    }


def _still_signed_in(sessions: Iterable[BastionSession]) -> set[int]:
    """Those whose people were not signed out everywhere since, and still have the key they came with: by number."""
    begun = [one for one in sessions if one.sign_in_epoch == one.person.sign_in_epoch]
    by_key = {one.key_fingerprint for one in begun if one.key_fingerprint}
    keys = SshKey.objects.filter(fingerprint__in=by_key).values_list("person_id", "fingerprint") if by_key else ()
    known = set(keys)
    return {one.pk for one in begun if not one.key_fingerprint or (one.person_id, one.key_fingerprint) in known}


def administers_a_group_of(person: User, asset_id: int) -> bool:
    return looked_after(person).filter(asset=asset_id).exists()


def _id_of(number: str, prefix: str) -> int:
    """0, which nothing has, for what is no such number."""
    digits = number.removeprefix(prefix)
    return row_number(digits) if digits != number else 0
