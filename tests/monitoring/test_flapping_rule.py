"""When coming and going becomes flapping, as pure questions."""

from datetime import timedelta

from monitoring.flapping import Policy, is_flapping, quiet_at, reminder_at
from tests.monitoring.samples import START, minute

POLICY = Policy(changes=4, window=timedelta(hours=1), quiet=timedelta(minutes=30))


def test_it_takes_so_many_changes_within_the_window() -> None:
    assert not is_flapping([minute(at) for at in (0, 10, 20)], minute(20), POLICY)
    assert is_flapping([minute(at) for at in (0, 10, 20, 30)], minute(30), POLICY)


def test_changes_before_the_window_do_not_count() -> None:
    changes = [minute(at) for at in (0, 30, 40, 60)]
    assert not is_flapping(changes, minute(60), POLICY)
    assert is_flapping(changes, minute(60) - timedelta(seconds=1), POLICY) is False
    assert is_flapping([minute(1), *changes[1:]], minute(60), POLICY)


def test_what_comes_later_does_not_count() -> None:
    assert not is_flapping([minute(at) for at in (0, 10, 20, 30)], minute(29), POLICY)


def test_it_has_been_quiet_half_an_hour_after_the_last_change() -> None:
    assert quiet_at(minute(10), POLICY) == minute(40)


def test_reminders_come_ever_more_seldom_but_not_without_limit() -> None:
    policy = Policy(first=timedelta(hours=1), factor=2, longest=timedelta(hours=4))
    at = [(reminder_at(START, sent, policy) - START) / timedelta(hours=1) for sent in range(5)]
    assert at == [1, 3, 7, 11, 15]
