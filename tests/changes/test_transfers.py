"""The transfer of ownership at the end of an agreement: two signatures of the named contact, steps, ten days."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contact, Customer, Role, User
from changes import ownership, tasks
from changes.models import OwnershipTransfer, TransferStep
from changes.ownership import Method, Trigger
from changes.services import transferring
from changes.services.transferring import Agreed
from incidents.models import Attestation
from incidents.services import attestations
from notify.models import Delivery
from tests.conftest import NOW, ClientFor, make_person
from timers.models import Timer

State = OwnershipTransfer.State
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def contact(jia: Customer, alice: User) -> Contact:
    return Contact.objects.create(
        customer=jia, user=alice, kind=Contact.Kind.PRIMARY, phone="13800000000", email="alice@example.com"
    )


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(DomainError) as refusal:
        yield
    assert refusal.value.code == code


def agreed(method: Method = Method.ACCOUNT, **changes: object) -> Agreed:
    said = {
        "method": method,
        "trigger": Trigger.ENDED,
        "recipient_name": "王岚",
        "recipient_email": "wang@example.com",
        "agreed_with": "Alice",
        "details": "Account 5421 with all that runs in it.",
    }
    return Agreed(**{**said, **changes})  # type: ignore[arg-type]


@pytest.fixture
def transfer(jia: Customer, lin: User, contact: Contact) -> OwnershipTransfer:
    return transferring.draft(customer=jia, agreed=agreed(), actor=lin, now=NOW)


def sign(attestation: Attestation | None, person: User, *, now: datetime = NOW) -> None:
    assert attestation is not None
    attestations.sign(attestation=attestation, actor=person, ip=None, now=now)
    tasks.transfer_answered(due_at=now, now=now, attestation_id=attestation.pk)


def authorised(transfer: OwnershipTransfer, lin: User, alice: User) -> OwnershipTransfer:
    asked = transferring.ask(transfer=transfer, actor=lin, now=NOW)
    sign(asked.authorisation, alice)
    transfer.refresh_from_db()
    return transfer


def done(transfer: OwnershipTransfer, chen: User, *, now: datetime = NOW) -> None:
    for step in ownership.steps_of(Method(transfer.method)):
        transferring.note_step(transfer=transfer, code=step.code, evidence="seen", actor=chen, now=now)


def test_from_the_first_signature_to_the_erasure(
    transfer: OwnershipTransfer, jia: Customer, alice: User, chen: User, lin: User
) -> None:
    transfer = authorised(transfer, lin, alice)
    assert transfer.state == State.UNDER_WAY
    with refused("steps_missing"):
        transferring.hand_over(transfer=transfer, actor=lin, now=NOW)
    done(transfer, chen)
    transfer = transferring.hand_over(transfer=transfer, actor=lin, now=NOW)
    assert transfer.erase_by == (NOW + 10 * DAY).date()
    with refused("state"):
        transferring.erase(transfer=transfer, words="all", actor=lin, now=NOW + 11 * DAY)
    sign(transfer.acceptance, alice, now=NOW + DAY)
    with refused("too_early"):
        transferring.erase(transfer=transfer, words="all", actor=lin, now=NOW + 9 * DAY)
    transfer = transferring.erase(transfer=transfer, words="41 instances, 3 buckets", actor=lin, now=NOW + 10 * DAY)
    assert (transfer.state, transfer.accepted_at) == (State.ERASED, NOW + DAY)
    jia.refresh_from_db()
    assert jia.status == Customer.Status.LEFT
    assert not Timer.objects.filter(key__startswith=f"transfer:{transfer.pk}:", fired_at=None).exists()
    acts = AuditEntry.objects.filter(action__startswith="transfer.").order_by("sequence")
    assert [one.action.removeprefix("transfer.") for one in acts] == [
        "draft", "ask", "answered", *["step"] * 5, "hand_over", "answered", "erase",
    ]  # fmt: skip


def test_what_is_signed_says_all_of_it(transfer: OwnershipTransfer, lin: User) -> None:
    asked = transferring.ask(transfer=transfer, actor=lin, now=NOW).authorisation
    assert asked is not None
    for part in ("王岚", "wang@example.com", "Account 5421", "10", transfer.number, "RAM"):
        assert part in asked.text, part


def test_only_the_named_service_contact_signs(
    transfer: OwnershipTransfer, jia: Customer, lin: User, chen: User, yi: Customer
) -> None:
    manager = make_person("mei", Role.CUSTOMER_PM, jia)
    Contact.objects.create(
        customer=jia, user=manager, kind=Contact.Kind.FIRST_PM, phone="13800000001", email="mei@example.com"
    )
    asked = transferring.ask(transfer=transfer, actor=lin, now=NOW).authorisation
    assert asked is not None
    for person in (manager, chen, lin, make_person("yao", Role.CUSTOMER_PM, yi)):
        with pytest.raises(PermissionDenied):
            attestations.sign(attestation=asked, actor=person, ip=None, now=NOW)
    transfer.refresh_from_db()
    assert transfer.state == State.AUTHORISING


@pytest.mark.parametrize("is_acceptance", [False, True])
def test_who_declines_sends_it_back(
    transfer: OwnershipTransfer, alice: User, chen: User, lin: User, is_acceptance: bool
) -> None:
    if is_acceptance:
        transfer = authorised(transfer, lin, alice)
        done(transfer, chen)
        asked = transferring.hand_over(transfer=transfer, actor=lin, now=NOW).acceptance
    else:
        asked = transferring.ask(transfer=transfer, actor=lin, now=NOW).authorisation
    assert asked is not None
    attestations.decline(attestation=asked, actor=alice, words="Bucket logs is missing", ip=None, now=NOW)
    for _ in range(2):  # a timer that fires twice changes nothing
        transferring.answered(attestation_id=asked.pk, now=NOW)
    transfer.refresh_from_db()
    assert transfer.state == (State.UNDER_WAY if is_acceptance else State.DRAFT)
    assert (transfer.transferred_at, transfer.transferred_by, transfer.erase_by) == (None, None, None)
    assert not Timer.objects.filter(key__startswith=f"transfer:{transfer.pk}:", fired_at=None).exists()
    told = Delivery.objects.filter(subject__contains=transfer.number, user=lin, medium="email")
    assert told.count() == 1 + is_acceptance
    if is_acceptance:
        again = transferring.hand_over(transfer=transfer, actor=lin, now=NOW + 3 * DAY)
        assert again.erase_by == (NOW + 13 * DAY).date()


def test_steps_are_added_to_and_the_last_word_counts(
    transfer: OwnershipTransfer, alice: User, chen: User, lin: User
) -> None:
    with pytest.raises(DomainError):
        transferring.note_step(transfer=transfer, code="ram", evidence="x", actor=chen, now=NOW)
    transfer = authorised(transfer, lin, alice)
    for code, evidence in (("nothing", "x"), ("ram", "  ")):
        with pytest.raises(DomainError):
            transferring.note_step(transfer=transfer, code=code, evidence=evidence, actor=chen, now=NOW)
    with pytest.raises(PermissionDenied):
        transferring.note_step(transfer=transfer, code="ram", evidence="x", actor=alice, now=NOW)
    for evidence in ("two users", "three users"):
        transferring.note_step(transfer=transfer, code="ram", evidence=evidence, actor=chen, now=NOW)
    said = {step.code: row and row.evidence for step, row in transferring.progress(transfer)}
    assert said["ram"] == "three users"
    assert TransferStep.objects.count() == 2
    with refused("begun"):
        transferring.cancel(transfer=transfer, reason="no", actor=lin, now=NOW)


def test_one_at_a_time_and_a_cancelled_one_takes_its_question_back(
    transfer: OwnershipTransfer, jia: Customer, chen: User, lin: User
) -> None:
    with refused("one_at_a_time"):
        transferring.draft(customer=jia, agreed=agreed(), actor=lin, now=NOW)
    with pytest.raises(PermissionDenied):
        transferring.draft(customer=jia, agreed=agreed(), actor=chen, now=NOW)
    asked = transferring.ask(transfer=transfer, actor=lin, now=NOW).authorisation
    transferring.cancel(transfer=transfer, reason="The contract is renewed", actor=lin, now=NOW)
    assert asked is not None
    assert Attestation.objects.select_related("answer").get(pk=asked.pk).given is not None
    transferring.draft(customer=jia, agreed=agreed(Method.DELETION), actor=lin, now=NOW)


def test_both_sides_are_reminded_until_it_is_erased(
    transfer: OwnershipTransfer, jia: Customer, alice: User, chen: User, lin: User
) -> None:
    Contact.objects.create(
        customer=jia, user=alice, kind=Contact.Kind.FIRST_PM, phone="13800000000", email="alice@example.com"
    )
    transfer = authorised(transfer, lin, alice)
    done(transfer, chen)
    transferring.hand_over(transfer=transfer, actor=lin, now=NOW)
    days = []
    for _ in range(6):
        timer = Timer.objects.get(key__startswith=f"transfer:{transfer.pk}:", fired_at=None)
        days.append((timezone.localtime(timer.due_at).date() - NOW.date()).days)
        tasks.remind_of_erasure(due_at=timer.due_at, now=timer.due_at, transfer_id=transfer.pk)
    assert days == [3, 7, 9, 10, 11, 12]
    told = Delivery.objects.filter(medium="email", about=f"transfer:{transfer.pk}")
    for person in (alice, lin):
        assert told.filter(user=person).exclude(subject__contains=transfer.number).count() == 6


def test_the_pages_lead_through_it(
    jia: Customer, contact: Contact, alice: User, chen: User, lin: User, client_for: ClientFor
) -> None:
    manager, engineer, customer = client_for(lin), client_for(chen), client_for(alice)
    said = {
        "trigger": "ended", "method": "data", "recipient_name": "王岚", "recipient_email": "wang@example.com",
        "agreed_with": "Alice", "details": "<script>alert(1)</script> all buckets",
    }  # fmt: skip
    assert f"customer={jia.pk}" in manager.get("/changes/transfers/new/").content.decode()
    bad = manager.post(f"/changes/transfers/new/?customer={jia.pk}", {**said, "details": " "})
    assert bad.status_code == 422
    made = manager.post(f"/changes/transfers/new/?customer={jia.pk}", said)
    transfer = OwnershipTransfer.objects.get()
    page = f"/changes/transfers/{transfer.pk}/"
    assert made.headers["Location"] == page
    for client in (engineer, customer):
        shown = client.get(page).content.decode()
        assert "<script>alert" not in shown
        assert "all buckets" in shown
        assert client.post(f"{page}ask/").status_code == 403
        assert client.get(f"{page}edit/").status_code == 403
    assert manager.post(f"{page}edit/", {**said, "agreed_with": "Bob"}).status_code == 302
    manager.post(f"{page}ask/")
    transfer.refresh_from_db()
    assert transfer.authorisation_id in [one.pk for one in attestations.open_for(jia.pk, alice, timezone.now())]
    sign(transfer.authorisation, alice, now=timezone.now())
    assert customer.post(f"{page}steps/way/", {"evidence": "x"}).status_code == 403
    for step in ownership.steps_of(Method.DATA):
        assert engineer.post(f"{page}steps/{step.code}/", {"evidence": "2 TB, sums equal"}).status_code == 302
    assert manager.get(f"{page}steps/nothing/").headers["Location"] == page
    manager.post(f"{page}hand-over/")
    transfer.refresh_from_db()
    assert transfer.state == State.ACCEPTING
    sign(transfer.acceptance, alice, now=timezone.now())
    early = manager.post(f"{page}erase/", {"words": "all"})
    assert early.status_code == 422
    listed = customer.get("/changes/transfers/?format=csv")
    assert listed.status_code == 200
    assert transfer.number in customer.get("/changes/transfers/").content.decode()


def test_another_customer_finds_none_of_it(transfer: OwnershipTransfer, yi: Customer, client_for: ClientFor) -> None:
    stranger = client_for(make_person("yao", Role.CUSTOMER_PM, yi))
    page = f"/changes/transfers/{transfer.pk}/"
    assert stranger.get(page).status_code == 404
    assert transfer.number not in stranger.get("/changes/transfers/").content.decode()
