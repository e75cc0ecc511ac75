"""Boxes of dashboards: what can be read is what was written, and nonsense is refused by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.overview import Condition, Tile, condition_of, matrix
from monitoring.widgets import COLUMNS, Widget, WidgetError, WidgetKind, free_place, parse, rearranged

BOX: dict[str, Any] = {"id": "abcd", "kind": "health", "x": 0, "y": 0, "w": 6, "h": 3}


def test_what_is_written_is_read_again() -> None:
    widgets = (
        Widget("graf1", WidgetKind.GRAPH, 0, 0, 6, 4, title="CPU", assets=(7,), panel="cpu"),
        Widget("many1", WidgetKind.COMPARE, 6, 0, 6, 4, assets=(7, 8), metric="host.cpu.util"),
        Widget("note1", WidgetKind.NOTE, 0, 4, 3, 2, text="大促"),
    )
    assert parse([one.as_json() for one in widgets]) == widgets


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"kind": "pie"}, "kind", "choice"),
        ({"x": 7}, "w", "range"),
        ({"x": -1}, "x", "range"),
        ({"w": 0}, "w", "range"),
        ({"h": True}, "h", "range"),
        ({"id": "<b>"}, "id", "choice"),
        ({"title": "a" * 101}, "title", "text"),
        ({"title": "a\x00"}, "title", "text"),
        ({"colour": "red"}, "widget", "unknown_field"),
        ({"kind": "graph", "panel": "cpu"}, "assets", "required"),
        ({"kind": "graph", "assets": [1]}, "panel", "required"),
        ({"kind": "graph", "assets": [1], "panel": "none-such"}, "panel", "choice"),
        ({"kind": "graph", "assets": [1, 2], "panel": "cpu"}, "assets", "too_many"),
        ({"kind": "graph", "assets": ["1"], "panel": "cpu"}, "assets", "choice"),
        ({"kind": "top", "metric": "no.such"}, "metric", "choice"),
        ({"kind": "note", "text": "  "}, "text", "required"),
    ],
)
def test_nonsense_is_refused_by_field(change: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(WidgetError) as refused:
        parse([BOX | change])
    assert (refused.value.place, refused.value.field, refused.value.code) == (1, field, code)


@pytest.mark.parametrize("rows", [None, {}, "[]", [BOX, BOX], [BOX] * 41, [3]])
def test_what_is_no_list_of_boxes_is_refused(rows: object) -> None:
    with pytest.raises(WidgetError):
        parse(rows)


def test_boxes_move_and_those_not_named_go() -> None:
    there = parse([BOX, BOX | {"id": "efgh", "y": 3}])
    moved = rearranged(there, [{"id": "efgh", "x": 3, "y": 1, "w": 4, "h": 2}])
    assert [(one.id, one.x, one.y, one.w, one.h) for one in moved] == [("efgh", 3, 1, 4, 2)]


@pytest.mark.parametrize(
    "places",
    [None, [{"id": "none", "x": 0, "y": 0, "w": 1, "h": 1}], [{"id": "abcd"}], [BOX], [BOX | {"x": 99}]],
)
def test_places_of_what_is_not_there_are_refused(places: object) -> None:
    with pytest.raises(WidgetError):
        rearranged(parse([BOX]), places)


@given(st.lists(st.tuples(st.integers(1, COLUMNS), st.integers(1, 6)), max_size=12))
def test_a_new_box_never_lies_on_another(sizes: list[tuple[int, int]]) -> None:
    placed: list[Widget] = []
    taken: set[tuple[int, int]] = set()
    for number, (w, h) in enumerate(sizes):
        x, y = free_place(placed, w, h)
        cells = {(x + right, y + down) for right in range(w) for down in range(h)}
        assert x + w <= COLUMNS
        assert not cells & taken
        taken |= cells
        placed.append(Widget(f"box{number}", WidgetKind.HEALTH, x, y, w, h))


@pytest.mark.parametrize(
    ("worst", "watched", "blind", "condition"),
    [
        (1, True, True, Condition.DISASTER),
        (4, True, False, Condition.WARNING),
        (None, True, True, Condition.BLIND),
        (None, True, False, Condition.OK),
        (None, False, False, Condition.UNWATCHED),
    ],
)
def test_an_open_alert_says_more_than_a_collector_in_trouble(
    worst: int | None, watched: bool, blind: bool, condition: Condition
) -> None:
    assert condition_of(worst_severity=worst, is_watched=watched, is_blind=blind) is condition


def test_what_is_silenced_is_neither_bad_nor_fine() -> None:
    assert condition_of(worst_severity=None, is_watched=True, is_blind=False, is_quiet=True) is Condition.QUIET
    assert condition_of(worst_severity=2, is_watched=True, is_blind=False, is_quiet=True) is Condition.HIGH


def test_the_table_puts_customers_in_trouble_first_and_leaves_out_kinds_that_nobody_has() -> None:
    tiles = [
        Tile(1, 10, "ecs", "a", Condition.OK),
        Tile(2, 10, "rds", "b", Condition.WARNING, 1),
        Tile(3, 20, "ecs", "c", Condition.DISASTER, 2),
        Tile(4, 20, "ecs", "d", Condition.UNWATCHED),
    ]
    found = matrix(tiles, ["ecs", "slb", "rds"])
    assert found.kinds == ("ecs", "rds")
    assert [row.customer_id for row in found.rows] == [20, 10]
    ecs, rds = found.rows[0].cells
    assert ecs is not None
    assert (ecs.worst, ecs.bad, ecs.total) == (Condition.DISASTER, 1, 2)
    assert rds is None
