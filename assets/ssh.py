"""The one adapter to SSH: logs in with a pinned host key, runs one command, says what went wrong in one word.

It holds no Django, and no error of it holds a secret. Commands get secrets by their standard input alone.
"""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import paramiko

from assets.addresses import AddressError, clean_host

CONNECT_S = 8.0
COMMAND_S = 20.0
DRAIN_S = 2.0
"""How long what a command left in the pipe is waited for: a child of it may hold the pipe open for ever."""
_PIECE = 32 * 1024
_RUN_LIMIT = 2000
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""A key's name is not always that of the signature which proves it (RFC 8332)."""


class SshError(Exception):
    """`code` is one of: unreachable, host_key_unknown, host_key_changed, refused, timeout, forbidden, lost."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


Dial = Callable[[], AbstractContextManager[socket.socket]]
"""Opens a connected socket to a host that the platform itself does not reach. Raises SshError("unreachable")."""


@dataclass(frozen=True)
class Door:
    """Where a host answers, and the public key that it was seen to have; empty while nobody has pinned one.

    `dial` is the way to a host behind a node; without one the platform connects by itself.
    """

    host: str
    port: int
    host_key: str
    dial: Dial | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Login:
    username: str
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Ran:
    exit_code: int
    output: str


class Stream:
    """What a command says on one of its two outputs, up to `limit` bytes; another thread may read it meanwhile."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes, self.is_cut = limit, bytearray(), False

    def add(self, piece: bytes) -> None:
        room = self._limit - len(self._bytes)
        self._bytes += piece[:room]
        self.is_cut = self.is_cut or len(piece) > room

    @property
    def text(self) -> str:
        return bytes(self._bytes).decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


class Output:
    def __init__(self, limit: int) -> None:
        self.stdout, self.stderr = Stream(limit), Stream(limit)


def read_host_key(door: Door) -> str:
    """The public key with which a host proves itself, as `ssh-ed25519 AAAA…`; trusting it is up to a person."""
    with _transport(replace(door, host_key="")) as transport:
        return _line(transport)


@contextmanager
def session(door: Door, login: Login) -> Iterator["Session"]:
    """Log in. Raises SshError; an unknown or changed host key is refused before anything is sent."""
    if not door.host_key:
        raise SshError("host_key_unknown")
    with _transport(door) as transport:
        if _line(transport) != door.host_key:
            raise SshError("host_key_changed")
        _authenticate(transport, login)
        yield Session(transport)


class Session:
    def __init__(self, transport: paramiko.Transport) -> None:
        self._transport = transport

    def run(self, command: str, *, given: str = "", timeout_s: float | None = None) -> Ran:
        """One command with `given` on its standard input. Raises SshError("timeout") when it does not end in time."""
        output = Output(_RUN_LIMIT)
        try:
            status = self.execute(command, output, given=given, timeout_s=timeout_s or COMMAND_S)
        except SshError:
            raise SshError("timeout") from None
        return Ran(-1 if status is None else status, output.stdout.text)

    def execute(self, command: str, output: Output, *, given: str, timeout_s: float) -> int | None:
        """A longer command, whose words go to `output` as they come. Its exit status; None when a signal ended it.

        Raises SshError: "unreachable" when it was not begun; "timeout" when it did not end in time and "lost" when the
        connection broke, in both of which it may have been done, half done, or still be going on.
        """
        try:
            channel = self._begin(command)
            channel.settimeout(CONNECT_S)
        except (paramiko.SSHException, EOFError, OSError):
            raise SshError("unreachable") from None
        try:
            channel.sendall(given.encode())
            channel.shutdown_write()
            self._follow(channel, output, time.monotonic() + timeout_s)
            status = channel.recv_exit_status()
        except (paramiko.SSHException, EOFError, OSError):
            raise SshError("lost") from None
        finally:
            channel.close()
        if status < 0 and not self._transport.is_active():
            raise SshError("lost")
        return None if status < 0 else status

    def _begin(self, command: str) -> paramiko.Channel:
        """For the answer to `exec` paramiko waits for ever: whoever owes it for too long loses the connection."""
        channel = self._transport.open_session(timeout=CONNECT_S)
        too_long = threading.Timer(CONNECT_S, self._transport.close)
        too_long.daemon = True
        too_long.start()
        try:
            channel.exec_command(command)
        finally:
            too_long.cancel()
        return channel

    def _follow(self, channel: paramiko.Channel, output: Output, until: float) -> None:
        ended_at: float | None = None
        while True:
            # Asked before what is there to be read: what comes between the two questions is read in the next round.
            if channel.exit_status_ready():
                ended_at = ended_at or time.monotonic()
            is_whole = ended_at is not None and (channel.eof_received or channel.closed)
            if channel.recv_ready():
                output.stdout.add(channel.recv(_PIECE))
            elif channel.recv_stderr_ready():
                output.stderr.add(channel.recv_stderr(_PIECE))
            elif is_whole or (ended_at is not None and time.monotonic() - ended_at > DRAIN_S):
                return
            else:
                time.sleep(0.02)
            if time.monotonic() > until:
                raise SshError("timeout")


@contextmanager
def _transport(door: Door) -> Iterator[paramiko.Transport]:
    with (door.dial or partial(_connected, door))() as sock:
        transport = _begun(sock, door)
        try:
            yield transport
        finally:
            transport.close()


@contextmanager
def _connected(door: Door) -> Iterator[socket.socket]:
    try:
        sock = socket.create_connection((door.host, door.port), timeout=CONNECT_S)
    except OSError:
        raise SshError("unreachable") from None
    try:
        clean_host(str(sock.getpeername()[0]))  # a name may lead where no customer's host can be
        yield sock
    except AddressError:
        raise SshError("forbidden") from None
    finally:
        sock.close()


def _begun(sock: socket.socket, door: Door) -> paramiko.Transport:
    transport: paramiko.Transport | None = None
    try:
        transport = paramiko.Transport(sock)
        transport.banner_timeout = transport.auth_timeout = CONNECT_S
        kind = door.host_key.partition(" ")[0]
        if kind:
            transport.get_security_options().key_types = _ALGORITHMS.get(kind, (kind,))
        transport.start_client(timeout=CONNECT_S)
    except paramiko.SSHException as problem:
        _close(transport)
        changed = bool(door.host_key) and isinstance(problem, paramiko.ssh_exception.IncompatiblePeer)
        raise SshError("host_key_changed" if changed else "unreachable") from None
    except (OSError, EOFError, ValueError):
        _close(transport)
        raise SshError("unreachable") from None
    return transport


def _close(transport: paramiko.Transport | None) -> None:
    if transport is not None:
        transport.close()


def _line(transport: paramiko.Transport) -> str:
    key = transport.get_remote_server_key()
    return f"{key.get_name()} {key.get_base64()}"


def _authenticate(transport: paramiko.Transport, login: Login) -> None:
    try:
        if login.private_key:
            transport.auth_publickey(login.username, _private(login.private_key))
        else:
            transport.auth_password(login.username, login.password)
    except paramiko.AuthenticationException:
        raise SshError("refused") from None
    except (paramiko.SSHException, EOFError, OSError):
        raise SshError("unreachable") from None


def _private(text: str) -> paramiko.PKey:
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
    raise SshError("refused")
