"""The registers: violations by side, faults after a joint review, causes at the customer, times with third parties."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.errors import DomainError
from accounts.models import Customer, User
from incidents import results, services
from incidents.models import (
    CauseNotice,
    Clock,
    Fault,
    FaultDecision,
    Incident,
    IncidentState,
    ThirdPartyTime,
    TimelineEntry,
    Violation,
)
from incidents.services import causes, faults, third_parties, violations
from notify.models import Delivery
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import make_asset, raise_incident
from tests.incidents.test_requests import name_contact

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def incident(in_jia: Customer, bob: User) -> Incident:
    return raise_incident(bob, customer=in_jia)


# --- violations ------------------------------------------------------------------------------------------------------


def write_down(customer: Customer, actor: User, **more: object) -> Violation:
    said = {
        "side": "customer",
        "rule": "not_requested",
        "who": "Operations of jia",
        "what": "Changed the load balancer by telephone.",
        "happened_at": NOW - HOUR,
        **more,
    }
    return violations.record(customer=customer, actor=actor, now=NOW, **said)  # type: ignore[arg-type]  # what the case says


def test_a_violation_names_who_what_and_when_and_is_answered_by_the_other_side(
    in_jia: Customer, incident: Incident, alice: User, chen: User
) -> None:
    name_contact(alice)
    asset = make_asset(in_jia)
    proof = SimpleUploadedFile("chat.txt", b"10:03 please change it now")
    violation = write_down(in_jia, chen, asset=asset, incident=incident, file=proof)
    assert (violation.asset, violation.incident, len(violation.file_sha256)) == (asset, incident, 64)
    assert Delivery.objects.filter(user=alice, key__startswith="violation:").exists()
    violations.answer(violation=violation, answer="acknowledged", words="", actor=alice, now=NOW + MINUTE)
    violation.refresh_from_db()
    assert (violation.answer, violation.answered_by) == ("acknowledged", alice)
    with pytest.raises(DomainError):
        violations.answer(violation=violation, answer="disputed", words="no", actor=alice, now=NOW)


def test_the_side_that_recorded_it_does_not_answer(
    in_jia: Customer, alice: User, bob: User, chen: User, lin: User
) -> None:
    ours, theirs = write_down(in_jia, chen), write_down(in_jia, alice, side="provider", rule="not_owner")
    for violation, wrong in ((ours, chen), (ours, lin), (ours, bob), (theirs, alice), (theirs, chen)):
        with pytest.raises(PermissionDenied):
            violations.answer(violation=violation, answer="acknowledged", words="", actor=wrong, now=NOW)
    violations.answer(violation=theirs, answer="disputed", words="He was on duty.", actor=lin, now=NOW)
    with pytest.raises(DomainError):
        violations.answer(violation=ours, answer="disputed", words=" ", actor=alice, now=NOW)


@pytest.mark.parametrize(
    "wrong", [{"who": " "}, {"what": ""}, {"happened_at": NOW + HOUR}, {"file": SimpleUploadedFile("x.svg", b"<svg>")}]
)
def test_a_violation_that_says_nothing_is_refused(wrong: dict[str, object], in_jia: Customer, chen: User) -> None:
    with pytest.raises(DomainError):
        write_down(in_jia, chen, **wrong)
    assert not Violation.objects.exists()


def test_violations_are_counted_by_side(in_jia: Customer, alice: User, chen: User) -> None:
    for _ in range(2):
        write_down(in_jia, chen)
    write_down(in_jia, alice, side="provider", happened_at=NOW - 10 * HOUR)
    assert Violation.objects.counts() == {"customer": 2, "provider": 1}
    assert Violation.objects.between(NOW - 2 * HOUR, NOW).counts() == {"customer": 2, "provider": 0}


def test_the_register_of_violations_on_pages_and_in_the_api(
    in_jia: Customer, incident: Incident, alice: User, vera: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    form = {
        "customer": in_jia.pk, "side": "customer", "rule": "direct_work", "who": "Zhang", "what": "Restarted nginx.",
        "happened_at": "2026-03-02T09:30", "incident": incident.number,
    }  # fmt: skip
    ours = client_for(chen)
    assert ours.get(f"/violations/record/?customer={in_jia.pk}").status_code == 200
    assert ours.post("/violations/record/", {**form, "incident": "INC-999999"}).status_code == 422
    assert ours.post("/violations/record/", form).status_code == 302
    violation = Violation.objects.get()
    assert violation.incident == incident
    page = client_for(alice).get(f"/violations/{violation.pk}/").content.decode()
    assert "Restarted nginx." in page
    assert client_for(alice).post(f"/violations/{violation.pk}/answer/", {"answer": "disputed"}).status_code == 422
    said = {"answer": "disputed", "words": "It was agreed."}
    assert client_for(vera).post(f"/violations/{violation.pk}/answer/", said).status_code == 403
    assert client_for(eve).get(f"/violations/{violation.pk}/").status_code == 404
    assert client_for(alice).post(f"/violations/{violation.pk}/answer/", said).status_code == 302
    assert "It was agreed." in ours.get("/violations/?export=csv&answer=disputed").content.decode()
    assert ours.get("/api/v1/violations/counts/?side=customer").json() == {"customer": 1, "provider": 0}
    body = {
        "customer": in_jia.pk, "side": "provider", "rule": "other", "who": "x", "what": "y",
        "happened_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert ours.post("/api/v1/violations/", body, content_type="application/json").status_code == 201


# --- faults ----------------------------------------------------------------------------------------------------------


def propose(incident: Incident, actor: User, **more: object) -> Fault:
    said = {"title": "Storage pool", "summary": "A controller failed.", **more}
    return faults.propose(incident=incident, actor=actor, now=NOW, **said)  # type: ignore[arg-type]  # what the case says


@pytest.mark.parametrize(
    ("provider", "customer", "outcome"),
    [
        ("fault", "fault", "fault"),
        ("not_fault", "not_fault", "not_fault"),
        ("not_fault", "fault", "disagreed"),
    ],
)
def test_both_sides_decide(
    provider: str, customer: str, outcome: str, incident: Incident, alice: User, chen: User
) -> None:
    fault = propose(incident, alice)
    faults.decide(fault=fault, verdict=provider, words="ours", actor=chen, now=NOW + MINUTE)
    fault.refresh_from_db()
    assert (fault.outcome, fault.decided_at) == ("review", None)
    faults.decide(fault=fault, verdict=customer, words="theirs", actor=alice, now=NOW + 2 * MINUTE)
    fault.refresh_from_db()
    assert fault.outcome == outcome
    assert (fault.decided_at is not None) == (outcome != "disagreed")
    assert {each.side: each.person for each in fault.decisions.all()} == {"provider": chen, "customer": alice}


def test_sides_that_disagree_may_say_it_anew_and_both_words_stand(incident: Incident, alice: User, chen: User) -> None:
    fault = propose(incident, chen)
    faults.decide(fault=fault, verdict="not_fault", words="load", actor=chen, now=NOW)
    faults.decide(fault=fault, verdict="fault", words="outage", actor=alice, now=NOW)
    faults.decide(fault=fault, verdict="fault", words="you are right", actor=chen, now=NOW + MINUTE)
    fault.refresh_from_db()
    assert fault.outcome == "fault"
    assert FaultDecision.objects.count() == 3
    with pytest.raises(DomainError):
        faults.decide(fault=fault, verdict="not_fault", words="no", actor=alice, now=NOW)


def test_a_member_who_speaks_for_nobody_does_not_decide_and_a_named_contact_does(
    incident: Incident, bob: User, vera: User, chen: User
) -> None:
    fault = propose(incident, bob)
    for person in (bob, vera):
        with pytest.raises(PermissionDenied):
            faults.decide(fault=fault, verdict="fault", words="x", actor=person, now=NOW)
    name_contact(bob)
    faults.decide(fault=fault, verdict="fault", words="x", actor=bob, now=NOW)
    assert faults.latest(fault)["customer"].person == bob


def test_one_review_holds_several_incidents(in_jia: Customer, incident: Incident, bob: User, chen: User) -> None:
    fault, other = propose(incident, chen), raise_incident(bob, customer=in_jia)
    propose(other, chen, fault=fault)
    assert set(fault.incidents.all()) == {incident, other}
    with pytest.raises(DomainError):
        propose(other, chen, fault=fault)
    faults.decide(fault=fault, verdict="fault", words="x", actor=chen, now=NOW)
    for one in (incident, other):
        assert TimelineEntry.objects.filter(incident=one, kind="fault").count() == 2


def test_faults_on_pages_and_in_the_api(
    incident: Incident, alice: User, eve: User, vera: User, chen: User, client_for: ClientFor
) -> None:
    ours, theirs = client_for(chen), client_for(alice)
    form = {"fault": "", "title": "Storage pool", "summary": "A controller failed."}
    assert ours.post(f"/incidents/{incident.pk}/fault/", form).status_code == 302
    fault = Fault.objects.get()
    assert fault.number in theirs.get(f"/incidents/{incident.pk}/").content.decode()
    ours.post(f"/faults/{fault.pk}/decide/", {"verdict": "fault", "words": "Proven."})
    assert client_for(vera).post(f"/faults/{fault.pk}/decide/", {"verdict": "fault", "words": "x"}).status_code == 403
    assert client_for(eve).get(f"/faults/{fault.pk}/").status_code == 404
    answer = theirs.post(
        f"/api/v1/faults/{fault.pk}/decide/",
        {"verdict": "fault", "words": "We agree."},
        content_type="application/json",
    )
    assert answer.json()["outcome"] == "fault"
    assert "We agree." in ours.get("/faults/?outcome=fault&export=csv").content.decode()
    assert ours.get("/api/v1/faults/?outcome=review").json()["results"] == []


# --- causes ----------------------------------------------------------------------------------------------------------


def resolve_as_theirs(incident: Incident, actor: User, **more: object) -> CauseNotice:
    said = {"proof": "A query without index, see the log.", **more}
    services.resolve(
        incident=incident,
        resolution="Query killed.",
        cause="customer_application",
        actor=actor,
        now=NOW + MINUTE,
        **said,  # type: ignore[arg-type]  # what the case says
    )
    return CauseNotice.objects.get()


def test_the_customers_contacts_receive_the_proof_by_mail_too(incident: Incident, alice: User, chen: User) -> None:
    contact = name_contact(alice)
    log = SimpleUploadedFile("slow.log", b"# Query_time: 912")
    notice = resolve_as_theirs(incident, chen, files=[log])
    assert notice.told == [{"name": "Alice", "email": contact.email, "duty": "primary"}]
    media = Delivery.objects.filter(key__startswith=f"causenotice:{notice.pk}:told:").values_list("medium", flat=True)
    assert sorted(media) == ["email", "inbox"]
    assert [file.name for file in notice.entry.attachments.all()] == ["slow.log"]


def test_without_proof_it_is_not_resolved_as_theirs(incident: Incident, chen: User) -> None:
    with pytest.raises(DomainError) as refusal:
        resolve_as_theirs(incident, chen, proof="  ")
    assert refusal.value.code == "proof_missing"
    incident.refresh_from_db()
    assert incident.state == IncidentState.OPEN


def test_other_causes_need_no_proof_and_tell_nothing(incident: Incident, chen: User) -> None:
    services.resolve(incident=incident, resolution="x", cause="system", actor=chen, now=NOW)
    assert not CauseNotice.objects.exists()


def test_the_customer_acknowledges_or_disputes_once(
    incident: Incident, alice: User, bob: User, eve: User, vera: User, chen: User
) -> None:
    notice = resolve_as_theirs(incident, chen)
    for person in (eve, vera, chen):
        with pytest.raises(PermissionDenied):
            causes.answer(notice=notice, answer="acknowledged", words="", actor=person, now=NOW)
    with pytest.raises(DomainError):
        causes.answer(notice=notice, answer="disputed", words="", actor=alice, now=NOW)
    causes.answer(notice=notice, answer="disputed", words="The index is there.", actor=bob, now=NOW)
    with pytest.raises(DomainError):
        causes.answer(notice=notice, answer="acknowledged", words="", actor=alice, now=NOW)
    assert Delivery.objects.filter(user=chen, key__startswith=f"causenotice:{notice.pk}:answered:").exists()


def test_causes_on_pages_and_in_the_api(
    incident: Incident, alice: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    ours = client_for(chen)
    form = {"resolution": "Query killed.", "cause": "customer_application", "proof": ""}
    assert ours.post(f"/incidents/{incident.pk}/resolve/", form).status_code == 422
    files = {"attachments": SimpleUploadedFile("slow.log", b"# Query_time: 912")}
    assert (
        ours.post(f"/incidents/{incident.pk}/resolve/", {**form, "proof": "See the log.", **files}).status_code == 302
    )
    notice = CauseNotice.objects.get()
    page = client_for(alice).get(f"/causes/{notice.pk}/").content.decode()
    assert "See the log." in page
    assert "slow.log" in page
    assert client_for(eve).get(f"/causes/{notice.pk}/").status_code == 404
    assert ours.post(f"/causes/{notice.pk}/answer/", {"answer": "acknowledged"}).status_code == 403
    assert client_for(alice).post(f"/causes/{notice.pk}/answer/", {"answer": "acknowledged"}).status_code == 302
    assert "See the log." in ours.get("/causes/?export=csv&answer=acknowledged").content.decode()
    assert ours.get("/api/v1/causes/?answer=acknowledged").json()["results"][0]["id"] == notice.pk


# --- third parties ---------------------------------------------------------------------------------------------------


def hand_over(incident: Incident, actor: User, **more: object) -> ThirdPartyTime:
    said = {"party": "aliyun", "ticket": "8FQ2K1", "started_at": NOW, "now": NOW, **more}
    return third_parties.hand_over(incident=incident, actor=actor, **said)  # type: ignore[arg-type]  # what the case says


def test_time_with_alibaba_cloud_is_kept_with_its_ticket_and_stops_no_clock(incident: Incident, chen: User) -> None:
    due = incident.next_due_at
    stretch = hand_over(incident, chen)
    incident.refresh_from_db()
    assert (incident.next_due_at, incident.state) == (due, IncidentState.OPEN)
    third_parties.take_back(
        stretch=stretch,
        answered_at=NOW + HOUR,
        ended_at=NOW + 3 * HOUR,
        note="Host migrated.",
        actor=chen,
        now=NOW + 4 * HOUR,
    )
    stretch.refresh_from_db()
    assert (stretch.ticket, stretch.answered_at, stretch.ended_at) == ("8FQ2K1", NOW + HOUR, NOW + 3 * HOUR)
    assert not incident.pauses.exists()


def test_stretches_of_one_party_that_overlap_count_once_and_parties_count_apart(incident: Incident, chen: User) -> None:
    first = hand_over(incident, chen)
    with pytest.raises(DomainError):
        hand_over(incident, chen)
    hand_over(incident, chen, party="third_party", name="Carrier", started_at=NOW + HOUR, now=NOW + HOUR)
    later = NOW + 6 * HOUR
    third_parties.take_back(stretch=first, answered_at=None, ended_at=NOW + 2 * HOUR, actor=chen, now=later)
    again = hand_over(incident, chen, started_at=NOW + HOUR, now=later)
    third_parties.take_back(stretch=again, answered_at=None, ended_at=NOW + 4 * HOUR, actor=chen, now=later)
    services.resolve(incident=incident, resolution="x", cause="aliyun", actor=chen, now=later)
    sums = results.time_apart(Clock.objects.filter(incident=incident))
    assert sums == {"aliyun": 4 * HOUR, "third_party": 5 * HOUR}


def test_solving_ends_what_lies_with_others(incident: Incident, chen: User) -> None:
    stretch = hand_over(incident, chen)
    services.resolve(incident=incident, resolution="x", cause="aliyun", actor=chen, now=NOW + 2 * HOUR)
    stretch.refresh_from_db()
    assert stretch.ended_at == NOW + 2 * HOUR


Wrong = Callable[[Incident, User], object]


@pytest.mark.parametrize(
    "act",
    [
        lambda incident, chen: hand_over(incident, chen, started_at=NOW + HOUR),
        lambda incident, chen: _take(hand_over(incident, chen), chen, ended_at=NOW - HOUR),
        lambda incident, chen: _take(hand_over(incident, chen), chen, ended_at=NOW + HOUR, answered_at=NOW + 2 * HOUR),
    ],
    ids=["begins in the future", "ends before it begins", "answered after its end"],
)
def test_times_that_cannot_be_are_refused(act: Wrong, incident: Incident, chen: User) -> None:
    with pytest.raises(DomainError):
        act(incident, chen)


def _take(stretch: ThirdPartyTime, actor: User, **more: object) -> ThirdPartyTime:
    said = {"answered_at": None, "now": NOW + 3 * HOUR, **more}
    return third_parties.take_back(stretch=stretch, actor=actor, **said)  # type: ignore[arg-type]  # what the case says


def test_third_parties_on_the_page_and_in_the_api(
    incident: Incident, alice: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    ours = client_for(chen)
    form = {"party": "aliyun", "ticket": "8FQ2K1", "started_at": "2026-03-02T10:00"}
    assert ours.post(f"/incidents/{incident.pk}/hand-over/", form).status_code == 302
    assert "8FQ2K1" in client_for(alice).get(f"/incidents/{incident.pk}/").content.decode()
    assert client_for(alice).post(f"/incidents/{incident.pk}/hand-over/", form).status_code == 403
    stretch = ThirdPartyTime.objects.get()
    back = {"stretch": stretch.pk, "ended_at": "2026-03-02T11:00", "answered_at": "2026-03-02T10:20"}
    assert ours.post(f"/incidents/{incident.pk}/take-back/", back).status_code == 302
    row = ours.get(f"/api/v1/third-party-times/?incident={incident.pk}").json()["results"][0]
    assert (row["ticket"], row["ended_at"]) == ("8FQ2K1", "2026-03-02T11:00:00+08:00")
    assert client_for(eve).get(f"/api/v1/third-party-times/{stretch.pk}/").status_code == 404
