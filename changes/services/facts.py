"""What the gates of a change are read off, gathered from its rows; and what follows when they are read again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Max

from changes import approval, gates, states
from changes.catalogue import Duty, Needs
from changes.gates import Facts, Gate, Target, Tested, Word
from changes.models import (
    NOT_PRODUCTION,
    ApprovalLevel,
    Change,
    ChangeAsset,
    ChangeFile,
    ChangeKind,
    ChangeState,
    TemporaryInstance,
)
from changes.services import windows
from incidents.models import AttestationAnswer, IncidentKind, RequestPhase

BACKUP_LIFE: Final = timedelta(days=7)
"""A backup that is older on the day of the work is taken again."""
INCIDENT_LIFE: Final = timedelta(days=30)
"""An incident that was closed longer before a change was drafted asked for something else."""
AUTHORISED_PHASES: Final = (RequestPhase.ACCEPTED, RequestPhase.IN_WORK)
VENDORS: Final = (Change.Origin.CLOUD_VENDOR, Change.Origin.SOFTWARE_VENDOR)
NOTICE: Final = re.compile(r"\d|https?://[^\s/]+\.[^\s/]+")
Outcome = AttestationAnswer.Outcome


def gather(change: Change, *, now: datetime) -> Facts:
    """Everything as it is recorded at this moment. The caller holds the change when it acts on the answer."""
    kind = change.sort
    return Facts(
        kind=kind,
        targets=_targets(change),
        authorised=_is_authorised(change),
        template_in_force=change.template is not None and change.template.is_in_force(now),
        risk_told=change.risk_told_at is not None,
        confirmed=_confirmed(change),
        must_sign=change.closes_ports,
        heard=change.heard_at is not None,
        tested=_tested(change),
        is_patch=change.is_patch,
        patch_proven=bool(change.patch) and is_proven(change),
        has_sop=ChangeFile.objects.filter(change=change, purpose=ChangeFile.Purpose.SOP).exists(),
        approved=approval.outcome(rounds(change), change.authors),
        has_window=change.starts_at is not None and change.ends_at is not None and change.ends_at > now,
        is_frozen=is_frozen(change),
        freeze_overruled=change.freeze_overruled_by_id is not None,
        backup_since=_day_of_work(change, now) - BACKUP_LIFE,
        backup_waived=bool(change.backup_waiver),
        file_backed_up_at=change.backups.filter(asset=None).aggregate(newest=Max("taken_at"))["newest"],
    )


def rounds(change: Change) -> list[approval.Round]:
    """The levels of the round that counts, with their votes."""
    return [as_round(level) for level in levels(change)]


def levels(change: Change) -> Sequence[ApprovalLevel]:
    rows = ApprovalLevel.objects.filter(change=change, round=change.approval_round)
    return list(rows.prefetch_related("votes__voter", "votes__person").order_by("position"))


def as_round(level: ApprovalLevel) -> approval.Round:
    return approval.Round(
        duty=Duty(level.duty),
        needs=Needs(level.needs),
        deciders=frozenset(level.deciders),
        votes=tuple(approval.Vote(vote.voter_id, vote.person_id, vote.is_yes) for vote in level.votes.all()),
        has_lapsed=level.lapsed_at is not None,
    )


def is_frozen(change: Change) -> bool:
    if change.starts_at is None or change.ends_at is None:
        return False
    return bool(windows.freezes(change.customer, change.starts_at, change.ends_at))


def is_proven(change: Change) -> bool:
    """The same patch went through on another instance that is not production (R150)."""
    own = ChangeAsset.objects.filter(change=change).values("asset_id")
    spared = ChangeAsset.objects.filter(customer=change.customer_id).spare().exclude(asset_id__in=own)
    others = Change.objects.may_bring_patches().filter(state=ChangeState.CLOSED, pk__in=spared.values("change_id"))
    patch = change.patch
    return any(other.patch == patch for other in others.select_related("template"))


def _day_of_work(change: Change, now: datetime) -> datetime:
    """An emergency is done at once, whatever its window says."""
    return now if change.kind == ChangeKind.EMERGENCY or change.starts_at is None else change.starts_at


def _targets(change: Change) -> tuple[Target, ...]:
    taken: dict[int, datetime] = {}
    for asset_id, at in change.backups.exclude(asset=None).values_list("asset_id", "taken_at"):
        taken[asset_id] = max(at, taken.get(asset_id, at))
    production = set(change.touched.production().values_list("asset_id", flat=True))
    touched = change.touched.order_by("asset_id").values_list("asset_id", flat=True)
    return tuple(Target(asset_id, asset_id in production, taken.get(asset_id)) for asset_id in touched)


def _is_authorised(change: Change) -> bool:
    """By an incident of the customer's (R83), a request that was accepted, or a vendor's notice on record (R88).

    An incident that was settled long before the change was drafted says nothing about it, nor does a notice that
    nobody could look up. The release of a temporary instance was authorised with the day that the request gave it.
    """
    if change.operation == TemporaryInstance.RELEASED_BY and change.releases.exists():
        return True
    if change.origin in VENDORS and can_be_looked_up(change.vendor_notice):
        return True
    incident = change.incident
    if incident is None or incident.kind == IncidentKind.INTERNAL:
        return False
    if incident.kind == IncidentKind.REQUEST:
        return incident.phase in AUTHORISED_PHASES
    return incident.closed_at is None or incident.closed_at >= change.created_at - INCIDENT_LIFE


def can_be_looked_up(notice: str) -> bool:
    """A vendor's notice is named by a number or an address, not by words alone."""
    return NOTICE.search(notice) is not None


def _confirmed(change: Change) -> Word:
    asked = change.confirmation
    if asked is None:
        return Word.NOT_ASKED
    if asked.given is None:
        return Word.PENDING
    words = {Outcome.SIGNED: Word.YES, Outcome.DECLINED: Word.NO}
    return words.get(Outcome(asked.given.outcome), Word.LAPSED)


def _tested(change: Change) -> Tested:
    latest = change.tests.filter(revision=change.revision).select_related("asset").order_by("-at", "-pk").first()
    if latest is not None and not latest.has_passed:
        return Tested.FAILED
    if latest is not None and latest.asset.environment in NOT_PRODUCTION:
        return Tested.PASSED
    return Tested.WAIVED if change.test_waiver else Tested.NOT


def settle(change: Change, *, now: datetime) -> bool:
    """Let the gates say where a held change stands (unsaved); True when it has just become ready."""
    if change.stage not in states.GATED:
        change.gate = ""
        return False
    facts = gather(change, now=now)
    at = gates.current(facts)
    was_ready = change.state == ChangeState.READY
    change.gate = "" if at is None else at.value
    change.state = ChangeState.READY if at is None else ChangeState.PREPARING
    return at is None and not was_ready


def asks_now(change: Change, *, now: datetime) -> bool:
    """Whether the approvers can be asked: nothing before their gate is missing."""
    if change.kind == ChangeKind.STANDARD:
        return False
    before = [step for step in gates.path(gather(change, now=now)) if step.gate is not Gate.SCHEDULED]
    return all(step.is_passed for step in before[: [step.gate for step in before].index(Gate.APPROVED)])
