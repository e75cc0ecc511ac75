"""What an operation on the cloud consists of: its calls, how one sees what came of them, and the way back. No Django.

An operation is data and a few functions. The engine (`changes.services.running`) alone sends calls that change
something; the functions here only ask.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

from assets.aliyun.resources import Row, text
from changes.catalogue import Words

VERSIONS: Final[Mapping[str, str]] = {
    "Ecs": "2014-05-26",
    "Rds": "2014-08-15",
    "Slb": "2014-05-15",
    "Alidns": "2015-01-09",
    "Ram": "2015-05-01",
}
Fields = Mapping[str, object]
_REFERENCE: Final = re.compile(r"\{(\w+)\.(\w+)\}")


class Repeat(StrEnum):
    """What it means to send a call again of which nobody knows whether it arrived."""

    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    """The cloud knows its client token: the second one does nothing."""
    HARMLESS = "harmless"
    """It says how things are to be, so twice is once."""
    NEVER = "never"
    """It would happen twice: unless the cloud shows what came of it, a person decides."""


class Progress(StrEnum):
    """What the cloud shows of a call."""

    ABSENT = "absent"
    GOING = "going"
    DONE = "done"
    FAILED = "failed"


class Refused(Exception):
    """The pre-check found that it cannot be done; `code` is one of `changes.run_words.PROBLEMS`."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code} {detail}".strip())
        self.code, self.detail = code, detail


class Cloud(Protocol):
    """Asks one account in one region. Raises AliyunError."""

    def ask(self, product: str, action: str, params: Mapping[str, str]) -> Row:
        """An action that only reads."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done to what. `servers`: the ECS of the same account; `own_users`: RAM users with whose keys the
    platform works, and with whom the provider signs in."""

    provider_id: str
    fields: Fields
    token: str
    label: str = ""
    """Number of the change: it stands in names and descriptions on the cloud."""
    servers: frozenset[str] = frozenset()
    own_users: frozenset[str] = frozenset()

    def said(self, name: str) -> str:
        value = self.fields.get(name)
        return "" if value is None else str(value).strip()


@dataclass(frozen=True, slots=True)
class Step:
    """One call that changes something.

    `params` may name a value that an earlier call answers: `{CreateDisk.DiskId}`. `keeps` are the fields of the answer
    that matter later, `before` is what was seen when it was planned, `result` what the cloud answered or showed.
    """

    product: str
    action: str
    params: Mapping[str, str]
    repeat: Repeat
    keeps: tuple[str, ...] = ()
    before: Mapping[str, str] = field(default_factory=dict)
    result: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    progress: Progress
    percent: int = 0
    words: str = ""
    """The state in the cloud's own word."""
    result: Mapping[str, str] = field(default_factory=dict)


ABSENT: Final = Seen(Progress.ABSENT)
DONE: Final = Seen(Progress.DONE, 100)

Plan = Callable[[Cloud, Job], tuple[Step, ...]]
Look = Callable[[Cloud, Job, Step], Seen]
Verify = Callable[[Cloud, Job, Sequence[Step]], bool]
Undo = Callable[[Sequence[Step]], tuple[Step, ...]]
CheckBack = Callable[[Cloud, Job, Sequence[Step]], None]


def always(fields: Fields) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Executable:
    """An operation that the platform carries out itself. `serves` are codes of the catalogue, `reads` the fields of
    the change that it goes by, `kinds` the kinds of asset (empty: it is about the account itself)."""

    code: str
    words: Words
    serves: frozenset[str]
    reads: tuple[str, ...]
    kinds: frozenset[str]
    plan: Plan
    """Pre-check and calls, in order. Raises Refused."""
    look: Look
    verify: Verify
    fits: Callable[[Fields], bool] = always
    """Whether it is what these answers ask for."""
    undo: Undo | None = None
    """The calls that take it back, out of the calls that settled; none: there is no way back. Their client tokens are
    set by whoever plans them (`with_tokens`)."""
    check_back: CheckBack | None = None
    """Whether those calls can succeed as the cloud is now, before the first of them is sent. Raises Refused."""
    restores: frozenset[str] = frozenset()
    """Calls that give back what an earlier one took away: they are sent also when a call between them failed."""
    backs_up: str = ""
    """It is a backup, by this method of `BackupRecord`."""
    kept_as: str = ""
    """Which result is the reference of that backup."""
    longest: timedelta = timedelta(minutes=30)
    """A call that has not settled by then is a case for a person."""
    unseen_after: timedelta | None = None
    """The cloud does not always show that it did what it accepted: after this an accepted call counts as settled."""


def action_is(said: str) -> Callable[[Fields], bool]:
    return lambda fields: fields.get("action") == said


def last_is_done(look: Look) -> Verify:
    """The state that the last call was for is there, asked anew."""
    return lambda cloud, job, steps: bool(steps) and look(cloud, job, steps[-1]).progress is Progress.DONE


def all_are_done(look: Look) -> Verify:
    return lambda cloud, job, steps: all(look(cloud, job, step).progress is Progress.DONE for step in steps)


def client_token(token: str, place: int) -> str:
    """At most 64 ASCII characters (ECS API reference, "How to ensure idempotence")."""
    return f"{token}-{place}"


def with_tokens(steps: Sequence[Step], token: str) -> tuple[Step, ...]:
    """The calls of a way back with client tokens of its own run: of a token that was used already the cloud does
    nothing more, so a second try would look as if it had been done."""
    return tuple(
        replace(step, params={**step.params, "ClientToken": client_token(token, place)})
        if "ClientToken" in step.params
        else step
        for place, step in enumerate(steps, 1)
    )


def filled(step: Step, earlier: Sequence[Step]) -> Step:
    """With the values that earlier calls answered. Raises KeyError while one is not known."""
    known = {(one.action, name): value for one in earlier for name, value in one.result.items()}

    def value(given: str) -> str:
        return _REFERENCE.sub(lambda found: known[found[1], found[2]], given)

    return replace(step, params={name: value(given) for name, given in step.params.items()})


def percent_of(row: Row, name: str = "Progress") -> int:
    digits = text(row, name).rstrip("%")
    return min(100, int(digits)) if digits.isdecimal() else 0
