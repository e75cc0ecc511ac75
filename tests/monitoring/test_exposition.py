"""Reading Prometheus text: what real exporters write, and what must be refused."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from monitoring.exposition import ExpositionError, Parser, split_series

NODE_EXPORTER = """\
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 8.0423e+06
node_cpu_seconds_total{cpu="0",mode="iowait"} 1234.56
# HELP go_gc_duration_seconds A summary of the pause duration of garbage collection cycles.
# TYPE go_gc_duration_seconds summary
go_gc_duration_seconds{quantile="0"} 2.1e-05
go_gc_duration_seconds_count 55
node_load1 0.21
"""


def everything(name: str, labels: Mapping[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def only_cpu(name: str, labels: Mapping[str, str]) -> str | None:
    return labels["mode"] if name == "node_cpu_seconds_total" else None


def test_wanted_series_come_back_in_order_with_their_values() -> None:
    page = Parser(only_cpu).parse(NODE_EXPORTER)
    assert page.series == ["idle", "iowait"]
    assert page.values == [8.0423e6, 1234.56]


def test_a_second_page_uses_what_the_first_one_taught() -> None:
    asked: list[str] = []

    def choose(name: str, labels: Mapping[str, str]) -> str:
        asked.append(name)
        return name

    parser = Parser(choose)
    first = parser.parse(NODE_EXPORTER)
    again = parser.parse(NODE_EXPORTER.replace("0.21", "0.99"))
    assert len(asked) == 5
    assert again.series == first.series
    assert again.values[-1] == 0.99


def test_labels_are_unescaped_and_may_hold_spaces_braces_and_commas() -> None:
    text = r'disk{path="C:\\Program Files, {x}",note="a \"b\"\nc"} 1' + "\n"
    page = Parser(everything).parse(text)
    assert page.series == [("disk", (("note", 'a "b"\nc'), ("path", r"C:\Program Files, {x}")))]


@pytest.mark.parametrize("text", ["up 1 1395066363000", "up  1", "up\t1", "  up 1  ", "up{} 1", 'up{a="b",} 1\r'])
def test_unusual_spacing_and_timestamps_are_read(text: str) -> None:
    page = Parser(everything).parse(f"{text}\n{text}\n")
    assert [name for name, _ in page.series] == ["up", "up"]
    assert page.values == [1.0, 1.0]


def test_a_timestamp_is_never_taken_for_the_value_on_the_second_page() -> None:
    parser = Parser(everything)
    parser.parse("up 1 1395066363000\n")
    assert parser.parse("up 1 1395066423000\n").values == [1.0]


def test_nan_and_infinities_are_numbers() -> None:
    values = Parser(everything).parse("a NaN\nb +Inf\nc -Inf\n").values
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html><body>Sign in</body></html>", "does not begin with a metric name"),
        ('up{a="b 1', "not closed"),
        ("up one", "not a number"),
        ("up", "expected a value"),
        ('up{a="b"}', "expected a value"),
        ("up-time 3", "not a metric name"),
    ],
)
def test_what_is_not_the_format_is_refused_with_the_line(text: str, reason: str) -> None:
    with pytest.raises(ExpositionError, match=f"line 2: .*{reason}"):
        Parser(everything).parse(f"ok 1\n{text}\n")


def test_an_exporter_that_invents_labels_does_not_grow_the_memory() -> None:
    parser = Parser(everything, max_known=100)
    for number in range(1000):
        parser.parse(f'hit{{id="{number}"}} 1\n')
    assert len(parser._known) <= 100


def test_an_empty_page_is_empty() -> None:
    assert Parser(everything).parse("").series == []


def test_a_series_is_split_into_name_labels_and_rest() -> None:
    assert split_series('a{b="c"} 1') == ("a", {"b": "c"}, " 1")
