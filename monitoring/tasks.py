"""Entries for Celery: each opens a scope and calls one service."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from monitoring.services import (
    acks,
    change_windows,
    claims,
    expiry,
    happenings,
    heartbeat,
    housekeeping,
    outgoing,
    outlooks,
    packer,
    platform,
    silences,
    storms,
    targets,
    vitals,
    watching,
)
from monitoring.services import poll as polling


@shared_task(name="monitoring.poll", queue="poll")
def poll() -> None:
    """Claim what is due and spread it over the workers."""
    with scope.platform("claim due targets"):
        batches = claims.claim(now=timezone.now())
    for works in claims.bundles(batches):
        lease = claims.lease_of(works[0].kind).total_seconds()
        said = [(work.customer_id, work.kind, work.target_ids, work.lease.isoformat()) for work in works]
        if len(said) == 1:
            collect.apply_async(said[0], expires=lease)
        else:
            collect_many.apply_async((said,), expires=lease)


@shared_task(name="monitoring.collect", queue="poll")
def collect(customer_id: int, kind: str, target_ids: list[int], lease: str) -> None:
    """Collect one claimed batch."""
    with scope.customer(customer_id):
        polling.collect(claims.Work(customer_id, kind, target_ids, datetime.fromisoformat(lease)))


@shared_task(name="monitoring.collect_many", queue="poll")
def collect_many(works: list[tuple[int, str, list[int], str]]) -> None:
    """Collect claimed batches of several customers, each in its own scope."""
    polling.collect_many(
        [claims.Work(customer_id, kind, ids, datetime.fromisoformat(lease)) for customer_id, kind, ids, lease in works]
    )


@shared_task(name="monitoring.probe_result", queue="probe-results")
def probe_result(location: str, sealed: str) -> None:
    """Take in what a probe point elsewhere has answered."""
    with scope.platform("answers of probe points"):
        polling.take_results(location, sealed, now=timezone.now())


@shared_task(name="monitoring.end_rounds", queue="poll")
def end_rounds() -> None:
    """End the rounds whose probe points did not answer in time."""
    with scope.platform("rounds of probes"):
        polling.end_overdue_rounds(now=timezone.now())


@shared_task(name="monitoring.stamp", queue="default")
def stamp(queue: str) -> None:
    """Somebody listens to this queue."""
    vitals.stamp(queue, now=timezone.now())


@shared_task(name="monitoring.watch_platform", queue="timers")
def watch_platform() -> None:
    """Judge the platform itself."""
    with scope.platform("figures of the platform"):
        platform.watch(now=timezone.now())
        heartbeat.keep_armed(now=timezone.now())


@shared_task(name=heartbeat.TASK, queue="timers")
def tell_outside(*, due_at: datetime, now: datetime) -> None:
    """Tell the outside that the platform is alive, by way of the timers."""
    heartbeat.beat(now=now)


@shared_task(name="monitoring.follow_inventory", queue="default")
def follow_inventory() -> None:
    """Keep targets in step with assets and cloud accounts."""
    with scope.platform("targets follow the inventory"):
        targets.follow_inventory(now=timezone.now())


@shared_task(name="monitoring.read_accounts", queue="poll")
def read_accounts() -> None:
    """Claim the cloud accounts whose events are due, and hand each to a worker."""
    with scope.platform("accounts whose events are due"):
        due = happenings.claim(now=timezone.now())
    for customer_id, reading_id in due:
        read_account.apply_async((customer_id, reading_id), expires=happenings.LEASE.total_seconds())


@shared_task(name="monitoring.read_account", queue="poll")
def read_account(customer_id: int, reading_id: int) -> None:
    """Events, maintenance, changes, names, agents and subscriptions of one cloud account."""
    with scope.customer(customer_id):
        happenings.read(reading_id=reading_id, now=timezone.now())


@shared_task(name="monitoring.expiry", queue="default")
def tell_of_expiry() -> None:
    """Give the notices that are due before something ends, customer by customer."""
    with scope.platform("customers in service"):
        customers = list(Customer.objects.exclude(status=Customer.Status.LEFT))
    for customer in customers:
        with scope.customer(customer):
            expiry.sweep(customer=customer, now=timezone.now())


@shared_task(name="monitoring.housekeeping", queue="default")
def housekeep() -> None:
    """Silence, events that pass, old days: what must happen though no data came."""
    with scope.platform("monitoring housekeeping"):
        housekeeping.run(now=timezone.now())


@shared_task(name="monitoring.tell_waiting", queue="default")
def tell_waiting(customer_id: int) -> None:
    """The incidents of a storm's alerts."""
    with scope.customer(customer_id):
        storms.tell_waiting(customer=Customer.objects.get(pk=customer_id), now=timezone.now())


@shared_task(name="monitoring.pack", queue="default")
def pack() -> None:
    """Move closed hours into packed rows."""
    now = timezone.now()
    packer.run(now=now, until=now + packer.LONGEST)


@shared_task(name="monitoring.forget", queue="default")
def forget() -> None:
    """Delete history that is past what each customer keeps."""
    packer.forget(now=timezone.now())


@shared_task(name="monitoring.settle", queue="default")
def settle(customer_id: int, *, due_at: datetime, now: datetime) -> None:
    """A silence begins or ends, or the time of grace after a cause is over."""
    watching.settle(customer=Customer.objects.get(pk=customer_id), now=now)


@shared_task(name="monitoring.look_at_flapping", queue="default")
def look_at_flapping(alert_id: int, *, due_at: datetime, now: datetime) -> None:
    """Flapping that may be over, or is to be said again."""
    watching.look_at_flapping(alert_id=alert_id, now=now)


@shared_task(name="monitoring.silence_turns", queue="default")
def silence_turns(silence_id: int, *, due_at: datetime, now: datetime) -> None:
    """A window of a silence begins or ends."""
    silences.turn(silence_id=silence_id, now=now)


@shared_task(name="monitoring.follow_change", queue="default")
def follow_change(change_id: int, *, due_at: datetime, now: datetime) -> None:
    """A change was approved, moved, finished or given up: so is the quiet over its assets."""
    change_windows.follow(change_id=change_id, now=now)


@shared_task(name="monitoring.ack_runs_out", queue="default")
def ack_runs_out(alert_id: int, *, due_at: datetime, now: datetime) -> None:
    """The time of an acknowledgement is over."""
    acks.run_out(alert_id=alert_id, now=now)


@shared_task(name="monitoring.outlook", queue="default")
def work_out_outlooks() -> None:
    """When disks will be full."""
    with scope.platform("outlooks"):
        outlooks.run(now=timezone.now())


@shared_task(name="monitoring.send_out", queue="default")
def send_out() -> None:
    """Send samples to the store outside, where there is one."""
    with scope.platform("samples go to the store outside"):
        outgoing.run(until=timezone.now() + outgoing.LONGEST)
