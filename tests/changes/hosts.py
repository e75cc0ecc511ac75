"""Hosts for scripts: a real sshd of whoever runs the tests, by key, and as many assets that lead to it as one wants."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import psutil

from accounts.models import Customer, User
from assets import keypairs, ssh
from assets.models import AccountPurpose, Asset, Credential, SshAccess
from assets.services import credentials
from assets.services.credentials import Entry
from changes.catalogue import Words
from changes.models import HostState, ScriptHost, ScriptRun, ScriptVersion
from changes.scripts import Interpreter, Script
from changes.services import script_library, script_running, script_runs
from changes.services.script_library import Proposal
from changes.services.script_runs import Pace
from tests.assets.sshd import free_port, wait_for
from tests.conftest import NOW
from tests.incidents.conftest import make_asset
from tests.machine import make_room_for_sshd

SUDO = """#!/bin/sh
[ "$1" = -n ] || exit 1
shift
exec "$@"
"""


class KeyHost:
    """`private_key` opens it; a stand-in for sudo lets everybody through, as the machine need not have one."""

    def __init__(self, place: Path) -> None:
        self.place, self.port = place, free_port()
        self.user, self.private_key = getpass.getuser(), keypairs.make()

    @contextmanager
    def running(self) -> Iterator[Self]:
        (self.place / "bin").mkdir()
        sudo = self.place / "bin" / "sudo"
        sudo.write_text(SUDO)
        sudo.chmod(0o755)
        (self.place / "keys").write_text(keypairs.public_half(self.private_key) + "\n")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.place / "host_key")], check=True)
        config = self.place / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.place}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.place}/keys\nPermitRootLogin yes\nPasswordAuthentication no\nStrictModes no\n"
            f"MaxStartups 100\nSetEnv PATH={self.place}/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        )
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin") or "sshd"
        make_room_for_sshd()
        daemon = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
        self.pid = daemon.pid
        try:
            wait_for(self.port)
            yield self
        finally:
            daemon.terminate()
            daemon.wait(10)

    def stand_in(self, program: str, body: str) -> None:
        """A program that this host has instead of the machine's."""
        file = self.place / "bin" / program
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def break_sessions(self, once_there: Path) -> None:
        """Cut every connection when a file is there."""
        until = time.monotonic() + 20
        while not once_there.exists() and time.monotonic() < until:
            time.sleep(0.05)
        for process in psutil.Process(self.pid).children(recursive=True):
            if process.name() == "sshd":  # of a user other than root, a connection has two
                process.kill()


def place_host(customer: Customer, host: KeyHost, name: str, *, port: int = 0) -> Asset:
    """An asset that leads to the host; with another port, to one that does not answer."""
    asset = make_asset(customer, name)
    Asset.objects.filter(pk=asset.pk).update(kind="server", os="linux", environment="production")
    asset.refresh_from_db()
    give_way(asset, host, port=port)
    return asset


def give_way(asset: Asset, host: KeyHost, *, port: int = 0) -> None:
    """The address that leads to the host, and an account there."""
    SshAccess.objects.create(
        customer_id=asset.customer_id,
        asset=asset,
        host="127.0.0.1",
        port=port or host.port,
        host_key=ssh.read_host_key(ssh.Door("127.0.0.1", host.port, "")),
        fingerprint="SHA256:x",
        pinned_at=NOW,
    )
    give_account(asset, host)


def give_account(asset: Asset, host: KeyHost, purpose: str = AccountPurpose.OPERATIONS) -> Credential:
    entry = Entry("key_pair", host.user, purpose, host.private_key, has_sudo=True)
    return credentials.add(where=asset, entry=entry, actor=None, now=NOW)


def script(body: str, **said: object) -> Script:
    usual: dict[str, object] = {
        "interpreter": Interpreter.SH,
        "parameters": (),
        "accounts": frozenset({"operations"}),
        "as_root": False,
        "only_reads": True,
        "timeout_s": 10,
        "output_limit": 65_536,
    }
    return Script(body=body, **{**usual, **said})  # type: ignore[arg-type]


TEXT = {"name": "word", "type": "text", "en": "Word", "zh": "词"}


def approved(made: Script, author: User, approver: User, *, code: str = "try-out") -> ScriptVersion:
    said = Proposal(code, Words("Try out", "试运行"), made)
    version = script_library.propose(customer=None, said=said, actor=author, now=NOW)
    return script_library.approve(version=version, actor=approver, now=NOW)


class Turns:
    """Turns of a worker by a clock of its own."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def turn(self, run: ScriptRun) -> ScriptRun:
        self.moment += timedelta(seconds=1)
        script_running.advance(run_id=run.pk, clock=lambda: self.moment)
        run.refresh_from_db()
        return run

    def to_rest(self, run: ScriptRun) -> ScriptRun:
        """Until it is over or waits for a person."""
        for _ in range(40):
            if run.state != "running":
                break
            self.turn(run)
        return run


def read_on(
    version: ScriptVersion, actor: User, *assets: Asset, given: dict[str, object] | None = None, **pace: object
) -> ScriptRun:
    """Plan and start a script that only reads."""
    run = script_runs.plan_reading(
        customer=assets[0].customer,
        version=version,
        given=given or {},
        assets=assets,
        reason="A look",
        pace=Pace(**pace),  # type: ignore[arg-type]
        actor=actor,
        now=NOW,
    )
    return script_runs.start(run=run, actor=actor, now=NOW)


def states(run: ScriptRun) -> list[str]:
    return [HostState(host.state).value for host in run.hosts.all()]


def only(run: ScriptRun) -> ScriptHost:
    found: ScriptHost
    (found,) = run.hosts.all()
    return found
