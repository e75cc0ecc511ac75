"""The life of a change: its states, the verbs that move it, and which side may press which. Pure.

This one table is read by services, pages and the API alike: what it does not list does not happen. Gates are apart
(`changes.gates`): while a change is being prepared they say what is missing before it may be carried out.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a change stands."""

    DRAFT = "draft"
    PREPARING = "preparing"
    READY = "ready"
    """Every gate is passed: it waits for its window."""
    EXECUTING = "executing"
    CUSTOMER_TEST = "customer_test"
    CLOSED = "closed"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


class Verb(StrEnum):
    """What somebody does to it."""

    EDIT = "edit"
    SUBMIT = "submit"
    TELL_RISK = "tell_risk"
    HEAR = "hear"
    ASK_SIGNATURE = "ask_signature"
    RECORD_TEST = "record_test"
    RECORD_BACKUP = "record_backup"
    ATTACH = "attach"
    TAKE = "take"
    DECIDE = "decide"
    SCHEDULE = "schedule"
    BEGIN = "begin"
    DRY_RUN = "dry_run"
    RUN_BACKUP = "run_backup"
    RUN = "run"
    UNDO = "undo"
    CHECK = "check"
    CHECK_FAILURE = "check_failure"
    FINISH = "finish"
    FAIL = "fail"
    ROLL_BACK = "roll_back"
    SIGN_OFF = "sign_off"
    OBJECT = "object"
    CANCEL = "cancel"
    REVIEW = "review"
    COMMENT = "comment"


class Side(StrEnum):
    """Who presses: 乙方 staff, a writing user of 甲方, a read-only user of 甲方, or the platform itself."""

    PROVIDER = "provider"
    CUSTOMER = "customer"
    VIEWER = "viewer"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table. `target` None: the state stays, or the gates say what it becomes."""

    verb: Verb
    sources: frozenset[State]
    target: State | None
    sides: frozenset[Side]


PENDING: Final = frozenset({State.DRAFT, State.PREPARING, State.READY})
"""Nothing has been done to any asset yet."""
GATED: Final = frozenset({State.PREPARING, State.READY})
"""The gates decide between these two."""
RUNNING: Final = frozenset({State.EXECUTING, State.CUSTOMER_TEST})
OPEN: Final = PENDING | RUNNING | {State.FAILED}
"""Somebody still owes something."""
DONE: Final = frozenset({State.CLOSED, State.ROLLED_BACK, State.CANCELLED})
FAILING: Final = frozenset({State.FAILED, State.ROLLED_BACK})
"""What went wrong is being undone, or is."""
REVIEWED: Final = frozenset({State.CLOSED, State.FAILED, State.ROLLED_BACK})
"""An emergency that has come so far is looked at again."""
EVERY: Final = frozenset(State)
LOOKED_BACK: Final = timedelta(days=1)
"""What was changed so shortly before an incident is shown on it."""

_PROVIDER = frozenset({Side.PROVIDER})
_CUSTOMER = frozenset({Side.CUSTOMER})
_BOTH = _PROVIDER | _CUSTOMER
_EXECUTING = frozenset({State.EXECUTING})
_TESTED_BY_CUSTOMER = frozenset({State.CUSTOMER_TEST})

TRANSITIONS: tuple[Transition, ...] = (
    # Whoever rewrites what is to be done asks for every confirmation again.
    Transition(Verb.EDIT, PENDING, None, _PROVIDER),
    Transition(Verb.SUBMIT, frozenset({State.DRAFT}), State.PREPARING, _PROVIDER),
    Transition(Verb.TELL_RISK, GATED, None, _PROVIDER),
    # In an emergency the customer's word is heard first and signed afterwards.
    Transition(Verb.HEAR, GATED, None, _PROVIDER),
    Transition(Verb.ASK_SIGNATURE, RUNNING | REVIEWED, None, _PROVIDER),
    Transition(Verb.RECORD_TEST, GATED, None, _PROVIDER),
    Transition(Verb.RECORD_BACKUP, GATED, None, _PROVIDER),
    Transition(Verb.ATTACH, EVERY, None, _BOTH),
    Transition(Verb.TAKE, OPEN, None, _PROVIDER),
    Transition(Verb.DECIDE, GATED, None, _BOTH),
    # While the work goes on its end alone may be moved.
    Transition(Verb.SCHEDULE, GATED | _EXECUTING, None, _PROVIDER),
    Transition(Verb.BEGIN, frozenset({State.READY}), State.EXECUTING, _PROVIDER),
    # A dry run only reads.
    Transition(Verb.DRY_RUN, PENDING | _EXECUTING, None, _PROVIDER),
    # A backup is what a gate waits for: it is the one operation that the platform carries out before the work begins.
    Transition(Verb.RUN_BACKUP, GATED | _EXECUTING, None, _PROVIDER),
    Transition(Verb.RUN, _EXECUTING, None, _PROVIDER),
    Transition(Verb.UNDO, frozenset({State.EXECUTING, State.FAILED}), None, _PROVIDER),
    Transition(Verb.CHECK, _EXECUTING, None, _PROVIDER),
    # What failed is written down and undone by a checklist of its own.
    Transition(Verb.CHECK_FAILURE, frozenset({State.FAILED}), None, _PROVIDER),
    Transition(Verb.FINISH, _EXECUTING, State.CUSTOMER_TEST, _PROVIDER),
    Transition(Verb.FAIL, RUNNING, State.FAILED, _PROVIDER),
    Transition(Verb.ROLL_BACK, frozenset({State.FAILED}), State.ROLLED_BACK, _PROVIDER),
    # Testing what was changed is the customer's (责任 3.5): it stays there until signed off.
    Transition(Verb.SIGN_OFF, _TESTED_BY_CUSTOMER, State.CLOSED, _CUSTOMER),
    Transition(Verb.OBJECT, _TESTED_BY_CUSTOMER, State.FAILED, _CUSTOMER),
    Transition(Verb.CANCEL, PENDING, State.CANCELLED, _BOTH),
    Transition(Verb.REVIEW, REVIEWED, None, _PROVIDER),
    Transition(Verb.COMMENT, EVERY, None, _BOTH),
)


def find(verb: Verb, state: State, side: Side) -> Transition | None:
    """The transition that this side may make now, if any."""
    for transition in TRANSITIONS:
        if transition.verb is verb and state in transition.sources and side in transition.sides:
            return transition
    return None


def may_ever(verb: Verb, side: Side) -> bool:
    """Whether this side may press the verb in some state: no is a matter of rights (403), not of timing."""
    return any(each.verb is verb and side in each.sides for each in TRANSITIONS)


def verbs(state: State, side: Side) -> list[Verb]:
    """What this side may do now, in the order of the table."""
    return [each.verb for each in TRANSITIONS if state in each.sources and side in each.sides]
