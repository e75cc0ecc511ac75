"""Points of many series in few bytes and back, bit for bit: what closed hours and days are kept as.

A block holds the series of one asset over a stretch of time. Numbers become integers: times are milliseconds; values
that are decimal fractions (all of a series with at most nine digits after the point) are counted in units of the last
digit; what is neither keeps the sixty-four bits of its float. Each column is then told from what can be foreseen: its
own mean, the value before, or the step before, whichever leaves the least. What is left is a bit length (one byte,
entropy coded by zlib over the whole block) and the bits below the leading one, packed without gaps.

A constant costs nothing, a noisy figure some two bits more than its noise. All of it is numpy over a block at a time;
no third-party compressor: zlib sees only bit lengths, where a stronger one gains next to nothing. See docs/adr/0007.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

VERSION: Final = 1
HEADER: Final = struct.Struct("<BIIIII")
"""Version; how many clocks, series and columns; the bytes of the coded part, and what it becomes."""
MOST_DIGITS: Final = 9
FLOAT: Final = 255
"""The "digits" of a column that keeps the bits of its floats."""
LARGEST: Final = 2.0**53
EXTRA: Final = 2
"""Integers that stand before a column's own: its first value, and the level it is told from."""
LEVEL: Final = 6


class DamagedBlockError(ValueError):
    """These bytes are not a block that this version wrote."""


@dataclass(frozen=True, slots=True)
class Column:
    """The points of one series, oldest first; `ts` in Unix milliseconds."""

    ts: Ints
    value: Floats


@dataclass(frozen=True, slots=True)
class Rollup:
    """Steps of one series that have at least one point, oldest first; `ts` is where each begins, in Unix ms."""

    ts: Ints
    low: Floats
    high: Floats
    mean: Floats
    count: Ids


NO_POINTS: Final = Column(np.empty(0, np.int64), np.empty(0))
NO_STEPS: Final = Rollup(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0), np.empty(0, np.int32))


# --- blocks --------------------------------------------------------------------------------------------------------


def pack(columns: Mapping[int, Column]) -> bytes:
    """A block of these series. Each must have a point, and its times must ascend."""
    ids = sorted(columns)
    clocks = _Clocks([columns[one].ts for one in ids])
    digits, numbers = _integers([columns[one].value for one in ids])
    return _write(ids, digits, clocks, numbers)


def unpack(data: bytes | memoryview, wanted: Collection[int] | None = None) -> dict[int, Column]:
    """The series of a block, or those of them that are wanted."""
    block = _Block(data)
    places = block.places(wanted)
    clocks, columns = block.read(places, 1)
    return {
        block.ids[place]: Column(ts, _floats(numbers, block.digits[place]))
        for place, ts, numbers in zip(places, clocks, columns, strict=True)
    }


def pack_rollups(rollups: Mapping[int, Rollup]) -> bytes:
    """A block of steps, four columns for each series: low, and told from it high and sum, and count."""
    ids = sorted(rollups)
    rows = [rollups[one] for one in ids]
    clocks = _Clocks([row.ts for row in rows])
    digits, extremes = _integers([np.concatenate([row.low, row.high]) for row in rows])
    lows: list[Ints] = []
    highs: list[Ints] = []
    sums: list[Ints] = []
    for place, (row, both) in enumerate(zip(rows, extremes, strict=True)):
        low, high = np.split(both, 2)
        middle = _decimal_sums(row, digits[place])
        if middle is None:
            digits[place] = FLOAT
            low, high, middle = (part.view(np.int64) for part in (row.low, row.high, row.mean))
        else:
            high, middle = high - low, middle - low * row.count
        lows, highs, sums = [*lows, low], [*highs, high], [*sums, middle]
    counts = [row.count.astype(np.int64) for row in rows]
    return _write(ids, digits, clocks, [*lows, *highs, *sums, *counts])


def unpack_rollups(data: bytes | memoryview, wanted: Collection[int] | None = None) -> dict[int, Rollup]:
    """The series of a block of steps, or those of them that are wanted."""
    block = _Block(data)
    places = block.places(wanted)
    clocks, columns = block.read(places, 4)
    parts = [columns[at : at + len(places)] for at in range(0, 4 * len(places), len(places) or 1)] or [[]] * 4
    found = {}
    for place, ts, low, high, middle, count in zip(places, clocks, *parts, strict=True):
        digits = block.digits[place]
        if digits == FLOAT:
            mean = middle.view(np.float64)
        else:
            high, mean = low + high, (middle + low * count) / 10.0**digits / count  # noqa: PLW2901 - undone
        found[block.ids[place]] = Rollup(ts, _floats(low, digits), _floats(high, digits), mean, count.astype(np.int32))
    return found


