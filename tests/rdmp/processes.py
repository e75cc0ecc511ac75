"""What the tests of the launcher ask the machine about processes."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Running, and not merely waiting to be collected by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def with_environment(name: str, value: str) -> set[int]:
    """The processes that carry this variable: everything that a launcher under test has started."""
    wanted = f"{name}={value}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0") and is_alive(int(entry.name)):
                    found.add(int(entry.name))
            except OSError:  # ended meanwhile, or another user's
                continue
    return found


def working_in(directory: Path) -> set[int]:
    """The processes whose working directory lies below this one: the servers do so with their data."""
    inside = directory.resolve()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "cwd").readlink().is_relative_to(inside) and is_alive(int(entry.name)):
                    found.add(int(entry.name))
            except OSError:
                continue
    return found
