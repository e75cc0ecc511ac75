"""Access for some hours: asked, decided by whoever looks after the server, ended by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from bastion import tasks
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.models import AccessRequest, Grant, ResourceGroup
from bastion.services import authorising, groups, requesting
from bastion.services.requesting import Asked
from notify.models import Delivery
from tests.bastion.conftest import server
from tests.conftest import NOW, ClientFor
from timers.models import Timer

HOUR = timedelta(hours=1)
NEED = Asked("trops", 60, "the disk is full")


def ask(person: User, asset: Asset, asked: Asked = NEED) -> AccessRequest:
    with scope.platform("test"):
        return requesting.ask(person=person, asset=asset, asked=asked, now=NOW)


def told(about: AccessRequest) -> set[str]:
    """To whom a message about it went, in the app."""
    with scope.platform("test"):
        rows = Delivery.objects.filter(about=f"bastion.request:{about.pk}", medium="inbox")
        return set(rows.values_list("user__name", flat=True))


@pytest.fixture
def _bobs_group(jia: Customer, web: Asset, bob: User, root: User) -> None:
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)


def test_what_is_granted_holds_for_so_long_and_no_longer(web: Asset, chen: User, alice: User) -> None:
    request = ask(chen, web, Asked("trops", 60, "the disk is full", [Action.DOWNLOAD]))
    assert told(request) == {"Alice"}  # nobody administers a group of it
    with scope.platform("test"):
        requesting.grant(request=request, words="Be careful", actor=alice, now=NOW)
        grant = Grant.objects.get()
        assert (grant.until, grant.accounts, grant.asset_id) == (NOW + HOUR, ["trops"], web.pk)
        for at, is_allowed in ((NOW, True), (NOW + HOUR - timedelta(seconds=1), True), (NOW + HOUR, False)):
            decision = authorising.decide(chen, web, account="trops", protocol=Protocol.SSH, now=at)
            assert decision.is_allowed is is_allowed
        assert authorising.decide(
            chen, web, account="trops", protocol=Protocol.SSH, now=NOW
        ).actions == {Action.CONNECT, Action.DOWNLOAD}  # fmt: skip
        request.refresh_from_db()
        assert (request.state, request.decided_by_id, request.grant_id) == ("granted", alice.pk, grant.pk)
        assert not Timer.objects.filter(key__startswith="bastion:request:", fired_at=None).exists()
    assert told(request) == {"Alice", "Chen"}


def test_less_may_be_granted_and_never_more(web: Asset, chen: User, alice: User) -> None:
    for minutes, lasts in ((30, HOUR / 2), (600, HOUR)):
        with scope.platform("test"):
            requesting.grant(request=ask(chen, web), words="", actor=alice, now=NOW, minutes=minutes)
            assert Grant.objects.latest("pk").until == NOW + lasts


@pytest.mark.usefixtures("_bobs_group")
def test_a_groups_administrator_decides_about_its_servers_alone(
    jia: Customer, web: Asset, chen: User, bob: User, alice: User
) -> None:
    other = server(jia, "db-01")
    mine, elsewhere = ask(chen, web), ask(chen, other)
    assert told(mine) == {"Bob"}
    assert told(elsewhere) == {"Alice", "Root"}, "nobody administers a group of it"
    with scope.platform("test"):
        requesting.grant(request=mine, words="", actor=bob, now=NOW)
        with pytest.raises(PermissionDenied):
            requesting.grant(request=elsewhere, words="", actor=bob, now=NOW)


@pytest.mark.usefixtures("_bobs_group")
def test_of_what_they_put_in_themselves_they_are_not_asked(
    jia: Customer, web: Asset, chen: User, bob: User, alice: User, client_for: ClientFor
) -> None:
    own = server(jia, "web-02")
    with scope.platform("test"):
        group = ResourceGroup.objects.get()
        groups.add(group=group, assets=[own], actor=bob, now=NOW)
    asked = ask(chen, own)
    assert told(asked) == {"Alice", "Root"}
    assert client_for(bob).get(f"/bastion/requests/{asked.pk}/").status_code == 404
    page, hers = (client_for(one).get(f"/bastion/groups/{group.pk}/").content.decode() for one in (bob, alice))
    assert f"/bastion/reach/resource/{web.pk}/" in page
    assert f"/bastion/reach/resource/{own.pk}/" not in page, "a link that would not open"
    assert f"/bastion/reach/resource/{own.pk}/" in hers


@pytest.mark.usefixtures("_bobs_group")
def test_nobody_decides_about_their_own_wish(web: Asset, bob: User) -> None:
    request = ask(bob, web, Asked("xxadmin", 60, "the disk is full"))
    assert told(request) == set() or "Bob" not in told(request)
    with scope.platform("test"):
        for act in (requesting.grant, requesting.refuse):
            with pytest.raises(PermissionDenied):
                act(request=request, words="sure", actor=bob, now=NOW)
    assert not requesting.may_decide(bob, request)


def test_another_customers_manager_has_no_word(web: Asset, chen: User, eve: User, lin: User) -> None:
    request = ask(chen, web)
    for stranger in (eve, lin):
        with scope.platform("test"), pytest.raises(PermissionDenied):
            requesting.grant(request=request, words="", actor=stranger, now=NOW)
    with scope.user(eve):
        assert not requesting.seen_by(eve).exists()
        with pytest.raises(PermissionDenied):
            requesting.ask(person=eve, asset=web, asked=NEED, now=NOW)


def test_who_may_only_read_asks_for_nothing(web: Asset, vera: User) -> None:
    with pytest.raises(PermissionDenied):
        ask(vera, web)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Asked("xxadmin", 60, "the disk is full"), "unknown_account"),
        (Asked("nobody", 60, "the disk is full"), "unknown_account"),
        (Asked("trops", 4, "the disk is full"), "minutes"),
        (Asked("trops", 1441, "the disk is full"), "minutes"),
        (Asked("trops", 60, "  x  "), "no_reason"),
        (Asked("trops", 60, "the disk is full", [Action.FORWARD]), "actions"),
        (Asked("trops", 60, "the disk is full", [], [Protocol.RDP]), "unknown_resource"),
    ],
)
def test_what_makes_no_sense_is_not_asked(web: Asset, chen: User, asked: Asked, code: str) -> None:
    with pytest.raises(DomainError) as refusal:
        ask(chen, web, asked)
    assert refusal.value.code == code


def test_the_same_is_asked_once_and_ten_at_most(jia: Customer, web: Asset, chen: User) -> None:
    ask(chen, web)
    with pytest.raises(DomainError) as refusal:
        ask(chen, web)
    assert refusal.value.code == "asked_already"
    for number in range(9):
        ask(chen, server(jia, f"app-{number}"))
    with pytest.raises(DomainError) as refusal:
        ask(chen, server(jia, "app-10"))
    assert refusal.value.code == "too_many"


def test_an_administrator_need_not_ask(web: Asset, root: User) -> None:
    with pytest.raises(DomainError) as refusal:
        ask(root, web)
    assert refusal.value.code == "administers"


def test_a_request_is_settled_once(web: Asset, chen: User, alice: User) -> None:
    request = ask(chen, web)
    with scope.platform("test"):
        with pytest.raises(DomainError) as refusal:
            requesting.refuse(request=request, words=" ", actor=alice, now=NOW)
        assert refusal.value.code == "no_words"
        requesting.refuse(request=request, words="not now", actor=alice, now=NOW)
        acts: tuple[Callable[[], object], ...] = (
            lambda: requesting.grant(request=request, words="", actor=alice, now=NOW),
            lambda: requesting.refuse(request=request, words="no", actor=alice, now=NOW),
            lambda: requesting.withdraw(request=request, actor=chen, now=NOW),
        )
        for act in acts:
            with pytest.raises(DomainError) as refusal:
                act()
            assert refusal.value.code == "settled"
        assert not Grant.objects.exists()


def test_only_who_asked_withdraws(web: Asset, chen: User, alice: User) -> None:
    request = ask(chen, web)
    with scope.platform("test"):
        with pytest.raises(PermissionDenied):
            requesting.withdraw(request=request, actor=alice, now=NOW)
        requesting.withdraw(request=request, actor=chen, now=NOW)
        assert AccessRequest.objects.get().state == "withdrawn"


def test_what_nobody_answers_lapses(web: Asset, chen: User, alice: User) -> None:
    request = ask(chen, web)
    with scope.platform("test"):
        timer = Timer.objects.get(key__startswith=f"bastion:request:{request.pk}:")
        assert (timer.due_at, timer.args) == (NOW + timedelta(hours=4), {"request_id": request.pk})
        for _ in range(2):
            tasks.lapse_request(due_at=timer.due_at, now=timer.due_at, request_id=request.pk)
        request.refresh_from_db()
        assert request.state == "lapsed"
        with pytest.raises(DomainError):
            requesting.grant(request=request, words="", actor=alice, now=timer.due_at)


def test_nothing_is_granted_to_somebody_who_is_gone(web: Asset, chen: User, alice: User) -> None:
    request = ask(chen, web)
    with scope.platform("test"):
        User.objects.filter(pk=chen.pk).update(is_active=False)
        with pytest.raises(DomainError) as refusal:
            requesting.grant(request=request, words="", actor=alice, now=NOW)
    assert refusal.value.code == "gone"


def test_every_step_is_audited(web: Asset, chen: User, alice: User) -> None:
    request = ask(chen, web)
    with scope.platform("test"):
        requesting.grant(request=request, words="Be careful", actor=alice, now=NOW)
        entries = AuditEntry.objects.filter(action__startswith="bastion.request").order_by("sequence")
        assert [(one.action, one.actor_name) for one in entries] == [
            ("bastion.request", "Chen"),
            ("bastion.request.granted", "Alice"),
        ]
        assert entries.last().detail["words"] == "Be careful"  # type: ignore[union-attr]
