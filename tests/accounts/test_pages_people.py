"""Users, invitations, one's own account: who lets whom in, and what a closed door says."""

import re

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.mail import mail_invitation
from accounts.models import ApiToken, AuditEntry, Customer, Invitation, User
from accounts.services import people
from tests.conftest import ClientFor

pytestmark = pytest.mark.django_db
PASSWORD = "a long and quiet river 7"


def invited(actor: User, customer: Customer | None, role: str = "customer_member") -> tuple[Invitation, str]:
    with scope.platform("test"):
        return people.invite(
            email="new@example.com", name="New", role=role, customer=customer, actor=actor, now=timezone.now()
        )


def join_form(**changes: str) -> dict[str, str]:
    return {"name": "新人", "phone": "13900000000", "password": PASSWORD, "again": PASSWORD} | changes


@pytest.mark.parametrize("who", ["bob", "vera", "chen"])
@pytest.mark.parametrize("path", ["/users/", "/users/invite/", "/audit/"])
def test_members_readers_and_engineers_administer_nobody(
    client_for: ClientFor, request: pytest.FixtureRequest, who: str, path: str
) -> None:
    assert client_for(request.getfixturevalue(who)).get(path).status_code == 403


def test_a_project_manager_sees_the_own_people_only(
    client_for: ClientFor, alice: User, bob: User, eve: User, lin: User
) -> None:
    text = client_for(alice).get("/users/").content.decode()
    assert bob.email in text
    assert eve.email not in text
    assert lin.email not in text


@pytest.mark.parametrize("verb", ["", "role/", "access/", "reset-second-factor/", "sign-out/"])
def test_people_of_another_side_do_not_exist_for_a_project_manager(
    client_for: ClientFor, alice: User, eve: User, lin: User, verb: str
) -> None:
    browser = client_for(alice)
    for person in (eve, lin):
        address = f"/users/{person.pk}/{verb}"
        answer = browser.post(address, {"role": "customer_viewer", "active": "0"}) if verb else browser.get(address)
        assert answer.status_code == 404
    with scope.platform("test"):
        assert User.objects.get(pk=eve.pk).is_active


def test_a_manager_changes_no_administrator(client_for: ClientFor, lin: User, root: User) -> None:
    browser = client_for(lin)
    assert browser.post(f"/users/{root.pk}/access/", {"active": "0"}).status_code == 403
    assert browser.post(f"/users/{root.pk}/reset-second-factor/").status_code == 403


