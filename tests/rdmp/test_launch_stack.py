"""The whole platform as `make run` starts it: two copies side by side, and what is left however they end."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rdmp import installation
from rdmp.embedded import lodging
from rdmp.embedded.ports import free_port
from tests.rdmp.processes import wait_until, with_environment, working_in

pytestmark = pytest.mark.e2e
START_SECONDS = 600  # two first starts side by side, on a slow machine
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass
class Copy:
    """One installation with a state directory and a port of its own."""

    state_dir: Path
    port: int
    launcher: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(cls, state_dir: Path, port: int) -> "Copy":
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {"RDMP_STATE_DIR": str(state_dir), "RDMP_PORT": str(port)}
        log = state_dir / "run.log"
        with log.open("wb") as output:
            launcher = subprocess.Popen(
                [sys.executable, "-m", "rdmp.launch"],
                cwd=installation.ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(state_dir, port, launcher, log)

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.launcher.poll() is None, self.log.read_text()[-3000:]
            found = installation.running(self.state_dir)
            return found is not None and found.pid == self.launcher.pid

        wait_until(is_ready, START_SECONDS, "the platform is ready")

    def answers(self) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=10) as response:
            return bool(response.status == 200)

    def takes_ssh(self) -> bool:
        found = installation.running(self.state_dir)
        assert found
        address = "127.0.0.1", int(found.environment["RDMP_SSH_PORT"])
        with socket.create_connection(address, timeout=10) as greeting:
            return greeting.recv(8).startswith(b"SSH-2.0-")

    def processes(self) -> set[int]:
        return with_environment("RDMP_STATE_DIR", str(self.state_dir)) | working_in(self.state_dir)

    def leaves_nothing(self) -> None:
        wait_until(lambda: not self.processes(), 30, f"no process of {self.state_dir} is left")


@contextmanager
def copy() -> Iterator[Copy]:
    with lodging.scratch_state_dir() as directory:
        started = Copy.start(directory, free_port())
        try:
            yield started
        finally:
            if started.launcher.poll() is None:
                started.launcher.kill()
                started.launcher.wait()


def test_two_copies_run_side_by_side_and_however_one_ends_it_leaves_nothing_behind() -> None:
    with copy() as first, copy() as second:
        first.wait_until_ready()
        second.wait_until_ready()
        assert first.answers()
        assert second.answers()
        assert first.takes_ssh()
        assert second.takes_ssh()

        first.launcher.kill()
        first.launcher.wait()
        first.leaves_nothing()
        assert second.answers()

        again = Copy.start(first.state_dir, first.port)
        try:
            again.wait_until_ready()
            assert again.answers()
            text = again.log.read_text()
            assert f"http://127.0.0.1:{first.port}" in text
            assert "admin@" in text
            for name in ("postgres.password", "redis.password", "secrets/secret_key", "secrets/master_keys"):
                assert (first.state_dir / name).read_text() not in text

            os.killpg(again.launcher.pid, signal.SIGINT)
            assert again.launcher.wait(40) == 0
            again.leaves_nothing()
            assert "Traceback" not in again.log.read_text()
        finally:
            if again.launcher.poll() is None:
                again.launcher.kill()

        # A database that is gone takes the rest with it, and the reason is said: nothing works without it.
        postmaster = (second.state_dir / "postgres").resolve() / "data" / "postmaster.pid"
        os.kill(int(postmaster.read_text().split()[0]), signal.SIGQUIT)
        assert second.launcher.wait(60) == 1
        assert "The embedded PostgreSQL ended unexpectedly" in second.log.read_text()
        second.leaves_nothing()
