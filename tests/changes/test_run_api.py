"""Runs of operations by the API: planned, started, followed and stopped with the same rights as on the pages."""

from __future__ import annotations

import pytest

from accounts import scope
from accounts.models import User
from assets.models import Asset, CloudAccount
from changes.models import Change, ChangeState, OperationRun
from demo.aliyun import CloudServer
from incidents.models import Incident
from tests.changes.conftest import draft
from tests.changes.runs import Driver, own, set_to
from tests.conftest import ClientFor

JSON = "application/json"


@pytest.fixture
def web(account: CloudAccount, server: CloudServer) -> Asset:
    with scope.customer(account.customer_id):
        return own(account, server, "mall-web-01")


@pytest.fixture
def change(incident: Incident, web: Asset, chen: User) -> Change:
    with scope.customer(incident.customer):
        return draft(incident, chen, web, operation="ecs-power", fields={"action": "stop"})


def test_from_the_dry_run_to_the_way_back(change: Change, web: Asset, chen: User, client_for: ClientFor) -> None:
    client = client_for(chen)
    (run,) = client.post("/api/v1/operation-runs/", {"change": change.pk}, JSON).json()
    address = f"/api/v1/operation-runs/{run['id']}/"
    assert (run["state"], run["asset"]) == ("planned", web.pk)
    assert [step["action"] for step in run["steps"]] == ["StopInstance"]
    refused = client.post(f"{address}start/")
    assert refused.status_code == 409, "the change is not being carried out"
    with scope.customer(change.customer_id):
        set_to(change, ChangeState.EXECUTING)
    assert client.post(f"{address}start/").json()["state"] == "running"
    with scope.customer(change.customer_id):
        Driver().to_end(OperationRun.objects.get(pk=run["id"]))
    done = client.get(address).json()
    assert (done["state"], done["percent"]) == ("verified", 100)
    assert done["steps"][0]["request_ids"]
    assert [line["kind"] for line in client.get(f"{address}log/").json()][:2] == ["planned", "started"]
    assert client.post(f"{address}give-up/").status_code == 409
    assert client.post(f"{address}look-again/").status_code == 409
    back = client.post(f"{address}undo/")
    assert (back.status_code, back.json()["undoes"]) == (201, run["id"])
    assert client.post(f"/api/v1/operation-runs/{back.json()['id']}/stop/").json()["state"] == "cancelled"
    listed = client.get(f"/api/v1/operation-runs/?change={change.pk}&state=verified").json()["results"]
    assert [row["id"] for row in listed] == [run["id"]]


def test_what_does_not_fit_is_said(change: Change, chen: User, client_for: ClientFor, server: CloudServer) -> None:
    client = client_for(chen)
    assert client.post("/api/v1/operation-runs/", {"change": 999_999}, JSON).status_code == 400
    wrong = {"change": change.pk, "cloud_account": 999_999}
    assert client.post("/api/v1/operation-runs/", wrong, JSON).status_code == 400
    server.cloud.fail("unavailable", 9, action="DescribeInstances")
    answer = client.post("/api/v1/operation-runs/", {"change": change.pk}, JSON)
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")


def test_a_customer_reads_and_never_presses_and_another_customer_sees_nothing(
    change: Change, chen: User, alice: User, vera: User, eve: User, client_for: ClientFor
) -> None:
    (run,) = client_for(chen).post("/api/v1/operation-runs/", {"change": change.pk}, JSON).json()
    address = f"/api/v1/operation-runs/{run['id']}/"
    for person in (alice, vera):
        client = client_for(person)
        assert client.get(address).json()["state"] == "planned"
        assert client.post("/api/v1/operation-runs/", {"change": change.pk}, JSON).status_code == 403
        for verb in ("start", "stop", "undo", "look-again", "give-up"):
            assert client.post(f"{address}{verb}/").status_code == 403, verb
    stranger = client_for(eve)
    assert stranger.get("/api/v1/operation-runs/").json()["results"] == []
    assert stranger.get(address).status_code == 404
    assert stranger.get(f"{address}log/").status_code == 404
    assert stranger.post(f"{address}start/").status_code in (403, 404)
