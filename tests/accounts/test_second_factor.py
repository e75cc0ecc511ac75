"""The second factor: demanded of the provider's people, offered to everybody, and guessed by nobody."""

import re
import time
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from asgiref.sync import async_to_sync
from django.conf import LazySettings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import scope, websockets
from accounts.models import User
from tests.conftest import PASSWORD

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(at: float | None = None, secret: str = SECRET) -> str:
    """What a phone shows."""
    shown: str = format_hotp_value(hotp_value(secret, int(time.time() if at is None else at) // 30))
    return shown


def wrong_code() -> str:
    right = {code(time.time() + step * 30) for step in (-2, -1, 0, 1, 2)}
    return next(f"{number:06}" for number in range(1000) if f"{number:06}" not in right)


def give_totp(person: User) -> None:
    with scope.platform("test"):
        data = {"secret": get_adapter().encrypt(SECRET)}
        Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data=data)


def with_password(person: User, address: str = "192.0.2.1") -> tuple[Client, str]:
    """A browser after the first step, and where it was sent."""
    browser = Client(REMOTE_ADDR=address)
    answer = browser.post("/accounts/login/", {"login": person.email, "password": PASSWORD})
    return browser, answer.get("Location", "")


def with_code(browser: Client, typed: str) -> bool:
    return browser.post("/accounts/2fa/authenticate/", {"code": typed}).status_code == 302


def is_in(browser: Client) -> bool:
    return browser.get("/profile/").status_code == 200


@pytest.mark.parametrize("who", ["chen", "lin", "root"])
@pytest.mark.parametrize("path", ["/", "/board/", "/customers/", "/profile/", "/search/?q=x"])
def test_the_providers_people_get_nowhere_without_one(who: str, path: str, request: pytest.FixtureRequest) -> None:
    browser, _where = with_password(request.getfixturevalue(who))
    answer = browser.get(path)
    assert (answer.status_code, answer.get("Location")) == (302, "/accounts/2fa/")


@pytest.mark.django_db(transaction=True)
def test_neither_to_the_api_nor_to_the_live_channel(chen: User) -> None:
    browser, _where = with_password(chen)
    assert browser.get("/api/v1/incidents/").status_code == 403
    assert async_to_sync(websockets.person_of)(browser.session, "127.0.0.1") is None
    give_totp(chen)
    assert async_to_sync(websockets.person_of)(browser.session, "127.0.0.1") is not None


def test_a_customers_people_may_do_without(alice: User) -> None:
    browser, where = with_password(alice)
    assert where == "/"
    assert is_in(browser)


def test_an_installation_may_switch_the_demand_off(chen: User, settings: LazySettings) -> None:
    settings.RDMP_REQUIRE_SECOND_FACTOR = False
    browser, _where = with_password(chen)
    assert is_in(browser)


def enrol(browser: Client) -> str:
    """Set up a phone on the page; returns the secret that the phone keeps."""
    page = browser.get("/accounts/2fa/totp/activate/")
    if page.status_code == 302:  # asks for the password once more
        browser.post(page["Location"], {"password": PASSWORD})
        page = browser.get("/accounts/2fa/totp/activate/")
    secret: str = page.context["form"].secret
    answer = browser.post("/accounts/2fa/totp/activate/", {"code": code(secret=secret)})
    assert answer.status_code == 302
    return secret


def test_enrolling_a_phone_opens_the_door_and_seals_the_secret(chen: User) -> None:
    browser, _where = with_password(chen)
    assert not is_in(browser)
    secret = enrol(browser)
    assert is_in(browser)
    with scope.platform("test"):
        kept = Authenticator.objects.get(user=chen, type=Authenticator.Type.TOTP).data["secret"]
    assert secret not in kept
    assert get_adapter().decrypt(kept) == secret


def test_the_password_alone_is_not_enough_any_more(alice: User) -> None:
    give_totp(alice)
    browser, where = with_password(alice)
    assert where.startswith("/accounts/2fa/authenticate/")
    assert not is_in(browser)
    assert with_code(browser, code())
    assert is_in(browser)


def test_a_wrong_code_lets_nobody_in(alice: User) -> None:
    give_totp(alice)
    browser, _where = with_password(alice)
    assert not with_code(browser, wrong_code())
    assert not is_in(browser)


def test_a_code_works_once(alice: User) -> None:
    give_totp(alice)
    shown = code()
    first, _where = with_password(alice)
    assert with_code(first, shown)
    second, _where = with_password(alice)
    assert not with_code(second, shown)


def test_a_code_works_once_for_as_long_as_it_is_good(alice: User, settings: LazySettings) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    }  # goes by Python's clock
    give_totp(alice)
    began = 1_800_000_000 // 30 * 30
    with time_machine.travel(began, tick=False) as clock:
        shown = code(began + 30)  # of a phone whose clock goes ahead
        first, _where = with_password(alice)
        assert with_code(first, shown)
        for seconds in (31, 61, 89):
            clock.move_to(began + seconds)
            again, _where = with_password(alice)
            assert not with_code(again, shown), seconds


