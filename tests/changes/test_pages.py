"""The pages of changes: the catalogue, a change, the approver's link, the calendar; for both sides, and nobody else."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, User
from accounts.services import calendars
from accounts.windows import Once
from assets.models import Asset
from changes.catalogue import operations
from changes.links import token_of
from changes.models import ApprovalLevel, Change, ChangeTemplate
from changes.services import confirming, drafting, evidence, freezing, templates
from changes.services.templates import Described
from incidents.models import Incident, IncidentKind
from incidents.services import attestations
from tests.changes.conftest import HOUR, WINDOW, approve, back_up, draft, place, sign, try_out
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.usefixtures("contacts")


@pytest.fixture
def change(incident: Incident, web: Asset, chen: User) -> Change:
    with scope.customer(incident.customer):
        return draft(incident, chen, web)


@pytest.fixture
def asked(change: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User) -> Change:
    """Waits for Lin's word."""
    with scope.customer(change.customer_id):
        drafting.submit(change=change, actor=chen, now=NOW)
        confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
        sign(change, alice)
        try_out(change, staging, chen)
        back_up(change, web, chen, at=timezone.now())
    return change


def standard(asset: Asset, *, chen: User, alice: User, lin: User) -> ChangeTemplate:
    """A standard change in force."""
    described = Described(
        name="Reload",
        operation="linux-kernel",
        fields={"what": "sysctl -p"},
        assets=(asset,),
        plan="sysctl -p",
        rollback="sysctl -p with the old file",
        risk_text="None",
        valid_until=timezone.localdate() + timedelta(days=90),
    )
    template = templates.create(customer=asset.customer, said=described, actor=chen, now=NOW)
    assert template.attestation is not None
    attestations.sign(attestation=template.attestation, actor=alice, ip=None, now=NOW)
    return templates.approve(template=template, actor=lin, now=NOW)


def level_of(change: Change, duty: str) -> ApprovalLevel:
    with scope.customer(change.customer_id):
        return ApprovalLevel.objects.get(change=change, duty=duty)


def test_the_catalogue_is_found_by_a_word_of_either_language(alice: User, client_for: ClientFor) -> None:
    page = client_for(alice).get("/changes/catalogue/?q=DNS")
    assert "dns-record" in page.content.decode()
    assert "ecs-create" not in page.content.decode()
    assert "dns-record" in client_for(alice).get("/changes/catalogue/?q=DNS+变更").content.decode()


def test_a_customer_asks_for_an_operation_and_it_is_a_request_with_its_answers(
    jia: Customer, alice: User, client_for: ClientFor
) -> None:
    ecs = place(jia, "ecs-1", "production", kind="ecs")
    said = {"title": "Restart it", "field-action": "restart", "assets": [ecs.pk]}
    answer = client_for(alice).post("/changes/catalogue/ecs-power/", said)
    assert answer.status_code == 302
    with scope.customer(jia):
        incident = Incident.objects.get(kind=IncidentKind.REQUEST)
        assert (incident.request.operation, incident.request.fields) == (
            "ecs-power",
            {"action": "restart", "force": False},
        )
        assert list(incident.assets.all()) == [ecs]
    shown = client_for(alice).get(f"/changes/for-request/{incident.pk}/").content.decode()
    assert "重启" in shown, "the catalogue's words, not its codes"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"field-action": "explode"}, "field-action"),
        ({}, "field-action"),
        ({"field-action": "restart", "assets": []}, "assets"),
    ],
)
def test_answers_that_do_not_fit_are_refused_where_they_stand(
    jia: Customer, alice: User, client_for: ClientFor, said: dict[str, object], field: str
) -> None:
    ecs = place(jia, "ecs-1", "production", kind="ecs")
    answer = client_for(alice).post("/changes/catalogue/ecs-power/", {"title": "x", "assets": [ecs.pk], **said})
    assert answer.status_code == 422
    with scope.customer(jia):
        assert not Incident.objects.filter(kind=IncidentKind.REQUEST).exists()
    errors = {
        **answer.context["form"].errors,
        **{f"field-{k}": v for k, v in answer.context["questions"].errors.items()},
    }
    assert field in errors


