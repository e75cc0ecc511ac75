"""Real servers of Debian's packages for the adapters: each is started once a session, on free ports, in its own place.

They run as the person who runs the tests; where that is root, programs that refuse root run as nobody.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
AS_ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")


def program(name: str) -> str:
    """Where a program is. A missing one is a set-up that was not done, not a reason to skip."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise AssertionError(f"{name} is missing: `make test` says which packages to install")
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def place(name: str) -> Iterator[Path]:
    """A directory for a server, also for one that runs as nobody."""
    path = Path(tempfile.mkdtemp(prefix=f"rdmp-{name}-"))
    if AS_ROOT:
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def answers(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def wait(until: Callable[[], Any], *, what: str, process: subprocess.Popen[bytes] | None = None) -> Any:
    """The first true answer, asked again and again; says what was waited for when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{what}: ended with {process.returncode}")
        if found := until():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE_S:.0f} s")


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Running:
    """A server that listens on ``port``; it can be stopped and started again."""

    name: str
    command: Sequence[str]
    port: int
    path: Path
    env: Mapping[str, str] = field(default_factory=dict)
    as_nobody: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.path / "output.log").open("ab") as output:
            self.process = subprocess.Popen(  # fixed programs, never a shell
                self.command,
                cwd=self.path,
                env={"PATH": SYSTEM_PATH, "HOME": str(self.path), "LANG": "C.UTF-8", **self.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=NOBODY.pw_uid if self.as_nobody and AS_ROOT else None,
                group=NOBODY.pw_gid if self.as_nobody and AS_ROOT else None,
                extra_groups=[] if self.as_nobody and AS_ROOT else None,
            )
        try:
            wait(lambda: answers(self.port), what=self.name, process=self.process)
        except AssertionError as error:
            self.stop()
            said = (self.path / "output.log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{error}\n{said}") from None

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()


@contextmanager
def running(server: Running) -> Iterator[Running]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


NGINX = """\
daemon off;
pid {path}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;
    uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;
    server {{
        listen 127.0.0.1:{port};
        location = /nginx_status {{ stub_status; }}
        location = /closed {{ deny all; }}
        location = /moved {{ return 302 /login; }}
        location = /secret {{ auth_basic "x"; auth_basic_user_file {path}/users; }}
        location = /fpm-status {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_NAME /fpm-status;
            fastcgi_param SCRIPT_FILENAME /fpm-status;
            fastcgi_pass 127.0.0.1:{fpm};
        }}
    }}
}}
"""


@pytest.fixture(scope="session")
def fpm_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def nginx(fpm_port: int) -> Iterator[Running]:
    with place("nginx") as path:
        port = free_port()
        (path / "nginx.conf").write_text(NGINX.format(path=path, port=port, fpm=fpm_port))
        (path / "users").write_text("")
        command = [program("nginx"), "-c", str(path / "nginx.conf"), "-p", str(path)]
        with running(Running("nginx", command, port, path, as_nobody=True)) as server:
            yield server
