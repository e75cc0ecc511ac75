"""Who may connect, by what, until when: the decision by itself."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.windows import Weekly
from bastion.access import FULL, Decision, Denial, Protocol, Terms, decide, usable_accounts
from bastion.gateway.contract import Action

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
"""A Monday, 10:00 in Shanghai."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ZONE = ZoneInfo("Asia/Shanghai")
WORK = Weekly(frozenset({0, 1, 2, 3, 4}), time(9), time(18), ZONE)
NIGHT = Weekly(frozenset({0}), time(22), time(6), ZONE)
SSH = frozenset({Protocol.SSH})
CONNECT = frozenset({Action.CONNECT})


def ask(*grants: Terms, account: str = "trops", protocol: Protocol = Protocol.SSH, at: datetime = NOW) -> Decision:
    return decide(grants, protocol=protocol, account=account, at=at)


def test_nobody_without_a_grant() -> None:
    assert ask().denial is Denial.NO_GRANT


@pytest.mark.parametrize(
    ("grant", "denial"),
    [
        (Terms(CONNECT, SSH, until=NOW), Denial.ENDED),
        (Terms(CONNECT, SSH, since=NOW + HOUR), Denial.NOT_YET),
        (Terms(CONNECT, frozenset({Protocol.MYSQL})), Denial.OTHER_PROTOCOL),
        (Terms(CONNECT, SSH, frozenset({"www"})), Denial.OTHER_ACCOUNT),
        (Terms(CONNECT, SSH, windows=(NIGHT,)), Denial.OUTSIDE_WINDOW),
        (Terms(frozenset({Action.DOWNLOAD}), SSH), Denial.NO_CONNECT),
    ],
)
def test_each_limit_of_a_grant_denies_and_says_so(grant: Terms, denial: Denial) -> None:
    assert ask(grant).denial is denial


def test_the_nearest_grant_says_why_not_and_when() -> None:
    found = ask(Terms(CONNECT, SSH, until=NOW), Terms(CONNECT, SSH, windows=(NIGHT,)))
    assert found.denial is Denial.OUTSIDE_WINDOW
    assert found.opens_at == datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


def test_actions_of_all_that_holds_now_add_up() -> None:
    found = ask(
        Terms(CONNECT, SSH),
        Terms(frozenset({Action.UPLOAD}), SSH),
        Terms(frozenset({Action.FORWARD}), SSH, until=NOW),
        Terms(frozenset({Action.DOWNLOAD}), SSH, frozenset({"www"})),
    )
    assert found.actions == {Action.CONNECT, Action.UPLOAD}


def test_a_session_ends_with_its_window() -> None:
    assert ask(Terms(CONNECT, SSH, windows=(WORK,))).ends_at == datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def test_it_ends_with_the_date_when_that_comes_first() -> None:
    assert ask(Terms(CONNECT, SSH, until=NOW + HOUR, windows=(WORK,))).ends_at == NOW + HOUR


def test_where_one_grant_ends_another_carries_on() -> None:
    first, second = Terms(CONNECT, SSH, until=NOW + HOUR), Terms(CONNECT, SSH, since=NOW + HOUR, until=NOW + 3 * HOUR)
    assert ask(first, second).ends_at == NOW + 3 * HOUR
    assert ask(first, Terms(CONNECT, SSH)).ends_at is None


def test_a_gap_between_grants_ends_the_session() -> None:
    later = Terms(CONNECT, SSH, since=NOW + 2 * HOUR)
    assert ask(Terms(CONNECT, SSH, until=NOW + HOUR), later).ends_at == NOW + HOUR


def test_administrators_use_everything() -> None:
    found = ask(FULL, account="whatever", protocol=Protocol.RDP)
    assert found.is_allowed
    assert found.actions == frozenset(Action)
    assert found.ends_at is None


def test_accounts_that_may_be_used_are_offered_in_their_order() -> None:
    grants = (Terms(CONNECT, SSH, frozenset({"xxadmin", "www"})),)
    assert usable_accounts(grants, ["trops", "xxadmin", "www"], protocol=Protocol.SSH, at=NOW) == ["xxadmin", "www"]


MOMENTS = st.integers(-72, 72).map(lambda hours: NOW + hours * HOUR)
GRANTS = st.builds(
    Terms,
    actions=st.frozensets(st.sampled_from(Action)),
    protocols=st.frozensets(st.sampled_from(Protocol)),
    accounts=st.frozensets(st.sampled_from(["trops", "xxadmin", "www"])),
    since=st.none() | MOMENTS,
    until=st.none() | MOMENTS,
    windows=st.lists(st.sampled_from([WORK, NIGHT]), max_size=2).map(tuple),
)


@given(st.lists(GRANTS, max_size=5), st.sampled_from(Protocol), MOMENTS)
def test_more_grants_never_take_a_right_away(grants: list[Terms], protocol: Protocol, at: datetime) -> None:
    some, more = (decide(part, protocol=protocol, account="trops", at=at) for part in (grants[:-1], grants))
    assert some.actions <= more.actions
    if some.is_allowed:
        assert more.is_allowed
        assert more.ends_at is None or (some.ends_at is not None and more.ends_at >= some.ends_at)


@given(st.lists(GRANTS, max_size=5), st.sampled_from(Protocol), MOMENTS)
def test_who_is_let_in_is_let_in_until_the_end_that_was_told(
    grants: list[Terms], protocol: Protocol, at: datetime
) -> None:
    found = decide(grants, protocol=protocol, account="trops", at=at)
    if found.is_allowed and found.ends_at is not None:
        assert found.ends_at > at
        assert decide(grants, protocol=protocol, account="trops", at=found.ends_at - timedelta(seconds=1)).is_allowed
        assert not decide(grants, protocol=protocol, account="trops", at=found.ends_at).is_allowed