def test_an_invitation_is_mailed_and_opens_once(
    client_for: ClientFor, alice: User, jia: Customer, settings: object
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"  # type: ignore[attr-defined]
    browser = client_for(alice)
    form = {"email": "New@Example.com", "name": "New", "customer": jia.pk, "role": "customer_member"}
    assert browser.post("/users/invite/", form).headers["Location"] == "/users/"
    with scope.platform("test"):
        mail_invitation(Invitation.objects.get().pk)
    link = re.search(r"/accounts/invitation/\S+/", str(mail.outbox[0].body))
    assert link is not None
    guest = Client()
    assert "new@example.com" in guest.get(link[0]).content.decode()
    assert guest.post(link[0], join_form()).headers["Location"] == "/accounts/login/"
    assert guest.get(link[0]).status_code == 410
    with scope.platform("test"):
        made = User.objects.get(email="new@example.com")
        assert (made.customer, made.role, made.phone) == (jia, "customer_member", "13900000000")


@pytest.mark.parametrize(
    "changes",
    [{"password": "short", "again": "short"}, {"again": "something else"}, {"name": ""}, {"phone": ""}],
)
def test_a_guest_with_bad_input_may_try_again(alice: User, jia: Customer, changes: dict[str, str]) -> None:
    _invitation, token = invited(alice, jia)
    guest = Client()
    assert guest.post(f"/accounts/invitation/{token}/", join_form(**changes)).status_code == 422
    assert guest.post(f"/accounts/invitation/{token}/", join_form()).status_code == 302


def test_a_forged_link_opens_nothing() -> None:
    assert Client().get("/accounts/invitation/nonsense/").status_code == 410


def test_a_withdrawn_invitation_is_shut(client_for: ClientFor, alice: User, jia: Customer) -> None:
    invitation, token = invited(alice, jia)
    client_for(alice).post(f"/invitations/{invitation.pk}/withdraw/")
    assert Client().get(f"/accounts/invitation/{token}/").status_code == 410


def test_invitations_of_another_customer_are_not_shown_and_not_withdrawn(
    client_for: ClientFor, alice: User, eve: User, jia: Customer
) -> None:
    invitation, _token = invited(alice, jia)
    browser = client_for(eve)
    assert "new@example.com" not in browser.get("/users/").content.decode()
    assert browser.post(f"/invitations/{invitation.pk}/withdraw/").status_code == 404


@pytest.mark.parametrize("role", ["engineer", "manager", "admin"])
def test_a_project_manager_cannot_invite_into_the_provider(
    client_for: ClientFor, alice: User, jia: Customer, role: str
) -> None:
    form = {"email": "spy@example.com", "name": "Spy", "customer": jia.pk, "role": role}
    assert client_for(alice).post("/users/invite/", form).status_code == 422
    assert client_for(alice).post("/users/invite/", form | {"customer": ""}).status_code == 422


def test_a_project_manager_cannot_invite_into_another_customer(
    client_for: ClientFor, alice: User, yi: Customer
) -> None:
    form = {"email": "spy@example.com", "name": "Spy", "customer": yi.pk, "role": "customer_member"}
    assert client_for(alice).post("/users/invite/", form).status_code == 422


def test_the_role_must_fit_the_side(client_for: ClientFor, root: User, jia: Customer) -> None:
    form = {"email": "x@example.com", "name": "X", "customer": jia.pk, "role": "engineer"}
    assert client_for(root).post("/users/invite/", form).status_code == 422
    assert client_for(root).post("/users/invite/", form | {"customer": "", "role": "engineer"}).status_code == 302


def test_ended_access_ends_the_sessions(client_for: ClientFor, lin: User, bob: User, root: User) -> None:
    theirs = client_for(bob)
    assert theirs.get("/profile/").status_code == 200
    assert client_for(lin).post(f"/users/{bob.pk}/access/", {"active": "0"}).status_code == 302
    assert theirs.get("/profile/").status_code == 302


def test_nobody_ends_the_own_access(client_for: ClientFor, root: User) -> None:
    client_for(root).post(f"/users/{root.pk}/access/", {"active": "0"})
    with scope.platform("test"):
        assert User.objects.get(pk=root.pk).is_active


def test_a_role_is_changed_within_the_side(client_for: ClientFor, alice: User, bob: User, root: User) -> None:
    browser = client_for(alice)
    assert browser.post(f"/users/{bob.pk}/role/", {"role": "customer_viewer"}).status_code == 302
    assert browser.post(f"/users/{bob.pk}/role/", {"role": "admin"}).status_code == 403
    with scope.platform("test"):
        assert User.objects.get(pk=bob.pk).role == "customer_viewer"


def test_a_lost_second_factor_is_taken_away_by_an_administrator(client_for: ClientFor, root: User, chen: User) -> None:
    theirs = client_for(chen)
    assert client_for(root).post(f"/users/{chen.pk}/reset-second-factor/").status_code == 302
    with scope.platform("test"):
        assert not Authenticator.objects.filter(user=chen).exists()
    assert theirs.get("/profile/").status_code == 302


def test_signing_somebody_out_everywhere_is_audited(client_for: ClientFor, lin: User, bob: User) -> None:
    theirs = client_for(bob)
    theirs.get("/profile/")
    assert client_for(lin).post(f"/users/{bob.pk}/sign-out/").status_code == 302
    assert theirs.get("/profile/").status_code == 302
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action="person.sign_out").exists()


def test_the_list_takes_as_many_queries_for_many_people_as_for_few(
    client_for: ClientFor, lin: User, jia: Customer, django_assert_max_num_queries: object
) -> None:
    browser = client_for(lin)
    browser.get("/users/")
    with scope.platform("test"):
        for number in range(30):
            User.objects.create_user(f"p{number}@example.com", name=f"P{number}", role="customer_viewer", customer=jia)
    with django_assert_max_num_queries(16):  # type: ignore[operator]  # typed loosely by pytest-django
        assert "P29" in browser.get("/users/").content.decode()


# --- search ----------------------------------------------------------------------------------------------------------


def test_search_finds_only_whom_one_may_know(
    client_for: ClientFor, alice: User, bob: User, eve: User, lin: User
) -> None:
    text = client_for(alice).get("/people/search/?q=example.com").content.decode()
    assert bob.name in text
    assert not any(person.name in text for person in (eve, lin))
    everybody = client_for(lin).get("/people/search/?q=example.com").content.decode()
    assert all(person.name in everybody for person in (alice, bob, eve))


