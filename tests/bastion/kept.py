"""Sessions whose recordings have arrived: recorded by the real recorder, taken as the portal takes them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from accounts import scope
from accounts.models import User
from assets.models import Asset
from bastion.gateway.recording import chain
from bastion.gateway.recording.writer import Recorder
from bastion.models import BastionSession, Node, RecordingPiece, SessionCommand, SessionFact
from bastion.services import authorising, recordings
from bastion.trigrams import trigrams
from tests.bastion.conftest import wish_for
from tests.bastion.recordings import KEY, PUBLIC, Clock, header
from tests.conftest import NOW

NODE_KEY = base64.b64encode(PUBLIC.public_bytes_raw()).decode()


def with_key(node: Node) -> Node:
    with scope.platform("test"):
        Node.objects.filter(pk=node.pk).update(public_key=NODE_KEY)
        node.refresh_from_db()
    return node


def begin(node: Node, asset: Asset, person: User, *, cols: int = 80, now: datetime = NOW) -> BastionSession:
    """Online, with a terminal unless `cols` is 0."""
    with_key(node)
    with scope.platform("test"):
        session = authorising.authorise(person=person, wish=wish_for(asset), node=node, now=now)
        BastionSession.objects.filter(pk=session.pk).update(state="open", opened_at=now)
        SessionFact.objects.create(
            customer_id=session.customer_id,
            session=session,
            number=1,
            at=now,
            kind="opened",
            data={"channel": "shell" if cols else "exec", "cols": cols, "rows": 24 if cols else 0, "term": "xterm"},
        )
        return BastionSession.objects.joined().get(pk=session.pk)


def end(session: BastionSession, *, now: datetime = NOW) -> None:
    with scope.platform("test"):
        BastionSession.objects.filter(pk=session.pk).update(state="ended", ended_at=now, ending="exit", exit_status=0)
        session.refresh_from_db()


def record(
    session: BastionSession,
    place: Path,
    work: Callable[[Recorder, Clock], None],
    *,
    has_screen: bool = True,
    now: datetime = NOW,
) -> list[RecordingPiece]:
    """What `work` records, delivered piece by piece."""
    clock = Clock()
    directory = place / str(session.uid)
    recorder = Recorder.open(directory, header(str(session.uid)), KEY, clock=clock, has_screen=has_screen)
    work(recorder, clock)
    recorder.close()
    return deliver(session, directory, now=now)


def deliver(session: BastionSession, directory: Path, *, now: datetime = NOW) -> list[RecordingPiece]:
    with scope.platform("test"):
        return [
            recordings.take(
                node=session.node,
                link=(directory / chain.link_name(number)).read_bytes(),
                data=(directory / chain.piece_name(number)).read_bytes(),
                now=now,
            )
            for number, kinds in sorted(chain.numbers(directory).items())
            if "json" in kinds
        ]


def lines(*texts: str, seconds: float = 11.0) -> Callable[[Recorder, Clock], None]:
    """A piece for each of them."""

    def work(recorder: Recorder, clock: Clock) -> None:
        for text in texts:
            recorder.output(text.encode())
            clock.now += seconds

    return work


def command(session: BastionSession, number: int, text: str, at_s: float, *, verdict: str = "allow") -> None:
    with scope.platform("test"):
        SessionCommand.objects.create(
            customer_id=session.customer_id,
            session=session,
            asset=session.asset,
            person=session.person,
            number=number,
            at=NOW,
            text=text,
            trigrams=trigrams(text),
            at_s=at_s,
            verdict=verdict,
        )
