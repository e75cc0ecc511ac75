"""What a browser and a node tell each other over a stream: a letter, four bytes of length, and what it carries."""

import json
import struct
from collections.abc import Mapping
from typing import Final

OUTPUT, INPUT, EVENT = b"o", b"i", b"j"
"""Bytes to show, bytes that were typed, JSON."""
LONGEST: Final = 64 * 1024
_HEAD: Final = struct.Struct(">cI")


class BadMessage(Exception):
    """Not what was agreed."""


def message(kind: bytes, payload: bytes) -> bytes:
    return _HEAD.pack(kind, len(payload)) + payload


def event(**said: object) -> bytes:
    return message(EVENT, json.dumps(said).encode())


def output(data: bytes) -> bytes:
    """In as many messages as it takes."""
    parts = (data[start : start + LONGEST] for start in range(0, len(data), LONGEST))
    return b"".join(message(OUTPUT, part) for part in parts)


class Messages:
    """Cuts a stream into messages. Raises BadMessage."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        self._buffer += data
        found, at = [], 0
        while len(self._buffer) - at >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._buffer, at)
            if kind not in (OUTPUT, INPUT, EVENT) or length > LONGEST:
                raise BadMessage
            start = at + _HEAD.size
            if len(self._buffer) - start < length:
                break
            found.append((kind, bytes(self._buffer[start : start + length])))
            at = start + length
        del self._buffer[:at]
        return found


def said(payload: bytes) -> Mapping[str, object]:
    """Raises BadMessage."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadMessage from None
    if not isinstance(found, dict):
        raise BadMessage
    return found
