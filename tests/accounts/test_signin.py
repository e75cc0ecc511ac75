"""The sign-in pages as a browser sees them: passwords, resets, sessions, and one limiter for every way to fail."""

import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import LazySettings
from django.contrib.auth.hashers import make_password
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import User
from accounts.services import people, tokens
from rdmp import settings as installed
from tests.conftest import PASSWORD, ClientFor

NEW_PASSWORD = "another quiet river 9"
WRONG = "not the password at all"


def sign_in(browser: Client, email: str, password: str = PASSWORD, address: str = "192.0.2.1") -> bool:
    answer = browser.post("/accounts/login/", {"login": email, "password": password}, REMOTE_ADDR=address)
    return answer.status_code == 302


def what_is_said(email: str) -> str:
    answer = Client().post("/accounts/login/", {"login": email, "password": WRONG}, REMOTE_ADDR="192.0.2.9")
    assert answer.status_code == 200
    text = re.sub(r'(name="csrfmiddlewaretoken" value|nonce)="[^"]*"', "", answer.content.decode())
    return re.sub(r"data-server-now=\S+|\d{4}-\d\d-\d\dT[\d:.+]+", "", text.replace(email, "ADDRESS"))


def is_in(browser: Client) -> bool:
    return browser.get("/profile/").status_code == 200


# --- passwords ------------------------------------------------------------------------------------------------------


def test_the_right_password_lets_in_whatever_the_case_of_the_address(alice: User) -> None:
    browser = Client()
    assert not is_in(browser)
    assert sign_in(browser, "Alice@Example.com")
    assert is_in(browser)


def test_a_password_hashed_by_the_former_hasher_opens_and_is_hashed_anew(alice: User, settings: LazySettings) -> None:
    settings.PASSWORD_HASHERS = installed.PASSWORD_HASHERS
    with scope.platform("test"):
        User.objects.filter(pk=alice.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    for _ in range(2):
        assert not sign_in(Client(), alice.email, WRONG)
        assert sign_in(Client(), alice.email)
        with scope.platform("test"):
            alice.refresh_from_db()
        assert alice.password.startswith("argon2$argon2id$")


def test_a_wrong_password_and_an_unknown_address_are_told_the_same(alice: User) -> None:
    assert what_is_said(alice.email) == what_is_said("nobody@example.com")


def test_somebody_without_access_is_not_let_in(alice: User) -> None:
    with scope.platform("test"):
        User.objects.filter(pk=alice.pk).update(is_active=False)
    browser = Client()
    sign_in(browser, alice.email)
    assert not is_in(browser)


def test_the_session_gets_a_new_key_at_sign_in_and_a_careful_cookie(alice: User) -> None:
    browser = Client()
    browser.get("/accounts/login/")
    session = browser.session
    session["planted"] = "by somebody else"
    session.save()
    planted = session.session_key
    assert sign_in(browser, alice.email)
    cookie = browser.cookies["rdmp_session"]
    assert cookie.value != planted
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"]
)
def test_sign_in_leads_nowhere_but_to_our_own_pages(elsewhere: str, alice: User) -> None:
    answer = Client().post(
        f"/accounts/login/?next={elsewhere}", {"login": alice.email, "password": PASSWORD, "next": elsewhere}
    )
    assert answer.status_code == 302
    assert answer["Location"] == "/"


def test_sign_in_needs_the_csrf_token_and_signing_out_a_post(alice: User, client_for: ClientFor) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/accounts/login/", {"login": alice.email, "password": PASSWORD}).status_code == 403
    browser = client_for(alice)
    browser.get("/accounts/logout/")
    assert is_in(browser)
    browser.post("/accounts/logout/")
    assert not is_in(browser)


