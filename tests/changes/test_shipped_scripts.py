"""The scripts that come with the platform, each run on a host over SSH."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from changes.models import HostState, ScriptHost
from changes.scripts import shipped
from changes.services import script_library
from changes.services.script_library import Proposal
from tests.changes.hosts import KeyHost, Turns, only, place_host, read_on
from tests.conftest import NOW
from tests.monitoring.authority import Authority

SINCE_1900 = 2_208_988_800


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


class Bench:
    """Runs one shipped script on the host and says what came of it."""

    def __init__(self, asset: Asset, author: User, approver: User) -> None:
        self.asset, self.author, self.approver = asset, author, approver

    def run(self, code: str, **given: object) -> ScriptHost:
        said = shipped()[code]
        made = replace(said.script, only_reads=True)  # no change is needed to see what it does
        proposal = Proposal(code, said.words, made)
        drafted = script_library.propose(customer=None, said=proposal, actor=self.author, now=NOW)
        version = script_library.approve(version=drafted, actor=self.approver, now=NOW)
        return only(Turns().to_rest(read_on(version, self.author, self.asset, given=given)))


@pytest.fixture
def bench(jia: Customer, host: KeyHost, chen: User, lin: User) -> Bench:
    return Bench(place_host(jia, host, "web-1"), chen, lin)


def test_they_run_nowhere_before_two_people_agree(chen: User, lin: User) -> None:
    for code in shipped():
        version = script_library.adopt(code=code, actor=chen, now=NOW)
        assert not version.is_approved
        assert script_library.approve(version=version, actor=lin, now=NOW).is_approved
    with pytest.raises(DomainError):
        script_library.adopt(code="disk-usage", actor=chen, now=NOW)


@pytest.mark.parametrize(
    ("code", "values", "shows"),
    [
        ("disk-usage", {"path": "/etc"}, "/etc"),
        ("disk-usage", {}, "%"),
        ("listening-ports", {}, "LISTEN"),
        ("processes", {"count": 3}, "PID"),
        ("failed-logins", {"days": 1}, "end of list"),
        ("pending-updates", {"only_security": False}, "end of list"),
        ("pending-updates", {"only_security": True}, "end of list"),
    ],
)
def test_those_that_read(bench: Bench, code: str, values: dict[str, object], shows: str) -> None:
    done = bench.run(code, **values)
    assert (done.state, done.stderr) == (HostState.DONE, "")
    assert shows in done.stdout


def test_updates_that_wait_are_listed_and_those_of_security_alone(bench: Bench, host: KeyHost) -> None:
    host.stand_in("apt-get", "echo 'Inst bash [5.1] (5.2 Debian:stable)'\necho 'Inst openssl (3.1 Debian-Security)'")
    assert bench.run("pending-updates", only_security=True).stdout.splitlines()[:-1] == [
        "Inst openssl (3.1 Debian-Security)"
    ]


@contextmanager
def tls_port(tmp_path: Path, *, days: float) -> Iterator[int]:
    context = Authority.found(tmp_path).context(tmp_path, "localhost", days=days)

    def serve() -> None:
        try:
            peer, _address = listener.accept()
            with peer, context.wrap_socket(peer, server_side=True) as wrapped:
                wrapped.recv(1)
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
    thread.join(5)


def test_the_certificate_of_a_port(bench: Bench, tmp_path: Path) -> None:
    with tls_port(tmp_path, days=30) as port:
        done = bench.run("certificate-expiry", host="localhost", port=port)
    assert done.state == HostState.DONE, done.stderr
    assert "notAfter=" in done.stdout
    assert "RDMP test authority" in done.stdout


def test_a_port_without_a_certificate_fails(bench: Bench, host: KeyHost) -> None:
    done = bench.run("certificate-expiry", host="localhost", port=host.port)
    assert done.state == HostState.FAILED
    assert "no certificate was shown" in done.stderr


@contextmanager
def time_server(*, ahead_s: float) -> Iterator[int]:
    def serve() -> None:
        try:
            _asked, peer = server.recvfrom(128)
            moment = time.time() + ahead_s + SINCE_1900
            stamp = struct.pack("!II", int(moment), int(moment % 1 * 2**32))
            server.sendto(b"\x1c" + 39 * b"\0" + stamp, peer)
        except OSError:
            return

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


@pytest.mark.parametrize(("ahead_s", "state"), [(0, HostState.DONE), (45, HostState.FAILED)])
def test_a_clock_against_a_time_server(bench: Bench, ahead_s: float, state: str) -> None:
    with time_server(ahead_s=ahead_s) as port:
        done = bench.run("time-sync", server="127.0.0.1", port=port, most_s=20)
    assert done.state == state, done.stderr
    offset = float(done.stdout.split(": ")[1].split(" ")[0])
    assert abs(offset - ahead_s) < 10


@pytest.mark.parametrize(("status", "state"), [(0, HostState.DONE), (3, HostState.FAILED)])
def test_a_service_is_restarted_and_must_run_afterwards(
    bench: Bench, host: KeyHost, tmp_path: Path, status: int, state: str
) -> None:
    asked = tmp_path / "asked"
    for program, verb in (("service", "$2"), ("systemctl", "$1")):
        host.stand_in(program, f'echo {program} "$@" >> {asked}\n[ "{verb}" = restart ] || exit {status}')
    assert bench.run("service-restart", service="nginx").state == state
    assert "nginx" in asked.read_text()
    assert "restart" in asked.read_text().splitlines()[0]


def test_logs_are_rotated_by_their_own_file(bench: Bench, host: KeyHost) -> None:
    name = next(file.name for file in sorted(Path("/etc/logrotate.d").iterdir()) if file.is_file())
    host.stand_in("logrotate", 'echo rotates "$@"')
    done = bench.run("logrotate-now", name=name)
    assert (done.state, done.stdout) == (HostState.DONE, f"rotates --verbose --force /etc/logrotate.d/{name}\n")


def test_a_file_that_is_not_there_rotates_nothing(bench: Bench) -> None:
    done = bench.run("logrotate-now", name="no-such-file")
    assert done.state == HostState.FAILED
    assert "/etc/logrotate.d/no-such-file is not there" in done.stderr


SSHD_SAID = """\
Mar 01 10:00:00 web-1 sshd[7]: Invalid user admin from 10.0.0.9 port 4000
Mar 01 10:00:01 web-1 sshd[7]: Failed password for invalid user admin from 10.0.0.9 port 4000 ssh2
Mar 01 10:00:02 web-1 sshd[7]: Failed password for invalid user admin from 10.0.0.9 port 4000 ssh2
Mar 01 10:00:03 web-1 sshd[8]: Invalid user oracle from 10.0.0.9 port 4001
Mar 01 10:00:04 web-1 sshd[8]: Connection closed by invalid user oracle 10.0.0.9 port 4001 [preauth]
Mar 01 10:00:05 web-1 sshd-session[9]: Failed password for root from 10.0.0.7 port 4002 ssh2
Mar 01 10:00:06 web-1 sshd[10]: Accepted publickey for root from 10.0.0.7 port 4003 ssh2
"""


def test_a_failed_log_in_counts_once(bench: Bench, host: KeyHost) -> None:
    """sshd speaks of an account that is not there twice, and the journal's lines stand in a file as well."""
    host.stand_in("journalctl", f"cat <<'SAID'\n{SSHD_SAID}SAID")
    said = bench.run("failed-logins", days=1).stdout.splitlines()
    assert [line.split() for line in said[:1]] == [["2", "admin", "10.0.0.9"]]
    assert sorted(line.split() for line in said[1:3]) == [["1", "oracle", "10.0.0.9"], ["1", "root", "10.0.0.7"]]
    assert said[3:] == ["end of list"]
