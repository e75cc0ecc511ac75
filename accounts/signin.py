"""How django-allauth behaves here: nobody signs up by himself, and its secrets are sealed like all others."""

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from accounts import secrets

BOUND_TO = "mfa"


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People come in by invitation only."""
        return False


class MfaAdapter(DefaultMFAAdapter):
    def encrypt(self, text: str) -> str:
        return secrets.key_ring().seal(text, bound_to=BOUND_TO).hex()

    def decrypt(self, encrypted_text: str) -> str:
        return secrets.key_ring().open(bytes.fromhex(encrypted_text), bound_to=BOUND_TO)
