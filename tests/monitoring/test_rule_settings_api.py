"""The API of macros, schedules, expected processes and the monitoring template; and the wall between customers."""

from typing import Any

import pytest
from django.test import Client

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.models import ExpectedProcess, MonitoringTemplate, RuleMacro, Target
from tests.conftest import ClientFor
from tests.monitoring.samples import server

pytestmark = pytest.mark.django_db

WEEK = [["09:00-12:00", "13:00-18:00"]] * 5 + [[], []]


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, "web-01", private_ip="10.0.0.1")


@pytest.fixture
def browser(chen: User, client_for: ClientFor) -> Client:
    return client_for(chen)


def send(browser: Client, path: str, method: str = "post", **body: Any) -> Any:
    return getattr(browser, method)(f"/api/v1/{path}", body, content_type="application/json")


def made(browser: Client, path: str, **body: Any) -> Any:
    answer = send(browser, path, **body)
    assert answer.status_code == 201, answer.json()
    return answer.json()


# --- macros ----------------------------------------------------------------------------------------------------------


def test_a_macro_is_given_a_value_another_one_and_a_narrower_one(browser: Client, jia: Customer, web: Asset) -> None:
    macro = {"customer": jia.pk, "name": "fs.free.min", "reason": "x"}
    first = made(browser, "rule-macros/", **macro, value="5 GiB")
    again = made(browser, "rule-macros/", **macro, value="6 GiB")
    narrow = made(browser, "rule-macros/", **macro, value="1 GiB", asset=web.pk)
    assert (first["name"], first["value"], first["unit"]) == ("{$FS.FREE.MIN}", 5.0, "GiB")
    assert (again["id"], again["value"]) == (first["id"], 6.0)
    found = browser.get(f"/api/v1/rule-macros/?asset={web.pk}").json()["results"]
    assert [one["id"] for one in found] == [narrow["id"]]


def test_a_macro_that_a_threshold_speaks_of_is_not_removed(browser: Client, jia: Customer) -> None:
    macro = made(browser, "rule-macros/", customer=jia.pk, name="CPU", value="70", reason="x")
    rule = {"customer": jia.pk, "rule_id": "host-cpu-util", "thresholds": ["{$CPU}"], "reason": "x"}
    override = made(browser, "rule-overrides/", **rule)
    path = f"/api/v1/rule-macros/{macro['id']}/"
    assert browser.delete(path).status_code == 409
    browser.delete(f"/api/v1/rule-overrides/{override['id']}/?reason=over")
    assert browser.delete(path).status_code == 204
    with scope.customer(jia):
        assert not RuleMacro.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"value": "five"},
        {"value": "5 parsecs"},
        {"name": "1"},
        {"name": "{$A}\u0000"},
        {"reason": " "},
        {"group": 1, "asset": 1},
        {"asset": 2**63 - 1},
        {"customer": 0},
    ],
)
def test_a_macro_that_cannot_be_meant_is_refused(browser: Client, jia: Customer, body: dict[str, Any]) -> None:
    answer = send(
        browser, "rule-macros/", **{"customer": jia.pk, "name": "A", "value": "5", "reason": "x", **body}
    )  # fmt: skip
    assert answer.status_code in (400, 409)
    assert answer["Content-Type"] == "application/problem+json"


# --- schedules -------------------------------------------------------------------------------------------------------


