"""A server that speaks MongoDB's wire protocol (OP_MSG, and OP_QUERY for the first hello) with recorded replies."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any

import bson
from bson import json_util

from tests.monitoring.products.recordings import RECORDED

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HELLO = {
    "isWritablePrimary": True,
    "ismaster": True,
    "helloOk": True,
    "maxBsonObjectSize": 16777216,
    "maxMessageSizeBytes": 48000000,
    "maxWriteBatchSize": 100000,
    "minWireVersion": 0,
    "maxWireVersion": 17,
    "readOnly": False,
    "saslSupportedMechs": ["SCRAM-SHA-256"],
    "ok": 1.0,
}


def replies() -> dict[str, Any]:
    found: dict[str, Any] = json_util.loads((RECORDED / "mongodb.json").read_text("utf-8"))
    return found


def refusal(code: int, name: str, text: str) -> dict[str, Any]:
    return {"ok": 0.0, "errmsg": text, "code": code, "codeName": name}


@contextlib.asynccontextmanager
async def serving(found: Mapping[str, Any], seen: list[str] | None = None) -> AsyncIterator[int]:
    """A server on a free port; `seen` is told the commands."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length, request_id, _, code = struct.unpack("<iiii", await reader.readexactly(16))
                body = await reader.readexactly(length - 16)
                command = bson.decode(_document(code, body))
                name = next(iter(command))
                if seen is not None:
                    seen.append(name)
                answer = HELLO if name.lower() in ("hello", "ismaster") else found.get(name)
                answer = answer or refusal(59, "CommandNotFound", f"no such command: '{name}'")
                writer.write(_framed(code, request_id, bson.encode(answer)))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _document(code: int, body: bytes) -> bytes:
    if code == OP_MSG:
        return body[5:]  # flags, then a section of kind 0
    if code != OP_QUERY:
        raise AssertionError(f"operation {code} is not spoken here")
    return body[body.index(b"\0", 4) + 9 :]  # flags, name, how many to skip and to return


def _framed(code: int, request_id: int, document: bytes) -> bytes:
    if code == OP_MSG:
        body, kind = struct.pack("<IB", 0, 0) + document, OP_MSG
    else:
        body, kind = struct.pack("<iqii", 8, 0, 0, 1) + document, OP_REPLY
    return struct.pack("<iiii", len(body) + 16, 1, request_id, kind) + body
