"""What graphs show beside alarms: which events and windows of quiet a stretch of time has, and whose they are."""

from __future__ import annotations

from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from accounts import scope
from accounts.models import Customer, User
from accounts.windows import Once, Weekly
from assets.models import Asset, CloudAccount
from monitoring.matching import Scope
from monitoring.models import Event
from monitoring.services import events, marks, silences
from monitoring.services.graphs import Window
from tests.conftest import ClientFor
from tests.monitoring.samples import START, minute, server
from tests.monitoring.test_silences import quiet

pytestmark = pytest.mark.django_db
HOUR = Window(minute(0), minute(60), 60)


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def happened(customer: Customer, at: float, ends: float | None = None, **more: Any) -> Event:
    with scope.customer(customer):
        found = events.record(
            customer=customer, key=f"e:{Event.objects.count()}", source=more.pop("source", "cloud"), kind="reboot",
            title_zh=f"事件 {at:g}", title_en=f"event {at:g}", occurred_at=minute(at), now=minute(at),
            ends_at=None if ends is None else minute(ends), **more,
        )  # fmt: skip
    assert found is not None
    return found


def account_of(customer: Customer, name: str) -> CloudAccount:
    with scope.customer(customer):
        made: CloudAccount = CloudAccount.objects.create(
            customer=customer, name=name, account_uid=name, access_key_id="LTAI", created_at=START
        )
        return made


def drawn(asset: Asset, view: Window = HOUR) -> list[tuple[str, float, float | None]]:
    """Kind, beginning and end of each mark, in minutes."""

    def minutes(ms: int) -> float:
        return (ms / 1000 - START.timestamp()) / 60

    with scope.customer(asset.customer_id):
        found = [mark.as_json() for mark in marks.of_asset(asset, view)]
    return [(one["kind"], minutes(one["from"]), None if one["to"] is None else minutes(one["to"])) for one in found]


# --- events --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "ends", "is_drawn"),
    [
        (-10, None, False),
        (-10, -1, False),
        (-10, 0, True),
        (-10, 5, True),
        (-10, 90, True),
        (0, None, True),
        (30, 45, True),
        (60, None, True),
        (61, None, False),
        (61, 90, False),
    ],
)
def test_an_event_is_drawn_where_it_reaches_into_the_window(
    jia: Customer, web: Asset, at: float, ends: float | None, is_drawn: bool
) -> None:
    happened(jia, at, ends, asset=web)
    assert drawn(web) == ([("cloud", at, ends)] if is_drawn else [])


def test_marks_come_in_the_order_of_time_and_without_what_was_called_off(jia: Customer, web: Asset) -> None:
    happened(jia, 40, 50, asset=web, source="maintenance")
    happened(jia, 10, asset=web)
    off = happened(jia, 20, asset=web)
    with scope.customer(jia):
        events.close(event=off, at=minute(21), now=minute(21), cancelled=True)
    assert drawn(web) == [("cloud", 10, None), ("maintenance", 40, 50)]


def test_events_are_those_of_the_asset_and_of_its_account_as_a_whole(jia: Customer, web: Asset) -> None:
    mine, other = account_of(jia, "mine"), account_of(jia, "other")
    ecs = server(jia, "ecs-01", kind="ecs", cloud_account=mine, provider_id="i-1")
    sister = server(jia, "ecs-02", kind="ecs", cloud_account=mine, provider_id="i-2")
    happened(jia, 1, asset=ecs, cloud_account=mine)
    happened(jia, 2, cloud_account=mine)
    happened(jia, 3, asset=sister, cloud_account=mine)
    happened(jia, 4, cloud_account=other)
    happened(jia, 5, asset=web)
    assert [at for _kind, at, _end in drawn(ecs)] == [1, 2]
    assert [at for _kind, at, _end in drawn(web)] == [5], "an asset without an account has no account's events"


# --- windows of quiet ----------------------------------------------------------------------------------------------


def test_a_silence_is_drawn_from_when_it_was_made_until_it_was_ended(jia: Customer, web: Asset, chen: User) -> None:
    silence = quiet(jia, chen, start=-30, end=120, now=10)
    assert drawn(web) == [("silence", 10, 120)]
    with scope.customer(jia):
        silences.end(silence=silence, actor=chen, now=minute(40))
    assert drawn(web) == [("silence", 10, 40)]
    assert drawn(web, Window(minute(-60), minute(10), 60)) == [], "it did not exist yet"
    assert drawn(web, Window(minute(41), minute(60), 60)) == [], "it was over"


def test_only_quiet_that_means_the_whole_asset_is_drawn(jia: Customer, web: Asset, chen: User) -> None:
    other = server(jia, "web-02")
    quiet(jia, chen, start=1, end=2, about=Scope(asset_ids=frozenset({web.pk})))
    quiet(jia, chen, start=3, end=4, about=Scope(asset_ids=frozenset({other.pk})))
    quiet(jia, chen, start=5, end=6, about=Scope(rule_ids=frozenset({"host-cpu-util"})))
    quiet(jia, chen, start=7, end=8)
    assert drawn(web) == [("silence", 1, 2), ("silence", 7, 8)]
    assert drawn(other) == [("silence", 3, 4), ("silence", 7, 8)]


def test_a_silence_of_every_night_has_a_mark_for_each_in_the_window(jia: Customer, web: Asset, chen: User) -> None:
    night = Weekly(frozenset(range(7)), time(11), time(11, 30), ZoneInfo("Asia/Shanghai"))  # 03:00 UTC: minute 60
    quiet(jia, chen, windows=[night])
    days = Window(minute(0), minute(3 * 1440), 1800)
    assert drawn(web, days) == [("silence", 60 + day * 1440, 90 + day * 1440) for day in range(3)]
    assert drawn(web, Window(minute(0), minute(60), 60)) == [], "a window is half open"
    assert drawn(web, Window(minute(90), minute(120), 60)) == []


def test_two_windows_of_one_silence_are_two_marks(jia: Customer, web: Asset, chen: User) -> None:
    quiet(jia, chen, windows=[Once(minute(5), minute(10)), Once(minute(20), minute(25)), Once(minute(70), minute(80))])
    assert drawn(web) == [("silence", 5, 10), ("silence", 20, 25)]


# --- whose ---------------------------------------------------------------------------------------------------------


def test_nothing_of_another_customer_is_drawn_even_to_who_may_see_both(
    jia: Customer, yi: Customer, web: Asset, chen: User
) -> None:
    theirs = server(yi, "theirs")
    happened(yi, 5, asset=theirs)
    with scope.platform("test"):
        quiet(yi, chen, start=10, end=20)
        assert marks.of_asset(web, HOUR) == []
        assert [mark.kind for mark in marks.of_asset(theirs, HOUR)] == ["cloud", "silence"]


def test_the_address_of_the_marks_is_closed_to_other_customers(
    jia: Customer, web: Asset, alice: User, eve: User, client_for: ClientFor
) -> None:
    happened(jia, 5, asset=web)
    happened(jia, 500, asset=web)
    start, end = (round(minute(at).timestamp() * 1000) for at in (0, 60))
    address = f"/monitoring/graphs/{web.pk}/marks/?start={start}&end={end}"
    answer = client_for(alice).get(address)
    assert [one["from"] for one in answer.json()["marks"]] == [round(minute(5).timestamp() * 1000)]
    assert "no-store" in answer["Cache-Control"]
    assert client_for(eve).get(address).status_code == 404
