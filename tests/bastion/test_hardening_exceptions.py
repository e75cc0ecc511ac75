"""Exceptions: asked of the customer, signed or not, counted, ended by people and by their day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Contact, Customer, User
from assets.models import Asset
from bastion.models import HardenedServer, HardeningException
from bastion.services.hardening import exceptions
from incidents.services import attestations
from tests.bastion.hardened import looked_at
from tests.conftest import NOW
from timers.models import Timer

UNTIL = NOW + timedelta(days=30)
REASON = "The vendor's appliance shows no banner"


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture(autouse=True)
def signer(jia: Customer, alice: User) -> Contact:
    return Contact.objects.create(
        customer=jia, kind=Contact.Kind.PRIMARY, user=alice, phone=alice.phone, email=alice.email
    )


def ask(asset: Asset, actor: User, item: str = "banner", **said: object) -> HardeningException:
    usual: dict[str, object] = {"reason": REASON, "until": UNTIL}
    return exceptions.ask(asset=asset, item=item, actor=actor, now=NOW, **{**usual, **said})  # type: ignore[arg-type]


def sign(row: HardeningException, person: User) -> HardeningException:
    assert row.attestation is not None
    attestations.sign(attestation=row.attestation, actor=person, ip=None, now=NOW)
    exceptions.answered(attestation_id=row.attestation.pk, now=NOW)
    row.refresh_from_db()
    return row


def test_what_is_signed_names_server_item_reason_and_day(web: Asset, chen: User) -> None:
    row = ask(web, chen)
    assert row.attestation is not None
    for shown in ("web-01", REASON, "2026-04-01"):
        assert shown in row.attestation.text
    assert (row.attestation.purpose, row.attestation.on_answer) == ("refusal", exceptions.ANSWERED_TASK)


def test_an_item_counts_until_the_customer_has_signed(web: Asset, chen: User, alice: User) -> None:
    looked_at(web, chen)
    before = HardenedServer.objects.get(asset=web)
    row = ask(web, chen)
    waiting = HardenedServer.objects.get(asset=web)
    assert (waiting.score, waiting.failed) == (before.score, before.failed)
    assert sign(row, alice).state == "accepted"
    after = HardenedServer.objects.get(asset=web)
    assert "banner" not in after.failing
    assert (after.failed, after.excepted) == (before.failed - 1, 1)
    assert AuditEntry.objects.filter(action="hardening.exception.accept", actor=alice).count() == 1
    check = looked_at(web, chen, now=NOW + timedelta(days=1))
    assert check.excepted == 1
    assert [one.item for one in check.results.filter(is_excepted=True)] == ["banner"]


def test_it_lapses_by_itself(web: Asset, chen: User, alice: User) -> None:
    looked_at(web, chen)
    row = sign(ask(web, chen), alice)
    timer = Timer.objects.pending().get(key=f"hardening-exception:{row.pk}:")
    assert timer.due_at == UNTIL
    assert not exceptions.lapse(exception_id=row.pk, now=UNTIL - timedelta(seconds=1))
    assert exceptions.lapse(exception_id=row.pk, now=UNTIL)
    assert not exceptions.lapse(exception_id=row.pk, now=UNTIL)
    row.refresh_from_db()
    assert row.state == "lapsed"
    assert "banner" in HardenedServer.objects.get(asset=web).failing
    assert AuditEntry.objects.filter(action="hardening.exception.lapse").count() == 1
    assert looked_at(web, chen, now=UNTIL + timedelta(days=1)).excepted == 0
    ask(web, chen)


def test_a_platform_that_slept_through_the_day_does_not_count_it(web: Asset, chen: User, alice: User) -> None:
    sign(ask(web, chen), alice)
    assert looked_at(web, chen, now=UNTIL + timedelta(minutes=1)).excepted == 0


def test_who_declines_is_not_asked_again_by_the_same_row(web: Asset, chen: User, alice: User) -> None:
    looked_at(web, chen)
    row = ask(web, chen)
    assert row.attestation is not None
    attestations.decline(attestation=row.attestation, actor=alice, words="Mend it", ip=None, now=NOW)
    exceptions.answered(attestation_id=row.attestation.pk, now=NOW)
    row.refresh_from_db()
    assert row.state == "declined"
    assert "banner" in HardenedServer.objects.get(asset=web).failing
    exceptions.answered(attestation_id=row.attestation.pk, now=NOW)
    assert AuditEntry.objects.filter(action="hardening.exception.decline").count() == 1


def test_ending_takes_back_the_question(web: Asset, chen: User, alice: User) -> None:
    row = ask(web, chen)
    with pytest.raises(DomainError):
        exceptions.end(exception=row, words=" ", actor=chen, now=NOW)
    exceptions.end(exception=row, words="Mended", actor=chen, now=NOW)
    row.refresh_from_db()
    assert row.state == "ended"
    assert row.attestation is not None
    assert row.attestation.given is not None
    with pytest.raises(DomainError):
        attestations.sign(attestation=row.attestation, actor=alice, ip=None, now=NOW)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"reason": "because"}, "text_missing"),
        ({"until": NOW}, "until"),
        ({"until": NOW + timedelta(days=400)}, "until"),
        ({"item": "no-such"}, "no_item"),
    ],
)
def test_what_cannot_be_asked_is_not(web: Asset, chen: User, said: dict[str, object], code: str) -> None:
    with pytest.raises(DomainError) as refused:
        ask(web, chen, **said)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert not HardeningException.objects.exists()


def test_one_is_open_at_a_time_and_only_ours_ask(web: Asset, chen: User, alice: User) -> None:
    ask(web, chen)
    with pytest.raises(DomainError) as refused:
        ask(web, chen)
    assert refused.value.code == "open_already"
    ask(web, chen, "ports")
    with pytest.raises(PermissionDenied):
        ask(web, alice, "sudo")


def test_without_a_named_contact_nothing_is_asked(web: Asset, chen: User, signer: Contact) -> None:
    signer.delete()
    with pytest.raises(DomainError) as refused:
        ask(web, chen)
    assert refused.value.code == "nobody_signs"
    assert not HardeningException.objects.exists()
