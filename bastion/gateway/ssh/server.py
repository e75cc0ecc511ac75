"""The SSH server of a node: the door, who knocks, how they sign in, and what is refused to everybody."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncssh
from asyncssh.auth import KbdIntChallenge, KbdIntResponse

from bastion.gateway.contract import Client, Front, Language, Person, Refused, Unreachable, Wish
from bastion.gateway.limits import Doorstep
from bastion.gateway.session import Node
from bastion.gateway.ssh import algorithms, names
from bastion.gateway.ssh.channel import Channel, Environment
from bastion.gateway.ssh.forward import Forwards
from bastion.gateway.ssh.tuning import quicken
from bastion.gateway.ssh.visit import Visit
from bastion.gateway.words import say

log = logging.getLogger(__name__)

asyncssh.set_log_level(logging.WARNING)  # Its INFO has user names (a ticket is one) and command lines.

LOGIN_S: Final = 20.0  # Until somebody has signed in, or is asked for password and code:
ANSWER_S: Final = 90.0  # whoever must fetch a telephone for a code needs longer.
SIGN_IN_WAIT_S: Final = 15.0
KEEPALIVE_S, KEEPALIVE_COUNT = 30, 3
MOST_KEYS, MOST_PASSWORDS, MOST_TICKETS = 12, 4, 2  # Tries of one connection.
MOST_CHANNELS = 32
KEYS = {"ssh_host_ed25519_key": ("ssh-ed25519", {}), "ssh_host_rsa_key": ("ssh-rsa", {"key_size": 3072})}
CODE_PROMPT: Final = ("动态码 Code: ", False)
PROMPTS: Final = (("密码 Password: ", False), CODE_PROMPT)

Opening = tuple[asyncssh.SSHServerChannel[bytes], Coroutine[Any, Any, asyncssh.SSHServerSession[bytes]]]
Forwarding = tuple[asyncssh.SSHTCPChannel[bytes], Coroutine[Any, Any, asyncssh.SSHTCPSession[bytes]]]


def host_keys(state: Path) -> list[asyncssh.SSHKey]:
    """Those of the state directory, made when they are not there."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = []
    for name, (kind, options) in KEYS.items():
        path = state / name
        if not path.exists():
            _write(path, asyncssh.generate_private_key(kind, comment="", **options).export_private_key("openssh"))
        keys.append(asyncssh.read_private_key(path))
    return keys


def _modern(keys: list[asyncssh.SSHKey]) -> list[asyncssh.SSHKeyPair]:
    """Without SHA-1, which asyncssh would offer for the RSA key."""
    pairs = list(asyncssh.load_keypairs(keys))
    for pair in pairs:
        pair.host_key_algorithms = [name for name in pair.host_key_algorithms if name.decode() in algorithms.SIGNATURES]
    return pairs


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and readable for nobody else at any moment."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


@dataclass
class Gateway:
    """A running SSH front. `fingerprints` are shown in the portal."""

    node: Node
    doorstep: Doorstep
    fingerprints: list[str] = field(default_factory=list)
    visits: set[Visit] = field(default_factory=set)
    is_draining: bool = False
    acceptor: asyncssh.SSHAcceptor | None = None

    @property
    def port(self) -> int:
        return self.acceptor.get_port() if self.acceptor is not None else 0

    def drain(self) -> None:
        """No new visits; those that are there go on."""
        self.is_draining = True
        if self.acceptor is not None:
            self.acceptor.close()

    async def close(self) -> None:
        """End every session: the node stops."""
        self.drain()
        for visit in list(self.visits):
            for session in list(visit.sessions):
                session.end("node", session.say("end_node"))
            visit.leave()
        if self.acceptor is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.acceptor.wait_closed(), 2)


