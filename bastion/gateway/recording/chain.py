"""The chain of a recording's pieces: each link names the one before by its hash, and the node signs each by itself,
so that the beginning of a recording whose node died can be verified too.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_NAME = re.compile(r"piece-(\d{6,})\.(json|cast\.zst|cast)")


def link_name(number: int) -> str:
    return f"piece-{number:06}.json"


def piece_name(number: int) -> str:
    return f"piece-{number:06}.cast.zst"


def open_name(number: int) -> str:
    """The piece that still grows, as plain text."""
    return f"piece-{number:06}.cast"


@dataclass(frozen=True)
class Link:
    """`offset` and `plain_bytes` count the recording's plain text; `first_s` and `last_s` are times of its rows.

    `previous`: hash of the link before, empty for the first. `is_recovered`: the node died, another run closed it.
    """

    session_id: str
    number: int
    file: str
    stored_bytes: int
    sha256: str
    offset: int
    plain_bytes: int
    first_s: float
    last_s: float
    has_keyframe: bool
    previous: str
    is_last: bool = False
    is_recovered: bool = False

    def canonical(self) -> bytes:
        return json.dumps(vars(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def hash(self) -> str:
        return sha256(self.canonical()).hexdigest()


@dataclass(frozen=True)
class Signed:
    link: Link
    signature: str
    """ed25519 over the canonical link, hexadecimal."""

    def as_dict(self) -> dict[str, object]:
        return {"link": dict(vars(self.link)), "signature": self.signature}

    def as_json(self) -> bytes:
        return json.dumps(self.as_dict(), ensure_ascii=False).encode() + b"\n"

    def is_signed_by(self, key: Ed25519PublicKey) -> bool:
        try:
            key.verify(bytes.fromhex(self.signature), self.link.canonical())
        except (InvalidSignature, ValueError):
            return False
        return True


def sign(link: Link, key: Ed25519PrivateKey) -> Signed:
    return Signed(link, key.sign(link.canonical()).hex())


def read(data: bytes) -> Signed:
    """Raises ValueError when this is no signed link."""
    try:
        raw = json.loads(data)
        link = Link(**raw["link"])
        if any(type(value) is not type(getattr(_SHAPE, name)) for name, value in raw["link"].items()):
            raise ValueError("a field of the link has another type")
        return Signed(link, str(raw["signature"]))
    except (KeyError, TypeError, UnicodeDecodeError) as problem:
        raise ValueError("not a signed link") from problem


_SHAPE = Link("", 0, "", 0, "", 0, 0, 0.0, 0.0, False, "")


class Flaw(StrEnum):
    CHANGED = "changed"
    """The piece or its link is not what was signed."""
    MISSING = "missing"
    REORDERED = "reordered"
    """The link is genuine and stands where it does not belong."""
    FOREIGN = "foreign"
    """It belongs to another session."""


@dataclass(frozen=True)
class Finding:
    flaw: Flaw
    number: int
    words: str


@dataclass(frozen=True)
class Findings:
    """`is_intact`: all that is there is genuine and in order. `is_finished`: the session's end was recorded as well.

    Neither finished nor recovered: still being written, or cut off at the end.
    """

    pieces: int
    is_finished: bool
    is_recovered: bool
    flaws: tuple[Finding, ...] = field(default=())

    @property
    def is_intact(self) -> bool:
        return not self.flaws


def numbers(directory: Path) -> dict[int, set[str]]:
    """Which files there are of each piece: "json", "cast.zst", "cast"."""
    found: dict[int, set[str]] = {}
    for path in directory.iterdir():
        if match := _NAME.fullmatch(path.name):
            found.setdefault(int(match[1]), set()).add(match[2])
    return found


class Shelf(Protocol):
    """Where the files of one recording lie. Both readers raise OSError for what is not there."""

    def numbers(self) -> dict[int, set[str]]:
        """As `numbers` of a directory."""
        ...

    def link(self, number: int) -> bytes: ...

    def stored(self, link: Link) -> bytes: ...


@dataclass(frozen=True)
class Directory:
    """A `Shelf`: the node's own, or a bundle that was unpacked."""

    path: Path

    def numbers(self) -> dict[int, set[str]]:
        return numbers(self.path)

    def link(self, number: int) -> bytes:
        return (self.path / link_name(number)).read_bytes()

    def stored(self, link: Link) -> bytes:
        return (self.path / link.file).read_bytes()


def verify(
    place: Path | Shelf, public_key: Ed25519PublicKey, session_id: str = "", *, has_bytes: bool = True
) -> Findings:
    """All that is wrong with a recording. `session_id`: whose it must be; else that of the first genuine link.

    `has_bytes`: the pieces are still there, and are looked at as well.
    """
    shelf = Directory(place) if isinstance(place, Path) else place
    found = shelf.numbers()
    closed = [number for number, kinds in found.items() if kinds & {"json", "cast.zst"}]
    flaws: list[Finding] = []
    previous: Link | None = None
    is_gap = False
    last: Link | None = None
    for number in range(1, max(closed, default=0) + 1):
        link = None
        for finding in _piece(shelf, number, found.get(number, set()), public_key, has_bytes=has_bytes):
            if isinstance(finding, Link):
                link = finding
            else:
                flaws.append(finding)
        if link is None:
            is_gap, previous = True, None
            continue
        session_id = session_id or link.session_id
        if link.session_id != session_id:
            flaws.append(Finding(Flaw.FOREIGN, number, f"belongs to session {link.session_id}"))
        elif not is_gap and not _follows(link, previous):
            flaws.append(Finding(Flaw.REORDERED, number, "does not follow the piece before"))
        if last is not None and last.is_last:
            flaws.append(Finding(Flaw.REORDERED, number, "stands after the end"))
        previous, is_gap, last = link, False, link
    is_end = last is not None and last.is_last and last.number == max(closed)
    is_recovered = is_end and last is not None and last.is_recovered
    return Findings(len(closed), is_end and not is_recovered, is_recovered, tuple(flaws))


def _follows(link: Link, previous: Link | None) -> bool:
    if previous is None:
        return link.number == 1 and link.previous == "" and link.offset == 0
    return link.previous == previous.hash and link.offset == previous.offset + previous.plain_bytes


def _piece(
    shelf: Shelf, number: int, kinds: set[str], key: Ed25519PublicKey, *, has_bytes: bool
) -> Iterator[Finding | Link]:
    """What is wrong with one piece by itself, and its link if that is genuine."""
    if "json" not in kinds:
        yield Finding(Flaw.MISSING, number, "there is no link")
        return
    try:
        signed = read(shelf.link(number))
    except (OSError, ValueError):
        yield Finding(Flaw.CHANGED, number, "the link cannot be read")
        return
    link = signed.link
    if not signed.is_signed_by(key):
        yield Finding(Flaw.CHANGED, number, "the link was not signed by this node")
        return
    yield link
    if link.number != number or link.file != piece_name(number):
        yield Finding(Flaw.REORDERED, number, f"is piece {link.number}")
        return
    if not has_bytes:
        return
    try:
        stored = shelf.stored(link)
    except OSError:
        yield Finding(Flaw.MISSING, number, "the piece is not there")
        return
    if len(stored) != link.stored_bytes or sha256(stored).hexdigest() != link.sha256:
        yield Finding(Flaw.CHANGED, number, "the piece is not the one that was signed")
