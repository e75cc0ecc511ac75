"""Arithmetic over series, advice on capacity, and statements without their values: pure."""

from pathlib import Path

import numpy as np
import pytest

from reports import capacity, figures
from reports.statements import Slow, masked, together

DAY = figures.DAY_MS
GIVEN = pytest.approx
NONE = np.empty(0, np.int64)


def ints(*values: int) -> figures.Ints:
    return np.array(values, dtype=np.int64)


def floats(*values: float) -> figures.Floats:
    return np.array(values, dtype=np.float64)


def test_a_result_code_is_bad_for_the_share_of_points_that_were_not_zero() -> None:
    mean, high = floats(0, 2, 1, 0.5), floats(0, 2, 2, 1)
    assert figures.bad_share(mean, high).tolist() == [0, 1, 0.5, 0.5]
    assert figures.availability(figures.bad_share(mean, high), ints(1, 1, 2, 4)) == GIVEN(50)
    assert figures.availability(floats(), NONE) is None


def test_a_day_without_points_has_no_value_and_an_edge_belongs_to_what_begins_there() -> None:
    ts, edges = ints(0, DAY - 1, DAY, 3 * DAY), [0, DAY, 2 * DAY, 3 * DAY]
    values, weights = floats(1, 4, 7, 100), ints(1, 2, 5, 1)
    assert figures.by_day(ts, values, weights, edges) == [3, 7, None]
    assert figures.percentile_by_day(ts, values, edges, 95) == [4, 7, None]


def test_series_are_added_where_any_of_them_is() -> None:
    ts, total = figures.added([(ints(1, 2), floats(10, 20)), (ints(2, 3), floats(1, 2))])
    assert ts.tolist() == [1, 2, 3]
    assert total.tolist() == [10, 21, 2]
    assert figures.added([])[0].tolist() == []


def test_longer_steps_weigh_what_is_in_them() -> None:
    ts, mean = figures.coarser(ints(0, 5, 10), floats(1, 4, 9), ints(1, 2, 1), 10)
    assert ts.tolist() == [0, 10]
    assert mean.tolist() == [3, 9]


def test_restarts_and_growth_see_through_what_a_clock_or_a_restart_does() -> None:
    assert figures.restarts(floats(100, 100, 130, 161, 161, 120, 1000)) == 2
    assert figures.restarts(floats()) == 0
    assert figures.growth(floats(5, 7, 2, 3)) == 5
    assert figures.growth(floats(5)) is None


def test_what_was_said_most() -> None:
    assert figures.commonest(floats(7, 1, 1, 7, 2)) == 1
    assert figures.commonest(floats()) is None


def test_days_left_go_on_running() -> None:
    assert figures.days_left(20, 0, 3 * DAY) == 17
    assert figures.mean([None, 2, 4]) == 3
    assert figures.mean([None]) is None


def test_advice_wants_every_figure_that_it_speaks_of() -> None:
    idle = {"cpu_p95": 2.0, "cpu_high": 10.0, "memory_p95": 20.0, "coverage": 100.0, "days": 31.0}
    assert [rule.id for rule in capacity.advice("host", idle)] == ["host-cpu-smaller"]
    for name in idle:
        assert capacity.advice("host", {**idle, name: None}) == []
    assert capacity.advice("host", {**idle, "cpu_high": 20.0}) == [], "below, not at"
    assert capacity.advice("host", {**idle, "days": 13.0}) == [], "too short to say"
    assert capacity.advice("host", {"cpu_p95": 80.0}) == []
    assert capacity.advice("host", {"cpu_p95": 80.1})[0].id == "host-cpu-larger"


def test_a_rule_that_speaks_of_what_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.csv"
    path.write_text("id,of,when,advice_zh,advice_en\nx,host,moon > 1,a,b\n", encoding="utf-8")
    with pytest.raises(ValueError, match="moon"):
        capacity.load(path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("select *\n from t1  where a='x''y' and b in (1, 2.5)", "select * from t1 where a=? and b in (?, ?)"),
        (r"""select "a\"b", 0xFF, -3 from `c1`.x2""", "select ?, ?, -? from `c1`.x2"),
        ("select 1" + " " * 400, "select ?"),
    ],
)
def test_values_stay_where_they_are(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_long_statement_is_cut() -> None:
    assert len(masked("select " + "a, " * 500)) == 300


def test_days_of_a_statement_come_together_and_what_took_longest_comes_first() -> None:
    days = [Slow("db", "shop", "k", "t", 2, 10.0, 6.0, 5), Slow("db", "shop", "k", "t", 3, 5.0, 9.0, 7)]
    other = Slow("db", "crm", "k", "t", 0, 20.0, 20.0, 1)
    assert together([*days, other]) == [other, Slow("db", "shop", "k", "t", 5, 15.0, 9.0, 12)]
    assert other.mean_s is None
    assert together(days)[0].mean_s == 3
