"""honcho, made to keep the promise that no process outlives the supervisor, not even when it is killed with -9."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from honcho import manager
from honcho.compat import ProcessManager
from honcho.manager import Manager
from honcho.process import Popen, Process

from rdmp.embedded.child import die_with_parent, stop

HANDLED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM}
PATIENCE_SECONDS = 10
ORPHANED = signal.SIGUSR1
manager.KILL_WAIT = PATIENCE_SECONDS


class BoundProcess(Process):
    """honcho runs each command under a small process of its own: that one hears of our death, and ends the command.

    It outlives us only as long as the command may take to end; should it be killed itself, the command is asked to end.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bind = die_with_parent(ORPHANED)
        self._child_ctor = self._open

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        for number in HANDLED:  # at once: until now these are blocked, and the handlers are our parent's
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        signal.signal(ORPHANED, self._end_it)
        self._bind()
        super().run(events, ignore_signals)

    def _end_it(self, _number: int, _frame: object) -> None:
        """Nobody else is left to do so: a command that hangs while it ends, as a Celery worker may, is killed."""
        if self._child is not None:
            os.close(self._child.stdout.fileno())  # nobody reads any more, and nobody shall wait for that
            stop(self._child, (signal.SIGTERM,), PATIENCE_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
        os._exit(1)

    @staticmethod
    def _open(command: str, *, env: Mapping[str, str], cwd: str | None) -> "subprocess.Popen[bytes]":
        bind = die_with_parent(signal.SIGTERM)

        def begin() -> None:
            for number in HANDLED:
                signal.signal(number, signal.SIG_DFL)
            bind()

        opened: subprocess.Popen[bytes] = Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, preexec_fn=begin)
        return opened


class Signals(ProcessManager):
    """Ask each command itself to end, not the processes that it has started: a Celery worker lets its own finish."""

    def terminate(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


class Supervisor(Manager):
    """Starts the processes of a Procfile, calls `when_started` once they are running, stops all when one stops."""

    def __init__(self, when_started: Callable[[], None]) -> None:
        super().__init__()
        self._process_ctor = BoundProcess
        self._procmgr = Signals()
        self._when_started = when_started
        self.ended_first = ""

    def _start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        super()._start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._when_started()  # not earlier: it starts a thread, and a process with threads should not fork

    def loop(self) -> None:
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # a closed terminal; nohup ignores it
            signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        try:
            super().loop()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.kill()  # what a command has left in its group

    def terminate(self) -> None:
        """honcho's own would fail while a process is being started, and wait for ever when none of them obeys."""
        if self._all_started():
            ended = [name for name, process in self._processes.items() if "returncode" in process]
            self.ended_first = self.ended_first or next(iter(ended), "")
            super().terminate()
            self._call_later(self.kill, PATIENCE_SECONDS)
        else:
            self._call_later(self.terminate, 0.1)

    def kill(self) -> None:
        """honcho's own would fail while a process is being started."""
        for process in self._processes.values():
            if "pid" in process:
                self._procmgr.kill(process["pid"])
            elif "process" in process:
                process["process"].kill()

    def _call_later(self, action: Callable[[], None], seconds: float) -> None:
        signal.signal(signal.SIGALRM, lambda *_: action())
        signal.setitimer(signal.ITIMER_REAL, seconds)