def _decimal_sums(row: Rollup, digits: int) -> Ints | None:
    """What was summed in each step, in units of the last digit: the sum of decimals is one, whatever the float made of
    it. None if it is not, when only the extremes of a series are decimal."""
    if digits == FLOAT:
        return None
    sums = np.rint(row.mean * row.count * 10.0**digits)
    apart = np.abs(sums / 10.0**digits / row.count - row.mean)
    extreme = np.maximum(np.abs(row.low), np.abs(row.high))
    if np.any(apart > 1e-12 * extreme) or np.any(np.abs(sums) >= LARGEST):
        return None
    return sums.astype(np.int64)


class _Clocks:
    """The different rows of times in a block: series that are read together share one."""

    def __init__(self, rows: Sequence[Ints]) -> None:
        places: dict[bytes, int] = {}
        self.of = [places.setdefault(ts.tobytes(), len(places)) for ts in rows]
        self.all = [np.frombuffer(ts, dtype=np.int64) for ts in places]


# --- values as integers --------------------------------------------------------------------------------------------


def _integers(values: Sequence[Floats]) -> tuple[list[int], list[Ints]]:
    """Each column in units of its last digit, and how many digits that is; or the bits of its floats.

    Decimal means that dividing gives the same float back, to the bit: minus zero and infinities are not.
    """
    edges = np.cumsum([0, *map(len, values)])
    flat = np.concatenate(values) if values else np.empty(0)
    numbers = flat.view(np.int64).copy()
    digits = np.full(len(values), FLOAT)
    left = np.arange(len(values))
    with np.errstate(invalid="ignore", over="ignore"):
        for digit in range(MOST_DIGITS + 1):
            if not len(left):
                break
            lengths = edges[left + 1] - edges[left]
            cells = _spans(edges[left], lengths)
            scaled = np.rint(flat[cells] * 10.0**digit)
            counted = np.where(np.abs(scaled) < LARGEST, scaled, 0.0).astype(np.int64)
            fits = (counted / 10.0**digit).view(np.int64) == flat[cells].view(np.int64)
            whole = np.logical_and.reduceat(fits, np.cumsum(lengths) - lengths)
            taken = np.repeat(whole, lengths)
            numbers[cells[taken]] = counted[taken]
            digits[left[whole]] = digit
            left = left[~whole]
    return digits.tolist(), np.split(numbers, edges[1:-1])


def _floats(numbers: Ints, digits: int) -> Floats:
    if digits == FLOAT:
        return numbers.view(np.float64)
    floats: Floats = numbers / 10.0**digits
    return floats


def _spans(starts: Ints, lengths: Ints) -> Ints:
    """The places of several stretches, one after the other."""
    total = int(lengths.sum())
    places: Ints = np.arange(total) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return places


# --- integers as bits ----------------------------------------------------------------------------------------------


def _write(ids: Sequence[int], digits: Sequence[int], clocks: _Clocks, columns: Sequence[Ints]) -> bytes:
    """The clocks come first; a column is as long as its series' clock, so no other length is kept."""
    rows = [*clocks.all, *columns]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    orders, shifts, told = _tell(np.concatenate(rows).view(np.uint64), lengths)
    sizes = _bit_lengths(told)
    body = _pack_bits(told, sizes)
    head = b"".join((
        _planes(np.diff(np.array([0, *ids], dtype=np.int64)).astype(np.uint32)),
        _planes(np.array(clocks.of, dtype=np.uint32)),
        _planes(np.array([len(ts) for ts in clocks.all], dtype=np.uint32)),
        np.array(digits, dtype=np.uint8).tobytes(),
        orders.astype(np.uint8).tobytes(),
        shifts.astype(np.uint8).tobytes(),
        sizes.tobytes(),
    ))  # fmt: skip
    coded = zlib.compress(head, LEVEL)
    start = HEADER.pack(VERSION, len(clocks.all), len(ids), len(columns), len(coded), len(head))
    return start + coded + body


