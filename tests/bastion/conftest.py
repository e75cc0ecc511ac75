"""A server with accounts, an enrolled node, and a bench: a gateway in front of a real sshd, its portal in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, Credential, CredentialKind
from bastion.access import Protocol
from bastion.gateway.contract import Action, Client, Front
from bastion.models import Node
from bastion.services.authorising import Wish
from tests.bastion.targets import Bench, KeyTarget, bench, key_target
from tests.conftest import NOW
from tests.incidents.conftest import make_asset

SSH = frozenset({Protocol.SSH})
CONNECT = frozenset({Action.CONNECT})


def server(customer: Customer, name: str, *, details: dict[str, str] | None = None) -> Asset:
    asset = make_asset(customer, name)
    with scope.customer(customer):
        Asset.objects.filter(pk=asset.pk).update(kind="server", os="linux", details=details or {})
        asset.refresh_from_db()
        for username, purpose in (("trops", "operations"), ("xxadmin", "customer"), ("www", "application")):
            Credential.objects.create(
                customer=customer,
                asset=asset,
                kind=CredentialKind.HOST,
                purpose=purpose,
                username=username,
                secret_set_at=NOW,
                created_at=NOW,
            )
    return asset


def wish_for(asset: Asset, username: str = "trops", *, work: str = "look at the disk", **changes: object) -> Wish:
    said: dict[str, object] = {
        "asset": asset,
        "credential": Credential.objects.get(asset=asset, username=username),
        "protocol": Protocol.SSH,
        "work": work,
        "front": Front.SSH,
        "client": Client("192.0.2.7", 50022, "OpenSSH_9.2"),
    }
    return Wish(**{**said, **changes})  # type: ignore[arg-type]


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, "web-01", details={"VpcId": "vpc-1"})


@pytest.fixture
def node(root: User) -> Node:
    with scope.platform("test"):
        return Node.objects.create(
            name="beside the portal",
            state=Node.State.ENROLLED,
            public_key="k",
            created_by=root,
            created_at=NOW,
            enrolled_at=NOW,
        )


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyTarget]:
    with key_target(tmp_path_factory.mktemp("target")) as target:
        yield target


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
async def b(tmp_path: Path, target: KeyTarget, keys: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, [target.hop()], keys=keys) as made:
        yield made