def test_a_schedule_is_made_changed_and_kept_while_rules_keep_to_it(browser: Client, jia: Customer) -> None:
    schedule = made(browser, "rule-schedules/", customer=jia.pk, name="day", week=WEEK)
    path = f"rule-schedules/{schedule['id']}/"
    body = {"customer": jia.pk, "name": "off", "basis": "off_hours", "week": WEEK}
    changed = send(browser, path, "put", **body).json()
    assert (changed["name"], changed["basis"], changed["week"]) == ("off", "off_hours", WEEK)
    assert isinstance(changed["is_active"], bool)
    rule = {"customer": jia.pk, "rule_id": "host-cpu-util", "schedule": schedule["id"], "reason": "x"}
    made(browser, "rule-overrides/", **rule)
    assert browser.delete(f"/api/v1/{path}").status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {"week": [["18:00-09:00"], *[[]] * 6]},
        {"week": [[]] * 7},
        {"week": [["09:00-18:00"]] * 6},
        {"week": "always"},
        {"timezone": "../etc/passwd"},
        {"basis": "moon"},
        {"name": ""},
    ],
)
def test_a_schedule_that_cannot_be_meant_is_refused(browser: Client, jia: Customer, body: dict[str, Any]) -> None:
    answer = send(browser, "rule-schedules/", **{"customer": jia.pk, "name": "day", "week": WEEK, **body})
    assert answer.status_code in (400, 409)


def test_a_schedule_does_not_move_to_another_customer(browser: Client, jia: Customer, yi: Customer) -> None:
    schedule = made(browser, "rule-schedules/", customer=jia.pk, name="day", week=WEEK)
    answer = send(browser, f"rule-schedules/{schedule['id']}/", "put", customer=yi.pk, name="day", week=WEEK)
    assert answer.status_code == 400


# --- expected processes ----------------------------------------------------------------------------------------------


def test_processes_are_expected_otherwise_and_no_more(browser: Client, jia: Customer, web: Asset) -> None:
    first = made(browser, "expected-processes/", asset=web.pk, name="nginx", minimum=2)
    again = made(browser, "expected-processes/", asset=web.pk, name="nginx", minimum=2, maximum=8)
    assert (again["id"], again["maximum"], again["customer"]) == (first["id"], 8, jia.pk)
    assert len(browser.get(f"/api/v1/expected-processes/?asset={web.pk}").json()["results"]) == 1
    assert browser.delete(f"/api/v1/expected-processes/{first['id']}/").status_code == 204
    with scope.customer(jia):
        assert not ExpectedProcess.objects.exists()


@pytest.mark.parametrize(
    "body", [{"name": 'a"b'}, {"pattern": "("}, {"minimum": 3, "maximum": 2}, {"minimum": 0}, {"minimum": 10**12}]
)
def test_processes_that_cannot_be_meant_are_refused(browser: Client, web: Asset, body: dict[str, Any]) -> None:
    answer = send(browser, "expected-processes/", **{"asset": web.pk, "name": "nginx", **body})
    assert answer.status_code in (400, 409)


# --- the monitoring template -----------------------------------------------------------------------------------------


def test_a_template_is_filled_in_by_the_customer_and_set_up_by_the_engineer(
    browser: Client, jia: Customer, alice: User, web: Asset, client_for: ClientFor
) -> None:
    own = client_for(alice)
    template = made(own, "monitoring-templates/", basics=["network", "cpu"], ports=[22], databases=["oracle"])
    assert (template["version"], template["state"]) == (1, "submitted")
    assert (template["basics"], template["ports"]) == (["cpu", "network"], [22])
    path = f"monitoring-templates/{template['id']}/"
    seen = browser.get(f"/api/v1/{path}preview/").json()
    ports = [step for step in seen["steps"] if step["code"] == "port"]
    assert [(step["port"], step["asset"], step["is_there"]) for step in ports] == [(22, web.pk, False)]
    assert {quota["code"] for quota in seen["quotas"]} == {"middleware", "url", "port"}
    answer = send(browser, f"{path}confirm/", steps=[ports[0]["key"]])
    assert answer.json()["state"] == "confirmed"
    assert send(browser, f"{path}confirm/").status_code == 409
    with scope.customer(jia):
        assert list(Target.objects.values_list("kind", flat=True)) == ["tcp"]
    tasks = browser.get(f"/api/v1/monitoring-template-tasks/?template={template['id']}&done=false").json()["results"]
    assert "no_instance" in {task["code"] for task in tasks}
    settled = send(browser, f"monitoring-template-tasks/{tasks[0]['id']}/settle/")
    assert settled.json()["done_at"] is not None