def _tell(flat: Words, lengths: Ints) -> tuple[Words, Words, Words]:
    """Each row told from what can be foreseen: the order chosen, the zero bits left out, and what remains.

    Arithmetic is modulo 2**64 throughout, so nothing can overflow. A row becomes EXTRA + its length of integers.
    """
    starts = np.cumsum(lengths) - lengths
    first = np.repeat(flat[starts], lengths)
    apart = flat - first
    shifts = _trailing_zeros(np.bitwise_or.reduceat(apart, starts))
    small = (apart.view(np.int64) >> np.repeat(shifts, lengths).view(np.int64)).view(np.uint64)
    level = np.rint(np.add.reduceat(small.view(np.int64).astype(np.float64), starts) / lengths)
    level = np.clip(level, -LARGEST, LARGEST).astype(np.int64).view(np.uint64)
    before = _before(small, starts)
    guesses = np.stack([np.repeat(level, lengths), before, 2 * before - _before(before, starts)])
    left = _zigzag(small - guesses)
    costs = np.add.reduceat(_bit_lengths(left.ravel()).reshape(left.shape).astype(np.int64), starts, axis=1)
    orders = np.argmin(costs, axis=0)
    told = np.empty(len(flat) + EXTRA * len(lengths), dtype=np.uint64)
    heads = starts + EXTRA * np.arange(len(lengths))
    told[heads] = _zigzag(flat[starts])
    told[heads + 1] = _zigzag(np.where(orders == 0, level, np.uint64(0)))
    told[_spans(heads + EXTRA, lengths)] = left[np.repeat(orders, lengths), np.arange(len(flat))]
    return orders.astype(np.uint64), shifts, told


def _untell(told: Words, orders: Words, shifts: Words) -> Ints:
    """Rows of one length back from what `_tell` left of them."""
    plain = (told >> np.uint64(1)) ^ (np.uint64(0) - (told & np.uint64(1)))
    first, level, rows = plain[:, :1], plain[:, 1:EXTRA], plain[:, EXTRA:] + 0
    flat = orders == 0
    rows[flat] += level[flat]
    for order in (1, 2):
        if (deep := orders >= order).any():
            rows[deep] = np.cumsum(rows[deep], axis=1, dtype=np.uint64)
    return ((rows << shifts[:, None]) + first).view(np.int64)


def _before(row: Words, starts: Ints) -> Words:
    """The value before each; a row's first is told from itself, which is always zero apart."""
    before = np.concatenate([row[:1], row[:-1]])
    before[starts] = row[starts]
    return before


def _zigzag(row: Words) -> Words:
    signed = row.view(np.int64)
    return ((signed << 1) ^ (signed >> 63)).view(np.uint64)


def _bit_lengths(row: Words) -> NDArray[np.uint8]:
    """How many bits each needs, 0 to 64. A float tells it exactly up to 2**53."""
    low = np.frexp((row & np.uint64(0xFFFFFFFF)).astype(np.float64))[1]
    if not (row >> np.uint64(32)).any():
        return low.astype(np.uint8)
    high = np.frexp((row >> np.uint64(32)).astype(np.float64))[1]
    return np.where(high > 0, high + 32, low).astype(np.uint8)


def _trailing_zeros(row: Words) -> Words:
    """Of each, the zero bits at its low end; 0 for zero itself."""
    lowest = row & (np.uint64(0) - row)
    return np.maximum(_bit_lengths(lowest).astype(np.int64) - 1, 0).view(np.uint64)


