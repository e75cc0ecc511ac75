"""Durable timers: each acts exactly once, and none is lost."""

import logging
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import scope
from accounts.models import Customer
from tests.conftest import NOW
from tests.timers.bells import rings
from timers import services
from timers.models import Timer

MINUTE = timedelta(minutes=1)


def arm(
    customer: Customer | None, name: str, due_at: datetime = NOW, task: str = "bells.ring", **args: int | str
) -> Timer:
    services.set(key=f"bell:{name}:", due_at=due_at, task=task, args={"name": name, **args}, customer=customer)
    return timer(name)


def timer(name: str) -> Timer:
    with scope.platform("test"):
        found: Timer = Timer.objects.get(key=f"bell:{name}:")
        return found


def sweep(now: datetime) -> list[int]:
    with scope.platform("test"):
        return list(services.claim(now=now))


def fire(which: Timer | int, now: datetime = NOW) -> bool:
    with scope.platform("test"):
        return services.fire(timer_id=which if isinstance(which, int) else which.pk, now=now)


def run(now: datetime) -> int:
    """A sweep and a worker without any queue between them; returns how many timers acted."""
    return sum(fire(timer_id, now) for timer_id in sweep(now))


def test_a_timer_acts_when_it_is_due_and_not_before(jia: Customer) -> None:
    arm(jia, "tea", NOW + MINUTE)
    assert run(NOW) == 0
    assert run(NOW + MINUTE) == 1
    assert rings(jia) == ["tea"]


def test_the_task_learns_when_it_was_due_and_runs_in_the_customers_scope(jia: Customer, yi: Customer) -> None:
    arm(yi, "own scope")  # the bell writes with the one customer that its scope names
    assert run(NOW) == 1
    assert (rings(jia), rings(yi)) == ([], ["own scope"])


def test_a_timer_that_fired_says_when_and_how_late(jia: Customer) -> None:
    late = arm(jia, "late", NOW - 3 * MINUTE)
    assert late.lateness_s is None
    assert fire(late)
    assert timer("late").fired_at == NOW
    assert timer("late").lateness_s == 180


@pytest.mark.parametrize(("late_by", "is_said"), [(timedelta(seconds=9), False), (timedelta(seconds=90), True)])
def test_a_late_timer_says_so_in_the_log(
    jia: Customer, caplog: pytest.LogCaptureFixture, late_by: timedelta, is_said: bool
) -> None:
    with caplog.at_level(logging.WARNING, "timers.services"):
        assert fire(arm(jia, "late"), NOW + late_by)
    assert ("bell:late: fires 90 s late" in caplog.text) == is_said


def test_a_message_that_comes_twice_acts_once(jia: Customer) -> None:
    bell = arm(jia, "once")
    assert [fire(bell), fire(bell), fire(bell)] == [True, False, False]
    assert rings(jia) == ["once"]


def test_messages_in_any_order_and_for_nobody_do_no_harm(jia: Customer) -> None:
    first, second = arm(jia, "first", NOW - MINUTE), arm(jia, "second")
    assert [fire(which) for which in (second, 0, first, second.pk + 1000, second)] == [True, False, True, False, False]
    assert rings(jia) == ["second", "first"]


def test_a_message_that_comes_before_its_time_does_nothing(jia: Customer) -> None:
    assert not fire(arm(jia, "early", NOW + MINUTE))
    assert rings(jia) == []


def test_a_clock_that_jumps_forward_fires_each_timer_once(jia: Customer) -> None:
    for hour in range(24):
        arm(jia, f"{hour:02} o'clock", NOW + timedelta(hours=hour))
    assert run(NOW) == 1
    tomorrow = NOW + timedelta(days=2)
    assert run(tomorrow) == 23
    assert run(tomorrow) == run(tomorrow + timedelta(days=365)) == 0
    assert rings(jia) == [f"{hour:02} o'clock" for hour in range(24)]


def test_a_clock_that_jumps_back_fires_nothing_again_and_loses_nothing(jia: Customer) -> None:
    arm(jia, "before", NOW)
    arm(jia, "after", NOW + MINUTE)
    assert run(NOW) == 1
    assert run(NOW - timedelta(hours=1)) == 0
    assert run(NOW + MINUTE) == 1
    assert rings(jia) == ["before", "after"]


def test_what_a_dead_worker_held_is_claimed_again_when_the_lease_is_over(jia: Customer) -> None:
    bell = arm(jia, "held")
    assert sweep(NOW) == [bell.pk]
    assert sweep(NOW) == sweep(NOW + services.LEASE - timedelta(seconds=1)) == []
    assert sweep(NOW + services.LEASE) == [bell.pk]
    assert fire(bell, NOW + services.LEASE)


def test_a_sweep_takes_the_oldest_first_and_leaves_the_rest_to_the_next(jia: Customer) -> None:
    later, sooner = arm(jia, "later", NOW - MINUTE), arm(jia, "sooner", NOW - 2 * MINUTE)
    with scope.platform("test"):
        assert list(services.claim(now=NOW, limit=1)) == [sooner.pk]
        assert list(services.claim(now=NOW, limit=1)) == [later.pk]


def test_arming_again_replaces_when_and_what_and_keeps_one_row(jia: Customer) -> None:
    first = arm(jia, "tea", NOW)
    sweep(NOW)
    second = arm(jia, "tea", NOW + MINUTE)
    assert second.pk == first.pk
    assert second.leased_until is None
    assert not fire(second, NOW)
    assert fire(second, NOW + MINUTE)


def test_arming_a_timer_that_fired_revives_it(jia: Customer) -> None:
    assert fire(arm(jia, "tea"))
    assert fire(arm(jia, "tea", NOW + MINUTE), NOW + MINUTE)
    assert rings(jia) == ["tea", "tea"]


