"""What waits at a node: nothing that is lost holds up the rest, and what has arrived leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bastion.gateway import remote_portal, streams
from bastion.gateway.contract import Lock, Piece
from bastion.gateway.recording import chain
from bastion.gateway.remote_portal import RemotePortal
from bastion.gateway.spool import PieceSpool
from tests.bastion.recordings import KEY, record


def pieces(directory: Path) -> list[Piece]:
    found = []
    for number in sorted(chain.numbers(directory)):
        signed = chain.read((directory / chain.link_name(number)).read_bytes())
        found.append(Piece(directory.name, number, str(directory / signed.link.file), signed.as_dict()))
    return found


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
