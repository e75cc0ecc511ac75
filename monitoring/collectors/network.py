"""Where a collector may connect to, and what a failed connection means.

Targets are typed in by people, so a collector must not become a way into the platform's own network:
loopback, link-local and cloud metadata addresses and the platform's networks are refused unless an
administrator allowed the target. The check stands where the socket is made, after name resolution, so that
neither a redirect nor a name that changes its address gets around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import psutil
from aiohttp.connector import AddrInfoType

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host (RFC 1122)
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, with the metadata address of most clouds
        "100.64.0.0/10",  # shared space; Alibaba Cloud's metadata (100.100.100.200) and internal services
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "64:ff9b:1::/48",  # NAT64 of a local network (RFC 8215): where the IPv4 address stands in it is not known
        "2001::/32",  # Teredo: a tunnel to an address of the sender's choice
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        "fd00:ec2::/32",  # metadata of AWS
        "fd20:ce::/32",  # metadata of Google Cloud
    )
)
WITH_IPV4_AT_THE_END: Final = tuple(
    ipaddress.IPv6Network(text)
    for text in ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")  # NAT64, SIIT (RFC 2765), IPv4-compatible (RFC 4291)
)
ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
LOOKUP_S: Final = 5.0
NEXT_ADDRESS_S: Final = 3.0
"""A name with several addresses: the next one is tried when this long has brought nothing."""


class BlockedError(OSError):
    """The guard refused the address. The text is constant: several refusals in a row stay recognisable."""

    def __init__(self) -> None:
        super().__init__("the platform does not connect to this address")


class ResolveError(OSError):
    """A name has no address; ``ours`` when our resolver did not answer, which says nothing about the name."""

    def __init__(self, host: str, *, ours: bool) -> None:
        super().__init__(f"cannot look up {host}")
        self.ours = ours


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides on addresses. ``platform`` are the networks of the platform itself."""

    platform: tuple[Network, ...] = ()

    def allows(self, address: str, *, allow_internal: bool) -> bool:
        """True when a collector may connect there."""
        if allow_internal:
            return True
        ip = unwrapped(ipaddress.ip_address(address.partition("%")[0]))
        return not any(ip in network for network in (*NEVER, *self.platform) if network.version == ip.version)

    def socket(self, info: AddrInfoType, *, allow_internal: bool) -> socket.socket:
        """A socket for this address, or :class:`BlockedError`: every connection of a collector is made here."""
        family, kind, protocol, _, address = info
        if not self.allows(str(address[0]), allow_internal=allow_internal):
            raise BlockedError
        return socket.socket(family, kind, protocol)


def unwrapped(ip: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where there is one (mapped, 6to4, NAT64, SIIT, compatible, ISATAP)."""
    if not isinstance(ip, ipaddress.IPv6Address) or int(ip) < 2:
        return ip
    at_the_end = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.ipv4_mapped or any(ip in network for network in WITH_IPV4_AT_THE_END):
        return at_the_end
    if (int(ip) >> 32) & 0xFFFFFFFF in ISATAP:
        return at_the_end
    return ip.sixtofour or ip


def own_networks() -> tuple[Network, ...]:
    """The networks this machine is in: what the platform's database and Redis are likely to be in as well."""
    found: set[Network] = set()
    for addresses in psutil.net_if_addrs().values():
        for entry in addresses:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                ip = entry.address.partition("%")[0]
                mask = entry.netmask or ("255.255.255.255" if entry.family == socket.AF_INET else "ffff:" * 7 + "ffff")
                prefix = int(ipaddress.ip_address(mask)).bit_count()
                found.add(ipaddress.ip_network(f"{ip}/{prefix}", strict=False))
    return tuple(sorted(found, key=str))


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from a setting; the word ``own`` stands for :func:`own_networks`."""
    found: list[Network] = []
    for text in texts:
        found.extend(own_networks() if text == "own" else [ipaddress.ip_network(text, strict=False)])
    return tuple(found)


def addresses_of(hosts: Iterable[str]) -> tuple[Network, ...]:
    """The addresses that these names have now, each as a network of one; names that have none are left out."""
    found: set[Network] = set()
    for host in hosts:
        if host and not host.startswith("/"):
            with contextlib.suppress(OSError, UnicodeError):
                known = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
                found.update(map(ipaddress.ip_network, known))
    return tuple(sorted(found, key=str))


def literal(host: str, port: int) -> list[AddrInfoType]:
    """What a name server would say of a host that is an address already; nothing for a name."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return []
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id:
            return []  # the system knows the number of the interface
        return [(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(ip), port, 0, 0))]
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(ip), port))]


async def resolve(host: str, port: int) -> Sequence[AddrInfoType]:
    """Look a name up once; the caller connects to what came back. Raises :class:`ResolveError`."""
    if known := literal(host, port):
        return known
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_S):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise ResolveError(host, ours=True) from None
    except UnicodeError:
        raise ResolveError(host, ours=False) from None
    except socket.gaierror as error:
        raise ResolveError(host, ours=error.errno == socket.EAI_AGAIN) from error
    return found


@dataclass(slots=True)
class Journey:
    """Where the time of one connection went, in milliseconds, and where it led."""

    dns: float = 0.0
    connect: float = 0.0
    tls: float | None = None
    address: str = ""
    certificate: bytes | None = None
    connected_at: float = 0.0


