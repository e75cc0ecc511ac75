"""Setting, cancelling, claiming and firing timers.

A sweep claims what is due with a lease and tells Celery; a worker fires it: it runs the named task and marks the row in
one transaction, provided the row is still as it was. So the effect happens exactly once: a worker that dies leaves the
row unfired, the lease runs out and the next sweep claims it again; whoever finds the row marked, moved or cancelled at
the end rolls back what the task did. The row is locked last, after whatever the task locks, which is the order in which
services cancel timers too: no deadlock between an engineer who acknowledges and the timer that would have escalated.
A task that arms or cancels its own timer marks it first, by the same rule.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery import current_app
from django.db import connection, transaction

from accounts import scope
from accounts.models import Customer
from timers.models import Timer

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
BATCH = 500
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=10)
LATE = timedelta(seconds=10)
KEPT_AFTER_FIRING = timedelta(days=90)
REARMED = ("due_at", "task", "args", "customer_id", "leased_until", "attempts", "last_error", "fired_at")


@dataclass(frozen=True, slots=True)
class Arming:
    """A timer to be armed: its key, when it is due, and which task it then runs with which arguments."""

    key: str
    due_at: datetime
    task: str
    args: Mapping[str, int | str]
    customer_id: int | None


def set(  # noqa: A001 - timers.services.set() is what the callers say
    *,
    key: str,
    due_at: datetime,
    task: str,
    args: Mapping[str, int | str],
    customer: Customer | int | None,
) -> None:
    """Arm the timer `key`, in the caller's transaction. Arming it again replaces when and what, and revives it."""
    set_many([Arming(key, due_at, task, args, customer.pk if isinstance(customer, Customer) else customer)])


def set_many(armings: Iterable[Arming]) -> None:
    """Arm timers in the caller's transaction, all in one statement; of two with one key the later counts."""
    wanted = {arming.key: arming for arming in armings}
    if not wanted:
        return
    with scope.platform("set timers"):
        for key in wanted:
            _settle_own(key)
        timers = [
            Timer(key=key, due_at=one.due_at, task=one.task, args=dict(one.args), customer_id=one.customer_id)
            for key, one in sorted(wanted.items())  # in one order for all, so that no two wait for each other
        ]
        Timer.objects.bulk_create(timers, update_conflicts=True, unique_fields=["key"], update_fields=REARMED)


def cancel(*, prefix: str) -> int:
    """Forget the pending timers whose key begins with `prefix`, in the caller's transaction; returns how many.

    It waits for one that is firing right now: after it returns, none of them acts any more.
    """
    return cancel_many(prefixes=[prefix])


def cancel_many(*, prefixes: Collection[str]) -> int:
    """Like `cancel`, for any number of prefixes (none of them empty) in one statement."""
    if not prefixes:
        return 0
    with scope.platform("cancel timers"):
        for prefix in prefixes:
            _settle_own(prefix, is_prefix=True)
        with connection.cursor() as cursor:
            cursor.execute(_CANCEL, [list(prefixes), [_after(prefix) for prefix in prefixes]])
            return int(cursor.rowcount)


def _after(prefix: str) -> str:
    """The first text, byte by byte, that follows every text with this prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


_CANCEL = (
    "DELETE FROM timers_timer USING unnest(%s::text[], %s::text[]) AS wanted (low, high)"
    " WHERE fired_at IS NULL AND key ~>=~ low AND key ~<~ high"
)
"""Compared byte by byte, as the index that Django makes for prefixes is."""


@transaction.atomic
def claim(*, now: datetime, limit: int = BATCH) -> Sequence[int]:
    """Lease the timers that are due, oldest first, skipping those that another sweep holds; returns their ids."""
    due = Timer.objects.claimable(now).order_by("due_at", "pk").select_for_update(skip_locked=True)
    ids = list(due.values_list("pk", flat=True)[:limit])
    Timer.objects.filter(pk__in=ids).update(leased_until=now + LEASE)
    return ids


class _SupersededError(Exception):
    """The timer was fired, moved or cancelled while its task ran."""


@dataclass
class _Firing:
    """The timer whose task runs now, as it was when it was read."""

    timer: Timer
    now: datetime
    is_settled: bool = False

    def settle(self) -> None:
        """Mark the row as fired. Raises _SupersededError when it is no longer as it was.

        At the end it is done again, in case the task rolled a savepoint back and the mark with it.
        """
        unchanged = Timer.objects.pending().filter(pk=self.timer.pk, due_at=self.timer.due_at)
        if not unchanged.update(fired_at=self.now) and not self.is_settled:
            raise _SupersededError
        self.is_settled = True


_firing: ContextVar[_Firing | None] = ContextVar("rdmp_firing_timer", default=None)


def _settle_own(key: str, *, is_prefix: bool = False) -> None:
    """A task touches its own timer: the firing counts as done, so that what follows is about the time after it."""
    firing = _firing.get()
    if firing is not None and (firing.timer.key.startswith(key) if is_prefix else firing.timer.key == key):
        firing.settle()


def fire(*, timer_id: int, now: datetime) -> bool:
    """Run one timer's task and mark it, in one transaction. Returns False when there was nothing to do.

    A task that fails is rolled back whole; the row keeps the error and comes back later, ever less often.
    """
    timer = Timer.objects.pending().filter(pk=timer_id, due_at__lte=now).first()
    if timer is None:
        return False
    firing = _Firing(timer, now)
    token = _firing.set(firing)
    try:
        with transaction.atomic():
            _run(timer, now)
            firing.settle()
    except _SupersededError:
        return False
    except Exception as problem:
        log.exception("timer %s failed", timer.key)
        _remember_failure(timer, problem, now)
        return False
    finally:
        _firing.reset(token)
    return True


def _run(timer: Timer, now: datetime) -> None:
    late_by = now - timer.due_at
    if late_by > LATE:
        log.warning("timer %s fires %.0f s late", timer.key, late_by.total_seconds())
    task = current_app.tasks[timer.task]
    with _reach(timer.customer_id):
        task.run(due_at=timer.due_at, now=now, **timer.args)


def _reach(customer_id: int | None) -> AbstractContextManager[scope.Scope]:
    return scope.platform("platform timer") if customer_id is None else scope.customer(customer_id)


def _remember_failure(failed: Timer, problem: Exception, now: datetime) -> None:
    with transaction.atomic():
        timer = Timer.objects.pending().select_for_update().filter(pk=failed.pk, due_at=failed.due_at).first()
        if timer is None:  # meanwhile fired by another worker, armed anew or cancelled
            return
        timer.attempts += 1
        timer.last_error = f"{type(problem).__name__}: {problem}"[:2000]
        timer.leased_until = now + min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(timer.attempts - 1, 10))
        timer.save(update_fields=["attempts", "last_error", "leased_until"])


def forget_fired(*, now: datetime) -> int:
    """Delete timers that fired long ago; returns how many."""
    deleted, _ = Timer.objects.filter(fired_at__lt=now - KEPT_AFTER_FIRING).delete()
    return deleted
