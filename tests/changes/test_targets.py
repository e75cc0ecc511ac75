"""What the catalogue promises is shown before one asks, frozen on the request, and watched until it is done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from changes import catalogue
from changes.catalogue import operations
from changes.models import RequestTarget
from changes.services import targets
from incidents.models import Incident, IncidentKind
from incidents.services import acknowledge, requests
from notify.models import Delivery
from tests.changes.conftest import place
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import _business_calendar  # noqa: F401 - 5 × 8
from tests.incidents.test_deadlines import sweep
from timers.models import Timer

pytestmark = pytest.mark.usefixtures("contacts")
HOUR = timedelta(hours=1)
CODE = "ecs-power"


@pytest.fixture
def ecs(jia: Customer) -> Asset:
    return place(jia, "ecs-1", "production", kind="ecs")


def asked(jia: Customer, alice: User, ecs: Asset, *, now: datetime = NOW) -> RequestTarget:
    with scope.customer(jia):
        incident = targets.ask(
            customer=jia, operation=operations()[CODE], fields={"action": "restart"}, title="Restart it",
            description="", assets=[ecs], wished_at=None, actor=alice, now=now,
        )  # fmt: skip
        found: RequestTarget = RequestTarget.objects.select_related("incident").get(incident=incident)
        return found


def again(target: RequestTarget) -> RequestTarget:
    with scope.platform("test"):
        found: RequestTarget = RequestTarget.objects.select_related("incident").get(pk=target.pk)
        return found


def test_every_operation_promises_both_times() -> None:
    assert {each.response_minutes for each in operations().values()} == {15}, "R55"
    assert all(each.completion_hours >= 8 for each in operations().values())


@pytest.mark.parametrize("wrong", ["", "0", "soon", "-3"])
def test_a_promise_that_is_no_time_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="complete_hours"):
        catalogue._time({"code": "x", "complete_hours": wrong}, "complete_hours")


def test_it_is_counted_in_working_hours_and_stays_as_it_was(
    jia: Customer, alice: User, ecs: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = asked(jia, alice, ecs)
    assert (target.response_minutes, target.completion_hours) == (15, operations()[CODE].completion_hours)
    assert target.response_due_at == NOW + timedelta(minutes=15)
    assert target.due_at > NOW + target.completion_hours * HOUR, "nights are not counted"
    monkeypatch.setattr(catalogue, "operations", dict)
    assert again(target).completion_hours == target.completion_hours


def test_what_is_not_done_in_time_is_seen_and_told_once(
    jia: Customer, alice: User, chen: User, ecs: Asset, client_for: ClientFor
) -> None:
    target = asked(jia, alice, ecs)
    sweep(target.due_at - timedelta(seconds=1))
    assert again(target).missed_at is None
    sweep(target.due_at)
    assert again(target).missed_at == target.due_at
    sweep(target.due_at + 100 * HOUR)
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action="request.target_missed").count() == 1
        assert Delivery.objects.filter(key__startswith=f"request-target:{target.pk}", medium="inbox").exists()
    late = client_for(chen).get("/changes/targets/?show=late").content.decode()
    assert "Restart it" in late
    assert "Restart it" not in client_for(chen).get("/changes/targets/?show=kept").content.decode()
    assert "逾期" in client_for(alice).get(f"/changes/for-request/{target.incident_id}/").content.decode()


def test_what_is_done_in_time_is_kept(
    jia: Customer, alice: User, chen: User, ecs: Asset, client_for: ClientFor
) -> None:
    target = asked(jia, alice, ecs)
    with scope.customer(jia):
        incident = acknowledge(incident=target.incident, actor=chen, now=NOW + timedelta(minutes=20))
        incident = requests.accept(incident=incident, words="", actor=chen, now=NOW + HOUR)
        incident = requests.begin(incident=incident, actor=chen, now=NOW + HOUR)
        requests.finish(
            incident=incident, words="Done", without_change="It ran already", actor=chen, now=NOW + 2 * HOUR
        )
    sweep(target.due_at + HOUR)
    found = again(target)
    assert (found.missed_at, found.is_open, found.answered_late) == (None, False, True)
    assert "Restart it" in client_for(alice).get("/changes/targets/?show=kept").content.decode()


def test_what_was_done_late_is_missed_also_when_the_timer_comes_after_it(
    jia: Customer, alice: User, chen: User, ecs: Asset
) -> None:
    target = asked(jia, alice, ecs)
    late = target.due_at + HOUR
    with scope.customer(jia):
        incident = acknowledge(incident=target.incident, actor=chen, now=NOW)
        incident = requests.accept(incident=incident, words="", actor=chen, now=NOW)
        incident = requests.begin(incident=incident, actor=chen, now=NOW)
        requests.finish(incident=incident, words="Done", without_change="It ran already", actor=chen, now=late)
    sweep(late + HOUR)
    assert again(target).missed_at == late + HOUR
    with scope.platform("test"):
        assert not Delivery.objects.filter(key__startswith=f"request-target:{target.pk}").exists(), "it is done"


def test_waiting_for_the_customers_signature_moves_it(
    jia: Customer, alice: User, chen: User, ecs: Asset, client_for: ClientFor
) -> None:
    target = asked(jia, alice, ecs)
    with scope.customer(jia):
        incident = acknowledge(incident=target.incident, actor=chen, now=NOW)
        requests.warn(incident=incident, text="It will be down", actor=chen, now=NOW)
    sweep(target.due_at)
    found = again(target)
    assert found.missed_at is None
    with scope.platform("test"):
        timer = Timer.objects.pending().get(key=f"request-target:{target.pk}:")
    assert timer.due_at > target.due_at


def test_the_form_says_it_before_one_asks_and_the_request_keeps_it(
    jia: Customer, alice: User, ecs: Asset, client_for: ClientFor
) -> None:
    form = client_for(alice).get(f"/changes/catalogue/{CODE}/").content.decode()
    assert f"{operations()[CODE].completion_hours} 个工作小时" in form
    said = {"title": "Restart it", "field-action": "restart", "assets": [ecs.pk]}
    assert client_for(alice).post(f"/changes/catalogue/{CODE}/", said).status_code == 302
    with scope.customer(jia):
        incident = Incident.objects.get(kind=IncidentKind.REQUEST)
        assert RequestTarget.objects.get(incident=incident).operation == CODE
    sheet = client_for(alice).get("/changes/targets/?export=csv").content.decode("utf-8-sig")
    assert "Restart it" in sheet


def test_the_api_asks_by_the_form_of_the_operation_and_tells_the_times(
    jia: Customer, yi: Customer, alice: User, eve: User, vera: User, ecs: Asset, client_for: ClientFor
) -> None:
    browser, address = client_for(alice), f"/api/v1/catalogue/{CODE}/requests/"
    listed = next(one for one in browser.get("/api/v1/catalogue/").json() if one["code"] == CODE)
    assert (listed["response_minutes"], listed["completion_hours"]) == (15, operations()[CODE].completion_hours)

    def post(client: Client, path: str = address, **more: Any) -> Any:
        said = {"title": "Restart it", "details": {"action": "restart"}, "assets": [ecs.pk], **more}
        return client.post(path, said, content_type="application/json")

    bad: tuple[dict[str, Any], ...] = (
        {"details": {"action": "explode"}}, {"details": {}}, {"assets": []}, {"assets": [ecs.pk, 999_999]},
        {"title": ""},
    )  # fmt: skip
    for wrong in bad:
        assert post(browser, **wrong).status_code == 400, wrong
    assert post(browser, "/api/v1/catalogue/nothing/requests/").status_code == 404
    assert post(client_for(vera)).status_code == 403
    assert post(client_for(eve)).status_code == 400, "another customer's asset"
    made = post(browser)
    assert made.status_code == 201, made.content
    told = made.json()
    assert told["operation"] == CODE
    assert told["due_at"] > told["response_due_at"]
    assert [one["id"] for one in browser.get("/api/v1/request-targets/").json()["results"]] == [told["id"]]
    assert browser.get("/api/v1/request-targets/?missed=true").json()["results"] == []
    assert client_for(eve).get("/api/v1/request-targets/").json()["results"] == []
    assert client_for(eve).get(f"/api/v1/request-targets/{told['id']}/").status_code == 404
    assert "Restart it" not in client_for(eve).get("/changes/targets/").content.decode()
