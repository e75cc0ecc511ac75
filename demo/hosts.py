"""Three servers of the first customer, as far as a shell can be one: `python -m demo.hosts`.

Each has an address of this machine's own (127.0.9.…) where it answers SSH with real commands, without any right:
started by root they run as nobody, in a directory of their own that goes when they stop. Who may sign in stands in the
state directory, written by the seed. No Django here.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import os
import pwd
import signal
import struct
import sys
import tempfile
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import asyncssh
import msgspec

from demo import visits
from rdmp.embedded.child import die_with_parent
from rdmp.installation import write_private

DIRECTORY, FILE = "demo-hosts", "accounts.json"
ADDRESSES: Final[Mapping[str, str]] = {
    "mall-web-01": "127.0.9.1",
    "mall-web-02": "127.0.9.2",
    "mall-job-01": "127.0.9.3",
}
LOOPBACKS: Final = ("127.0.0.1", "::1", "localhost")
SHELL: Final = "/bin/bash"
CHUNK: Final = 32768
PATIENCE_S: Final = 1.0
FILES: Final[Mapping[str, str]] = {
    "conf/mall.conf": "upstream mall { server 172.16.1.21:8080; server 172.16.1.22:8080; }\nproxy_read_timeout 30s;\n",
    "logs/access.log": "".join(
        f'172.16.0.{9 + number % 5} - [30/Nov/2026:09:{number:02}:07 +0800] "GET /item/{1000 + number * 7} HTTP/1.1" '
        f"{502 if number % 17 == 3 else 200} {512 + number * 13}\n"
        for number in range(60)
    ),
}


@dataclass(frozen=True)
class Account:
    """Whom a server lets in: public keys as OpenSSH writes them, passwords by their SHA-256."""

    keys: tuple[str, ...] = ()
    passwords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """The private host key that all three show, and who may sign in, by server and name."""

    host_key: str
    accounts: Mapping[str, Mapping[str, Account]]


def write(state_dir: Path, known: Known) -> None:
    place = state_dir / DIRECTORY
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(place / FILE, msgspec.json.encode(known).decode())


def read(state_dir: Path) -> Known:
    """Raises OSError and ValueError."""
    return msgspec.json.decode((state_dir / DIRECTORY / FILE).read_bytes(), type=Known)


class Door(asyncssh.SSHServer):
    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        line = " ".join(key.export_public_key("openssh").decode().split()[:2])
        return line in self._accounts.get(username, Account()).keys

    def validate_password(self, username: str, password: str) -> bool:
        digest = hashlib.sha256(password.encode()).hexdigest()
        return any(hmac.compare_digest(digest, known) for known in self._accounts.get(username, Account()).passwords)


class Files(asyncssh.SFTPServer):
    """Relative paths begin at home, as in the shell."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], top: Path, server: str) -> None:
        super().__init__(channel)
        self._home = os.fsencode(home(top, server, str(channel.get_extra_info("username"))))

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(self._home, path)  # noqa: PTH118 - bytes


def home(top: Path, server: str, username: str) -> Path:
    place = top / server / username
    if not place.exists():
        for name, text in FILES.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")
    return place


def environment(place: Path, server: str, username: str, term: str) -> dict[str, str]:
    return {
        "HOME": str(place),
        "USER": username,
        "LOGNAME": username,
        "HOSTNAME": server,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "SHELL": SHELL,
        "TERM": term or "dumb",
        "LANG": "C.UTF-8",
        "PS1": f"[{username}@{server} \\W]$ ",
        "HISTFILE": "",
    }


async def enter(process: asyncssh.SSHServerProcess[bytes], top: Path, server: str) -> None:
    """A shell, or a command, until it ends or its person goes."""
    username = str(process.get_extra_info("username"))
    place = home(top, server, username)
    command = [SHELL, "--noprofile", "--norc", *(("-c", process.command) if process.command else ())]
    env = environment(place, server, username, process.get_terminal_type() or "")
    try:
        if process.get_terminal_type():
            process.exit(await _with_terminal(process, command, place, env))
        else:
            process.exit(await _without_terminal(process, command, place, env))
    except (OSError, asyncssh.Error):
        process.exit(255)


async def _without_terminal(
    process: asyncssh.SSHServerProcess[bytes], command: list[str], place: Path, env: dict[str, str]
) -> int:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, cwd=place, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    giving = asyncio.ensure_future(_give(process, child))
    try:
        await asyncio.gather(_pass_on(child.stdout, process.stdout), _pass_on(child.stderr, process.stderr))
        return await child.wait()
    finally:
        giving.cancel()
        await _end(child)


