"""Hosts behind a node, reached from the platform: scripts, checks of credentials and host keys take the node's way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets import ssh
from assets.models import Asset, Check, Credential, SshAccess
from assets.services import reaching
from bastion.models import Node
from bastion.services import enrolling
from tests.bastion.test_node_program import Program, program, until  # noqa: F401 - fixtures
from tests.changes.hosts import KeyHost, Turns, approved, only, place_host, read_on, script
from tests.conftest import ClientFor
from tests.portal import portal  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin") is None, reason="needs sshd"),
]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[KeyHost]:
    place = tmp_path / "host"
    place.mkdir()
    with KeyHost(place).running() as running:
        yield running


@pytest.fixture
def node(program: Program, jia: Customer) -> Node:  # noqa: F811 - the fixture
    """In the customer's network."""

    def is_connected() -> bool:
        with scope.platform("test"):
            return not Node.objects.get().is_silent(timezone.now())

    until(is_connected)
    with scope.platform("test"):
        Node.objects.update(customer=jia)
        return Node.objects.get()


@pytest.fixture
def inside(jia: Customer, host: KeyHost, root: User) -> Asset:
    """A server that is reached through a node only."""
    with scope.customer(jia):
        asset = place_host(jia, host, "inside-1")
        reaching.put_behind_node(asset=asset, host="127.0.0.1", port=host.port, actor=root, now=timezone.now())
    return asset


def test_a_script_runs_on_a_host_behind_a_node(node: Node, inside: Asset, chen: User, lin: User) -> None:
    with scope.customer(inside.customer):
        run = read_on(approved(script("echo from $SSH_CONNECTION; seq 1 20000"), chen, lin), chen, inside)
        Turns().to_rest(run)
        done = only(run)
        assert (done.state, done.problem_code) == ("done", "")
        assert "from 127.0.0.1" in done.stdout
        assert "20000" in done.stdout or done.stdout_is_cut


def test_without_a_node_nothing_is_sent(program: Program, node: Node, inside: Asset, root: User) -> None:  # noqa: F811
    with scope.customer(inside.customer):
        door = reaching.door_of(inside)
    program.stop()
    with pytest.raises(ssh.SshError) as lost, ssh.session(door, ssh.Login("x", password="x")):
        pass
    assert lost.value.code == "unreachable"
    with scope.platform("test"):
        enrolling.revoke(node=node, actor=root, now=timezone.now())
    with scope.customer(inside.customer), pytest.raises(DomainError) as refused:
        reaching.door_of(inside)
    assert refused.value.code == "no_node"


def test_neither_a_node_of_another_customer_nor_the_platforms_own_leads_there(
    node: Node, inside: Asset, yi: Customer
) -> None:
    for customer in (yi, None):
        with scope.platform("test"):
            Node.objects.filter(pk=node.pk).update(customer=customer)
        with scope.customer(inside.customer), pytest.raises(DomainError) as refused:
            reaching.door_of(inside)
        assert refused.value.code == "no_node"


def test_the_pinned_key_holds_on_this_way_too(node: Node, inside: Asset, root: User) -> None:
    with scope.customer(inside.customer):
        credential = Credential.objects.get(asset=inside)
        reaching.check(credential=credential, actor=root, now=timezone.now())
        credential.refresh_from_db()
        assert credential.check_state == Check.WORKS
        SshAccess.objects.filter(asset=inside).update(
            host_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5lmTrK3bwjm4X2oBjMq8RSkOpBJ0dVuGnDA5aYkXnZ"
        )
        with pytest.raises(ssh.SshError) as changed, ssh.session(reaching.door_of(inside), ssh.Login("x")):
            pass
    assert changed.value.code == "host_key_changed"


def test_its_key_is_read_compared_and_confirmed_through_the_node(
    node: Node, inside: Asset, host: KeyHost, root: User, client_for: ClientFor
) -> None:
    with scope.customer(inside.customer):
        key = SshAccess.objects.get(asset=inside).host_key
        SshAccess.objects.filter(asset=inside).update(host_key="", fingerprint="")
    client, page = client_for(root), f"/assets/{inside.pk}/ssh/"
    where = {"host": "127.0.0.1", "port": host.port, "behind_node": "on"}
    seen = client.post(page, where).content.decode()
    assert key in seen
    assert 'name="behind_node" value="on"' in seen
    assert client.post(page, {**where, "host_key": key}).status_code == 302
    with scope.customer(inside.customer):
        access = SshAccess.objects.get(asset=inside)
    assert (access.host_key, access.through) == (key, "node")


def test_a_host_may_be_kept_before_its_node_is_there(
    inside: Asset, root: User, client_for: ClientFor
) -> None:  # fmt: skip
    client, page = client_for(root), f"/assets/{inside.pk}/ssh/"
    where = {"host": "10.9.9.9", "port": 22, "behind_node": "on"}
    refused = client.post(page, where).content.decode()
    assert 'name="keep"' in refused
    assert client.post(page, {**where, "keep": "on"}).status_code == 302
    with scope.customer(inside.customer):
        assert SshAccess.objects.get(asset=inside).host == "10.9.9.9"
