"""Reading Prometheus text: what real exporters write, and what must be refused."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

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


NAMES = st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True)
LABEL_NAMES = st.from_regex(r"(?!__)[a-z_][a-z0-9_]{0,5}", fullmatch=True)
"""Those that begin with two underscores are Prometheus's own: its parser refuses them."""
TEXTS = st.text(
    st.characters(exclude_characters="\x00\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", codec="utf-8"), max_size=8
)
SERIES = st.tuples(NAMES, st.dictionaries(LABEL_NAMES, TEXTS, max_size=3))
ENDS = st.sampled_from(["", "", "", " 1395066363000"])
LINES = st.lists(st.tuples(SERIES, st.floats().map(repr) | st.sampled_from(["NaN", "+Inf", "-Inf", "8e+06"]), ENDS))


def written(series: tuple[str, Mapping[str, str]], value: str, end: str = "") -> str:
    name, labels = series
    inner = ",".join(
        '{}="{}"'.format(label, text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
        for label, text in labels.items()
    )
    return f"{name}{{{inner}}} {value}{end}" if labels else f"{name} {value}{end}"


def theirs(text: str) -> list[tuple[object, bytes]]:
    """What prometheus_client reads: series and the value's bits, so that NaN equals NaN."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return [((sample.name, tuple(sorted(sample.labels.items()))), struct.pack("d", sample.value)) for sample in samples]


def ours(parser: Parser[object], text: str, source: object) -> list[tuple[object, bytes]]:
    page = parser.parse(text, source=source)
    return [(series, struct.pack("d", value)) for series, value in zip(page.series, page.values, strict=True)]


@given(st.lists(LINES, min_size=1, max_size=4), st.data())
def test_pages_of_one_host_read_as_prometheus_reads_them_however_they_change(
    pages: list[list[tuple[tuple[str, dict[str, str]], str, str]]], data: st.DataObject
) -> None:
    parser: Parser[object] = Parser(everything)
    for lines in pages:
        others = [(series, data.draw(st.floats().map(repr)), end) for series, _, end in lines]
        for turn in (lines, others, data.draw(st.permutations(lines))):
            text = "".join(written(*line) + "\n" for line in turn)
            assert sorted(ours(parser, text, "host"), key=repr) == sorted(theirs(text), key=repr)


@pytest.mark.parametrize(
    "changed",
    [
        NODE_EXPORTER.replace('cpu="0",mode="idle"', 'mode="idle",cpu="0"'),
        NODE_EXPORTER.replace("node_load1 0.21", "node_load1 0.21 1395066363000"),
        NODE_EXPORTER.replace("node_load1 0.21\n", "node_load1 NaN\nnode_load5 0.5\n"),
        NODE_EXPORTER.replace("# TYPE node_cpu_seconds_total counter\n", ""),
        NODE_EXPORTER.replace("go_gc_duration_seconds_count 55", "go_gc_duration_seconds_sum 5"),
        "".join(reversed(NODE_EXPORTER.splitlines(keepends=True))),
        NODE_EXPORTER.replace("\n", "\r\n"),
    ],
)
def test_a_page_that_changes_its_layout_is_read_anew(changed: str) -> None:
    parser: Parser[object] = Parser(everything)
    before = ours(parser, NODE_EXPORTER, "host")
    assert ours(parser, NODE_EXPORTER, "host") == before
    for _ in range(2):
        assert sorted(ours(parser, changed, "host"), key=repr) == sorted(theirs(changed.replace("\r", "")), key=repr)
    assert ours(parser, NODE_EXPORTER, "host") == before


def test_a_zero_byte_is_refused_it_can_be_stored_nowhere() -> None:
    with pytest.raises(ExpositionError, match="zero byte"):
        Parser(everything).parse('up{a="\x00"} 1\n')
