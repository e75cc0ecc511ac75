"""Service requests are reviewed before anything is done; what is dangerous or extra waits for a signature."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone, translation

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Contact, Customer, Severity, User
from incidents import services
from incidents.models import (
    AttestationAnswer,
    Incident,
    IncidentState,
    Pause,
    Quote,
    RequestPhase,
    ServiceRequest,
    TimelineEntry,
)
from incidents.services import attestations, quotes, requests
from incidents.services.quotes import Line
from incidents.services.requests import Wanted
from incidents.timeline import sentence
from notify.models import Delivery
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import make_asset

MINUTE = timedelta(minutes=1)
Phase = RequestPhase


def name_contact(person: User, kind: Contact.Kind = Contact.Kind.PRIMARY) -> Contact:
    assert person.customer is not None
    with scope.customer(person.customer):
        return Contact.objects.create(
            customer=person.customer, kind=kind, user=person, phone="13800000001", email=person.email
        )


def ask_for(actor: User, customer: Customer, title: str = "Open port 8443") -> Incident:
    with scope.customer(customer):
        return requests.raise_request(
            customer=customer, title=title, description="For the partner.", assets=[], actor=actor, now=NOW
        )


@pytest.fixture
def asked(in_jia: Customer, bob: User) -> Incident:
    return ask_for(bob, in_jia)


@pytest.fixture
def reviewed(asked: Incident, chen: User) -> Incident:
    return services.acknowledge(incident=asked, actor=chen, now=NOW + MINUTE)


def judge(incident: Incident, actor: User, **said: object) -> Incident:
    values = {"risk": "normal", "billing": "included", "is_out_of_scope": False, **said}
    return requests.judge(incident=incident, actor=actor, now=NOW + 2 * MINUTE, **values)  # type: ignore[arg-type]  # what the case says


def phases(incident: Incident) -> tuple[str, str]:
    incident.refresh_from_db()
    return incident.phase, incident.state


# --- the way of a request --------------------------------------------------------------------------------------------


def test_a_request_goes_from_received_to_confirmed(asked: Incident, bob: User, chen: User) -> None:
    seen = [phases(asked)]
    services.acknowledge(incident=asked, actor=chen, now=NOW)
    seen.append(phases(asked))
    requests.accept(incident=asked, words="", actor=chen, now=NOW)
    seen.append(phases(asked))
    requests.begin(incident=asked, actor=chen, now=NOW)
    seen.append(phases(asked))
    requests.finish(incident=asked, words="Port is open.", actor=chen, now=NOW)
    seen.append(phases(asked))
    services.close(incident=asked, actor=bob, now=NOW)
    seen.append(phases(asked))
    assert seen == [
        (Phase.RECEIVED, "open"),
        (Phase.REVIEW, "acknowledged"),
        (Phase.ACCEPTED, "acknowledged"),
        (Phase.IN_WORK, "acknowledged"),
        (Phase.DONE, "resolved"),
        (Phase.CONFIRMED, "closed"),
    ]


def test_a_request_is_answered_within_15_minutes_like_all_that_customers_raise(asked: Incident) -> None:
    assert asked.response is not None
    assert asked.response.due_at == NOW + 15 * MINUTE


def test_work_before_the_review_is_refused(asked: Incident, reviewed: Incident, chen: User) -> None:
    acts: list[Callable[[], object]] = [
        lambda: requests.begin(incident=asked, actor=chen, now=NOW),
        lambda: requests.finish(incident=asked, words="x", actor=chen, now=NOW),
        lambda: services.resolve(incident=asked, resolution="x", cause="system", actor=chen, now=NOW),
    ]
    for act in acts:
        with pytest.raises(DomainError) as refusal:
            act()
        assert refusal.value.code == "wrong_state"


def test_a_refusal_has_its_reason_and_the_customer_may_insist(asked: Incident, bob: User, chen: User) -> None:
    with pytest.raises(DomainError):
        requests.refuse(incident=asked, reason=" ", actor=chen, now=NOW)
    requests.refuse(incident=asked, reason="It opens the database to everybody.", actor=chen, now=NOW)
    assert phases(asked) == (Phase.REFUSED, IncidentState.RESOLVED)
    assert asked.resolution == "It opens the database to everybody."
    assert Delivery.objects.filter(user=bob, key__contains=":decided:").exists()
    services.reopen(incident=asked, reason="We need it.", actor=bob, now=NOW)
    assert phases(asked) == (Phase.REVIEW, IncidentState.OPEN)


def test_a_refused_request_is_closed_as_refused(asked: Incident, bob: User, chen: User) -> None:
    requests.refuse(incident=asked, reason="No.", actor=chen, now=NOW)
    services.close(incident=asked, actor=bob, now=NOW)
    assert phases(asked) == (Phase.REFUSED, IncidentState.CLOSED)


def test_the_customer_withdraws_before_work_begins_and_not_after(asked: Incident, bob: User, chen: User) -> None:
    requests.withdraw(incident=asked, reason="done ourselves", actor=bob, now=NOW)
    assert phases(asked) == (Phase.WITHDRAWN, IncidentState.CLOSED)
    assert not asked.clocks.filter(stopped_at=None).exists()
    assert asked.customer is not None
    other = ask_for(bob, asked.customer)
    services.acknowledge(incident=other, actor=chen, now=NOW)
    requests.accept(incident=other, words="", actor=chen, now=NOW)
    requests.begin(incident=other, actor=chen, now=NOW)
    with pytest.raises(DomainError):
        requests.withdraw(incident=other, reason="too late", actor=bob, now=NOW)


def test_the_customer_decides_nothing_of_the_review(asked: Incident, alice: User, vera: User) -> None:
    for act in (
        lambda: requests.accept(incident=asked, words="", actor=alice, now=NOW),
        lambda: requests.refuse(incident=asked, reason="x", actor=alice, now=NOW),
        lambda: judge(asked, alice, risk="low"),
        lambda: requests.warn(incident=asked, text="x", actor=alice, now=NOW),
        lambda: requests.withdraw(incident=asked, reason="x", actor=vera, now=NOW),
    ):
        with pytest.raises(PermissionDenied):
            act()


def test_an_incident_has_no_phase_and_no_verbs_of_requests(in_jia: Customer, alice: User, chen: User) -> None:
    incident = services.raise_by_customer(
        customer=in_jia,
        title="x",
        description="",
        severity=Severity.HIGH,
        category="system",
        assets=[],
        actor=alice,
        now=NOW,
    )
    assert incident.phase == ""
    with pytest.raises(DomainError):
        requests.accept(incident=incident, words="", actor=chen, now=NOW)


def test_a_request_from_the_catalogue_keeps_its_operation_and_fields(in_jia: Customer, bob: User) -> None:
    wanted = Wanted(operation="ecs.create", fields={"zone": "cn-hangzhou-b", "cpu": 4}, wished_at=NOW, risk="low")
    incident = requests.raise_request(
        customer=in_jia,
        title="A server",
        description="",
        assets=[make_asset(in_jia)],
        actor=bob,
        now=NOW,
        wanted=wanted,
    )
    request = ServiceRequest.objects.get(incident=incident)
    assert (request.operation, request.fields["cpu"], request.wished_at) == ("ecs.create", 4, NOW)


def test_somebody_of_another_customer_asks_for_nothing_here(jia: Customer, eve: User) -> None:
    with pytest.raises(PermissionDenied):
        ask_for(eve, jia)


def test_work_that_changes_something_is_not_finished_without_a_change_or_a_reason(
    in_jia: Customer, asked: Incident, chen: User, client_for: ClientFor
) -> None:
    ServiceRequest.objects.filter(incident=asked).update(owes_change=True)
    services.acknowledge(incident=asked, actor=chen, now=NOW)
    requests.accept(incident=asked, words="", actor=chen, now=NOW)
    requests.begin(incident=asked, actor=chen, now=NOW)
    with pytest.raises(DomainError) as refusal:
        requests.finish(incident=Incident.objects.get(), words="Port is open.", actor=chen, now=NOW)
    assert refusal.value.code == "change_missing"
    client, page = client_for(chen), f"/incidents/{asked.pk}/finish/"
    assert 'name="without_change"' in client.get(page).content.decode()
    assert client.post(page, {"words": "Port is open."}).status_code == 422
    assert phases(asked) == (Phase.IN_WORK, "acknowledged")
    client.post(page, {"words": "Port is open.", "without_change": "Bob opened it himself"})
    assert phases(asked) == (Phase.DONE, "resolved")
    entry = TimelineEntry.objects.get(incident=asked, data__what="done")
    with translation.override("en"):
        assert "Bob opened it himself" in sentence(entry)


# --- dangerous ones --------------------------------------------------------------------------------------------------


def test_a_dangerous_request_waits_for_the_written_word_of_the_service_contact(
    in_jia: Customer, reviewed: Incident, alice: User, chen: User
) -> None:
    name_contact(alice)
    attestation = requests.warn(incident=reviewed, text="The database is open to all.", actor=chen, now=NOW + MINUTE)
    reviewed.refresh_from_db()
    assert reviewed.state == IncidentState.WAITING_CUSTOMER
    assert reviewed.request.risk == "dangerous"
    assert Pause.objects.get(incident=reviewed, ended_at=None).reason == Pause.Reason.CONFIRMATION
    assert "The database is open to all." in attestation.text
    requests.accept(incident=reviewed, words="", actor=chen, now=NOW + MINUTE)
    with pytest.raises(DomainError) as refusal:
        requests.begin(incident=reviewed, actor=chen, now=NOW + MINUTE)
    assert refusal.value.code == "wrong_state"
    attestations.sign(attestation=attestation, actor=alice, ip="192.0.2.1", now=NOW + 9 * MINUTE)
    reviewed.refresh_from_db()
    assert reviewed.state == IncidentState.ACKNOWLEDGED
    pause = Pause.objects.get(incident=reviewed)
    assert (pause.started_at, pause.ended_at) == (NOW + MINUTE, NOW + 9 * MINUTE)
    requests.begin(incident=reviewed, actor=chen, now=NOW + 9 * MINUTE)
    assert phases(reviewed)[0] == Phase.IN_WORK


def test_judged_dangerous_and_never_confirmed_it_does_not_begin(
    in_jia: Customer, reviewed: Incident, chen: User
) -> None:
    judge(reviewed, chen, risk="dangerous")
    requests.accept(incident=reviewed, words="", actor=chen, now=NOW)
    with pytest.raises(DomainError) as refusal:
        requests.begin(incident=reviewed, actor=chen, now=NOW)
    assert refusal.value.code == "not_signed"


def test_a_comment_is_no_signature(in_jia: Customer, reviewed: Incident, alice: User, bob: User, chen: User) -> None:
    name_contact(alice)
    requests.warn(incident=reviewed, text="Danger.", actor=chen, now=NOW + MINUTE)
    services.comment(incident=reviewed, body="Just do it.", actor=bob, now=NOW + 2 * MINUTE)
    reviewed.refresh_from_db()
    assert reviewed.state == IncidentState.WAITING_CUSTOMER


@pytest.mark.parametrize("ending", ["declined", "withdrawn", "expired"])
def test_without_a_signature_the_clocks_run_on_and_the_work_stays_shut(
    ending: str, in_jia: Customer, reviewed: Incident, alice: User, chen: User
) -> None:
    name_contact(alice)
    attestation = requests.warn(incident=reviewed, text="Danger.", actor=chen, now=NOW + MINUTE)
    match ending:
        case "declined":
            attestations.decline(
                attestation=attestation, actor=alice, words="Too risky.", ip=None, now=NOW + 2 * MINUTE
            )
        case "withdrawn":
            attestations.withdraw(attestation=attestation, actor=chen, words="", now=NOW + 2 * MINUTE)
        case "expired":
            assert attestations.expire(attestation_id=attestation.pk, now=attestation.expires_at)
    assert phases(reviewed)[1] == IncidentState.ACKNOWLEDGED
    requests.accept(incident=reviewed, words="", actor=chen, now=NOW + 3 * MINUTE)
    with pytest.raises(DomainError) as refusal:
        requests.begin(incident=reviewed, actor=chen, now=NOW + 3 * MINUTE)
    assert refusal.value.code == "not_signed"
    entry = TimelineEntry.objects.filter(incident=reviewed, kind="attestation").get()
    assert entry.data["outcome"] == ending


def test_refusing_the_request_leaves_nothing_to_be_signed(
    in_jia: Customer, reviewed: Incident, alice: User, chen: User
) -> None:
    name_contact(alice)
    attestation = requests.warn(incident=reviewed, text="Danger.", actor=chen, now=NOW + MINUTE)
    requests.refuse(incident=reviewed, reason="No.", actor=chen, now=NOW + 2 * MINUTE)
    assert AttestationAnswer.objects.get(attestation=attestation).outcome == "withdrawn"
    assert phases(reviewed) == (Phase.REFUSED, IncidentState.RESOLVED)


# --- quotes ----------------------------------------------------------------------------------------------------------


def offer(incident: Incident, actor: User, *lines: tuple[str, str, str], until: date | None = None) -> Quote:
    rows = [Line(text, Decimal(quantity), Decimal(price)) for text, quantity, price in lines]
    return quotes.offer(
        incident=incident,
        lines=rows or [Line("Migration", Decimal(2), Decimal("1500.50"))],
        valid_until=until or date(2026, 3, 31),
        note="",
        actor=actor,
        now=NOW + 2 * MINUTE,
    )


def test_work_outside_the_scope_waits_for_the_project_managers_acceptance(
    in_jia: Customer, reviewed: Incident, alice: User, chen: User
) -> None:
    name_contact(alice, Contact.Kind.FIRST_PM)
    judge(reviewed, chen, is_out_of_scope=True, billing="separate")
    quote = offer(reviewed, chen, ("Oracle", "1", "8000"), ("Days", "2.5", "1333.33"))
    assert quote.amount == Decimal("11333.33")
    assert "11,333.33" in quote.attestation.text
    assert Pause.objects.get(incident=reviewed, ended_at=None).reason == Pause.Reason.QUOTE
    attestations.sign(attestation=quote.attestation, actor=alice, ip=None, now=NOW + 5 * MINUTE)
    requests.accept(incident=reviewed, words="", actor=chen, now=NOW + 6 * MINUTE)
    requests.begin(incident=reviewed, actor=chen, now=NOW + 6 * MINUTE)
    assert phases(reviewed)[0] == Phase.IN_WORK


def test_a_new_quote_takes_the_place_of_the_open_one(
    in_jia: Customer, reviewed: Incident, alice: User, chen: User
) -> None:
    name_contact(alice, Contact.Kind.FIRST_PM)
    first, second = offer(reviewed, chen), offer(reviewed, chen)
    first.attestation.refresh_from_db()
    assert AttestationAnswer.objects.get(attestation=first.attestation).outcome == "withdrawn"
    assert second.attestation.is_open(NOW + 3 * MINUTE)
    assert phases(reviewed)[1] == IncidentState.WAITING_CUSTOMER


@pytest.mark.parametrize(
    "lines", [[], [("", "1", "1")], [("x", "0", "1")], [("x", "1", "-1")], [("x", "1000000", "1000000")]]
)
def test_a_quote_that_makes_no_sense_is_refused(
    lines: list[tuple[str, str, str]], in_jia: Customer, reviewed: Incident, alice: User, chen: User
) -> None:
    name_contact(alice, Contact.Kind.FIRST_PM)
    rows = [Line(text, Decimal(quantity), Decimal(price)) for text, quantity, price in lines]
    with pytest.raises(DomainError):
        quotes.offer(incident=reviewed, lines=rows, valid_until=date(2026, 3, 31), note="", actor=chen, now=NOW)
    assert not Quote.objects.exists()


def test_a_quote_ends_with_its_last_day(in_jia: Customer, reviewed: Incident, alice: User, chen: User) -> None:
    name_contact(alice, Contact.Kind.FIRST_PM)
    with pytest.raises(DomainError):
        offer(reviewed, chen, until=date(2026, 3, 1))
    quote = offer(reviewed, chen, until=date(2026, 3, 2))
    assert timezone.localtime(quote.attestation.expires_at).strftime("%F %T") == "2026-03-03 00:00:00"


# --- pages and API ---------------------------------------------------------------------------------------------------


def test_both_sides_walk_a_request_on_the_pages(
    jia: Customer, alice: User, bob: User, chen: User, client_for: ClientFor
) -> None:
    name_contact(alice)
    theirs, ours = client_for(bob), client_for(chen)
    files = {"attachments": SimpleUploadedFile("plan.txt", b"the plan")}
    theirs.post("/requests/raise/", {"title": "Open port 8443", "description": "x", **files})
    with scope.customer(jia):
        incident = Incident.objects.get(kind="request")
    page = f"/incidents/{incident.pk}/"
    assert "Open port 8443" in ours.get("/requests/").content.decode()
    ours.post(f"{page}acknowledge/")
    ours.post(f"{page}judge/", {"risk": "dangerous", "billing": "included"})
    assert 'href="' + page + 'begin/"' not in ours.get(page).content.decode()
    ours.post(f"{page}warn/", {"text": "The port is reachable from everywhere."})
    ours.post(f"{page}accept/", {"words": "ok"})
    with scope.customer(jia):
        attestation = incident.attestations.get()
    assert client_for(alice).get("/attestations/").content.decode().count(attestation.number) >= 1
    answer = client_for(alice).post(f"/attestations/{attestation.pk}/answer/", {"answer": "sign", "has_read": "on"})
    assert answer.status_code == 302
    ours.post(f"{page}begin/")
    ours.post(f"{page}finish/", {"words": "It is open."})
    assert "It is open." in theirs.get(page).content.decode()
    theirs.post(f"{page}close/", {"remark": ""})
    with scope.customer(jia):
        assert phases(incident) == (Phase.CONFIRMED, IncidentState.CLOSED)
    rows = ours.get("/requests/?export=csv&risk=dangerous").content.decode()
    assert "Open port 8443" in rows


def test_an_engineer_offers_a_quote_on_its_page(
    jia: Customer, alice: User, bob: User, chen: User, client_for: ClientFor
) -> None:
    name_contact(alice, Contact.Kind.FIRST_PM)
    incident = ask_for(bob, jia)
    ours = client_for(chen)
    ours.post(f"/incidents/{incident.pk}/acknowledge/")
    ours.post(f"/incidents/{incident.pk}/judge/", {"risk": "low", "billing": "separate"})
    form = {
        "lines-TOTAL_FORMS": "2", "lines-INITIAL_FORMS": "0", "lines-0-text": "Oracle", "lines-0-quantity": "2",
        "lines-0-unit_price": "100.10", "lines-1-text": "", "lines-1-quantity": "1", "lines-1-unit_price": "",
        "valid_until": (timezone.localdate() + timedelta(days=3)).isoformat(),
    }  # fmt: skip
    assert ours.get(f"/incidents/{incident.pk}/quote/").status_code == 200
    assert ours.post(f"/incidents/{incident.pk}/quote/", form).status_code == 302
    assert ours.post(f"/incidents/{incident.pk}/quote/", {**form, "lines-0-quantity": "x"}).status_code == 422
    assert client_for(alice).get(f"/incidents/{incident.pk}/quote/").status_code == 403
    page = client_for(alice).get(f"/incidents/{incident.pk}/").content.decode()
    assert "200.20" in page


def test_the_api_takes_a_request_the_whole_way(jia: Customer, bob: User, chen: User, client_for: ClientFor) -> None:
    said = {"title": "A snapshot", "operation": "ecs.snapshot", "details": {"days": "7"}}
    answer = client_for(bob).post("/api/v1/requests/", said, content_type="application/json")
    assert (answer.status_code, answer.json()["phase"]) == (201, "received")
    assert answer.json()["request"]["fields"] == {"days": "7"}
    pk, ours = answer.json()["id"], client_for(chen)
    ours.post(f"/api/v1/incidents/{pk}/acknowledge/")
    why = {"without_change": "Their own people took it in the console"}
    for verb, body, status in (
        ("accept", {}, 200),
        ("begin", {}, 200),
        ("finish", {"words": "done"}, 409),
        ("finish", {"words": "done", **why}, 200),
    ):
        answer = ours.post(f"/api/v1/requests/{pk}/{verb}/", body, content_type="application/json")
        assert answer.status_code == status, answer.content
    assert answer.json()["phase"] == "done"
    assert ours.get("/api/v1/requests/?phase=done").json()["results"][0]["id"] == pk
    refused = client_for(bob).post(f"/api/v1/requests/{pk}/accept/", {}, content_type="application/json")
    assert refused.status_code == 403
