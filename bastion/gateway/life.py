"""A node's life: it serves until it is stopped; a portal that does not know it any more ends what runs at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from enum import Enum, auto
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway import asking, identity, tunnel, version, voucher, wire
from bastion.gateway.contract import Piece, Refused, Tunnel, Unreachable
from bastion.gateway.errands import Errands
from bastion.gateway.identity import Identity
from bastion.gateway.recording import chain
from bastion.gateway.recording.recovery import recover
from bastion.gateway.remote_portal import RemotePortal, enrol
from bastion.gateway.session import Node
from bastion.gateway.ssh.recorded import recorder
from bastion.gateway.ssh.server import Gateway, host_keys, serve
from bastion.gateway.web.desk import Desk
from bastion.policy import judge

LAST_WORDS_S: Final = 5.0
LOOK_S, SURE_AFTER = 2.0, 2
"""How often a lost connection is asked about, and how many times the portal must say that it knows us not."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.3, 60.0
REVOKED_KEY: Final = "revoked_key"
log = logging.getLogger("bastion.gateway")


class Ending(Enum):
    STOPPED = auto()
    UNKNOWN = auto()
    FAILED = auto()


class Stop:
    """SIGTERM and Ctrl-C, heard from now on."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.event.set)

    @property
    def is_asked_for(self) -> bool:
        return self.event.is_set()

    async def within(self, seconds: float) -> bool:
        """Sleep so long, or less: true once it is asked for."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.event.wait(), seconds)
        return self.is_asked_for


async def installed(state: Path, host: str, port: int, *, least_free: int) -> int:
    """The life of a node that a person has enrolled. `least_free` as in `Node`. Raises NotEnrolled."""
    stop = Stop()
    who = identity.read(state)
    while not stop.is_asked_for:
        ending = await _serve(state, who, host, port, stop, least_free=least_free)
        if ending is Ending.UNKNOWN:
            log.error("the portal knows this node no more: it was revoked. Waiting for it to be known again.")
            await _until_known(who, stop)
        elif ending is Ending.FAILED:
            await stop.within(FIRST_WAIT_S)
    return 0


async def beside(state: Path, portal: str, secret: str, host: str, port: int, *, least_free: int) -> int:
    """The life of the platform's own node: it enrols itself, again and again if need be, once the portal answers."""
    stop = Stop()
    while not stop.is_asked_for:
        who = await _join(state, portal, secret, port, stop)
        ending = await _serve(state, who, host, port, stop, least_free=least_free) if who is not None else None
        if ending is Ending.UNKNOWN:
            log.warning("the portal knows this node no more: enrolling again")
        elif ending is Ending.FAILED:
            await stop.within(FIRST_WAIT_S)
    return 0


async def join(state: Path, portal: str, token: str, port: int) -> int:
    """Bring the public half of the key with the token; the node's number. Raises Refused, Unreachable and Insecure."""
    identity.check_portal(portal)
    public, here = identity.public_of(identity.key_of(state)), _here(state, port)
    number = await enrol(portal, wire.Enrol(token, public, here.version, here.ssh_port, here.host_keys))
    identity.write(state, number, portal)
    return number


def _here(state: Path, port: int) -> wire.Here:
    shown = (one.export_public_key("openssh").decode().strip() for one in host_keys(state))
    return wire.Here(version(), port, tuple(shown))


async def _present(state: Path, who: Identity, port: int) -> None:
    wait = FIRST_WAIT_S
    while True:
        try:
            await asking.present(who, _here(state, port))
            return
        except (Refused, Unreachable):
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)


async def _join(state: Path, portal: str, secret: str, port: int, stop: Stop) -> Identity | None:
    """None: stopped before the portal took us."""
    wait, said = FIRST_WAIT_S, ""
    while not stop.is_asked_for:
        public = identity.public_of(identity.key_of(state))
        try:
            await join(state, portal, voucher.write(secret, public, time.time()), port)
            return identity.read(state)
        except Unreachable:
            wait = min(wait, 2.0)
        except Refused as no:
            if no.code == REVOKED_KEY:
                log.warning("the former key was revoked; what it had not told lies in %s", identity.set_aside(state))
                continue
            if no.code != said:
                log.error("the portal does not take this node: %s. Is RDMP_NODE_SECRET the same on both?", no.code)
            said = no.code
        await stop.within(wait)
        wait = min(wait * 2, LONGEST_WAIT_S)
    return None


