"""Forwarding to a destination behind a target (`ssh -L`): where it may go, and the bytes that went.

A name is resolved here and judged by its address; the target is then asked to connect to that very address, so that
no second answer of a name server can lead elsewhere. Link-local and the metadata services of clouds are never reached,
whatever a grant says; the target's own loopback only where a grant names it as such (VS Code's server listens there),
and so the portal and this node's own machine.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence

import asyncssh
import psutil

from bastion.gateway.contract import Action, Refused, Unreachable, WorkNeeded
from bastion.gateway.session import Session
from bastion.gateway.ssh.pressure import Valve
from bastion.gateway.ssh.target import Link, TargetFailed
from bastion.gateway.ssh.visit import Visit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA = {
    ipaddress.ip_address(address)
    for address in ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254")
}
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
IP = {socket.AF_INET, socket.AF_INET6}
MOST_AT_ONCE = 64
RESOLVE_S = 5.0
SAY_WORK = "say what you work on: user#resource~INC-000123, or in a session of the same connection"
PROHIBITED, FAILED = asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, asyncssh.OPEN_CONNECT_FAILED


def is_forbidden(address: Address) -> bool:
    address = _plain(address)
    return (
        address in METADATA
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address.is_reserved
    )


def _plain(address: Address) -> Address:
    """IPv4 in its IPv6 clothes is IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_granted(host: str, address: Address, port: int, forwards: Sequence[str]) -> bool:
    """`forwards` as in Access: `host:port`, `network/bits:port` or `*:port`; the port may be `*`."""
    for rule in forwards:
        place, _, wanted = rule.rpartition(":")
        if wanted not in {"*", str(port)}:
            continue
        place = place.strip("[]")
        if place == "*" or place.lower() == host.lower() or _is_within(address, place):
            return True
    return False


def is_named_loopback(address: Address, port: int, forwards: Sequence[str]) -> bool:
    """Whether a grant names the loopback itself: `*` and networks around it do not mean it."""
    named = [rule for rule in forwards if _is_loopback(rule.rpartition(":")[0].strip("[]"))]
    return _plain(address).is_loopback and is_granted("localhost", address, port, named)


def may_reach(host: str, address: Address, port: int, forwards: Sequence[str]) -> bool:
    if is_named_loopback(address, port, forwards):
        return True
    return not is_forbidden(address) and is_granted(host, address, port, forwards)


def is_named(host: str, address: Address, port: int, forwards: Sequence[str]) -> bool:
    """Whether a grant names this very place: `*` and networks around it do not mean it."""
    places = {host.lower(), str(_plain(address))}
    for rule in forwards:
        place, _, wanted = rule.rpartition(":")
        if wanted in {"*", str(port)} and place.strip("[]").lower() in places:
            return True
    return False


async def home(portal_host: str) -> set[Address]:
    """Where the portal and this machine are reached. Loopback, that of the target, has a rule of its own."""
    spoken = (one.address for ones in psutil.net_if_addrs().values() for one in ones if one.family in IP)
    own = [ipaddress.ip_address(address.partition("%")[0]) for address in spoken]
    found = {_plain(one) for one in own + (await resolve(portal_host, 443) if portal_host else [])}
    return {one for one in found if not one.is_loopback}


def _is_loopback(place: str) -> bool:
    try:
        return place.lower() == "localhost" or ipaddress.ip_network(place, strict=False).is_loopback
    except ValueError:
        return False


def _is_within(address: Address, place: str) -> bool:
    try:
        return _plain(address) in ipaddress.ip_network(place, strict=False)
    except ValueError:
        return False


async def resolve(host: str, port: int) -> list[Address]:
    """Nothing for what is no name, and when no name server answers in time."""
    if "\0" in host:  # else its beginning would be resolved, and all of it told
        return []
    asked = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.wait_for(asked, RESOLVE_S)
    except (OSError, ValueError):
        return []
    return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


