"""Which sessions are known to run: what a node says of them, and what becomes of those of which it says nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from accounts import scope
from accounts.models import User
from assets.models import Asset
from bastion.gateway.contract import Fact
from bastion.models import BastionSession, Node
from bastion.models.sessions import LEASE
from bastion.services import authorising, facts, living
from tests.bastion.conftest import wish_for
from tests.conftest import NOW

SECOND = timedelta(seconds=1)


@pytest.fixture
def session(web: Asset, node: Node, root: User) -> BastionSession:
    with scope.platform("test"):
        return authorising.authorise(person=root, wish=wish_for(web), node=node, now=NOW)


def begin(session: BastionSession, node: Node) -> None:
    fact = Fact(session.uid.hex, 1, NOW.timestamp(), "opened", {})
    with scope.platform("test"):
        facts.take(node=node, told=[fact], now=NOW)


def beat(session: BastionSession, node: Node, at: datetime) -> None:
    with scope.platform("test"):
        living.beat(node=node, sessions=[str(session.uid)], load={}, now=at)


def swept(session: BastionSession, at: datetime) -> tuple[str, str]:
    with scope.platform("test"):
        living.sweep(now=at)
        session.refresh_from_db()
    return session.state, session.ending


def test_one_of_a_silent_node_is_unknown_and_after_an_hour_over(session: BastionSession, node: Node) -> None:
    begin(session, node)
    assert swept(session, NOW + LEASE) == ("open", "")
    lost = NOW + LEASE + SECOND
    assert swept(session, lost) == ("unknown", "")
    assert swept(session, NOW + LEASE + living.SILENT_AFTER) == ("unknown", "")
    over = NOW + LEASE + living.SILENT_AFTER + SECOND
    assert swept(session, over) == ("ended", "silent")
    assert session.ended_at == over


def test_one_that_its_node_carries_goes_on(session: BastionSession, node: Node) -> None:
    begin(session, node)
    beat(session, node, NOW + LEASE)
    assert swept(session, NOW + 2 * LEASE) == ("open", "")


def test_one_of_which_its_node_speaks_again_is_back(session: BastionSession, node: Node) -> None:
    begin(session, node)
    away = NOW + living.SILENT_AFTER
    assert swept(session, away) == ("unknown", "")
    beat(session, node, away)
    assert swept(session, away + LEASE) == ("open", "")


def test_one_that_is_over_stays_over(session: BastionSession, node: Node) -> None:
    begin(session, node)
    away = NOW + 2 * living.SILENT_AFTER
    swept(session, away)
    assert swept(session, away) == ("ended", "silent")
    beat(session, node, away + SECOND)
    assert swept(session, away + 2 * SECOND) == ("ended", "silent")
    assert session.leased_until == NOW + LEASE


def test_one_that_is_allowed_and_never_taken_up_is_over_after_two_minutes(session: BastionSession) -> None:
    assert swept(session, NOW + living.UNUSED_AFTER) == ("allowed", "")
    assert swept(session, NOW + living.UNUSED_AFTER + SECOND) == ("ended", "unused")


def test_one_whose_node_died_before_it_began_is_over_after_an_hour(session: BastionSession, node: Node) -> None:
    beat(session, node, NOW)
    assert swept(session, NOW + LEASE + living.SILENT_AFTER) == ("allowed", "")
    assert swept(session, NOW + LEASE + living.SILENT_AFTER + SECOND) == ("ended", "silent")


def test_another_node_says_nothing_of_it(session: BastionSession, node: Node, root: User) -> None:
    with scope.platform("test"):
        other = Node.objects.create(
            name="two", state=Node.State.ENROLLED, public_key="o", created_by=root, created_at=NOW, enrolled_at=NOW
        )
    begin(session, node)
    beat(session, other, NOW + LEASE)
    assert swept(session, NOW + LEASE + SECOND) == ("unknown", "")
