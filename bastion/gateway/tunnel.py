"""A TCP connection from the node to an address that the portal names."""

import asyncio
import contextlib
from typing import Final

from bastion.gateway.contract import Refused, Tunnel
from bastion.gateway.ssh.forward import METADATA, Address, is_forbidden, resolve
from bastion.gateway.streams import LONGEST, Stream, StreamClosed

RESOLVE_S: Final = 5.0
CONNECT_S: Final = 10.0
FLUSH_S: Final = 5.0


async def serve(tunnel: Tunnel, stream: Stream) -> None:
    """Raises Refused: bad_address, unknown_host, forbidden_address, unreachable."""
    reader, writer = await _connect(tunnel, await _address(tunnel))
    moving: list[asyncio.Future[None]] = []
    try:
        await stream.accept()
        moving += [
            asyncio.ensure_future(_to_target(stream, writer)),
            asyncio.ensure_future(_from_target(reader, stream)),
        ]
        await stream.over.wait()
        await asyncio.wait(moving[:1], timeout=FLUSH_S)
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), FLUSH_S)
    finally:
        for task in moving:
            task.cancel()
        writer.transport.abort()


async def _address(tunnel: Tunnel) -> Address:
    if not 0 < tunnel.port < 65536:
        raise Refused("bad_address", "")
    try:
        addresses = await asyncio.wait_for(resolve(tunnel.host, tunnel.port), RESOLVE_S)
    except (TimeoutError, ValueError):
        addresses = []
    if not addresses:
        raise Refused("unknown_host", "")
    for address in addresses:
        is_near = address.is_loopback or address.is_link_local
        if is_forbidden(address) and (address in METADATA or not (tunnel.is_near_allowed and is_near)):
            raise Refused("forbidden_address", "")
    return addresses[0]


async def _connect(tunnel: Tunnel, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.wait_for(asyncio.open_connection(str(address), tunnel.port), CONNECT_S)
    except (OSError, TimeoutError) as failure:
        raise Refused("unreachable", getattr(failure, "strerror", None) or "timeout") from None


async def _to_target(stream: Stream, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await stream.read():
            writer.write(data)
            await writer.drain()
        if not stream.is_over:
            writer.write_eof()
    except StreamClosed:
        return
    except OSError:
        await stream.close("reset")


async def _from_target(reader: asyncio.StreamReader, stream: Stream) -> None:
    """The portal closes the stream when it has read all of it."""
    try:
        while data := await reader.read(LONGEST):
            await stream.write(data)
        await stream.end()
    except StreamClosed:
        return
    except OSError:
        await stream.close("reset")
