"""What timers and rhythms wake: thin entries; a timer's run inside its transaction and scope."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from changes.services import (
    approving,
    backup_policies,
    confirming,
    executing,
    following,
    recurring,
    restores,
    running,
    runs,
    script_running,
    script_runs,
    targets,
    trail_reading,
    transferring,
)


@shared_task(name=confirming.ANSWERED_TASK, queue="default")
def confirmation_answered(*, due_at: datetime, now: datetime, attestation_id: int) -> None:
    confirming.answered(attestation_id=attestation_id, now=now)


@shared_task(name=following.DECIDE_TASK, queue="default")
def remind_of_decision(*, due_at: datetime, now: datetime, level_id: int) -> None:
    approving.remind(level_id=level_id, now=now)


@shared_task(name=following.OVERRUN_TASK, queue="default")
def window_is_over(*, due_at: datetime, now: datetime, change_id: int) -> None:
    executing.window_is_over(change_id=change_id, now=now)


@shared_task(name=following.REVIEW_TASK, queue="default")
def remind_of_review(*, due_at: datetime, now: datetime, change_id: int) -> None:
    executing.remind_of_review(change_id=change_id, now=now)


@shared_task(name=targets.TASK, queue="default")
def watch_target(*, due_at: datetime, now: datetime, target_id: int) -> None:
    targets.watch(target_id=target_id, now=now)


# The queue `automation` has a process of its own, with threads: Celery's time limits do not hold there. Every wait of a
# turn is bounded in seconds by itself; the leases of `OperationRun` and `ScriptRun` outlast them all.
@shared_task(name=runs.ADVANCE_TASK, queue="automation")
def advance_run(customer_id: int, run_id: int) -> None:
    with scope.customer(customer_id):
        running.advance(run_id=run_id, clock=timezone.now)


@shared_task(name=runs.WAKE_TASK, queue="default")
def wake_run(*, due_at: datetime, now: datetime, run_id: int) -> None:
    runs.wake(run_id=run_id, now=now)


# One batch of hosts; no script may take longer than `changes.scripts.LONGEST_S`.
@shared_task(name=script_runs.ADVANCE_TASK, queue="automation")
def advance_script_run(customer_id: int, run_id: int) -> None:
    with scope.customer(customer_id):
        script_running.advance(run_id=run_id, clock=timezone.now)


@shared_task(name=script_runs.WAKE_TASK, queue="default")
def wake_script_run(*, due_at: datetime, now: datetime, run_id: int) -> None:
    script_runs.wake(run_id=run_id, now=now)


@shared_task(name=restores.TASK, queue="default")
def watch_temporary_instance(*, due_at: datetime, now: datetime, instance_id: int) -> None:
    restores.watch(instance_id=instance_id, now=now)


@shared_task(name=recurring.OPEN_TASK, queue="default")
def open_duty(*, due_at: datetime, now: datetime, duty_id: int) -> None:
    recurring.open_due(duty_id=duty_id, now=now)


@shared_task(name=recurring.REMIND_TASK, queue="default")
def remind_of_duty(*, due_at: datetime, now: datetime, occurrence_id: int) -> None:
    recurring.remind(occurrence_id=occurrence_id, now=now)


@shared_task(name="changes.follow_contracts", queue="default")
def follow_contracts() -> None:
    """A customer whose contract has come into force gets the contract's own set of duties."""
    recurring.follow_contracts(now=timezone.now())


@shared_task(name="changes.read_trails", queue="poll")
def read_trails() -> None:
    """Claim the cloud accounts whose audit trail is due in some region, and hand each to a worker."""
    with scope.platform("audit trails that are due"):
        trail_reading.follow_accounts(now=timezone.now())
        due = trail_reading.claim(now=timezone.now())
    for customer_id, reading_ids in due:
        read_trail.apply_async((customer_id, reading_ids), expires=trail_reading.LEASE.total_seconds())


@shared_task(name="changes.read_trail", queue="poll")
def read_trail(customer_id: int, reading_ids: list[int]) -> None:
    """The news of some regions of one account's audit trail, and a part of their past."""
    with scope.customer(customer_id):
        trail_reading.read_some(reading_ids=reading_ids, now=timezone.now())


@shared_task(name=backup_policies.CHECK_TASK, queue="default")
def compare_backup_policy(*, due_at: datetime, now: datetime, policy_id: int) -> None:
    backup_policies.compare(policy_id=policy_id, now=now)


@shared_task(name=transferring.ANSWERED_TASK, queue="default")
def transfer_answered(*, due_at: datetime, now: datetime, attestation_id: int) -> None:
    transferring.answered(attestation_id=attestation_id, now=now)


@shared_task(name=transferring.REMIND_TASK, queue="default")
def remind_of_erasure(*, due_at: datetime, now: datetime, transfer_id: int) -> None:
    transferring.remind(transfer_id=transfer_id, now=now)
