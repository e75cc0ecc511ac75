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


class Phase(StrEnum):
    """How far a service request is (SOW 附件一 3.3), beside the state that its clocks and its people go by."""

    RECEIVED = "received"
    REVIEW = "review"
    ACCEPTED = "accepted"
    IN_WORK = "in_work"
    DONE = "done"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


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
    JUDGE = "judge"
    ACCEPT = "accept"
    REFUSE = "refuse"
    BEGIN = "begin"
    FINISH = "finish"
    WITHDRAW = "withdraw"
    WARN = "warn"
    QUOTE = "quote"
    PROPOSE_FAULT = "propose_fault"
    HAND_OVER = "hand_over"
    TAKE_BACK = "take_back"
    REPORT = "report"
    EXPLAIN = "explain"
    RATE = "rate"


class Side(StrEnum):
    """Who presses: 乙方 staff, a writing user of 甲方, a read-only user of 甲方, or the platform itself."""

    PROVIDER = "provider"
    CUSTOMER = "customer"
    VIEWER = "viewer"
    SYSTEM = "system"


PLAIN: frozenset[Phase | None] = frozenset({None})
"""An incident that is no service request has no phase."""
PHASES: frozenset[Phase | None] = frozenset(Phase)
ANY: frozenset[Phase | None] = PHASES | PLAIN


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table."""

    verb: Verb
    sources: frozenset[State]
    target: State | None
    """None: the state stays as it is."""
    sides: frozenset[Side]
    phases: frozenset[Phase | None] = ANY
    phase: Phase | None = None
    """The phase that follows; None: it stays as it is."""


UNSOLVED = frozenset({State.OPEN, State.ACKNOWLEDGED, State.WAITING_CUSTOMER})
"""States in which the provider still owes work; a new alarm of the same asset joins an incident in one of them."""
DONE = frozenset({State.RESOLVED, State.CLOSED})
EVERY = frozenset(State)

PROVIDER = frozenset({Side.PROVIDER})
BOTH = frozenset({Side.PROVIDER, Side.CUSTOMER})

_BEFORE_WORK: frozenset[Phase | None] = frozenset({Phase.RECEIVED, Phase.REVIEW, Phase.ACCEPTED})
_RECEIVED: frozenset[Phase | None] = frozenset({Phase.RECEIVED})
_REVIEW: frozenset[Phase | None] = frozenset({Phase.REVIEW})
_ACCEPTED: frozenset[Phase | None] = frozenset({Phase.ACCEPTED})
_IN_WORK: frozenset[Phase | None] = frozenset({Phase.IN_WORK})
_FINISHED: frozenset[Phase | None] = frozenset({Phase.DONE, Phase.CONFIRMED})
_REFUSED: frozenset[Phase | None] = frozenset({Phase.REFUSED})
_JUDGED: frozenset[Phase | None] = frozenset({Phase.REVIEW, Phase.ACCEPTED})
_OPEN = frozenset({State.OPEN})
_IN_HAND = frozenset({State.ACKNOWLEDGED, State.WAITING_CUSTOMER})
_RESOLVED = frozenset({State.RESOLVED})
_CUSTOMER = frozenset({Side.CUSTOMER})
_EVERYBODY = BOTH | {Side.SYSTEM}

TRANSITIONS: tuple[Transition, ...] = (
    Transition(Verb.ACKNOWLEDGE, _OPEN, State.ACKNOWLEDGED, PROVIDER, PLAIN),
    Transition(Verb.ACKNOWLEDGE, _OPEN, State.ACKNOWLEDGED, PROVIDER, _RECEIVED, Phase.REVIEW),
    Transition(Verb.ACKNOWLEDGE, _OPEN, State.ACKNOWLEDGED, PROVIDER, PHASES - _RECEIVED),
    Transition(Verb.ASSIGN, UNSOLVED, None, PROVIDER),
    Transition(Verb.CHANGE_SEVERITY, UNSOLVED, None, PROVIDER),
    Transition(Verb.WAIT, frozenset({State.ACKNOWLEDGED}), State.WAITING_CUSTOMER, PROVIDER),
    # The customer's own comment, or an engineer who heard from the customer by phone, sets the clock going again.
    Transition(Verb.REPLY, frozenset({State.WAITING_CUSTOMER}), State.ACKNOWLEDGED, _CUSTOMER),
    Transition(Verb.RESUME, frozenset({State.WAITING_CUSTOMER}), State.ACKNOWLEDGED, PROVIDER),
    # A stage report: what the customer hears of an incident that somebody has in hand (R80).
    Transition(Verb.REPORT, frozenset({State.ACKNOWLEDGED, State.WAITING_CUSTOMER}), None, PROVIDER),
    Transition(Verb.RESOLVE, UNSOLVED, State.RESOLVED, PROVIDER, PLAIN),
    Transition(Verb.CLOSE, _RESOLVED, State.CLOSED, _EVERYBODY, PLAIN | _REFUSED),
    Transition(Verb.CLOSE, _RESOLVED, State.CLOSED, _EVERYBODY, _FINISHED, Phase.CONFIRMED),
    # A customer who reopens asks for a response again; an engineer who reopens is already on it.
    Transition(Verb.REOPEN, DONE, State.OPEN, _CUSTOMER, PLAIN),
    Transition(Verb.REOPEN, DONE, State.ACKNOWLEDGED, PROVIDER, PLAIN),
    Transition(Verb.REOPEN, DONE, State.OPEN, _CUSTOMER, _FINISHED, Phase.IN_WORK),
    Transition(Verb.REOPEN, DONE, State.ACKNOWLEDGED, PROVIDER, _FINISHED, Phase.IN_WORK),
    # The customer insists (附件一 3.4): what was refused is reviewed once more.
    Transition(Verb.REOPEN, DONE, State.OPEN, _CUSTOMER, _REFUSED, Phase.REVIEW),
    Transition(Verb.REOPEN, DONE, State.ACKNOWLEDGED, PROVIDER, _REFUSED, Phase.REVIEW),
    # A worse alarm on an incident that somebody has in hand must be seen again.
    Transition(Verb.ESCALATE, _IN_HAND, State.OPEN, frozenset({Side.SYSTEM}), PLAIN),
    Transition(Verb.COMMENT, EVERY, None, BOTH),
    Transition(Verb.NOTE, EVERY, None, PROVIDER),
    Transition(Verb.ATTACH, EVERY, None, BOTH),
    # One trouble seen from several places: put together and taken apart by the provider.
    Transition(Verb.GROUP, UNSOLVED, None, PROVIDER, PLAIN),
    Transition(Verb.DETACH, UNSOLVED, None, PROVIDER, PLAIN),
    Transition(Verb.MERGE, UNSOLVED | {State.RESOLVED}, State.CLOSED, PROVIDER, PLAIN),
    Transition(Verb.UNMERGE, frozenset({State.CLOSED}), None, PROVIDER, PLAIN),
    Transition(Verb.SPLIT, UNSOLVED, None, PROVIDER, PLAIN),
    # A joint review decides whether it was a fault (R65); what Alibaba Cloud or another works on is timed apart (R14).
    Transition(Verb.PROPOSE_FAULT, EVERY, None, BOTH, PLAIN),
    Transition(Verb.HAND_OVER, UNSOLVED, None, PROVIDER),
    Transition(Verb.TAKE_BACK, EVERY, None, PROVIDER),
    # Service requests: reviewed first, then accepted or refused, and worked on only after that (R73, R74).
    Transition(Verb.JUDGE, UNSOLVED, None, PROVIDER, _BEFORE_WORK),
    Transition(Verb.WARN, _IN_HAND, State.WAITING_CUSTOMER, PROVIDER, _JUDGED),
    Transition(Verb.QUOTE, _IN_HAND, State.WAITING_CUSTOMER, PROVIDER, PLAIN | _JUDGED),
    Transition(Verb.ACCEPT, _IN_HAND, None, PROVIDER, _REVIEW, Phase.ACCEPTED),
    Transition(Verb.REFUSE, UNSOLVED, State.RESOLVED, PROVIDER, _BEFORE_WORK, Phase.REFUSED),
    Transition(Verb.BEGIN, frozenset({State.ACKNOWLEDGED}), None, PROVIDER, _ACCEPTED, Phase.IN_WORK),
    Transition(Verb.FINISH, UNSOLVED, State.RESOLVED, PROVIDER, _IN_WORK, Phase.DONE),
    Transition(Verb.WITHDRAW, UNSOLVED, State.CLOSED, BOTH, _BEFORE_WORK, Phase.WITHDRAWN),
    # Why a deadline was missed is often known only afterwards (R79).
    Transition(Verb.EXPLAIN, EVERY, None, PROVIDER),
    Transition(Verb.RATE, frozenset({State.CLOSED}), None, _CUSTOMER),
)


def find(verb: Verb, state: State, side: Side, phase: Phase | None = None) -> Transition | None:
    """The transition that this side may make now, if any. `phase`: that of a service request."""
    for transition in TRANSITIONS:
        if transition.verb is verb and _fits(transition, state, side, phase):
            return transition
    return None


def may_ever(verb: Verb, side: Side) -> bool:
    """Whether this side may press the verb in some state: no is a matter of rights (403), not of timing."""
    return any(each.verb is verb and side in each.sides for each in TRANSITIONS)


def verbs(state: State, side: Side, phase: Phase | None = None) -> list[Verb]:
    """What this side may do now, in the order of the table."""
    return list(dict.fromkeys(each.verb for each in TRANSITIONS if _fits(each, state, side, phase)))


def _fits(transition: Transition, state: State, side: Side, phase: Phase | None) -> bool:
    return state in transition.sources and side in transition.sides and phase in transition.phases
