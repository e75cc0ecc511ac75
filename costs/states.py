"""The way of a saving proposal (R137). Pure."""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DONE = "done"
    OBSOLETE = "obsolete"
    """What it was about is gone or used again before anybody decided."""


class Verb(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"
    FINISH = "finish"
    REOPEN = "reopen"


TRANSITIONS: Final[dict[tuple[State, Verb], State]] = {
    (State.PROPOSED, Verb.ACCEPT): State.ACCEPTED,
    (State.PROPOSED, Verb.REJECT): State.REJECTED,
    (State.ACCEPTED, Verb.REJECT): State.REJECTED,
    (State.ACCEPTED, Verb.FINISH): State.DONE,
    (State.REJECTED, Verb.REOPEN): State.PROPOSED,
}
OPEN: Final = (State.PROPOSED, State.ACCEPTED)


def after(state: str, verb: Verb) -> State | None:
    """Where a verb leads; None where it is not allowed."""
    return TRANSITIONS.get((State(state), verb))


def verbs(state: str) -> tuple[Verb, ...]:
    return tuple(verb for verb in Verb if after(state, verb) is not None)
