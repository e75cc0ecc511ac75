"""A simulated Alibaba Cloud on a real port, and accounts registered with it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from accounts import scope
from accounts.models import Customer
from assets import services
from assets.aliyun import Client, Patience
from assets.models import CloudAccount, SyncRun
from assets.services import accounts, syncing
from demo.aliyun import READ_ONLY, CloudServer, Credentials, SimulatedCloud, demo_cloud
from tests.conftest import NOW

REGIONS = ("cn-hangzhou", "cn-shanghai", "cn-beijing")
HASTY = Patience(attempts=3, total_s=10, base_s=0.001, longest_s=0.002)
ClientOf = Callable[..., Client]


def later() -> datetime:
    """The simulated cloud checks clocks for real, so what speaks to it needs the real time."""
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "PATIENCE", HASTY)
    monkeypatch.setattr(accounts, "QUICK", HASTY)


@pytest.fixture
def server() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


@pytest.fixture
def cloud(server: CloudServer) -> SimulatedCloud:
    return server.cloud


@pytest.fixture
def client_of(server: CloudServer) -> ClientOf:
    def make(key: Credentials = READ_ONLY, **options: object) -> Client:
        options = {"patience": HASTY, "read_timeout_s": 0.5, "endpoints": server.endpoints(), **options}
        return Client(key.access_key_id, key.access_key_secret, **options)  # type: ignore[arg-type]  # a test's shorthand

    return make


def register(customer: Customer, server: CloudServer, key: Credentials = READ_ONLY, **more: object) -> CloudAccount:
    return services.register_account(
        customer=customer,
        name="Main",
        credentials=services.Credentials(
            key.access_key_id, key.access_key_secret, "https://signin.example/", "rdmp-admin@jiahe", "console-password"
        ),
        regions=REGIONS,
        endpoint_override=server.url,
        actor=None,
        now=NOW,
        **more,  # type: ignore[arg-type]  # a test's shorthand
    )


@pytest.fixture
def account(jia: Customer, server: CloudServer) -> CloudAccount:
    with scope.customer(jia):
        return register(jia, server)


def sync(account: CloudAccount, now: datetime = NOW) -> SyncRun:
    run = syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=None, now=now)
    done = syncing.run(run_id=run.pk, clock=lambda: now)
    assert done is not None
    return done
