"""What waits at a node: nothing that is lost holds up the rest, and what has arrived leaves nothing behind."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bastion.gateway import life, remote_portal, streams, wire
from bastion.gateway.contract import Fact, Lock, Piece
from bastion.gateway.recording import chain
from bastion.gateway.remote_portal import RemotePortal
from bastion.gateway.spool import FactSpool, PieceSpool
from tests.bastion.recordings import KEY, record


def pieces(directory: Path) -> list[Piece]:
    found = []
    for number in sorted(chain.numbers(directory)):
        signed = chain.read((directory / chain.link_name(number)).read_bytes())
        found.append(Piece(directory.name, number, str(directory / signed.link.file), signed.as_dict()))
    return found


def fact(number: int, text: str = "x", session_id: str = "s-1") -> Fact:
    return Fact(session_id, number, 0.0, "file", {"path": text})


@contextmanager
def no_room_behind(size: int) -> Iterator[None]:
    """As a full disk: a write ends in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_long_facts_go_up_in_requests_that_the_portal_takes(tmp_path: Path) -> None:
    spool, sizes = FactSpool(tmp_path), []
    for number in range(1, 18):
        spool.add(fact(number, "x" * 256 * 1024))
    spool.add(fact(18, "x" * 2 * 1024 * 1024))
    while facts := spool.next():
        sizes.append(len(wire.encode(wire.Facts(tuple(facts)))))
        spool.taken({"s-1": facts[-1].number})
    assert max(sizes[:-1]) < 1024 * 1024 + 1000
    assert len(sizes) < 10


def test_a_fact_for_which_there_is_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = FactSpool(tmp_path)
    spool.add(fact(1))
    size = (tmp_path / "s-1.facts").stat().st_size
    with no_room_behind(size + 10), pytest.raises(OSError, match="room"):
        spool.add(fact(2, "lost"))
    spool.add(fact(2, "kept"))
    assert [one.data["path"] for one in spool.next()] == ["x", "kept"]
    assert FactSpool(tmp_path).next() == spool.next()


async def test_what_the_portal_does_not_take_is_not_brought_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal = RemotePortal("http://127.0.0.1:1", 1, KEY, tmp_path)
    sent: list[bytes] = []

    async def post(_path: str, body: bytes, _timeout_s: float) -> tuple[int, bytes]:
        sent.append(body)
        return 200, wire.encode(wire.Taken({"s-1": 1}))

    monkeypatch.setattr(portal, "_post", post)
    monkeypatch.setattr(remote_portal, "TOLD_AT_MOST_AFTER_S", 0.0)
    monkeypatch.setattr(remote_portal, "FIRST_WAIT_S", 60.0)
    portal.tell(fact(3))  # the second was lost
    sending = asyncio.ensure_future(portal._send_facts())
    try:
        for _ in range(50):
            await asyncio.sleep(0)
    finally:
        sending.cancel()
    assert len(sent) == 1
    assert portal.waiting == 1


def test_a_mark_that_cannot_be_read_holds_up_no_start(tmp_path: Path) -> None:
    directory = tmp_path / "recordings" / "s-1"
    record(directory, [b"one\r\n", b"two\r\n"])
    spool = PieceSpool(tmp_path / "pieces")
    for piece in pieces(directory):
        spool.add(piece)
    marks = sorted((tmp_path / "pieces").iterdir())
    for mark, text in zip(marks, ("", '{"session_id": "s-1"}'), strict=False):
        mark.write_text(text)
    assert len(PieceSpool(tmp_path / "pieces")) == len(marks) - 2
    assert len(PieceSpool(tmp_path / "pieces")) == len(marks) - 2


@pytest.mark.parametrize("marked", [set(), {2}, {1, 3}, {2, 3}])
def test_closed_pieces_without_a_mark_are_sent_too_and_in_order(tmp_path: Path, marked: set[int]) -> None:
    directory = tmp_path / "recordings" / "s-1"
    record(directory, [b"one\r\n", b"two\r\n", b"three\r\n"])
    spool, closed = PieceSpool(tmp_path / "spool" / "pieces"), pieces(directory)
    for piece in closed:
        if piece.number in marked:
            spool.add(piece)
    portal = RemotePortal("http://127.0.0.1:1", 1, KEY, tmp_path / "spool")
    life._recover(directory, KEY, portal)
    sent = []
    while (waiting := portal._pieces.next()) is not None:
        sent.append(waiting)
        portal._pieces.taken(waiting)
    assert sent == closed
    assert len(sent) >= 3
    assert list((tmp_path / "spool" / "pieces").iterdir()) == []


def test_with_the_last_piece_the_recording_leaves_the_machine(tmp_path: Path) -> None:
    directory = tmp_path / "recordings" / "s-1"
    record(directory, [b"one\r\n", b"two\r\n"])
    spool = PieceSpool(tmp_path / "pieces")
    *before, last = pieces(directory)
    for piece in (*before, last):
        spool.add(piece)
    for piece in before:
        spool.taken(piece)
    assert (directory / chain.link_name(1)).exists()
    spool.taken(last)
    assert not directory.exists()
    assert list((tmp_path / "pieces").iterdir()) == []


def test_what_a_dead_program_left_half_removed_goes_when_it_starts(tmp_path: Path) -> None:
    left = tmp_path / "pieces" / "s-1.gone"
    left.mkdir(parents=True)
    (left / chain.link_name(1)).write_bytes(b"x")
    assert len(PieceSpool(tmp_path / "pieces")) == 0
    assert not left.exists()


async def test_a_piece_that_is_lost_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_portal, "FIRST_WAIT_S", 0.01)
    portal = RemotePortal("http://127.0.0.1:1", 1, KEY, tmp_path)
    sent: list[bytes] = []

    async def post(_path: str, body: bytes, _timeout_s: float) -> tuple[int, bytes]:
        sent.append(body)
        return 200, b""

    monkeypatch.setattr(portal, "_post", post)
    for name in ("lost", "whole"):
        directory = tmp_path / "recordings" / name
        record(directory, [b"hello\r\n"], session_id=name)
        for piece in pieces(directory):
            portal.deliver(piece)
    (tmp_path / "recordings" / "lost" / chain.piece_name(1)).unlink()
    sending = asyncio.ensure_future(portal._send_pieces())
    try:
        for _ in range(500):
            if portal.waiting == len(pieces(tmp_path / "recordings" / "lost")):
                break
            await asyncio.sleep(0.02)
    finally:
        sending.cancel()
    assert not (tmp_path / "recordings" / "whole").exists()
    assert sent
    assert all(b'"whole"' in body for body in sent)
    assert portal.waiting == len(pieces(tmp_path / "recordings" / "lost"))


def test_what_is_no_message_is_passed_over(tmp_path: Path) -> None:
    portal = RemotePortal("http://127.0.0.1:1", 1, KEY, tmp_path)
    for text in ("{", "[]", "[" * 100_000, '{"kind": "order"}'):
        portal._hear(streams.parse(text))
    portal._hear({"kind": "order", "session": "unknown", "order": "Nonsense"})
    assert not portal._orders


async def test_orders_for_sessions_that_nobody_knows_go_with_the_conversation(tmp_path: Path) -> None:
    portal = RemotePortal("http://127.0.0.1:1", 1, KEY, tmp_path)
    portal._followed.add("known")
    for name in ("known", "unknown"):
        portal._orders[name].put_nowait(Lock(True))
    portal._forget_unknown()
    assert list(portal._orders) == ["known"]
