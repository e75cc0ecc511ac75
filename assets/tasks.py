"""What workers do for assets: each opens a scope and calls one service."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from assets.services import rotating, rotation_due, syncing


# A real account has some thirty regions and ten products: longer than the platform's usual limit of five minutes.
@shared_task(name="assets.sync_account", queue="default", soft_time_limit=840, time_limit=900)
def sync_account(customer_id: int, run_id: int) -> None:
    with scope.customer(customer_id):
        syncing.run(run_id=run_id, clock=timezone.now)


@shared_task(name="assets.sync_due", queue="default")
def sync_due() -> None:
    with scope.platform("due synchronisations"):
        syncing.ask_for_due(now=timezone.now())


@shared_task(name=rotation_due.TASK, queue="default")
def tell_of_due(*, due_at: datetime, now: datetime, credential_id: int) -> None:
    rotation_due.tell_of_due(credential_id=credential_id, due_at=due_at, now=now)


# Every wait of a rotation is bounded in seconds; the lease of `Rotation` outlasts them all.
@shared_task(name=rotating.RUN_TASK, queue="default", soft_time_limit=150, time_limit=170)
def rotate(customer_id: int, rotation_id: int) -> None:
    with scope.customer(customer_id):
        rotating.run(rotation_id=rotation_id, clock=timezone.now)


@shared_task(name=rotating.WAKE_TASK, queue="default")
def wake_rotation(*, due_at: datetime, now: datetime, rotation_id: int) -> None:
    rotating.wake(rotation_id=rotation_id, now=now)
