"""The demo's servers: real SSH with real commands, and nothing that whoever started them may do."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from assets import keypairs
from demo import hosts, visits
from demo.hosts import Account, Known
from tests.assets.sshd import free_port, wait_for

pytestmark = pytest.mark.e2e


class Running:
    def __init__(self, place: Path) -> None:
        self.place, self.port, self.key = place, free_port(), keypairs.make()
        password = hashlib.sha256(b"a password").hexdigest()
        known = {
            "trops": Account(keys=(keypairs.public_half(self.key),)),
            "www": Account(passwords=(password,)),
        }
        hosts.write(place, Known(keypairs.make(), dict.fromkeys(hosts.ADDRESSES, known)))
        visits.write_key(place / hosts.DIRECTORY, "chen@rdmp.example", keypairs.make())
        (place / hosts.DIRECTORY / visits.DONE).write_text("done\n")

    def start(self, **variables: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "RDMP_STATE_DIR": str(self.place),
            "RDMP_DEMO_SSH_PORT": str(self.port),
            "A_SECRET": "of the demo",
            **variables,
        }
        command = [sys.executable, "-m", "demo.hosts"]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    @asynccontextmanager
    async def connect(
        self, server: str, username: str = "trops", **said: object
    ) -> AsyncIterator[asyncssh.SSHClientConnection]:
        usual: dict[str, object] = {"client_keys": [asyncssh.import_private_key(self.key)], "known_hosts": None}
        usual |= {"config": None, "agent_path": None, "username": username}
        async with asyncssh.connect(hosts.ADDRESSES[server], self.port, **{**usual, **said}) as connection:
            yield connection


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    process = made.start()
    wait_for(made.port, host=hosts.ADDRESSES["mall-web-01"])
    yield made
    process.terminate()
    assert process.communicate(timeout=15)[1] == ""
    assert process.returncode == 0


async def test_each_server_is_itself_and_runs_what_it_is_asked(running: Running) -> None:
    for server in hosts.ADDRESSES:
        async with running.connect(server) as connection:
            done = await connection.run('echo "$USER@$HOSTNAME"; echo oops >&2; exit 3')
            assert (done.stdout, done.stderr, done.exit_status) == (f"trops@{server}\n", "oops\n", 3)


async def test_a_terminal_is_one_and_changes_its_size(running: Running) -> None:
    async with running.connect("mall-web-01") as connection:
        process = await connection.create_process(term_type="xterm", term_size=(100, 30))
        process.stdin.write("stty size; tty | cut -c1-8\n")
        process.change_terminal_size(132, 43)
        process.stdin.write("sleep 0.3; stty size; exit 7\n")
        said = await process.stdout.read()
        await process.wait_closed()
    assert "43 132" in said
    assert "/dev/pts" in said
    assert "[trops@mall-web-01 ~]$" in said
    assert process.exit_status == 7


async def test_files_go_up_and_come_back(running: Running, tmp_path: Path) -> None:
    async with running.connect("mall-web-02") as connection, connection.start_sftp_client() as sftp:
        async with sftp.open("conf/new.conf", "w") as file:
            await file.write("x")
        assert (await connection.run("cat conf/new.conf")).stdout == "x"


async def test_it_has_no_rights_and_no_secrets(running: Running) -> None:
    async with running.connect("mall-web-01") as connection:
        said = str((await connection.run("id -u; env; ls -l /proc/$PPID/fd")).stdout)
        assert "of the demo" not in said
        assert os.geteuid() != 0 or said.splitlines()[0] == "65534"
        taken = await connection.run(f"cat {running.place}/{hosts.DIRECTORY}/{hosts.FILE}")
        assert os.geteuid() != 0 or taken.exit_status != 0


async def test_nobody_else_gets_in(running: Running) -> None:
    async with running.connect("mall-web-01", "www", client_keys=None, password="a password"):
        pass
    other = asyncssh.generate_private_key("ssh-ed25519")
    for said in (
        {"username": "root", "client_keys": [other]},
        {"username": "trops", "client_keys": [other]},
        {"username": "www", "client_keys": None, "password": "another"},
        {"username": "trops", "client_keys": None, "password": ""},
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            async with running.connect("mall-web-01", **said):
                pass


async def test_what_cannot_be_offered_is_said_and_the_demo_goes_on(tmp_path: Path) -> None:
    made = Running(tmp_path)
    (tmp_path / hosts.DIRECTORY / hosts.FILE).write_text("nonsense")
    process = made.start()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert "goes on without servers" in process.stderr.read()
