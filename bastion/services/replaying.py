"""Playing a recording back: its index, one piece at a time, search in what it shows, the whole as asciicast.

Whoever opens a recording is written down once, and gets a token for that viewing: without one there are no pieces.
Nothing here ever holds more than a piece in memory.
"""

from __future__ import annotations

import json
import math
import re
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
from django.core import signing
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Left
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from bastion.gateway.recording import cast
from bastion.gateway.recording.cast import Header
from bastion.models import BastionSession, RecordingPiece, RecordingPurge, SessionCommand, SessionFact
from bastion.services import keeping

SALT: Final = "bastion.viewing"
VIEWING_LIFE_S: Final = 12 * 3600
MOST_MARKERS: Final = 1_000
LONGEST_LABEL: Final = 80
LONGEST_READ: Final = 400
"""Characters of a command for its label: it may begin with white space."""
MOST_COLUMNS, MOST_LINES = 500, 300
SEARCH_S: Final = 1.5
"""One answer of a search; it says from which piece on to ask again."""
MOST_HITS: Final = 200
AROUND: Final = 40
"""Characters that are shown before and after a hit."""
LONGEST_QUERY: Final = 200
_ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_k][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f]"
)
_Rows = msgspec.json.Decoder(tuple[float, str, str])


@dataclass(frozen=True)
class Entry:
    """A piece in the index; times in seconds of the recording."""

    number: int
    first_s: float
    last_s: float
    has_keyframe: bool


@dataclass(frozen=True)
class Size:
    cols: int
    rows: int
    has_terminal: bool


@dataclass(frozen=True)
class Index:
    size: Size
    is_over: bool
    duration_s: float
    entries: tuple[Entry, ...]
    markers: tuple[tuple[float, str], ...]

    def as_dict(self) -> dict[str, object]:
        pieces = [
            (one.number, round(one.first_s, 3), round(one.last_s, 3), int(one.has_keyframe)) for one in self.entries
        ]
        return {
            "cols": self.size.cols,
            "rows": self.size.rows,
            "hasTerminal": self.size.has_terminal,
            "isOver": self.is_over,
            "duration": math.ceil(self.duration_s * 1000) / 1000,
            "pieces": pieces,
            "markers": self.markers,
        }


@dataclass(frozen=True)
class Hit:
    """`at_s`: seconds, when its last character stood on the screen."""

    at_s: float
    before: str
    found: str
    after: str


@dataclass(frozen=True)
class Found:
    hits: tuple[Hit, ...]
    next: int | None
    """The piece from which to ask on; None: that was all."""


def has_recording(session: BastionSession) -> bool:
    """Something of it is here and was not purged."""
    return RecordingPiece.objects.filter(session=session).exists() and not is_purged(session)


def is_purged(session: BastionSession) -> bool:
    return RecordingPurge.objects.filter(session=session).exists()


@transaction.atomic
def open_viewing(*, session: BastionSession, person: User, now: datetime) -> str:
    """Written down, own sessions too; the token lets this person have the pieces of this session."""
    audit.record(action="bastion.recording.view", actor=person, customer=session.customer, obj=session, now=now)
    return signing.dumps({"session": session.pk, "person": person.pk}, salt=SALT)


def is_viewing(token: str, *, session: BastionSession, person: User) -> bool:
    try:
        said = signing.loads(token, salt=SALT, max_age=VIEWING_LIFE_S)
    except signing.BadSignature:
        return False
    return bool(said == {"session": session.pk, "person": person.pk})


def size_of(session: BastionSession) -> Size:
    """Of the terminal at the beginning, as the node told."""
    opened = SessionFact.objects.filter(session=session, kind="opened").order_by("number").first()
    said = opened.data if opened is not None else {}
    cols, lines = said.get("cols") or 0, said.get("rows") or 0
    return Size(
        cols=cols if isinstance(cols, int) and 0 < cols <= MOST_COLUMNS else 80,
        rows=lines if isinstance(lines, int) and 0 < lines <= MOST_LINES else 24,
        has_terminal=bool(cols),
    )


def duration(session: BastionSession) -> float | None:
    """In seconds; None: nothing of it is here."""
    longest: float | None = RecordingPiece.objects.filter(session=session).aggregate(Max("last_s"))["last_s__max"]
    return longest


def index(session: BastionSession) -> Index:
    rows = RecordingPiece.objects.filter(session=session).order_by("number")
    entries = tuple(Entry(*row) for row in rows.values_list("number", "first_s", "last_s", "has_keyframe"))
    return Index(
        size=size_of(session),
        is_over=session.state == BastionSession.State.ENDED,
        duration_s=max((entry.last_s for entry in entries), default=0.0),
        entries=entries,
        markers=tuple(_markers(session)),
    )


def _markers(session: BastionSession) -> Iterator[tuple[float, str]]:
    commands = SessionCommand.objects.filter(session=session).order_by("number")
    for at_s, text in commands.values_list("at_s", Left("text", LONGEST_READ))[:MOST_MARKERS]:
        yield round(at_s, 3), " ".join(text.split())[:LONGEST_LABEL]


