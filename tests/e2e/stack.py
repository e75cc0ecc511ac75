"""The whole platform, brought up by the very code that `make run` runs, with a state directory and ports of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rdmp import installation
from rdmp.embedded import lodging
from rdmp.embedded.ports import free_port

ROOT = installation.ROOT
START_SECONDS = 400
STOP_SECONDS = 40
GRACE_SECONDS = 10
"""The code before the present one is taken as well."""
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass
class Codes:
    """One-time codes by address, and until when (`time.monotonic`) they are taken."""

    of: dict[str, str] = field(default_factory=dict)
    good_until: float = 0.0


@dataclass(frozen=True)
class Stack:
    """A running platform: its address, the environment of its processes and the passwords of its demo people."""

    url: str
    state_dir: Path
    environment: dict[str, str]
    passwords: dict[str, str]
    _codes: Codes = field(default_factory=Codes)

    def manage(self, *arguments: str) -> str:
        """Run a management command inside this installation; returns what it printed."""
        command = [sys.executable, "-m", "rdmp.launch", "manage", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def one_time_code(self, email: str) -> str:
        """What the person's phone shows; asked of the platform again only when what it said runs out."""
        if time.monotonic() > self._codes.good_until:
            rows = [line.split() for line in self.manage("otp").splitlines()]
            left = min(int(row[2].lstrip("(")) for row in rows)
            self._codes.of = {row[0]: row[1] for row in rows}
            self._codes.good_until = time.monotonic() + left + GRACE_SECONDS
        return self._codes.of[email]


@contextmanager
def running(**settings: str) -> Iterator[Stack]:
    """Start it, wait until everything answers, stop it by Ctrl-C; fails when a process is left behind."""
    with lodging.scratch_state_dir() as directory:
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {"RDMP_STATE_DIR": str(directory), "RDMP_PORT": str(free_port()), **settings}
        log = directory / "run.log"
        with log.open("w") as output:
            launcher = subprocess.Popen(
                [sys.executable, "-m", "rdmp.launch"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_until_ready(launcher, directory, log)
            record = json.loads((directory / "running.json").read_text())
            people = json.loads((directory / "sign-in.json").read_text())
            passwords = {each["email"]: each["password"] for each in people}
            yield Stack(record["url"], directory, environment, passwords)
        finally:
            os.killpg(launcher.pid, signal.SIGINT)
            try:
                launcher.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(launcher.pid, signal.SIGKILL)
                raise


def _wait_until_ready(launcher: "subprocess.Popen[bytes]", directory: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (directory / "running.json").exists():
        assert launcher.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < deadline, f"not ready after {START_SECONDS} s:\n{log.read_text()[-4000:]}"
        time.sleep(0.2)
