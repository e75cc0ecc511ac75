"""However many rows there are, the database is asked as often as for one, and no more than is shown is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import Customer, Role, User
from assets.models import Asset, Credential, SshAccess
from bastion.gateway import wire
from bastion.gateway.contract import Client, Front
from bastion.models import Node, RecordingPolicy, ResourceGroup
from bastion.services import (
    answering,
    authorising,
    granting,
    groups,
    letting_in,
    replaying,
    requesting,
    retaining,
    reviewing,
    web_terminal,
)
from bastion.services.granting import Wanted
from bastion.services.requesting import Asked
from tests.bastion import kept
from tests.bastion.conftest import CONNECT, SSH, server, wish_for
from tests.conftest import NOW, ClientFor, make_customer, make_person


def asked(work: Callable[[], object]) -> list[str]:
    """The statements that it took."""
    with CaptureQueriesContext(connection) as caught:
        work()
    return [query["sql"] for query in caught.captured_queries]


@pytest.fixture
def group(jia: Customer, web: Asset, bob: User, root: User) -> ResourceGroup:
    """With the server in it, administered by bob."""
    with scope.platform("test"):
        made = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=made, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=made, person=bob, actor=root, now=NOW)
    return made


def let(person: User, to: Asset | ResourceGroup, root: User) -> None:
    with scope.platform("test"):
        granting.grant(person=person, to=to, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)


def reachable(customer: Customer, name: str) -> Asset:
    asset = server(customer, name, details={"VpcId": "vpc-1"})
    with scope.customer(customer):
        SshAccess.objects.create(customer=customer, asset=asset, host=f"{name}.example.com", port=22, pinned_at=NOW)
    return asset


def test_who_reaches_a_server_and_each_account_once(jia: Customer, web: Asset, chen: User, root: User) -> None:
    with scope.platform("test"):
        Credential.objects.create(
            customer=jia, asset=web, kind="key_pair", purpose="operations", username="trops",
            secret_set_at=NOW, created_at=NOW,
        )  # fmt: skip
        let(chen, web, root)
        few = asked(lambda: answering.who_reaches(web, now=NOW))
        for number in range(4):
            let(make_person(f"bo{number}", Role.CUSTOMER_MEMBER, jia), web, root)
        assert len(asked(lambda: answering.who_reaches(web, now=NOW))) <= len(few) + 1, "accounts of the other side"
        [chens] = [one for one in answering.who_reaches(web, now=NOW) if one.person == chen]
        assert [way.accounts for way in chens.ways] == [["trops"]]
        server(jia, "db-01"), server(jia, "db-02")
        more = list(Asset.objects.select_related("customer"))
        assert len(asked(lambda: answering.how(chen, more, now=NOW))) == len(
            asked(lambda: answering.how(chen, [web], now=NOW))
        )


def test_what_waits_for_a_groups_administrator(
    jia: Customer, web: Asset, group: ResourceGroup, bob: User, root: User, client_for: ClientFor
) -> None:
    client, seen = client_for(bob), []
    with scope.platform("test"):
        for number in range(4):
            person = make_person(f"bo{number}", Role.CUSTOMER_MEMBER, jia)
            requesting.ask(person=person, asset=web, asked=Asked("xxadmin", 60, "the disk is full"), now=NOW)
            seen.append(len(asked(lambda: client.get("/bastion/requests/"))))
    assert len(set(seen[1:])) == 1, seen
    with scope.user(bob):
        assert requesting.waiting_for(bob).count() == 4


def test_commands_that_wait_for_a_groups_administrator(
    web: Asset, group: ResourceGroup, node: Node, bob: User, chen: User, root: User
) -> None:
    let(chen, group, root)
    with scope.platform("test"):
        session = authorising.authorise(person=chen, wish=wish_for(web), node=node, now=NOW)
        for number in range(3):
            said = wire.ForReview(str(session.uid), number, "sudo reboot", 300.0)
            reviewing.ask(node=node, said=said, now=NOW)
    with scope.user(bob):
        assert len(asked(lambda: list(reviewing.waiting_for(bob, now=NOW).joined()))) == 1
        assert reviewing.waiting_for(bob, now=NOW).count() == 3
    with scope.user(chen):
        assert not reviewing.waiting_for(chen, now=NOW).exists(), "their own"


def test_grants_of_a_groups_administrator(
    jia: Customer, group: ResourceGroup, bob: User, root: User, client_for: ClientFor
) -> None:
    client, seen = client_for(bob), []
    for number in range(4):
        let(make_person(f"bo{number}", Role.CUSTOMER_MEMBER, jia), group, root)
        seen.append(len(asked(lambda: client.get("/bastion/grants/"))))
    assert len(set(seen[1:])) == 1, seen


@pytest.mark.parametrize("place", ["browser", "menu"])
def test_a_list_of_resources_reads_no_more_than_it_shows(
    jia: Customer, node: Node, chen: User, root: User, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for number in range(5):
        let(chen, reachable(jia, f"app-{number}"), root)
    monkeypatch.setattr(web_terminal, "MOST_LISTED", 2)
    monkeypatch.setattr(letting_in, "MOST_LISTED", 2)

    def listed(query: str) -> list[str]:
        if place == "browser":
            return [one.name for one in web_terminal.resources(chen, query=query, now=NOW)]
        return [one.name for one in letting_in.resources(chen, node=node, query=query, limit=2, now=NOW)]

    with scope.user(chen):
        said = asked(lambda: listed("app"))
        assert listed("app") == ["app-0", "app-1"]
        assert listed("APP example") == []
        Asset.objects.filter(name="app-4").update(host="four.example.com")
        assert listed("APP example") == ["app-4"]
    read = [sql for sql in said if sql.startswith("SELECT") and 'FROM "assets_asset"' in sql]
    assert read
    assert all("LIMIT 2" in sql for sql in read), read
    assert not any('"assets_asset"."details"' in sql for sql in said)


def test_of_several_by_one_name_the_accounts_are_read_once(jia: Customer, node: Node, chen: User, root: User) -> None:
    wanted = wire.ForAccess("", Client("192.0.2.7", 50022, "OpenSSH_9.2"), Front.SSH, "twin", "", "")

    def choose() -> None:
        with pytest.raises(letting_in.NotYet):
            letting_in.let_in(chen, node=node, said=wanted, now=NOW)

    twins = []
    for number in range(4):
        twins.append(reachable(jia, f"twin-{number}"))
        let(chen, twins[-1], root)
    with scope.platform("test"):
        Asset.objects.filter(pk__in=[one.pk for one in twins]).update(host="twin")
        few = asked(choose)
    assert len([sql for sql in few if 'FROM "assets_credential"' in sql]) == 1


def test_the_rules_for_recordings_of_all_customers(jia: Customer, yi: Customer, root: User) -> None:
    with scope.platform("test"):
        RecordingPolicy.objects.create(customer=yi, keep_days=400, changed_by=root, changed_at=NOW)
        few = asked(retaining.policies)
        make_customer("bing", "丙丁零售有限公司")
        assert len(asked(retaining.policies)) == len(few)
        assert sorted(policy.keep_days for policy in retaining.policies()) == [365, 365, 400]


def test_the_page_of_a_recording_reads_no_marker_and_its_index_no_long_text(
    node: Node, web: Asset, root: User, client_for: ClientFor, tmp_path: object
) -> None:
    session = kept.begin(node, web, root)
    kept.command(session, 5, f"  echo {'x' * 1000}", 1.0)
    client = client_for(root)
    shown = asked(lambda: client.get(f"/bastion/sessions/{session.pk}/recording/"))
    assert not any(sql.endswith("LIMIT 1000") for sql in shown)
    with scope.platform("test"):
        [read] = [sql for sql in asked(lambda: replaying.index(session)) if sql.endswith("LIMIT 1000")]
        assert replaying.index(session).markers == ((1.0, f"echo {'x' * 75}"),)
    assert '"bastion_sessioncommand"."text"' not in read.replace('LEFT("bastion_sessioncommand"."text", 400)', "")
