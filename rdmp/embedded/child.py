"""Starting a server process that never outlives us, and ending one that a killed predecessor left behind."""

# ruff: noqa: S603 - fixed programs, never a shell

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from rdmp.embedded.lodging import Owner

PR_SET_PDEATHSIG = 1
LOG_BYTES = 20_000_000
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(death_signal: signal.Signals, parent: int | None = None) -> Callable[[], None]:
    """A preexec function: the kernel sends `death_signal` to the child when we die, kill -9 included.

    It has to run after the change of user (which clears the wish), as subprocess does.
    """
    parent = parent or os.getpid()

    def ask() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # we were killed before the wish was heard
            os._exit(1)

    return ask


def spawn(
    command: Sequence[str],
    *,
    owner: Owner | None,
    death_signal: signal.Signals,
    log: IO[bytes],
    cwd: Path,
    told: bytes = b"",
) -> subprocess.Popen[bytes]:
    """Run a server as `owner`, in a session of its own so that Ctrl-C reaches only us and we stop it in order.

    `told` is what it reads on standard input, some lines at most.
    """
    stdin, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(told)
    try:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=log,
            stderr=log,
            cwd=cwd,
            env=clean_environment(),
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509 - one system call and no lock
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[owner.gid] if owner else None,
        )
    finally:
        os.close(stdin)


def clean_environment() -> dict[str, str]:
    """No PG* variable of the person's own shell and no secret of ours reaches a server."""
    kept = ("PATH", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LANG": "C", "LC_ALL": "C"}


def open_log(path: Path) -> IO[bytes]:
    """The server's log, for our eyes only: error messages quote data. Begins anew when it has grown large."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > LOG_BYTES:
            path.rename(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def runs_in(pid: int, program: str, directory: Path) -> bool:
    """Is `pid` alive, the named program, and at home in `directory`? A number alone may be anybody's by now."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name == program and Path(f"/proc/{pid}/cwd").readlink() == directory.resolve()
    except OSError:
        return False


def stop_leftover(pid: int, program: str, directory: Path, signals: Sequence[signal.Signals], patience: float) -> bool:
    """End the server that a killed predecessor left running in `directory`, gently first. True when none is left."""
    for each in signals:
        if not runs_in(pid, program, directory):
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, each)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not runs_in(pid, program, directory):
                return True
            time.sleep(0.05)
    return not runs_in(pid, program, directory)


def stop(process: subprocess.Popen[bytes], signals: Sequence[signal.Signals], patience: float) -> None:
    """End our own child: the first signal is the polite one, the last must be SIGKILL."""
    for each in signals:
        if process.poll() is not None:
            return
        process.send_signal(each)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
