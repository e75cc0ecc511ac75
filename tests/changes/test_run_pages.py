"""The runs on a change's page and the list of all runs: for both sides, and nobody else."""

from __future__ import annotations

import csv
import io

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from changes import tasks
from changes.models import Change, ChangeState, OperationRun, RunState
from demo.aliyun import CloudServer
from incidents.models import Incident
from tests.changes.conftest import draft
from tests.changes.runs import Driver, carry_out, own, set_to
from tests.conftest import ClientFor


@pytest.fixture
def web(account: CloudAccount, server: CloudServer) -> Asset:
    with scope.customer(account.customer_id):
        return own(account, server, "mall-web-01")


@pytest.fixture
def change(incident: Incident, web: Asset, chen: User) -> Change:
    with scope.customer(incident.customer):
        made = draft(incident, chen, web, operation="ecs-power", fields={"action": "stop"})
        return set_to(made, ChangeState.EXECUTING)


def run_of(change: Change) -> OperationRun:
    with scope.customer(change.customer_id):
        found: OperationRun = OperationRun.objects.select_related("asset").get(change=change, undoes=None)
        return found


def test_an_engineer_plans_looks_carries_out_and_undoes(change: Change, chen: User, client_for: ClientFor) -> None:
    client, address = client_for(chen), f"/changes/{change.pk}/runs/"
    assert f'hx-get="{address}"' in client.get(f"/changes/{change.pk}/").content.decode()
    assert f"{address}plan/" in client.get(address).content.decode()
    assert client.post(f"{address}plan/").status_code == 302
    run = run_of(change)
    shown = client.get(address).content.decode()
    assert all(word in shown for word in ("StopInstance", "KeepCharging", f"{address}{run.pk}/start/", "停止实例"))
    assert client.post(f"{address}{run.pk}/start/").status_code == 302
    assert "every 2s" in client.get(address).content.decode(), "while it runs the page follows"
    tasks.advance_run.run(change.customer_id, run.pk)
    with scope.customer(change.customer_id):
        run.refresh_from_db()
        OperationRun.objects.filter(pk=run.pk).update(next_at=None)
    for _ in range(3):
        tasks.advance_run.run(change.customer_id, run.pk)
        with scope.customer(change.customer_id):
            OperationRun.objects.filter(pk=run.pk).update(next_at=None)
    assert run_of(change).state == RunState.VERIFIED
    shown = client.get(address).content.decode()
    assert "every 2s" not in shown
    assert "SIMULATED-" in shown, "the request ID"
    assert client.post(f"{address}{run.pk}/undo/").status_code == 302
    assert "撤销" in client.get(address).content.decode()
    assert client.post(f"{address}{run.pk}/explode/").status_code == 404


def test_a_refusal_is_said_and_nothing_is_kept(
    change: Change, chen: User, server: CloudServer, client_for: ClientFor
) -> None:
    server.cloud.fail("unavailable", 9, action="DescribeInstances")
    answer = client_for(chen).post(f"/changes/{change.pk}/runs/plan/", headers={"hx-request": "true"})
    assert "ServiceUnavailable" in answer.content.decode() + str(answer.headers)
    with scope.customer(change.customer_id):
        assert not OperationRun.objects.exists()


def test_the_customer_reads_and_never_presses_and_another_customer_sees_nothing(
    change: Change, chen: User, alice: User, vera: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(change.customer_id):
        run = carry_out(change, chen, Driver())
    address = f"/changes/{change.pk}/runs/"
    for person in (alice, vera):
        shown = client_for(person).get(address).content.decode()
        assert "StopInstance" in shown
        assert "<button" not in shown
        for name in ("plan", f"{run.pk}/start", f"{run.pk}/undo", f"{run.pk}/stop"):
            assert client_for(person).post(f"{address}{name}/").status_code == 403
    for path in (address, f"{address}plan/", f"{address}{run.pk}/undo/"):
        answer = client_for(eve).get(path) if path == address else client_for(eve).post(path)
        assert answer.status_code in (403, 404)
    assert "mall-web-01" not in client_for(eve).get("/changes/automation/").content.decode()
    assert "mall-web-01" in client_for(alice).get("/changes/automation/").content.decode()


def test_the_list_is_filtered_and_exported(change: Change, chen: User, client_for: ClientFor) -> None:
    client = client_for(chen)
    assert "还没有自动执行" in client.get("/changes/automation/").content.decode()
    with scope.customer(change.customer_id):
        run = carry_out(change, chen, Driver())
    for query, is_there in (
        ("state=verified", True),
        ("state=failed", False),
        (f"customer={change.customer_id}", True),
        ("operation=ecs.stop", True),
        ("operation=ecs.start", False),
        ("q=mall-web", True),
    ):
        assert (f"#run-{run.pk}" in client.get(f"/changes/automation/?{query}").content.decode()) is is_there, query
    answer = client.get("/changes/automation/?export=csv")
    (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig")))
    assert change.number in row.values()
    assert any(str(value).startswith("SIMULATED-") for value in row.values())


def test_a_hostile_name_is_only_text(
    change: Change, web: Asset, chen: User, server: CloudServer, client_for: ClientFor
) -> None:
    with scope.customer(change.customer_id):
        Asset.objects.filter(pk=web.pk).update(name="<script>alert(1)</script>")
        carry_out(change, chen, Driver())
    for path in (f"/changes/{change.pk}/runs/", "/changes/automation/"):
        assert "<script>alert(1)" not in client_for(chen).get(path).content.decode()


def test_an_account_is_chosen_among_the_customers_own(
    incident: Incident, account: CloudAccount, yi: Customer, chen: User, client_for: ClientFor
) -> None:
    with scope.customer(incident.customer):
        fields = {"action": "add", "domain": "jiahe.example", "rr": "x", "type": "A", "value": "203.0.113.9"}
        made = set_to(draft(incident, chen, operation="dns-record", fields=fields), ChangeState.EXECUTING)
    with scope.platform("test"):
        foreign = CloudAccount.objects.create(
            customer=yi, name="Foreign", account_uid="1", access_key_id="x", created_at=account.created_at
        )
    answer = client_for(chen).post(f"/changes/{made.pk}/runs/plan/", {"account": foreign.pk})
    assert answer.status_code == 404
    assert client_for(chen).post(f"/changes/{made.pk}/runs/plan/", {"account": account.pk}).status_code == 302
