"""Runs against a simulated cloud on a real port: an account with both keys, assets that exist there, and a clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from accounts.models import Customer, User
from assets.models import AccountPurpose, Asset, CloudAccount
from assets.services import credentials
from assets.services.credentials import Entry
from changes.models import Change, ChangeState, OperationRun
from changes.services import running, runs
from demo.aliyun import JIA_UID, OPERATIONS, CloudServer, demo_cloud
from demo.aliyun.workings import Workings
from tests.assets.conftest import register
from tests.conftest import NOW

ID_OF = {"ecs": "InstanceId", "rds": "DBInstanceId", "slb": "LoadBalancerId"}


@contextmanager
def quick_cloud() -> Iterator[CloudServer]:
    """One in which everything is done at once."""
    with CloudServer(demo_cloud()) as server:
        server.cloud.estate(JIA_UID).work.takes = timedelta()
        yield server


def workings(server: CloudServer) -> Workings:
    return server.cloud.estate(JIA_UID).work


def open_account(customer: Customer, server: CloudServer) -> CloudAccount:
    account = register(customer, server)
    entry = Entry(
        "access_key",
        "rdmp-operations",
        AccountPurpose.OPERATIONS,
        OPERATIONS.access_key_secret,
        access_key_id=OPERATIONS.access_key_id,
    )
    credentials.add(where=account, entry=entry, actor=None, now=NOW)
    return account


def own(account: CloudAccount, server: CloudServer, name: str, *, kind: str = "ecs") -> Asset:
    """The asset that stands for a resource of the simulated account."""
    row = server.cloud.estate(JIA_UID).find(name)
    return Asset.objects.create(
        customer_id=account.customer_id,
        cloud_account=account,
        kind=kind,
        provider_id=str(row[ID_OF[kind]]),
        name=name,
        region=str(row["RegionId"]),
        environment="production",
        created_at=NOW,
        changed_at=NOW,
    )


def set_to(change: Change, state: ChangeState) -> Change:
    """As if its gates were passed: they have tests of their own."""
    Change.objects.filter(pk=change.pk).update(state=state, begun_at=NOW)
    change.refresh_from_db()
    return change


class Driver:
    """Turns of a worker, forty seconds apart by its own clock."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def turn(self, run: OperationRun) -> OperationRun:
        self.moment += timedelta(seconds=40)
        running.advance(run_id=run.pk, clock=lambda: self.moment)
        run.refresh_from_db()
        return run

    def to_end(self, run: OperationRun, turns: int = 30) -> OperationRun:
        for _ in range(turns):
            if not run.is_active:
                break
            self.turn(run)
        return run


def carry_out(change: Change, actor: User, driver: Driver, *, backup: bool = False) -> OperationRun:
    """Plan, start and drive the one run of a change."""
    (run,) = runs.plan(change=change, actor=actor, now=driver.moment, backup=backup)
    runs.start(run=run, actor=actor, now=driver.moment)
    run.refresh_from_db()
    return driver.to_end(run)


def log_of(run: OperationRun) -> list[str]:
    return [line.kind for line in run.lines.all()]


def undo(run: OperationRun, actor: User, driver: Driver) -> OperationRun:
    back = runs.undo(run=run, actor=actor, now=driver.moment)
    runs.start(run=back, actor=actor, now=driver.moment)
    back.refresh_from_db()
    driver.to_end(back)
    run.refresh_from_db()
    return back
