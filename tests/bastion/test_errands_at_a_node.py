"""Errands at the node: what waits for the portal, and the program beside the node that does them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from bastion.gateway import errands, wire
from bastion.gateway.contract import Refused, Unreachable
from bastion.gateway.errands import AnswerSpool, Carrier

PROGRAM = "tests.bastion.errand_program"


# --- what waits -------------------------------------------------------------------------------------------------------


def all_of(spool: AnswerSpool) -> list[tuple[int, bytes]]:
    found = []
    while (one := spool.next()) is not None:
        found.append(one)
        spool.taken(one[0])
    return found


def test_answers_wait_in_order_and_across_a_restart(tmp_path: Path) -> None:
    first = AnswerSpool(tmp_path)
    numbers = [first.add(b"%d" % number) for number in range(5)]
    first.taken(numbers[0])
    (tmp_path / "12345.new").write_bytes(b"half of an an")
    again = AnswerSpool(tmp_path)
    assert all_of(again) == list(zip(numbers[1:], [b"1", b"2", b"3", b"4"], strict=True))
    assert not list(tmp_path.glob("*.new"))
    assert len(AnswerSpool(tmp_path)) == 0


def test_numbers_grow_even_if_the_clock_goes_back_or_the_machine_is_set_up_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = AnswerSpool(tmp_path / "one")
    last = spool.add(b"a")
    spool.taken(last)
    monkeypatch.setattr("time.time_ns", lambda: 5_000_000_000)
    assert AnswerSpool(tmp_path / "one").add(b"b") == last + 1, "nothing waits, and still it is known"
    new = AnswerSpool(tmp_path / "two")
    new.follow(last)
    assert new.add(b"c") == last + 1, "the portal has told"


def test_the_oldest_make_room_by_size_and_by_age_and_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(errands, "KEPT_BYTES", 25)
    spool = AnswerSpool(tmp_path)
    for number in range(4):
        spool.add(b"%d" % number * 10)
    assert (len(spool), spool.dropped) == (2, 2)
    assert "2" not in caplog.text or "waited" in caplog.text
    assert sum(path.stat().st_size for path in tmp_path.glob("*.answer")) == 20
    monkeypatch.setattr(errands, "KEPT_S", -1.0)
    assert spool.next() is None
    assert (spool.dropped, list(tmp_path.glob("*.answer"))) == (4, [])


# --- who does it ------------------------------------------------------------------------------------------------------


class Portal:
    """In memory: what it wants done, and what came of it."""

    def __init__(self) -> None:
        self.errand: wire.Errand | None = None
        self.is_away = False
        self.came: list[tuple[int, Any]] = []
        self.refusal = ""

    def want(self, *words: str, secrets: object = None) -> None:
        body = msgspec.Raw(json.dumps(words).encode())
        self.errand = wire.Errand(str(words), len(words), body, msgspec.Raw(json.dumps(secrets).encode()))

    async def errand_of(self, version: str) -> wire.Errands:
        if self.is_away:
            raise Unreachable("away")
        new = self.errand if self.errand is not None and self.errand.version != version else None
        return wire.Errands(self.came[-1][0] if self.came else 0, new)

    async def answer_errand(self, _kind: str, number: int, body: bytes) -> int:
        if self.is_away:
            raise Unreachable("away")
        if self.refusal and self.refusal.encode() in body:
            raise Refused("malformed", "")
        self.came.append((number, json.loads(body)))
        return number

    @property
    def said(self) -> list[Any]:
        return [answer for _number, answer in self.came]


class _Asked:
    """The portal as a carrier sees it."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    async def errand(self, _kind: str, version: str) -> wire.Errands:
        return await self._portal.errand_of(version)

    async def answer_errand(self, kind: str, number: int, body: bytes) -> int:
        return await self._portal.answer_errand(kind, number, body)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASK_EVERY_S", "ASK_AGAIN_S", "FIRST_WAIT_S"):
        monkeypatch.setattr(errands, name, 0.05)


@contextlib.asynccontextmanager
async def carrying(place: Path, portal: Portal) -> AsyncIterator[Carrier]:
    carrier = Carrier("trial", PROGRAM, place, _Asked(portal))
    running = asyncio.ensure_future(carrier.run())
    try:
        yield carrier
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


async def test_a_program_runs_while_there_is_something_to_do_and_hears_of_changes(tmp_path: Path) -> None:
    portal = Portal()
    async with carrying(tmp_path, portal) as carrier:
        await asyncio.sleep(0.2)
        assert portal.said == []
        portal.want("one")
        await until(lambda: len(portal.said) == 1)
        portal.want("one", "two")
        await until(lambda: len(portal.said) == 2)
        pids = {said["pid"] for said in portal.said}
        assert ([said["body"] for said in portal.said], len(pids)) == ([["one"], ["one", "two"]], 1)
        assert carrier.load() == {"trial": 2, "trial_waiting": 0, "trial_dropped": 0}
        portal.want()
        await until(lambda: not any(map(psutil.pid_exists, pids)))
    assert [number for number, _said in portal.came] == sorted({number for number, _said in portal.came})


async def test_secrets_are_told_and_never_written(tmp_path: Path) -> None:
    portal = Portal()
    portal.want("one", secrets={"1": "open sesame"})
    async with carrying(tmp_path, portal):
        await until(lambda: len(portal.said) == 1)
    assert portal.said[0]["secrets"] == {"1": "open sesame"}
    assert b"sesame" not in b"".join(path.read_bytes() for path in (tmp_path / "todo", tmp_path / "last"))
    portal.is_away = True
    async with carrying(tmp_path, portal) as again:
        await until(lambda: again.load()["trial_waiting"] == 1)
        portal.is_away = False
        await until(lambda: len(portal.said) >= 3)
    assert [said["secrets"] for said in portal.said[1:3]] == [None, {"1": "open sesame"}]


@pytest.mark.parametrize("fate", ["die", "hang"])
async def test_a_program_that_dies_or_hangs_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    monkeypatch.setattr(errands, "SILENT_S", 0.3)
    monkeypatch.setattr(errands, "LAST_BREATH_S", 0.1)
    portal = Portal()
    portal.want(fate)
    async with carrying(tmp_path, portal):
        await until(lambda: len({said["pid"] for said in portal.said}) >= 2)
    await until(lambda: not any(psutil.pid_exists(said["pid"]) for said in portal.said))


async def test_what_waited_arrives_in_order_each_once_and_a_refused_one_holds_up_nobody(tmp_path: Path) -> None:
    spool = AnswerSpool(tmp_path)
    for number in range(20):
        spool.add(b"%d" % (100 + number))
    portal = Portal()
    portal.is_away, portal.refusal = True, "105"
    async with carrying(tmp_path, portal) as carrier:
        await until(lambda: carrier.load()["trial_waiting"] == 20)
        portal.is_away = False
        await until(lambda: carrier.load()["trial_waiting"] == 0)
        assert carrier.load()["trial_dropped"] == 1
    assert portal.said == [100 + number for number in range(20) if number != 5]


async def test_the_program_knows_none_of_the_nodes_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RDMP_NODE_SECRET", "x")
    portal = Portal()
    portal.want("one")
    async with carrying(tmp_path, portal):
        await until(lambda: len(portal.said) == 1)
        environment = psutil.Process(portal.said[0]["pid"]).environ()
    assert "PATH" in environment
    assert [name for name in environment if name.startswith("RDMP_")] == []
    assert os.environ["RDMP_NODE_SECRET"] == "x"
