"""A provider whose calls and SMS go to the simulated exchange, with the test's own clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import LazySettings

from accounts import scope
from accounts.models import User
from demo.aliyun.cloud import TELEPHONE, demo_cloud
from demo.aliyun.exchange import Exchange
from demo.aliyun.server import CloudServer
from notify.models import Attempt, Delivery
from notify.services import delivering
from notify.services.outbox import PERSONAL_LANES
from notify.services.outlets import Details, save
from tests.conftest import NOW
from tests.notify.conftest import Clock

KEYS = {"access_key_id": TELEPHONE.access_key_id, "access_key_secret": TELEPHONE.access_key_secret}
BOTH = {
    "voice_is_on": True,
    "tts_code": "TTS_100001",
    "sms_is_on": True,
    "sms_sign": "济通科技",
    "sms_code": "SMS_100001",
}
WITH_KEYS = {"show_number": "057100001111", "ivr_start_code": "TTS_100002", "ivr_bye_code": "TTS_100003"}


@contextmanager
def exchange_running(clock: Clock, settings: LazySettings) -> Iterator[CloudServer]:
    """The simulated cloud, set up as the provider's account for calls and SMS."""
    cloud = demo_cloud()
    cloud.exchange.clock = clock
    with CloudServer(cloud) as server:
        settings.NOTIFY_ALLOWED_HOSTS = ["127.0.0.1"]
        set_up(server)
        yield server


def set_up(server: CloudServer, **changes: object) -> None:
    details = Details(**{**BOTH, "endpoint_override": server.url, **changes})  # type: ignore[arg-type]
    save(details=details, values=KEYS, actor=None, now=NOW)


def exchange_of(server: CloudServer) -> Exchange:
    return server.cloud.exchange


def work(medium: str, clock: Clock) -> int:
    """What a worker does with this way to single people; returns how many tries were made."""
    return delivering.drain(lane=PERSONAL_LANES[medium], clock=clock)


def fate(person: User, medium: str) -> list[tuple[str, str]]:
    """State and last code of what this person was sent, in order."""
    with scope.platform("test"):
        mine = Delivery.objects.filter(user=person, medium=medium).order_by("pk")
        return list(mine.values_list("state", "last_code"))


def tries(person: User, medium: str) -> list[tuple[str, str, bool | None]]:
    with scope.platform("test"):
        mine = Attempt.objects.filter(delivery__user=person, delivery__medium=medium).order_by("pk")
        return list(mine.values_list("verdict", "code", "was_reached"))
