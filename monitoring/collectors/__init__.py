"""What every collector speaks: series keys, columns of samples, jobs and outcomes.

No Django in this package. A collector turns the outside world into columns; ``services.poll`` decides
what to collect and hands the columns to the pipeline.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

C = TypeVar("C")

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")

State = Mapping[str, Any]
"""What a collector remembers between two runs of one target: JSON, kept on the target's row."""

SeriesKey = tuple[int, int, str, str]
"""customer id, asset id, metric of the catalogue, labels as :func:`labels_text` writes them."""


class Keys(list[SeriesKey]):
    """Keys that come again with every page of one target: made once, never changed.

    ``place`` belongs to the registry, which notes there what it found: the next page costs no look-up per series.
    """

    __slots__ = ("place",)

    def __init__(self, keys: Iterable[SeriesKey]) -> None:
        super().__init__(keys)
        self.place: object = None


class Pieces(Sequence[SeriesKey]):
    """Lists of keys one after the other, as one sequence, without a copy."""

    def __init__(self, pieces: Iterable[Sequence[SeriesKey]]) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self._size = sum(map(len, self.pieces))

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> SeriesKey: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[SeriesKey]: ...

    def __getitem__(self, at: int | slice) -> SeriesKey | Sequence[SeriesKey]:
        return list(chain.from_iterable(self.pieces))[at]

    def __iter__(self) -> Iterator[SeriesKey]:
        return chain.from_iterable(self.pieces)


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one customer as columns; ``index`` points into ``keys``, one entry per sample."""

    customer_id: int
    keys: Sequence[SeriesKey]
    index: NDArray[np.int32]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a collector could not look. Never a statement about the customer's system."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of what "test now" shows: what was tried and what came of it."""

    name: str
    text: str
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Job(Generic[C]):
    """One target as its collector sees it."""

    target_id: int
    customer_id: int
    asset_id: int
    config: C
    state: State = field(default_factory=dict)
    allow_internal: bool = False
    token: str = ""
    period_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Statement:
    """A kind of SQL statement that was slow since the last look, values taken out by the server: times in seconds."""

    database: str
    digest: str
    text: str
    count: int
    total_s: float
    longest_s: float
    rows_examined: int


@dataclass(slots=True)
class Outcome:
    """What one run of one target brought: columns, the next state, and a problem if it could not look."""

    target_id: int
    keys: list[SeriesKey] = field(default_factory=list)
    ts: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    state: State | None = None
    problem: Problem | None = None
    steps: list[Step] = field(default_factory=list)
    took_ms: float = 0.0
    reading: Mapping[str, Any] | None = None
    """What is compared rather than drawn: the state of a host (`collectors.hoststate`)."""
    statements: Sequence[Statement] = ()

    def add(self, job: Job[Any], metric: str, ts: int, value: float, labels: str = "") -> None:
        """Append one sample. NaN and infinities say nothing and are left out."""
        if math.isfinite(value):
            self.keys.append((job.customer_id, job.asset_id, metric, labels))
            self.ts.append(ts)
            self.value.append(value)


def labels_text(labels: Mapping[str, str]) -> str:
    """The one spelling of a label set: sorted, quoted, comma-separated; '' for none."""
    return ",".join(f'{name}="{_escaped(labels[name])}"' for name in sorted(labels))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def parse_labels(text: str) -> dict[str, str]:
    """The label set that `labels_text` wrote."""
    return {name: _ESCAPED.sub(_unescaped, value) for name, value in _LABEL.findall(text)}


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match.group(1) == "n" else match.group(1)


def batch_of(customer_id: int, outcomes: Iterable[Outcome]) -> Batch:
    """Put the columns of many outcomes of one customer together."""
    outcomes = list(outcomes)
    whole = [outcome for outcome in outcomes if isinstance(outcome.keys, Keys)]
    others = [outcome for outcome in outcomes if not isinstance(outcome.keys, Keys)]
    first = sum(len(outcome.keys) for outcome in whole)
    places: dict[SeriesKey, int] = {}
    index = list(range(first))
    for outcome in others:
        index.extend([first + places.setdefault(key, len(places)) for key in outcome.keys])
    if any(key[0] != customer_id for key in chain(places, (one.keys[0] for one in whole if one.keys))):
        raise ValueError("a batch holds samples of one customer only")
    return Batch(
        customer_id=customer_id,
        keys=Pieces([*(outcome.keys for outcome in whole), list(places)]),
        index=np.asarray(index, dtype=np.int32),
        ts=_column([outcome.ts for outcome in (*whole, *others)], np.int64),
        value=_column([outcome.value for outcome in (*whole, *others)], np.float64),
    )


def _column(parts: Sequence[Sequence[float]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.fromiter(chain.from_iterable(parts), dtype=dtype, count=sum(map(len, parts)))