def test_a_code_of_ten_minutes_ago_is_worth_nothing(alice: User) -> None:
    give_totp(alice)
    browser, _where = with_password(alice)
    assert not with_code(browser, code(time.time() - 600))


def test_wrong_codes_are_held_up_by_the_limiter_of_all_failures(alice: User) -> None:
    give_totp(alice)
    for number in range(5):
        browser, _where = with_password(alice, address=f"192.0.2.{number}")
        assert not with_code(browser, wrong_code())
    browser, _where = with_password(alice, address="198.51.100.1")
    assert not with_code(browser, code())
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        browser, _where = with_password(alice, address="198.51.100.1")
        assert with_code(browser, code())


def test_wrong_codes_fill_the_same_measure_as_wrong_passwords(alice: User, bob: User) -> None:
    give_totp(alice)
    browser, _where = with_password(alice)
    for _ in range(5):
        with_code(browser, wrong_code())
    for number in range(5):
        Client(REMOTE_ADDR="192.0.2.1").post(
            "/accounts/login/", {"login": f"{number}@example.com", "password": "wrong"}
        )
    assert with_password(bob)[1] == ""
    cache.clear()
    assert with_password(bob)[1] == "/"


def test_a_recovery_code_opens_once(alice: User) -> None:
    browser, _where = with_password(alice)
    enrol(browser)
    page = browser.get("/accounts/2fa/recovery-codes/", follow=True)
    codes = re.findall(r"\b\d{8}\b", page.content.decode())
    assert len(set(codes)) >= 10
    other, _where = with_password(alice)
    assert with_code(other, codes[0])
    assert is_in(other)
    third, _where = with_password(alice)
    assert not with_code(third, codes[0])
    assert with_code(third, codes[1])


def test_a_recovery_code_alone_is_no_second_factor(chen: User) -> None:
    with scope.platform("test"):
        data = {"seed": get_adapter().encrypt("ab" * 40), "used_mask": 0}
        Authenticator.objects.create(user=chen, type=Authenticator.Type.RECOVERY_CODES, data=data)
    browser, _where = with_password(chen)
    assert not is_in(browser)


def test_the_providers_people_cannot_drop_their_last_one(chen: User) -> None:
    browser, _where = with_password(chen)
    enrol(browser)
    browser.post("/accounts/2fa/totp/deactivate/")
    with scope.platform("test"):
        assert Authenticator.objects.filter(user=chen, type=Authenticator.Type.TOTP).exists()
    assert is_in(browser)


def test_a_customers_people_can(alice: User) -> None:
    browser, _where = with_password(alice)
    enrol(browser)
    browser.post("/accounts/2fa/totp/deactivate/")
    with scope.platform("test"):
        assert not Authenticator.objects.filter(user=alice, type=Authenticator.Type.TOTP).exists()


def test_a_session_is_shut_out_when_its_second_factor_is_gone(chen: User) -> None:
    browser, _where = with_password(chen)
    enrol(browser)
    assert is_in(browser)
    with scope.platform("taken away behind its back"):
        Authenticator.objects.filter(user=chen).delete()
    assert not is_in(browser)


def test_nobody_sees_the_second_factors_of_another_customer(alice: User, eve: User) -> None:
    give_totp(eve)
    with scope.user(alice):
        assert not Authenticator.objects.exists()
    with scope.user(eve):
        assert Authenticator.objects.count() == 1
