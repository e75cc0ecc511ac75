"""The life of an incident: its states, the verbs that move it, and which side may press which. Pure.

This one table is read by services, pages, the REST API and chat alike: what it does not list does not happen.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    WAITING_CUSTOMER = "waiting_customer"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Verb(StrEnum):
    """What somebody does to it."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    CHANGE_SEVERITY = "change_severity"
    WAIT = "wait"
    REPLY = "reply"
    RESUME = "resume"
    RESOLVE = "resolve"
    CLOSE = "close"
    REOPEN = "reopen"
    ESCALATE = "escalate"
    COMMENT = "comment"
    NOTE = "note"
    ATTACH = "attach"
    GROUP = "group"
    DETACH = "detach"
    MERGE = "merge"
    UNMERGE = "unmerge"
    SPLIT = "split"


class Side(StrEnum):
    """Who presses: 乙方 staff, a writing user of 甲方, a read-only user of 甲方, or the platform itself."""

    PROVIDER = "provider"
    CUSTOMER = "customer"
    VIEWER = "viewer"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table."""

    verb: Verb
    sources: frozenset[State]
    target: State | None
    """None: the state stays as it is."""
    sides: frozenset[Side]


UNSOLVED = frozenset({State.OPEN, State.ACKNOWLEDGED, State.WAITING_CUSTOMER})
"""States in which the provider still owes work; a new alarm of the same asset joins an incident in one of them."""
DONE = frozenset({State.RESOLVED, State.CLOSED})
EVERY = frozenset(State)

PROVIDER = frozenset({Side.PROVIDER})
BOTH = frozenset({Side.PROVIDER, Side.CUSTOMER})

TRANSITIONS: tuple[Transition, ...] = (
    Transition(Verb.ACKNOWLEDGE, frozenset({State.OPEN}), State.ACKNOWLEDGED, PROVIDER),
    Transition(Verb.ASSIGN, UNSOLVED, None, PROVIDER),
    Transition(Verb.CHANGE_SEVERITY, UNSOLVED, None, PROVIDER),
    Transition(Verb.WAIT, frozenset({State.ACKNOWLEDGED}), State.WAITING_CUSTOMER, PROVIDER),
    # The customer's own comment, or an engineer who heard from the customer by phone, sets the clock going again.
    Transition(Verb.REPLY, frozenset({State.WAITING_CUSTOMER}), State.ACKNOWLEDGED, frozenset({Side.CUSTOMER})),
    Transition(Verb.RESUME, frozenset({State.WAITING_CUSTOMER}), State.ACKNOWLEDGED, PROVIDER),
    Transition(Verb.RESOLVE, UNSOLVED, State.RESOLVED, PROVIDER),
    Transition(Verb.CLOSE, frozenset({State.RESOLVED}), State.CLOSED, BOTH | {Side.SYSTEM}),
    # A customer who reopens asks for a response again; an engineer who reopens is already on it.
    Transition(Verb.REOPEN, DONE, State.OPEN, frozenset({Side.CUSTOMER})),
    Transition(Verb.REOPEN, DONE, State.ACKNOWLEDGED, PROVIDER),
    # A worse alarm on an incident that somebody has in hand must be seen again.
    Transition(
        Verb.ESCALATE, frozenset({State.ACKNOWLEDGED, State.WAITING_CUSTOMER}), State.OPEN, frozenset({Side.SYSTEM})
    ),
    Transition(Verb.COMMENT, EVERY, None, BOTH),
    Transition(Verb.NOTE, EVERY, None, PROVIDER),
    Transition(Verb.ATTACH, EVERY, None, BOTH),
    # One trouble seen from several places: put together and taken apart by the provider.
    Transition(Verb.GROUP, UNSOLVED, None, PROVIDER),
    Transition(Verb.DETACH, UNSOLVED, None, PROVIDER),
    Transition(Verb.MERGE, UNSOLVED | {State.RESOLVED}, State.CLOSED, PROVIDER),
    Transition(Verb.UNMERGE, frozenset({State.CLOSED}), None, PROVIDER),
    Transition(Verb.SPLIT, UNSOLVED, None, PROVIDER),
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
    return list(dict.fromkeys(each.verb for each in TRANSITIONS if state in each.sources and side in each.sides))
