"""What is taken back reaches a running session at once, whatever it was that let the person in; so do other terms."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from channels.layers import get_channel_layer

from accounts import scope
from accounts.models import Customer, Role, User
from accounts.services import customers, people
from assets.models import Asset
from bastion import tasks
from bastion.gateway import wire
from bastion.gateway.contract import Action, End, NewTerms, Order
from bastion.models import BastionSession, CommandRule, Grant, Node, ResourceGroup
from bastion.services import authorising, granting, groups, living, ruling
from bastion.services.granting import Wanted
from bastion.services.ruling import Said
from tests.bastion.conftest import CONNECT, SSH, wish_for
from tests.conftest import NOW

HOUR = timedelta(hours=1)


@pytest.fixture
def told(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> Callable[[Callable[[], object]], list[Order]]:
    """The orders that go to nodes when something is done and committed."""
    heard: list[dict[str, Any]] = []

    async def group_send(_group: str, message: dict[str, Any]) -> None:
        heard.append(message)

    monkeypatch.setattr(get_channel_layer(), "group_send", group_send)

    def after(act: Callable[[], object]) -> list[Order]:
        heard.clear()
        with scope.platform("test"), django_capture_on_commit_callbacks(execute=True):
            act()
        return [wire.order_from(one["said"]) for one in heard if one["type"] == "node.said"]

    return after


@pytest.fixture
def group(jia: Customer, web: Asset, root: User) -> ResourceGroup:
    with scope.platform("test"):
        made = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=made, assets=[web], actor=root, now=NOW)
    return made


@pytest.fixture
def session(web: Asset, group: ResourceGroup, node: Node, chen: User, root: User) -> BastionSession:
    """Chen's, let in by the group."""
    with scope.platform("test"):
        granting.grant(person=chen, to=group, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)
        made = authorising.authorise(person=chen, wish=wish_for(web), node=node, now=NOW)
        BastionSession.objects.filter(pk=made.pk).update(state="open", opened_at=NOW, leased_until=NOW + HOUR)
        made.refresh_from_db()
    return made


ENDINGS: dict[str, Callable[..., object]] = {
    "the grant ends": lambda root, group, **_: granting.end(grant=Grant.objects.get(), actor=root, now=NOW),
    "the resource leaves the group": lambda root, group, web, **_: groups.remove(
        group=group, assets=[web], actor=root, now=NOW
    ),
    "the group is retired": lambda root, group, **_: groups.retire(group=group, actor=root, now=NOW),
    "the engineer works for the customer no more": lambda root, jia, chen, **_: customers.unassign(
        customer=jia, engineer=chen, actor=root, now=NOW
    ),
    "the person is shut out": lambda root, chen, **_: people.change(person=chen, actor=root, now=NOW, is_active=False),
    "the resource is retired": lambda web, **_: Asset.objects.filter(pk=web.pk).update(retired_at=NOW),
}


@pytest.mark.parametrize("what", ENDINGS)
def test_whatever_let_somebody_in_ends_their_session_when_it_ends(
    told: Callable[[Callable[[], object]], list[Order]],
    session: BastionSession,
    jia: Customer,
    group: ResourceGroup,
    web: Asset,
    chen: User,
    root: User,
    what: str,
) -> None:
    def end() -> None:
        ENDINGS[what](root=root, group=group, web=web, chen=chen, jia=jia)
        tasks.watch_rights()  # every second

    assert told(end) == [End("revoked")]


def test_who_is_no_administrator_any_more_is_cut_off(
    told: Callable[[Callable[[], object]], list[Order]], web: Asset, node: Node, root: User, lin: User
) -> None:
    with scope.platform("test"):
        User.objects.filter(pk=lin.pk).update(role=Role.ADMIN)
        lin.refresh_from_db()
        authorising.authorise(person=lin, wish=wish_for(web), node=node, now=NOW)
    assert told(tasks.watch_rights) == []
    with scope.platform("test"):
        people.change(person=lin, actor=root, now=NOW, role=Role.MANAGER)
    assert told(tasks.watch_rights) == [End("revoked")]
    assert told(tasks.watch_rights) == [], "once is enough for some seconds"


def test_nothing_is_said_while_nothing_has_changed(
    told: Callable[[Callable[[], object]], list[Order]], session: BastionSession
) -> None:
    assert told(lambda: living.ask_again(now=NOW)) == []


def test_a_second_way_in_keeps_the_session(
    told: Callable[[Callable[[], object]], list[Order]],
    session: BastionSession,
    web: Asset,
    group: ResourceGroup,
    chen: User,
    root: User,
) -> None:
    with scope.platform("test"):
        granting.grant(person=chen, to=web, wanted=Wanted(CONNECT, SSH, until=NOW + HOUR), actor=root, now=NOW)
    [order] = told(lambda: groups.remove(group=group, assets=[web], actor=root, now=NOW))
    assert isinstance(order, NewTerms)
    assert order.access.limits.ends_at == (NOW + HOUR).timestamp()


