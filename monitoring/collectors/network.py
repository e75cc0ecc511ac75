"""Where a collector may connect to, and what a failed connection means.

Targets are typed in by people, so a collector must not become a way into the platform's own network:
loopback, link-local and cloud metadata addresses and the platform's networks are refused unless an
administrator allowed the target. The check stands where the socket is made, after name resolution, so that
neither a redirect nor a name that changes its address gets around it.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Sequence
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
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        "fd00:ec2::254/128",
    )
)
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
LOOKUP_S: Final = 5.0


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
    """The IPv4 address inside an IPv6 one, where there is one (mapped, 6to4, NAT64)."""
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return inner or ip
    return ip


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


async def resolve(host: str, port: int) -> Sequence[AddrInfoType]:
    """Look a name up once; the caller connects to what came back. Raises :class:`ResolveError`."""
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


async def connect(host: str, port: int, *, guard: Guard, allow_internal: bool) -> tuple[socket.socket, str]:
    """A connected non-blocking socket and the address it reached. Tries every address; raises the last error."""
    loop = asyncio.get_running_loop()
    failure: OSError = ResolveError(host, ours=False)
    for info in await resolve(host, port):
        try:
            sock = guard.socket(info, allow_internal=allow_internal)
        except OSError as error:
            failure = error
            continue
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, info[4])
        except BaseException as error:
            sock.close()
            if not isinstance(error, OSError) or isinstance(error, TimeoutError):
                raise
            failure = error
            continue
        return sock, str(info[4][0])
    raise failure


def connector(guard: Guard, *, allow_internal: bool, limit: int = 200) -> aiohttp.TCPConnector:
    """A connector whose every socket passes the guard: literal addresses, names and redirects alike."""

    def make(info: AddrInfoType) -> socket.socket:
        return guard.socket(info, allow_internal=allow_internal)

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
