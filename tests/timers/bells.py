"""Tasks that timers of these tests wake. Each leaves a row that can be counted: what happened twice shows."""

import os
from datetime import datetime
from uuid import uuid4

from celery import shared_task

from accounts import scope
from accounts.models import BusinessCalendar, Customer
from timers import services

RUNG = "rung"


def rings(customer: Customer) -> list[str]:
    """What has rung for a customer, in order."""
    with scope.platform("count"):
        rows = BusinessCalendar.objects.filter(customer=customer, timezone=RUNG).order_by("pk")
        return [name.partition("#")[0] for name in rows.values_list("name", flat=True)]


def only_customer() -> int:
    """The one customer of the scope in force. Raises ValueError when there are none or several."""
    (customer_id,) = tuple(scope.required().customer_ids or ())
    return customer_id


def leave_a_trace(name: str) -> None:
    BusinessCalendar.objects.create(customer_id=only_customer(), timezone=RUNG, name=f"{name}#{uuid4().hex[:8]}")


@shared_task(name="bells.ring", queue="timers")
def ring(*, due_at: datetime, now: datetime, name: str) -> None:
    leave_a_trace(name)


@shared_task(name="bells.hold", queue="timers")
def hold(*, due_at: datetime, now: datetime, name: str, told: int, release: int) -> None:
    """Leaves its trace, says through one pipe that it is in the middle, and stays there until the other one speaks."""
    leave_a_trace(name)
    os.write(told, b"x")
    os.read(release, 1)


@shared_task(name="bells.fail", queue="timers")
def fail(*, due_at: datetime, now: datetime, name: str) -> None:
    leave_a_trace(name)
    raise RuntimeError("the clapper is broken")


@shared_task(name="bells.ring_again", queue="timers")
def ring_again(*, due_at: datetime, now: datetime, name: str, next_at: str) -> None:
    """Arms its own timer for later, as a step of an escalation does."""
    leave_a_trace(name)
    services.set(
        key=f"bell:{name}:",
        due_at=datetime.fromisoformat(next_at),
        task="bells.ring",
        args={"name": f"{name} again"},
        customer=only_customer(),
    )


@shared_task(name="bells.silence_all", queue="timers")
def silence_all(*, due_at: datetime, now: datetime, name: str) -> None:
    """Cancels every bell, itself among them, as the closing of an incident does."""
    leave_a_trace(name)
    services.cancel(prefix="bell:")
