"""The gates of a change (R82..R87, R92, R149..R151): what has to be true before anybody touches an asset. Pure.

A gate is never ticked: it is read off what is recorded. `missing` is asked when a page is drawn and, inside the
transaction that begins the work, once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How a change comes to its approval."""

    STANDARD = "standard"
    """Its template was confirmed by the customer and approved once for all."""
    NORMAL = "normal"
    EMERGENCY = "emergency"
    """Done at once on a manager's word, and reviewed afterwards."""


class Gate(StrEnum):
    """In the order of the path (附件一 5.2)."""

    AUTHORISED = "authorised"
    RISK_TOLD = "risk_told"
    CONFIRMED = "confirmed"
    TESTED = "tested"
    PATCH_PROVEN = "patch_proven"
    BACKED_UP = "backed_up"
    APPROVED = "approved"
    SCHEDULED = "scheduled"


class Lack(StrEnum):
    """Why a gate is not passed."""

    NO_REQUEST = "no_request"
    TEMPLATE_NOT_IN_FORCE = "template_not_in_force"
    NOT_TOLD = "not_told"
    NOT_SIGNED = "not_signed"
    DECLINED = "declined"
    NOT_HEARD = "not_heard"
    NOT_TESTED = "not_tested"
    TEST_FAILED = "test_failed"
    NO_SOP = "no_sop"
    NO_INSTANCE = "no_instance"
    NOT_PROVEN = "not_proven"
    NO_BACKUP = "no_backup"
    OLD_BACKUP = "old_backup"
    NO_FILE = "no_file"
    NOT_APPROVED = "not_approved"
    REFUSED = "refused"
    LAPSED = "lapsed"
    NO_WINDOW = "no_window"
    FROZEN = "frozen"


class Actor(StrEnum):
    """Who has to act on a gate that is not passed."""

    PROVIDER = "provider"
    CUSTOMER = "customer"
    APPROVER = "approver"


class Word(StrEnum):
    """What became of something that was asked of people."""

    NOT_ASKED = "not_asked"
    PENDING = "pending"
    YES = "yes"
    NO = "no"
    LAPSED = "lapsed"


class Tested(StrEnum):
    """`WAIVED` stands in the text that the customer signs; it counts only together with that signature."""

    NOT = "not"
    PASSED = "passed"
    FAILED = "failed"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class Target:
    """An asset that the change touches. `backed_up_at`: its newest recorded backup."""

    asset_id: int
    is_production: bool = True
    backed_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the gates are read off."""

    kind: Kind
    targets: tuple[Target, ...] = ()
    authorised: bool = False
    """By an incident or request of the customer's, or by a notice of a vendor that is on record."""
    template_in_force: bool = False
    risk_told: bool = False
    confirmed: Word = Word.NOT_ASKED
    must_sign: bool = False
    """Nothing but a named contact's signature will do: not a telephone call, not a template (R145)."""
    heard: bool = False
    """The customer said yes on the telephone: enough in an emergency, to be signed afterwards."""
    tested: Tested = Tested.NOT
    is_patch: bool = False
    patch_proven: bool = False
    has_sop: bool = False
    approved: Word = Word.NOT_ASKED
    has_window: bool = False
    is_frozen: bool = False
    """A freeze overlaps the window, or holds at this moment."""
    freeze_overruled: bool = False
    backup_since: datetime | None = None
    """A backup that is older than this says nothing about today's state."""
    backup_waived: bool = False
    """That nothing is backed up stands in the text that the customer signs."""
    file_backed_up_at: datetime | None = None
    """The newest file that keeps what is changed where no asset is touched: a zone, a policy, a route table."""


@dataclass(frozen=True, slots=True)
class Missing:
    gate: Gate
    lack: Lack
    who: Actor
    assets: tuple[int, ...] = ()
    """The assets that lack it, where it is about single ones."""


@dataclass(frozen=True, slots=True)
class Step:
    """One gate of the path as it is drawn."""

    gate: Gate
    missing: tuple[Missing, ...] = field(default=())

    @property
    def is_passed(self) -> bool:
        return not self.missing


_NEEDED: Final = {
    Kind.NORMAL: (
        Gate.AUTHORISED, Gate.RISK_TOLD, Gate.CONFIRMED, Gate.TESTED, Gate.PATCH_PROVEN, Gate.BACKED_UP, Gate.APPROVED,
        Gate.SCHEDULED,
    ),
    Kind.STANDARD: (Gate.AUTHORISED, Gate.PATCH_PROVEN, Gate.BACKED_UP, Gate.SCHEDULED),
    Kind.EMERGENCY: (
        Gate.AUTHORISED, Gate.RISK_TOLD, Gate.CONFIRMED, Gate.PATCH_PROVEN, Gate.BACKED_UP, Gate.APPROVED,
    ),
}  # fmt: skip


def needed(facts: Facts) -> tuple[Gate, ...]:
    """The gates that this change has to pass, in order."""
    gates = _NEEDED[facts.kind]
    if facts.must_sign and Gate.CONFIRMED not in gates:
        gates = (gates[0], Gate.CONFIRMED, *gates[1:])
    return gates if facts.is_patch else tuple(gate for gate in gates if gate is not Gate.PATCH_PROVEN)


