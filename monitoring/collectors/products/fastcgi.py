"""One FastCGI request as a web server makes it (FastCGI 1.0), enough to read PHP-FPM's own status page."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import Final

from monitoring.collectors.products.frame import CannotReadError

VERSION: Final = 1
BEGIN, END, PARAMS, STDIN, STDOUT, STDERR = 1, 3, 4, 5, 6, 7
RESPONDER: Final = 1
REQUEST: Final = 1
HEADER: Final = struct.Struct("!BBHHBx")
LARGEST: Final = 1024 * 1024


def _record(kind: int, content: bytes) -> bytes:
    return HEADER.pack(VERSION, kind, REQUEST, len(content), 0) + content


def _size(length: int) -> bytes:
    return bytes([length]) if length < 128 else struct.pack("!I", length | 0x80000000)


def request(params: Mapping[str, str]) -> bytes:
    """The bytes of a request without a body."""
    pairs = b""
    for name, value in params.items():
        key, text = name.encode(), value.encode()
        pairs += _size(len(key)) + _size(len(text)) + key + text
    begin = _record(BEGIN, struct.pack("!HB5x", RESPONDER, 0))
    return begin + _record(PARAMS, pairs) + _record(PARAMS, b"") + _record(STDIN, b"")


async def answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """HTTP status and body of the response. Raises CannotReadError when it is not FastCGI."""
    out, errors = b"", b""
    while True:
        version, kind, _request, length, padding = HEADER.unpack(await reader.readexactly(HEADER.size))
        if version != VERSION:
            raise CannotReadError("wrong_page", "not FastCGI")
        content = await reader.readexactly(length + padding)
        if kind == STDOUT:
            out += content[:length]
        elif kind == STDERR:
            errors += content[:length]
        elif kind == END:
            break
        if len(out) > LARGEST:
            raise CannotReadError("too_large", "1 MiB")
    head, _, body = out.partition(b"\r\n\r\n")
    status = 200
    for line in head.decode("latin-1").splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
    return status, body.decode("utf-8", "replace")
