"""The life of a follow-up: what is to be done after an incident, from planned to done or dropped. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    PLANNED = "planned"
    STARTED = "started"
    DONE = "done"
    DROPPED = "dropped"


class Verb(StrEnum):
    START = "start"
    FINISH = "finish"
    DROP = "drop"
    REOPEN = "reopen"
    CHANGE = "change"


class Part(StrEnum):
    """What somebody is to a follow-up: of the provider, its owner on the customer's side, or another of that side."""

    PROVIDER = "provider"
    OWNER = "owner"
    BYSTANDER = "bystander"


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table; a target of None leaves the state as it is."""

    verb: Verb
    sources: frozenset[State]
    target: State | None
    parts: frozenset[Part]


OPEN = frozenset({State.PLANNED, State.STARTED})
CLOSED = frozenset({State.DONE, State.DROPPED})
THOSE_WHO_WORK = frozenset({Part.PROVIDER, Part.OWNER})
TRANSITIONS = (
    Transition(Verb.START, frozenset({State.PLANNED}), State.STARTED, THOSE_WHO_WORK),
    Transition(Verb.FINISH, OPEN, State.DONE, THOSE_WHO_WORK),
    Transition(Verb.DROP, OPEN, State.DROPPED, frozenset({Part.PROVIDER})),
    Transition(Verb.REOPEN, CLOSED, State.PLANNED, THOSE_WHO_WORK),
    Transition(Verb.CHANGE, OPEN, None, frozenset({Part.PROVIDER})),
)
BY_VERB = {transition.verb: transition for transition in TRANSITIONS}


def find(verb: Verb, state: State, part: Part) -> Transition | None:
    """The transition that this person may make now, if any."""
    transition = BY_VERB[verb]
    return transition if state in transition.sources and part in transition.parts else None


def may_ever(verb: Verb, part: Part) -> bool:
    """Whether this person may press the verb in some state: no is a matter of rights, not of timing."""
    return part in BY_VERB[verb].parts


def verbs(state: State, part: Part) -> list[Verb]:
    """What this person may do now, in the order of the table."""
    return [transition.verb for transition in TRANSITIONS if find(transition.verb, state, part)]
