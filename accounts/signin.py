"""How django-allauth behaves here: nobody signs up by himself, and its secrets are sealed like all others."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts import limiter, scope, secrets
from accounts.models import User
from accounts.services import entering, people


def lacks_second_factor(person: User) -> bool:
    """True for the provider's people until they have set up a second factor: they get nowhere else (N3)."""
    if not settings.RDMP_REQUIRE_SECOND_FACTOR or not person.is_provider:
        return False
    with scope.platform("second factor"):
        factors = Authenticator.objects.filter(user=person)
        return not factors.exclude(type=Authenticator.Type.RECOVERY_CODES).exists()


def mark_code_used(factor: TOTP, code: str) -> bool:
    """False for a code that was used before, on whatever page or node.

    `AccountsConfig` puts it in the place of allauth's own, which forgets a code after one period although it stays good
    for those of the tolerated steps.
    """
    life_s = app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)
    return bool(cache.add(factor._get_used_cache_key(code), "y", timeout=life_s))


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People come in by invitation only."""
        return False

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Wrong passwords of one account count together, at these pages and at the bastion."""
        return limiter.account(str(credentials.get("email") or ""))

    def set_password(self, user: User, password: str) -> None:
        """Changed or reset: whatever was signed in to with the old one is over, at the bastion as in browsers."""
        people.end_all_begun(user)
        super().set_password(user, password)

    def pre_login(self, request: HttpRequest, user: User, **said: Any) -> HttpResponse | None:
        """Nobody signs in from an address that the rules of entry do not name."""
        response: HttpResponse | None = super().pre_login(request, user, **said)
        address = request.META.get("REMOTE_ADDR", "")
        if response is None and not entering.may_enter(user, address):
            entering.note_refused(person=user, address=address, door="sign-in", now=timezone.now())
            return turned_away(request)
        return response


def turned_away(request: HttpRequest) -> HttpResponse:
    context = {"address": request.META.get("REMOTE_ADDR", "")}
    return render(request, "accounts/entry_refused.html", context, status=403)


class MfaAdapter(DefaultMFAAdapter):
    def encrypt(self, text: str) -> str:
        return secrets.seal_factor(text)

    def decrypt(self, encrypted_text: str) -> str:
        return secrets.open_factor(encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """The provider's people change their second factor by adding another one first; the last one stays (N3)."""
        if not settings.RDMP_REQUIRE_SECOND_FACTOR or not authenticator.user.is_provider:
            return True
        others = Authenticator.objects.filter(user=authenticator.user).exclude(pk=authenticator.pk)
        return bool(others.exclude(type=Authenticator.Type.RECOVERY_CODES).exists())
