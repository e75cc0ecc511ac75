"""What is signed: by the named contact alone, once, with proof that holds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.test import Client

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Contact, Customer, User
from incidents import attestation_mail
from incidents.models import SIGNERS, Attestation, AttestationAnswer, Incident, Purpose
from incidents.services import attestations
from incidents.services.attestations import Subject
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import raise_incident
from tests.incidents.test_requests import name_contact
from timers.models import Timer

MINUTE = timedelta(minutes=1)
TEXT = "We close port 21. Whoever uses it loses access."


def ask(customer: Customer, actor: User, purpose: Purpose = Purpose.RISK, **more: object) -> Attestation:
    with scope.customer(customer):
        return attestations.ask(
            customer=customer,
            purpose=purpose,
            subject=Subject("asset:7", "web-01", "/assets/7/"),
            text=TEXT,
            actor=actor,
            now=NOW,
            **more,  # type: ignore[arg-type]  # what the case says
        )


@pytest.fixture
def wanted(in_jia: Customer, alice: User, chen: User) -> Attestation:
    name_contact(alice)
    return ask(in_jia, chen)


def test_the_contact_signs_and_everything_about_it_is_kept(wanted: Attestation, alice: User) -> None:
    answer = attestations.sign(attestation=wanted, actor=alice, ip="192.0.2.9", words="ok", now=NOW + MINUTE)
    assert (answer.signer, answer.signer_name, answer.signer_duty) == (alice, "Alice", "primary")
    assert (answer.channel, answer.ip, answer.at) == ("portal", "192.0.2.9", NOW + MINUTE)
    assert answer.text_sha256 == hashlib.sha256(TEXT.encode()).hexdigest() == wanted.text_sha256
    assert attestations.is_signed(subject="asset:7", purpose=Purpose.RISK)
    assert not attestations.is_signed(subject="asset:7", purpose=Purpose.PATCH)
    assert not Timer.objects.filter(key__startswith=f"attestation:{wanted.pk}:", fired_at=None).exists()


@pytest.mark.parametrize("who", ["bob", "eve", "chen", "lin", "vera"])
def test_nobody_else_signs(who: str, wanted: Attestation, request: pytest.FixtureRequest) -> None:
    person = request.getfixturevalue(who)
    with scope.platform("test"), pytest.raises(PermissionDenied):
        attestations.sign(attestation=wanted, actor=person, ip=None, now=NOW)
    assert not AttestationAnswer.objects.exists()


def test_a_contact_of_another_duty_does_not_sign(in_jia: Customer, bob: User, alice: User, chen: User) -> None:
    name_contact(alice)
    name_contact(bob, Contact.Kind.FIRST_PM)
    with pytest.raises(PermissionDenied):
        attestations.sign(attestation=ask(in_jia, chen), actor=bob, ip=None, now=NOW)


def test_a_read_only_contact_and_one_whose_access_ended_do_not_sign(
    in_jia: Customer, alice: User, vera: User, chen: User
) -> None:
    name_contact(vera, Contact.Kind.SECONDARY)
    name_contact(alice)
    attestation = ask(in_jia, chen)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    alice.refresh_from_db()
    for person in (vera, alice):
        with pytest.raises(PermissionDenied):
            attestations.sign(attestation=attestation, actor=person, ip=None, now=NOW)


def test_it_is_answered_once(wanted: Attestation, alice: User) -> None:
    attestations.sign(attestation=wanted, actor=alice, ip=None, now=NOW)
    acts: list[Callable[[], object]] = [
        lambda: attestations.sign(attestation=wanted, actor=alice, ip=None, now=NOW),
        lambda: attestations.decline(attestation=wanted, actor=alice, words="no", ip=None, now=NOW),
        lambda: attestations.withdraw(attestation=wanted, actor=wanted.asked_by, words="", now=NOW),
    ]
    for again in acts:
        with pytest.raises(DomainError) as refusal:
            again()
        assert refusal.value.code == "answered"


@pytest.mark.parametrize("table", ["attestation", "attestationanswer", "quote", "quoteline", "faultdecision"])
def test_the_database_itself_refuses_to_change_what_was_signed(table: str, wanted: Attestation, alice: User) -> None:
    attestations.sign(attestation=wanted, actor=alice, ip=None, now=NOW)
    for statement in (f"UPDATE incidents_{table} SET id = id", f"DELETE FROM incidents_{table}"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_after_its_time_nobody_signs_and_it_is_recorded_as_expired(wanted: Attestation, alice: User) -> None:
    late = wanted.expires_at
    with pytest.raises(DomainError) as refusal:
        attestations.sign(attestation=wanted, actor=alice, ip=None, now=late)
    assert refusal.value.code == "expired"
    assert not attestations.expire(attestation_id=wanted.pk, now=late - MINUTE)
    assert attestations.expire(attestation_id=wanted.pk, now=late)
    assert not attestations.expire(attestation_id=wanted.pk, now=late)
    assert AttestationAnswer.objects.get().outcome == "expired"


def test_nothing_is_asked_when_nobody_may_sign(in_jia: Customer, chen: User) -> None:
    with pytest.raises(DomainError) as refusal:
        ask(in_jia, chen)
    assert refusal.value.code == "nobody_signs"


def test_every_purpose_has_its_signers() -> None:
    assert set(SIGNERS) == set(Purpose)
    assert all(SIGNERS.values())
    assert SIGNERS[Purpose.RISK] == SIGNERS[Purpose.TRANSFER] == {Contact.Kind.PRIMARY, Contact.Kind.SECONDARY}


def test_the_customer_asks_for_no_signature(in_jia: Customer, alice: User) -> None:
    name_contact(alice)
    with pytest.raises(PermissionDenied):
        ask(in_jia, alice)


# --- paper and mail --------------------------------------------------------------------------------------------------


def paper(text: bytes = b"%PDF-1.7 signed") -> SimpleUploadedFile:
    return SimpleUploadedFile("signed.pdf", text)


def record(attestation: Attestation, actor: User, **more: object) -> AttestationAnswer:
    said = {
        "contact": Contact.objects.get(kind="primary"),
        "channel": "paper",
        "file": paper(),
        "signed_at": NOW + MINUTE,
        "now": NOW + 5 * MINUTE,
        **more,
    }
    return attestations.record(attestation=attestation, actor=actor, **said)  # type: ignore[arg-type]  # what the case says


def test_paper_is_kept_with_its_checksum_and_with_who_put_it_in(wanted: Attestation, alice: User, chen: User) -> None:
    answer = record(wanted, chen)
    assert (answer.signer, answer.recorded_by, answer.channel) == (alice, chen, "paper")
    assert (answer.at, answer.received_at) == (NOW + MINUTE, NOW + 5 * MINUTE)
    assert answer.file_sha256 == hashlib.sha256(b"%PDF-1.7 signed").hexdigest()
    proof = attestations.verify(Attestation.objects.select_related("answer", "customer").get(pk=wanted.pk))
    assert (proof.text, proof.signature, proof.file, proof.log, proof.holds) == (True, True, True, True, True)


def test_paper_without_the_document_or_of_somebody_else_is_refused(
    wanted: Attestation, in_jia: Customer, bob: User, alice: User, chen: User
) -> None:
    stranger = name_contact(bob, Contact.Kind.SECOND_PM)
    before = default_storage.listdir("")[0]
    for wrong in (
        {"file": None},
        {"contact": stranger},
        {"channel": "portal"},
        {"signed_at": NOW + timedelta(hours=1)},
        {"file": SimpleUploadedFile("x.html", b"<html><script>")},
        {"file": SimpleUploadedFile("x.exe", b"MZ")},
    ):
        with pytest.raises(DomainError):
            record(wanted, chen, **wrong)
    with pytest.raises(PermissionDenied):
        record(wanted, alice)
    assert not AttestationAnswer.objects.exists()
    assert default_storage.listdir("")[0] == before


def test_a_document_that_was_changed_or_is_gone_is_found(wanted: Attestation, chen: User) -> None:
    answer = record(wanted, chen)
    fresh = Attestation.objects.select_related("answer", "customer").get(pk=wanted.pk)
    Path(default_storage.path(answer.stored_name)).write_bytes(b"%PDF-1.7 forged")
    assert attestations.verify(fresh).file is False
    default_storage.delete(answer.stored_name)
    assert not attestations.verify(fresh).holds


def test_a_text_that_is_not_what_was_asked_is_found(wanted: Attestation) -> None:
    wanted.text = "Something else."
    proof = attestations.verify(wanted)
    assert not proof.text
    assert not proof.log


# --- the mailed link -------------------------------------------------------------------------------------------------


@pytest.fixture
def link(wanted: Attestation, settings: LazySettings) -> str:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail.outbox = []
    contact = Contact.objects.get(kind="primary")
    assert attestation_mail.send(attestation_id=wanted.pk, contact_id=contact.pk, now=NOW)
    (message,) = mail.outbox
    assert message.to == [contact.email]
    assert TEXT in message.body
    found = re.search(r"http://testserver(/attest/\S+)", str(message.body))
    assert found is not None
    return found.group(1)


@pytest.fixture
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW + MINUTE)


@pytest.mark.usefixtures("_today")
def test_the_link_shows_the_text_and_signs_when_it_is_sent(link: str, wanted: Attestation, alice: User) -> None:
    browser = Client(REMOTE_ADDR="192.0.2.44")
    page = browser.get(link)
    assert TEXT in page.content.decode()
    assert not AttestationAnswer.objects.exists()
    assert browser.post(link, {"answer": "sign"}).status_code == 422
    assert browser.post(link, {"answer": "sign", "has_read": "on"}).status_code == 200
    answer = AttestationAnswer.objects.get()
    assert (answer.signer, answer.channel, answer.ip) == (alice, "link", "192.0.2.44")
    assert browser.get(link).status_code == 410
    assert browser.post(link, {"answer": "decline", "words": "no"}).status_code == 410


@pytest.mark.usefixtures("_today")
def test_a_forged_link_and_one_of_a_former_contact_open_nothing(link: str, wanted: Attestation) -> None:
    browser = Client()
    assert browser.get(link[:-3] + "x/").status_code == 410
    assert browser.get("/attest/nonsense/").status_code == 410
    Contact.objects.filter(kind="primary").delete()
    assert browser.get(link).status_code == 410


def test_the_link_stands_in_no_log_of_messages(link: str, wanted: Attestation) -> None:
    from_tables = connection.introspection.table_names()
    token = link.split("/")[2]
    with scope.platform("test"), connection.cursor() as cursor:
        for table in ("notify_delivery", "timers_timer", "accounts_auditentry", "incidents_timelineentry"):
            assert table in from_tables
            cursor.execute(f"SELECT count(*) FROM {table} AS row WHERE row::text LIKE %s", [f"%{token}%"])
            assert cursor.fetchone() == (0,)


# --- pages -----------------------------------------------------------------------------------------------------------


def test_everybody_of_both_sides_reads_it_and_strangers_find_nothing(
    wanted: Attestation, bob: User, vera: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    address = f"/attestations/{wanted.pk}/"
    for person in (bob, vera, chen):
        assert TEXT in client_for(person).get(address).content.decode()
    assert client_for(eve).get(address).status_code == 404
    assert wanted.number not in client_for(eve).get("/attestations/").content.decode()
    assert client_for(bob).post(f"{address}answer/", {"answer": "sign", "has_read": "on"}).status_code == 403
    assert client_for(vera).post(f"{address}withdraw/").status_code == 403


@pytest.mark.usefixtures("_today")
def test_an_engineer_puts_in_paper_and_the_document_is_a_download(
    wanted: Attestation, alice: User, chen: User, client_for: ClientFor
) -> None:
    contact = Contact.objects.get(kind="primary")
    form = {"contact": contact.pk, "channel": "email", "signed_at": "2026-03-02T10:00", "file": paper()}
    browser = client_for(chen)
    assert browser.post(f"/attestations/{wanted.pk}/record/", {**form, "contact": 0}).status_code == 422
    form["file"] = paper()
    assert browser.post(f"/attestations/{wanted.pk}/record/", form).status_code == 302
    answer = client_for(alice).get(f"/attestations/{wanted.pk}/document/")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer.getvalue() == b"%PDF-1.7 signed"
    rows = browser.get("/attestations/?export=csv&outcome=signed").content.decode()
    assert hashlib.sha256(b"%PDF-1.7 signed").hexdigest() in rows


def test_the_api_reads_and_proves(wanted: Attestation, alice: User, chen: User, client_for: ClientFor) -> None:
    attestations.sign(attestation=wanted, actor=alice, ip=None, now=NOW)
    browser = client_for(chen)
    row = browser.get("/api/v1/attestations/?outcome=signed").json()["results"][0]
    assert (row["id"], row["answer"]["signer_name"]) == (wanted.pk, "Alice")
    assert browser.get(f"/api/v1/attestations/{wanted.pk}/proof/").json()["holds"] is True
    assert browser.get("/api/v1/attestations/?outcome=open").json()["results"] == []


def test_an_incident_that_is_kept_back_lends_no_attestation_to_the_customer(
    in_jia: Customer, alice: User, bob: User, chen: User, client_for: ClientFor
) -> None:
    name_contact(alice)
    incident = raise_incident(bob, customer=in_jia)
    attestation = attestations.ask(
        customer=in_jia, purpose=Purpose.RISK, subject=Subject.of(incident), text=TEXT, actor=chen, now=NOW
    )
    Incident.objects.filter(pk=incident.pk).update(kind="internal")
    assert client_for(alice).get(f"/attestations/{attestation.pk}/").status_code == 404
