"""How incidents hold out: JSON lines, one per figure.

    python -m benchmarks.incidents [--only burst,faults,board,page,list,sla] [--incidents 1000] [--seconds 240]
        [--seed 1] [--incidents-kept 200000] [--customers 200] [--rounds 300]

It starts a PostgreSQL and a Redis of its own.

* burst: 1,000 alerts' incidents of one customer opened at once, until the last message is at a local webhook and the
  first steps of their escalation are done; budgets aside;
* faults: escalation while everything breaks (`benchmarks._faults`): steps lost, steps done twice, both 0;
* board, page, list, sla: how soon pages answer with 200,000 incidents of 200 customers (`benchmarks._pages`).
"""

from __future__ import annotations

from benchmarks import _platform  # first: it starts the database and sets Django up

# isort: split

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from accounts import scope
from accounts.models import Customer, Severity
from assets.models import Asset
from benchmarks import _faults, _pages
from demo.robots import Robots
from incidents import services, tasks
from incidents.models import EscalationStep
from notify.services import delivering
from notify.services.channels import Details, create
from rdmp.embedded.ports import free_port
from timers import services as timers

Figures = Iterator[tuple[str, float, str]]
BURST = 1_000


# --- burst -----------------------------------------------------------------------------------------------------------


def burst(_asked: argparse.Namespace) -> Figures:
    now = timezone.now()
    with Robots() as robots, scope.platform("benchmark"):
        settings.NOTIFY_ALLOWED_HOSTS = [robots.host]
        customer = Customer.objects.create(name="burst", short_name="burst", code="burst", created_at=now)
        values = {"url": robots.add_webhook("burst", secret="s3cret-for-burst"), "secret": "s3cret-for-burst"}
        channel = create(
            customer=customer, kind="webhook", details=Details(name="burst"), values=values, actor=None, now=now
        )
        assets = Asset.objects.bulk_create(
            Asset(customer=customer, kind="server", name=f"b{at}", created_at=now, changed_at=now)
            for at in range(BURST)
        )
        alarms = [services.Alarm(asset, Severity.HIGH, "down", "", f"b:{asset.pk}", now) for asset in assets]
        began = time.monotonic()
        with scope.customer(customer):
            services.open_from_alerts(customer=customer, alarms=alarms, now=now)
        opened = time.monotonic()
        while len(robots.received) < BURST:
            if not delivering.drain(lane=channel.pk):
                time.sleep(0.01)
        delivered = time.monotonic()
        _first_steps()
        stepped = time.monotonic()
    yield "incidents.burst_open_s", opened - began, "s"
    yield "incidents.burst_s", delivered - began, "s"
    yield "incidents.burst_first_steps_s", stepped - delivered, "s"


def _first_steps() -> None:
    """What sweeper and worker do with the steps that are due at once."""
    assert tasks.escalate.name  # known to Celery from here on
    while due := timers.claim(now=timezone.now()):
        for timer_id in due:
            timers.fire(timer_id=timer_id, now=timezone.now())
    assert EscalationStep.objects.filter(state=EscalationStep.State.DONE).count() == BURST


# --- faults ----------------------------------------------------------------------------------------------------------


def faults(asked: argparse.Namespace) -> Figures:
    with tempfile.TemporaryDirectory(prefix="rdmp-faults-") as directory:
        trial = _faults.Trial(
            asked.incidents, asked.seconds, Path(directory), _platform.SERVER, _platform.REDIS, seed=asked.seed
        )
        verdict = _faults.run(trial, mail_port=free_port(), patience_s=max(120.0, asked.incidents * 0.5))
    for name, count in sorted(trial.faults.items()):
        yield f"incidents.fault.{name.replace(' ', '_')}", count, "times"
    yield "incidents.steps_done", verdict.steps, "steps"
    yield "incidents.steps_lost", verdict.lost, "steps"
    yield "incidents.steps_twice", verdict.twice, "steps"
    yield "incidents.steps_late", verdict.late, "steps"
    yield "incidents.steps_wrongly_marked", verdict.wrongly_marked, "steps"
    yield "incidents.steps_after_acknowledging", verdict.after_acknowledging, "steps"
    yield "incidents.mails_lost", verdict.mails_lost, "mails"
    yield "incidents.mails_repeated", verdict.mails_repeated, "mails"
    yield "incidents.mails_after_withdrawal", verdict.mails_after_withdrawal, "mails"
    yield "incidents.faults_s", verdict.took_s, "s"


PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "burst": burst,
    "faults": faults,
    "board": _pages.board,
    "page": _pages.page,
    "list": _pages.lists,
    "sla": _pages.sla,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--incidents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("RDMP_FAULT_SEED", "1")))
    parser.add_argument("--incidents-kept", type=int, default=200_000, help="for the pages")
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=300)
    asked = parser.parse_args()
    for part in asked.only.split(","):
        for name, value, unit in PARTS[part](asked):
            print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}), flush=True)


if __name__ == "__main__":
    main()
