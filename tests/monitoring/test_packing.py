"""What is packed comes back bit for bit, whatever it is, and takes little room when it is what hosts report."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import packing, storage
from monitoring.packing import Column, Rollup

MINUTE = 60_000
START = 1_772_000_100_000


def regular(values: list[float], step: int = MINUTE) -> Column:
    return Column(START + step * np.arange(len(values)), np.array(values, dtype=np.float64))


def same(one: Column, other: Column) -> bool:
    return one.ts.tolist() == other.ts.tolist() and one.value.tobytes() == other.value.tobytes()


ANY_FLOAT = st.floats(allow_nan=False, width=64)
DECIMAL = st.integers(-(10**12), 10**12).flatmap(lambda n: st.integers(0, 9).map(lambda digits: n / 10.0**digits))
VALUES = st.one_of(
    st.lists(ANY_FLOAT, min_size=1, max_size=50),
    st.lists(DECIMAL, min_size=1, max_size=50),
    st.lists(st.integers(-(2**62), 2**62).map(float), min_size=1, max_size=50),
    ANY_FLOAT.flatmap(lambda value: st.integers(1, 50).map(lambda size: [value] * size)),
    st.lists(st.sampled_from([0.0, -0.0, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 2.0**53]), min_size=1),
)


@st.composite
def columns(draw: st.DrawFn) -> dict[int, Column]:
    """Series of which some share their times and some have any times at all."""
    found = {}
    shared = draw(st.integers(0, 2**42))
    for one in draw(st.sets(st.integers(1, 2**31 - 1), min_size=1, max_size=6)):
        values = draw(VALUES)
        if draw(st.booleans()):
            ts = shared + MINUTE * np.arange(len(values))
        else:
            gaps = draw(st.lists(st.integers(1, 10**9), min_size=len(values), max_size=len(values)))
            ts = draw(st.integers(0, 2**42)) + np.cumsum(np.array(gaps))
        found[one] = Column(ts.astype(np.int64), np.array(values, dtype=np.float64))
    return found


@settings(max_examples=300)
@given(columns())
def test_whatever_is_packed_comes_back_bit_for_bit(block: dict[int, Column]) -> None:
    found = packing.unpack(packing.pack(block))
    assert found.keys() == block.keys()
    for one, column in block.items():
        assert same(found[one], column)


@settings(max_examples=50)
@given(columns(), st.data())
def test_some_series_come_back_without_the_others(block: dict[int, Column], data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.sampled_from([*sorted(block), 0])))
    found = packing.unpack(packing.pack(block), wanted)
    assert found.keys() == wanted & block.keys()
    assert all(same(found[one], block[one]) for one in found)


@settings(max_examples=100)
@given(columns(), st.sampled_from([300, 3600]))
def test_steps_come_back_as_they_were(block: dict[int, Column], step: int) -> None:
    block = {one: column for one, column in block.items() if np.abs(column.value).max() < 1e300}
    if not block:
        return
    rollups = {one: storage.steps(column, step) for one, column in block.items()}
    found = packing.unpack_rollups(packing.pack_rollups(rollups))
    assert found.keys() == rollups.keys()
    for one, rollup in rollups.items():
        back = found[one]
        for name in ("ts", "low", "high", "count"):
            assert getattr(back, name).tobytes() == getattr(rollup, name).tobytes(), name
        np.testing.assert_allclose(back.mean, rollup.mean, rtol=1e-9, atol=1e-12)


def test_some_steps_come_back_without_the_others() -> None:
    rollups = {one: storage.steps(regular([float(one), 2.5, one / 3]), 300) for one in (3, 9, 27)}
    found = packing.unpack_rollups(packing.pack_rollups(rollups), {9, 100})
    assert list(found) == [9]
    assert isinstance(found[9], Rollup)
    assert found[9].low.tolist() == [2.5]


def test_points_out_of_order_and_twice_become_one_ascending_column() -> None:
    first = Column(np.array([1000, 3000]), np.array([1.0, 3.0]))
    second = Column(np.array([4000, 2000, 3000]), np.array([4.0, 2.0, 9.0]))
    found = storage.merged([first, second])
    assert found.ts.tolist() == [1000, 2000, 3000, 4000]
    assert found.value.tolist() == [1.0, 2.0, 3.0, 4.0], "what was first known stays"


def test_a_constant_costs_next_to_nothing_and_noise_little_more_than_itself() -> None:
    noise = np.round(np.random.default_rng(1).normal(40, 5, (20, 60)), 2)
    quiet = packing.pack({one: regular([7.25] * 60) for one in range(1, 21)})
    noisy = packing.pack({one: regular(row.tolist()) for one, row in enumerate(noise, start=1)})
    entropy = math.log2(500 * math.sqrt(2 * math.pi * math.e)) / 8
    assert len(quiet) / 1200 < 0.15
    assert len(noisy) / 1200 < entropy + 0.45


@pytest.mark.parametrize(
    "damaged",
    [lambda data: b"", lambda data: b"\x02" + data[1:], lambda data: data[:30], lambda data: bytes(len(data))],
)
def test_damaged_bytes_are_not_read_as_samples(damaged: Callable[[bytes], bytes]) -> None:
    with pytest.raises(packing.DamagedBlockError):
        packing.unpack(damaged(packing.pack({1: regular([1.0, 2.0])})))