class _Leg(asyncssh.SSHTCPSession[bytes]):
    """One side of a forward. What comes in goes out at the other."""

    def __init__(self, forward: "Forward", *, is_person: bool) -> None:
        self.forward, self.is_person = forward, is_person
        self.chan: asyncssh.SSHTCPChannel[bytes] | None = None
        self.other: _Leg | None = None
        self._valve = Valve(self._hold)
        self._early = bytearray()
        self._has_early_eof = False

    def connection_made(self, chan: "asyncssh.SSHTCPChannel[bytes]") -> None:
        self.chan = chan
        if self.is_person:
            self.forward.join()

    def join(self, other: "_Leg") -> None:
        """The other side is there: hand over what came before it, and go on."""
        self.other = other
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.data_received(early, None)
        if self._has_early_eof:
            self.eof_received()
        self._valve.turn("early", is_held=False)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self.other is None:
            self._early += data
            self._valve.turn("early", is_held=True)
            return
        self.forward.passed(len(data), is_from_person=self.is_person)
        if self.other.chan is not None:
            with contextlib.suppress(OSError):
                self.other.chan.write(data)
            self._valve.mind(self.other.chan.get_connection())

    def eof_received(self) -> bool:
        self._has_early_eof = self.other is None
        if self.other is not None and self.other.chan is not None:
            self.other.chan.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.hold("full", is_held=True)

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.hold("full", is_held=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.chan = None
        if self.other is not None and self.other.chan is not None:
            self.other.chan.close()
        self.forward.lost()

    def hold(self, reason: str, *, is_held: bool) -> None:
        self._valve.turn(reason, is_held=is_held)

    def _hold(self, is_held: bool) -> None:
        if self.chan is not None:
            (self.chan.pause_reading if is_held else self.chan.resume_reading)()

    def cut(self) -> None:
        if self.chan is not None:
            self.chan.abort()


class Forward:
    """One connection through the target. Told as one fact when it ends."""

    def __init__(
        self, session: Session, host: str, port: int, address: Address, on_end: Callable[["Forward"], None]
    ) -> None:
        self.session, self.host, self.port, self.address, self._on_end = session, host, port, address, on_end
        self.person, self.target = _Leg(self, is_person=True), _Leg(self, is_person=False)
        self.sent = self.received = 0
        self._is_told = False

    def join(self) -> None:
        self.target.join(self.person)
        self.person.join(self.target)
        if self.target.chan is None and self.person.chan is not None:
            self.person.chan.close()

    @property
    def is_granted(self) -> bool:
        access = self.session.access
        return access.may(Action.FORWARD) and may_reach(self.host, self.address, self.port, access.forwards)

    def passed(self, count: int, *, is_from_person: bool) -> None:
        self.session.used()
        if is_from_person:
            self.sent += count
            self.session.sent += count
        else:
            self.received += count
            self.session.received += count

    def lost(self) -> None:
        if self.person.chan is None and self.target.chan is None:
            self.tell("done")

    def cut(self) -> None:
        self.person.cut()
        self.target.cut()
        self.tell("cut")

    def tell(self, result: str) -> None:
        if self._is_told:
            return
        self._is_told = True
        self.session.tell(
            "forward", host=self.host, port=self.port, result=result, sent=self.sent, received=self.received
        )
        self._on_end(self)


class Forwards:
    """All forwards of one connection of a person: one session, from the first until the connection ends."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._session: Session | None = None
        self._open: set[Forward] = set()
        self._opening = 0
        self._lock = asyncio.Lock()
        self._link: Link | None = None

    async def open(self, host: str, port: int) -> asyncssh.SSHTCPSession[bytes]:
        """Raises ChannelOpenError; nothing was connected then."""
        session = await self._admitted()
        self._opening += 1
        try:
            address = await self._judged(session, host, port)
            return await self._connect(session, host, port, address)
        except Refused as refusal:
            session.refused(f"{host}:{port}", refusal.code)
            session.tell("forward", host=host, port=port, result=refusal.code, sent=0, received=0)
            raise asyncssh.ChannelOpenError(PROHIBITED, refusal.words) from None
        finally:
            self._opening -= 1

    async def _admitted(self) -> Session:
        async with self._lock:
            if self._session is not None and not self._session.is_over:
                return self._session
            try:
                session = await self._visit.admit(work=self._visit.work)
            except WorkNeeded:
                raise asyncssh.ChannelOpenError(PROHIBITED, SAY_WORK) from None
            except Refused as refusal:
                raise asyncssh.ChannelOpenError(PROHIBITED, refusal.code) from None
            except Unreachable:
                raise asyncssh.ChannelOpenError(FAILED, "the portal cannot be reached") from None
            session.attach(self)
            session.opened("forward")
            self._session = session
            return session

    async def _judged(self, session: Session, host: str, port: int) -> Address:
        if not session.access.may(Action.FORWARD) or session.is_locked:
            raise Refused("no_forward", "forwarding is not granted")
        if len(self._open) + self._opening > MOST_AT_ONCE:
            raise Refused("too_many", "too many forwards at once")
        addresses = await resolve(host, port)
        if not addresses:
            raise Refused("unknown_host", "the name cannot be resolved")
        forwards = session.access.forwards
        if near := [one for one in addresses if is_named_loopback(one, port, forwards)]:
            addresses = [one for one in addresses if not _plain(one).is_loopback]
        if any(is_forbidden(address) for address in addresses):
            raise Refused("forbidden_address", "this address is never forwarded to")
        granted = near + [one for one in addresses if is_granted(host, one, port, forwards)]
        is_unnamed = bool(granted) and not is_named(host, granted[0], port, forwards)
        if is_unnamed and _plain(granted[0]) in await home(session.node.portal_host):
            raise Refused("forbidden_address", "this address is forwarded to only where a grant names it")
        if not granted:
            raise Refused("no_destination", "this destination is not granted")
        return granted[0]

    async def _connect(self, session: Session, host: str, port: int, address: Address) -> _Leg:
        forward = Forward(session, host, port, address, self._open.discard)
        try:
            link = await self._linked(session)
            await link.connection.create_connection(lambda: forward.target, str(address), port)
        except TargetFailed as failure:
            forward.tell(failure.code)
            raise asyncssh.ChannelOpenError(FAILED, failure.code) from None
        except (asyncssh.Error, OSError):
            forward.tell("failed")
            raise asyncssh.ChannelOpenError(FAILED, "the target could not connect") from None
        if session.is_over:
            forward.target.cut()
            raise asyncssh.ChannelOpenError(FAILED, "the session is over")
        if not forward.is_granted:
            forward.cut()
            raise asyncssh.ChannelOpenError(PROHIBITED, "forwarding there is not granted any more")
        self._open.add(forward)
        return forward.person

    async def _linked(self, session: Session) -> Link:
        """One link for the session's life. Raises TargetFailed."""
        await session.let_in()
        hops = session.access.hops
        if any(hop.account.is_own for hop in hops):
            raise TargetFailed("own_credentials", "")
        async with self._lock:
            if self._link is None or not self._link.is_open:
                is_again = self._link is not None
                self._release()
                self._link = await self._visit.links.get(session, hops)
                if is_again:
                    session.tell("linked")
            return self._link

    def _release(self) -> None:
        if self._link is not None:
            self._visit.links.release(self._link)
            self._link = None

    # --- as a part of the session -----------------------------------------------------------------------------------

    def show(self, words: str) -> None:
        """There is no screen."""

    def lock(self, is_locked: bool) -> None:
        for forward in self._open:
            forward.person.hold("lock", is_held=is_locked)
            forward.target.hold("lock", is_held=is_locked)

    def terms_changed(self) -> None:
        for forward in [one for one in self._open if not one.is_granted]:
            forward.cut()

    def cut(self, exit_status: int | None) -> None:
        for forward in list(self._open):
            forward.cut()
        self._release()