def test_a_task_may_arm_its_own_timer_again(jia: Customer) -> None:
    next_at = NOW + MINUTE
    assert fire(arm(jia, "step", task="bells.ring_again", next_at=next_at.isoformat()))
    assert rings(jia) == ["step"]
    assert run(NOW) == 0
    assert timer("step").fired_at is None
    assert run(next_at) == 1
    assert rings(jia) == ["step", "step again"]


def test_a_task_may_cancel_a_group_of_timers_with_its_own_among_them(jia: Customer) -> None:
    last = arm(jia, "last word", task="bells.silence_all")
    arm(jia, "another", NOW + MINUTE)
    assert fire(last)
    assert rings(jia) == ["last word"]
    assert timer("last word").fired_at == NOW
    assert run(NOW + MINUTE) == 0


def test_cancelling_forgets_the_group_and_nothing_else(jia: Customer) -> None:
    for name in ("7:warn", "7:breach", "70:warn"):
        arm(jia, name)
    assert services.cancel(prefix="bell:7:") == 2
    assert run(NOW) == 1
    assert rings(jia) == ["70:warn"]


def test_a_prefix_is_text_and_no_pattern(jia: Customer) -> None:
    arm(jia, "a_b")
    arm(jia, "axb")
    assert services.cancel(prefix="bell:a_") == 1
    assert services.cancel(prefix="%") == 0


def test_cancelling_leaves_the_record_of_what_has_fired(jia: Customer) -> None:
    assert fire(arm(jia, "done"))
    assert services.cancel(prefix="bell:") == 0
    assert timer("done").fired_at == NOW


def test_a_failing_task_changes_nothing_keeps_its_error_and_comes_back_ever_less_often(
    jia: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    arm(jia, "broken", task="bells.fail")
    now, waits = NOW, []
    for _attempt in range(12):
        assert run(now) == 0
        held = timer("broken")
        assert held.leased_until is not None
        waits.append((held.leased_until - now).total_seconds())
        assert sweep(held.leased_until - timedelta(seconds=1)) == []
        now = held.leased_until
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600]
    assert held.attempts == 12
    assert held.last_error == "RuntimeError: the clapper is broken"
    assert held.fired_at is None
    assert rings(jia) == []
    assert "timer bell:broken: failed" in caplog.text


def test_a_task_that_nobody_knows_is_an_error_on_the_row_and_stops_no_other(jia: Customer) -> None:
    arm(jia, "unknown", task="bells.melted_down")
    arm(jia, "fine")
    assert run(NOW) == 1
    assert "bells.melted_down" in timer("unknown").last_error


def test_a_timer_that_failed_and_was_armed_anew_starts_afresh(jia: Customer) -> None:
    arm(jia, "broken", task="bells.fail")
    run(NOW)
    assert arm(jia, "broken").attempts == 0
    assert timer("broken").last_error == ""
    assert run(NOW) == 1


def test_a_timer_of_the_platform_runs_in_the_platforms_scope(db: None) -> None:
    services.set(key="timers:forget", due_at=NOW, task="bells.fail", args={"name": "x"}, customer=None)
    run(NOW)
    with scope.platform("test"):
        # The bell asks for the one customer of its scope, and finds that there is not one but all of them.
        assert "not enough values to unpack" in Timer.objects.get(key="timers:forget").last_error


def test_timers_that_fired_long_ago_are_forgotten_and_those_that_wait_never(jia: Customer) -> None:
    fire(arm(jia, "old"))
    arm(jia, "waiting")
    much_later = NOW + services.KEPT_AFTER_FIRING + MINUTE
    with scope.platform("test"):
        assert services.forget_fired(now=NOW) == 0
        assert services.forget_fired(now=much_later) == 1
        assert list(Timer.objects.values_list("key", flat=True)) == ["bell:waiting:"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.sampled_from("abc"), st.integers(0, 90)),
        st.tuples(st.just("cancel"), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("claim"), st.just(""), st.just(0)),
        st.tuples(st.just("deliver"), st.just(""), st.integers(0, 5)),
        st.tuples(st.just("lose"), st.just(""), st.just(0)),
        st.tuples(st.just("wait"), st.just(""), st.integers(1, 45)),
    ),
    max_size=25,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_to_the_queue_each_arming_acts_once_or_is_cancelled(
    jia: Customer, steps: list[tuple[str, str, int]]
) -> None:
    """Messages may be lost, doubled and reordered at will; an own account of what must ring is kept beside it."""
    now, queue, armed = NOW, [], dict[str, datetime]()
    services.cancel(prefix="bell:")
    already, expected = len(rings(jia)), 0
    for verb, name, number in steps:
        if verb == "arm":
            armed[name] = now + timedelta(seconds=number)
            arm(jia, name, armed[name])
        elif verb == "cancel":
            armed.pop(name, None)
            services.cancel(prefix=f"bell:{name}:")
        elif verb == "claim":
            queue += sweep(now)
        elif verb == "deliver" and queue:
            which = queue[number % len(queue)]  # left in the queue: it may come again
            due = [name for name, at in armed.items() if timer(name).pk == which and at <= now]
            assert fire(which, now) == bool(due)
            expected += len(due)
            armed = {name: at for name, at in armed.items() if name not in due}
        elif verb == "lose":
            queue.clear()
        elif verb == "wait":
            now += timedelta(seconds=number)
    expected += len(armed)
    for _sweep in range(3):  # past every lease and every due time
        now += timedelta(minutes=2)
        run(now)
    assert len(rings(jia)) - already == expected
