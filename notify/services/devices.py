"""A person's own browsers that take push messages: adding, trying and removing them."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, scope, secrets
from accounts.errors import DomainError
from accounts.models import User
from notify.channels import push
from notify.models import Delivery, PushDevice, Topic
from notify.outlets import PUSH_KEY, WHY, current
from notify.services.outbox import Message, tell
from notify.services.outlets import held

OWN = "one's own devices"
MOST = 20
BROWSERS = ("Edg", "OPR", "MicroMessenger", "DingTalk", "Firefox", "Chrome", "Safari")
SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS X", "Linux")
NICE = {"Edg": "Edge", "OPR": "Opera", "MicroMessenger": "WeChat", "Mac OS X": "macOS"}


def application_key(now: datetime) -> str:
    """The public key that browsers subscribe with; the pair is made when the first one asks."""
    known: str = current().push_key
    return known or _new_key(now)


@transaction.atomic
def _new_key(now: datetime) -> str:
    with scope.platform(WHY):
        chosen = held(now)
        if not chosen.push_key:
            private, public = push.new_key_pair()
            chosen.push_key = public
            chosen.save()
            secrets.put(obj=chosen, field=PUSH_KEY, value=private, actor=None, now=now)
        key: str = chosen.push_key
    return key


def devices_of(person: User) -> list[PushDevice]:
    with scope.platform(OWN):
        return list(PushDevice.objects.filter(user=person))


def own(person: User, pk: int) -> PushDevice | None:
    """One of the person's own devices; nobody has a way to somebody else's."""
    with scope.platform(OWN):
        return PushDevice.objects.filter(user=person, pk=pk).first()


@transaction.atomic
def add(*, person: User, device: push.Device, name: str, now: datetime) -> PushDevice:
    """Push to this browser from now on. A browser that another person signed in with before changes hands."""
    if not push.is_device(device):
        raise DomainError(_("Nothing was added: this browser sent no valid subscription."), code="no_device")
    with scope.platform(OWN):
        User.objects.select_for_update(no_key=True).get(pk=person.pk)
        PushDevice.objects.filter(endpoint=device.endpoint).exclude(user=person).delete()
        if PushDevice.objects.filter(user=person).exclude(endpoint=device.endpoint).count() >= MOST:
            raise DomainError(_("Nothing was added: remove a device that you no longer use first."), code="too_many")
        values = {
            "user": person,
            "customer": person.customer,
            "name": name[:80],
            "p256dh": device.p256dh,
            "auth": device.auth,
            "added_at": now,
        }
        added, _created = PushDevice.objects.update_or_create(endpoint=device.endpoint, defaults=values)
        audit.record(
            action="device.add", actor=person, customer=person.customer, obj=added, detail={"name": name}, now=now
        )
    return added


@transaction.atomic
def remove(*, device: PushDevice, actor: User, now: datetime) -> None:
    with scope.platform(OWN):
        detail = {"name": device.name}
        audit.record(action="device.remove", actor=actor, customer=actor.customer, obj=device, detail=detail, now=now)
        device.delete()


@transaction.atomic
def send_test(*, person: User, now: datetime) -> Delivery:
    """A push to all of the person's devices."""
    message = Message(
        topic=Topic.TEST,
        subject=_("TR Monitor push works"),
        text=_("Messages about your systems arrive here."),
        url="/notify/devices/",
    )
    with scope.platform(OWN):
        key = f"test:push:{uuid.uuid4().hex}"
        [delivery] = tell(user=person, key=key, message=message, now=now, channels=("push",))
    return delivery


def name_of(user_agent: str) -> str:
    """What people would call the browser: "Chrome · Windows"."""
    found = [next((name for name in names if name in user_agent), "") for names in (BROWSERS, SYSTEMS)]
    return " · ".join(NICE.get(name, name) for name in found if name) or _("Browser")
