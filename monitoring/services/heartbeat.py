"""Telling somebody outside that the platform is alive: when the calls stop, they raise the alarm (N10).

The call hangs on a durable timer that arms itself again each time. So every call proves the whole way that an
escalation takes: the rhythm, the sweep of the timers, the queue, a worker, the database. Whatever of it dies, it is
silent outside, and it is silent while the platform knows of something that fails.
"""

from __future__ import annotations

import logging
import urllib.request
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from monitoring.models import PlatformFigure, PlatformTrouble
from timers import services as timers
from timers.models import Timer

log = logging.getLogger(__name__)
PATIENCE_S: Final = 5.0
KEY: Final = "monitoring:heartbeat"
TASK: Final = "monitoring.heartbeat"
EVERY: Final = timedelta(seconds=60)
JUDGED_WITHIN: Final = timedelta(minutes=5)
"""How old the platform's judgement of itself may be; without one nobody knows whether it is well."""


def keep_armed(*, now: datetime) -> bool:
    """Arm the first call of an installation, and the next one after the address was given. True when it was needed."""
    if not settings.HEARTBEAT_URL or Timer.objects.pending().filter(key=KEY).exists():
        return False
    timers.set(key=KEY, due_at=now, task=TASK, args={}, customer=None)
    return True


def beat(*, now: datetime) -> bool:
    """What the timer does: call, and arm the next call. True when somebody heard it."""
    is_heard = send(settings.HEARTBEAT_URL, is_well=is_well(now=now))
    if settings.HEARTBEAT_URL:
        timers.set(key=KEY, due_at=now + EVERY, task=TASK, args={}, customer=None)
    return is_heard


def is_well(*, now: datetime) -> bool:
    """Somebody looked at the platform lately, and nothing of it fails."""
    failing = PlatformTrouble.objects.filter(over_at=None, level=PlatformTrouble.Level.FAILING)
    return PlatformFigure.objects.filter(at__gt=now - JUDGED_WITHIN).exists() and not failing.exists()


def send(url: str, *, is_well: bool) -> bool:
    """Call the configured address; nothing is sent while something fails. True when somebody heard it."""
    if not url or not is_well or urlsplit(url).scheme not in ("http", "https"):
        return False
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:  # noqa: S310  # http or https, seen above
            return bool(response.status < 400)
    except (OSError, ValueError) as error:  # refused, timed out, an error page
        log.warning("the heartbeat reached nobody: %s", error)
        return False
