"""What the SOW wants found in databases without naming a figure (R48): long queries, deadlocks, temporary files."""

from __future__ import annotations

import pytest

from monitoring.rules import RULES, SOW_RULES
from tests.monitoring.test_evaluate import MINUTE, Memory, minutes, plan_for


@pytest.mark.parametrize("rule", ["mysql-long-queries", "postgresql-long-queries"])
def test_a_query_that_is_long_three_times_in_a_row_alarms_until_there_is_none(rule: str) -> None:
    memory = Memory.of(plan_for(rule))
    assert memory.feed(*minutes(1, 1, 1, 0, 1, 1)) == []
    assert memory.feed(*minutes(1, 2, start=5)) == [("open", 5 * MINUTE)]
    assert memory.feed(*minutes(1, 0, 0, 0, start=6)) == [("close", 8 * MINUTE)]


@pytest.mark.parametrize("rule", ["mysql-deadlocks", "postgresql-deadlocks"])
def test_each_new_deadlock_alarms_and_ten_minutes_without_one_is_recovery(rule: str) -> None:
    memory = Memory.of(plan_for(rule))
    assert memory.feed(*minutes(1, 4, 4, 4)) == [], "those from before the first look"
    assert memory.feed(*minutes(1, 5, start=3)) == [("open", 3 * MINUTE)]
    assert memory.feed(*minutes(1, *[5] * 10, start=4)) == [("close", 13 * MINUTE)]
    assert memory.feed(*minutes(1, 0, 0, start=14)) == [], "a restart of the server is no deadlock"


def test_they_are_ours_and_say_why_and_the_one_without_a_sound_figure_is_off() -> None:
    ours = [rule for rule in RULES.values() if rule.id.endswith(("-deadlocks", "-long-queries", "-tmp-disk-tables"))]
    assert len(ours) == 6
    assert not {rule.id for rule in ours} & SOW_RULES.keys()
    assert all("R48" in rule.reason_zh and "R48" in rule.reason_en for rule in ours)
    assert [rule.id for rule in ours if not rule.enabled] == ["mysql-tmp-disk-tables"]
