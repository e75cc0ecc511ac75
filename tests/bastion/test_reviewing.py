"""A command that a rule holds runs only when somebody who administers the server has said so, in time."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from bastion import tasks
from bastion.gateway import wire
from bastion.gateway.contract import Judged, Order
from bastion.models import BastionSession, CommandReview, Node, SessionShare
from bastion.services import authorising, granting, groups, living, reviewing, ruling
from bastion.services.granting import Wanted
from bastion.services.ruling import Said
from notify.models import Delivery
from tests.bastion.conftest import CONNECT, SSH, wish_for
from tests.conftest import NOW

SOON = timedelta(seconds=10)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """The orders that go to nodes."""
    orders: list[Order] = []
    monkeypatch.setattr(living, "tell", lambda _session, order: orders.append(order))
    return orders


@pytest.fixture
def session(web: Asset, node: Node, chen: User, root: User) -> BastionSession:
    with scope.platform("test"):
        granting.grant(person=chen, to=web, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)
        return authorising.authorise(person=chen, wish=wish_for(web), node=node, now=NOW)


@pytest.fixture
def _bobs_group(jia: Customer, web: Asset, bob: User, root: User) -> None:
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)


def ask(session: BastionSession, node: Node, *, uid: str = "", **said: object) -> CommandReview:
    first: dict[str, object] = {
        "session": uid or str(session.uid),
        "command": 1,
        "text": "sudo reboot",
        "timeout_s": 300.0,
    }
    with scope.platform("test"):
        return reviewing.ask(node=node, said=wire.ForReview(**{**first, **said}), now=NOW)  # type: ignore[arg-type]


def answer(
    review: CommandReview, actor: User, *, is_allowed: bool = True, words: str = "", later: timedelta = SOON
) -> None:
    with scope.platform("test"):
        reviewing.answer(review=review, is_allowed=is_allowed, words=words, actor=actor, now=NOW + later)


@pytest.mark.usefixtures("_bobs_group")
@pytest.mark.parametrize("is_allowed", [True, False])
def test_the_answer_goes_to_the_node_that_waits(
    jia: Customer,
    session: BastionSession,
    node: Node,
    bob: User,
    alice: User,
    told: list[Order],
    is_allowed: bool,
) -> None:
    with scope.platform("test"):
        rule = ruling.create(customer=jia, said=Said("Power", "^reboot", "review"), actor=alice, now=NOW)
    told.clear()
    review = ask(session, node)
    assert (review.rule_id, review.text, review.state) == (rule.pk, "sudo reboot", "waiting")
    with scope.platform("test"):
        heard = Delivery.objects.filter(about=f"bastion.review:{review.pk}", medium="inbox")
        assert set(heard.values_list("user__name", flat=True)) == {"Bob"}
    answer(review, bob, is_allowed=is_allowed, words="after lunch")
    assert told == [Judged(1, is_allowed, "Bob", "after lunch")]
    with scope.platform("test"):
        state = "allowed" if is_allowed else "denied"
        entry = AuditEntry.objects.get(action=f"bastion.review.{state}")
        assert (entry.actor_id, entry.detail["command"]) == (bob.pk, "sudo reboot")


@pytest.mark.usefixtures("_bobs_group")
def test_nobody_lets_themselves_and_no_stranger_does(
    jia: Customer, web: Asset, session: BastionSession, node: Node, chen: User, eve: User, vera: User, root: User
) -> None:
    review = ask(session, node)
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Also", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=chen, actor=root, now=NOW)
    for nobody in (chen, eve, vera):
        with pytest.raises(PermissionDenied):
            answer(review, nobody)
    with scope.user(eve):
        assert not reviewing.seen_by(eve).exists()


def test_a_guest_who_typed_in_the_session_does_not_decide_on_its_commands(
    jia: Customer, session: BastionSession, node: Node, alice: User, chen: User
) -> None:
    review = ask(session, node)
    with scope.platform("test"):
        share = SessionShare.objects.create(
            customer=jia, session=session, guest=alice, may_type=True, invited_by=chen, invited_at=NOW
        )
        assert reviewing.may_answer(alice, review)
        SessionShare.objects.filter(pk=share.pk).update(joined_at=NOW, revoked_at=NOW)
    with pytest.raises(PermissionDenied):
        answer(review, alice)
    with scope.platform("test"):
        SessionShare.objects.filter(pk=share.pk).update(may_type=False)
    answer(review, alice)


def test_the_first_answer_counts_and_none_after_the_time(
    session: BastionSession, node: Node, alice: User, root: User, told: list[Order]
) -> None:
    review = ask(session, node)
    answer(review, alice, is_allowed=False)
    with pytest.raises(DomainError):
        answer(review, root)
    late = ask(session, node, command=2)
    assert late.until < NOW + timedelta(seconds=300), "the page closes before the node gives up"
    with pytest.raises(DomainError):
        answer(late, alice, later=timedelta(seconds=300))
    assert told == [Judged(1, False, "Alice", "")]


def test_what_nobody_answered_lapses_in_time_and_with_its_session(
    session: BastionSession, node: Node, alice: User
) -> None:
    ask(session, node)
    with scope.platform("test"):
        reviewing.settle_late(now=NOW + SOON)
        assert CommandReview.objects.get().state == "waiting"
        BastionSession.objects.update(state="ended", ended_at=NOW, ending="exit")
        reviewing.settle_late(now=NOW + SOON)
        assert CommandReview.objects.get().state == "lapsed"
        BastionSession.objects.update(state="open", ended_at=None, ending="")
    ask(session, node, command=2)
    tasks.sweep()
    with scope.platform("test"):
        assert not CommandReview.objects.waiting().exists()


def test_a_node_asks_once_about_its_own_running_sessions(session: BastionSession, node: Node, root: User) -> None:
    assert ask(session, node).pk == ask(session, node, text="other").pk
    with scope.platform("test"):
        other = Node.objects.create(
            name="two", state="enrolled", public_key="k2", created_by=root, created_at=NOW, enrolled_at=NOW
        )
    for unknown in ("x", str(uuid.uuid4())):
        with pytest.raises(DomainError):
            ask(session, node, uid=unknown)
    with pytest.raises(DomainError):
        ask(session, other)
    with scope.platform("test"):
        BastionSession.objects.update(state="ended", ended_at=NOW, ending="exit")
    with pytest.raises(DomainError):
        ask(session, node, command=3)


@pytest.mark.parametrize("text", ["a\0b", "x" * 200_000, ""])
def test_any_text_is_kept_as_far_as_it_goes(session: BastionSession, node: Node, text: str) -> None:
    assert "\0" not in ask(session, node, text=text, timeout_s=1e12).text