def test_nobody_signs_up_alone(db: None) -> None:
    form = {"email": "new@example.com", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    Client().post("/accounts/signup/", form)
    with scope.platform("test"):
        assert not User.objects.exists()


def test_nobody_puts_another_address_on_their_account(alice: User, client_for: ClientFor) -> None:
    """It would not be proven to be theirs, and could be one that somebody else is to be invited by."""
    browser = client_for(alice)
    for form in ({"action_add": "", "email": "eve@example.com"}, {"action_primary": "", "email": "eve@example.com"}):
        browser.post("/accounts/email/", form)
    with scope.platform("test"):
        assert not EmailAddress.objects.filter(email="eve@example.com").exists()
        assert User.objects.get(pk=alice.pk).email == "alice@example.com"


def test_a_changed_password_ends_the_session_and_every_other(alice: User, client_for: ClientFor) -> None:
    browser, other = Client(), client_for(alice)
    assert is_in(other)
    assert sign_in(browser, alice.email)
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert browser.post("/accounts/password/change/", form).status_code == 302
    assert not is_in(browser)
    assert not is_in(other)
    assert sign_in(Client(), alice.email, NEW_PASSWORD)


@pytest.mark.parametrize("weak", ["short7", "1234567890123", "alice@example.com", "password123"])
def test_a_weak_password_is_refused(weak: str, alice: User, client_for: ClientFor) -> None:
    form = {"oldpassword": PASSWORD, "password1": weak, "password2": weak}
    browser = Client()
    sign_in(browser, alice.email)
    assert browser.post("/accounts/password/change/", form).status_code == 200
    assert not sign_in(Client(), alice.email, weak)


# --- a forgotten password -------------------------------------------------------------------------------------------


def ask_for_reset(email: str, address: str = "192.0.2.1") -> tuple[int, str]:
    answer = Client().post("/accounts/password/reset/", {"email": email}, REMOTE_ADDR=address)
    return answer.status_code, answer.get("Location", "")


def link_in_mail() -> str:
    found = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", str(mail.outbox[-1].body))
    assert found, mail.outbox[-1].body
    return unescape(found.group(1))


def reset_with(link: str) -> bool:
    """Follow a link of a reset mail and set a new password; False when the link is worth nothing."""
    browser = Client()
    page = browser.get(link, follow=True)
    form = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    answer = browser.post(page.redirect_chain[-1][0] if page.redirect_chain else link, form)
    return answer.status_code == 302


def test_the_reset_page_answers_the_same_for_every_address(alice: User) -> None:
    assert ask_for_reset(alice.email) == ask_for_reset("nobody@example.com")


def test_a_link_by_mail_sets_a_new_password_once_and_ends_the_sessions(alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    assert is_in(browser)
    ask_for_reset(alice.email)
    assert mail.outbox[-1].to == [alice.email]
    link = link_in_mail()
    assert reset_with(link)
    assert not is_in(browser)
    assert not sign_in(Client(), alice.email)
    assert sign_in(Client(), alice.email, NEW_PASSWORD)
    assert not reset_with(link)


def test_a_link_of_a_reset_dies_after_an_hour_and_when_it_is_forged(alice: User) -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=61)):
        ask_for_reset(alice.email)
    assert not reset_with(link_in_mail())
    ask_for_reset(alice.email)
    assert not reset_with(link_in_mail()[:-2] + "x/")
    assert reset_with(link_in_mail())


def test_resets_are_not_sent_without_end(alice: User) -> None:
    for number in range(6):
        ask_for_reset(alice.email, address=f"192.0.2.{number}")
    assert len(mail.outbox) == 3


# --- one limiter ----------------------------------------------------------------------------------------------------


def test_five_wrong_passwords_hold_an_address_up_for_five_minutes(alice: User, bob: User) -> None:
    for number in range(5):
        assert not sign_in(Client(), alice.email, WRONG, address=f"192.0.2.{number}")
    assert not sign_in(Client(), alice.email, address="198.51.100.1")
    assert sign_in(Client(), bob.email, address="192.0.2.1")
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        assert sign_in(Client(), alice.email, address="198.51.100.1")


def test_ten_wrong_passwords_hold_a_place_up_whomever_they_were_for(alice: User) -> None:
    for number in range(10):
        sign_in(Client(), f"guess{number}@example.com", WRONG)
    assert not sign_in(Client(), alice.email)
    assert sign_in(Client(), alice.email, address="192.0.2.2")
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert sign_in(Client(), alice.email)


def test_right_passwords_cost_nothing(alice: User) -> None:
    for _ in range(12):
        assert sign_in(Client(), alice.email)


def wrong_token(address: str = "192.0.2.1") -> int:
    wrong = {"Authorization": "Bearer rdmp_wrong"}
    return Client().get("/api/v1/incidents/", headers=wrong, REMOTE_ADDR=address).status_code


