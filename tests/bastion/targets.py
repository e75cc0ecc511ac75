"""Targets and clients of the SSH front: a real sshd by key, a gateway beside it, OpenSSH's clients in front."""

import asyncio
import contextlib
import getpass
import grp
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest
from asyncssh.misc import _ACMWrapper
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway.contract import Account, Hop
from bastion.gateway.limits import Doorstep
from bastion.gateway.session import Node
from bastion.gateway.ssh.recorded import recorder
from bastion.gateway.ssh.server import Gateway, serve
from bastion.gateway.ssh.target import public_line
from bastion.policy import judge
from tests.assets.sshd import free_port, wait_for
from tests.bastion.memory_portal import Grant, MemoryPortal, resource
from tests.machine import make_room_for_sshd

SFTP_SERVER = "internal-sftp"
NO_TERMINALS = "sshd gives nobody but root a terminal here: /dev/pts is not mounted for the group tty"


def gives_terminals() -> bool:
    """Whether sshd, run by whoever runs the tests, can hand a terminal over: it must belong to the group tty."""
    if os.geteuid() == 0:
        return True
    master, slave = os.openpty()
    try:
        return os.fstat(slave).st_gid == grp.getgrnam("tty").gr_gid
    finally:
        os.close(master)
        os.close(slave)


needs_terminal = pytest.mark.skipif(not gives_terminals(), reason=NO_TERMINALS)


class KeyTarget:
    """OpenSSH for whoever runs the tests, by key. `log` is what the daemon wrote."""

    def __init__(self, place: Path) -> None:
        self.place, self.port, self.user = place, free_port(), getpass.getuser()
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def private_key(self) -> str:
        return self.key.export_private_key("openssh").decode()

    def hop(self, number: int = 1, **said: object) -> Hop:
        usual: dict[str, object] = {
            "account": Account(self.user, private_key=self.private_key),
            "host_keys": (public_line(self.host_key),),
        }
        return Hop(number, "127.0.0.1", self.port, **{**usual, **said})  # type: ignore[arg-type]

    def start(self) -> None:
        self.place.mkdir(exist_ok=True)
        (self.place / "keys").write_text(public_line(self.key) + "\n")
        host_key = self.place / "host_key"
        host_key.write_bytes(self.host_key.export_private_key("openssh"))
        host_key.chmod(0o600)
        (self.place / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {host_key}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.place}/keys\nPermitRootLogin yes\nPasswordAuthentication no\nStrictModes no\n"
            f"MaxStartups 100\nAcceptEnv LANG LC_* EVIL\nSubsystem sftp {SFTP_SERVER}\n"
        )
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin") or "sshd"
        make_room_for_sshd()
        self._daemon = subprocess.Popen(
            [program, "-D", "-e", "-f", str(self.place / "sshd_config")], stderr=subprocess.DEVNULL
        )
        wait_for(self.port)

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(10)


@contextlib.contextmanager
def key_target(place: Path) -> Iterator[KeyTarget]:
    target = KeyTarget(place)
    target.start()
    try:
        yield target
    finally:
        target.stop()


class Fake(asyncssh.SSHServer):
    """A target of our own making, for what a real one does not do."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == "x"


@contextlib.asynccontextmanager
async def fake_target(**said: object) -> AsyncIterator[Hop]:
    """An asyncssh server; `said` are options of `asyncssh.listen`."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    usual: dict[str, object] = {"server_factory": Fake, "server_host_keys": [key], "encoding": None, "config": None}
    server = await asyncssh.listen("127.0.0.1", 0, **{**usual, **said})
    try:
        yield Hop(1, "127.0.0.1", server.get_port(), Account("trops", password="x"), (public_line(key),))
    finally:
        server.close()


@dataclass(frozen=True)
class Ran:
    status: int
    out: bytes
    err: str


class Bench:
    """A gateway before a target: `chen` signs in with `key`, and may do everything on `web-01`."""

    def __init__(self, place: Path, portal: MemoryPortal, node: Node, gateway: Gateway) -> None:
        self.place, self.portal, self.node, self.gateway = place, portal, node, gateway
        self.key = place / "id"

    def options(self, *more: str) -> list[str]:
        said = ["-F", "none", "-i", str(self.key), *(f"-o{name}" for name in OPTIONS)]
        return [*said, "-oIdentitiesOnly=yes", f"-oUserKnownHostsFile={self.place}/known", *more]

    def ssh(self, *words: str, user: str = "chen#web-01", options: Sequence[str] = ()) -> list[str]:
        port = str(self.gateway.port)
        return ["ssh", *self.options(*options), "-p", port, "-l", user, "127.0.0.1", *words]

    async def run(self, *words: str, given: bytes = b"", user: str = "chen#web-01", options: Sequence[str] = ()) -> Ran:
        return await run(self.ssh(*words, user=user, options=options), given)

    async def copy(self, program: str, *words: str, user: str = "chen@trops@web-01", given: bytes = b"") -> Ran:
        """scp or sftp; `@:` in a word becomes the gateway. scp itself refuses a `#` in the name that it copies from."""
        place = [word.replace("@:", f"{user}@127.0.0.1:") for word in words]
        return await run([program, *self.options(), "-P", str(self.gateway.port), *place], given)

    def connect(self, user: str = "chen#web-01", **said: object) -> _ACMWrapper[asyncssh.SSHClientConnection]:
        usual: dict[str, object] = {"client_keys": [str(self.key)], "known_hosts": None, "agent_path": None}
        usual |= {"config": None, "username": user, "port": self.gateway.port, "preferred_auth": "publickey"}
        return asyncssh.connect("127.0.0.1", **{**usual, **said})

    async def recordings(self) -> dict[str, Path]:
        return {path.name: path for path in (self.place / "recordings").iterdir()}


OPTIONS = ["StrictHostKeyChecking=no", "BatchMode=yes", "LogLevel=ERROR", "ControlPath=none", "ConnectTimeout=10"]


async def run(
    command: Sequence[str], given: bytes = b"", within_s: float = 30, env: Mapping[str, str] | None = None
) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", "TERM": "xterm"}
        | dict(env or {}),
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(given), within_s)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return Ran(process.returncode or 0, out, err.decode("utf-8", "replace"))


@contextlib.asynccontextmanager
async def bench(
    place: Path,
    hops: Sequence[Hop],
    *,
    change: Callable[[Node], Node] = lambda node: node,
    doorstep: Doorstep | None = None,
    login_s: float = 20.0,
    keys: Path | None = None,
) -> AsyncIterator[Bench]:
    """`keys`: a directory whose host keys are used again, since an RSA key takes a while."""
    portal = MemoryPortal()
    key = asyncssh.generate_private_key("ssh-ed25519")
    (place / "id").write_bytes(key.export_private_key("openssh"))
    (place / "id").chmod(0o600)
    portal.enter("chen", keys={public_line(key)}, password="word", code="123456")
    portal.grants.append(Grant(resource(1, "web-01"), tuple(hops)))
    state = keys or place / "state"
    record = recorder(place / "recordings", Ed25519PrivateKey.generate(), portal)
    node = change(Node(portal, state, record, judge))
    gateway = await serve(node, host="127.0.0.1", port=0, doorstep=doorstep, login_s=login_s)
    try:
        yield Bench(place, portal, node, gateway)
    finally:
        await gateway.close()
        portal.check_facts()
