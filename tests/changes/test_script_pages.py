"""Scripts on pages and by the API: for the provider's people; a customer reads what was run for it, nobody else's."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from changes import tasks
from changes.models import Change, ChangeState, ScriptHost, ScriptRun, ScriptVersion
from changes.services import script_runs
from changes.services.script_runs import Pace
from incidents.models import Incident
from tests.changes.conftest import draft, place
from tests.changes.hosts import TEXT, KeyHost, Turns, approved, place_host, read_on, script
from tests.changes.runs import set_to
from tests.conftest import NOW, ClientFor


@pytest.fixture
def host(tmp_path: Path) -> Iterator[KeyHost]:
    host = KeyHost(tmp_path)
    with host.running():
        yield host


@pytest.fixture
def web(jia: Customer, host: KeyHost) -> Asset:
    with scope.customer(jia):
        return place_host(jia, host, "web-1")


@pytest.fixture
def version(jia: Customer, chen: User, lin: User) -> ScriptVersion:
    with scope.customer(jia):
        return approved(script("echo $PARAM_WORD; echo '<b>bold</b>' >&2", parameters=(TEXT,)), chen, lin)


def latest(customer: Customer) -> ScriptRun:
    with scope.customer(customer):
        found: ScriptRun = ScriptRun.objects.for_lists().latest("pk")
        return found


def test_a_script_is_proposed_and_approved_by_another(
    jia: Customer, chen: User, lin: User, client_for: ClientFor
) -> None:
    engineer, manager = client_for(chen), client_for(lin)
    given = {
        "code": "say-it", "name_zh": "说", "name_en": "Say it", "interpreter": "sh", "body": "echo 1\r\necho 2",
        "parameters": '[{"name": "word", "type": "name", "en": "Word", "zh": "词"}]', "accounts": ["operations"],
        "timeout_s": 5, "output_limit": 100,
    }  # fmt: skip
    for name, wrong in (("parameters", "{"), ("parameters", '[{"name": "X"}]'), ("code", "Bad Code"), ("timeout_s", 0)):
        answer = engineer.post("/changes/scripts/new/", {**given, name: wrong})
        assert answer.status_code == 422, name
    made = engineer.post("/changes/scripts/new/", given)
    assert made.status_code == 302
    with scope.customer(jia):
        version = ScriptVersion.objects.get(code="say-it")
    assert version.body == "echo 1\necho 2"
    assert "等待第二人批准" in engineer.get(made["Location"]).content.decode()
    assert engineer.post(f"{made['Location']}approve/").status_code == 403
    assert manager.post(f"{made['Location']}approve/").status_code == 302
    page = engineer.get(f"/changes/scripts/new/?of={version.pk}").content.decode()
    assert "say-it" in page
    following = {**given, "body": "echo 3", "code": "other"}
    assert engineer.post(f"/changes/scripts/new/?of={version.pk}", following).status_code == 302
    with scope.customer(jia):
        assert [str(one) for one in ScriptVersion.objects.filter(code="say-it")] == ["say-it@2", "say-it@1"]
    assert engineer.post("/changes/scripts/adopt/disk-usage/").status_code == 302
    assert engineer.post("/changes/scripts/adopt/nothing/").status_code == 404
    shown = engineer.get("/changes/scripts/?state=waiting").content.decode()
    assert "disk-usage@1" in shown
    assert "say-it@1" not in shown


def test_it_is_filled_in_looked_at_carried_out_and_read(
    jia: Customer, web: Asset, version: ScriptVersion, chen: User, client_for: ClientFor
) -> None:
    client, address = client_for(chen), f"/changes/scripts/{version.pk}/use/"
    given = {
        "customer": jia.pk, "param-word": "你好 $(id)", "assets": [web.pk], "reason": "Look", "batch_size": 5,
        "max_failures": 0, "waits_after_canary": "on", "canary": "web-1",
    }  # fmt: skip
    for name, wrong in (("param-word", ""), ("assets", []), ("reason", ""), ("canary", "db-9"), ("batch_size", 0)):
        assert client.post(address, {**given, name: wrong}).status_code == 422, name
    planned = client.post(address, given)
    assert planned.status_code == 302
    page = planned["Location"]
    assert "文本" in client.get(f"/changes/scripts/{version.pk}/").content.decode()
    shown = client.get(page).content.decode()
    assert "PARAM_WORD=" in shown
    assert "every 3s" not in shown
    assert client.post(f"{page}start/").status_code == 302
    assert "every 3s" in client.get(page).content.decode(), "while it runs the page follows"
    run = latest(jia)
    tasks.advance_script_run.run(jia.pk, run.pk)
    shown = client.get(page).content.decode()
    assert "你好 $(id)" in shown
    assert "&lt;b&gt;bold" in shown
    assert "<b>bold" not in shown
    (row,) = csv.DictReader(io.StringIO(b"".join(client.get(f"{page}?export=csv")).decode("utf-8-sig")))
    assert "web-1" in row.values()
    listed = client.get("/changes/script-runs/?state=done&q=web-1").content.decode()
    assert page in listed
    assert page not in client.get("/changes/script-runs/?state=paused").content.decode()
    assert client.post(f"{page}explode/").status_code == 404


def test_what_changes_something_leads_to_a_change(
    jia: Customer, web: Asset, chen: User, lin: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        writes = approved(script("true", parameters=(TEXT,), only_reads=False), chen, lin)
    given = {"customer": jia.pk, "param-word": "a b", "assets": [web.pk], "batch_size": 5, "max_failures": 0}
    address = f"/changes/scripts/{writes.pk}/use/"
    assert client_for(chen).post(address, {**given, "reason": "x"}).status_code == 422
    answer = client_for(chen).post(address, {**given, "draft": "1"})
    form = client_for(chen).get(answer["Location"]).content.decode()
    assert "try-out@1" in form
    assert "word=a b" in form
    assert f'value="{web.pk}"' in form


def ticked(page: str) -> int:
    return len(re.findall(r'name="assets" value="\d+" checked', page))


def test_sixty_servers_stay_sixty_on_every_page(jia: Customer, chen: User, lin: User, client_for: ClientFor) -> None:
    client = client_for(chen)
    with scope.customer(jia):
        writes = approved(script("true", only_reads=False), chen, lin)
        many = [place(jia, f"web-{number:02}", "production").pk for number in range(60)]
    given = {"customer": jia.pk, "assets": many, "batch_size": 5, "max_failures": 0}
    address = f"/changes/scripts/{writes.pk}/use/"
    refused = client.post(address, {**given, "batch_size": 0, "draft": "1"}).content.decode()
    assert ticked(refused) == 60
    assert refused.count('name="assets"') == 60, "none is offered a second time"
    drafted = client.post(address, {**given, "draft": "1"})["Location"]
    assert len(drafted) < 60 * 8 + 200
    assert ticked(client.get(drafted).content.decode()) == 60
    assert ticked(client.post(drafted, {**given, "title": ""}).content.decode()) == 60
    search = urlencode({"customer": jia.pk, "assets": many, "asset_q": "web"}, doseq=True)
    assert ticked(client.get(f"/incidents/raise/assets/?{search}").content.decode()) == 60


def test_more_than_fit_are_said_to_be_left_out(
    jia: Customer, chen: User, client_for: ClientFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incidents.views.incident.CHOSEN", 2)
    with scope.customer(jia):
        many = [place(jia, f"web-{number}", "production").pk for number in range(3)]
    asked = urlencode({"customer": jia.pk, "assets": many}, doseq=True)
    page = client_for(chen).get(f"/incidents/raise/assets/?{asked}").content.decode()
    assert ticked(page) == 2
    assert "已选择超过 2 项" in page


def test_a_change_that_names_a_script_offers_its_dry_run(
    jia: Customer,
    incident: Incident,
    web: Asset,
    version: ScriptVersion,
    chen: User,
    alice: User,
    client_for: ClientFor,
) -> None:
    with scope.customer(jia):
        fields = {"script": "try-out", "parameters": "word=x"}
        change = draft(incident, chen, web, operation="script-run", fields=fields, risk="high")
        set_to(change, ChangeState.EXECUTING)
    address, pace = f"/changes/{change.pk}/runs/", {"batch_size": 5, "max_failures": 0}
    assert f"{address}script/" in client_for(chen).get(address).content.decode()
    assert f"{address}script/" not in client_for(alice).get(address).content.decode()
    assert client_for(alice).post(f"{address}script/", pace).status_code == 403
    planned = client_for(chen).post(f"{address}script/", pace)
    assert planned.status_code == 302
    assert planned["Location"] in client_for(alice).get(address).content.decode()
    assert f'<option value="{web.pk}">web-1' in client_for(chen).get(address).content.decode()
    client_for(chen).post(f"{address}script/", {**pace, "canary": 999_999})
    assert latest(jia).pk == int(planned["Location"].split("/")[-2]), "a canary that is none of them plans nothing"
    planned = client_for(chen).post(f"{address}script/", {**pace, "canary": web.pk})
    assert client_for(chen).post(f"{planned['Location']}start/").status_code == 302
    run = latest(jia)
    tasks.advance_script_run.run(jia.pk, run.pk)
    assert latest(jia).state == "done"


def test_a_customer_reads_its_own_and_presses_nothing(
    jia: Customer,
    web: Asset,
    version: ScriptVersion,
    chen: User,
    alice: User,
    vera: User,
    eve: User,
    client_for: ClientFor,
) -> None:
    with scope.customer(jia):
        run = Turns().to_rest(read_on(version, chen, web, given={"word": "secret-of-jia"}))
        place = run.hosts.get().pk
    page = f"/changes/script-runs/{run.pk}/"
    verbs = [f"{page}{name}/" for name in ("start", "pause", "go-on", "stop")]
    verbs += [f"{page}hosts/{place}/{name}/" for name in ("judge", "again")]
    of_script = [f"/changes/scripts/{version.pk}/{name}/" for name in ("approve", "retire", "use")]
    for person in (alice, vera):
        shown = client_for(person).get(page).content.decode()
        assert "secret-of-jia" in shown
        assert '<form method="post" action="/changes/script-runs' not in shown
        assert client_for(person).get(f"/changes/scripts/{version.pk}/").status_code == 200
        for address in (*verbs, *of_script, "/changes/scripts/new/", "/changes/scripts/adopt/disk-usage/"):
            assert client_for(person).post(address).status_code == 403, address
    assert client_for(eve).get(page).status_code == 404
    assert "secret-of-jia" not in client_for(eve).get("/changes/script-runs/").content.decode()
    assert client_for(eve).get(f"/api/v1/script-runs/{run.pk}/").status_code == 404
    assert client_for(eve).get(f"/api/v1/script-runs/{run.pk}/hosts/").status_code == 404
    assert client_for(eve).get("/api/v1/script-runs/").json()["results"] == []


def test_proposals_are_not_the_customers_matter(jia: Customer, alice: User, chen: User, client_for: ClientFor) -> None:
    client_for(chen).post("/changes/scripts/adopt/disk-usage/")
    with scope.customer(jia):
        waiting = ScriptVersion.objects.get()
    assert client_for(alice).get(f"/changes/scripts/{waiting.pk}/").status_code == 404
    assert client_for(alice).get("/api/v1/scripts/").json()["results"] == []
    assert len(client_for(chen).get("/api/v1/scripts/").json()["results"]) == 1


def test_the_api_proposes_plans_runs_and_follows(
    jia: Customer, web: Asset, chen: User, lin: User, alice: User, client_for: ClientFor
) -> None:
    engineer, json = client_for(chen), "application/json"
    body = {
        "code": "by-api", "name_zh": "接口", "name_en": "By API", "interpreter": "sh", "body": "echo $PARAM_WORD",
        "parameters": [TEXT], "accounts": ["operations"], "only_reads": True,
    }  # fmt: skip
    assert client_for(alice).post("/api/v1/scripts/", body, json).status_code == 403
    assert engineer.post("/api/v1/scripts/", {**body, "accounts": ["nobody"]}, json).status_code == 400
    assert engineer.post("/api/v1/scripts/", {**body, "parameters": [{"name": "x"}]}, json).status_code == 409
    made = engineer.post("/api/v1/scripts/", body, json).json()
    wish = {
        "customer": jia.pk, "version": made["id"], "parameters": {"word": "x"}, "assets": [web.pk], "reason": "Look",
    }  # fmt: skip
    assert engineer.post("/api/v1/script-runs/", wish, json).status_code == 409, "nobody has approved it"
    assert engineer.post(f"/api/v1/scripts/{made['id']}/approve/").status_code == 403
    assert client_for(lin).post(f"/api/v1/scripts/{made['id']}/approve/").json()["is_approved"]
    for name, wrong in (("assets", [999_999]), ("version", 999_999), ("canary", 999_999), ("change", 999_999)):
        assert engineer.post("/api/v1/script-runs/", {**wish, name: wrong}, json).status_code == 400, name
    assert client_for(alice).post("/api/v1/script-runs/", wish, json).status_code == 403
    run = engineer.post("/api/v1/script-runs/", wish, json).json()
    address = f"/api/v1/script-runs/{run['id']}/"
    assert (run["state"], run["hosts"]["planned"], run["parameters"]) == ("planned", 1, {"word": "x"})
    assert client_for(alice).post(f"{address}start/").status_code == 403
    assert engineer.post(f"{address}start/").json()["state"] == "running"
    assert engineer.post(f"{address}go-on/").status_code == 409
    tasks.advance_script_run.run(jia.pk, run["id"])
    assert engineer.get(address).json()["state"] == "done"
    (host,) = client_for(alice).get(f"{address}hosts/").json()["results"]
    assert (host["state"], host["stdout"], host["exit_status"]) == ("done", "x\n", 0)
    assert [line["kind"] for line in engineer.get(f"{address}log/").json()] == ["planned", "started", "batch", "done"]
    assert engineer.post(f"{address}again/", {"host": host["id"]}, json).status_code == 409
    unknown = {"host": host["id"], "is_done": True, "words": "seen"}
    assert engineer.post(f"{address}judge/", unknown, json).status_code == 409
    assert engineer.post(f"{address}judge/", {**unknown, "host": 999_999}, json).status_code == 400
    with scope.customer(jia):
        ScriptHost.objects.filter(pk=host["id"]).update(state="unknown")
    assert engineer.post(f"{address}judge/", unknown, json).json()["hosts"]["done"] == 1


def test_an_unknown_host_is_judged_on_its_page(
    jia: Customer, web: Asset, version: ScriptVersion, chen: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        run = Turns().to_rest(read_on(version, chen, web, given={"word": "x"}))
        host = run.hosts.get()
        ScriptHost.objects.filter(pk=host.pk).update(state="unknown", problem_code="lost")
    address = f"/changes/script-runs/{run.pk}/hosts/{host.pk}/judge/"
    assert address in client_for(chen).get(f"/changes/script-runs/{run.pk}/").content.decode()
    assert client_for(chen).post(address, {"outcome": "done"}).status_code == 422
    assert client_for(chen).post(address, {"outcome": "failed", "words": "Not there"}).status_code == 302
    with scope.customer(jia):
        host.refresh_from_db()
    assert host.state == "failed"
    assert "Not there" in client_for(chen).get(f"/changes/script-runs/{run.pk}/").content.decode()


def test_of_long_output_the_end_is_shown_and_all_of_it_is_a_link_away(
    jia: Customer, web: Asset, version: ScriptVersion, chen: User, vera: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        run = Turns().to_rest(read_on(version, chen, web, given={"word": "x"}))
        host = run.hosts.get()
        run.hosts.update(stdout="first words\n" + "x" * 4000 + "\nlast words", stderr="<b>short</b>")
    page, whole = f"/changes/script-runs/{run.pk}/", f"/changes/script-runs/{run.pk}/hosts/{host.pk}/stdout/"
    shown = client_for(vera).get(page).content.decode()
    assert ("last words" in shown, "first words" in shown, whole in shown) == (True, False, True)
    assert whole.replace("stdout", "stderr") not in shown
    answer = client_for(vera).get(whole)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content.decode().startswith("first words")
    assert client_for(eve).get(whole).status_code == 404
    assert client_for(chen).get(whole.replace("stdout", "password")).status_code == 404
    assert "first words" in b"".join(client_for(chen).get(f"{page}?export=csv")).decode()


def test_a_page_follows_its_own_run_while_it_may_still_move(
    jia: Customer, web: Asset, version: ScriptVersion, chen: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        run = read_on(version, chen, web, given={"word": "x"})
    for state, follows, asks in (
        ("planned", True, False),
        ("running", True, True),
        ("paused", True, False),
        ("done", False, False),
    ):
        with scope.customer(jia):
            ScriptRun.objects.filter(pk=run.pk).update(state=state)
        shown = client_for(chen).get(f"/changes/script-runs/{run.pk}/").content.decode()
        assert (f'data-live-id="{run.pk}"' in shown, "every 3s" in shown) == (follows, asks), state


def test_lists_do_not_read_what_hosts_said(
    jia: Customer, web: Asset, version: ScriptVersion, chen: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        run = Turns().to_rest(read_on(version, chen, web, given={"word": "x"}))
    client = client_for(chen)
    with CaptureQueriesContext(connection) as queries:
        (row,) = client.get("/api/v1/script-runs/").json()["results"]
        client.get(f"/changes/script-runs/{run.pk}/")
    assert row["hosts"]["done"] == 1
    selected = [one["sql"].partition(" FROM ")[0] for one in queries]
    assert not [sql for sql in selected if '"stdout", "changes' in sql]


def test_the_list_of_runs_counts_the_hosts_of_a_page_in_one_query(
    jia: Customer, host: KeyHost, web: Asset, version: ScriptVersion, chen: User, client_for: ClientFor
) -> None:
    client, asked = client_for(chen), []
    with scope.customer(jia):
        others = [place_host(jia, host, f"web-{number}") for number in range(2, 5)]
    for assets in ([web], [web, *others]):
        with scope.customer(jia):
            run = read_on(version, chen, *assets, given={"word": "x"})
            run.hosts.filter(asset__in=others[:1]).update(state="failed")
        with CaptureQueriesContext(connection) as queries:
            listed = client.get("/changes/script-runs/?q=web")
        asked.append(len(queries))
        newest = listed.context["page"].rows[0]
        assert (newest.pk, newest.total, newest.failed) == (run.pk, len(assets), len(assets) // 2 and 1)
        assert listed.context["page"].total == len(asked)
    assert asked[0] >= asked[1]
    joins = [one["sql"].count('JOIN "changes_scripthost"') for one in queries]
    assert max(joins) <= 1
    text = b"".join(client.get("/changes/script-runs/?q=web&export=csv")).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["主机"], row["失败"]) for row in rows] == [("4", "1"), ("1", "0")]


def test_planned_runs_of_a_change_replace_each_other(
    jia: Customer, incident: Incident, web: Asset, version: ScriptVersion, chen: User
) -> None:
    with scope.customer(jia):
        fields = {"script": "try-out", "parameters": "word=x"}
        change: Change = draft(incident, chen, web, operation="script-run", fields=fields, risk="high")
        first = script_runs.plan_for_change(change=change, pace=Pace(), actor=chen, now=NOW)
        script_runs.plan_for_change(change=change, pace=Pace(), actor=chen, now=NOW)
        first.refresh_from_db()
    assert (first.state, first.problem_code) == ("stopped", "replaced")
