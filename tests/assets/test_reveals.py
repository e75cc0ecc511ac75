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
from tests.conftest import NOW, ClientFor

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


# --- that a secret needs a second person is taken back by two ---------------------------------------------------------


@pytest.fixture
def marked(trops: Credential, root: User) -> Credential:
    """An account of a host that somebody marked as an administrator's."""
    said = {"purpose": trops.purpose, "has_sudo": True, "note": ""}
    return credentials.change(credential=trops, is_privileged=True, **said, actor=root, now=NOW)  # type: ignore[arg-type]


def unmark(credential: Credential, actor: User, now: datetime = NOW) -> RevealRequest:
    return revealing.ask_to_unmark(credential=credential, reason="Only www", actor=actor, now=now)


def is_marked(credential: Credential) -> bool:
    credential.refresh_from_db()
    return credential.is_privileged


def test_one_person_alone_takes_no_mark_back(marked: Credential, root: User, lin: User, chen: User) -> None:
    said = {"purpose": marked.purpose, "has_sudo": True, "note": "x"}
    with pytest.raises(DomainError) as refused:
        credentials.change(credential=marked, is_privileged=False, **said, actor=root, now=NOW)  # type: ignore[arg-type]
    assert refused.value.code == "second_person"
    asked = unmark(marked, root)
    for person in (root, chen):
        with pytest.raises(PermissionDenied):
            revealing.decide(request=asked, is_approved=True, actor=person, now=NOW)
    with pytest.raises(PermissionDenied):
        unmark(marked, chen)
    assert is_marked(marked)
    assert credentials.change(credential=marked, is_privileged=True, **said, actor=root, now=NOW).note == "x"  # type: ignore[arg-type]


def test_two_persons_take_it_back_and_both_stand_in_the_audit_log(marked: Credential, root: User, lin: User) -> None:
    asked = unmark(marked, root)
    assert unmark(marked, root, NOW + MINUTE) == asked
    assert {row.user for row in Delivery.objects.filter(key=f"reveal-asked:{asked.pk}", medium="inbox")} == {lin}
    revealing.decide(request=asked, is_approved=True, actor=lin, now=NOW + MINUTE)
    assert not is_marked(marked)
    log = {
        entry.action: (entry.actor, entry.detail["reason"])
        for entry in AuditEntry.objects.filter(action__endswith="unmark")
    }
    assert log == {"credential.ask_unmark": (root, "Only www"), "credential.decide_unmark": (lin, "Only www")}
    with pytest.raises(DomainError):
        revealing.decide(request=asked, is_approved=True, actor=lin, now=NOW + MINUTE)
    with pytest.raises(DomainError) as nothing:
        unmark(marked, root)
    assert nothing.value.code == "not_marked"


def test_a_yes_to_the_one_is_none_to_the_other(marked: Credential, root: User, lin: User) -> None:
    to_see = revealing.ask(credential=marked, reason="INC-8", actor=root, now=NOW)
    to_unmark = unmark(marked, root)
    assert to_see != to_unmark
    revealing.decide(request=to_unmark, is_approved=False, actor=lin, now=NOW)
    assert is_marked(marked)
    with pytest.raises(DomainError):
        show(marked, root)
    revealing.decide(request=to_see, is_approved=True, actor=lin, now=NOW)
    assert is_marked(marked)
    assert show(marked, root, reason="") == SECRET


def test_the_mark_of_the_contracts_console_login_stays(console: Credential, root: User) -> None:
    with pytest.raises(DomainError) as refused:
        unmark(console, root)
    assert refused.value.code == "not_marked"


def test_an_old_request_takes_nothing_back(marked: Credential, root: User, lin: User) -> None:
    asked = unmark(marked, root)
    with pytest.raises(DomainError):
        revealing.decide(request=asked, is_approved=True, actor=lin, now=NOW + RevealRequest.LIFE)
    assert is_marked(marked)


def test_the_pages_ask_and_answer(
    marked: Credential, root: User, lin: User, chen: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    base = f"/assets/credentials/{marked.pk}/"
    admin = client_for(root)
    form = admin.get(f"{base}change/").content.decode()
    assert "is_privileged" not in form
    admin.post(f"{base}change/", {"purpose": marked.purpose, "has_sudo": "yes", "note": "seen"})
    assert is_marked(marked), "a form without the box is no wish to take it back"
    assert f"{base}unmark/" in admin.get(base).content.decode()
    assert admin.post(f"{base}unmark/", {"reason": ""}).status_code in (200, 422)
    for person, status in ((chen, 403), (alice, 403), (eve, 404)):
        assert client_for(person).post(f"{base}unmark/", {"reason": "x"}).status_code == status
    asked = admin.post(f"{base}unmark/", {"reason": "Only www"})
    assert asked.status_code == 302
    decide = f"{asked['Location']}decide/"
    assert admin.post(decide, {"answer": "approve"}).status_code == 403
    assert is_marked(marked)
    assert "不再是管理员登录" in client_for(lin).get(asked["Location"]).content.decode()
    assert client_for(lin).post(decide, {"answer": "approve"}).status_code == 302
    assert not is_marked(marked)
