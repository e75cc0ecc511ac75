"""How node and portal speak: JSON of dataclasses, and requests that the node signs with its own key.

A request carries the node's number, the moment, a nonce and an ed25519 signature over method, path, moment, nonce and
the body's SHA-256. The portal takes each nonce once, and no moment more than `SKEW_S` from its own.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bastion.gateway.contract import (
    Client,
    End,
    Fact,
    Front,
    Judged,
    Lock,
    NewTerms,
    Order,
    Person,
    Resource,
    Say,
    Watch,
)

T = TypeVar("T")
SKEW_S: Final = 60.0
LONGEST_LINK: Final = 8192
ORDERS: Final[Mapping[str, Any]] = {kind.__name__: kind for kind in (End, Lock, Say, NewTerms, Judged, Watch)}
NODE, MOMENT, NONCE, SIGNATURE = "X-Rdmp-Node", "X-Rdmp-Moment", "X-Rdmp-Nonce", "X-Rdmp-Signature"


class Malformed(Exception):
    """What came is not what was agreed; the message says where."""


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def decode(kind: type[T], data: bytes) -> T:
    """Raises Malformed."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Malformed(str(problem)) from None


# --- questions, one dataclass each ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Enrol:
    """Sent once, unsigned: the token is the proof. `public_key`: 32 bytes of ed25519 in base64."""

    token: str = field(repr=False)
    public_key: str
    version: str
    ssh_port: int
    host_keys: tuple[str, ...]


@dataclass(frozen=True)
class Enrolled:
    node: int


@dataclass(frozen=True)
class Here:
    """What a node is, said again at each start: it may have been upgraded, or moved to another port."""

    version: str
    ssh_port: int
    host_keys: tuple[str, ...]


@dataclass(frozen=True)
class ByKey:
    login: str
    public_key: str
    client: Client
    code: str = field(default="", repr=False)


@dataclass(frozen=True)
class ByPassword:
    login: str
    password: str = field(repr=False)
    code: str = field(repr=False)
    client: Client


@dataclass(frozen=True)
class ByTicket:
    ticket: str = field(repr=False)
    client: Client


@dataclass(frozen=True)
class ForResources:
    token: str = field(repr=False)
    query: str = ""
    limit: int = 50


@dataclass(frozen=True)
class ForAccess:
    token: str = field(repr=False)
    client: Client
    front: Front
    resource: str
    account: str = ""
    work: str = ""


@dataclass(frozen=True)
class ForReview:
    """A command that a session holds back; the node gives up after `timeout_s`."""

    session: str
    command: int
    text: str
    timeout_s: float


@dataclass(frozen=True)
class ForHops:
    """The way to the target of a session that somebody has let in."""

    token: str = field(repr=False)
    session: str


@dataclass(frozen=True)
class Ticketed:
    """Who brought a ticket, and what it is for."""

    person: Person
    wish: ForAccess


@dataclass(frozen=True)
class Facts:
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Taken:
    """Up to which number of each session everything has arrived."""

    upto: dict[str, int]


@dataclass(frozen=True)
class ForErrand:
    """What is there to do of this kind? `version` is what the node does already; empty: nothing."""

    kind: str
    version: str = ""


@dataclass(frozen=True)
class Errand:
    """What a node does of a kind until it hears of another version: so many things (`size`), and what they are, which
    is between whoever asks for them and the program that does them. `secrets` are for memory alone."""

    version: str
    size: int
    body: msgspec.Raw
    secrets: msgspec.Raw = field(repr=False)


@dataclass(frozen=True)
class Errands:
    """`errand` is none when nothing is new; `taken` is the number of the answer that was taken last."""

    taken: int
    errand: Errand | None = None


@dataclass(frozen=True)
class ErrandAnswer:
    """Before what came of an errand. Numbers of a kind grow; what is not greater than the last was taken before."""

    kind: str
    number: int


