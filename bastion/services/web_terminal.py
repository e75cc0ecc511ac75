"""What a browser asks of the bastion: to connect, to come back, to look at files, to invite and to be a guest.

The node itself asks for the session with the person's token, as for an SSH client: rights are decided in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import User
from assets.models import Asset, SshAccess
from bastion.access import OWN, Decision, Protocol
from bastion.gateway import contract
from bastion.gateway.contract import Action, Client, Front, Purpose, WebFiles, WebGuest, WebReturn, WebTerminal
from bastion.models import BastionSession, Node, SessionShare
from bastion.services import authorising, letting_in, signing_in, streams
from bastion.services.regimes import Regime, regimes_of

MOST_LISTED: Final = 50
MOST_SHARES: Final = 8
LONGEST_WORK: Final = 300


@dataclass(frozen=True, slots=True)
class Opening:
    """What has to be said before somebody connects. `offers`: number and title of what is open about the resource."""

    asset: Asset
    accounts: list[str]
    needs_work: bool
    offers: tuple[tuple[str, str], ...]
    regime: Regime


@dataclass(frozen=True, slots=True)
class Wanted:
    """By a browser. `account` may be empty: the usual one."""

    asset_id: int
    account: str
    work: str
    cols: int = 80
    rows: int = 24


def resources(person: User, *, query: str, now: datetime) -> list[Asset]:
    """What somebody may connect to from a browser now, by words of its name or address."""
    assets = authorising.reachable(person, protocol=Protocol.SSH, now=now).filter(letting_in.called(query))
    doors = SshAccess.objects.filter(asset=OuterRef("pk"))
    return list(assets.filter(Exists(doors)).defer("details")[:MOST_LISTED])


def reaches(person: User, *, asset_id: int, now: datetime) -> bool:
    """Whether it is worth offering a terminal on it."""
    try:
        return bool(opening(person, asset_id=asset_id, now=now).accounts)
    except DomainError:
        return False


def opening(person: User, *, asset_id: int, now: datetime) -> Opening:
    """Raises DomainError("unknown_resource")."""
    asset = _asset(person, asset_id, now)
    accounts = authorising.accounts_of(person, asset, protocol=Protocol.SSH, now=now)
    names = list(dict.fromkeys(one.username for one in accounts))
    if authorising.by_own_of_many(person, [asset], protocol=Protocol.SSH, now=now):
        names.append(OWN)
    offers = letting_in.offers(asset) if person.is_provider else ()
    return Opening(asset, names, person.is_provider, offers, regimes_of([asset])[asset.pk])


def _at_the_page(person: User, node: Node) -> contract.Person:
    """Who reads what the node says beside what the page says."""
    return signing_in.as_person(person, node, language=get_language() or "")


def to_connect(person: User, *, wanted: Wanted, client: Client, now: datetime) -> tuple[Node, Purpose]:
    """Raises DomainError: unknown_resource, node_silent."""
    asset = _asset(person, wanted.asset_id, now)
    node = streams.node_for(asset, now=now)
    who, work = _at_the_page(person, node), wanted.work[:LONGEST_WORK]
    return node, WebTerminal(who, client, f"#{asset.pk}", wanted.account, work, wanted.cols, wanted.rows)


def to_see_files(person: User, *, session_id: str, client: Client) -> tuple[Node, Purpose]:
    """Beside a session of one's own: the same server, account and work. Raises DomainError("no_session")."""
    session = own_session(person, session_id=session_id)
    who = _at_the_page(person, session.node)
    return session.node, WebFiles(who, client, f"#{session.asset_id}", session.account, session.work)


def to_return(person: User, *, session_id: str) -> tuple[Node, Purpose]:
    """Raises DomainError("no_session") for one that is over, or another's."""
    session = own_session(person, session_id=session_id)
    return session.node, WebReturn(_at_the_page(person, session.node), str(session.uid))


@transaction.atomic
def to_visit(person: User, *, share_id: int, now: datetime) -> tuple[Node, WebGuest]:
    """With what the guest may do by themselves. Raises DomainError("no_share")."""
    share = invitation(person, share_id=share_id, now=now)
    if share.joined_at is None:
        share.joined_at = now
        share.save(update_fields=["joined_at"])
    session = share.session
    detail = {"share": share.pk, "may_type": share.may_type, "work": session.work}
    audit.record(
        action="bastion.session.join", actor=person, customer=session.customer, obj=session, detail=detail, now=now
    )
    return session.node, WebGuest(
        _at_the_page(person, session.node), str(session.uid), share.may_type, guest_actions(person, session, now=now)
    )


