"""The API of the bastion: the same rows and the same refusals as on the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset, SshAccess
from bastion.gateway.contract import End
from bastion.models import AccessRequest, BastionSession, Grant, HardeningCheck, HardeningResult, HardeningRun, Node
from bastion.services import granting, groups, living, requesting
from bastion.services.granting import Wanted
from bastion.services.requesting import Asked
from tests.bastion import kept
from tests.bastion.conftest import CONNECT, SSH, server
from tests.conftest import NOW, ClientFor

API = "/api/v1/"


def listed(client: Client, what: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{API}{what}/", query)
    assert answer.status_code == 200, answer.content
    return list(answer.json()["results"])


def post(client: Client, what: str, **said: object) -> tuple[int, dict[str, Any]]:
    answer = client.post(f"{API}{what}/", said, content_type="application/json")
    return answer.status_code, answer.json()


@pytest.fixture
def session(node: Node, web: Asset, root: User) -> BastionSession:
    made = kept.begin(node, web, root)
    kept.command(made, 5, "rm -rf /var/cache", 11.0, verdict="warn")
    kept.command(made, 6, "ls -l", 12.0)
    return made


def test_sessions_are_those_that_one_may_watch(
    session: BastionSession, web: Asset, alice: User, bob: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    [found] = listed(client_for(alice), "bastion/sessions")
    assert (found["uid"], found["account"], found["asset_name"], found["state"]) == (
        str(session.uid), "trops", "web-01", "open",
    )  # fmt: skip
    assert found["person"]["name"] == "Root"
    assert listed(client_for(alice), "bastion/sessions", state="ended") == []
    assert listed(client_for(alice), "bastion/sessions", asset=web.pk + 1) == []
    for person in (bob, eve, chen):
        assert listed(client_for(person), "bastion/sessions") == []
        assert client_for(person).get(f"{API}bastion/sessions/{session.pk}/").status_code == 404
        assert post(client_for(person), f"bastion/sessions/{session.pk}/disconnect")[0] == 404


def test_who_reads_somebody_elses_is_written_down(
    session: BastionSession, alice: User, root: User, client_for: ClientFor
) -> None:
    for person in (alice, root):
        assert client_for(person).get(f"{API}bastion/sessions/{session.pk}/").status_code == 200
    with scope.platform("test"):
        [entry] = AuditEntry.objects.filter(action="bastion.session.view")
        assert entry.actor_id == alice.pk


def test_one_is_disconnected(
    session: BastionSession, alice: User, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(living, "tell", lambda _session, order: told.append(order))
    status, found = post(client_for(alice), f"bastion/sessions/{session.pk}/disconnect", words="Please stop")
    assert (status, found["id"]) == (200, session.pk)
    assert told == [End("killed", "Please stop", alice.pk)]


def test_commands_are_searched(session: BastionSession, alice: User, bob: User, client_for: ClientFor) -> None:
    client = client_for(alice)
    assert [one["text"] for one in listed(client, "bastion/commands")] == ["ls -l", "rm -rf /var/cache"]
    assert [one["text"] for one in listed(client, "bastion/commands", q="cache rm")] == ["rm -rf /var/cache"]
    assert [one["text"] for one in listed(client, "bastion/commands", verdict="warn")] == ["rm -rf /var/cache"]
    assert listed(client, "bastion/commands", q="nothing\0 like it") == []
    assert listed(client_for(bob), "bastion/commands") == []


# --- grants and requests ----------------------------------------------------------------------------------------------


def test_a_grant_is_given_and_taken_back(
    web: Asset, bob: User, alice: User, eve: User, vera: User, client_for: ClientFor
) -> None:
    said: dict[str, object] = {
        "person": bob.pk, "asset": web.pk, "actions": ["connect", "forward"], "protocols": ["ssh"],
        "accounts": ["xxadmin"], "forwards": ["localhost:8080"], "until": "2099-01-01T00:00:00Z", "reason": "Release",
    }  # fmt: skip
    status, made = post(client_for(alice), "bastion/grants", **said)
    assert status == 201, made
    assert (made["accounts"], made["actions"], made["forwards"]) == (
        ["xxadmin"],
        ["connect", "forward"],
        ["localhost:8080"],
    )
    assert made["granted_by"]["name"] == "Alice"
    assert [one["id"] for one in listed(client_for(bob), "bastion/grants")] == [made["id"]], "one's own"
    assert listed(client_for(alice), "bastion/grants", is_ended=True) == []
    assert listed(client_for(eve), "bastion/grants") == []
    assert post(client_for(eve), f"bastion/grants/{made['id']}/end")[0] == 404
    assert client_for(vera).get(f"{API}bastion/grants/").status_code == 403
    status, ended = post(client_for(alice), f"bastion/grants/{made['id']}/end")
    assert (status, ended["ended_by"]["name"]) == (200, "Alice")


def test_a_grant_may_hold_by_the_week(web: Asset, bob: User, alice: User, client_for: ClientFor) -> None:
    nights = {"days": [5, 4, 5], "from": "22:00", "to": "06:00", "unknown": "x"}
    said: dict[str, object] = {"person": bob.pk, "asset": web.pk, "actions": ["connect"], "protocols": ["ssh"]}
    status, made = post(client_for(alice), "bastion/grants", **said, windows=[nights])
    assert (status, made["windows"]) == (201, [{"days": [4, 5], "from": "22:00", "to": "06:00"}])
    with scope.platform("test"):
        assert Grant.objects.get().windows == made["windows"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"asset": None}, 400),
        ({"asset": 10**9}, 400),
        ({"person": 10**9}, 400),
        ({"actions": ["everything"]}, 400),
        ({"protocols": ["rdp"]}, 400),
        ({"actions": ["forward"]}, 409),
        ({"until": "2001-01-01T00:00:00Z"}, 409),
        ({"windows": [{"days": [7], "from": "22:00", "to": "06:00"}]}, 400),
        ({"windows": [{"days": "0", "from": "22:00", "to": "06:00"}]}, 400),
        ({"windows": [{"days": [0], "from": "25:00", "to": "06:00"}]}, 400),
        ({"windows": [{"from": "2026-03-02T02:00:00Z", "to": "2026-03-02T03:00:00Z"}]}, 400),
        ({"windows": [{"days": [0]}]}, 400),
    ],
)
def test_what_makes_no_sense_is_not_granted(
    web: Asset, bob: User, alice: User, client_for: ClientFor, changes: dict[str, object], status: int
) -> None:
    said: dict[str, object] = {"person": bob.pk, "asset": web.pk, "actions": ["connect"], "protocols": ["ssh"]}
    assert post(client_for(alice), "bastion/grants", **{**said, **changes})[0] == status
    with scope.platform("test"):
        assert not Grant.objects.exists()


def test_nobody_grants_what_they_may_not(
    jia: Customer, yi: Customer, web: Asset, bob: User, chen: User, eve: User, root: User, client_for: ClientFor
) -> None:
    """A group's administrator stays inside the group and gives themselves nothing; another customer's find nothing."""
    with scope.platform("test"):
        group = groups.create(customer=jia, name="Shop", description="", actor=root, now=NOW)
        groups.add(group=group, assets=[web], actor=root, now=NOW)
        groups.name_administrator(group=group, person=bob, actor=root, now=NOW)
    said: dict[str, object] = {"actions": ["connect"], "protocols": ["ssh"]}
    client = client_for(bob)
    assert post(client, "bastion/grants", person=bob.pk, group=group.pk, **said)[0] == 403
    assert post(client, "bastion/grants", person=chen.pk, asset=web.pk, **said)[0] == 403
    assert post(client_for(eve), "bastion/grants", person=eve.pk, asset=web.pk, **said)[0] == 400
    assert post(client, "bastion/grants", person=chen.pk, group=group.pk, **said)[0] == 201


@pytest.fixture
def asked(web: Asset, bob: User) -> AccessRequest:
    with scope.platform("test"):
        wanted = Asked(account="xxadmin", minutes=60, reason="Shop is slow")
        return requesting.ask(person=bob, asset=web, asked=wanted, now=NOW)


def test_a_request_is_decided(asked: AccessRequest, alice: User, bob: User, eve: User, client_for: ClientFor) -> None:
    [found] = listed(client_for(bob), "bastion/requests", state="waiting")
    assert (found["id"], found["reason"], found["minutes"]) == (asked.pk, "Shop is slow", 60)
    assert listed(client_for(eve), "bastion/requests") == []
    assert post(client_for(bob), f"bastion/requests/{asked.pk}/grant")[0] == 403, "not one's own"
    assert post(client_for(eve), f"bastion/requests/{asked.pk}/grant")[0] == 404
    assert post(client_for(alice), f"bastion/requests/{asked.pk}/refuse")[0] == 409, "without a reason"
    status, settled = post(client_for(alice), f"bastion/requests/{asked.pk}/grant", minutes=30, words="Go ahead")
    assert (status, settled["state"], settled["decided_by"]["name"]) == (200, "granted", "Alice")
    with scope.platform("test"):
        grant = Grant.objects.get(pk=settled["grant"])
        assert grant.until is not None
        assert (grant.until - grant.granted_at).seconds == 30 * 60
    assert post(client_for(alice), f"bastion/requests/{asked.pk}/refuse", words="No")[0] == 409, "it is settled"


# --- nodes and hardening ----------------------------------------------------------------------------------------------


def test_nodes_are_the_administrators(node: Node, root: User, alice: User, lin: User, client_for: ClientFor) -> None:
    [found] = listed(client_for(root), "bastion/nodes")
    assert (found["name"], found["is_silent"]) == ("beside the portal", True)
    assert "public_key" not in found
    for person in (alice, lin):
        assert client_for(person).get(f"{API}bastion/nodes/").status_code == 403


def test_runs_and_results_of_hardening_are_read(
    jia: Customer, web: Asset, alice: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        run = HardeningRun.objects.create(customer=jia, state="done", started_at=NOW, ended_at=NOW)
        check = HardeningCheck.objects.create(customer=jia, run=run, asset=web, state="done", ended_at=NOW)
        for item, outcome in (("root-login", "failed"), ("banner", "passed")):
            HardeningResult.objects.create(
                customer=jia, check_of=check, item=item, outcome=outcome, reason="root_login", names=["yes"]
            )
    client = client_for(alice)
    assert [one["id"] for one in listed(client, "hardening/runs")] == [run.pk]
    [found] = listed(client, "hardening/results", outcome="failed", asset=web.pk, run=run.pk)
    assert (found["item"], found["asset"], found["run"], found["names"]) == ("root-login", web.pk, run.pk, ["yes"])
    assert found["name"]
    assert "yes" in found["reason_text"]
    for what in ("hardening/runs", "hardening/results"):
        assert listed(client_for(eve), what) == []


def test_a_read_only_person_reads_what_pages_show_them(
    session: BastionSession, vera: User, client_for: ClientFor, tmp_path: Path
) -> None:
    assert listed(client_for(vera), "bastion/sessions") == []
    assert listed(client_for(vera), "hardening/runs") == []
    assert post(client_for(vera), "bastion/grants", person=vera.pk, actions=["connect"], protocols=["ssh"])[0] == 403


def test_lists_cost_few_queries(
    jia: Customer, bob: User, root: User, alice: User, client_for: ClientFor, django_assert_max_num_queries: Any
) -> None:
    with scope.platform("test"):
        for number in range(6):
            asset = server(jia, f"web-1{number}")
            SshAccess.objects.create(customer=jia, asset=asset, host="10.0.0.5", port=22, pinned_at=NOW)
            granting.grant(person=bob, to=asset, wanted=Wanted(CONNECT, SSH), actor=root, now=NOW)
    client = client_for(alice)
    listed(client, "bastion/grants")
    with django_assert_max_num_queries(14):
        assert len(listed(client, "bastion/grants")) == 6
