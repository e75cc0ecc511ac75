"""What tests share of this machine: its users, of which those that change and those that watch them take turns; sshd's
directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import STARTED


def make_room_for_sshd() -> None:
    """The directory that root's sshd wants to have. Nobody else's asks for it, and nobody else could make it."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)


@contextmanager
def users_to_ourselves() -> Iterator[None]:
    """Waits for the tests of other workers."""
    with (Path(os.environ[STARTED]) / "users.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
