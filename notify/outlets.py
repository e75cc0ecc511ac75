"""The provider's own account for calls, SMS and push, as adapters want it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts import scope, secrets
from accounts.vault import VaultError
from notify.channels import aliyun, push, sms, voice
from notify.models import OutletSettings

WHY = "calls, SMS and push go out through the provider's own account"
ACCESS_KEY = ("access_key_id", "access_key_secret")
PUSH_KEY = "push_private_key"


@dataclass(frozen=True)
class Readiness:
    """Which ways to single people are set up."""

    voice: bool
    sms: bool


def current() -> OutletSettings:
    """The settings in force; unsaved defaults when nobody has entered any."""
    with scope.platform(WHY):
        return OutletSettings.objects.filter(customer=None).first() or OutletSettings()


def readiness() -> Readiness:
    chosen = current()
    return Readiness(voice=chosen.can_call, sms=chosen.can_text)


def line(chosen: OutletSettings, now: datetime) -> voice.Line:
    """How calls are made. Raises secrets.Missing or VaultError when the AccessKey cannot be had."""
    return voice.Line(
        account=_account(chosen, now),
        tts_code=chosen.tts_code,
        show_number=chosen.show_number,
        start_code=chosen.ivr_start_code,
        bye_code=chosen.ivr_bye_code,
    )


def texter(chosen: OutletSettings, now: datetime) -> sms.Sender:
    """How SMS are sent. Raises as `line` does."""
    return sms.Sender(_account(chosen, now), chosen.sms_sign, chosen.sms_code)


def _account(chosen: OutletSettings, now: datetime) -> aliyun.Account:
    if chosen.pk is None:
        raise secrets.Missing("no account is set")
    with scope.platform(WHY):
        key, secret = (secrets.use(obj=chosen, field=name, purpose="call or text", now=now) for name in ACCESS_KEY)
    return aliyun.Account(key, secret, chosen.endpoint_override)


def push_sender(now: datetime) -> push.Sender | None:
    """Who signs what browsers are pushed; None while no browser has asked for it."""
    chosen = current()
    if not chosen.push_key:
        return None
    try:
        with scope.platform(WHY):
            private = secrets.use(obj=chosen, field=PUSH_KEY, purpose="push", now=now)
    except (secrets.Missing, VaultError):
        return None
    return push.Sender(private, settings.EMERGENCY_EMAIL or "service@localhost")


def receipts_token(chosen: OutletSettings) -> str:
    """The part of the receipts' address that nobody can guess; another one once `receipts_key` is counted up."""
    return salted_hmac("notify.receipts", str(chosen.receipts_key), algorithm="sha256").hexdigest()[:40]
