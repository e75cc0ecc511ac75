"""A real program in a real pty, and what stands between it and a person's keys."""

import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Sequence
from fcntl import ioctl
from pathlib import Path


class Program:
    """`on_output` is called with all that the program shows."""

    def __init__(
        self, argv: Sequence[str], on_output: Callable[[bytes], None], *, home: Path, cols: int = 80, rows: int = 24
    ) -> None:
        self._on_output = on_output
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            env = {"PATH": os.environ["PATH"], "TERM": "xterm", "PS1": "me@host:~$ ", "HOME": str(home)}
            env |= {"LC_ALL": "C.UTF-8", "HISTFILE": "/dev/null"}
            os.chdir(home)
            os.execvpe(argv[0], list(argv), env)
        self.resize(cols, rows)
        self.seen = b""

    def resize(self, cols: int, rows: int) -> None:
        ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def send(self, data: bytes) -> None:
        os.write(self._file, data)

    def read(self, wait_s: float) -> bool:
        if not select.select([self._file], [], [], wait_s)[0]:
            return False
        try:
            data = os.read(self._file, 65536)
        except OSError:
            return False
        self.seen += data
        self._on_output(data)
        return True

    def until(self, text: bytes, *, timeout_s: float = 20.0) -> None:
        """Read until the program has shown this since the last call, and then says no more."""
        ends_at = time.monotonic() + timeout_s
        while text not in self.seen:
            assert time.monotonic() < ends_at, (text, self.seen)
            self.read(0.2)
        self.quiet(0.06)
        self.seen = b""

    def quiet(self, wait_s: float = 0.02) -> None:
        """Read until it says nothing for so long."""
        while self.read(wait_s):
            pass

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._file)
