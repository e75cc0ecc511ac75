"""A point of a checklist is looked at with what shows it; without that a change neither goes on nor is undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from changes import catalogue
from changes.catalogue import after_failure, operations
from changes.models import Change, ChangeFile, CheckRecord
from changes.services import evidence, executing
from incidents.models import Incident
from tests.changes.conftest import HOUR, MINUTE, WINDOW, draft, look, prepared
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.usefixtures("contacts")
AT = WINDOW[0] + MINUTE


@pytest.fixture
def begun(incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, lin: User) -> Iterator[Change]:
    """At work on what has the checklist of hosts: check, after, monitoring."""
    with scope.customer(incident.customer):
        change = prepared(draft(incident, chen, web), web, staging, chen=chen, alice=alice, lin=lin)
        executing.begin(change=change, actor=chen, now=WINDOW[0])
        yield change


def failed(change: Change, chen: User) -> Change:
    executing.fail(change=change, reason="It does not start", actor=chen, now=AT)
    change.refresh_from_db()
    return change


def say(change: Change, code: str, chen: User, **given: object) -> CheckRecord:
    return evidence.check(change=change, code=code, words="", given=given, actor=chen, now=AT)


def refused(change: Change, code: str, chen: User, **given: object) -> str | None:
    with pytest.raises(DomainError) as refusal:
        say(change, code, chen, **given)
    return refusal.value.code


def test_whatever_changes_something_names_its_evidence() -> None:
    bare = [
        each.code
        for each in operations().values()
        if each.changes_something and not any(field.required for point in each.checklist for field in point.evidence)
    ]
    assert bare == []
    assert any(field.required for point in after_failure() for field in point.evidence)


def test_a_point_without_its_evidence_is_not_looked_at(begun: Change, chen: User) -> None:
    assert refused(begun, "check", chen) == "evidence_missing"
    assert refused(begun, "check", chen, services_before="") == "evidence_missing"
    assert refused(begun, "check", chen, services_before="nginx", secret="x") == "no_evidence"
    assert refused(begun, "nonsense", chen) == "no_check"
    assert not CheckRecord.objects.filter(change=begun).exists()
    record = say(begun, "check", chen, services_before="nginx 80")
    assert (record.evidence, record.by, record.at) == ({"services_before": "nginx 80"}, chen, AT)
    kept = AuditEntry.objects.filter(action="change.checked").latest("pk")
    assert kept.detail["evidence"] == {"services_before": "nginx 80"}


def test_the_work_is_not_done_while_evidence_is_missing(begun: Change, chen: User) -> None:
    look(begun, chen)
    CheckRecord.objects.create(customer_id=begun.customer_id, change=begun, code="after", at=AT, by=chen)
    with pytest.raises(DomainError) as refusal:
        executing.finish_work(change=begun, result="Done", actor=chen, now=AT)
    assert refusal.value.code == "checks_left", "the newest of a point counts, and it shows nothing"
    say(begun, "after", chen, services_after="nginx 80")
    executing.finish_work(change=begun, result="Done", actor=chen, now=AT)
    begun.refresh_from_db()
    assert begun.state == "customer_test"


def test_the_same_said_twice_is_one_and_a_correction_counts_beside_what_was_said(begun: Change, chen: User) -> None:
    first = say(begun, "check", chen, services_before="nginx 80")
    assert say(begun, "check", chen, services_before="nginx 80") == first
    second = say(begun, "check", chen, services_before="nginx 80, 443")
    assert [one.pk for one in begun.checks.all()] == [first.pk, second.pk]
    begun.refresh_from_db()
    assert evidence.checked(begun)["check"] == second


def test_a_failure_and_its_way_back_have_a_checklist_of_their_own(begun: Change, chen: User, lin: User) -> None:
    look(begun, chen)
    failed(begun, chen)
    assert begun.failure == "It does not start"
    assert refused(begun, "check", chen, services_before="x") == "no_check", "that time is over"
    said = {"result": "As before", "actor": chen, "now": AT}
    with pytest.raises(DomainError) as early:
        executing.roll_back(change=begun, verified_by=lin, **said)  # type: ignore[arg-type]
    assert early.value.code == "checks_left"
    for point in after_failure()[:-1]:
        given = {field.name: "seen" for field in point.evidence if field.required}
        say(begun, point.code, chen, **given)
    with pytest.raises(DomainError):
        executing.roll_back(change=begun, verified_by=lin, **said)  # type: ignore[arg-type]
    say(begun, after_failure()[-1].code, chen)
    executing.roll_back(change=begun, verified_by=lin, **said)  # type: ignore[arg-type]
    begun.refresh_from_db()
    assert (begun.state, begun.verified_by) == ("rolled_back", lin)
    with pytest.raises(DomainError):
        say(begun, "restored", chen, restored_what="x", restored_from="y")


def test_a_failure_is_not_ticked_before_it_happened_and_never_by_the_customer(
    begun: Change, chen: User, alice: User
) -> None:
    assert refused(begun, "restored", chen, restored_what="x", restored_from="y") == "no_check"
    with pytest.raises(PermissionDenied):
        say(begun, "check", alice, services_before="x")
    failed(begun, chen)
    with pytest.raises(PermissionDenied):
        say(begun, "restored", alice, restored_what="x", restored_from="y")


def test_who_verifies_is_one_of_either_side(begun: Change, chen: User, eve: User, alice: User) -> None:
    failed(begun, chen)
    look(begun, chen, at=AT)
    said = {"result": "As before", "actor": chen, "now": AT}
    with pytest.raises(DomainError) as stranger:
        executing.roll_back(change=begun, verified_by=eve, **said)  # type: ignore[arg-type]
    assert stranger.value.code == "not_theirs"
    executing.roll_back(change=begun, verified_by=alice, **said)  # type: ignore[arg-type]


def test_a_file_is_evidence_and_that_of_another_change_is_none(
    begun: Change, incident: Incident, web: Asset, chen: User
) -> None:
    failed(begun, chen)
    file = SimpleUploadedFile("messages.txt", b"oom-killer: killed process 4711")
    record = evidence.check(
        change=begun, code="failed_state", words="See the log", given={"failed_seen": "502 since 10:02"},
        files={"failed_file": file}, actor=chen, now=AT,
    )  # fmt: skip
    kept = ChangeFile.objects.get(pk=record.evidence["failed_file"])
    assert (kept.change_id, kept.purpose, kept.name) == (begun.pk, "evidence", "messages.txt")
    other = draft(incident, chen, web)
    theirs = evidence.attach(
        change=other, file=SimpleUploadedFile("x.txt", b"x"), purpose="evidence", actor=chen, now=NOW
    )
    assert refused(begun, "failed_state", chen, failed_seen="x", failed_file=theirs.pk) == "no_evidence"
    assert refused(begun, "failed_state", chen, failed_seen="x", failed_file=[kept.pk]) == "no_evidence"
    bad = SimpleUploadedFile("a.html", b"<script>alert(1)</script>")
    before = ChangeFile.objects.count()
    with pytest.raises(DomainError):
        evidence.check(
            change=begun, code="failed_state", words="", given={"failed_seen": "x"}, files={"failed_file": bad},
            actor=chen, now=AT,
        )  # fmt: skip
    assert ChangeFile.objects.count() == before


# --- pages ------------------------------------------------------------------------------------------------------------


def test_the_page_asks_for_the_evidence_and_shows_it(
    begun: Change, chen: User, alice: User, client_for: ClientFor
) -> None:
    address = f"/changes/{begun.pk}/check/check/"
    engineer = client_for(chen)
    form = engineer.get(address).content.decode()
    assert 'name="field-services_before"' in form
    assert engineer.post(address, {}).status_code == 422
    assert engineer.post(address, {"field-services_before": "nginx 80", "field-words": "by ss -lnt"}).status_code == 302
    page = client_for(alice).get(f"/changes/{begun.pk}/").content.decode()
    assert "nginx 80" in page
    assert "by ss -lnt" in page
    assert address not in page, "the customer reads it"
    again = engineer.get(address).content.decode()
    assert "nginx 80" in again


def test_a_file_stays_when_the_rest_is_corrected(begun: Change, chen: User, client_for: ClientFor) -> None:
    failed(begun, chen)
    address, engineer = f"/changes/{begun.pk}/check/failed_state/", client_for(chen)
    file = SimpleUploadedFile("messages.txt", b"oom-killer")
    assert engineer.post(address, {"field-failed_seen": "502", "field-failed_file": file}).status_code == 302
    assert engineer.post(address, {"field-failed_seen": "502 since 10:02"}).status_code == 302
    first, second = begun.checks.all()
    assert second.evidence == {"failed_seen": "502 since 10:02", "failed_file": first.evidence["failed_file"]}
    page = engineer.get(f"/changes/{begun.pk}/").content.decode()
    assert f"/changes/{begun.pk}/files/{first.evidence['failed_file']}/" in page
    assert "messages.txt" in page


@pytest.mark.parametrize(
    ("field", "value", "is_good"),
    [
        ("snapshot", "s-bp1abc2def3", True),
        ("snapshot", "my snapshot", False),
        ("link", "https://example.com/a", True),
        ("link", "javascript:alert(1)", False),
        ("link", "ftp://example.com/a", False),
        ("integer", "12", True),
        ("integer", "a dozen", False),
    ],
)
def test_each_type_is_looked_at(field: str, value: str, is_good: bool) -> None:
    from changes.operation_forms import form_field  # noqa: PLC0415 - forms need the apps

    one = catalogue.field_of({"name": "x", "type": field, "en": "x", "zh": "x"})
    try:
        form_field(one).clean(value)
    except Exception:  # noqa: BLE001 - whatever says no
        assert not is_good
    else:
        assert is_good


def test_strangers_and_customers_reach_nothing(
    begun: Change, alice: User, eve: User, client_for: ClientFor, jia: Customer
) -> None:
    address, said = f"/changes/{begun.pk}/check/check/", {"field-services_before": "x"}
    assert client_for(eve).post(address, said).status_code == 404
    assert client_for(alice).post(address, said).status_code == 403
    assert client_for(alice).get(address).status_code == 403
    assert client_for(eve).get(f"/api/v1/changes/{begun.pk}/checks/").status_code == 404
    assert not CheckRecord.objects.exists()


def test_the_rollback_asks_who_has_verified_it(
    begun: Change, chen: User, lin: User, eve: User, alice: User, client_for: ClientFor
) -> None:
    failed(begun, chen)
    look(begun, chen, at=AT)
    address, engineer = f"/changes/{begun.pk}/roll-back/", client_for(chen)
    assert engineer.post(address, {"result": "As before"}).status_code == 422
    assert engineer.post(address, {"result": "As before", "verified_by": eve.pk}).status_code == 422
    assert engineer.post(address, {"result": "As before", "verified_by": lin.pk}).status_code == 302
    page = client_for(alice).get(f"/changes/{begun.pk}/").content.decode()
    assert lin.name in page
    assert "It does not start" in page


# --- API and archive --------------------------------------------------------------------------------------------------


def test_the_api_takes_and_gives_evidence(begun: Change, chen: User, alice: User, client_for: ClientFor) -> None:
    address, engineer = f"/api/v1/changes/{begun.pk}/checks/", client_for(chen)

    def post(**said: object) -> int:
        return int(engineer.post(address, said, content_type="application/json").status_code)

    assert post(code="check") == 400
    assert post(code="check", evidence={"services_before": "x", "more": 1}) == 400
    assert post(code="nothing", evidence={}) == 409
    assert post(code="check", evidence={"services_before": "nginx 80"}, words="ss") == 201
    points = client_for(alice).get(address).json()
    assert [point["code"] for point in points] == ["check", "after", "monitoring"]
    assert points[0]["is_done"] is True
    assert points[0]["evidence"][0]["value"] == "nginx 80"
    assert (points[0]["remark"], points[0]["by"]["id"]) == ("ss", chen.pk)
    assert points[1]["is_done"] is False
    [host] = [one for one in engineer.get("/api/v1/catalogue/").json() if one["code"] == begun.operation]
    assert host["checklist"][0]["evidence"][0]["name"] == "services_before"


def test_the_api_keeps_files_and_rolls_back(begun: Change, chen: User, lin: User, client_for: ClientFor) -> None:
    failed(begun, chen)
    engineer, base = client_for(chen), f"/api/v1/changes/{begun.pk}"
    file = SimpleUploadedFile("messages.txt", b"oom-killer")
    kept = engineer.post(f"{base}/files/", {"file": file})
    assert kept.status_code == 201, kept.content
    proof = {"failed_seen": "502", "failed_file": kept.json()["id"]}
    ticked = {"code": "failed_state", "evidence": proof}
    assert engineer.post(f"{base}/checks/", ticked, content_type="application/json").status_code == 201
    look(begun, chen, at=AT)
    for who, status in ((0, 400), (lin.pk, 200)):
        said = {"result": "As before", "verified_by": who}
        answer = engineer.post(f"{base}/roll-back/", said, content_type="application/json")
        assert answer.status_code == status, answer.content
    assert answer.json()["failure"] == "It does not start"


def test_the_list_for_the_archive_has_what_was_shown(
    begun: Change, chen: User, lin: User, client_for: ClientFor
) -> None:
    failed(begun, chen)
    look(begun, chen, at=AT + HOUR)
    executing.roll_back(change=begun, result="As before", verified_by=lin, actor=chen, now=AT + HOUR)
    text = b"".join(client_for(chen).get("/changes/?export=csv")).decode("utf-8-sig")
    assert "It does not start" in text
    assert lin.name in text
    assert "seen" in text


def test_a_point_that_is_not_there_now_is_said_and_not_missed(begun: Change, chen: User, client_for: ClientFor) -> None:
    for code in ("nonsense", "restored"):
        answer = client_for(chen).get(f"/changes/{begun.pk}/check/{code}/", headers={"HX-Request": "true"})
        assert answer.status_code == 422
