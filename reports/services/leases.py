"""Work of reports under a lease: claimed by one worker, tried a few times, then given up with its reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from django.conf import settings
from django.db import transaction

from notify import live
from reports.models import MadeState, ServiceFigures, WrittenFile

LEASE: Final = timedelta(seconds=settings.CELERY_TASK_TIME_LIMIT + 30)
"""Longer than a task may run."""
MOST_TRIES: Final = 3
LOST: Final = "The worker died or ran out of time."
W = TypeVar("W", ServiceFigures, WrittenFile)


@transaction.atomic
def claim(rows: Any, pk: int, now: datetime) -> Any:
    """The row, in one's hands from now on; None when it is made, in somebody's hands, or given up.

    `rows` joins what `tell` needs. A worker that was killed could not give up itself: its last try ends here.
    """
    made = rows.waiting(now).select_for_update(skip_locked=True, of=("self",)).filter(pk=pk).first()
    if made is None:
        return None
    if made.tries >= MOST_TRIES:
        made.state, made.leased_until, made.error = MadeState.FAILED, None, LOST
        made.save(update_fields=["state", "leased_until", "error"])
        tell(made)
        return None
    made.state, made.leased_until, made.progress = MadeState.RENDERING, now + LEASE, 0
    made.tries += 1
    made.save(update_fields=["state", "leased_until", "tries", "progress"])
    return made


def is_mine(now_there: W, claimed: W) -> bool:
    """False: the lease ran out, and somebody else has it or it was given up."""
    return now_there.state == MadeState.RENDERING and now_there.tries == claimed.tries


def give_up_or_try_again(made: W, problem: Exception) -> None:
    state = MadeState.FAILED if made.tries >= MOST_TRIES else MadeState.WAITING
    rows = type(made).objects.filter(pk=made.pk, tries=made.tries, state=MadeState.RENDERING)
    rows.update(state=state, leased_until=None, error=said(problem))
    tell(made)


def said(problem: Exception) -> str:
    """Why it failed, in the words of the program: for the provider's people."""
    return f"{type(problem).__name__}: {problem}"[:400]


def show(made: W, percent: int, *, until: datetime | None = None) -> None:
    """How far it is; `until` makes the lease longer."""
    values: dict[str, object] = {"progress": percent} if until is None else {"progress": percent, "leased_until": until}
    type(made).objects.filter(pk=made.pk, progress__lt=percent).update(**values)
    tell(made)


def tell(made: W) -> None:
    report_id = made.report_id if isinstance(made, ServiceFigures) else made.issue.report_id
    live.publish(customer_id=made.customer_id, topic="reports", object_id=report_id)
