"""Invitations to a web terminal: judged anew whenever they are used, and typing is for who owns the account."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import User
from assets.models import Asset
from bastion.gateway.contract import Action, Front
from bastion.models import BastionSession, Grant, Node, SessionShare
from bastion.services import authorising, granting, web_terminal
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
