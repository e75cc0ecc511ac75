"""The embedded Redis: who may enter, what survives a kill, and what a killed predecessor leaves."""

import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as client
from redis.backoff import NoBackoff
from redis.retry import Retry

from rdmp.embedded import lodging, ports, redis
from rdmp.embedded.errors import StartError
from tests.rdmp.processes import is_alive, wait_until, working_in

HOLD = """
import sys, time
from pathlib import Path
from rdmp.embedded import redis
server = redis.Server(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with lodging.scratch_state_dir() as directory:
        yield directory


def test_answers_and_keeps_its_data_from_start_to_start(state_dir: Path) -> None:
    with redis.Server(state_dir) as server:
        client.Redis.from_url(server.url).set("kept", "7")
    with redis.Server(state_dir) as server:
        assert client.Redis.from_url(server.url).get("kept") == b"7"


def test_never_forgets_under_pressure_and_writes_every_second(state_dir: Path) -> None:
    with redis.Server(state_dir) as server:
        settings = client.Redis.from_url(server.url).config_get()
    assert (settings["maxmemory-policy"], settings["appendonly"], settings["appendfsync"]) == (
        "noeviction",
        "yes",
        "everysec",
    )


def test_nobody_enters_without_the_password(state_dir: Path) -> None:
    with redis.Server(state_dir, appendonly=False) as server:
        for password in (None, "wrong"):
            with pytest.raises(client.AuthenticationError):
                client.Redis(port=server.port, password=password, retry=Retry(NoBackoff(), 0)).ping()
        command_line = Path(f"/proc/{server.pid}/cmdline").read_text()
    assert stat.S_IMODE((state_dir / "redis.password").stat().st_mode) == 0o600
    assert (state_dir / "redis.password").read_text() not in command_line


def test_ends_when_the_process_that_started_it_is_killed_and_starts_again(state_dir: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(state_dir)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    pid = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    with redis.Server(state_dir) as server:
        assert not is_alive(pid)
        assert client.Redis.from_url(server.url).ping()
    wait_until(lambda: not working_in(state_dir), 10, "no Redis is left")


def test_a_log_cut_short_by_a_power_cut_does_not_stop_it(state_dir: Path) -> None:
    with redis.Server(state_dir) as server:
        connection = client.Redis.from_url(server.url)
        connection.set("kept", "7")
        connection.set("lost", "8")
    log = (state_dir / "redis").resolve() / "appendonly.aof"
    log.write_bytes(log.read_bytes()[:-5])
    with redis.Server(state_dir) as server:
        assert client.Redis.from_url(server.url).get("kept") == b"7"


def test_a_taken_port_is_said_in_one_sentence(state_dir: Path) -> None:
    with redis.Server(state_dir / "a", appendonly=False) as first:
        assert not ports.is_free(first.port)
        began = time.monotonic()
        with pytest.raises(StartError, match=rf"The port {first.port} of Redis is taken"):
            redis.Server(state_dir / "b", port=first.port).start()
        assert time.monotonic() - began < 30
