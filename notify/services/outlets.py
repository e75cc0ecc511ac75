"""Setting up the provider's account for calls and SMS, and trying it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, scope, secrets
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import is_manager
from notify import outlets
from notify.models import Delivery, OutletSettings, Topic
from notify.services.outbox import Message, tell
from notify.services.ways import obstacle_words
from notify.states import State

WHY = outlets.WHY


@dataclass(frozen=True)
class Details:
    """What may be changed, secrets apart; the fields of `OutletSettings` with the same names."""

    voice_is_on: bool = False
    show_number: str = ""
    tts_code: str = ""
    ivr_start_code: str = ""
    ivr_bye_code: str = ""
    sms_is_on: bool = False
    sms_sign: str = ""
    sms_code: str = ""
    endpoint_override: str = ""


@transaction.atomic
def save(*, details: Details, values: Mapping[str, str], actor: User | None, now: datetime) -> OutletSettings:
    """Keep the settings; of `values` (access_key_id, access_key_secret) an empty one stays as it is."""
    _check(actor)
    with scope.platform(WHY):
        chosen = held(now)
        for name in Details.__dataclass_fields__:
            setattr(chosen, name, getattr(details, name))
        chosen.changed_at = now
        chosen.save()
        for name in outlets.ACCESS_KEY:
            if values.get(name):
                secrets.put(obj=chosen, field=name, value=values[name], actor=actor, now=now)
        if (chosen.voice_is_on or chosen.sms_is_on) and not has_access_key(chosen):
            raise DomainError(_("Nothing was saved: calls and SMS need an AccessKey."), code="secret_missing")
        renewed = sorted(name for name, value in values.items() if value)
        detail = {"voice": chosen.voice_is_on, "sms": chosen.sms_is_on, "renewed": renewed}
        audit.record(action="outlets.change", actor=actor, customer=None, obj=chosen, detail=detail, now=now)
    return chosen


def held(now: datetime) -> OutletSettings:
    """The one row, made when it is missing, locked until the transaction ends. Needs the platform's scope."""
    OutletSettings.objects.get_or_create(customer=None, defaults={"changed_at": now})
    found: OutletSettings = OutletSettings.objects.select_for_update().get(customer=None)
    return found


def has_access_key(chosen: OutletSettings) -> bool:
    with scope.platform(WHY):
        return chosen.pk is not None and all(secrets.is_set(chosen, name) for name in outlets.ACCESS_KEY)


@transaction.atomic
def renew_receipts_address(*, actor: User, now: datetime) -> None:
    """Another address for receipts: whoever knows the old one can say nothing any more."""
    _check(actor)
    with scope.platform(WHY):
        chosen = held(now)
        chosen.receipts_key += 1
        chosen.changed_at = now
        chosen.save()
        audit.record(action="outlets.receipts", actor=actor, customer=None, obj=chosen, now=now)


@transaction.atomic
def send_test(*, medium: str, actor: User, now: datetime) -> Delivery:
    """Call or text the person who asks for it. Raises DomainError when that cannot be."""
    _check(actor)
    message = Message(topic=Topic.TEST, subject=_("Test of the emergency call"), url="/notify/outlets/")
    with scope.platform(WHY):
        key = f"test:{medium}:{uuid.uuid4().hex}"
        [delivery] = tell(user=actor, key=key, message=message, now=now, channels=(medium,))
        if delivery.state == State.SKIPPED:
            raise DomainError(_("Not sent: %(why)s.") % {"why": obstacle_words(delivery.last_code)}, code="skipped")
        audit.record(action="outlets.test", actor=actor, customer=None, obj=delivery, detail={"by": medium}, now=now)
    return delivery


def _check(actor: User | None) -> None:
    if actor is not None and not is_manager(actor):
        raise PermissionDenied
