"""Makes a real alarm on the running platform: the demo customer's service stops listening for a while."""

from __future__ import annotations

import json
import math
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import scope
from monitoring.evaluate import SPACING
from monitoring.models import CollectorKind, Target
from monitoring.rules import RULES

RULE = "port-not-running"
CONTROL_FILE = "demo-service.json"
"""Read by the demo service (`demo/service.py`), which this app does not import."""


class Command(BaseCommand):
    help = "Close the demo service's port, so that three failed checks raise a real alarm. It opens again by itself."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--minutes", type=float, default=10.0, help="open again after so long (default 10)")
        parser.add_argument("--recover", action="store_true", help="open the port again now")

    def handle(self, *args: object, **options: Any) -> None:
        if options["recover"]:
            steer(closed_until=0)
            self.stdout.write("The port listens again. After three good checks the alert recovers by itself.")
            return
        minutes = float(options["minutes"])
        if not 0 < minutes <= 24 * 60:
            raise CommandError("--minutes must be between 0 and 1440.")
        period = watched_every()
        steer(closed_until=time.time() + minutes * 60)
        wait = timedelta(seconds=round(until_alarm(period)))
        opens = timezone.localtime() + timedelta(minutes=minutes)
        self.stdout.write(
            f"The demo service on port {settings.DEMO_PORT} stops listening now. It is checked every {period:g} s: "
            f"after three failed checks (within about {wait}) there is an alert and an incident.\n"
            f"Watch it come: {settings.PUBLIC_URL}/board/\n"
            f"The port opens again at {opens:%H:%M:%S}, or at once with: make demo-recover"
        )


def watched_every() -> float:
    """Seconds between two checks of the demo port. Raises CommandError when nobody checks it."""
    with scope.platform("demo alarm"):
        watching = Target.objects.enabled().filter(kind=CollectorKind.TCP, config__port=settings.DEMO_PORT).first()
    if watching is None:
        raise CommandError(f"No target checks port {settings.DEMO_PORT}. Is this the demo? Start it with: make run")
    return watching.interval.total_seconds()


def until_alarm(period: float) -> float:
    """Seconds until the third check that counts has failed, at worst: those in between do not count (`evaluate`)."""
    rule = RULES[RULE]
    cap = settings.CHECK_PERIOD_S or rule.period_s
    apart = math.ceil(SPACING * min(rule.period_s, cap) / period) * period
    return period + (rule.times - 1) * max(period, apart)


def steer(*, closed_until: float) -> None:
    """Write the wish whole or not at all: the service may be reading."""
    folder = Path(settings.STATE_DIR)
    try:
        new = folder / f"{CONTROL_FILE}.{os.getpid()}"
        new.write_text(json.dumps({"closed_until": closed_until}), "utf-8")
        new.replace(folder / CONTROL_FILE)
    except OSError as error:
        raise CommandError(f"Cannot write to {folder}: {error.strerror}. Is the platform running?") from error
