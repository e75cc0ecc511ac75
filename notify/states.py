"""The life of a delivery and the rules of trying again, as pure functions and one table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from notify.channels.outcome import Outcome, Verdict


class State(StrEnum):
    PENDING = "pending"  # waits for its turn, its next try or the robot's budget
    SENDING = "sending"  # a worker holds the lease and may be talking to the provider
    ACCEPTED = "accepted"  # the provider took a call or SMS; its receipt will say whether the person did
    DELIVERED = "delivered"  # the provider took it, or the receipt says that the person has it
    UNCERTAIN = "uncertain"  # handed over, no answer, and not repeated (see `repeats`)
    FAILED = "failed"  # given up; the next channel has it, if there is one
    WITHDRAWN = "withdrawn"  # nobody needs to hear it any more
    DIGESTED = "digested"  # went out inside another delivery
    SKIPPED = "skipped"  # the person cannot be reached in this way: no number, no device, not set up


TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SENDING, State.DIGESTED, State.FAILED, State.DELIVERED, State.WITHDRAWN}),
    State.SENDING: frozenset(
        {State.DELIVERED, State.PENDING, State.FAILED, State.UNCERTAIN, State.ACCEPTED, State.WITHDRAWN}
    ),
    State.ACCEPTED: frozenset({State.DELIVERED, State.PENDING, State.FAILED, State.UNCERTAIN, State.WITHDRAWN}),
    State.UNCERTAIN: frozenset({State.PENDING, State.DELIVERED}),  # resent by hand; the lost answer came after all
    State.FAILED: frozenset({State.PENDING}),  # resent by hand
    State.DELIVERED: frozenset(),
    State.DIGESTED: frozenset(),
    State.WITHDRAWN: frozenset(),
    State.SKIPPED: frozenset(),
}
FINAL = frozenset({State.DELIVERED, State.UNCERTAIN, State.FAILED, State.DIGESTED, State.SKIPPED, State.WITHDRAWN})


def may_become(old: str, new: State) -> bool:
    return new in TRANSITIONS[State(old)]


# Waits between tries of one delivery: quick at first, then patient enough for a provider's bad half hour.
BACKOFF = tuple(timedelta(seconds=seconds) for seconds in (5, 15, 45, 120, 300, 600, 1200))
TRIES_BEFORE_FALLBACK = 3
URGENT_PRIORITY = 2  # Disaster and High
DEFAULT_WAIT = timedelta(minutes=1)


@dataclass(frozen=True)
class Situation:
    """What the next step depends on. `tries` counts the one just made; `repeat_is_safe`: the receiver drops repeats."""

    priority: int
    tries: int
    has_fallback: bool
    repeat_is_safe: bool
    is_test: bool = False
    has_receipt: bool = False  # acceptance says little: a receipt follows
    most_tries: int = len(BACKOFF) + 1
    first_wait: timedelta = timedelta()  # the least before another try, whatever the reason


@dataclass(frozen=True)
class Step:
    state: State
    wait: timedelta = timedelta()
    mute: timedelta | None = None


def repeats(situation: Situation) -> bool:
    """Whether an uncertain try is made again.

    DingTalk and WeCom robots know no idempotency key. Disaster and High are sent at least once: a message twice is
    better than a Disaster nobody heard of. Below that at most once: after a lost answer the delivery rests as
    "uncertain" and a person may resend it. Webhooks and mail carry an id by which the receiver drops a repeat, so
    they are always sent at least once.
    """
    return situation.repeat_is_safe or situation.priority <= URGENT_PRIORITY


def next_step(situation: Situation, outcome: Outcome) -> Step:
    """What becomes of a delivery after one try."""
    verdict = outcome.verdict
    if verdict is Verdict.ACCEPTED:
        return Step(State.ACCEPTED) if situation.has_receipt else Step(State.DELIVERED)
    if situation.is_test or verdict is Verdict.REFUSED:
        mute = (outcome.retry_after or DEFAULT_WAIT) if verdict is Verdict.RATE else None
        return Step(State.UNCERTAIN if verdict is Verdict.UNCERTAIN else State.FAILED, mute=mute)
    if verdict is Verdict.UNCERTAIN and not repeats(situation):
        return Step(State.UNCERTAIN)
    mute = (outcome.retry_after or DEFAULT_WAIT) if verdict is Verdict.RATE else None
    most = TRIES_BEFORE_FALLBACK if situation.has_fallback else situation.most_tries
    if situation.tries >= most:
        return Step(State.FAILED, mute=mute)
    wait = mute or max(BACKOFF[situation.tries - 1], situation.first_wait)
    return Step(State.PENDING, wait=wait, mute=mute)


def after_receipt(situation: Situation, *, reached: bool) -> Step:
    """What becomes of a call or SMS once its receipt is there: another try while there is one left."""
    if reached:
        return Step(State.DELIVERED)
    if situation.tries >= situation.most_tries:
        return Step(State.FAILED)
    return Step(State.PENDING, wait=max(BACKOFF[situation.tries - 1], situation.first_wait))