def test_the_search_page_gathers_what_the_apps_find(client_for: ClientFor, chen: User, jia: Customer) -> None:
    browser = client_for(chen)
    page = browser.get("/search/", {"q": jia.name}).content.decode()
    fragment = browser.get("/search/", {"q": jia.name}, headers={"hx-request": "true"}).content.decode()
    assert f'href="/customers/{jia.pk}/"' in page
    assert f'href="/customers/{jia.pk}/"' in fragment
    assert "<html" not in fragment


@pytest.mark.parametrize("query", ["", " ", "\x00", "%", "_", "'", '"<script>', "x" * 500])
def test_search_bears_any_text(client_for: ClientFor, alice: User, query: str) -> None:
    answer = client_for(alice).get("/search/", {"q": query})
    assert answer.status_code == 200
    assert "<script>" not in answer.content.decode().split("<main")[1]


# --- one's own account -----------------------------------------------------------------------------------------------


def test_a_profile_is_changed_by_its_owner_on_either_side(client_for: ClientFor, chen: User, vera: User) -> None:
    for person in (chen, vera):
        form = {"name": "改名", "phone": "0571-56337786", "language": "en"}
        answer = client_for(person).post("/profile/", form)
        assert answer.status_code == 302
        assert answer.cookies["django_language"].value == "en"
        with scope.platform("test"):
            assert User.objects.get(pk=person.pk).name == "改名"


def test_a_token_is_shown_once_and_revoked(client_for: ClientFor, bob: User) -> None:
    browser = client_for(bob)
    made = browser.post("/profile/tokens/", {"name": "export", "scope": "read", "days": "90"})
    key = re.search(r"rdmp_[\w-]{40,}", made.content.decode())
    assert key is not None
    assert "no-store" in made.headers["Cache-Control"]
    assert key[0] not in browser.get("/profile/tokens/").content.decode()
    with scope.platform("test"):
        token = ApiToken.objects.get()
    assert browser.post(f"/profile/tokens/{token.pk}/revoke/").status_code == 302
    with scope.platform("test"):
        assert ApiToken.objects.get().revoked_at is not None


def test_a_token_of_somebody_else_does_not_exist(client_for: ClientFor, bob: User, alice: User) -> None:
    client_for(bob).post("/profile/tokens/", {"name": "export", "scope": "read", "days": "90"})
    with scope.platform("test"):
        token = ApiToken.objects.get()
    assert client_for(alice).post(f"/profile/tokens/{token.pk}/revoke/").status_code == 404


def test_a_reader_gets_no_writing_token(client_for: ClientFor, vera: User) -> None:
    client_for(vera).post("/profile/tokens/", {"name": "x", "scope": "write", "days": "90"})
    with scope.platform("test"):
        assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    "form", [{"name": "", "days": "90"}, {"name": "x", "days": "9999"}, {"name": "x", "days": "x"}]
)
def test_a_token_needs_a_name_and_an_end(client_for: ClientFor, bob: User, form: dict[str, str]) -> None:
    assert client_for(bob).post("/profile/tokens/", {"scope": "read"} | form).status_code == 422


# --- sign-in ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/accounts/2fa/", "/accounts/password/change/", "/accounts/sessions/", "/profile/", "/profile/tokens/"],
)
def test_account_pages_open_for_both_sides(client_for: ClientFor, alice: User, chen: User, path: str) -> None:
    for person in (alice, chen):
        answer = client_for(person).get(path, follow=True)
        assert answer.status_code == 200
        assert "brand-mark" in answer.content.decode()


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/password/reset/", "/accounts/password/reset/done/"])
def test_entrance_pages_open_for_everybody(path: str, db: None) -> None:
    assert "brand-mark" in Client().get(path).content.decode()


def test_nobody_signs_up_by_himself(db: None) -> None:
    answer = Client().post("/accounts/signup/", {"email": "x@example.com", "password1": PASSWORD})
    assert answer.status_code == 200
    with scope.platform("test"):
        assert not User.objects.exists()


def test_our_people_without_a_second_factor_get_no_further_than_setting_one_up(chen: User) -> None:
    browser = Client()
    with scope.platform("test sign-in"):
        browser.force_login(chen)
    assert browser.get("/board/").headers["Location"] == "/accounts/2fa/"
    text = browser.get("/accounts/2fa/").content.decode()
    assert "alert-warning" in text
    assert "inbox/badge" not in text
