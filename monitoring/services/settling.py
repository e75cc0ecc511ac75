"""What became of asking a target: written on its row, shown to open pages, told when it keeps failing.

Whoever settles must still hold the lease it was given: a worker that was too slow changes nothing any more. What a node
has asked comes without a lease, with the moment at which it asked: it changes nothing that is newer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db import connection, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import Assignment
from monitoring.collectors import (
    Outcome,
    Problem,
)
from monitoring.models import Target
from monitoring.problems import problem_text
from monitoring.services import cloud, statements
from notify import live
from notify import services as notify

TELL_AFTER: Final = 3


@transaction.atomic
def settle(
    targets: Sequence[Target],
    outcomes: Sequence[Outcome],
    *,
    lease: datetime | None,
    now: datetime,
    asked_at: Sequence[datetime] = (),
) -> set[int]:
    """Write down how it went, for the targets whose lease is still ours; without a lease (`asked_at` instead), for
    those that a node asks and of which nothing newer is known. Returns which these were. Needs the customer's scope."""
    moments = asked_at or [now] * len(targets)
    rows = [_row(*one) for one in zip(targets, outcomes, moments, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE monitoring_target AS target SET lease_until = NULL, state = coalesce(done.state, target.state),"
            " last_run_at = CASE WHEN %(lease)s::timestamptz IS NULL THEN done.at ELSE target.last_run_at END,"
            " last_ok_at = CASE WHEN done.ok THEN done.at ELSE target.last_ok_at END,"
            " last_duration_ms = done.took_ms, last_samples = done.samples,"
            " problem_code = done.code, problem_detail = done.detail,"
            " problem_since = CASE WHEN done.ok THEN NULL ELSE coalesce(target.problem_since, done.at) END,"
            " failures = CASE WHEN done.ok THEN 0 ELSE target.failures + 1 END"
            " FROM jsonb_to_recordset(%(rows)s::jsonb) AS done"
            " (id bigint, at timestamptz, ok boolean, state jsonb, took_ms float8, samples int, code text, detail text)"
            " WHERE target.id = done.id AND (target.lease_until = %(lease)s OR (%(lease)s::timestamptz IS NULL"
            " AND target.through = 'node' AND done.at > greatest(target.last_run_at, target.changed_at)))"
            " RETURNING target.id, target.failures, target.problem_since",
            {"rows": json.dumps(rows), "lease": lease},
        )
        settled = {pk: (failures, since) for pk, failures, since in cursor}
    for target, outcome, at in zip(targets, outcomes, moments, strict=True):
        if target.pk in settled:
            failures, since = settled[target.pk]
            if outcome.statements and target.asset_id is not None:
                statements.keep(target, outcome.statements, at=at)
            _show(target, outcome)
            is_of_account = target.cloud_account_id and outcome.problem and outcome.problem.code in cloud.OURS_TO_TELL
            if outcome.problem is not None and failures == TELL_AFTER and not is_of_account:
                _tell(target, outcome.problem, since, now)
    return set(settled)


def _row(target: Target, outcome: Outcome, at: datetime) -> dict[str, object]:
    problem = outcome.problem
    return {
        "id": target.pk,
        "at": at.isoformat(),
        "ok": problem is None,
        "state": outcome.state,
        "took_ms": outcome.took_ms,
        "samples": len(outcome.value),
        "code": problem.code if problem else "",
        "detail": problem.detail.replace("\x00", "")[:400] if problem else "",
    }


def _show(target: Target, outcome: Outcome) -> None:
    """Tell open pages when the health of a target changes, not at every beat."""
    code = outcome.problem.code if outcome.problem else ""
    if code != target.problem_code or target.last_ok_at is None:
        live.publish(customer_id=target.customer_id, topic="targets", object_id=target.pk)


def _tell(target: Target, problem: Problem, since: datetime, now: datetime) -> None:
    """Tell the customer's engineers once per spell that collecting fails. It is ours to mend: no alert, no incident.

    All targets of a cloud account share one message: a refused AccessKey is one problem, not one per namespace.
    """
    what = (
        f"account:{target.cloud_account_id}:{since:%Y%m%d}"
        if target.cloud_account_id
        else f"{target.pk}:{since:%Y%m%d%H%M%S}"
    )
    name = target.cloud_account.name if target.cloud_account else target.name
    for assignment in Assignment.objects.filter(customer_id=target.customer_id).select_related("user"):
        with translation.override(assignment.user.language):
            message = notify.Message(
                topic="account",
                subject=_("Collecting fails: %(name)s") % {"name": name},
                text=f"{problem_text(problem.code)}\n\n{problem.detail}".strip(),
                url=f"/monitoring/targets/{target.pk}/",
            )
        notify.tell(user=assignment.user, key=f"target:{what}:{problem.code}", message=message, now=now)
