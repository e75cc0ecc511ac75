"""A bundle of evidence: one session's pieces, links, keys and lists as a ZIP, with the program that checks it.

Written piece by piece: whatever the size of the recording, no more than one is in memory.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit, tables
from accounts.errors import DomainError
from accounts.models import User
from bastion.models import BastionSession, RecordingPiece
from bastion.services import keeping, replaying, verifying

PACKAGE: Final = "bastion.evidence"
ROWS_AT_ONCE: Final = 1000
Table = Iterator[tuple[object, ...]]


@transaction.atomic
def write_export(*, session: BastionSession, person: User | None, now: datetime) -> None:
    """`person`: None at the machine's own console. Raises DomainError("no_recording")."""
    if not replaying.has_recording(session):
        raise DomainError(_("There is no recording of this session."), code="no_recording")
    audit.record(action="bastion.recording.export", actor=person, customer=session.customer, obj=session, now=now)


def bundle(session: BastionSession) -> Iterator[bytes]:
    """The ZIP in parts. Raises keeping.Gone in the middle when a piece is not there."""
    out = _Growing()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in ("README.txt", "check.py"):
            archive.writestr(name, resources.files(PACKAGE).joinpath(name).read_bytes())
        archive.writestr("session.json", _json(_about(session)))
        rows = RecordingPiece.objects.filter(session=session).select_related("session", "portal_key").order_by("number")
        node_keys = sorted(set(rows.values_list("node_key", flat=True)))
        archive.writestr("keys.json", _json({"portal": sorted(verifying.portal_keys()), "node": node_keys}))
        for name, table in (("commands.csv", _commands(session)), ("files.csv", _files(session))):
            for _some in _write_table(archive, name, table):
                yield out.taken()
        for piece in rows.iterator(chunk_size=50):
            archive.writestr(f"pieces/{piece.number:06d}.json", _json(_proof(piece)))
            archive.writestr(f"pieces/{piece.number:06d}.cast.zst", keeping.get(piece))
            yield out.taken()
    yield out.taken()


def _about(session: BastionSession) -> dict[str, object]:
    return {
        "session": str(session.uid),
        "customer": session.customer.name,
        "person": session.person.name,
        "account": session.account,
        "resource": session.asset.name,
        "client_address": session.client_address,
        "work": session.work,
        "allowed_at": _moment(session.allowed_at),
        "ended_at": _moment(session.ended_at),
        "ending": session.ending,
        "node": session.node.name,
    }


def _proof(piece: RecordingPiece) -> dict[str, object]:
    return {
        "arrived_at": piece.arrived_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "countersignature": piece.countersignature,
        "link": piece.link,
        "node_key": piece.node_key,
        "portal_key": piece.portal_key.public_key if piece.portal_key is not None else "",
        "signature": piece.signature,
    }


def _commands(session: BastionSession) -> Table:
    yield "at", "seconds", "command", "verdict", "exit", "person"
    rows = session.sessioncommands.select_related("person").order_by("number")
    for one in rows.iterator(chunk_size=ROWS_AT_ONCE):
        yield _moment(one.at), one.at_s, one.text, one.verdict, one.exit_status, one.person.name


def _files(session: BastionSession) -> Table:
    yield "at", "direction", "path", "bytes", "sha256", "tool", "result", "bytes_back", "exit"
    for one in session.filetransfers.order_by("number").iterator(chunk_size=ROWS_AT_ONCE):
        said = (_moment(one.at), one.direction, one.path, one.size, one.sha256, one.tool, one.result)
        yield *said, one.size_back, one.exit_status


def _write_table(archive: zipfile.ZipFile, name: str, table: Table) -> Iterator[int]:
    """As CSV; after some rows each, how many have been written."""
    with archive.open(name, "w", force_zip64=True) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        writer, number = csv.writer(text), 0
        for number, row in enumerate(table):
            writer.writerow([tables.cell(value) for value in row])
            if number % ROWS_AT_ONCE == 0:
                text.flush()
                yield number
    yield number


def _moment(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment is not None else ""


def _json(said: object) -> str:
    return json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True)


class _Growing(io.RawIOBase):
    """A file that is only written to, and forgets what was taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]  # whatever has bytes
        self._parts.append(part)
        self._length += len(part)
        return len(part)

    def tell(self) -> int:
        return self._length

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
