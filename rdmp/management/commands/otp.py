"""`manage.py otp`: the current one-time codes of the demo's people, so that a newcomer can sign in. Demo only."""

import time
from typing import Any

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from allauth.mfa.utils import decrypt
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import scope


def current_code(authenticator: Authenticator) -> str:
    """The code that a person's phone would show now."""
    counter = int(time.time()) // app_settings.TOTP_PERIOD
    code: str = format_hotp_value(hotp_value(decrypt(authenticator.data["secret"]), counter))
    return code


class Command(BaseCommand):
    help = "Print the current one-time code of everybody who signs in with one."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("One-time codes are printed in the demo only.")
        left = app_settings.TOTP_PERIOD - int(time.time()) % app_settings.TOTP_PERIOD
        with scope.platform("demo codes"):
            for authenticator in Authenticator.objects.filter(type=Authenticator.Type.TOTP).select_related("user"):
                self.stdout.write(f"{authenticator.user.email}  {current_code(authenticator)}  ({left} s)")
