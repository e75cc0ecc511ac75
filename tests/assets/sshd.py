"""A real sshd on a port of its own, with real Unix accounts where the test may make some.

As root: OpenSSH checks /etc/shadow and `chpasswd` is the system's own, behind a stand-in for sudo: the machine need not
have one, and the account for operations has user id 0 instead. Without root no program can set or check passwords, so
an SSH server of paramiko with accounts of its own stands in for both.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import paramiko

from tests.machine import make_room_for_sshd, users_to_ourselves

OPERATOR_PASSWORD = "operators-own-word"
ACCOUNT_PASSWORD = "first-word-of-all"


class Host(Protocol):
    """`fault` is "", "sudo" (it refuses), "hang" (nothing is set, no answer) or "late" (set, then no answer)."""

    port: int
    operator: str
    account: str
    fault: str

    def new_host_key(self) -> None: ...

    def set_password(self, password: str) -> None: ...


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(place: Path) -> Iterator[Host]:
    if os.geteuid() == 0:
        with users_to_ourselves(), _real(place) as host:
            yield host
    else:
        with _stand_in() as host:
            yield host


class RealHost:
    def __init__(self, place: Path) -> None:
        self.place, self.port, mark = place, free_port(), secrets.token_hex(3)
        self.operator, self.account = f"trops{mark}", f"xx{mark}"
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def fault(self) -> str:
        return (self.place / "fault").read_text()

    @fault.setter
    def fault(self, kind: str) -> None:
        (self.place / "fault").write_text(kind)

    def make_accounts(self) -> None:
        _run("useradd", "-o", "-u", "0", "-g", "0", "-M", "-d", "/", "-s", "/bin/sh", self.operator)
        _run("useradd", "-M", "-d", "/", "-s", "/bin/sh", self.account)
        _run("chpasswd", given=f"{self.operator}:{OPERATOR_PASSWORD}\n")
        self.set_password(ACCOUNT_PASSWORD)

    def remove_accounts(self) -> None:
        for name in (self.operator, self.account):
            subprocess.run(["userdel", "-f", name], check=False, capture_output=True)

    def set_password(self, password: str) -> None:
        _run("chpasswd", given=f"{self.account}:{password}\n")

    def make_programs(self) -> None:
        real = shutil.which("chpasswd", path="/usr/sbin:/sbin:/usr/bin") or "/usr/sbin/chpasswd"
        fault = f"fault=$(cat {self.place}/fault)"
        self._program(
            "sudo",
            f'''{fault}
            [ "$fault" = sudo ] && exit 1
            if [ "$1" = -n ]; then echo "a password is required" >&2; exit 1; fi
            [ "$1" = -S ] && [ "$2" = -p ] || exit 2
            shift 3
            read -r word
            [ "$word" = "{OPERATOR_PASSWORD}" ] || exit 1
            exec "$@"''',
        )
        self._program(
            "chpasswd",
            f"""{fault}
            [ "$fault" = hang ] && exec sleep 20
            {real} || exit $?
            [ "$fault" = late ] && exec sleep 20
            exit 0""",
        )

    def _program(self, name: str, text: str) -> None:
        path = self.place / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def new_host_key(self) -> None:
        self.stop()
        key = self.place / "host_key"
        key.unlink(missing_ok=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        self.start()

    def start(self) -> None:
        make_room_for_sshd()
        config = self.place / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.place}/host_key\nPidFile none\nUsePAM no\n"
            f"PermitRootLogin yes\nPasswordAuthentication yes\nStrictModes no\nMaxStartups 100\n"
            f"SetEnv PATH={self.place}/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        )
        program = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin") or "sshd"
        self._daemon = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
        wait_for(self.port)

    def stop(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait(10)
            self._daemon = None


@contextmanager
def _real(place: Path) -> Iterator[Host]:
    host = RealHost(place)
    host.fault = ""
    place.chmod(0o755)
    for parent in place.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    try:
        host.make_accounts()
        host.make_programs()
        host.new_host_key()
        yield host
    finally:
        host.stop()
        host.remove_accounts()


def _run(*command: str, given: str = "") -> None:
    subprocess.run(command, input=given, text=True, check=True, capture_output=True)


def wait_for(port: int, host: str = "127.0.0.1", seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("sshd did not begin to listen")


class StandInHost:
    """Accounts and passwords in a dictionary, behind paramiko's own server side."""

    def __init__(self) -> None:
        self.operator, self.account, self.fault = "trops", "xxadmin", ""
        self.passwords = {self.operator: OPERATOR_PASSWORD, self.account: ACCOUNT_PASSWORD}
        self._key = paramiko.ECDSAKey.generate()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def new_host_key(self) -> None:
        self._key = paramiko.ECDSAKey.generate()

    def set_password(self, password: str) -> None:
        self.passwords[self.account] = password

    def stop(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _peer = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(sock)
            transport.add_server_key(self._key)
            try:
                transport.start_server(server=_StandInServer(self))
            except (paramiko.SSHException, EOFError, OSError):
                transport.close()


class _StandInServer(paramiko.ServerInterface):
    def __init__(self, host: StandInHost) -> None:
        self.host = host

    def check_auth_password(self, username: str, password: str) -> int:
        known = self.host.passwords.get(username) == password
        return int(paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED)

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._exec, args=(channel, command.decode()), daemon=True).start()
        return True

    def _exec(self, channel: paramiko.Channel, command: str) -> None:
        lines = channel.makefile("r").read().decode().splitlines()
        code = self._answer(command, lines)
        if code is not None:
            channel.send_exit_status(code)
            channel.close()

    def _answer(self, command: str, lines: list[str]) -> int | None:
        if self.host.fault == "sudo" or command.startswith("sudo -n"):
            return 1
        if not lines or lines[0] != OPERATOR_PASSWORD:
            return 1
        if command.endswith("chpasswd"):
            if self.host.fault == "hang":
                return None
            name, _, password = lines[1].partition(":")
            self.host.passwords[name] = password
            if self.host.fault == "late":
                return None
        return 0


@contextmanager
def _stand_in() -> Iterator[Host]:
    host = StandInHost()
    try:
        yield host
    finally:
        host.stop()