async def serve(
    node: Node, *, host: str = "", port: int = 2222, doorstep: Doorstep | None = None, login_s: float = LOGIN_S
) -> Gateway:
    keys = host_keys(node.state)
    gateway = Gateway(node, doorstep or Doorstep(), [key.get_fingerprint() for key in keys])
    gateway.acceptor = await asyncssh.listen(
        host,
        port,
        backlog=512,
        config=None,
        server_factory=lambda: Knock(gateway, login_s),
        server_host_keys=_modern(keys),
        server_version="RDMP",
        encoding=None,
        line_editor=False,
        allow_scp=False,
        x11_forwarding=False,
        agent_forwarding=False,
        gss_host=None,
        host_based_auth=False,
        password_auth=False,
        login_timeout=ANSWER_S,
        keepalive_interval=KEEPALIVE_S,
        keepalive_count_max=KEEPALIVE_COUNT,
        signature_algs=algorithms.SIGNATURES,
        **algorithms.TOWARDS_PEOPLE,
    )
    return gateway


class Knock(asyncssh.SSHServer):
    """One connection, from its first byte on. Answers are the same for people who do not exist."""

    def __init__(self, gateway: Gateway, login_s: float) -> None:
        self._patience: asyncio.TimerHandle | None = None
        self._login_s = login_s
        self._gateway, self._portal = gateway, gateway.node.portal
        self._conn: asyncssh.SSHServerConnection | None = None
        self._client = Client("", 0)
        self._is_at_door = False
        self._login: names.Login | None = None
        self._key = ""
        self._is_key_proven = False
        self._accept: Callable[[], Awaitable[None]] | None = None
        self._tries = {"key": MOST_KEYS, "password": MOST_PASSWORDS, "ticket": MOST_TICKETS}
        self._person: Person | None = None
        self._wish: Wish | None = None
        self._visit: asyncio.Future[Visit] = asyncio.get_running_loop().create_future()
        self._forwards: Forwards | None = None
        self._channels = 0

    # --- the door ---------------------------------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        quicken(conn)
        self._accept = conn.send_userauth_success
        conn.send_userauth_success = self._prove  # type: ignore[method-assign]
        address, port = conn.get_extra_info("peername")[:2]
        self._client = Client(address, port)
        self._is_at_door = self._gateway.doorstep.enter(address)
        if not self._is_at_door or self._gateway.is_draining:
            conn.abort()
        else:
            self._patience = asyncio.get_running_loop().call_later(self._login_s, conn.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave_door()
        if self._visit.done() and not self._visit.cancelled():
            visit = self._visit.result()
            self._gateway.visits.discard(visit)
            visit.leave()
        else:
            self._visit.cancel()

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _leave_door(self) -> None:
        self._be_patient()
        if self._is_at_door:
            self._is_at_door = False
            self._gateway.doorstep.leave(self._client.address)

    # --- signing in -------------------------------------------------------------------------------------------------

    async def begin_auth(self, username: str) -> bool:
        """False: a good ticket is proof enough."""
        conn = self._conn
        if conn is not None:
            software = str(conn.get_extra_info("client_version", ""))[:100]
            self._client = Client(self._client.address, self._client.port, software)
        self._login, self._person, self._wish, self._key, self._is_key_proven = None, None, None, "", False
        try:
            name = names.parse(username)
        except names.BadName:
            return True
        if isinstance(name, names.Login):
            self._login = name
            return True
        self._count("ticket")
        try:
            self._person, self._wish = await self._portal.sign_in_by_ticket(name.value, self._client)
        except Refused:
            return True
        except Unreachable:
            self._say_unreachable()
            return True
        return False

    async def _prove(self) -> None:
        """A method has been passed. After the key the portal may want a one-time code as well: asyncssh 2.24 knows of
        no second method, so its word of success is ours to say."""
        conn = self._conn
        if conn is None:
            return
        if self._person is None and self._login is not None and self._key:
            try:
                self._person = await self._portal.sign_in_by_key(self._login.person, self._key, self._client)
            except Refused as refusal:
                self._is_key_proven = refusal.code == "code_needed"
                log.info("sign-in of %s: %s", self._login, refusal)
                if self._is_key_proven:
                    conn.send_userauth_failure(True)
                    return
            except Unreachable:
                self._say_unreachable()
        if self._accept is not None:
            await self._accept()

    def public_key_auth_supported(self) -> bool:
        return not self._is_key_proven

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Asked for each key that a client offers, and again for the one with which it signs: of that one the portal
        has just said that it knows it, and looks again in `_prove`."""
        self._count("key")
        known, self._key = self._key, ""
        key.all_sig_algorithms = {name.encode() for name in algorithms.SIGNATURES}  # It verifies with no other.
        if self._login is None:
            return False
        line = " ".join(key.export_public_key("openssh").decode().split()[:2])
        try:
            is_known = line == known or await self._portal.is_known_key(self._login.person, line, self._client)
        except (Refused, Unreachable):
            return False
        self._key = line if is_known else ""
        return is_known

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> KbdIntChallenge:
        self._be_patient()
        return "", "", "", (CODE_PROMPT,) if self._is_key_proven else PROMPTS

    async def validate_kbdint_response(self, username: str, responses: KbdIntResponse) -> KbdIntChallenge:
        """Password and code together: nobody learns which of them was wrong. After a key the code alone."""
        self._count("password")
        if len(responses) != (1 if self._is_key_proven else len(PROMPTS)):
            return False
        *passwords, code = responses
        login = self._login.person if self._login is not None else ""
        try:
            if self._is_key_proven:
                self._person = await self._portal.sign_in_by_key(login, self._key, self._client, code.strip() or "-")
            else:
                self._person = await self._portal.sign_in_by_password(login, passwords[0], code.strip(), self._client)
        except Refused:
            return False
        except Unreachable:
            self._say_unreachable()
            return False
        return self._login is not None

    async def auth_completed(self) -> None:
        """The client has proved who it is; the portal may have said no all the same."""
        conn, person = self._conn, self._person
        self._leave_door()
        if person is None or self._visit.cancelled():
            if conn is not None:
                conn.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "sign-in refused")
            return
        if self._login is not None and self._login.resource:
            login = self._login
            self._wish = Wish(person, self._client, Front.SSH, login.resource, login.account, login.work)
        visit = Visit(self._gateway.node, self._client, person, self._wish)
        self._gateway.visits.add(visit)
        self._forwards = Forwards(visit)
        self._visit.set_result(visit)

    def _count(self, kind: str) -> None:
        self._tries[kind] -= 1
        if self._tries[kind] < 0:
            raise asyncssh.DisconnectError(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many tries")

    def _say_unreachable(self) -> None:
        if self._conn is not None:
            from_both = [say(language, "unreachable_portal") for language in Language]
            self._conn.send_auth_banner("\r\n".join(from_both) + "\r\n")

    # --- what may be opened -----------------------------------------------------------------------------------------

    def session_requested(self) -> Opening | bool:
        if self._conn is None or self._channels >= MOST_CHANNELS:
            return False
        self._channels += 1
        chan = self._conn.create_server_channel(encoding=None)
        chan._env = Environment()  # asyncssh 2.24 keeps all that is sent, and has no public way to keep less
        return chan, self._open_session()

    async def _open_session(self) -> asyncssh.SSHServerSession[bytes]:
        try:
            channel = Channel(await self._signed_in(), self._channel_closed)
            await channel.admit()
        except BaseException:
            self._channels -= 1
            raise
        return channel

    def _channel_closed(self) -> None:
        self._channels -= 1

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Forwarding | bool:
        if self._conn is None:
            return False
        return self._conn.create_tcp_channel(encoding=None), self._open_forward(dest_host, dest_port)

    async def _open_forward(self, host: str, port: int) -> asyncssh.SSHTCPSession[bytes]:
        visit = await self._signed_in()
        if self._forwards is None or visit.wish is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no target is named")
        return await self._forwards.open(host, port)

    async def _signed_in(self) -> Visit:
        try:
            return await asyncio.wait_for(asyncio.shield(self._visit), SIGN_IN_WAIT_S)
        except (TimeoutError, asyncio.CancelledError):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "not signed in") from None

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return False

    def unix_connection_requested(self, dest_path: str) -> bool:
        return False

    def unix_server_requested(self, listen_path: str) -> bool:
        return False

    def tun_requested(self, unit: int | None) -> bool:
        return False

    def tap_requested(self, unit: int | None) -> bool:
        return False
