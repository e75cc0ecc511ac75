"""Passes that meet: several askers, several workers, and a person who edits meanwhile."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset, SyncRun
from assets.services import inventory, syncing
from assets.services.inventory import Ownership
from assets.tasks import sync_account, sync_due
from demo.aliyun import CloudServer
from tests.assets.conftest import register
from tests.conftest import NOW

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*works: Callable[[], object]) -> list[object]:
    gate, results = threading.Barrier(len(works)), []

    def one(work: Callable[[], object]) -> None:
        gate.wait()
        try:
            results.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_several_askers_get_one_pass_and_several_workers_do_it_once(jia: Customer, server: CloudServer) -> None:
    with scope.customer(jia):
        account = register(jia, server)

    def ask() -> int:
        with scope.customer(jia):
            return syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=None, now=NOW).pk

    runs = set(at_once(*[ask] * 6))
    assert len(runs) == 1
    run_id = runs.pop()
    assert isinstance(run_id, int)

    at_once(*[lambda: sync_account(jia.pk, run_id)] * 4)

    with scope.customer(jia):
        assert SyncRun.objects.get().state == SyncRun.State.DONE
        assert Asset.objects.count() == 39
        assert AuditEntry.objects.filter(action="cloud_account.sync").count() == 10


def test_an_owner_named_during_a_pass_is_not_lost(jia: Customer, server: CloudServer, chen: User) -> None:
    with scope.customer(jia):
        account = register(jia, server)
        first = syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=None, now=NOW)
        syncing.run(run_id=first.pk, clock=lambda: NOW)
        web = Asset.objects.get(name="mall-web-01")
        for row in server.cloud.estate(account.account_uid).rows["ecs"]:
            row["InstanceName"] = f"{row['InstanceName']}-new"
        second = syncing.ask(account=account, trigger=SyncRun.Trigger.PERSON, actor=None, now=NOW)

    def name_owner() -> None:
        with scope.customer(jia):
            inventory.set_owner(assets=[web], ownership=Ownership(owner_name="王工"), actor=chen, now=NOW)

    at_once(lambda: sync_account(jia.pk, second.pk), name_owner)

    with scope.customer(jia):
        web.refresh_from_db()
        assert (web.name, web.owner_name) == ("mall-web-01-new", "王工")


def test_the_rhythm_asks_for_every_customers_accounts(jia: Customer, yi: Customer, server: CloudServer) -> None:
    with scope.customer(jia):
        register(jia, server)
    with scope.customer(yi):
        register(yi, server)  # the same cloud account, looked after for two customers

    sync_due()

    with scope.platform("test"):
        assert sorted(SyncRun.objects.values_list("customer_id", flat=True)) == sorted([jia.pk, yi.pk])
