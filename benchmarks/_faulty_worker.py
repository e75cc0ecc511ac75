"""A Celery worker or beat for `benchmarks._faults`: the real one, with a clock that jumps and pauses where it hurts.

    python -m benchmarks._faulty_worker worker|beat DIRECTORY

What differs from production: the clock has an offset, read from a file; leases last seconds, so that what a dead worker
held comes back within the trial; and between a claim and what follows it, and before a mail leaves, a moment passes in
which a kill -9 hits. Beat has the two sweeps alone.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import django
from celery.schedules import schedule
from django.utils import timezone

OFFSET: Final = "clock-offset"
TIMER_LEASE: Final = timedelta(seconds=4)
MAIL_LEASE: Final = timedelta(seconds=6)
DAWDLE_S: Final = 0.15


def jumping(directory: Path) -> Callable[[], datetime]:
    """The time as these processes have it."""
    real = timezone.now

    def now() -> datetime:
        try:
            return real() + timedelta(seconds=float((directory / OFFSET).read_text()))
        except (OSError, ValueError):
            return real()

    return now


def dawdling(work: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    """The same, and somewhere a moment in which a process may die."""

    def slow(*args: object, **named: object) -> object:
        if before and random.random() < 0.1:
            time.sleep(random.random() * DAWDLE_S)
        done = work(*args, **named)
        if not before and done and random.random() < 0.3:
            time.sleep(random.random() * DAWDLE_S)
        return done

    return slow


def main() -> None:
    kind, directory = sys.argv[1], Path(sys.argv[2])
    timezone.now = jumping(directory)  # before anything imports it
    django.setup()
    from notify import providers  # noqa: PLC0415  # Django must be set up first
    from notify.services import leasing  # noqa: PLC0415  # as above
    from rdmp.celery import app  # noqa: PLC0415  # as above
    from timers import services  # noqa: PLC0415  # as above

    services.LEASE = TIMER_LEASE
    services.claim = dawdling(services.claim, before=False)
    leasing.MAIL_LEASE = MAIL_LEASE
    providers.send = dawdling(providers.send, before=True)
    if kind == "beat":
        app.conf.beat_schedule = {
            name: {"task": name, "schedule": schedule(seconds), "options": {"expires": 5}}
            for name, seconds in (("timers.sweep", 0.5), ("notify.sweep", 1.0))
        }
        app.start(["--quiet", "beat", "--schedule", str(directory / "beat"), "--pidfile=", "--loglevel", "CRITICAL"])
    else:
        options = f"--quiet worker -Q timers,default,notify --concurrency 2 --hostname {kind}@%h"
        app.start(f"{options} --without-gossip --without-mingle --without-heartbeat --loglevel CRITICAL".split())


if __name__ == "__main__":
    main()