def path(facts: Facts) -> tuple[Step, ...]:
    """Every gate with what it still lacks."""
    return tuple(Step(gate, tuple(_READERS[gate](facts))) for gate in needed(facts))


def missing(facts: Facts) -> tuple[Missing, ...]:
    """All that is lacking, in the order of the path; nothing: the work may begin."""
    return tuple(lack for step in path(facts) for lack in step.missing)


def current(facts: Facts) -> Gate | None:
    """The first gate that is not passed; None when all are."""
    return next((step.gate for step in path(facts) if not step.is_passed), None)


def _risk_told(facts: Facts) -> list[Missing]:
    return [] if facts.risk_told else [Missing(Gate.RISK_TOLD, Lack.NOT_TOLD, Actor.PROVIDER)]


def _authorised(facts: Facts) -> list[Missing]:
    if facts.kind is Kind.STANDARD and not facts.template_in_force:
        return [Missing(Gate.AUTHORISED, Lack.TEMPLATE_NOT_IN_FORCE, Actor.PROVIDER)]
    return [] if facts.authorised else [Missing(Gate.AUTHORISED, Lack.NO_REQUEST, Actor.CUSTOMER)]


def _confirmed(facts: Facts) -> list[Missing]:
    if facts.confirmed is Word.YES:
        return []
    if facts.kind is Kind.EMERGENCY and facts.confirmed is not Word.NO and not facts.must_sign:
        return [] if facts.heard else [Missing(Gate.CONFIRMED, Lack.NOT_HEARD, Actor.PROVIDER)]
    if facts.confirmed in (Word.NO, Word.LAPSED):
        return [Missing(Gate.CONFIRMED, Lack.DECLINED, Actor.PROVIDER)]
    return [Missing(Gate.CONFIRMED, Lack.NOT_SIGNED, Actor.CUSTOMER)]


def _tested(facts: Facts) -> list[Missing]:
    if facts.tested in (Tested.PASSED, Tested.WAIVED):
        return []
    lack = Lack.TEST_FAILED if facts.tested is Tested.FAILED else Lack.NOT_TESTED
    return [Missing(Gate.TESTED, lack, Actor.PROVIDER)]


def _patch(facts: Facts) -> list[Missing]:
    """R150: no production instance before another, non-production one; R151: the customer's procedure lies with it.

    A patch that names no instance is proven nowhere.
    """
    lacks = [] if facts.has_sop else [Missing(Gate.PATCH_PROVEN, Lack.NO_SOP, Actor.CUSTOMER)]
    if not facts.targets:
        lacks.append(Missing(Gate.PATCH_PROVEN, Lack.NO_INSTANCE, Actor.PROVIDER))
    production = tuple(target.asset_id for target in facts.targets if target.is_production)
    if production and not facts.patch_proven:
        lacks.append(Missing(Gate.PATCH_PROVEN, Lack.NOT_PROVEN, Actor.PROVIDER, production))
    return lacks


def _backed_up(facts: Facts) -> list[Missing]:
    """Every asset, or where none is touched a file of what is changed (R87)."""
    since, kept = facts.backup_since, facts.file_backed_up_at
    if facts.backup_waived:
        return []
    if not facts.targets:
        has_file = kept is not None and (since is None or kept >= since)
        return [] if has_file else [Missing(Gate.BACKED_UP, Lack.NO_FILE, Actor.PROVIDER)]
    bare = tuple(target.asset_id for target in facts.targets if target.backed_up_at is None)
    old = tuple(
        target.asset_id
        for target in facts.targets
        if target.backed_up_at is not None and since is not None and target.backed_up_at < since
    )
    lacks = [Missing(Gate.BACKED_UP, Lack.NO_BACKUP, Actor.PROVIDER, bare)] if bare else []
    return [*lacks, Missing(Gate.BACKED_UP, Lack.OLD_BACKUP, Actor.PROVIDER, old)] if old else lacks


def _approved(facts: Facts) -> list[Missing]:
    lacks = {Word.NO: Lack.REFUSED, Word.LAPSED: Lack.LAPSED}
    if facts.approved is Word.YES:
        return []
    lack = lacks.get(facts.approved, Lack.NOT_APPROVED)
    who = Actor.PROVIDER if facts.approved in lacks else Actor.APPROVER
    return [Missing(Gate.APPROVED, lack, who)]


def _scheduled(facts: Facts) -> list[Missing]:
    if not facts.has_window:
        return [Missing(Gate.SCHEDULED, Lack.NO_WINDOW, Actor.PROVIDER)]
    if facts.is_frozen and not facts.freeze_overruled:
        return [Missing(Gate.SCHEDULED, Lack.FROZEN, Actor.APPROVER)]
    return []


_READERS: Final[Mapping[Gate, Callable[[Facts], list[Missing]]]] = {
    Gate.AUTHORISED: _authorised,
    Gate.RISK_TOLD: _risk_told,
    Gate.CONFIRMED: _confirmed,
    Gate.TESTED: _tested,
    Gate.PATCH_PROVEN: _patch,
    Gate.BACKED_UP: _backed_up,
    Gate.APPROVED: _approved,
    Gate.SCHEDULED: _scheduled,
}
