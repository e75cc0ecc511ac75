"""Who a node is: its key, its number and its portal, kept in its state directory."""

from __future__ import annotations

import base64
import json
import os
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY, IDENTITY, RECORDINGS, SPOOL, FORMER = "node_key", "node.json", "recordings", "spool", "former"
OF_A_KEY: Final = (KEY, IDENTITY, RECORDINGS, SPOOL)
PLAIN_HTTP: Final = "RDMP_NODE_PLAIN_HTTP"


@dataclass(frozen=True)
class Identity:
    node: int
    portal: str
    key: Ed25519PrivateKey


class NotEnrolled(Exception):
    """This machine has no number at a portal yet."""


class Insecure(ValueError):
    """The portal's address is one over which secrets would pass in the clear."""


def check_portal(url: str) -> None:
    """HTTPS; plain HTTP on this machine alone, or where whoever runs it has said so. Raises Insecure."""
    where = urlsplit(url)
    is_plain = where.scheme == "http" and (_is_this_machine(where.hostname or "") or os.environ.get(PLAIN_HTTP) == "1")
    if where.scheme != "https" and not is_plain:
        raise Insecure(f"{url}: https:// is needed, or {PLAIN_HTTP}=1 inside a network that nobody else is on")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def read(state: Path) -> Identity:
    """Raises NotEnrolled and Insecure."""
    try:
        said = json.loads((state / IDENTITY).read_text(encoding="utf-8"))
        found = Identity(int(said["node"]), str(said["portal"]), key_of(state))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        raise NotEnrolled(str(state)) from None
    check_portal(found.portal)
    return found


def write(state: Path, node: int, portal: str) -> None:
    """Whole or not at all."""
    draft = state / f"{IDENTITY}.new"
    draft.write_text(json.dumps({"node": node, "portal": portal}), encoding="utf-8")
    draft.replace(state / IDENTITY)


def key_of(state: Path) -> Ed25519PrivateKey:
    """The node's own key, which never leaves the machine; made when there is none."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state / KEY
    if not path.exists():
        draft = state / f"{KEY}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def public_of(key: Ed25519PrivateKey) -> str:
    """As the portal knows it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def set_aside(state: Path) -> Path | None:
    """Put the key that the portal no longer takes away, with all that was not told under it: it is evidence still."""
    there = [state / name for name in OF_A_KEY if (state / name).exists()]
    if not there:
        return None
    place = state / FORMER / time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    number = 0
    while place.exists():
        number += 1
        place = place.with_suffix(f".{number}")
    place.mkdir(mode=0o700, parents=True)
    for path in there:
        path.replace(place / path.name)
    return place
