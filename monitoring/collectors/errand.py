"""What travels between the platform and a customer's control node: checks to be made, and what came of them.

The node keeps the checks on disk, their secrets in memory alone: they travel apart. What comes back says which target
was looked at and when; whose figures they are the platform knows by its own rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Annotated, Any, Final

import msgspec

from monitoring.collectors import Job, Outcome, Problem, Statement, Step, parcel
from monitoring.collectors.config import Kind
from monitoring.collectors.places import Answer

POINT: Final = "node"
"""The place that a node is, among those that sites are asked from."""
KINDS: Final = frozenset(Kind) - {Kind.CMS, Kind.DOMAIN}
"""What a node can carry: clouds and registries are asked from where everybody reaches them."""
ANSWERED: Final = frozenset({Kind.HTTP, Kind.FLOW})
"""Kinds of which a place says what it found, and the platform what that means."""
LONGEST: Final = 3_000_000
"""Bytes of one result; more than fits into a request of a node is never sent."""
MOST_RESULTS: Final = 1000
MOST_SAMPLES: Final = 20_000
MOST_STEPS: Final = 200
MOST_STATEMENTS: Final = 500

Text = Annotated[str, msgspec.Meta(max_length=2000)]
Sample = tuple[
    Annotated[str, msgspec.Meta(max_length=100)],
    Annotated[str, msgspec.Meta(max_length=1000)],
    Annotated[int, msgspec.Meta(ge=0, lt=2**53)],
    float,
]
"""Metric, labels as `labels_text` writes them, Unix milliseconds, value."""
Name = Annotated[str, msgspec.Meta(max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]
Seconds = Annotated[float, msgspec.Meta(ge=0, lt=2**40)]
SlowSql = tuple[Name, Name, Text, Count, Seconds, Seconds, Count]
"""The fields of a `Statement` in their order."""


@dataclass(frozen=True, slots=True)
class Check:
    """One target as a node asks it, and when."""

    kind: Kind
    job: Job[Any]
    phase: float
    needs_secret: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One look at a target: `at` is when it began, in seconds of Unix time."""

    target: Annotated[int, msgspec.Meta(gt=0, lt=2**53)]
    at: float
    took_ms: float = 0.0
    samples: Annotated[list[Sample], msgspec.Meta(max_length=MOST_SAMPLES)] = field(default_factory=list)
    problem: tuple[Annotated[str, msgspec.Meta(max_length=40)], Text] | None = None
    steps: Annotated[list[tuple[Text, Text, bool]], msgspec.Meta(max_length=MOST_STEPS)] = field(default_factory=list)
    facts: dict[Text, Text] | None = None
    reading: dict[str, Any] | None = None
    answer: Answer | None = None
    statements: Annotated[list[SlowSql], msgspec.Meta(max_length=MOST_STATEMENTS)] = field(default_factory=list)


def check_as_json(kind: str, job: Job[Any], *, phase: float, needs_secret: bool) -> dict[str, Any]:
    """A check without its secret."""
    values = parcel.job_as_json(kind, job)
    del values["token"]
    return {**values, "period_s": job.period_s, "phase": phase, "needs_secret": needs_secret}


def check_of(values: Mapping[str, Any], secret: str) -> Check:
    """Raises ValueError, TypeError or KeyError for what this version does not know."""
    kind, job = parcel.job_of({**values, "token": secret})
    if kind not in KINDS:
        raise ValueError(kind)
    return Check(kind, replace(job, period_s=values["period_s"]), values["phase"], values["needs_secret"])


def result_of(outcome: Outcome, at: float) -> Result:
    """What a collector brought."""
    samples = [
        (metric, labels, ts, value)
        for (_customer, _asset, metric, labels), ts, value in zip(outcome.keys, outcome.ts, outcome.value, strict=True)
    ]
    facts = (outcome.state or {}).get("facts")
    return Result(
        outcome.target_id,
        at,
        outcome.took_ms,
        samples[:MOST_SAMPLES],
        (outcome.problem.code, outcome.problem.detail[:400]) if outcome.problem else None,
        [(step.name[:100], step.text[:400], step.ok) for step in outcome.steps[:MOST_STEPS]],
        {str(name): str(text)[:400] for name, text in facts.items()} if facts else None,
        dict(outcome.reading) if outcome.reading is not None else None,
        statements=[astuple(statement) for statement in outcome.statements[:MOST_STATEMENTS]],
    )


def outcome_of(result: Result, job: Job[Any]) -> Outcome:
    """The same for the platform: the figures are those of its own customer and asset."""
    outcome = Outcome(result.target, took_ms=result.took_ms, reading=result.reading)
    outcome.problem = Problem(*result.problem) if result.problem else None
    outcome.steps = [Step(*step) for step in result.steps]
    outcome.state = {"facts": result.facts} if result.facts is not None else None
    outcome.statements = [Statement(*said) for said in result.statements]
    for metric, labels, ts, value in result.samples:
        outcome.add(job, metric, ts, value, labels)
    return outcome


def encode(result: Result) -> bytes:
    return msgspec.json.encode(result)


def joined(results: Sequence[bytes]) -> bytes:
    """Results as one body."""
    return b"[" + b",".join(results) + b"]"


def decode(body: bytes) -> list[Result]:
    """Raises ValueError for what is not a body of results."""
    try:
        said = msgspec.json.decode(body)
        if rb"\u0000" in body:
            said = _without_nul(said)
        found: list[Result] = msgspec.convert(said, list[Result])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise ValueError(str(problem)) from None
    if len(found) > MOST_RESULTS:
        raise ValueError(f"{len(found)} results")
    return found


def _without_nul(value: Any) -> Any:
    """PostgreSQL keeps no text with a NUL in it."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return list(map(_without_nul, value))
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(one) for name, one in value.items()}
    return value


def portions(results: Iterable[bytes], most: int = LONGEST) -> Iterable[bytes]:
    """Bodies that are short enough to be sent."""
    some: list[bytes] = []
    size = 0
    for result in results:
        if some and (size + len(result) > most or len(some) == MOST_RESULTS):
            yield joined(some)
            some, size = [], 0
        some.append(result)
        size += len(result) + 1
    if some:
        yield joined(some)
