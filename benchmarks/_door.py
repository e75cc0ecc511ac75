"""The bastion as it runs at a customer's, for benchmarks: portal, node, target, jump host, each its own process."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from django.conf import settings
from django.utils import timezone

from accounts import scope
from accounts.models import Assignment, Customer, Role, User
from assets import keypairs
from assets.models import Asset, SshAccess
from assets.services import credentials
from assets.services.credentials import Entry
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.services import enrolling, granting, ssh_keys
from bastion.services.granting import Wanted
from rdmp.embedded.ports import free_port

PEOPLE = 30
"""Who go through it by turns: one person alone has at most `bastion.services.authorising.MOST_SESSIONS` at once."""
WORK = 'SetEnv=RDMP_WORK="measured by a benchmark"'
PATIENCE_S = 120
QUIET = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ControlPath=none")
SAME_KEX = "KexAlgorithms=curve25519-sha256"
"""For all ways: left to themselves, two OpenSSH of the age of Debian 12 agree on sntrup761, at 50 ms of CPU for the
client alone, which a node does not speak: key exchanges would be compared."""


class Sshd:
    """OpenSSH for whoever measures, by key, on a port of its own, with an empty home: no profile is measured."""

    def __init__(self, place: Path) -> None:
        self.place, self.port, self.user = place, free_port(), getpass.getuser()
        self.private_key, self._host_key = keypairs.make(), keypairs.make()
        self.host_key = " ".join(keypairs.public_half(self._host_key).split()[:2])

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        (self.place / "home").mkdir(parents=True)
        write_key(self.place / "host_key", self._host_key)
        (self.place / "keys").write_text(keypairs.public_half(self.private_key) + "\n")
        config = self.place / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.place}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.place}/keys\nPermitRootLogin yes\nPasswordAuthentication no\nStrictModes no\n"
            f"MaxStartups 1000\nSubsystem sftp internal-sftp\nSetEnv HOME={self.place}/home\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin") or "sshd"
        with _running([program, "-D", "-f", str(config)], {"PATH": os.environ["PATH"]}):
            wait_for(self.port)
            yield self


@dataclass(frozen=True)
class Door:
    """`direct`, `jumped` and `through` are the ways to the same account of the same sshd."""

    place: Path
    target: Sshd
    jump: Sshd
    node_port: int
    node_pid: int

    def ssh(self, way: str, *words: str, options: Sequence[str] = (), kex: Sequence[str] = (SAME_KEX,)) -> list[str]:
        place = ["-p", str(self.port(way)), f"{self.user(way)}@127.0.0.1"]
        return ["ssh", *self.options(way, kex), *options, *place, *words]

    def options(self, way: str, kex: Sequence[str] = (SAME_KEX,)) -> list[str]:
        chosen = [*QUIET, *kex, "IdentitiesOnly=yes"]
        words = ["-F", "none", "-i", str(self.key(way)), *(word for one in chosen for word in ("-o", one))]
        if way == "jumped":
            config = self.place / "jump_config"
            return ["-F", str(config), *words[2:], "-J", "jump"]
        return [*words, "-o", WORK] if way == "through" else words

    def settle(self) -> None:
        """Until the portal has all that the node had to tell: what is measured next pays for nothing before it."""
        deadline = time.monotonic() + PATIENCE_S
        spool = self.place / "node" / "spool"
        while [*spool.glob("facts/*"), *spool.glob("pieces/*")]:
            if time.monotonic() > deadline:
                raise SystemExit("the node has more to tell than the portal takes")
            time.sleep(0.05)

    def port(self, way: str) -> int:
        return self.node_port if way == "through" else self.target.port

    def user(self, way: str, person: int = 0) -> str:
        return f"{login(person)}@{self.target.user}@web-01" if way == "through" else self.target.user

    def key(self, way: str, person: int = 0) -> Path:
        return self.place / (f"id_{person}" if way == "through" else "target_key")


def login(person: int) -> str:
    return f"bench-{person}@example.com"


@contextlib.contextmanager
def door() -> Iterator[Door]:
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rdmp-door-")))
        target = stack.enter_context(Sshd(place / "target").running())
        jump = stack.enter_context(Sshd(place / "jump").running())
        for name, one in (("target", target), ("jump", jump)):
            write_key(place / f"{name}_key", one.private_key)
        (place / "jump_config").write_text(
            f"Host jump\n  HostName 127.0.0.1\n  Port {jump.port}\n  User {jump.user}\n"
            f"  IdentityFile {place}/jump_key\nHost *\n"
            + "".join(f"  {one.replace('=', ' ')}\n" for one in (*QUIET, SAME_KEX))
        )
        keys = [keypairs.make() for _ in range(PEOPLE)]
        for number, private in enumerate(keys):
            write_key(place / f"id_{number}", private)
        token = _people(target, keys)
        url = f"http://127.0.0.1:{stack.enter_context(_portal())}"
        port, pid = stack.enter_context(_node(place, url, token))
        yield Door(place, target, jump, port, pid)


def _people(target: Sshd, keys: Sequence[str]) -> str:
    """A customer with one server, an engineer for each key who may do everything there; the token of a node."""
    now = timezone.now()
    with scope.platform("benchmark"):
        root = User.objects.create(email="root@example.com", name="Root", role=Role.ADMIN)
        customer = Customer.objects.create(
            name="bench", short_name="bench", code="bench", created_at=now, status=Customer.Status.IN_SERVICE
        )
        asset = Asset.objects.create(
            customer=customer, kind="server", os="linux", name="web-01", created_at=now, changed_at=now
        )
        entry = Entry("key_pair", target.user, "operations", target.private_key)
        credentials.add(where=asset, entry=entry, actor=None, now=now)
        SshAccess.objects.create(
            customer=customer, asset=asset, host="127.0.0.1", port=target.port,
            host_key=target.host_key, fingerprint="x", pinned_at=now,
        )  # fmt: skip
        wanted = Wanted(frozenset(Action) - {Action.FORWARD}, frozenset({Protocol.SSH}))
        for number, private in enumerate(keys):
            person = User.objects.create(email=login(number), name=f"Bench {number}", role=Role.ENGINEER)
            Assignment.objects.create(customer=customer, user=person, assigned_at=now)
            ssh_keys.add(person=person, name="bench", public_key=keypairs.public_half(private), now=now)
            granting.grant(person=person, to=asset, wanted=wanted, actor=root, now=now)
        _node_row, token = enrolling.announce(name="bench", customer=None, actor=None, now=now)
    return token


@contextlib.contextmanager
def _portal() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "rdmp.asgi:application", "--port", str(port), "--lifespan", "off"]
    with _running([*command, "--log-level", "warning"], dict(os.environ)):
        wait_for(port)
        yield port


@contextlib.contextmanager
def _node(place: Path, url: str, token: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    words = ["--state", str(place / "node"), "--port", str(port)]
    environment = {"PATH": os.environ["PATH"], "RDMP_NODE_TOKEN": token}
    program = [sys.executable, "-m", "bastion.gateway"]
    enrol = [*program, "enrol", "--portal", url, *words]
    subprocess.run(enrol, cwd=settings.BASE_DIR, env=environment, check=True, stdout=subprocess.DEVNULL)
    with _running([*program, "run", "--host", "127.0.0.1", *words], {"PATH": os.environ["PATH"]}) as process:
        wait_for(port)
        yield port, process.pid


@contextlib.contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


def write_key(path: Path, private: str) -> None:
    path.write_text(private)
    path.chmod(0o600)