JOURNEY: Final[ContextVar[Journey | None]] = ContextVar("journey", default=None)


async def connect(
    host: str, port: int, *, guard: Guard, allow_internal: bool, journey: Journey | None = None
) -> tuple[socket.socket, str]:
    """A connected non-blocking socket and the address it reached. Tries every address; raises the last error."""
    journey = journey or Journey()
    began = time.perf_counter()
    found = await resolve(host, port)
    journey.dns = (time.perf_counter() - began) * 1000
    began = time.perf_counter()
    failure: OSError = ResolveError(host, ours=False)
    for place, info in enumerate(found):
        try:
            sock = await _dial(info, guard, allow_internal, NEXT_ADDRESS_S if place + 1 < len(found) else None)
        except OSError as error:
            failure = error
            continue
        journey.connected_at = time.perf_counter()
        journey.connect = (journey.connected_at - began) * 1000
        journey.address = str(info[4][0])
        return sock, journey.address
    raise failure


async def _dial(info: AddrInfoType, guard: Guard, allow_internal: bool, patience: float | None) -> socket.socket:
    sock = guard.socket(info, allow_internal=allow_internal)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_connect(sock, info[4])
    except BaseException:
        sock.close()
        raise
    return sock


class ProbeConnector(aiohttp.BaseConnector):
    """Every request has a connection of its own; it passes the guard, and its :class:`Journey` is written down."""

    def __init__(self, guard: Guard, *, allow_internal: bool, limit: int) -> None:
        super().__init__(limit=limit, force_close=True)
        self._guard = guard
        self._allow_internal = allow_internal

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # theirs
    ) -> Any:
        """What aiohttp asks of every connector (`BaseConnector._create_connection`)."""
        host, port = req.url.raw_host or "", req.url.port or 0
        journey = JOURNEY.get() or Journey()
        sock, _ = await connect(host, port, guard=self._guard, allow_internal=self._allow_internal, journey=journey)
        if req.url.scheme != "https":
            _, proto = await self._loop.create_connection(self._factory, sock=sock)
            return proto
        name = host.rstrip(".")
        context = tls_context(verify=req.ssl is True)
        transport, proto = await self._loop.create_connection(
            self._factory, sock=sock, ssl=context, server_hostname=name
        )
        journey.tls = (time.perf_counter() - journey.connected_at) * 1000
        journey.certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return proto


def tls_context(*, verify: bool) -> ssl.SSLContext:
    """The machine's own trust, or none at all: then a certificate can be read that nobody trusts."""
    return _VERIFIED if verify else _UNVERIFIED


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_VERIFIED: Final = ssl.create_default_context()
_UNVERIFIED: Final = _unverified()


def connector(guard: Guard, *, allow_internal: bool, limit: int = 200, keep_s: float = 0.0) -> aiohttp.TCPConnector:
    """A connector whose every socket passes the guard: literal addresses, names and redirects alike. A connection that
    nobody uses stays open for ``keep_s``."""

    def make(info: AddrInfoType) -> socket.socket:
        return guard.socket(info, allow_internal=allow_internal)

    if keep_s:
        return aiohttp.TCPConnector(limit=limit, keepalive_timeout=keep_s, use_dns_cache=False, socket_factory=make)
    return aiohttp.TCPConnector(limit=limit, force_close=True, use_dns_cache=False, socket_factory=make)


# errno values that speak of this machine, not of the other one.
OURS: Final = frozenset(
    {
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EACCES,
        errno.EPERM,
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed connection: a code of ``monitoring.problems`` and whether the fault is on the platform's side."""

    code: str
    ours: bool
    detail: str = ""


def explain(error: BaseException) -> Failure:  # noqa: PLR0911  # one line per kind of failure
    """What a failed connection or request means."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Failure("tls", ours=False, detail=_certificate(error.certificate_error))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        inner = error.os_error
        return Failure("dns", ours=inner.errno == socket.EAI_AGAIN, detail=error.host)
    if isinstance(error, aiohttp.ClientConnectorError):
        return explain(error.os_error)
    if type(error) is aiohttp.ClientOSError and isinstance(error.__cause__, OSError):
        return explain(error.__cause__)  # aiohttp's wrapping of what our own connector said
    if isinstance(error, TimeoutError | aiohttp.ServerTimeoutError):
        return Failure("timeout", ours=False)
    if isinstance(error, BlockedError):
        return Failure("blocked", ours=True)
    if isinstance(error, ResolveError):
        return Failure("dns", ours=error.ours)
    if isinstance(error, ssl.SSLError):
        return Failure("tls", ours=False, detail=_certificate(error))
    if isinstance(error, ConnectionRefusedError):
        return Failure("refused", ours=False)
    if isinstance(
        error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError | aiohttp.ServerDisconnectedError
    ):
        return Failure("reset", ours=False)
    if isinstance(error, OSError):
        if error.errno in OURS:
            return Failure("local", ours=True, detail=error.strerror or "")
        return Failure("unreachable", ours=False, detail=error.strerror or str(error))
    return Failure("protocol", ours=False, detail=str(error)[:200])


def _certificate(error: Any) -> str:
    return str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or error)
