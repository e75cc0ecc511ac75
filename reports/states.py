"""The life of a report of any family: its states, the verbs that move it, and who may press which. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    DRAFT = "draft"
    REVIEW = "review"
    SIGNED = "signed"
    SENT = "sent"
    WITHDRAWN = "withdrawn"


class Verb(StrEnum):
    EDIT = "edit"
    SUBMIT = "submit"
    COMMENT = "comment"
    RETURN = "return"
    SIGN = "sign"
    SEND = "send"
    REISSUE = "reissue"
    WITHDRAW = "withdraw"
    RESTORE = "restore"


class Rank(StrEnum):
    """Who presses: an engineer of the provider, its service manager, or somebody of the customer."""

    ENGINEER = "engineer"
    MANAGER = "manager"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of the table; a target of None leaves the state as it is."""

    verb: Verb
    sources: frozenset[State]
    target: State | None
    ranks: frozenset[Rank]


PROVIDER = frozenset({Rank.ENGINEER, Rank.MANAGER})
MANAGER = frozenset({Rank.MANAGER})
TRANSITIONS = (
    Transition(Verb.EDIT, frozenset({State.DRAFT}), None, PROVIDER),
    Transition(Verb.COMMENT, frozenset({State.DRAFT, State.REVIEW}), None, PROVIDER),
    Transition(Verb.SUBMIT, frozenset({State.DRAFT}), State.REVIEW, PROVIDER),
    Transition(Verb.RETURN, frozenset({State.REVIEW}), State.DRAFT, MANAGER),
    Transition(Verb.SIGN, frozenset({State.REVIEW}), State.SIGNED, MANAGER),
    # To further people it may be sent again.
    Transition(Verb.SEND, frozenset({State.SIGNED, State.SENT}), State.SENT, PROVIDER),
    Transition(Verb.REISSUE, frozenset({State.SIGNED, State.SENT}), State.DRAFT, PROVIDER),
    Transition(Verb.WITHDRAW, frozenset({State.DRAFT}), State.WITHDRAWN, MANAGER),
    Transition(Verb.RESTORE, frozenset({State.WITHDRAWN}), State.DRAFT, PROVIDER),
)
BY_VERB = {transition.verb: transition for transition in TRANSITIONS}


def find(verb: Verb, state: State, rank: Rank) -> Transition | None:
    """The transition that this person may make now, if any."""
    transition = BY_VERB[verb]
    return transition if state in transition.sources and rank in transition.ranks else None


def may_ever(verb: Verb, rank: Rank) -> bool:
    """Whether this person may press the verb in some state: no is a matter of rights (403), not of timing."""
    return rank in BY_VERB[verb].ranks


def verbs(state: State, rank: Rank) -> list[Verb]:
    return [transition.verb for transition in TRANSITIONS if find(transition.verb, state, rank)]