def own_session(person: User, *, session_id: str) -> BastionSession:
    """One's own that runs in a browser. Raises DomainError("no_session")."""
    rows = BastionSession.objects.joined().exclude(state=BastionSession.State.ENDED)
    found: BastionSession | None = rows.called(session_id).filter(person=person, front=Front.WEB).first()
    if found is None:
        raise DomainError(_("This session is over."), code="no_session")
    return found


def invitation(person: User, *, share_id: int, now: datetime) -> SessionShare:
    """One's own that is in force, while its host may share and one may follow. Raises DomainError("no_share")."""
    rows = SessionShare.objects.in_force().select_related(
        "session__customer", "session__node", "session__asset__customer", "session__incident", "session__change"
    )
    share: SessionShare | None = rows.filter(pk=share_id, guest=person).first()
    is_shared = share is not None and Action.SHARE in share.session.actions
    if share is None or not is_shared or not _may_be_guest(person, share.session, may_type=share.may_type, now=now):
        raise DomainError(_("This invitation does not hold any more."), code="no_share")
    return share


def shares(session: BastionSession) -> list[SessionShare]:
    return list(SessionShare.objects.in_force().filter(session=session).select_related("guest"))


@transaction.atomic
def share(*, session: BastionSession, email: str, may_type: bool, actor: User, now: datetime) -> SessionShare:
    """Raises DomainError: no_share, no_guest, too_many."""
    audit.hold(session.customer_id)
    if session.person_id != actor.pk or Action.SHARE not in session.actions:
        raise DomainError(_("You may not share this session."), code="no_share")
    if SessionShare.objects.in_force().filter(session=session).count() >= MOST_SHARES:
        raise DomainError(_("This session has as many guests as it can."), code="too_many")
    with scope.platform("somebody is invited to a session"):
        guest = User.objects.select_related("customer").filter(email__iexact=email.strip(), is_active=True).first()
        is_welcome = guest is not None and guest != actor and _may_be_guest(guest, session, may_type=may_type, now=now)
    if guest is None or not is_welcome:
        raise DomainError(_("Nobody of this address may follow this session."), code="no_guest")
    made: SessionShare | None = SessionShare.objects.in_force().filter(session=session, guest=guest).first()
    if made is not None and made.may_type != may_type:
        unshare(share=made, actor=actor, now=now)
        made = None
    if made is None:
        made = SessionShare.objects.create(
            customer_id=session.customer_id,
            session=session,
            guest=guest,
            may_type=may_type,
            invited_by=actor,
            invited_at=now,
        )
        _note("bastion.session.share", made, actor, now)
    return made


@transaction.atomic
def unshare(*, share: SessionShare, actor: User, now: datetime) -> None:
    """The guest is out within seconds."""
    share.revoked_at = now
    share.save(update_fields=["revoked_at"])
    _note("bastion.session.unshare", share, actor, now)


def _note(action: str, share: SessionShare, actor: User, now: datetime) -> None:
    detail = {"guest": share.guest_id, "may_type": share.may_type}
    session = share.session
    audit.record(action=action, actor=actor, customer=session.customer, obj=session, detail=detail, now=now)


def _may_be_guest(guest: User, session: BastionSession, *, may_type: bool, now: datetime) -> bool:
    """To look on: who may watch the session, or could connect as well. To type: who could connect, by this account.

    Nobody comes in as a guest whom somebody would have to let in, and who types for the provider types for the work
    that the session names.
    """
    reach = scope.of(guest)
    if reach.customer_ids is not None and session.customer_id not in reach.customer_ids:
        return False
    with scope.entered(reach):
        theirs = {row.username for row in authorising.known_accounts(guest, [session.asset])[session.asset_id]}
        if may_type and (session.account not in theirs or (guest.is_provider and not session.work)):
            return False
        decision = _decision(guest, session, now)
        may_connect = decision.is_allowed and not decision.needs_consent
        return may_connect or (not may_type and authorising.may_watch(guest, session))


def guest_actions(guest: User, session: BastionSession, *, now: datetime) -> frozenset[Action]:
    """What they may do by their own right: of somebody who only looks on, nothing more than that."""
    with scope.user(guest):
        return _decision(guest, session, now).actions


def _decision(guest: User, session: BastionSession, now: datetime) -> Decision:
    return authorising.decide(
        guest, session.asset, account=session.account, protocol=Protocol(session.protocol), now=now
    )


def _asset(person: User, asset_id: int, now: datetime) -> Asset:
    asset = authorising.reachable(person, protocol=Protocol.SSH, now=now).filter(pk=asset_id).first()
    if asset is None or not SshAccess.objects.filter(asset=asset).exists():
        raise DomainError(_("There is no such resource, or you have no access to it."), code="unknown_resource")
    return asset
