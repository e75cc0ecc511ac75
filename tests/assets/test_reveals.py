"""Nobody sees a secret without a reason and a fresh second factor; of an administrator's, not alone and not twice."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.models import AccountPurpose, CloudAccount, Credential, CredentialKind, RevealRequest
from assets.services import credentials, revealing
from assets.services.credentials import Entry
from notify.models import Delivery
from tests.assets.test_credentials import SECRET, server_, trops
from tests.conftest import NOW

__all__ = ["server_", "trops"]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def console(account: CloudAccount) -> Credential:
    found: Credential = account.credentials.get(kind=CredentialKind.CONSOLE)
    return found


def show(credential: Credential, actor: User, reason: str = "INC-7", now: datetime = NOW) -> str:
    return revealing.reveal(credential=credential, reason=reason, proven_at=now - MINUTE, actor=actor, now=now)


def test_an_engineer_sees_the_account_for_operations_with_a_reason(trops: Credential, chen: User) -> None:
    assert show(trops, chen) == SECRET

    entry = AuditEntry.objects.get(action="secret.reveal")
    assert (entry.actor, entry.detail["reason"], entry.at) == (chen, "INC-7", NOW)
    assert SECRET not in str(entry.detail)


@pytest.mark.parametrize("proven", [None, NOW - 5 * MINUTE])
def test_an_old_second_factor_is_not_enough(trops: Credential, chen: User, proven: datetime | None) -> None:
    with pytest.raises(DomainError) as refused:
        revealing.reveal(credential=trops, reason="INC-7", proven_at=proven, actor=chen, now=NOW)
    assert refused.value.code == "factor_stale"


def test_no_reason_no_secret(trops: Credential, chen: User) -> None:
    with pytest.raises(DomainError) as refused:
        show(trops, chen, reason="  ")
    assert refused.value.code == "reason_missing"
    assert not AuditEntry.objects.filter(action="secret.reveal").exists()


@pytest.mark.parametrize("name", ["alice", "bob", "vera"])
def test_customers_never_see_a_secret(trops: Credential, name: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(PermissionDenied):
        show(trops, request.getfixturevalue(name))


def test_an_engineer_does_not_see_the_customers_own_account(trops: Credential, chen: User, lin: User) -> None:
    entry = Entry("host", "xxadmin", AccountPurpose.CUSTOMER, "theirs", has_sudo=True)
    assert trops.asset is not None
    xxadmin = credentials.add(where=trops.asset, entry=entry, actor=None, now=NOW)
    with pytest.raises(PermissionDenied):
        show(xxadmin, chen)
    assert show(xxadmin, lin) == "theirs"


def test_the_secret_of_an_access_key_is_shown_to_nobody(account: CloudAccount, root: User) -> None:
    key = account.credentials.get(kind=CredentialKind.ACCESS_KEY)
    with pytest.raises(DomainError) as refused:
        show(key, root)
    assert refused.value.code == "never"


def test_an_administrators_login_needs_a_second_person(console: Credential, chen: User, lin: User) -> None:
    with pytest.raises(DomainError) as refused:
        show(console, chen)
    assert refused.value.code == "second_person"

    asked = revealing.ask(credential=console, reason="INC-8", actor=chen, now=NOW)
    revealing.decide(request=asked, is_approved=True, actor=lin, now=NOW + MINUTE)

    assert show(console, chen, reason="", now=NOW + 2 * MINUTE) == "console-password"
    assert AuditEntry.objects.get(action="secret.reveal").detail["reason"] == "INC-8"
    with pytest.raises(DomainError):
        show(console, chen, now=NOW + 3 * MINUTE)


def test_both_hear_that_it_was_shown(console: Credential, chen: User, lin: User, root: User) -> None:
    asked = revealing.ask(credential=console, reason="INC-8", actor=chen, now=NOW)
    assert {row.user for row in Delivery.objects.filter(key=f"reveal-asked:{asked.pk}", medium="inbox")} == {lin, root}

    revealing.decide(request=asked, is_approved=True, actor=lin, now=NOW)
    assert [row.user for row in Delivery.objects.filter(key=f"reveal-decided:{asked.pk}", medium="inbox")] == [chen]

    show(console, chen)
    shown = Delivery.objects.filter(key=f"reveal-shown:{asked.pk}", medium="inbox")
    assert {row.user for row in shown} == {chen, lin}
    assert "console-password" not in " ".join(f"{row.subject} {row.text}" for row in Delivery.objects.all())


def test_nobody_approves_their_own_request(console: Credential, lin: User, chen: User) -> None:
    asked = revealing.ask(credential=console, reason="INC-8", actor=lin, now=NOW)
    for person in (lin, chen):
        with pytest.raises(PermissionDenied):
            revealing.decide(request=asked, is_approved=True, actor=person, now=NOW)


def test_a_refused_request_shows_nothing_and_is_answered_once(console: Credential, chen: User, lin: User) -> None:
    asked = revealing.ask(credential=console, reason="INC-8", actor=chen, now=NOW)
    revealing.decide(request=asked, is_approved=False, actor=lin, now=NOW)

    with pytest.raises(DomainError):
        show(console, chen)
    with pytest.raises(DomainError):
        revealing.decide(request=asked, is_approved=True, actor=lin, now=NOW)


def test_an_approval_ends_and_is_worth_nothing_to_another_person(
    console: Credential, chen: User, lin: User, root: User
) -> None:
    asked = revealing.ask(credential=console, reason="INC-8", actor=chen, now=NOW)
    revealing.decide(request=asked, is_approved=True, actor=lin, now=NOW)

    with pytest.raises(DomainError):
        show(console, root)
    with pytest.raises(DomainError):
        show(console, chen, now=NOW + RevealRequest.WINDOW)


def test_a_request_that_nobody_answered_is_over_the_next_day(console: Credential, chen: User, lin: User) -> None:
    asked = revealing.ask(credential=console, reason="INC-8", actor=chen, now=NOW)
    assert revealing.ask(credential=console, reason="again", actor=chen, now=NOW + MINUTE) == asked
    with pytest.raises(DomainError):
        revealing.decide(request=asked, is_approved=True, actor=lin, now=NOW + RevealRequest.LIFE)
