"""Invitations to a web terminal: judged anew whenever they are used, and typing is for who owns the account."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, User
from assets.models import Asset
from bastion.gateway.contract import Action, Fact, Front
from bastion.models import BastionSession, Grant, Node, SessionCommand, SessionShare
from bastion.services import authorising, facts, granting, searching, web_terminal
from bastion.services.granting import Wanted
from tests.bastion.conftest import CONNECT, SSH, wish_for
from tests.conftest import NOW

HOUR = timedelta(hours=1)


@pytest.fixture
def session(web: Asset, node: Node, chen: User, root: User) -> BastionSession:
    """The provider's, by the provider's account."""
    with scope.platform("test"):
        may = Wanted(frozenset({Action.CONNECT, Action.SHARE}), SSH)
        granting.grant(person=chen, to=web, wanted=may, actor=root, now=NOW)
        return authorising.authorise(person=chen, wish=wish_for(web, front=Front.WEB), node=node, now=NOW)


def share(session: BastionSession, guest: User, *, may_type: bool) -> SessionShare:
    with scope.platform("test"):
        actor = session.person
        return web_terminal.share(session=session, email=guest.email, may_type=may_type, actor=actor, now=NOW)


def test_only_who_owns_the_account_types_with_it(session: BastionSession, alice: User, root: User) -> None:
    with pytest.raises(DomainError) as refusal:
        share(session, alice, may_type=True)  # she administers the server, but the account is the provider's
    assert refusal.value.code == "no_guest"
    assert not share(session, alice, may_type=False).may_type
    assert share(session, root, may_type=True).may_type


def test_nobody_is_a_guest_whom_somebody_would_have_to_let_in(
    session: BastionSession, web: Asset, lin: User, root: User
) -> None:
    with scope.platform("test"):
        wanted = Wanted(CONNECT, SSH, needs_consent=True)
        granting.grant(person=lin, to=web, wanted=wanted, actor=root, now=NOW)
    for may_type in (True, False):
        with pytest.raises(DomainError):
            share(session, lin, may_type=may_type)


def test_a_guest_of_the_providers_types_for_a_work_that_is_named(session: BastionSession, root: User) -> None:
    with scope.platform("test"):
        BastionSession.objects.update(reason="")
        session.refresh_from_db()
    with pytest.raises(DomainError):
        share(session, root, may_type=True)
    assert not share(session, root, may_type=False).may_type
    with scope.platform("test"):
        BastionSession.objects.update(reason="look at the disk")
        session.refresh_from_db()
        share(session, root, may_type=True)
        made = SessionShare.objects.get(revoked_at=None)
        web_terminal.to_visit(root, share_id=made.pk, now=NOW)
        assert AuditEntry.objects.get(action="bastion.session.join").detail["work"] == "look at the disk"


def test_a_guest_brings_their_own_rights(
    session: BastionSession, web: Asset, lin: User, alice: User, root: User
) -> None:
    with scope.platform("test"):
        wanted = Wanted(frozenset({Action.CONNECT, Action.COPY}), SSH)
        granting.grant(person=lin, to=web, wanted=wanted, actor=root, now=NOW)
    made = share(session, lin, may_type=True)
    with scope.platform("test"):
        _node, purpose = web_terminal.to_visit(lin, share_id=made.pk, now=NOW)
    assert purpose.actions == {Action.CONNECT, Action.COPY}


def test_what_a_guest_enters_bears_their_name(
    session: BastionSession, node: Node, root: User, alice: User, lin: User
) -> None:
    """The node says who it was; it is believed of guests who could type and were there."""
    typing, looking = share(session, root, may_type=True), share(session, alice, may_type=False)
    with scope.platform("test"):
        for guest, made in ((root, typing), (alice, looking)):
            web_terminal.to_visit(guest, share_id=made.pk, now=NOW)
        said: tuple[dict[str, object], ...] = (
            {},
            {"by": root.pk},
            {"by": alice.pk},
            {"by": lin.pk},
            {"by": "x"},
            {"by": 2**40},
        )
        told = [
            Fact(str(session.uid), number, NOW.timestamp(), "command", {"text": f"id {number}", "at_s": 1.0, **more})
            for number, more in enumerate(said, start=1)
        ]
        assert facts.take(node=node, told=told, now=NOW) == {str(session.uid): len(said)}
        people = list(SessionCommand.objects.order_by("number").values_list("person_id", flat=True))
        assert people == [session.person_id, root.pk, *[session.person_id] * 4]
        hosts = searching.commands(session.person, "id 2")
        assert [one.person_id for one in hosts] == [root.pk], "it went through their session"


def test_an_invitation_holds_as_long_as_the_guests_own_right(
    session: BastionSession, web: Asset, lin: User, root: User
) -> None:
    with scope.platform("test"):
        wanted = Wanted(CONNECT, SSH, until=NOW + HOUR)
        granting.grant(person=lin, to=web, wanted=wanted, actor=root, now=NOW)
    made = share(session, lin, may_type=True)
    with scope.platform("test"):
        assert web_terminal.invitation(lin, share_id=made.pk, now=NOW) == made
        with pytest.raises(DomainError) as refusal:
            web_terminal.invitation(lin, share_id=made.pk, now=NOW + HOUR)
    assert refusal.value.code == "no_share"


def test_an_invitation_holds_as_long_as_its_host_may_share(
    session: BastionSession, web: Asset, chen: User, root: User, alice: User
) -> None:
    made = share(session, alice, may_type=False)
    with scope.platform("test"):
        assert web_terminal.invitation(alice, share_id=made.pk, now=NOW) == made
        granting.replace(grant=Grant.objects.get(person=chen), wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)
        with pytest.raises(DomainError) as refusal:
            web_terminal.invitation(alice, share_id=made.pk, now=NOW)
    assert refusal.value.code == "no_share"


def test_a_session_is_named_by_the_time_that_people_read(session: BastionSession) -> None:
    assert str(session) == "trops@web-01 2026-03-02 10:00:00"
