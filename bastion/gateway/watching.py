"""Those who look on at a session: each gets the rows of its recording in order, as fast as they are taken.

Nobody who looks on can hold up the session: what is not taken is read from disk later, and whoever is too far behind
goes on with the newest whole screen. What the portal has already is no longer here; whoever misses it finds it there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bastion.gateway.recording import reader

MOST_BEHIND: Final = 2 * 1024 * 1024
LEASE_S: Final = 60.0
"""So long without a word from whoever looks on, and they are forgotten."""
AGAIN_S, LONGEST_AGAIN_S = 0.05, 2.0
"""How long to wait for room, at first and at most."""
PART: Final = 64 * 1024

Show = Callable[[str, int, bytes, bool], bool]
"""Watcher, offset of the rows, the rows, whether something was left out before them. False: there is no room now."""


log = logging.getLogger(__name__)


class Growing(Protocol):
    offset: int


@dataclass(frozen=True)
class Source:
    """What is being recorded: how far it is, and where it lies."""

    tape: Growing
    directory: Path


class Watchers:
    def __init__(
        self,
        show: Show,
        spawn: Callable[[Awaitable[None]], asyncio.Task[None]],
        source: Callable[[], Source | None],
    ) -> None:
        self._show, self._spawn, self._source = show, spawn, source
        self._joined: set[str] = set()
        self._behind: dict[str, asyncio.Task[None]] = {}
        self._until: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()

    def on(self, watcher: str, offset: int) -> None:
        """From this byte on; said again it means that they are still there."""
        is_new = watcher not in self._until
        self._until[watcher] = self._loop.time() + LEASE_S
        if is_new:
            self._behind[watcher] = self._spawn(self._catch_up(watcher, offset))

    def off(self, watcher: str) -> None:
        self._until.pop(watcher, None)
        self._joined.discard(watcher)
        if (catching_up := self._behind.pop(watcher, None)) is not None:
            catching_up.cancel()

    def rows(self, offset: int, rows: bytes) -> None:
        """They were just written."""
        for watcher in list(self._joined):
            if self._is_gone(watcher):
                self.off(watcher)
            elif not self._show(watcher, offset, rows, False):
                self._joined.discard(watcher)
                self._behind[watcher] = self._spawn(self._catch_up(watcher, offset))

    def _is_gone(self, watcher: str) -> bool:
        return self._loop.time() > self._until.get(watcher, 0.0)

    async def _catch_up(self, watcher: str, offset: int) -> None:
        """A fault ends the look, never the session."""
        has_joined = False
        try:
            has_joined = await self._has_caught_up(watcher, offset)
        except Exception:
            log.exception("somebody who looks on is shown nothing more")
        self._behind.pop(watcher, None)
        if has_joined:
            self._joined.add(watcher)
        else:
            self._until.pop(watcher, None)

    async def _has_caught_up(self, watcher: str, offset: int) -> bool:
        """What was written before, from disk; the watcher joins at the very byte at which that ends."""
        skips, again = False, AGAIN_S
        while not self._is_gone(watcher):
            if (source := self._source()) is None:  # it has not begun
                await asyncio.sleep(AGAIN_S)
                continue
            if source.tape.offset - offset > MOST_BEHIND:
                newest = reader.newest_screen(source.directory)
                skips, offset = skips or newest > offset, max(offset, newest)
            is_held = False
            for at, rows in reader.parts_from(source.directory, offset, PART):
                if not self._show(watcher, at, rows, skips):
                    is_held = True
                    break
                offset, skips, again = at + len(rows), False, AGAIN_S
                await asyncio.sleep(0)
            is_there = not is_held and self._has_all(source, offset)
            if is_there and self._show(watcher, source.tape.offset, b"", False):
                return True
            await asyncio.sleep(again)
            again = min(again * 2, LONGEST_AGAIN_S)
        return False

    @staticmethod
    def _has_all(source: Source, offset: int) -> bool:
        """Nothing that is here was not shown: what is not here any more, the portal has."""
        return offset >= source.tape.offset or next(reader.parts_from(source.directory, offset), None) is None