@dataclass(frozen=True)
class Standing:
    """How a node stands with the portal. `version`: of the program that it said it is; `is_heard`: by the WebSocket."""

    name: str
    version: str
    is_draining: bool
    sessions: int
    is_heard: bool


@dataclass(frozen=True)
class No:
    """An answer that refuses: `contract.Refused` and its kinds."""

    code: str
    words: str
    choices: tuple[Resource, ...] = ()
    offers: tuple[tuple[str, str], ...] = ()


# --- pieces and orders ------------------------------------------------------------------------------------------------


def with_link(link: Mapping[str, object], data: bytes) -> bytes:
    """A piece on its way: the length of its signed link (four bytes, big endian), the link, the bytes."""
    head = encode(link)
    return struct.pack("!I", len(head)) + head + data


def link_of(body: bytes) -> tuple[bytes, bytes]:
    """The signed link and the bytes. Raises Malformed."""
    if len(body) < 4:
        raise Malformed("no link")
    (length,) = struct.unpack("!I", body[:4])
    if length > LONGEST_LINK or len(body) < 4 + length:
        raise Malformed("no link")
    return body[4 : 4 + length], body[4 + length :]


@dataclass(frozen=True)
class CopyPart:
    """Before the bytes of a part of a copied file: `with_link`. Both count from 1."""

    session: str
    copy: int
    part: int


@dataclass(frozen=True)
class Rows:
    """Before rows of a recording for one who looks on: `contract.Portal.show`."""

    session: str
    watcher: str
    offset: int
    skips: bool


def frame(head: object, data: bytes) -> bytes:
    """What goes over the WebSocket in binary: the length of a head (four bytes, big endian), its kind and it, bytes."""
    said = encode({"kind": type(head).__name__, "head": head})
    return struct.pack("!I", len(said)) + said + data


def frame_of(body: bytes) -> tuple[str, bytes, bytes]:
    """Kind of the head, the head as `decode` takes it, and the bytes. Raises Malformed."""
    said, data = link_of(body)
    found = decode(_Head, said)
    return found.kind, bytes(found.head), data


@dataclass(frozen=True)
class _Head:
    kind: str
    head: msgspec.Raw


def order_said(session_id: str, order: Order) -> dict[str, object]:
    """What the portal says to a node over the WebSocket."""
    return {"kind": "order", "session": session_id, "order": type(order).__name__, "said": msgspec.to_builtins(order)}


def order_from(said: Mapping[str, object]) -> Order:
    """Raises Malformed."""
    kind = ORDERS.get(str(said.get("order")))
    if kind is None:
        raise Malformed("no such order")
    try:
        order: Order = msgspec.convert(said.get("said"), type=kind)
    except msgspec.ValidationError as problem:
        raise Malformed(str(problem)) from None
    return order


# --- signatures -------------------------------------------------------------------------------------------------------


def sign(key: Ed25519PrivateKey, *, node: int, method: str, path: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of a request."""
    nonce, moment = secrets.token_hex(16), f"{now:.3f}"
    signature = key.sign(_signed(method, path, moment, nonce, body))
    return {
        NODE: str(node),
        MOMENT: moment,
        NONCE: nonce,
        SIGNATURE: base64.b64encode(signature).decode(),
    }


def is_signed(public_key: str, headers: Mapping[str, str], *, method: str, path: str, body: bytes, now: float) -> bool:
    """Whether the node with this key sent just this, about now. The nonce is the caller's to remember."""
    try:
        moment, signature = headers[MOMENT], base64.b64decode(headers[SIGNATURE], validate=True)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        if not abs(float(moment) - now) <= SKEW_S:
            return False
        key.verify(signature, _signed(method, path, moment, headers[NONCE], body))
    except (KeyError, ValueError, InvalidSignature):
        return False
    return True


def _signed(method: str, path: str, moment: str, nonce: str, body: bytes) -> bytes:
    return "\n".join((method, path, moment, nonce, hashlib.sha256(body).hexdigest())).encode()
