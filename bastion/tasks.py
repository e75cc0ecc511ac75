"""What the bastion does by itself."""

import logging
from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from accounts.models import Customer
from bastion.services import groups, living, node_watch, requesting, retaining, reviewing
from bastion.services.hardening import direct, exceptions, remedies, runs

log = logging.getLogger(__name__)


@shared_task(name="bastion.sweep", queue="default")
def sweep() -> None:
    """Sessions that no node speaks of any more, silent nodes, and commands that nobody has judged in time."""
    with scope.platform("sessions of silent nodes"):
        living.sweep(now=timezone.now())
        node_watch.look(now=timezone.now())
        reviewing.settle_late(now=timezone.now())


@shared_task(name="bastion.watch_rights", queue="default")
def watch_rights() -> None:
    """Whoever was shut out, or works for a customer no more, is cut off: nobody tells the bastion of it."""
    with scope.platform("rights of running sessions"):
        living.ask_again(now=timezone.now())


@shared_task(name=requesting.LAPSE_TASK, queue="default")
def lapse_request(*, due_at: datetime, now: datetime, request_id: int) -> None:
    requesting.lapse(request_id=request_id, now=now)


@shared_task(name="bastion.follow_networks", queue="default")
def follow_networks() -> None:
    """Networks' own groups take in what has joined."""
    with scope.platform("groups of networks"):
        for customer in Customer.objects.all():
            try:
                groups.follow_networks(customer=customer, now=timezone.now())
            except Exception:  # what is wrong with one customer's holds up no other's
                log.exception("networks of %s", customer)


@shared_task(name=runs.ADVANCE_TASK, queue="automation")
def advance_hardening(customer_id: int, run_id: int) -> None:
    """One batch of servers; every wait in it is bounded by itself."""
    with scope.customer(customer_id):
        runs.advance(run_id=run_id, clock=timezone.now)


@shared_task(name=runs.WAKE_TASK, queue="default")
def wake_hardening(*, due_at: datetime, now: datetime, run_id: int) -> None:
    runs.wake(run_id=run_id, now=now)


@shared_task(name=runs.WEEK_TASK, queue="default")
def weekly_hardening(*, due_at: datetime, now: datetime, customer_id: int) -> None:
    runs.weekly(customer=Customer.objects.get(pk=customer_id), now=now)


@shared_task(name=exceptions.ANSWERED_TASK, queue="default")
def hardening_exception_answered(*, due_at: datetime, now: datetime, attestation_id: int) -> None:
    exceptions.answered(attestation_id=attestation_id, now=now)


@shared_task(name=exceptions.LAPSE_TASK, queue="default")
def lapse_hardening_exception(*, due_at: datetime, now: datetime, exception_id: int) -> None:
    exceptions.lapse(exception_id=exception_id, now=now)


@shared_task(name="bastion.follow_hardening", queue="default")
def follow_hardening() -> None:
    """Weekly looks are armed, remedies that have run are looked after, servers have their turn."""
    now = timezone.now()
    with scope.platform("hardening of all customers"):
        runs.keep_weeks(now=now)
        remedies.follow(now=now)
        direct.follow_servers(now=now)


@shared_task(name="bastion.read_logins", queue="automation")
def read_logins() -> None:
    """Direct log-ins of the servers whose turn it is."""
    direct.due(now=timezone.now(), clock=timezone.now)


@shared_task(name="bastion.purge", queue="default")
def purge() -> None:
    """Recordings whose time is over, some at a time."""
    with scope.platform("recordings whose time is over"):
        for customer in Customer.objects.all():
            retaining.purge(customer=customer, now=timezone.now())
