"""Who is let in, to what and for what: administrators, grants by asset and group, and nobody else."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Role, User
from assets.models import Asset, SshAccess
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.models import BastionSession, Grant, GroupAsset, Node, ResourceGroup
from bastion.services import authorising, granting, groups, letting_in, living, streams
from bastion.services.granting import Wanted
from bastion.services.regimes import Said as Limits
from incidents.models import Incident
from tests.bastion.conftest import CONNECT, SSH, server, wish_for
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import raise_incident

HOUR = timedelta(hours=1)


def refused(person: User, node: Node, asset: Asset, **changes: object) -> str:
    with scope.platform("test"), pytest.raises(DomainError) as refusal:
        authorising.authorise(person=person, wish=wish_for(asset, **changes), node=node, now=NOW)  # type: ignore[arg-type]
    return refusal.value.code


def let_in(person: User, node: Node, asset: Asset, **changes: object) -> BastionSession:
    with scope.platform("test"):
        return authorising.authorise(person=person, wish=wish_for(asset, **changes), node=node, now=NOW)  # type: ignore[arg-type]


def give(person: User, to: Asset, actor: User, **changes: object) -> None:
    wanted = Wanted(CONNECT, SSH, **changes)  # type: ignore[arg-type]
    with scope.platform("test"):
        granting.grant(person=person, to=to, wanted=wanted, actor=actor, now=NOW)


def test_without_a_grant_nobody_gets_in_and_the_no_is_kept(web: Asset, node: Node, chen: User) -> None:
    assert refused(chen, node, web) == "no_grant"
    with scope.platform("test"):
        assert not BastionSession.objects.exists()
        entry = AuditEntry.objects.get(action="bastion.denied")
    assert (entry.actor_id, entry.detail["code"]) == (chen.pk, "no_grant")


def test_an_administrator_uses_every_resource(web: Asset, node: Node, root: User) -> None:
    assert set(let_in(root, node, web).actions) == set(Action)


def test_a_grant_lets_in_for_as_long_as_it_holds(web: Asset, node: Node, chen: User, root: User) -> None:
    give(chen, web, root, until=NOW + HOUR)
    session = let_in(chen, node, web)
    assert (session.state, session.actions, session.ends_at) == ("allowed", ["connect"], NOW + HOUR)
    assert session.account == "trops"


def test_a_group_lets_to_what_is_in_it_now(jia: Customer, web: Asset, node: Node, chen: User, root: User) -> None:
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        granting.grant(person=chen, to=group, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)
    assert refused(chen, node, web) == "no_grant"
    with scope.platform("test"):
        groups.add(group=group, assets=[web], actor=root, now=NOW)
    let_in(chen, node, web)
    with scope.platform("test"):
        groups.remove(group=group, assets=[web], actor=root, now=NOW)
    assert refused(chen, node, web) == "no_grant"
    with scope.platform("test"):
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.retire(group=group, actor=root, now=NOW)
    assert refused(chen, node, web) == "no_grant"


def test_a_grant_that_was_taken_back_lets_nobody_in(web: Asset, node: Node, chen: User, root: User) -> None:
    wanted = Wanted(CONNECT, SSH)
    with scope.platform("test"):
        made = granting.grant(person=chen, to=web, wanted=wanted, actor=root, now=NOW)
    session = let_in(chen, node, web)
    with scope.platform("test"):
        granting.end(grant=made, actor=root, now=NOW)
        decision = authorising.still_allowed([session], now=NOW)[session]
    assert not decision.is_allowed
    assert refused(chen, node, web) == "no_grant"


@pytest.mark.parametrize(("who", "account"), [("chen", "xxadmin"), ("chen", "www"), ("alice", "trops")])
def test_each_side_has_its_own_accounts(
    web: Asset, node: Node, root: User, request: pytest.FixtureRequest, who: str, account: str
) -> None:
    person: User = request.getfixturevalue(who)
    give(person, web, root)
    assert refused(person, node, web, username=account) == "unknown_account"


def test_the_usual_account_of_ones_side_comes_first(web: Asset, chen: User, bob: User, root: User) -> None:
    for person, names in ((chen, ["trops"]), (bob, ["xxadmin", "www"])):
        give(person, web, root)
        with scope.platform("test"):
            found = authorising.accounts_of(person, web, protocol=Protocol.SSH, now=NOW)
        assert [one.username for one in found] == names


def test_a_customers_manager_is_administrator_at_home_only(
    web: Asset, yi: Customer, node: Node, alice: User, eve: User
) -> None:
    let_in(alice, node, web, username="xxadmin", work="")
    assert refused(eve, node, web, username="xxadmin") == "no_grant"
    with scope.platform("test"), pytest.raises(PermissionDenied):
        granting.grant(person=eve, to=web, wanted=Wanted(CONNECT, SSH), actor=eve, now=NOW)
    with scope.platform("test"), pytest.raises(PermissionDenied):
        granting.grant(person=eve, to=web, wanted=Wanted(CONNECT, SSH), actor=alice, now=NOW)


def test_the_providers_people_say_what_they_work_on(
    jia: Customer, web: Asset, node: Node, chen: User, alice: User, root: User
) -> None:
    give(chen, web, root)
    incident = raise_incident(alice, customer=jia)
    other = "INC-999999"
    for nothing in ("", "x", other, "CHG-000001", "INC-", f"INC-{'9' * 30}"):
        assert refused(chen, node, web, work=nothing) == "no_work", nothing
    session = let_in(chen, node, web, work=incident.number.lower())
    assert (session.incident_id, session.reason) == (incident.pk, "")
    unmatched = let_in(chen, node, web, work="nightly look at the logs")
    with scope.platform("test"):
        assert list(BastionSession.objects.filter(authorising.unmatched())) == [unmatched]


def test_what_begins_beside_a_session_goes_on_with_its_work(
    jia: Customer, web: Asset, node: Node, chen: User, lin: User, alice: User, root: User
) -> None:
    """The file panel of a terminal, once the incident is solved; nobody else, and not when the terminal is over."""
    incident = raise_incident(alice, customer=jia)
    for person in (chen, lin):
        give(person, web, root)
    session = let_in(chen, node, web, work=incident.number)
    with scope.platform("test"):
        Incident.objects.update(state="closed")
    assert let_in(chen, node, web, work=incident.number).incident == incident
    assert refused(lin, node, web, work=incident.number) == "no_work"
    with scope.platform("test"):
        BastionSession.objects.update(state="ended", ended_at=NOW, ending="exit")
    assert session.incident == incident
    assert refused(chen, node, web, work=incident.number) == "no_work"


def test_work_of_another_customer_is_no_work(
    jia: Customer, yi: Customer, web: Asset, node: Node, chen: User, eve: User, root: User
) -> None:
    give(chen, web, root)
    foreign: Incident = raise_incident(eve, customer=yi)
    assert refused(chen, node, web, work=foreign.number) == "no_work"


def test_a_node_serves_its_own_customer_and_none_while_it_drains(
    jia: Customer, yi: Customer, web: Asset, node: Node, root: User
) -> None:
    with scope.platform("test"):
        Node.objects.filter(pk=node.pk).update(customer=yi)
        node.refresh_from_db()
    assert refused(root, node, web) == "unknown_resource"
    for fault in ({"customer": None, "is_draining": True}, {"is_draining": False, "state": "revoked"}):
        with scope.platform("test"):
            Node.objects.filter(pk=node.pk).update(**fault)
            node.refresh_from_db()
        assert refused(root, node, web) == "node"


def test_whoever_was_shut_out_gets_in_nowhere(web: Asset, node: Node, root: User) -> None:
    root.is_active = False
    assert refused(root, node, web) == "node"


def test_a_group_administrator_acts_inside_the_group_alone(
    jia: Customer, web: Asset, chen: User, bob: User, alice: User, root: User
) -> None:
    other = server(jia, "db-01")
    with scope.platform("test"):
        shop, rest = (groups.create(customer=jia, name=name, description="", actor=root, now=NOW) for name in "AB")
        groups.name_administrator(group=shop, person=bob, actor=alice, now=NOW)
        groups.add(group=shop, assets=[web], actor=bob, now=NOW)
        granting.grant(person=chen, to=shop, wanted=Wanted(CONNECT, SSH), actor=bob, now=NOW)
        for group, person in ((rest, chen), (shop, bob)):  # another group; themselves
            with pytest.raises(PermissionDenied):
                granting.grant(person=person, to=group, wanted=Wanted(CONNECT, SSH), actor=bob, now=NOW)
        with pytest.raises(PermissionDenied):
            granting.grant(person=chen, to=web, wanted=Wanted(CONNECT, SSH), actor=bob, now=NOW)
        with pytest.raises(PermissionDenied):
            groups.add(group=rest, assets=[other], actor=bob, now=NOW)
        with pytest.raises(PermissionDenied):
            groups.name_administrator(group=shop, person=chen, actor=bob, now=NOW)


def test_who_watches_and_ends_a_session(
    jia: Customer, yi: Customer, web: Asset, node: Node, chen: User, bob: User, alice: User, eve: User, root: User
) -> None:
    give(chen, web, root)
    session = let_in(chen, node, web)
    with scope.platform("test"):
        may = {person.name: authorising.may_watch(person, session) for person in (chen, bob, alice, eve, root)}
        assert may == {"Chen": True, "Bob": False, "Alice": True, "Eve": False, "Root": True}
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
        assert authorising.may_end(bob, session)


def test_nobody_locks_or_unlocks_their_own_session(
    web: Asset, node: Node, chen: User, alice: User, root: User, client_for: ClientFor
) -> None:
    give(chen, web, root)
    session = let_in(chen, node, web)
    with scope.platform("test"):
        BastionSession.objects.filter(pk=session.pk).update(state="open", opened_at=NOW)
        for is_locked in (False, True):
            with pytest.raises(PermissionDenied):
                living.lock(session=session, is_locked=is_locked, actor=chen, now=NOW)
            living.lock(session=session, is_locked=is_locked, actor=alice, now=NOW)
    for person, is_offered in ((chen, False), (alice, True)):
        page = f"/bastion/sessions/{session.pk}/"
        shown = client_for(person).get(page).content.decode()
        assert (f"{page}unlock/" in shown) is (f"{page}lock/" in shown) is is_offered
        assert f"{page}disconnect/" in shown
        assert client_for(person).post(f"{page}unlock/").status_code == (302 if is_offered else 403)


def test_who_adds_a_resource_to_their_group_gains_nothing_by_it(
    jia: Customer, web: Asset, node: Node, chen: User, bob: User, root: User
) -> None:
    give(chen, web, root)
    session = let_in(chen, node, web)
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
        granting.grant(person=bob, to=group, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)
        with pytest.raises(DomainError) as refusal:
            groups.add(group=group, assets=[web], actor=bob, now=NOW)
        assert refusal.value.code == "own"
        Grant.objects.filter(person=bob).update(until=NOW)
        groups.add(group=group, assets=[web], actor=bob, now=NOW)
        assert not authorising.may_watch(bob, session)
        assert not authorising.watchable(bob).exists()
        groups.remove(group=group, assets=[web], actor=root, now=NOW)
        GroupAsset.objects.create(customer=jia, group=group, asset=web, added_at=NOW)  # by the platform
        assert authorising.may_watch(bob, session)
        assert authorising.watchable(bob).get() == session


def test_whoever_may_only_read_reaches_nothing_and_sees_nobody_elses_session(
    jia: Customer, web: Asset, node: Node, chen: User, bob: User, root: User
) -> None:
    for person in (chen, bob):
        give(person, web, root)
    session = let_in(chen, node, web)
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
        assert authorising.watchable(bob).get() == session
        User.objects.filter(pk=bob.pk).update(role=Role.CUSTOMER_VIEWER)
        bob.refresh_from_db()
        assert not authorising.watchable(bob).exists()
        assert not authorising.may_watch(bob, session)
        assert not authorising.reachable(bob, protocol=Protocol.SSH, now=NOW).exists()
        assert not authorising.accounts_of(bob, web, protocol=Protocol.SSH, now=NOW)
    assert refused(bob, node, web, username="xxadmin") == "no_grant"


def test_what_stands_behind_a_node_is_reached_by_a_node_of_its_own_customer(
    jia: Customer, yi: Customer, web: Asset, node: Node, root: User
) -> None:
    with scope.platform("test"):
        door = SshAccess.objects.create(customer=jia, asset=web, host="10.0.0.5", pinned_at=NOW, through="direct")
        Node.objects.filter(pk=node.pk).update(seen_at=NOW)
        assert streams.node_for(web, now=NOW) == node
        SshAccess.objects.filter(pk=door.pk).update(through="node")
        for customer in (None, yi):
            Node.objects.filter(pk=node.pk).update(customer=customer)
            node.refresh_from_db()
            assert letting_in.resources(root, node=node, query="", limit=9, now=NOW) == []
            with pytest.raises(DomainError):
                streams.node_for(web, now=NOW)
            assert refused(root, node, web) == "unknown_resource"
        Node.objects.filter(pk=node.pk).update(customer=jia)
        node.refresh_from_db()
        assert streams.node_for(web, now=NOW) == node
        assert [one.id for one in letting_in.resources(root, node=node, query="", limit=9, now=NOW)] == [web.pk]
    assert let_in(root, node, web).node_id == node.pk


def test_nobody_has_more_sessions_at_once_than_one_can(
    web: Asset, node: Node, root: User, chen: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authorising, "MOST_SESSIONS", 2)
    give(chen, web, root)
    first = let_in(root, node, web)
    let_in(root, node, web)
    assert refused(root, node, web) == "too_many"
    let_in(chen, node, web)
    with scope.platform("test"):
        BastionSession.objects.filter(pk=first.pk).update(state="ended", ended_at=NOW, ending="exit")
    let_in(root, node, web)


def test_a_networks_group_follows_the_network(jia: Customer, web: Asset, root: User) -> None:
    second = server(jia, "web-02", details={"VpcId": "vpc-2"})
    with scope.platform("test"):
        assert groups.follow_networks(customer=jia, now=NOW) == 2
        assert groups.follow_networks(customer=jia, now=NOW) == 0
        Asset.objects.filter(pk=second.pk).update(details={"VpcId": "vpc-1"})
        assert groups.follow_networks(customer=jia, now=NOW) == 2
        Asset.objects.filter(pk=web.pk).update(retired_at=NOW)
        assert groups.follow_networks(customer=jia, now=NOW) == 1
        [one, two] = sorted(jia_groups(jia).items())
        assert (one, two) == (("vpc-1", ["web-02"]), ("vpc-2", []))
        kept = [
            (entry.action.removeprefix("bastion.group."), entry.object_name, entry.detail.get("names"), entry.actor)
            for entry in AuditEntry.objects.filter(action__startswith="bastion.group.").order_by("sequence")
        ]
    assert kept == [
        ("create", "vpc-1", None, None),
        ("create", "vpc-2", None, None),
        ("add", "vpc-1", ["web-01"], None),
        ("add", "vpc-2", ["web-02"], None),
        ("add", "vpc-1", ["web-02"], None),
        ("remove", "vpc-2", ["web-02"], None),
        ("remove", "vpc-1", ["web-01"], None),
    ]


def manual(customer: Customer, name: str, private_ip: str | None = None, host: str = "") -> Asset:
    asset = server(customer, name)
    with scope.platform("test"):
        Asset.objects.filter(pk=asset.pk).update(private_ip=private_ip, host=host)
    return asset


def test_what_is_off_the_cloud_joins_its_networks_group_by_its_address(
    jia: Customer, yi: Customer, web: Asset, root: User
) -> None:
    manual(jia, "idc-01", "10.20.1.5")
    moving = manual(jia, "idc-02", host="10.20.1.6")
    manual(jia, "elsewhere", "192.168.0.1")
    manual(jia, "named", host="db.example.com")
    manual(yi, "theirs", "10.20.1.7")
    with scope.platform("test"):
        Asset.objects.filter(pk=web.pk).update(private_ip="10.20.9.9")  # what the cloud says comes first
        groups.follow_networks(customer=jia, now=NOW)
        make = partial(groups.create, customer=jia, description="", actor=root, now=NOW)
        whole = make(name="Server room", ranges="10.20.0.0/16, fd00:20::/48")
        assert (whole.kind, whole.network, whole.ranges) == (
            "network",
            "10.20.0.0/16",
            ["10.20.0.0/16", "fd00:20::/48"],
        )
        assert jia_groups(jia) == {"vpc-1": ["web-01"], "10.20.0.0/16": ["idc-01", "idc-02"]}
        make(name="Rack 2", ranges="10.20.1.6/32")  # the narrowest counts
        assert jia_groups(jia)["10.20.1.6/32"] == ["idc-02"]
        Asset.objects.filter(pk=moving.pk).update(host="10.20.1.8")
        manual(jia, "idc-03", "fd00:20::3")
        assert groups.follow_networks(customer=jia, now=NOW) == 3
        assert jia_groups(jia)["10.20.0.0/16"] == ["idc-01", "idc-02", "idc-03"]
        cloud = ResourceGroup.objects.get(network="vpc-1")
        groups.change(
            group=cloud, name="vpc-1", description="", trusts_first_sight=False, limits=Limits(), ranges="10.20.1.5/32",
            actor=root, now=NOW,
        )  # fmt: skip
        assert jia_groups(jia)["vpc-1"] == ["idc-01", "web-01"]
        groups.retire(group=whole, actor=root, now=NOW)
        assert "10.20.0.0/16" not in {one.network for one in ResourceGroup.objects.filter(retired_at=None)}
        make(name="Server room", ranges="10.20.0.0/16")
        assert groups.follow_networks(customer=jia, now=NOW) == 0


@pytest.mark.parametrize("written", ["10.20.0.0", "10.20.0.1/16", "0.0.0.0/0", "vpc-1", "10.9.0.0/16", "10.20.0.0/33"])
def test_a_range_that_is_none_or_anothers_is_refused(jia: Customer, root: User, written: str) -> None:
    with scope.platform("test"):
        make = partial(groups.create, customer=jia, description="", actor=root, now=NOW)
        group = make(name="one", ranges="10.9.0.0/16")
        if written == "10.20.0.0":  # one address is a network of its own
            assert make(name="two", ranges=written).ranges == ["10.20.0.0/32"]
            return
        with pytest.raises(DomainError) as refusal:
            make(name="two", ranges=written)
        assert refusal.value.code == "ranges"
        with pytest.raises(DomainError) as refusal:
            groups.change(
                group=group, name="one", description="", trusts_first_sight=False, limits=Limits(), ranges="",
                actor=root, now=NOW,
            )  # fmt: skip
        assert refusal.value.code == "ranges"


def jia_groups(customer: Customer) -> dict[str, list[str]]:
    rows = ResourceGroup.objects.filter(customer=customer, kind="network")
    rows = rows.filter(retired_at=None)
    return {
        group.network: sorted(member.asset.name for member in group.members.select_related("asset")) for group in rows
    }


def test_what_is_in_a_networks_group_is_nobodys_choice(jia: Customer, web: Asset, root: User) -> None:
    with scope.platform("test"):
        groups.follow_networks(customer=jia, now=NOW)
        group = ResourceGroup.objects.get(network="vpc-1")
        for act in (groups.add, groups.remove):
            with pytest.raises(DomainError):
                act(group=group, assets=[web], actor=root, now=NOW)
        with pytest.raises(DomainError):
            groups.retire(group=group, actor=root, now=NOW)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(frozenset(), SSH),
        Wanted(CONNECT, frozenset()),
        Wanted(CONNECT, SSH, until=NOW),
        Wanted(CONNECT, SSH, since=NOW + HOUR, until=NOW + HOUR),
        Wanted(CONNECT, SSH, windows=[{"days": [9], "from": "09:00", "to": "18:00"}]),
        Wanted(CONNECT, SSH, windows=[{"days": [0], "from": "nine", "to": "18:00"}]),
        Wanted(CONNECT, SSH, windows=[{}]),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(web: Asset, chen: User, root: User, wanted: Wanted) -> None:
    with scope.platform("test"), pytest.raises(DomainError):
        granting.grant(person=chen, to=web, wanted=wanted, actor=root, now=NOW)
