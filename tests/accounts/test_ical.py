"""Calendars as RFC 5545 wants them written."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from accounts.ical import Event, calendar

START = datetime(2026, 3, 2, 9, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


def read(content: bytes) -> list[tuple[str, str]]:
    """Unfold and split, as a calendar program does."""
    assert content.endswith(b"\r\n")
    lines: list[str] = []
    for line in content.decode().split("\r\n")[:-1]:
        if line.startswith(" "):
            lines[-1] += line[1:]
        else:
            lines.append(line)
    return [(name, value) for name, _colon, value in (line.partition(":") for line in lines)]


def event(summary: str) -> Event:
    return Event("7@rdmp", START, START + timedelta(hours=24), summary)


def test_times_are_utc_and_lines_are_folded_at_75_octets() -> None:
    content = calendar("排班", [event("第一响应者 · " + "很长的名字" * 20)], now=START)
    assert all(len(line) <= 75 for line in content.split(b"\r\n"))
    lines = dict(read(content))
    assert (lines["DTSTART"], lines["DTEND"]) == ("20260302T010000Z", "20260303T010000Z")
    assert lines["SUMMARY"] == "第一响应者 · " + "很长的名字" * 20


def test_a_name_cannot_write_lines_of_its_own() -> None:
    content = calendar("x", [event("a\r\nEND:VCALENDAR\r\nX-EVIL:1;2,3\\")], now=START)
    names = [name for name, _value in read(content)]
    assert names.count("END") == 2
    assert "X-EVIL" not in names
    assert dict(read(content))["SUMMARY"] == r"a\nEND:VCALENDAR\nX-EVIL:1\;2\,3\\"


@given(st.text())
def test_whatever_stands_in_a_name_one_event_stays_one(summary: str) -> None:
    names = [name for name, _value in read(calendar("x", [event(summary)], now=START))]
    assert names.count("BEGIN") == names.count("END") == 2
