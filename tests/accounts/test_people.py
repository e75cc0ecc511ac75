"""Who lets whom in, how a door shuts behind the one who came, and how access ends."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.core import mail, signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connections
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.mail import mail_invitation, token_for
from accounts.models import AuditEntry, Customer, Invitation, Role, User
from accounts.services import people, upkeep
from tests.conftest import NOW, ClientFor, make_person

PASSWORD = "a long and quiet river 7"
EVERYBODY = ("alice", "bob", "vera", "eve", "chen", "lin", "root")


def invite(actor: User, role: str, customer: Customer | None, email: str = "new@example.com") -> tuple[Invitation, str]:
    with scope.user(actor):
        return people.invite(email=email, name="New", role=role, customer=customer, actor=actor, now=NOW)


def accept(token: str, days: float = 1) -> User:
    with scope.platform("test"):
        now = NOW + timedelta(days=days)
        return people.accept_invitation(token=token, name="New", password=PASSWORD, phone="139", now=now)


def person(pk: int) -> User:
    with scope.platform("test"):
        return User.objects.get(pk=pk)


# --- who may invite whom --------------------------------------------------------------------------------------------

ALLOWED = {
    ("alice", "jia", "customer"),
    ("eve", "yi", "customer"),
    ("lin", "jia", "customer"),
    ("lin", "yi", "customer"),
    ("root", "jia", "customer"),
    ("root", "yi", "customer"),
    ("root", "provider", "provider"),
}


@pytest.mark.parametrize("who", EVERYBODY)
def test_each_invites_on_the_side_that_is_theirs(
    who: str, request: pytest.FixtureRequest, jia: Customer, yi: Customer
) -> None:
    actor: User = request.getfixturevalue(who)
    sides = {"jia": jia, "yi": yi, "provider": None}
    found = {
        (who, side, "provider" if Role(role) in (Role.ENGINEER, Role.MANAGER, Role.ADMIN) else "customer")
        for side, customer in sides.items()
        for role in Role.values
        if people.may_invite(actor, role, customer)
    }
    # An administrator may choose anything; that a role fits its side is held by form and database.
    assert {entry for entry in found if (entry[1] == "provider") == (entry[2] == "provider")} == {
        entry for entry in ALLOWED if entry[0] == who
    }


@pytest.mark.parametrize("who", ["bob", "vera", "eve", "chen"])
def test_who_may_not_invite_is_refused_by_the_service_itself(
    who: str, request: pytest.FixtureRequest, jia: Customer
) -> None:
    with pytest.raises(PermissionDenied):
        invite(request.getfixturevalue(who), Role.CUSTOMER_MEMBER, jia)


def test_a_role_of_the_other_side_is_refused_by_the_database(jia: Customer, root: User) -> None:
    with pytest.raises(Exception, match="invited_role_fits_the_side"):
        invite(root, Role.ENGINEER, jia)


# --- the door -------------------------------------------------------------------------------------------------------


def test_an_invitation_makes_a_person_of_its_role_on_its_side(jia: Customer, alice: User) -> None:
    _invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia, email="  New.Person@Example.com ")
    joined = person(accept(token).pk)
    assert (joined.email, joined.role, joined.customer_id) == ("new.person@example.com", Role.CUSTOMER_MEMBER, jia.pk)
    assert joined.check_password(PASSWORD)
    assert scope.of(joined).customer_ids == frozenset({jia.pk})


def test_the_link_comes_by_mail_once_and_holds_the_token(
    jia: Customer, alice: User, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    with scope.user(alice):
        now = timezone.now()
        invitation, token = people.invite(
            email="new@example.com", name="New", role=Role.CUSTOMER_MEMBER, customer=jia, actor=alice, now=now
        )
    for _ in range(2):
        mail_invitation.run(invitation.pk)
    (message,) = mail.outbox
    assert message.to == ["new@example.com"]
    assert token in message.body


def test_an_invitation_that_the_queue_lost_is_found_by_housekeeping(jia: Customer, alice: User) -> None:
    invitation, _token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    with scope.platform("test"):
        assert upkeep.run(now=NOW) == [invitation.pk]
        Invitation.objects.update(mailed_at=NOW)
        assert upkeep.run(now=NOW) == []


def test_a_link_works_once(jia: Customer, alice: User) -> None:
    _invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    accept(token)
    with pytest.raises(DomainError) as caught:
        accept(token)
    assert caught.value.code == "shut"


@pytest.mark.parametrize(("days", "is_open"), [(6.99, True), (7, False), (400, False)])
def test_a_link_lives_for_a_week(days: float, is_open: bool, jia: Customer, alice: User) -> None:
    _invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    with scope.platform("test"):
        assert (people.find_invitation(token, now=NOW + timedelta(days=days)) is not None) == is_open


def test_a_withdrawn_link_is_shut(jia: Customer, alice: User) -> None:
    invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    with scope.user(alice):
        for _ in range(2):
            people.withdraw(invitation=invitation, actor=alice, now=NOW)
    with pytest.raises(DomainError):
        accept(token)
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action="person.withdraw").count() == 1


def test_an_invitation_of_another_side_cannot_be_withdrawn(jia: Customer, alice: User, eve: User) -> None:
    invitation, _token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    with scope.user(eve), pytest.raises(PermissionDenied):
        people.withdraw(invitation=invitation, actor=eve, now=NOW)


def test_a_second_invitation_to_the_same_address_shuts_the_first(jia: Customer, alice: User) -> None:
    _first, old = invite(alice, Role.CUSTOMER_VIEWER, jia)
    _second, new = invite(alice, Role.CUSTOMER_MEMBER, jia)
    with pytest.raises(DomainError):
        accept(old)
    assert accept(new).role == Role.CUSTOMER_MEMBER


def test_a_new_invitation_of_one_customer_does_not_shut_anothers(
    jia: Customer, yi: Customer, alice: User, eve: User
) -> None:
    _first, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    invite(eve, Role.CUSTOMER_MEMBER, yi)
    assert accept(token).customer_id == jia.pk


@pytest.mark.parametrize(
    "forge",
    [
        lambda token, pk: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token, pk: str(pk),
        lambda token, pk: "",
        lambda token, pk: signing.dumps(pk, salt="another.salt"),
        lambda token, pk: signing.dumps(pk, key="another key", salt="accounts.invitation"),
        lambda token, pk: signing.dumps(pk + 1000, salt="accounts.invitation"),
        lambda token, pk: token.replace(":", "."),
    ],
)
def test_a_forged_link_opens_nothing(forge: Callable[[str, int], str], jia: Customer, alice: User) -> None:
    invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    forged = forge(token, invitation.pk)
    with scope.platform("test"):
        assert people.find_invitation(forged, now=NOW) is None
    with pytest.raises(DomainError):
        accept(forged)


def test_an_address_with_an_account_is_not_invited_and_does_not_join_twice(
    jia: Customer, alice: User, bob: User
) -> None:
    with pytest.raises(DomainError):
        invite(alice, Role.CUSTOMER_MEMBER, jia, email=bob.email.upper())
    _invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia, email="late@example.com")
    make_person("late", Role.CUSTOMER_MEMBER, jia)
    with pytest.raises(DomainError) as caught:
        accept(token)
    assert caught.value.code == "duplicate"


def test_a_weak_password_leaves_the_door_open(jia: Customer, alice: User) -> None:
    _invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    with scope.platform("test"), pytest.raises(ValidationError):
        people.accept_invitation(token=token, name="New", password="12345", phone="", now=NOW)
    assert accept(token)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_open_the_same_door_at_once_exactly_one_comes_in(jia: Customer, alice: User) -> None:
    _invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    joined, refused = [], []

    def come() -> None:
        try:
            joined.append(accept(token))
        except DomainError as problem:
            refused.append(problem.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(joined) == 1
    assert refused == ["shut"] * 3


# --- changing and ending access -------------------------------------------------------------------------------------


def change(who: User, actor: User, role: str | None = None, is_active: bool | None = None) -> None:
    with scope.user(actor):
        people.change(person=who, actor=actor, now=NOW, role=role, is_active=is_active)


def test_a_changed_role_is_audited_with_before_and_after(bob: User, alice: User) -> None:
    change(bob, alice, role=Role.CUSTOMER_VIEWER)
    assert person(bob.pk).role == Role.CUSTOMER_VIEWER
    with scope.platform("test"):
        assert AuditEntry.objects.get(action="person.change").detail == {"role": ["customer_member", "customer_viewer"]}


@pytest.mark.parametrize(
    ("who", "actor"), [("bob", "vera"), ("bob", "eve"), ("bob", "chen"), ("chen", "lin"), ("lin", "alice")]
)
def test_nobody_changes_whom_they_may_not_invite(who: str, actor: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(PermissionDenied):
        change(request.getfixturevalue(who), request.getfixturevalue(actor), is_active=False)


def test_nobody_raises_somebody_to_a_role_that_they_may_not_give(bob: User, alice: User, lin: User) -> None:
    for actor in (alice, lin):
        with pytest.raises(PermissionDenied):
            change(bob, actor, role=Role.ADMIN)


def test_a_person_stays_on_their_side(bob: User, chen: User, root: User) -> None:
    with pytest.raises(DomainError):
        change(bob, root, role=Role.ENGINEER)
    with pytest.raises(DomainError):
        change(chen, root, role=Role.CUSTOMER_PM)


@pytest.mark.parametrize("how", [{"is_active": False}, {"role": Role.MANAGER}])
def test_the_last_administrator_stays(how: dict[str, bool], root: User) -> None:
    with pytest.raises(DomainError):
        change(root, root, **how)  # type: ignore[arg-type]  # either of the two
    assert person(root.pk).is_active
    assert person(root.pk).role == Role.ADMIN


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_end_each_others_access_at_once_leave_one(root: User) -> None:
    other = make_person("other", Role.ADMIN)
    barrier = threading.Barrier(2)
    refused: list[str] = []

    def end(who: User, actor: User) -> None:
        try:
            barrier.wait()
            change(who, actor, is_active=False)
        except DomainError as problem:
            refused.append(problem.message)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=end, args=pair) for pair in ((root, other), (other, root))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert [person(root.pk).is_active, person(other.pk).is_active].count(True) == 1


def test_ended_access_ends_at_the_next_request(bob: User, alice: User, client_for: ClientFor) -> None:
    browser = client_for(bob)
    assert browser.get("/profile/").status_code == 200
    change(bob, alice, is_active=False)
    answer = browser.get("/profile/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")
    with scope.platform("test"):
        assert not UserSession.objects.filter(user=bob).exists()


def test_ended_access_ends_even_for_a_session_that_nobody_listed(bob: User, alice: User, client_for: ClientFor) -> None:
    browser = client_for(bob)  # signed in, and no request made yet
    change(bob, alice, is_active=False)
    assert browser.get("/profile/").status_code == 302


def test_restored_access_asks_for_a_new_sign_in(bob: User, alice: User, client_for: ClientFor) -> None:
    browser = client_for(bob)
    browser.get("/profile/")
    change(bob, alice, is_active=False)
    change(person(bob.pk), alice, is_active=True)
    assert browser.get("/profile/").status_code == 302


def test_a_new_role_holds_from_the_next_request_on(alice: User, root: User, client_for: ClientFor) -> None:
    change(alice, root, role=Role.CUSTOMER_VIEWER)
    assert client_for(person(alice.pk)).get("/users/invite/").status_code == 403


def test_the_doors_that_a_person_opened_shut_with_their_access(jia: Customer, alice: User, root: User) -> None:
    _invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    change(alice, root, is_active=False)
    with pytest.raises(DomainError):
        accept(token)


def test_a_lost_second_factor_is_taken_away_with_all_sessions(chen: User, root: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    browser.get("/profile/")
    with scope.user(root):
        people.reset_second_factor(person=chen, actor=root, now=NOW)
    with scope.platform("test"):
        assert not Authenticator.objects.filter(user=chen).exists()
        assert AuditEntry.objects.get(action="person.reset_mfa").actor_id == root.pk
    assert browser.get("/profile/").status_code == 302


def test_a_second_factor_of_the_provider_is_taken_away_by_administrators_alone(
    chen: User, lin: User, alice: User
) -> None:
    for actor in (lin, alice):
        with scope.user(actor), pytest.raises(PermissionDenied):
            people.reset_second_factor(person=chen, actor=actor, now=NOW)


def test_the_token_is_stored_nowhere(jia: Customer, alice: User) -> None:
    invitation, token = invite(alice, Role.CUSTOMER_MEMBER, jia)
    assert token == token_for(invitation)
    with scope.platform("test"):
        assert token not in str([list(Invitation.objects.values()), list(AuditEntry.objects.values())])