async def _give(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None  # noqa: S101 - it was given a pipe
    with contextlib.suppress(OSError, asyncssh.SignalReceived, asyncssh.BreakReceived):
        while data := await process.stdin.read(CHUNK):
            child.stdin.write(data)
            await child.stdin.drain()
    child.stdin.close()


async def _pass_on(source: asyncio.StreamReader | None, target: asyncssh.SSHWriter[bytes]) -> None:
    assert source is not None  # noqa: S101 - it was given a pipe
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()


async def _with_terminal(
    process: asyncssh.SSHServerProcess[bytes], command: list[str], place: Path, env: dict[str, str]
) -> int:
    master, slave = os.openpty()
    _resize(master, process.get_terminal_size())

    def take_terminal() -> None:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    child = await asyncio.create_subprocess_exec(
        *command, cwd=place, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=take_terminal,
    )  # fmt: skip
    os.close(slave)
    typing = asyncio.ensure_future(_type(process, master))
    try:
        while data := await _read(master):
            process.stdout.write(data)
            await process.stdout.drain()
        return await child.wait()
    finally:
        typing.cancel()
        await _end(child)
        os.close(master)


async def _type(process: asyncssh.SSHServerProcess[bytes], master: int) -> None:
    while not process.stdin.at_eof():
        try:
            data = await process.stdin.read(CHUNK)
        except asyncssh.TerminalSizeChanged as change:
            _resize(master, (change.width, change.height, change.pixwidth, change.pixheight))
            continue
        except (asyncssh.BreakReceived, asyncssh.SignalReceived):
            data = b"\x03"
        await asyncio.to_thread(os.write, master, data)


async def _read(master: int) -> bytes:
    """Nothing once the last one that held the terminal is gone."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(master, there.set)
    try:
        await there.wait()
        return os.read(master, CHUNK)
    except OSError:
        return b""
    finally:
        loop.remove_reader(master)


def _resize(master: int, size: tuple[int, int, int, int]) -> None:
    width, height, pixel_width, pixel_height = size
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, pixel_width, pixel_height))


async def _end(child: asyncio.subprocess.Process) -> None:
    """It and what it has started."""
    for number in (signal.SIGHUP, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), PATIENCE_S)
            return


async def serve(known: Known, port: int, top: Path) -> None:
    """Listens on every server's address. Raises OSError."""
    key = asyncssh.import_private_key(known.host_key)
    for server, accounts in known.accounts.items():
        await asyncssh.listen(
            ADDRESSES[server],
            port,
            config=None,
            server_host_keys=[key],
            server_factory=partial(Door, accounts),
            process_factory=partial(enter, top=top, server=server),
            sftp_factory=partial(Files, top=top, server=server),
            encoding=None,
            line_editor=False,
            agent_forwarding=False,
        )


async def run(known: Known, port: int, top: Path, plan: visits.Plan | None) -> None:
    """Until told to stop; meanwhile the first people come by."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await serve(known, port, top)
    coming = asyncio.ensure_future(visits.make(plan)) if plan is not None else None
    await over.wait()
    if coming is not None:
        coming.cancel()


def become_nobody(top: Path) -> None:
    """Of root's rights nothing is left; and the wish to end with our parent is said again, since this clears it."""
    parent, entry = os.getppid(), pwd.getpwnam("nobody")
    os.chown(top, entry.pw_uid, entry.pw_gid)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    die_with_parent(signal.SIGTERM, parent=parent)()


def main() -> int:
    os.nice(5)
    state_dir, bind = Path(os.environ["RDMP_STATE_DIR"]), os.environ.get("RDMP_BIND", "127.0.0.1")
    if os.geteuid() != 0 and bind not in LOOPBACKS:
        return _without("the portal answers others than this machine")
    if not Path(SHELL).exists():
        return _without(f"there is no {SHELL}")
    try:
        known = read(state_dir)
        plan = visits.read(state_dir / DIRECTORY)
    except (OSError, ValueError) as problem:
        return _without(f"their accounts cannot be read ({type(problem).__name__})")
    with tempfile.TemporaryDirectory(prefix="rdmp-demo-hosts-", ignore_cleanup_errors=True) as directory:
        os.environ["HOME"] = directory  # asyncssh looks there, and nobody may look into root's
        if os.geteuid() == 0:
            "".encode("idna")  # asyncssh asks for this codec, which nobody can load from root's own directories
            become_nobody(Path(directory))
        try:
            asyncio.run(run(known, int(os.environ["RDMP_DEMO_SSH_PORT"]), Path(directory), plan))
        except OSError as problem:
            return _without(str(problem))
    return 0


def _without(why: str) -> int:
    print(f"The demo goes on without servers behind the bastion: {why}.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
