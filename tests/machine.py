"""This machine's own users: tests that change them, and tests that watch them stay the same, take turns."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import STARTED


@contextmanager
def users_to_ourselves() -> Iterator[None]:
    """Waits for the tests of other workers."""
    with (Path(os.environ[STARTED]) / "users.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