def test_an_engineer_drafts_from_a_request_with_its_answers(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    ecs = place(jia, "ecs-1", "production", kind="ecs")
    client_for(alice).post(
        "/changes/catalogue/ecs-power/", {"title": "Restart it", "field-action": "restart", "assets": [ecs.pk]}
    )
    with scope.customer(jia):
        incident = Incident.objects.get(kind=IncidentKind.REQUEST)
    page = client_for(chen).get(f"/changes/new/?incident={incident.pk}")
    assert page.context["questions"].initial["action"] == "restart"
    assert list(page.context["chosen"]) == [ecs]
    said = {"title": "Restart it", "field-action": "restart", "assets": [ecs.pk], "risk": "medium", "lead": "provider"}
    origin = {"origin": "customer", "incident": incident.number}
    answer = client_for(chen).post(f"/changes/new/?incident={incident.pk}", {**said, **origin})
    assert answer.status_code == 302
    with scope.customer(jia):
        made = Change.objects.get()
        assert (made.incident, made.requester, made.operation) == (incident, alice, "ecs-power")


def test_what_is_made_anew_proposes_why_nothing_is_backed_up(jia: Customer, chen: User, client_for: ClientFor) -> None:
    page = f"/changes/new/?customer={jia.pk}&operation="
    proposed = client_for(chen).get(f"{page}bucket-create").context["form"].initial
    assert "未改动" in proposed["backup_waiver"], "the customer signs it"
    assert "backup_waiver" not in client_for(chen).get(f"{page}dns-record").context["form"].initial


def test_a_change_shows_its_path_and_who_must_act(change: Change, chen: User, client_for: ClientFor) -> None:
    client = client_for(chen)
    client.post(f"/changes/{change.pk}/submit/")
    page = client.get(f"/changes/{change.pk}/").content.decode()
    assert page.count('class="gate ') + page.count('class="gate"') == 7
    assert 'aria-current="step"' in page


def test_an_assets_page_lists_its_changes_to_both_sides(
    change: Change, web: Asset, staging: Asset, alice: User, chen: User, eve: User, client_for: ClientFor
) -> None:
    for person in (alice, chen):
        page = client_for(person)
        assert f'hx-get="/changes/for-asset/{web.pk}/"' in page.get(f"/assets/{web.pk}/").content.decode()
        assert change.number in page.get(f"/changes/for-asset/{web.pk}/").content.decode()
        assert change.number not in page.get(f"/changes/for-asset/{staging.pk}/").content.decode()
    assert client_for(eve).get(f"/changes/for-asset/{web.pk}/").status_code == 404


def test_the_approver_decides_by_the_link_without_signing_in_and_looking_changes_nothing(
    asked: Change, lin: User, alice: User
) -> None:
    level, stranger = level_of(asked, "owner"), Client()
    address = f"/changes/decide/{token_of(level.pk, lin.pk)}/"
    assert stranger.get(address).status_code == 200
    with scope.customer(asked.customer_id):
        assert not level.votes.exists()
    assert stranger.post(address, {"answer": "no", "words": ""}).status_code == 422
    assert stranger.post(address, {"answer": "yes", "words": "Fine"}).status_code == 200
    with scope.customer(asked.customer_id):
        assert [(vote.person, vote.channel) for vote in level.votes.all()] == [(lin, "link")]
    assert stranger.get(address).status_code == 410
    assert stranger.post(address, {"answer": "no", "words": "x"}).status_code == 410


@pytest.mark.parametrize("token", ["x", "WzEsMV0:x:y", ""])
def test_a_link_that_is_not_ours_shows_nothing(db: None, token: str) -> None:
    assert Client().get(f"/changes/decide/{token}/").status_code in (404, 302)


def test_a_link_is_worth_nothing_to_somebody_else_or_for_a_level_that_is_not_open(
    asked: Change, alice: User, eve: User
) -> None:
    for level, person in ((level_of(asked, "customer"), alice), (level_of(asked, "owner"), eve)):
        answer = Client().post(f"/changes/decide/{token_of(level.pk, person.pk)}/", {"answer": "yes", "words": ""})
        assert answer.status_code == 410


def test_the_inbox_shows_what_waits_for_this_person_alone(
    asked: Change, lin: User, alice: User, chen: User, client_for: ClientFor
) -> None:
    waiting = {
        person.name: [one.change.pk for one in client_for(person).get("/changes/approvals/").context["waiting"]]
        for person in (lin, alice, chen)
    }
    assert waiting == {"Lin": [asked.pk], "Alice": [], "Chen": []}
    with scope.customer(asked.customer_id):
        approve(asked, lin)
    answer = client_for(alice).post(f"/changes/{asked.pk}/decide/", {"answer": "yes", "words": ""})
    assert answer.status_code == 302
    with scope.customer(asked.customer_id):
        asked.refresh_from_db()
        assert asked.gate == "scheduled"


def test_a_word_given_in_the_inbox_leads_back_to_it(asked: Change, lin: User, client_for: ClientFor) -> None:
    browser = client_for(lin)
    refused = browser.post(f"/changes/{asked.pk}/decide/", {"answer": "no", "words": "", "from": "inbox"})
    assert refused.status_code == 422
    given = browser.post(f"/changes/{asked.pk}/decide/", {"answer": "yes", "words": "", "from": "inbox"})
    assert (given.status_code, given["Location"]) == (302, "/changes/approvals/")
    assert asked.number in browser.get("/changes/approvals/").content.decode()


def test_a_delegation_that_is_refused_leaves_what_waits_in_sight(
    asked: Change, lin: User, client_for: ClientFor
) -> None:
    page = client_for(lin).post("/changes/approvals/delegate/", {})
    assert page.status_code == 422
    assert [one.change.pk for one in page.context["waiting"]] == [asked.pk]


def test_only_what_the_operation_is_about_is_offered(jia: Customer, alice: User, client_for: ClientFor) -> None:
    place(jia, "ecs-1", "production", kind="ecs")
    place(jia, "cdn-1", "production", kind="cdn")
    form = client_for(alice).get("/changes/catalogue/ecs-power/").content.decode()
    assert "ecs-1" in form
    assert "cdn-1" not in form
    found = client_for(alice).get("/incidents/raise/assets/?kind=ecs&asset_q=-1").content.decode()
    assert "ecs-1" in found
    assert "cdn-1" not in found


def test_a_window_over_midnight_says_on_its_second_day_when_it_ends(
    asked: Change, alice: User, client_for: ClientFor
) -> None:
    evening = NOW.replace(hour=15, minute=0)  # 23:00 in Beijing
    with scope.customer(asked.customer_id):
        Change.objects.filter(pk=asked.pk).update(starts_at=evening, ends_at=evening + 3 * HOUR)
    days = client_for(alice).get(f"/changes/calendar/?view=week&day={NOW:%Y-%m-%d}").context["days"]
    assert [time for day in days for _change, time in day.changes] == ["23:00", "→ 02:00"]


def test_the_timeline_says_which_point_was_looked_at(
    asked: Change, web: Asset, chen: User, alice: User, lin: User, client_for: ClientFor
) -> None:
    with scope.customer(asked.customer_id):
        Change.objects.filter(pk=asked.pk).update(state="executing", begun_at=NOW)
        evidence.check(change=asked, code="check", words="", given={"services_before": "nginx 80"}, actor=chen, now=NOW)
        entry = asked.catalogue_entry
        assert entry is not None
        words = next(point.words.zh for point in entry.checklist if point.code == "check")
    assert f"检查了一项：{words}" in client_for(chen).get(f"/changes/{asked.pk}/").content.decode()


def test_the_calendar_shows_windows_and_freezes_in_each_view(
    asked: Change, web: Asset, staging: Asset, chen: User, alice: User, lin: User, client_for: ClientFor
) -> None:
    with scope.customer(asked.customer_id):
        Change.objects.filter(pk=asked.pk).update(starts_at=WINDOW[0], ends_at=WINDOW[1])
        windows = [Once(*WINDOW)]
        freezing.create(customer=asked.customer, kind="freeze", name="Sale", windows=windows, actor=lin, now=NOW)
    for view in ("month", "week", "list"):
        page = client_for(alice).get(f"/changes/calendar/?view={view}&day={NOW:%Y-%m-%d}").content.decode()
        assert asked.title.replace("'", "&#x27;") in page
    assert client_for(alice).get("/changes/calendar/?day=nonsense&view=x").status_code == 200


def test_the_calendar_shows_holidays_that_are_frozen_and_when_one_may_work(
    jia: Customer, alice: User, lin: User, client_for: ClientFor
) -> None:
    with scope.platform("test"):
        calendars.seed_default(years=[2026], now=NOW)
        freezing.create(customer=None, kind="freeze", name="Holidays", windows=[], holidays=True, actor=lin, now=NOW)
        nightly = [Once(NOW, NOW + HOUR)]
        freezing.create(customer=jia, kind="maintenance", name="Nightly", windows=nightly, actor=lin, now=NOW)
    for person in (alice, lin):
        days = client_for(person).get(f"/changes/calendar/?view=week&day={NOW:%Y-%m-%d}").context["days"]
        assert [day.maintenance for day in days if day.day == timezone.localdate(NOW)] == [["Nightly"]]
        days = client_for(person).get("/changes/calendar/?view=month&day=2026-05-10").context["days"]
        frozen = {day.day.isoformat() for day in days if day.frozen}
        assert "2026-05-01" in frozen
        assert "2026-05-12" not in frozen


def test_a_window_outside_the_agreed_maintenance_is_said(
    asked: Change, chen: User, lin: User, client_for: ClientFor
) -> None:
    with scope.customer(asked.customer_id):
        Change.objects.filter(pk=asked.pk).update(starts_at=WINDOW[0], ends_at=WINDOW[1])
        said = "不在与客户约定的维护窗口内"
        assert said not in client_for(chen).get(f"/changes/{asked.pk}/").content.decode(), "none was agreed"
        other = [Once(WINDOW[1], WINDOW[1] + HOUR)]
        freezing.create(customer=asked.customer, kind="maintenance", name="Late", windows=other, actor=lin, now=NOW)
        assert said in client_for(chen).get(f"/changes/{asked.pk}/").content.decode()
        freezing.create(
            customer=asked.customer, kind="maintenance", name="Now", windows=[Once(*WINDOW)], actor=lin, now=NOW
        )
        assert said not in client_for(chen).get(f"/changes/{asked.pk}/").content.decode()


def test_the_calendar_address_ends_with_the_password(asked: Change, alice: User, client_for: ClientFor) -> None:
    with scope.customer(asked.customer_id):
        Change.objects.filter(pk=asked.pk).update(starts_at=WINDOW[0], ends_at=WINDOW[1])
    page = client_for(alice).get("/changes/calendar/").content.decode()
    match = re.search(r"/changes/calendar/[^<]+\.ics", page)
    assert match is not None
    assert Client().get(match[0]).status_code == 200
    with scope.platform("test"):
        alice.set_password("another long password")
        alice.save()
    assert Client().get(match[0]).status_code == 404


def test_a_file_is_a_download_for_whoever_sees_the_change(
    change: Change, alice: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(change.customer_id):
        file = evidence.attach(
            change=change,
            file=SimpleUploadedFile("sop.pdf", b"%PDF-1.7 procedure"),
            purpose="sop",
            actor=alice,
            now=NOW,
        )
    address = f"/changes/{change.pk}/files/{file.pk}/"
    answer = client_for(alice).get(address)
    assert answer["Content-Disposition"].startswith("attachment")
    assert client_for(eve).get(address).status_code == 404


def test_another_customers_people_find_nothing(change: Change, eve: User, client_for: ClientFor) -> None:
    client = client_for(eve)
    assert client.get(f"/changes/{change.pk}/").status_code == 404
    assert client.post(f"/changes/{change.pk}/comment/", {"reason": "x"}).status_code == 404
    assert client.get(f"/api/v1/changes/{change.pk}/").status_code == 404
    assert change.title not in client.get("/changes/").content.decode()
    assert change.title not in client.get("/changes/calendar/").content.decode()


def test_a_customer_presses_no_verb_of_ours(change: Change, alice: User, client_for: ClientFor) -> None:
    for verb in ("submit", "tell-risk", "record-test", "record-backup", "schedule", "begin", "finish"):
        assert client_for(alice).post(f"/changes/{change.pk}/{verb}/").status_code == 403, verb
    assert client_for(alice).get("/changes/new/").status_code == 403


def test_the_list_takes_a_constant_number_of_queries(
    incident: Incident, web: Asset, chen: User, client_for: ClientFor
) -> None:
    client = client_for(chen)
    with scope.customer(incident.customer):
        draft(incident, chen, web)
    few = _queries(client, "/changes/")
    with scope.customer(incident.customer):
        for _number in range(8):
            draft(incident, chen, web)
    assert _queries(client, "/changes/") == few


def _queries(client: Client, address: str) -> int:
    from django.db import connection  # noqa: PLC0415 - beside its only use
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def test_the_api_takes_a_change_through_its_gates(
    jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, client_for: ClientFor
) -> None:
    client = client_for(chen)
    body = {
        "customer": jia.pk,
        "operation": "linux-kernel",
        "incident": incident.pk,
        "title": "Raise the limit",
        "details": {"what": "fs.file-max"},
        "assets": [web.pk],
        "risk": "high",
        "plan": "sysctl",
        "rollback": "sysctl",
    }
    made = client.post("/api/v1/changes/", body, content_type="application/json")
    assert made.status_code == 201, made.content
    address = f"/api/v1/changes/{made.json()['id']}/"
    assert client.post(f"{address}submit/").json()["gate"] == "risk_told"
    assert client.post(f"{address}begin/").status_code == 409
    gates = client.get(f"{address}gates/").json()
    assert next(gate["gate"] for gate in gates if not gate["is_passed"]) == "risk_told"
    wrong = client.post("/api/v1/changes/", {**body, "details": {}}, content_type="application/json")
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["details"])


def test_the_api_lists_the_catalogue(alice: User, client_for: ClientFor) -> None:
    found = client_for(alice).get("/api/v1/catalogue/").json()
    assert len(found) == len(operations())
    assert found[0]["form"][0]["name"] == "region"


def test_everything_on_the_page_is_escaped(incident: Incident, web: Asset, chen: User, client_for: ClientFor) -> None:
    with scope.customer(incident.customer):
        change = draft(incident, chen, web, title="<script>alert(1)</script>", plan="<img src=x>")
    page = client_for(chen).get(f"/changes/{change.pk}/").content.decode()
    assert "<script>alert(1)" not in page
    assert "<img src=x>" not in page


def test_a_standard_change_is_used_for_somebody_who_wants_it(
    incident: Incident, web: Asset, chen: User, alice: User, lin: User, client_for: ClientFor
) -> None:
    with scope.customer(incident.customer):
        template = standard(web, chen=chen, alice=alice, lin=lin)
    client, address = client_for(chen), f"/changes/standard/{template.pk}/use/"
    assert "web-01" in client.get(address).content.decode()
    for number in ("", "INC-999999", "x", "9" * 19):
        refused = client.post(address, {"assets": [web.pk], "incident": number})
        assert refused.status_code == 422, number
    assert client.post(address, {"incident": incident.number}).status_code == 422, "on no asset"
    client.post(address, {"assets": [web.pk], "incident": incident.number})
    with scope.customer(incident.customer):
        used = Change.objects.get(template=template)
    assert used.incident_id == incident.pk
    assert f'href="/incidents/{incident.pk}/"' in client.get(f"/changes/{used.pk}/").content.decode()


def test_a_mistyped_incident_is_said(incident: Incident, web: Asset, chen: User, client_for: ClientFor) -> None:
    said = {
        "customer": incident.customer_id,
        "title": "T",
        "risk": "low",
        "lead": "provider",
        "origin": "customer",
        "field-what": "x",
    }
    address = "/changes/new/?operation=linux-kernel"
    answer = client_for(chen).post(address, {**said, "assets": [web.pk], "incident": "INC-999999"})
    assert answer.status_code == 422
    assert "999999" in answer.content.decode()
    with scope.customer(incident.customer):
        assert not Change.objects.exists()
