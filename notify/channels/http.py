"""One POST to an allowed host, which says exactly how far it got. No redirects, no proxy, a hard wall of time.

The standard client is used because the outbox must know the difference between "the request never left" (try
again at once) and "it left and no answer came" (the provider may have taken it).
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from notify.channels.outcome import Outcome, Verdict

MAX_REPLY_BYTES = 64 * 1024
_TLS = ssl.create_default_context()


@dataclass(frozen=True)
class Limits:
    """`allowed_hosts` ("host" or "host:port") may be called at any address and over plain HTTP too."""

    allowed_hosts: frozenset[str] = frozenset()
    connect_s: float = 5.0
    total_s: float = 10.0


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str]


class NotSentError(Exception):
    """The request did not reach the provider. `permanent` when another try cannot help."""

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


class NoAnswerError(Exception):
    """The request left (at least in part) and no complete answer came."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def post(url: str, body: bytes, headers: Mapping[str, str], *, limits: Limits, known_host: str | None = None) -> Reply:
    """POST `body` to `url`. `known_host`: the only public host this provider lives on; None = any public host.

    Raises NotSentError or NoAnswerError; their text never holds path, query, headers or body (they carry secrets).
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", _port(url)
    trusted = host in limits.allowed_hosts or f"{host}:{port}" in limits.allowed_hosts
    if parts.scheme not in ("http", "https") or not host:
        raise NotSentError("not an http(s) address", permanent=True)
    if parts.scheme == "http" and not trusted:
        raise NotSentError("plain http is refused", permanent=True)
    if known_host is not None and host != known_host and not trusted:
        raise NotSentError(f"host {host} is not allowed", permanent=True)
    address = _resolve(host, port, public_only=not trusted)
    path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="%/:=&?~+!$,;'@()*")
    connection = _Connection(host, port, address=address, tls=parts.scheme == "https", timeout=limits.connect_s)
    with contextlib.closing(connection):
        try:
            connection.connect()
        except (OSError, ssl.SSLError) as error:
            raise NotSentError(f"no connection to {host}: {_reason(error)}") from None
        return _exchange(connection, path, body, headers, limits.total_s)


def checked_address(host: str, port: int, *, limits: Limits) -> str:
    """An address of `host` that may be connected to by another protocol. Raises NotSentError."""
    trusted = host in limits.allowed_hosts or f"{host}:{port}" in limits.allowed_hosts
    return _resolve(host, port, public_only=not trusted)


def _exchange(connection: _Connection, path: str, body: bytes, headers: Mapping[str, str], total_s: float) -> Reply:
    """The exchange under a wall of `total_s`: a server that drips bytes for ever must not keep a worker."""
    sock = connection.sock
    sock.settimeout(total_s)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    wall = threading.Timer(total_s, give_up)
    wall.daemon = True
    wall.start()
    try:
        connection.request("POST", path, body=body, headers={**headers, "User-Agent": "RDMP", "Connection": "close"})
        answer = connection.getresponse()
        content = answer.read(MAX_REPLY_BYTES)
        if late.is_set():
            raise NoAnswerError(f"no answer within {total_s:g} s")
        return Reply(answer.status, content, {name.lower(): value for name, value in answer.getheaders()})
    except (OSError, http.client.HTTPException) as error:
        reason = f"no answer within {total_s:g} s" if late.is_set() else _reason(error)
        raise NoAnswerError(reason) from None
    finally:
        wall.cancel()


class _Connection(http.client.HTTPConnection):
    """Connects to the address that was checked (a name resolved twice may give another one), names the host in TLS."""

    def __init__(self, host: str, port: int, *, address: str, tls: bool, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls:  # the plain socket stays in self.sock until the handshake succeeded, so that close() ends it
            self.sock = _TLS.wrap_socket(self.sock, server_hostname=self.host)


def _port(url: str) -> int:
    parts = urlsplit(url)
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise NotSentError("not a port number", permanent=True) from None


def _resolve(host: str, port: int, *, public_only: bool) -> str:
    """An address of `host`. Refuses addresses inside our own network, so that a webhook cannot be aimed at it."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSentError(f"no address for {host}: {_reason(error)}") from None
    addresses = [str(entry[4][0]) for entry in found]
    if public_only and not all(ipaddress.ip_address(address.partition("%")[0]).is_global for address in addresses):
        raise NotSentError(f"host {host} is not a public address", permanent=True)
    return addresses[0]


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "time-out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def attempt(call: Callable[[], Reply]) -> Reply | Outcome:
    """Run `call`; what kept it from an answer becomes the Outcome."""
    try:
        return call()
    except NotSentError as stop:
        return Outcome(Verdict.REFUSED if stop.permanent else Verdict.FAILED, "not sent", stop.reason)
    except NoAnswerError as stop:
        return Outcome(Verdict.UNCERTAIN, "no answer", stop.reason)


def outcome_of_status(status: int, detail: str) -> Outcome | None:
    """The verdict of an HTTP status; None when the answer's body decides (2xx).

    502 and 504 come from a proxy that lost the answer: the provider behind it may have accepted.
    """
    code = f"http {status}"
    if 200 <= status < 300:
        return None
    if status in (502, 504):
        return Outcome(Verdict.UNCERTAIN, code, detail)
    if status in (408, 425, 429):
        return Outcome(Verdict.RATE, code, detail)
    if status >= 500:
        return Outcome(Verdict.FAILED, code, detail)
    return Outcome(Verdict.REFUSED, code, detail)
