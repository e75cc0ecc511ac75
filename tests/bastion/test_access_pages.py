"""The pages about who may do what: made by those who may, unseen by the others, and what they do is done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets import keypairs
from assets.models import Asset, Kind, SshAccess
from bastion.access import Protocol
from bastion.gateway.ssh.names import Ticket, parse
from bastion.models import (
    AccessRequest,
    BastionSession,
    CommandReview,
    CommandRule,
    Favourite,
    Grant,
    GroupAsset,
    HostKeySighting,
    LoginTicket,
    Node,
    ResourceGroup,
)
from bastion.services import authorising, connecting, granting, groups, letting_in, requesting, ruling, ticketing
from bastion.services.granting import Wanted
from bastion.services.requesting import Asked
from bastion.services.ruling import Said
from bastion.words import ACTIONS
from tests.bastion.conftest import CONNECT, SSH, server, wish_for
from tests.conftest import NOW, ClientFor

HOUR = timedelta(hours=1)
KEY = keypairs.public_half(keypairs.make())


@pytest.fixture
def web(web: Asset, jia: Customer) -> Asset:
    """With a way to it."""
    with scope.customer(jia):
        SshAccess.objects.create(customer=jia, asset=web, host="10.0.0.5", port=22, pinned_at=NOW)
    return web


@pytest.fixture
def gateway(node: Node) -> Node:
    """A node that clients find, alive."""
    with scope.platform("test"):
        Node.objects.filter(pk=node.pk).update(
            ssh_host="gate.example.com", ssh_port=2222, host_keys=[KEY], seen_at=timezone.now()
        )
        node.refresh_from_db()
    return node


@pytest.fixture
def group(jia: Customer, web: Asset, bob: User, root: User) -> ResourceGroup:
    """With the server in it, administered by bob."""
    with scope.platform("test"):
        made = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=made, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=made, person=bob, actor=root, now=NOW)
    return made


def give(person: User, to: Asset | ResourceGroup, root: User, **said: object) -> Grant:
    with scope.platform("test"):
        return granting.grant(person=person, to=to, wanted=Wanted(CONNECT, SSH, **said), actor=root, now=NOW)  # type: ignore[arg-type]


# --- groups -------------------------------------------------------------------------------------------------------


def test_a_group_is_made_filled_administered_and_retired(
    jia: Customer, web: Asset, bob: User, alice: User, client_for: ClientFor
) -> None:
    client = client_for(alice)
    answer = client.post("/bastion/groups/new/", {"name": "Shop", "description": "All of it"})
    with scope.platform("test"):
        group = ResourceGroup.objects.get()
    assert answer["Location"] == f"/bastion/groups/{group.pk}/add/"
    assert "web-01" in client.get(f"/bastion/groups/{group.pk}/add/?q=web").content.decode()
    assert "web-01" not in client.get(f"/bastion/groups/{group.pk}/add/?q=nothing").content.decode()
    client.post(f"/bastion/groups/{group.pk}/add/", {"asset": [web.pk]})
    client.post(f"/bastion/groups/{group.pk}/administrators/", {"person": bob.pk})
    page = client.get(f"/bastion/groups/{group.pk}/").content.decode()
    assert "web-01" in page
    assert "Bob" in page
    assert "web-01" not in client.get(f"/bastion/groups/{group.pk}/add/").content.decode()
    said = {"name": "Shop window", "description": "", "trusts_first_sight": "on"}
    client.post(f"/bastion/groups/{group.pk}/change/", said)
    client.post(f"/bastion/groups/{group.pk}/dismiss/", {"person": bob.pk})
    client.post(f"/bastion/groups/{group.pk}/remove/", {"asset": web.pk})
    with scope.platform("test"):
        group.refresh_from_db()
        assert (group.name, group.trusts_first_sight) == ("Shop window", True)
        assert not GroupAsset.objects.exists()
        assert not group.administrators.exists()
        entry = AuditEntry.objects.get(action="bastion.group.change")
        assert entry.detail["trusts_first_sight"] == [False, True]
    client.post(f"/bastion/groups/{group.pk}/retire/")
    assert client.get(f"/bastion/groups/{group.pk}/").status_code == 404


def test_a_group_holds_databases_and_load_balancers_as_well(
    jia: Customer, web: Asset, group: ResourceGroup, chen: User, alice: User, root: User, client_for: ClientFor
) -> None:
    kinds = (Kind.RDS, Kind.REDIS, Kind.MONGODB, Kind.DATABASE, Kind.SLB, Kind.LOAD_BALANCER)
    others = [server(jia, f"other-{kind}") for kind in kinds]
    with scope.customer(jia):
        for asset, kind in zip(others, kinds, strict=True):
            Asset.objects.filter(pk=asset.pk).update(kind=kind)
    client, url = client_for(alice), f"/bastion/groups/{group.pk}/"
    offered = client.get(f"{url}add/").content.decode()
    assert all(asset.name in offered for asset in others)
    assert "other-slb" not in client.get(f"{url}add/?kind=rds").content.decode()
    client.post(f"{url}add/", {"asset": [asset.pk for asset in others]})
    page = client.get(url).content.decode()
    assert all(asset.name in page for asset in others)
    give(chen, group, root)
    with scope.platform("test"):
        assert set(others) <= {row.asset for row in GroupAsset.objects.filter(group=group).select_related("asset")}
    with scope.user(chen):
        reached = set(authorising.reachable(chen, protocol=Protocol.SSH, now=NOW))
    assert not reached & set(others), "SSH leads to servers alone"


def test_a_groups_administrator_works_inside_it_and_nowhere_else(
    jia: Customer, web: Asset, group: ResourceGroup, bob: User, alice: User, root: User, client_for: ClientFor
) -> None:
    other = server(jia, "db-01")
    with scope.platform("test"):
        rest = groups.create(customer=jia, name="Rest", description="", actor=root, now=NOW)
        groups.add(group=rest, assets=[other], actor=root, now=NOW)
    free = server(jia, "app-01")
    client = client_for(bob)
    listed = client.get("/bastion/groups/").content.decode()
    assert "Shop" in listed
    assert "Rest" not in listed
    for address in ("", "add/", "remove/", "change/", "retire/", "administrators/", "dismiss/"):
        assert client.post(f"/bastion/groups/{rest.pk}/{address}", {"asset": web.pk}).status_code in (403, 404, 405)
    for address in ("change/", "retire/", "administrators/", "dismiss/"):
        said = {"name": "Mine", "person": bob.pk, "trusts_first_sight": "on"}
        assert client.post(f"/bastion/groups/{group.pk}/{address}", said).status_code == 403
    client.post(f"/bastion/groups/{group.pk}/add/", {"asset": [free.pk]})
    client.post(f"/bastion/groups/{group.pk}/add/", {"asset": [other.pk]})
    with scope.platform("test"):
        names = set(GroupAsset.objects.filter(group=group).values_list("asset__name", flat=True))
        group.refresh_from_db()
    assert names == {"web-01", "app-01"}, "what others look after is not theirs to take in"
    assert (group.name, group.trusts_first_sight) == ("Shop", False)


def test_what_they_put_in_themselves_is_theirs_once_an_administrator_has_confirmed_it(
    jia: Customer, group: ResourceGroup, bob: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    free = server(jia, "app-01")
    client_for(bob).post(f"/bastion/groups/{group.pk}/add/", {"asset": [free.pk]})

    def looks_after() -> bool:
        with scope.user(bob):
            return authorising.administers_a_group_of(bob, free.pk)

    confirm = f"/bastion/groups/{group.pk}/confirm/"
    assert not looks_after()
    assert confirm not in client_for(bob).get(f"/bastion/groups/{group.pk}/").content.decode()
    assert client_for(bob).post(confirm, {"asset": free.pk}).status_code == 403
    assert client_for(eve).post(confirm, {"asset": free.pk}).status_code == 404
    assert not looks_after()
    assert confirm in client_for(alice).get(f"/bastion/groups/{group.pk}/").content.decode()
    for _ in range(2):
        assert client_for(alice).post(confirm, {"asset": free.pk}).status_code == 302
    assert looks_after()
    assert confirm not in client_for(alice).get(f"/bastion/groups/{group.pk}/").content.decode()
    with scope.platform("test"):
        [entry] = AuditEntry.objects.filter(action="bastion.group.confirm")
        assert (entry.actor_id, entry.detail) == (alice.pk, {"names": ["app-01"]})


def test_a_groups_administrator_grants_the_group_and_nothing_else(
    jia: Customer, web: Asset, group: ResourceGroup, bob: User, chen: User, root: User, client_for: ClientFor
) -> None:
    """Warpgate CVE-2026-91167: who administers a part raises themselves or reaches beyond it."""
    with scope.platform("test"):
        rest = groups.create(customer=jia, name="Rest", description="", actor=root, now=NOW)
    client = client_for(bob)
    terms = {"actions": ["connect"], "protocols": ["ssh"]}
    for said in (
        {"person": bob.pk, "group": group.pk},
        {"person": chen.pk, "group": rest.pk},
        {"person": chen.pk, "asset": web.pk},
        {"person": chen.pk, "group": group.pk, "asset": web.pk, "customer": 1},
    ):
        answer = client.post("/bastion/grants/new/", {**terms, **said})
        if "asset" in said and "group" in said:
            continue
        assert answer.status_code == 422, said
    with scope.platform("test"):
        assert not Grant.objects.filter(person=bob).exists()
        assert not Grant.objects.filter(group=rest).exists()
        assert not Grant.objects.exclude(asset=None).exists()
        Grant.objects.all().delete()
    assert client.post("/bastion/grants/new/", {**terms, "person": chen.pk, "group": group.pk}).status_code == 302
    with scope.platform("test"):
        [made] = Grant.objects.all()
    own = give(bob, group, root)
    elsewhere = give(chen, rest, root)
    assert client.get(f"/bastion/grants/{own.pk}/change/").status_code == 403, "nor widens what they have"
    assert client.get(f"/bastion/grants/{elsewhere.pk}/change/").status_code == 404
    assert client.post(f"/bastion/grants/{elsewhere.pk}/end/").status_code == 404
    assert client.post(f"/bastion/grants/{made.pk}/end/").status_code == 302


def test_a_networks_group_is_shown_and_left_as_it_is(
    jia: Customer, web: Asset, alice: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        groups.follow_networks(customer=jia, now=NOW)
        group = ResourceGroup.objects.get(network="vpc-1")
    client = client_for(alice)
    page = client.get(f"/bastion/groups/{group.pk}/").content.decode()
    assert "web-01" in page
    assert f"/bastion/groups/{group.pk}/add/" not in page
    client.post(f"/bastion/groups/{group.pk}/retire/")
    client.post(f"/bastion/groups/{group.pk}/remove/", {"asset": web.pk})
    with scope.platform("test"):
        group.refresh_from_db()
        assert (group.retired_at, group.members.count()) == (None, 1)


# --- grants -------------------------------------------------------------------------------------------------------


def test_a_grant_is_given_with_hours_changed_and_taken_back(
    jia: Customer, group: ResourceGroup, chen: User, alice: User, client_for: ClientFor
) -> None:
    client = client_for(alice)
    said = {
        "person": chen.pk, "group": group.pk, "actions": ["connect", "forward"], "protocols": ["ssh"],
        "accounts": "trops, ", "forwards": "10.0.0.9:3306，db:5432", "until": "2030-01-01T10:00",
        "days_1": ["0", "4"], "begins_1": "09:00", "ends_1": "18:00", "days_3": ["6"], "begins_3": "22:00",
        "ends_3": "02:00", "reason": "Night shift",
    }  # fmt: skip
    assert client.post("/bastion/grants/new/", said).status_code == 302
    with scope.platform("test"):
        [grant] = Grant.objects.all()
    assert grant.windows == [
        {"days": [0, 4], "from": "09:00", "to": "18:00"},
        {"days": [6], "from": "22:00", "to": "02:00"},
    ]
    assert (grant.accounts, grant.forwards) == (["trops"], ["10.0.0.9:3306", "db:5432"])
    listed = client.get("/bastion/grants/").content.decode()
    for shown in ("Chen", "Shop", "09:00 – 18:00", "10.0.0.9:3306", "Night shift"):
        assert shown in listed, shown
    form = client.get(f"/bastion/grants/{grant.pk}/change/").content.decode()
    assert "22:00" in form
    changed = {"actions": ["connect"], "protocols": ["ssh"]}
    assert client.post(f"/bastion/grants/{grant.pk}/change/", changed).status_code == 302
    with scope.platform("test"):
        new = Grant.objects.get(ended_at=None)
    assert (new.person_id, new.windows, new.forwards) == (chen.pk, [], [])
    client.post(f"/bastion/grants/{new.pk}/end/")
    assert "Chen" not in client.get("/bastion/grants/?state=now").content.decode().partition('id="grants"')[2]
    exported = b"".join(client.get("/bastion/grants/?export=csv")).decode()
    assert exported.count("Chen") == 2
    assert f"{ACTIONS['connect']}, {ACTIONS['forward']}" in exported
    with scope.platform("test"):
        unreadable = give(chen, group, alice, windows=[{"days": [0], "from": "09:00", "to": "18:00"}])
        Grant.objects.filter(pk=unreadable.pk).update(windows=[{"days": "x"}])
    answer = client.get(f"/bastion/grants/{unreadable.pk}/change/", headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert "09:00 – 18:00" in exported


@pytest.mark.parametrize(
    "wrong",
    [
        {"actions": []},
        {"actions": ["root"]},
        {"protocols": ["telnet"]},
        {"protocols": ["mysql"]},
        {"protocols": ["ssh", "rdp"]},
        {"forwards": "10.0.0.9:3306"},
        {"actions": ["connect", "forward"], "forwards": "127.0.0.1"},
        {"actions": ["connect", "forward"], "forwards": "a b:22"},
        {"until": "2020-01-01T10:00"},
        {"days_1": ["0"]},
        {"days_1": ["9"], "begins_1": "09:00", "ends_1": "18:00"},
        {"days_1": ["0"], "begins_1": "25:00", "ends_1": "18:00"},
        {"person": "0"},
        {"group": ""},
    ],
)
def test_what_makes_no_sense_is_not_granted(
    group: ResourceGroup, chen: User, alice: User, client_for: ClientFor, wrong: dict[str, object]
) -> None:
    said = {"person": chen.pk, "group": group.pk, "actions": ["connect"], "protocols": ["ssh"]}
    answer = client_for(alice).post("/bastion/grants/new/", {**said, **wrong})
    assert answer.status_code in (302, 409, 422)
    with scope.platform("test"):
        assert not Grant.objects.exists()


def test_a_person_sees_and_gives_back_their_own_grant(
    web: Asset, chen: User, lin: User, bob: User, root: User, client_for: ClientFor
) -> None:
    mine, theirs = give(chen, web, root), give(lin, web, root)
    client = client_for(chen)
    rows = client.get("/bastion/grants/").content.decode().partition('id="grants"')[2]
    assert "Chen" in rows
    assert "Lin" not in rows
    assert client.get("/bastion/grants/new/").status_code == 403
    assert client.post(f"/bastion/grants/{theirs.pk}/end/").status_code == 404
    assert client.get(f"/bastion/grants/{mine.pk}/change/").status_code == 403
    assert client.post(f"/bastion/grants/{mine.pk}/end/").status_code == 302
    with scope.platform("test"):
        assert set(Grant.objects.filter(ended_at=None)) == {theirs}


def test_who_can_reach_a_server_and_how(
    web: Asset, group: ResourceGroup, chen: User, bob: User, alice: User, eve: User, root: User, client_for: ClientFor
) -> None:
    give(chen, group, root, until=timezone.now() + HOUR, accounts=("trops",))
    page = client_for(alice).get(f"/bastion/reach/resource/{web.pk}/").content.decode()
    for shown in ("Chen", "Shop", "trops", "Alice", "Root"):
        assert shown in page, shown
    assert client_for(bob).get(f"/bastion/reach/resource/{web.pk}/").status_code == 200, "a group administrator"
    for stranger in (chen, eve):
        assert client_for(stranger).get(f"/bastion/reach/resource/{web.pk}/").status_code == 404


def test_what_a_person_can_reach(
    jia: Customer, yi: Customer, web: Asset, chen: User, bob: User, alice: User, root: User, client_for: ClientFor
) -> None:
    theirs = server(yi, "secret-of-yi")
    give(chen, web, root)
    give(chen, theirs, root)
    page = client_for(alice).get(f"/bastion/reach/person/{chen.pk}/").content.decode()
    assert "web-01" in page
    assert "secret-of-yi" not in page
    assert "secret-of-yi" in client_for(root).get(f"/bastion/reach/person/{chen.pk}/").content.decode()
    assert client_for(chen).get(f"/bastion/reach/person/{chen.pk}/").status_code == 200
    assert client_for(bob).get(f"/bastion/reach/person/{chen.pk}/").status_code == 404


# --- getting there ------------------------------------------------------------------------------------------------


def test_one_sees_what_one_may_reach_favourites_first(
    jia: Customer, web: Asset, gateway: Node, chen: User, root: User, client_for: ClientFor
) -> None:
    other = server(jia, "app-01")
    with scope.customer(jia):
        SshAccess.objects.create(customer=jia, asset=other, host="10.0.0.7", port=22, pinned_at=NOW)
    client = client_for(chen)
    assert "web-01" not in client.get("/bastion/connect/").content.decode()
    for asset in (web, other):
        give(chen, asset, root)

    def order() -> list[str]:
        page = client.get("/bastion/connect/").content.decode()
        return sorted(("web-01", "app-01"), key=page.index)

    assert order() == ["app-01", "web-01"]
    client.post(f"/bastion/connect/{web.pk}/star/", {"on": "1", "next": "https://evil.example/"})
    assert order() == ["web-01", "app-01"]
    with scope.user(chen):
        menu = letting_in.resources(chen, node=gateway, query="", limit=50, now=NOW)
    assert [(one.name, one.is_favourite) for one in menu] == [("web-01", True), ("app-01", False)]
    assert client.post(f"/bastion/connect/{web.pk}/star/", {"on": "0"})["Location"] == "/bastion/connect/"
    with scope.platform("test"):
        assert not Favourite.objects.exists()
        BastionSession.objects.create(
            customer=jia, node=gateway, person=chen, asset=web, account="trops", protocol="ssh", front="ssh",
            client_address="192.0.2.7", allowed_at=NOW, opened_at=NOW,
        )  # fmt: skip
    assert order() == ["web-01", "app-01"], "what was used last"


def test_only_groups_of_what_one_may_reach_are_offered(
    jia: Customer, web: Asset, group: ResourceGroup, chen: User, root: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        secret = groups.create(customer=jia, name="Secret plan", description="", actor=root, now=NOW)
        groups.add(group=secret, assets=[server(jia, "db-01")], actor=root, now=NOW)
    give(chen, web, root)
    page = client_for(chen).get("/bastion/connect/").content.decode()
    assert "Shop" in page
    assert "Secret plan" not in page
    assert "Secret plan" in client_for(root).get("/bastion/connect/").content.decode()


def test_a_star_never_leads_elsewhere(web: Asset, chen: User, client_for: ClientFor) -> None:
    answer = client_for(chen).post(f"/bastion/connect/{web.pk}/star/", {"on": "1", "next": "//evil.example/"})
    assert answer["Location"] == "/bastion/connect/"


def test_the_way_is_said_in_lines_to_copy(
    web: Asset, gateway: Node, chen: User, bob: User, root: User, client_for: ClientFor
) -> None:
    give(chen, web, root)
    page = client_for(chen).get(f"/bastion/connect/{web.pk}/").content.decode()
    assert "ssh -p 2222 chen@example.com#web-01@gate.example.com" in page.replace("&#x27;", "")
    assert "sftp -P 2222" in page
    assert keypairs.fingerprint(KEY) in page
    denied = client_for(bob).get(f"/bastion/connect/{web.pk}/").content.decode()
    assert "gate.example.com" not in denied
    assert f"/bastion/connect/{web.pk}/ask/" in denied


def test_of_a_server_behind_a_node_that_node_alone_is_named(
    jia: Customer, web: Asset, gateway: Node, chen: User, root: User
) -> None:
    now = timezone.now()
    with scope.platform("test"):
        own = Node.objects.create(
            customer=jia,
            name="jia",
            state=Node.State.ENROLLED,
            public_key="k2",
            ssh_host="gate.jia.example",
            ssh_port=2222,
            created_by=root,
            created_at=NOW,
            enrolled_at=NOW,
            seen_at=now,
        )
        assert [one.node for one in connecting.gateways(web, now=now)] == [own, gateway]
        SshAccess.objects.filter(asset=web).update(through=SshAccess.Through.NODE)
        assert [one.node for one in connecting.gateways(web, now=now)] == [own]


def test_a_ticket_is_shown_once_and_opens_one_connection(
    web: Asset, gateway: Node, chen: User, root: User, client_for: ClientFor
) -> None:
    give(chen, web, root)
    client = client_for(chen)
    assert client.post(f"/bastion/connect/{web.pk}/ticket/", {"account": "trops", "work": ""}).status_code == 422
    answer = client.post(f"/bastion/connect/{web.pk}/ticket/", {"account": "trops", "work": "look at the disk"})
    assert answer["Cache-Control"] == "no-store"
    page = answer.content.decode()
    ticket = page.partition("ssh -p 2222 ")[2].partition("@")[0]
    assert parse(ticket) == Ticket(ticket), "the node knows it for one"
    with scope.platform("test"):
        row = LoginTicket.objects.get()
        assert (row.person_id, row.account, row.work, row.address) == (
            chen.pk, "trops", "look at the disk", "127.0.0.1"
        )  # fmt: skip
        assert ticket not in str(list(LoginTicket.objects.values()))
        assert ticket not in str(list(AuditEntry.objects.values()))
        assert AuditEntry.objects.filter(action="bastion.ticket", actor=chen).exists()
        assert row.is_good("::ffff:127.0.0.1", row.made_at + timedelta(minutes=4))
        assert not row.is_good("127.0.0.1", row.made_at + timedelta(minutes=5))
        assert not row.is_good("127.0.0.2", row.made_at)
    assert ticket not in client.get(f"/bastion/connect/{web.pk}/").content.decode()


@pytest.mark.parametrize("account", ["xxadmin", "root", ""])
def test_no_ticket_for_what_one_may_not_open(
    web: Asset, gateway: Node, chen: User, root: User, client_for: ClientFor, account: str
) -> None:
    give(chen, web, root)
    client_for(chen).post(f"/bastion/connect/{web.pk}/ticket/", {"account": account, "work": "look at the disk"})
    with scope.platform("test"):
        assert not LoginTicket.objects.exists()


def test_a_ticket_needs_the_right_when_it_is_used(
    web: Asset, gateway: Node, chen: User, root: User, client_for: ClientFor
) -> None:
    grant = give(chen, web, root)
    with scope.platform("test"):
        ticketing.make(person=chen, asset=web, account="trops", work="a look", address="127.0.0.1", now=timezone.now())
        granting.end(grant=grant, actor=root, now=NOW)
        decision = authorising.decide(chen, web, account="trops", protocol=Protocol.SSH, now=NOW)
    assert not decision.is_allowed


# --- requests, reviews, rules, keys -------------------------------------------------------------------------------


def test_access_is_asked_for_and_decided_on_pages(
    web: Asset, gateway: Node, chen: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    client = client_for(chen)
    said = {"account": "trops", "minutes": "60", "reason": "the disk is full", "actions": ["download"]}
    answer = client.post(f"/bastion/connect/{web.pk}/ask/", said)
    with scope.platform("test"):
        asked = AccessRequest.objects.get()
    assert answer["Location"] == f"/bastion/requests/{asked.pk}/"
    assert "the disk is full" in client_for(alice).get("/bastion/requests/").content.decode()
    assert client.post(f"/bastion/requests/{asked.pk}/decide/", {"answer": "yes"}).status_code == 403
    for address in ("", "decide/", "withdraw/"):
        assert client_for(eve).post(f"/bastion/requests/{asked.pk}/{address}").status_code in (404, 405)
    assert client_for(alice).post(f"/bastion/requests/{asked.pk}/decide/", {"answer": "maybe"}).status_code == 422
    client_for(alice).post(f"/bastion/requests/{asked.pk}/decide/", {"answer": "yes", "words": "ok", "minutes": "30"})
    late = client_for(alice).post(f"/bastion/requests/{asked.pk}/decide/", {"answer": "no"})
    assert (late.status_code, "alert-danger" in late.content.decode()) == (422, True), "settled"
    page = client.get(f"/bastion/requests/{asked.pk}/").content.decode()
    assert "data-countdown" in page
    assert "data-countdown" in client.get("/bastion/connect/").content.decode()
    with scope.platform("test"):
        asked.refresh_from_db()
        assert asked.grant is not None
        assert asked.grant.until is not None
        assert asked.grant.since is not None
        assert asked.grant.until - asked.grant.since == HOUR / 2


def test_a_form_for_what_cannot_be_asked_says_so(
    web: Asset, chen: User, alice: User, vera: User, eve: User, client_for: ClientFor
) -> None:
    assert "<select" not in client_for(alice).get(f"/bastion/connect/{web.pk}/ask/").content.decode().partition(
        "<main"
    )[2]  # fmt: skip
    assert client_for(vera).get(f"/bastion/connect/{web.pk}/ask/").status_code == 403
    assert client_for(eve).get(f"/bastion/connect/{web.pk}/ask/").status_code == 404
    answer = client_for(chen).post(f"/bastion/connect/{web.pk}/ask/", {"account": "root", "minutes": "7"})
    assert answer.status_code == 422


def test_a_command_is_judged_on_its_page(
    jia: Customer, web: Asset, node: Node, chen: User, alice: User, eve: User, root: User, client_for: ClientFor
) -> None:
    give(chen, web, root)
    now = timezone.now()
    with scope.platform("test"):
        session = authorising.authorise(person=chen, wish=wish_for(web), node=node, now=NOW)
        review = CommandReview.objects.create(
            customer=jia, session=session, number=1, text="reboot <b>", asked_at=now, until=now + HOUR
        )
    client = client_for(alice)
    page = client.get("/bastion/reviews/").content.decode()
    assert "reboot &lt;b&gt;" in page
    assert "data-countdown" in page
    assert client_for(chen).post(f"/bastion/reviews/{review.pk}/answer/", {"answer": "yes"}).status_code == 403
    assert client_for(eve).get(f"/bastion/reviews/{review.pk}/").status_code == 404
    assert client.post(f"/bastion/reviews/{review.pk}/answer/", {"answer": ""}).status_code == 422
    client.post(f"/bastion/reviews/{review.pk}/answer/", {"answer": "no", "words": "Not today"})
    with scope.platform("test"):
        review.refresh_from_db()
        assert (review.state, review.words, review.decided_by_id) == ("denied", "Not today", alice.pk)


def test_rules_are_kept_on_a_page_that_says_what_they_are_worth(
    jia: Customer, yi: Customer, alice: User, bob: User, root: User, client_for: ClientFor
) -> None:
    client = client_for(alice)
    client.post("/bastion/rules/usual/")
    page = client.get("/bastion/rules/", headers={"Accept-Language": "en"}).content.decode()
    assert "mkfs" in page
    said = {"name": "No telnet", "pattern": "^telnet", "verdict": "deny", "is_on": "on"}
    assert client.post("/bastion/rules/new/", said).status_code == 302
    assert client.post("/bastion/rules/new/", {**said, "pattern": "("}).status_code in (302, 409, 422)
    with scope.platform("test"):
        rule = CommandRule.objects.get(name="No telnet")
        count = CommandRule.objects.count()
    for name in ("up", "down", "off", "on"):
        assert client.post(f"/bastion/rules/{rule.pk}/{name}/").status_code == 302
    tried = client.post("/bastion/rules/", {"line": "cd /; telnet db 3306"}).content.decode()
    assert "No telnet" in tried.partition('role="status"')[2]
    assert client_for(bob).get("/bastion/rules/").status_code == 404
    assert client_for(bob).post(f"/bastion/rules/{rule.pk}/off/").status_code == 403
    assert "No telnet" not in client_for(root).get(f"/bastion/rules/?customer={yi.pk}").content.decode()
    assert client_for(root).get("/bastion/rules/?customer=x").status_code == 404
    client.post(f"/bastion/rules/{rule.pk}/retire/")
    with scope.platform("test"):
        assert CommandRule.objects.kept().count() == count - 1


def test_a_rule_of_another_customer_is_not_there(jia: Customer, root: User, eve: User, client_for: ClientFor) -> None:
    with scope.platform("test"):
        rule = ruling.create(customer=jia, said=Said("x", "x", "deny"), actor=root, now=NOW)
    for name in ("", "up/", "off/", "retire/"):
        assert client_for(eve).post(f"/bastion/rules/{rule.pk}/{name}").status_code == 404


def test_a_groups_administrator_reads_the_rules_that_hold_there(
    jia: Customer, group: ResourceGroup, bob: User, root: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        other = groups.create(customer=jia, name="Rest", description="", actor=root, now=NOW)
        for name, of in (("everywhere", None), ("in the shop", group), ("elsewhere", other)):
            ruling.create(customer=jia, said=Said(name, "x", "deny", group=of), actor=root, now=NOW)
    page = client_for(bob).get("/bastion/rules/").content.decode()
    assert "everywhere" in page
    assert "in the shop" in page
    assert "elsewhere" not in page
    assert "/bastion/rules/new/" not in page


def test_a_host_key_is_compared_and_confirmed_on_its_page(
    jia: Customer, web: Asset, alice: User, bob: User, eve: User, lin: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        sighting = HostKeySighting.objects.create(
            customer=jia, asset=web, host="10.0.0.5", port=22, key=KEY, fingerprint=keypairs.fingerprint(KEY),
            fingerprint_before="SHA256:before", kind="changed", seen_at=NOW, last_seen_at=NOW,
        )  # fmt: skip
    client = client_for(alice)
    for page in (client.get("/bastion/host-keys/"), client.get(f"/bastion/host-keys/{sighting.pk}/")):
        assert keypairs.fingerprint(KEY) in page.content.decode()
        assert "SHA256:before" in page.content.decode()
    assert client_for(lin).get(f"/bastion/host-keys/{sighting.pk}/").status_code == 200
    assert client_for(bob).get("/bastion/host-keys/").status_code == 403
    for address in ("", "decide/"):
        assert client_for(eve).post(f"/bastion/host-keys/{sighting.pk}/{address}").status_code in (404, 405)
    assert client.post(f"/bastion/host-keys/{sighting.pk}/decide/", {"answer": "?"}).status_code == 422
    client.post(f"/bastion/host-keys/{sighting.pk}/decide/", {"answer": "yes", "words": ""})
    with scope.platform("test"):
        assert SshAccess.objects.get(asset=web).host_key == KEY


def test_another_customers_manager_sees_none_of_it(
    jia: Customer, web: Asset, group: ResourceGroup, chen: User, eve: User, root: User, client_for: ClientFor
) -> None:
    grant = give(chen, group, root)
    with scope.platform("test"):
        asked = requesting.ask(person=chen, asset=web, asked=Asked("trops", 60, "the disk is full"), now=NOW)
    client = client_for(eve)
    for address in (
        f"groups/{group.pk}/", f"groups/{group.pk}/add/", f"groups/{group.pk}/change/", f"grants/{grant.pk}/change/",
        f"connect/{web.pk}/", f"reach/resource/{web.pk}/", f"requests/{asked.pk}/", f"grants/new/?asset={web.pk}",
        f"grants/new/?group={group.pk}", f"reach/person/{chen.pk}x/",
    ):  # fmt: skip
        assert client.get(f"/bastion/{address}").status_code == 404, address
    for address in ("groups/", "grants/", "requests/", "connect/", "reviews/", "host-keys/", f"grants/?asset={web.pk}"):
        page = client.get(f"/bastion/{address}").content.decode()
        for secret in ("web-01", "Shop", "Chen", "the disk is full"):
            assert secret not in page, (address, secret)