async def _until_known(who: Identity, stop: Stop) -> None:
    while not await stop.within(LONGEST_WAIT_S):
        with contextlib.suppress(Refused, Unreachable):
            await asking.standing(who)
            return


async def _serve(state: Path, who: Identity, host: str, port: int, stop: Stop, *, least_free: int) -> Ending:
    """From the opened port to the last word told. Raises OSError when the port cannot be had."""
    portal = RemotePortal(who.portal, who.node, who.key, state / identity.SPOOL)
    recordings = state / identity.RECORDINGS
    recordings.mkdir(mode=0o700, exist_ok=True)
    portal.end_interrupted()
    for directory in recordings.iterdir():
        _recover(directory, who.key, portal)
    record = recorder(recordings, who.key, portal)
    home = urlsplit(who.portal).hostname or ""
    node = Node(portal, state, record, judge, copies=portal.copies, least_free=least_free, portal_host=home)
    desk = Desk(node)
    desk.serve(portal.streams)
    portal.streams.serve(Tunnel, tunnel.serve)
    errands = Errands(state / identity.SPOOL / "errands", portal)
    talking = asyncio.ensure_future(portal.run())
    carrying = asyncio.ensure_future(errands.run())
    try:
        gateway = await serve(node, host=host, port=port)
        portal.load = lambda: _load(node, gateway, desk) | errands.load()
        log.info("SSH on port %d, node %s", gateway.port, who.node)
        presenting = asyncio.ensure_future(_present(state, who, gateway.port))
        ending = await _until_over(portal, who, talking, stop)
        presenting.cancel()
        desk.close()
        await gateway.close()
        if ending is Ending.STOPPED:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(portal.emptied.wait(), LAST_WORDS_S)
        return ending
    finally:
        for work in (carrying, talking):
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await work


async def _until_over(portal: RemotePortal, who: Identity, talking: asyncio.Future[None], stop: Stop) -> Ending:
    watching = asyncio.ensure_future(_until_unknown(portal, who))
    stopping = asyncio.ensure_future(stop.event.wait())
    try:
        await asyncio.wait((watching, stopping, talking), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_asked_for:
            return Ending.STOPPED
        if talking.done():
            log.error("the channel to the portal has failed", exc_info=talking.exception())
            return Ending.FAILED
        return Ending.UNKNOWN
    finally:
        watching.cancel()
        stopping.cancel()


async def _until_unknown(portal: RemotePortal, who: Identity) -> None:
    """Until a portal that does answer says, and says again, that it does not know this node."""
    times = 0
    while times < SURE_AFTER:
        await asyncio.sleep(LOOK_S)
        if portal.is_connected:
            times = 0
            continue
        try:
            await asking.standing(who)
            times = 0
        except asking.ClockOff as no:
            log.error("%s: the portal cannot take what it signs", no.words)
        except Refused as no:
            times += no.code == asking.UNKNOWN
        except Unreachable:
            continue


def _recover(directory: Path, key: Ed25519PrivateKey, portal: RemotePortal) -> None:
    """Close what a killed program was recording, and send what is here of it: its last pieces may not wait yet."""
    try:
        recover(directory, key)
        for number, kinds in sorted(chain.numbers(directory).items()):
            if {"json", "cast.zst"} <= kinds:
                signed = chain.read((directory / chain.link_name(number)).read_bytes())
                portal.deliver(Piece(directory.name, number, str(directory / signed.link.file), signed.as_dict()))
    except (OSError, ValueError) as problem:
        log.error("%s cannot be recovered: %s", directory.name, problem)


def _load(node: Node, gateway: Gateway, desk: Desk) -> dict[str, object]:
    """cpu and memory in percent; disk_free, and disk_least below which no session begins, in bytes."""
    return {
        "cpu": psutil.cpu_percent(),
        "memory": psutil.virtual_memory().percent,
        "disk_free": psutil.disk_usage(str(node.state)).free,
        "disk_least": node.least_free,
        "sessions": sum(len(visit.sessions) for visit in gateway.visits) + len(desk),
    }
