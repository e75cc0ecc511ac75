"""What one person, or one browser that means no good, can take of the web terminal: seats, and questions at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.core.cache import cache

from accounts.models import User
from bastion import terminal_consumer
from bastion.services import seats
from bastion.terminal_consumer import MOST_ASKED, TOO_MUCH, TerminalConsumer


class Browser(TerminalConsumer):
    """What is said to it is kept."""

    def __init__(self, person: User) -> None:
        super().__init__()
        self.scope = {"user": person}
        self.heard: list[Any] = []
        self.codes: list[int | None] = []

    async def accept(self) -> None:
        pass

    async def send(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.heard.append(json.loads(text_data or "null"))

    async def close(self, code: int | None = None) -> None:
        self.codes.append(code)


async def test_a_person_has_so_many_terminals_and_a_closed_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "MOST", 2)
    person = User(pk=11)
    first, second, third, other = (Browser(one) for one in (person, person, person, User(pk=12)))
    for browser in (first, second, third, other):
        await browser.connect()
    assert [one["code"] for one in third.heard] == ["too_many"]
    assert (third.codes, first.codes, second.codes, other.codes) == ([None], [], [], [])
    await third.disconnect(1000)
    await first.disconnect(1000)
    fourth = Browser(person)
    await fourth.connect()
    assert fourth.codes == []
    for browser in (second, fourth, other):
        await browser.disconnect(1000)
    assert await seats.take(person.pk) is not None


async def test_a_seat_of_a_process_that_died_is_free_again() -> None:
    seat = await seats.take(11)
    assert seat is not None
    ttl = cache._cache.get_client(seat).ttl(cache.make_key(seat))  # type: ignore[attr-defined]
    assert 0 < ttl <= seats.KEPT_FOR_S


async def test_questions_about_guests_are_answered_one_after_the_other_and_few_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running, most, asked = 0, 0, 0
    go_on, all_answered = asyncio.Event(), asyncio.Event()

    def now_async(work: Any) -> Any:
        async def answer(said: Mapping[str, object]) -> list[object]:
            nonlocal running, most, asked
            running, asked = running + 1, asked + 1
            most = max(most, running)
            await go_on.wait()
            running -= 1
            if asked == MOST_ASKED:
                all_answered.set()
            return []

        return answer

    monkeypatch.setattr(terminal_consumer, "database_sync_to_async", now_async)
    browser = Browser(User(pk=11))
    await browser.connect()
    browser.stream = object()  # type: ignore[assignment]
    for _ in range(MOST_ASKED):
        await browser.receive(text_data='{"do": "shares"}')
    assert browser.codes == []
    await browser.receive(text_data='{"do": "shares"}')
    assert browser.codes == [TOO_MUCH]
    go_on.set()
    await asyncio.wait_for(all_answered.wait(), 5)
    assert (most, asked) == (1, MOST_ASKED)
    browser.stream = None
    await browser.disconnect(1000)
