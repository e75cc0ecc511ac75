"""Joins a session's recording, its screen and the reader of commands to one; pieces go to the portal."""

import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway import commands
from bastion.gateway.contract import Piece, Portal
from bastion.gateway.recording.cast import Header
from bastion.gateway.recording.chain import Signed
from bastion.gateway.recording.writer import Recorder
from bastion.gateway.session import Opening, Recording


class ScreenReader(commands.CommandReader):
    """A `session.CommandReader` on the recorder's own screen."""

    has_echo = True

    @property
    def is_alternate(self) -> bool:
        return self.screen.is_alternate

    def key(self, data: bytes) -> list[str]:  # type: ignore[override]  # Of what was entered, sessions need the text.
        return [entered.text for entered in super().key(data)]


def recorder(
    directory: Path, key: Ed25519PrivateKey, portal: Portal
) -> Callable[[Opening, Callable[[int, bytes], None]], Recording]:
    """`Node.record`: recordings below a directory, one for each session id."""

    def record(opening: Opening, on_rows: Callable[[int, bytes], None]) -> Recording:
        access = opening.access
        place = directory / access.session_id

        def closed(signed: Signed, path: Path) -> None:
            portal.deliver(Piece(access.session_id, signed.link.number, str(path), signed.as_dict()))

        header = Header(
            opening.cols,
            opening.rows,
            time.time(),
            access.session_id,
            access.resource.name,
            access.hops[-1].account.name if access.hops else "",
            opening.person.name,
            access.work,
        )
        tape = Recorder.open(
            place, header, key, closed, on_rows, has_screen=opening.has_terminal, command=opening.command
        )
        reader = ScreenReader(opening.cols, opening.rows, tape.screen) if tape.screen is not None else None
        return Recording(tape, place, reader)

    return record
