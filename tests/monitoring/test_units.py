"""Figures as people read them."""

import numpy as np
import pytest

from monitoring.sparkline import HEIGHT, WIDTH, draw
from monitoring.units import shown


@pytest.mark.parametrize(
    ("value", "unit", "metric", "text"),
    [
        (97.234, "%", "", "97.2 %"),
        (3.5 * 1024**3, "B", "", "3.5 GiB"),
        (2_500_000.0, "bit/s", "", "2.5 Mbit/s"),
        (3.0, "count/s", "", "3 /s"),
        (6.1, "load/core", "", "6.1"),
        (2.0, "", "port.result_code", "连接被拒绝"),
        (9.0, "", "port.result_code", "9"),
        (None, "%", "", "—"),
    ],
)
def test_a_figure_reads_naturally(value: float | None, unit: str, metric: str, text: str) -> None:
    assert shown(value, unit, metric=metric) == text


def test_codes_have_english_names_too() -> None:
    assert shown(2.0, metric="port.result_code", language="en") == "refused"


def test_a_line_is_broken_where_data_is_missing_and_stays_within_its_box() -> None:
    ts = np.array([0, 1, 2, 3, 20, 21, 22]) * 60_000
    line = draw(ts, np.arange(7.0), span=(0, int(ts[-1])), stretch=(120_000, 10**9), limit=5.0)
    assert [len(part.split()) for part in line.lines] == [4, 3]
    points = [tuple(map(float, point.split(","))) for part in line.lines for point in part.split()]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert (line.to_x, line.limit_y is not None) == (WIDTH, True)


def test_a_line_without_points_is_empty() -> None:
    assert draw(np.empty(0, np.int64), np.empty(0), span=(0, 1), stretch=(0, 1)).lines == ()
