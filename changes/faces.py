"""How gates, levels and details of a change are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import prefetch_related_objects
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from changes import approval, gates
from changes.answers import value_of
from changes.catalogue import Check, Field, Type
from changes.gates import Actor, Gate, Lack, Word
from changes.models import ApprovalLevel, Change, ChangeEntry, ChangeGate, ChangeState, CheckRecord
from changes.services import evidence, facts
from changes.words import said

LACKS: Mapping[Lack, str | Promise] = {
    Lack.NO_REQUEST: _(
        "No incident that is open or was closed at most 30 days before it was drafted, no accepted request and no "
        "vendor's notice with its number or address stands behind it."
    ),
    Lack.TEMPLATE_NOT_IN_FORCE: _("Its standard change is not in force."),
    Lack.NOT_TOLD: _("The customer has not been told what may happen."),
    Lack.NOT_SIGNED: _("A named contact has not signed yet."),
    Lack.DECLINED: _("The customer did not sign: rewrite it, or tell the risk again."),
    Lack.NOT_HEARD: _("Nobody of the customer has said yes yet."),
    Lack.NOT_TESTED: _("It has not been tested on something that is not production."),
    Lack.TEST_FAILED: _("The last test failed."),
    Lack.NO_INSTANCE: _("A patch names the instances that it is brought to: rewrite it."),
    Lack.NO_SOP: _("The customer's procedure (SOP) is not attached."),
    Lack.NOT_PROVEN: _("The same patch has not gone through on another instance that is not production."),
    Lack.NO_BACKUP: _("Not every asset is backed up:"),
    Lack.OLD_BACKUP: _("The backup will be older than seven days:"),
    Lack.NO_FILE: _(
        "What it changes is not backed up: record a file with its checksum, seven days old at most, or have the "
        "customer sign why there is nothing to back up."
    ),
    Lack.NOT_APPROVED: _("Not everybody has approved yet."),
    Lack.REFUSED: _("It was refused: rewrite it, or ask again."),
    Lack.LAPSED: _("Nobody decided in time: ask again."),
    Lack.NO_WINDOW: _("It has no window that lies ahead."),
    Lack.FROZEN: _("A freeze overlaps the window: move it, or have a service manager overrule."),
}
WHO: Mapping[Actor, str | Promise] = {
    Actor.PROVIDER: _("Service team"),
    Actor.CUSTOMER: _("Customer"),
    Actor.APPROVER: _("Approvers"),
}
VERB_OF: Mapping[Gate, str] = {
    Gate.RISK_TOLD: "tell_risk",
    Gate.CONFIRMED: "hear",
    Gate.TESTED: "record_test",
    Gate.PATCH_PROVEN: "attach",
    Gate.BACKED_UP: "record_backup",
    Gate.SCHEDULED: "schedule",
}
"""What is pressed to pass a gate."""


@dataclass(frozen=True, slots=True)
class ShownGate:
    gate: str
    label: str
    is_passed: bool
    is_current: bool
    lacks: tuple[tuple[str | Promise, str, str | Promise], ...]
    """Why, which assets, who must act."""
    verb: str


@dataclass(frozen=True, slots=True)
class ShownLevel:
    level: ApprovalLevel
    word: Word
    people: tuple[User, ...]
    is_open: bool


def shown_gates(change: Change, *, now: datetime) -> list[ShownGate]:
    """The path as it is drawn: before the work as the gates are, afterwards as they were passed.

    Work begins when all of them are; of what was given up the moment of that says which were.
    """
    found = facts.gather(change, now=now)
    if not change.is_pending:
        needed = gates.needed(found)
        passed = [gate.value for gate in needed]
        if change.state == ChangeState.CANCELLED:
            entry = change.entries.filter(kind=ChangeEntry.Kind.CANCELLED).last()
            passed = [] if entry is None else entry.data.get("passed", [])
        return [
            ShownGate(gate.value, str(ChangeGate(gate).label), gate.value in passed, False, (), "") for gate in needed
        ]
    names = {asset.pk: asset.name for asset in change.assets.all()}
    current = gates.current(found)
    return [
        ShownGate(
            gate=step.gate.value,
            label=str(ChangeGate(step.gate).label),
            is_passed=step.is_passed,
            is_current=step.gate is current,
            lacks=tuple(
                (LACKS[lack.lack], ", ".join(names.get(pk, "") for pk in lack.assets), WHO[lack.who])
                for lack in step.missing
            ),
            verb=VERB_OF.get(step.gate, ""),
        )
        for step in gates.path(found)
    ]


def shown_levels(change: Change) -> list[ShownLevel]:
    levels = facts.levels(change)
    rounds = [facts.as_round(level) for level in levels]
    place = approval.open_level(rounds, change.authors)
    words = approval.verdicts(rounds, change.authors)
    wanted = {pk for level in levels for pk in level.deciders}
    people = User.objects.in_bulk(wanted)
    return [
        ShownLevel(
            level=level,
            word=words[number],
            people=tuple(people[pk] for pk in level.deciders if pk in people),
            is_open=number == place and level.asked_at is not None,
        )
        for number, level in enumerate(levels)
    ]


@dataclass(frozen=True, slots=True)
class ShownProof:
    """A piece of evidence as people read it. `href`: where it leads, for a link or a file."""

    name: str
    label: str
    value: str
    is_long: bool
    href: str = ""


@dataclass(frozen=True, slots=True)
class ShownPoint:
    """A point of a checklist with what counts of it."""

    code: str
    words: str
    record: CheckRecord | None
    evidence: tuple[ShownProof, ...]
    lacks: tuple[str, ...]
    """Labels of the evidence that is required and missing."""

    @property
    def is_done(self) -> bool:
        return self.record is not None and not self.lacks


def evidence_text(change: Change) -> str:
    """All that shows that it was looked at, for a table: one line a point."""
    shown = [point for point in shown_points(change, change.every_point) if point.record is not None]
    lines = [
        "; ".join([*(f"{one.label}: {one.value}" for one in point.evidence), *filter(None, [point.record.words])])
        for point in shown
        if point.record is not None
    ]
    return "\n".join(
        f"{point.words}: {line}" if line else point.words for point, line in zip(shown, lines, strict=True)
    )


def shown_points(change: Change, points: Sequence[Check]) -> list[ShownPoint]:
    prefetch_related_objects([change], "checks__by", "files")
    known = evidence.checked(change)
    files = {file.pk: file.name for file in change.files.all()}
    return [_point(change, point, known.get(point.code), files) for point in points]


def _point(change: Change, point: Check, record: CheckRecord | None, files: Mapping[int, str]) -> ShownPoint:
    given = {} if record is None else record.evidence
    shown = tuple(_proof(change, field, given[field.name], files) for field in point.evidence if field.name in given)
    return ShownPoint(
        point.code, said(point.words), record, shown, tuple(said(field.words) for field in point.lacks(given))
    )


def _proof(change: Change, field: Field, value: Any, files: Mapping[int, str]) -> ShownProof:
    label = said(field.words) + (f" ({field.unit})" if field.unit else "")
    if field.type is Type.FILE:
        return ShownProof(field.name, label, files[value], False, reverse("changes:file", args=[change.pk, value]))
    href = str(value) if field.type is Type.LINK else ""
    return ShownProof(field.name, label, value_of(value), field.type is Type.LONG_TEXT, href)
