"""What the seed writes down about the servers behind the bastion is what they and the bastion need."""

from __future__ import annotations

from pathlib import Path

from django.conf import LazySettings

from accounts import scope
from accounts.models import Customer, User
from assets import keypairs
from assets.models import Asset
from bastion.access import Protocol
from bastion.gateway.contract import Client
from bastion.models import Node
from bastion.services import authorising, signing_in
from demo import hosts, servers, visits
from tests.conftest import NOW
from tests.incidents.conftest import make_asset


def test_the_engineer_reaches_every_server_by_our_account_and_by_key(
    jia: Customer, alice: User, chen: User, lin: User, settings: LazySettings, tmp_path: Path
) -> None:
    settings.STATE_DIR = tmp_path
    for name in hosts.ADDRESSES:
        asset = make_asset(jia, name)
        with scope.customer(jia):
            Asset.objects.filter(pk=asset.pk).update(kind="ecs", os="linux")
    with scope.platform("test"):
        servers.write(customer=jia, manager=alice, engineers=(chen, lin), now=NOW)
        reached = authorising.reachable(chen, protocol=Protocol.SSH, now=NOW)
        assert {asset.name for asset in reached} == set(hosts.ADDRESSES)
        usual = [authorising.accounts_of(chen, asset, protocol=Protocol.SSH, now=NOW)[0] for asset in reached]
        assert {account.username for account in usual} == {"trops"}
    known = hosts.read(tmp_path)
    assert set(known.accounts) == set(hosts.ADDRESSES)
    for path in (tmp_path / hosts.DIRECTORY).iterdir():
        assert path.stat().st_mode & 0o077 == 0
    login, _, private = (tmp_path / hosts.DIRECTORY / visits.KEY).read_text().partition("\n")
    with scope.platform("test"):
        line, client = keypairs.public_half(private), Client("192.0.2.7", 50022, "OpenSSH_9.2")
        assert signing_in.is_known_key(node=Node(), login=login, public_key=line, client=client)