def piece(session: BastionSession, number: int) -> RecordingPiece | None:
    if is_purged(session):
        return None
    rows = RecordingPiece.objects.select_related("session")
    return rows.filter(session=session, number=number).first()


def search(session: BastionSession, query: str, *, start: int = 1) -> Found:
    """Where the words stand in what was shown, whatever the case, colours and movements of the cursor apart."""
    query = query.strip()[:LONGEST_QUERY]
    if not query or is_purged(session):
        return Found((), None)
    deadline, hits, tail = time.monotonic() + SEARCH_S, list[Hit](), _Tail()
    rows = RecordingPiece.objects.select_related("session").filter(session=session, number__gte=max(1, start - 1))
    for one in rows.order_by("number").iterator(chunk_size=50):
        before = one.number < start
        text = _Text.of(one, tail)
        tail = text.tail(len(query))
        if before:  # what is left of the piece before, so that no word is cut in two
            continue
        hits += text.hits(query, MOST_HITS - len(hits))
        if len(hits) >= MOST_HITS or time.monotonic() > deadline:
            more = rows.filter(number__gt=one.number).exists()
            return Found(tuple(hits), one.number + 1 if more else None)
    return Found(tuple(hits), None)


@dataclass(frozen=True)
class _Tail:
    text: str = ""
    at_s: float = 0.0


@dataclass
class _Text:
    """What a piece shows as plain text, and from which character on each moment's begins."""

    text: str = ""
    starts: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    carried: int = 0

    @classmethod
    def of(cls, one: RecordingPiece, tail: _Tail) -> _Text:
        made, parts, length = cls(carried=len(tail.text)), [tail.text], len(tail.text)
        if tail.text:
            made.starts.append(0)
            made.times.append(tail.at_s)
        try:
            plain = keeping.plain(one)
        except keeping.Gone:
            return made
        rest = ""
        for at_s, code, text in rows_of(plain):
            if code not in ("o", "e"):
                continue
            rest += text
            cut = rest.rfind("\x1b")
            is_open = cut >= 0 and len(rest) - cut < 256 and _ESCAPES.match(rest, cut) is None
            shown, rest = (rest[:cut], rest[cut:]) if is_open else (rest, "")
            shown = _ESCAPES.sub("", shown)
            if shown:
                made.starts.append(length)
                made.times.append(at_s)
                parts.append(shown)
                length += len(shown)
        made.text = "".join(parts)
        return made

    def tail(self, length: int) -> _Tail:
        if not self.text:
            return _Tail()
        kept = self.text[-(length + AROUND) :]
        return _Tail(kept, self.time_of(len(self.text) - len(kept)))

    def time_of(self, place: int) -> float:
        return self.times[max(0, bisect_right(self.starts, place) - 1)] if self.times else 0.0

    def hits(self, query: str, most: int) -> list[Hit]:
        found: list[Hit] = []
        for match in re.finditer(re.escape(query), self.text, re.IGNORECASE):
            if len(found) >= most:
                break
            if match.end() <= self.carried:
                continue  # told with the piece before
            start, end = match.span()
            found.append(
                Hit(
                    self.time_of(end - 1),
                    _line(self.text[max(0, start - AROUND) : start], from_end=True),
                    match[0],
                    _line(self.text[end : end + AROUND], from_end=False),
                )
            )
        return found


def _line(text: str, *, from_end: bool) -> str:
    lines = text.split("\n")
    return lines[-1] if from_end else lines[0]


def rows_of(plain: bytes) -> Iterator[tuple[float, str, str]]:
    """The rows of a piece, its header apart. What is no row is left out: nothing of it was checked but its hash."""
    for line in plain.splitlines():
        if line.startswith(b"["):
            try:
                yield _Rows.decode(line)
            except msgspec.DecodeError:
                continue


@transaction.atomic
def write_download(*, session: BastionSession, person: User, now: datetime) -> None:
    """Raises DomainError("no_recording")."""
    if not has_recording(session):
        raise DomainError(_("There is no recording of this session."), code="no_recording")
    audit.record(action="bastion.recording.download", actor=person, customer=session.customer, obj=session, now=now)


def numbers(session: BastionSession) -> Sequence[int]:
    return list(RecordingPiece.objects.filter(session=session).order_by("number").values_list("number", flat=True))


def as_asciicast(one: RecordingPiece) -> bytes:
    """A piece for any player: what only we know is left out, standard error is shown with the rest."""
    lines = []
    for line in keeping.plain(one).splitlines():
        if line.startswith(b"{"):
            lines.append(_plain_header(line))
            continue
        try:
            at_s, code, text = _Rows.decode(line)
        except msgspec.DecodeError:
            continue
        if code in ("o", "i", "r", "m"):
            lines.append(line + b"\n")
        elif code == "e":
            lines.append(cast.line(at_s, "o", text))
    return b"".join(lines)


def _plain_header(line: bytes) -> bytes:
    try:
        header: Header = cast.read_header(line)
    except ValueError:
        return b""
    title = f"{header.account}@{header.resource} {header.person}".strip()
    head = {
        "version": 2,
        "width": header.cols,
        "height": header.rows,
        "timestamp": int(header.timestamp),
        "title": title,
    }
    return json.dumps(head, ensure_ascii=False).encode() + b"\n"