def test_all_of_a_template_is_set_up_when_nothing_is_chosen(browser: Client, jia: Customer, web: Asset) -> None:
    template = made(browser, "monitoring-templates/", customer=jia.pk, ports=[22, 80])
    send(browser, f"monitoring-templates/{template['id']}/confirm/")
    with scope.customer(jia):
        assert Target.objects.filter(kind="tcp").count() == 2


@pytest.mark.parametrize("body", [{"basics": ["moon"]}, {"ports": ["x"]}, {"urls": "x" * 5000}, {"wanted": "maybe"}])
def test_a_template_that_is_no_such_form_is_refused(browser: Client, jia: Customer, body: dict[str, Any]) -> None:
    assert send(browser, "monitoring-templates/", customer=jia.pk, **body).status_code == 400
    assert send(browser, "monitoring-templates/").status_code == 400  # whose is it?


# --- whose -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def things(browser: Client, jia: Customer, web: Asset) -> list[str]:
    """One of each of jia's, by its address."""
    bodies: dict[str, dict[str, Any]] = {
        "rule-macros/": {"customer": jia.pk, "name": "A", "value": "5", "reason": "x"},
        "rule-schedules/": {"customer": jia.pk, "name": "day", "week": WEEK},
        "expected-processes/": {"asset": web.pk, "name": "nginx"},
        "monitoring-templates/": {"customer": jia.pk, "databases": ["oracle"]},
    }
    found = [f"{path}{made(browser, path, **body)['id']}/" for path, body in bodies.items()]
    send(browser, f"{found[-1]}confirm/")
    [task] = browser.get("/api/v1/monitoring-template-tasks/").json()["results"]
    return [*found, f"monitoring-template-tasks/{task['id']}/"]


def test_another_customers_things_do_not_exist(things: list[str], eve: User, client_for: ClientFor) -> None:
    stranger = client_for(eve)
    for path in things:
        assert stranger.get(f"/api/v1/{path}").status_code == 404
        assert stranger.get(f"/api/v1/{path.split('/')[0]}/").json()["results"] == []
    assert stranger.get(f"/api/v1/{things[3]}preview/").status_code == 404


def test_people_of_the_customer_read_and_do_not_write(
    things: list[str], jia: Customer, web: Asset, alice: User, vera: User, client_for: ClientFor
) -> None:
    own, reader = client_for(alice), client_for(vera)
    for path in things:
        assert reader.get(f"/api/v1/{path}").status_code == 200
    for path in things[:3]:
        assert own.delete(f"/api/v1/{path}").status_code == 403
    macro: dict[str, Any] = {"customer": jia.pk, "name": "A", "value": "9", "reason": "x"}
    assert send(own, "rule-macros/", **macro).status_code == 403
    assert send(own, "rule-schedules/", customer=jia.pk, name="n", week=WEEK).status_code == 403
    assert send(own, things[1], "put", customer=jia.pk, name="n", week=WEEK).status_code == 403
    assert send(own, "expected-processes/", asset=web.pk, name="x").status_code == 403
    assert send(own, f"{things[3]}confirm/").status_code == 403
    assert own.get(f"/api/v1/{things[3]}preview/").status_code == 403
    assert send(own, f"{things[4]}settle/").status_code == 403
    assert send(reader, "monitoring-templates/").status_code == 403


def test_nothing_is_said_of_another_customer(
    jia: Customer, yi: Customer, web: Asset, browser: Client, eve: User, client_for: ClientFor
) -> None:
    mixed: dict[str, Any] = {"customer": yi.pk, "name": "A", "value": "5", "asset": web.pk, "reason": "x"}
    assert send(browser, "rule-macros/", **mixed).status_code == 400
    assert send(client_for(eve), "monitoring-templates/", customer=jia.pk).status_code == 400
    with scope.platform("look"):
        assert not MonitoringTemplate.objects.exists()
        assert not RuleMacro.objects.exists()