def _pack_bits(row: Words, sizes: NDArray[np.uint8]) -> bytes:
    """The bits of each below its leading one, without gaps, in little-endian words."""
    row, widths = row[sizes > 1], sizes[sizes > 1].astype(np.uint64) - np.uint64(1)
    if not len(row):
        return b""
    row = row ^ (np.uint64(1) << widths)
    ends = np.cumsum(widths)
    at = ends - widths
    word, shift = (at >> np.uint64(6)).astype(np.int64), at & np.uint64(63)
    words = np.zeros(int(ends[-1] >> np.uint64(6)) + 2, dtype="<u8")
    firsts = np.flatnonzero(np.append(True, word[1:] != word[:-1]))
    words[word[firsts]] = np.bitwise_or.reduceat(row << shift, firsts)
    over = shift + widths > np.uint64(64)  # at most one in each word
    words[word[over] + 1] |= row[over] >> (np.uint64(64) - shift[over])
    return words.tobytes()[: (int(ends[-1]) + 7) // 8]


class _Block:
    """A block of which any columns can be had without the others."""

    def __init__(self, stored: bytes | memoryview) -> None:
        data = bytes(stored)  # the driver's memoryview has elements of its own kind
        if len(data) < HEADER.size or data[0] != VERSION:
            raise DamagedBlockError(f"{len(data)} bytes, version {data[:1]!r}")
        _version, clocks, series, columns, coded, size = HEADER.unpack_from(data)
        self._first = clocks
        try:
            head = np.frombuffer(zlib.decompress(data[HEADER.size : HEADER.size + coded]), dtype=np.uint8)
        except zlib.error as error:
            raise DamagedBlockError(str(error)) from error
        if len(head) != size:
            raise DamagedBlockError(f"{len(head)} bytes instead of {size}")
        rows = clocks + columns
        ends = np.cumsum([4 * series, 4 * series, 4 * clocks, series, rows, rows]).tolist()
        ids, clock, lengths, digits, orders, shifts = (head[low:high] for low, high in pairwise([0, *ends]))
        self._sizes = head[ends[-1] :]
        self.ids: list[int] = np.cumsum(_unplanes(ids)).tolist()
        self.digits: list[int] = digits.tolist()
        self._clock: list[int] = _unplanes(clock).tolist()
        self._orders, self._shifts = orders.astype(np.uint64), shifts.astype(np.uint64)
        own = _unplanes(lengths).astype(np.int64)
        self._lengths = np.concatenate([own, np.tile(own[self._clock], columns // max(series, 1))])
        self._starts = np.cumsum(self._lengths + EXTRA) - self._lengths - EXTRA
        self._widths = np.maximum(self._sizes, 1).astype(np.uint64) - np.uint64(1)
        self._bits = np.cumsum(self._widths) - self._widths
        body = data[HEADER.size + coded :]
        self._words = np.frombuffer(body + bytes(16 - len(body) % 8), dtype="<u8")

    def places(self, wanted: Collection[int] | None) -> list[int]:
        if wanted is None:
            return list(range(len(self.ids)))
        chosen = frozenset(wanted)
        return [place for place, one in enumerate(self.ids) if one in chosen]

    def read(self, places: Sequence[int], parts: int) -> tuple[list[Ints], list[Ints]]:
        """The times of these series, and so many columns of each: all first columns, then all second ones."""
        needed = sorted({self._clock[place] for place in places})
        series = len(self.ids)
        columns = [self._first + part * series + place for part in range(parts) for place in places]
        found = self._rows([*needed, *columns])
        clocks = dict(zip(needed, found, strict=False))
        return [clocks[self._clock[place]] for place in places], found[len(needed) :]

    def _rows(self, wanted: Sequence[int]) -> list[Ints]:
        rows = np.array(wanted, dtype=np.int64)
        lengths = self._lengths[rows]
        found: list[Ints] = [np.empty(0, np.int64)] * len(rows)
        for length in np.unique(lengths).tolist():
            alike = np.flatnonzero(lengths == length)
            chosen = rows[alike]
            cells = self._starts[chosen][:, None] + np.arange(length + EXTRA)
            table = _untell(self._told(cells), self._orders[chosen], self._shifts[chosen])
            for place, row in zip(alike.tolist(), table, strict=True):
                found[place] = row
        return found

    def _told(self, cells: Ints) -> Words:
        sizes, widths, bits = self._sizes[cells], self._widths[cells], self._bits[cells]
        word, shift = (bits >> np.uint64(6)).astype(np.int64), bits & np.uint64(63)
        low = self._words[word] >> shift
        high = np.where(shift > 0, self._words[word + 1] << ((np.uint64(64) - shift) & np.uint64(63)), np.uint64(0))
        leading = np.uint64(1) << widths
        return np.where(sizes > 0, ((low | high) & (leading - np.uint64(1))) | leading, np.uint64(0))


def _planes(row: NDArray[np.uint32]) -> bytes:
    """All lowest bytes first, and so on: zlib sees the zeros together."""
    return row.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()


def _unplanes(planes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(planes.reshape(4, -1).T).view("<u4").ravel()