def test_other_terms_reach_the_session_without_the_way_and_the_secret(
    told: Callable[[Callable[[], object]], list[Order]], session: BastionSession, root: User
) -> None:
    wanted = Wanted(
        frozenset({Action.CONNECT, Action.FORWARD}), SSH, until=NOW + HOUR / 4, forwards=("10.0.0.0/8:3306",)
    )
    with scope.platform("test"):
        [old] = Grant.objects.all()
    [order] = told(lambda: granting.replace(grant=old, wanted=wanted, actor=root, now=NOW))
    assert isinstance(order, NewTerms)
    access = order.access
    assert (access.hops, access.forwards) == ((), ("10.0.0.0/8:3306",))
    assert access.actions == wanted.actions
    assert access.limits.ends_at == (NOW + HOUR / 4).timestamp()
    with scope.platform("test"):
        session.refresh_from_db()
        assert session.ends_at == NOW + HOUR / 4
        old.refresh_from_db()
        assert old.ended_at == NOW


def test_shorter_hours_reach_the_session(
    told: Callable[[Callable[[], object]], list[Order]], session: BastionSession, root: User
) -> None:
    """It is Monday, ten in the morning in Shanghai."""
    until_noon = Wanted(CONNECT, SSH, windows=[{"days": [0], "from": "09:00", "to": "12:00"}])
    with scope.platform("test"):
        [old] = Grant.objects.all()
    [order] = told(lambda: granting.replace(grant=old, wanted=until_noon, actor=root, now=NOW))
    assert isinstance(order, NewTerms)
    assert order.access.limits.ends_at == (NOW + 2 * HOUR).timestamp()
    with scope.platform("test"):
        [old] = Grant.objects.filter(ended_at=None)
    tuesdays = Wanted(CONNECT, SSH, windows=[{"days": [1], "from": "09:00", "to": "12:00"}])
    assert told(lambda: granting.replace(grant=old, wanted=tuesdays, actor=root, now=NOW)) == [End("revoked")]


def test_fewer_destinations_reach_the_session(
    told: Callable[[Callable[[], object]], list[Order]], web: Asset, node: Node, chen: User, root: User
) -> None:
    """Of two grants with the same actions and no end, the wider one ends."""
    forward = frozenset({Action.CONNECT, Action.FORWARD})
    with scope.platform("test"):
        for forwards in (("*:*",), ("10.0.0.9:3306",)):
            granting.grant(person=chen, to=web, wanted=Wanted(forward, SSH, forwards=forwards), actor=root, now=NOW)
        authorising.authorise(person=chen, wish=wish_for(web), node=node, now=NOW)
        [wide] = [grant for grant in Grant.objects.all() if list(grant.forwards) == ["*:*"]]
    assert told(tasks.watch_rights) == []
    [order] = told(lambda: granting.end(grant=wide, actor=root, now=NOW))
    assert isinstance(order, NewTerms)
    assert order.access.forwards == ("10.0.0.9:3306",)
    assert told(tasks.watch_rights) == [], "said once"


def test_a_time_that_is_over_is_said_as_that(
    told: Callable[[Callable[[], object]], list[Order]], session: BastionSession
) -> None:
    with scope.platform("test"):
        Grant.objects.update(until=NOW + HOUR)
    assert isinstance(told(lambda: living.ask_again(now=NOW))[0], NewTerms)
    assert told(lambda: living.ask_again(now=NOW + HOUR)) == [End("window")]


def test_a_changed_rule_reaches_the_session(
    told: Callable[[Callable[[], object]], list[Order]], session: BastionSession, jia: Customer, root: User
) -> None:
    said = Said("No reboot", "^reboot", "deny")
    [order] = told(lambda: ruling.create(customer=jia, said=said, actor=root, now=NOW))
    assert isinstance(order, NewTerms)
    assert [rule.pattern for rule in order.access.rules] == ["^reboot"]
    with scope.platform("test"):
        rule = CommandRule.objects.joined().get()
    [order] = told(lambda: ruling.switch(rule=rule, is_on=False, actor=root, now=NOW))
    assert isinstance(order, NewTerms)
    assert order.access.rules == ()


def test_a_customers_session_is_no_other_customers_business(
    told: Callable[[Callable[[], object]], list[Order]], session: BastionSession, yi: Customer, root: User
) -> None:
    said = Said("No reboot", "^reboot", "deny")
    assert told(lambda: ruling.create(customer=yi, said=said, actor=root, now=NOW)) == []
