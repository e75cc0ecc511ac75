"""How long something was out."""

from datetime import datetime, timedelta

import pytest

from incidents.interruptions import Interruption, longest
from tests.conftest import NOW


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], None),
        ([(0, 10)], (0, 10)),
        ([(0, None)], (0, None)),
        ([(0, 10), (12, 40)], (0, 40)),  # good for two minutes is not good again
        ([(0, 10), (20, 45)], (20, 45)),
        ([(20, 45), (0, 10)], (20, 45)),
        ([(0, 50), (10, 20)], (0, 50)),
        ([(0, None), (10, 20)], (0, None)),
        ([(0, 10), (30, 40)], (0, 10)),
    ],
)
def test_alerts_make_stretches_and_the_longest_counts(
    spans: list[tuple[float, float | None]], expected: tuple[float, float | None] | None
) -> None:
    found = longest([(at(start), None if end is None else at(end)) for start, end in spans], at(60))
    if expected is None:
        assert found is None
    else:
        start, end = expected
        assert found == Interruption(at(start), None if end is None else at(end))


@pytest.mark.parametrize(("minutes", "crossed"), [(29, False), (30, False), (30.1, True), (600, True)])
def test_more_than_thirty_minutes_it_must_be(minutes: float, crossed: bool) -> None:
    assert Interruption(NOW, None).has_crossed(at(minutes)) is crossed
    assert Interruption(NOW, at(minutes)).has_crossed(at(10_000)) is crossed