def wrong_invitation(address: str = "192.0.2.1") -> int:
    return Client().get("/accounts/invitation/wrong/", REMOTE_ADDR=address).status_code


def test_wrong_api_tokens_are_held_up(alice: User) -> None:
    assert [wrong_token() for _ in range(7)] == [401] * 5 + [429] * 2
    assert wrong_token("192.0.2.2") == 401


def test_the_api_says_in_its_own_way_that_it_was_too_much(db: None) -> None:
    for _ in range(5):
        wrong_token()
    answer = Client().get("/api/v1/incidents/", headers={"Authorization": "Bearer rdmp_x"}, REMOTE_ADDR="192.0.2.1")
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert int(answer["Retry-After"]) == 300
    assert answer.json()["status"] == 429


def test_a_right_token_is_heard_from_where_wrong_ones_came(alice: User) -> None:
    with scope.user(alice):
        now = timezone.now()
        _token, key = tokens.issue(actor=alice, name="x", scope="read", valid_for=timedelta(days=1), now=now)
    for _ in range(6):
        wrong_token()
    answer = Client().get("/api/v1/incidents/", headers={"Authorization": f"Bearer {key}"}, REMOTE_ADDR="192.0.2.1")
    assert answer.status_code == 200


def test_wrong_invitations_are_held_up(db: None) -> None:
    assert [wrong_invitation() for _ in range(7)] == [410] * 5 + [429] * 2
    assert wrong_invitation("192.0.2.2") == 410


def test_all_ways_to_fail_fill_one_measure(alice: User) -> None:
    for _ in range(4):
        wrong_token()
        wrong_invitation()
    sign_in(Client(), "guess1@example.com", WRONG)
    sign_in(Client(), "guess2@example.com", WRONG)
    assert not sign_in(Client(), alice.email)
    assert (wrong_token(), wrong_invitation()) == (429, 429)


# --- sessions -------------------------------------------------------------------------------------------------------


def test_sessions_are_listed_with_their_browsers_and_an_ended_one_is_out(alice: User) -> None:
    laptop, phone = Client(HTTP_USER_AGENT="Laptop/1"), Client(HTTP_USER_AGENT="Phone/2")
    for browser in (laptop, phone):
        assert sign_in(browser, alice.email)
        assert is_in(browser)
    page = laptop.get("/accounts/sessions/").content.decode()
    assert "Laptop" in page
    assert "Phone" in page
    with scope.platform("test"):
        (the_phone,) = UserSession.objects.filter(user_agent="Phone/2")
        the_phone.end()
    assert is_in(laptop)
    assert not is_in(phone)


def test_ending_all_others_from_the_page_leaves_the_one_in_hand(alice: User) -> None:
    laptop, phone = Client(HTTP_USER_AGENT="Laptop/1"), Client(HTTP_USER_AGENT="Phone/2")
    for browser in (laptop, phone):
        sign_in(browser, alice.email)
        is_in(browser)
    assert laptop.post("/accounts/sessions/").status_code == 302
    assert is_in(laptop)
    assert not is_in(phone)


def test_a_list_of_sessions_shows_ones_own_only(alice: User, eve: User) -> None:
    hers = Client(HTTP_USER_AGENT="Eves-Browser/1")
    sign_in(hers, eve.email)
    is_in(hers)
    browser = Client(HTTP_USER_AGENT="Alices-Browser/1")
    sign_in(browser, alice.email)
    assert "Eves-Browser" not in browser.get("/accounts/sessions/").content.decode()


def test_a_session_ends_by_itself_after_half_a_day(alice: User, settings: LazySettings) -> None:
    assert settings.SESSION_COOKIE_AGE == 12 * 3600
    with time_machine.travel(timezone.now() - timedelta(hours=12, minutes=1)):
        browser = Client()
        sign_in(browser, alice.email)
        assert is_in(browser)
    assert not is_in(browser)


def test_a_manager_signs_somebody_out_everywhere(alice: User, root: User) -> None:
    browser = Client()
    sign_in(browser, alice.email)
    assert is_in(browser)
    with scope.user(root):
        people.sign_out_everywhere(person=alice, actor=root, now=timezone.now())
    assert not is_in(browser)
