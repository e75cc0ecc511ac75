"""The way to a target: SSH through its hops, each with its own pinned host key and its own account."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncssh

from bastion.gateway.contract import Hop
from bastion.gateway.session import Session
from bastion.gateway.ssh import algorithms
from bastion.gateway.ssh.tuning import quicken

CONNECT_S = 10.0
SIGN_IN_S = 15.0
KEEPALIVE_S = 30.0
LINGER_S = 30.0  # A connection without session is kept that long: tools that open channel after channel.


class TargetFailed(Exception):
    """`code` for the audit, `words` for the person."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(code)
        self.code, self.words = code, words


class _Pin(asyncssh.SSHClient):
    """Compares a hop's host key with those pinned for this very hop."""

    def __init__(self, hop: Hop, on_key: Callable[[str, str, str], bool]) -> None:
        self._hop, self._on_key = hop, on_key

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        quicken(conn, has_cbc=self._hop.legacy_algorithms)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        line = public_line(key)
        is_pinned = line in {" ".join(pinned.split()[:2]) for pinned in self._hop.host_keys}
        result = "pinned" if is_pinned else "changed" if self._hop.host_keys else "first"
        return self._on_key(result, line, key.get_fingerprint())

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return False


def public_line(key: asyncssh.SSHKey) -> str:
    """`ssh-ed25519 AAAA…` without comment."""
    return " ".join(key.export_public_key("openssh").decode().split()[:2])


@dataclass
class Link:
    """A signed-in connection to a target."""

    connections: list[asyncssh.SSHClientConnection] = field(default_factory=list)
    users: int = 0

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        return self.connections[-1]

    @property
    def is_open(self) -> bool:
        return bool(self.connections) and not self.connection.is_closed()

    def cut(self) -> None:
        for connection in reversed(self.connections):
            connection.abort()


async def connect(session: Session, hops: Sequence[Hop]) -> Link:
    """Raises TargetFailed. Strange host keys are told as facts of the session, and the pinned one of a doubted hop."""
    link, access = Link(), session.access
    try:
        for hop in hops:
            name = access.resource.name if hop is hops[-1] else f"{hop.host}:{hop.port}"
            link.connections.append(await _connect(session, hop, name, link))
    except BaseException:
        link.cut()
        raise
    return link


async def _connect(session: Session, hop: Hop, name: str, link: Link) -> asyncssh.SSHClientConnection:
    strange: list[TargetFailed] = []

    def on_key(result: str, key: str, fingerprint: str) -> bool:
        if result != "pinned" or hop.is_doubted:
            said = {"hop": hop.id, "host": hop.host, "port": hop.port, "key": key, "fingerprint": fingerprint}
            session.tell("host_key", **said, result=result)
        if result == "pinned":
            return True
        if result == "first" and hop.trusts_first_sight:
            return True
        strange.append(
            TargetFailed(f"host_key_{result}", session.say(f"host_key_{result}", name=name, fingerprint=fingerprint))
        )
        return False

    def unreachable(why: object) -> TargetFailed:
        return TargetFailed("unreachable", session.say("target_unreachable", name=name, why=why))

    spoken = algorithms.TOWARDS_OLD_TARGETS if hop.legacy_algorithms else algorithms.TOWARDS_TARGETS
    try:
        key = asyncssh.import_private_key(hop.account.private_key) if hop.account.private_key else None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise TargetFailed("bad_key", session.say("target_refused", name=name, account=hop.account.name)) from None
    try:
        return await asyncio.wait_for(
            asyncssh.connect(
                hop.host,
                hop.port,
                tunnel=link.connection if link.connections else (),
                config=None,
                client_factory=lambda: _Pin(hop, on_key),
                known_hosts=([], [], []),
                server_host_key_algs=_host_key_algorithms(hop),
                x509_trusted_certs=None,
                username=hop.account.name,
                password=hop.account.password or None,
                client_keys=[key] if key else None,
                agent_path=None,
                gss_host=None,
                host_based_auth=False,
                client_version="RDMP",
                disable_trivial_auth=True,
                connect_timeout=CONNECT_S,
                login_timeout=SIGN_IN_S,
                keepalive_interval=KEEPALIVE_S,
                **spoken,
            ),
            CONNECT_S + SIGN_IN_S,
        )
    except asyncssh.PermissionDenied:
        raise TargetFailed("credentials", session.say("target_refused", name=name, account=hop.account.name)) from None
    except asyncssh.HostKeyNotVerifiable:
        raise (strange[0] if strange else unreachable("host key")) from None
    except TimeoutError:
        raise unreachable("timeout") from None
    except OSError as failure:
        raise unreachable(failure.strerror or "no connection") from None
    except (asyncssh.Error, ValueError) as failure:
        raise (strange[0] if strange else unreachable(str(failure)[:200])) from None


def _host_key_algorithms(hop: Hop) -> list[str]:
    """Those of the pinned keys first, so that a host with several shows the one that is known."""
    offered = [*algorithms.HOST_KEYS, *(algorithms.OLD_HOST_KEYS if hop.legacy_algorithms else [])]
    pinned = {line.split()[0] for line in hop.host_keys}

    def is_pinned(name: str) -> bool:
        return name in pinned or ("ssh-rsa" in pinned and name.startswith("rsa-sha2"))

    return sorted(offered, key=lambda name: not is_pinned(name))


class Links:
    """The connections that the channels of one person's connection share: one for each way and account."""

    def __init__(self) -> None:
        self._links: dict[tuple[Hop, ...], Link] = {}
        self._locks: dict[tuple[Hop, ...], asyncio.Lock] = {}
        self._is_closed = False

    async def get(self, session: Session, hops: tuple[Hop, ...]) -> Link:
        """Raises TargetFailed. Give it back with `release`."""
        if not hops:
            raise TargetFailed("no_way", session.say("not_let_in"))
        async with self._locks.setdefault(hops, asyncio.Lock()):
            link = self._links.get(hops)
            if link is None or not link.is_open:
                link = await connect(session, hops)
                if self._is_closed:
                    link.cut()
                    raise TargetFailed("client", "")
                self._links[hops] = link
            link.users += 1
            return link

    def release(self, link: Link) -> None:
        link.users -= 1
        if link.users == 0 and not self._is_closed:
            asyncio.get_running_loop().call_later(LINGER_S, self._drop_unused, link)

    def _drop_unused(self, link: Link) -> None:
        if link.users == 0:
            self._links = {hops: kept for hops, kept in self._links.items() if kept is not link}
            link.cut()

    def cut(self) -> None:
        self._is_closed = True
        for link in self._links.values():
            link.cut()
        self._links.clear()
