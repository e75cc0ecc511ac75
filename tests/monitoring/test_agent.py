"""The agent as a real process: what it shows, to whom, and how it starts and stops."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from monitoring.agent.config import Config, ConfigError, Watch, load
from monitoring.agent.figures import HostFigures, count
from monitoring.agent.filesystems import Mount, Patient, Usage, mounts
from monitoring.agent.server import MAX_AT_ONCE, AgentServer, Snapshot
from monitoring.collectors import labels_text
from monitoring.exposition import Parser

TOKEN = "a-token-of-good-length"
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def agent(**extra: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A running agent on a free port."""
    environ = {"PATH": os.environ["PATH"], "RDMP_AGENT_PORT": "0", "RDMP_AGENT_TOKEN": TOKEN, **extra}
    process = subprocess.Popen(
        [sys.executable, "-m", "monitoring.agent"], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "listening on 127.0.0.1:" in line, line
        yield process, int(line.rsplit(":", 1)[1])
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def get(port: int, path: str, token: str = TOKEN) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def figures_of(body: str) -> dict[str, float]:
    def spelled(name: str, labels: Mapping[str, str]) -> str:
        return f"{name}{{{labels_text(labels)}}}" if labels else name

    page = Parser(spelled).parse(body)
    return dict(zip(page.series, page.values, strict=True))


def test_the_agent_shows_this_host_to_who_has_the_token() -> None:
    with agent(RDMP_AGENT_WATCH="no-such-process") as (_, port):
        status, body = get(port, "/metrics")
    assert status == 200
    figures = figures_of(body)
    assert figures["node_memory_MemTotal_bytes"] == psutil.virtual_memory().total
    assert figures["node_boot_time_seconds"] == psutil.boot_time()
    assert figures['node_cpu_seconds_total{cpu="0",mode="idle"}'] > 0
    assert figures['namedprocess_namegroup_num_procs{groupname="no-such-process"}'] == 0
    assert figures["node_processes_pids"] > 1
    assert any(name.startswith("node_filesystem_avail_bytes") and 'mountpoint="/"' in name for name in figures)
    assert all(value == 1 for name, value in figures.items() if name.startswith("node_scrape_collector_success"))


@pytest.mark.parametrize("token", ["", "a-token-of-good-lengtH", "x", "密码"])
def test_without_the_token_there_is_nothing_to_see(token: str) -> None:
    with agent() as (_, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest("GET", "/metrics")
        connection.putheader("Authorization", f"Bearer {token}".encode())
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 401
        assert b"node_" not in response.read()
        connection.close()


def test_health_is_open_and_other_paths_are_not() -> None:
    with agent() as (_, port):
        assert get(port, "/healthz", token="")[0] == 200
        assert get(port, "/", token="")[0] == 401
        assert get(port, "/other")[0] == 404


def test_the_agent_stops_cleanly_on_sigterm_and_frees_its_port() -> None:
    with agent() as (process, port):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))


def test_the_agent_brings_no_django_with_it() -> None:
    code = "import sys, monitoring.agent.__main__; print(any(m.split('.')[0] == 'django' for m in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "needs a token"),
        ({"RDMP_AGENT_TOKEN": "short"}, "at least 16"),
        ({"RDMP_AGENT_TOKEN": TOKEN, "RDMP_AGENT_PORT": "eighty"}, "not a port"),
        ({"RDMP_AGENT_TOKEN_FILE": "/no/such/file"}, "Cannot read the token file"),
    ],
)
def test_a_wrong_setting_is_one_clear_sentence(environ: dict[str, str], says: str) -> None:
    out = subprocess.run(
        [sys.executable, "-m", "monitoring.agent"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert out.returncode == 2
    assert says in out.stderr
    assert "Traceback" not in out.stderr


def test_a_taken_port_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        out = subprocess.run(
            [sys.executable, "-m", "monitoring.agent"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "RDMP_AGENT_TOKEN": TOKEN,
                "RDMP_AGENT_PORT": str(taken.getsockname()[1]),
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert out.returncode == 1
    assert "cannot listen on" in out.stderr
    assert "Traceback" not in out.stderr


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    file = tmp_path / "agent.toml"
    file.write_text(
        f'port = 9000\ntoken_file = "{token_file}"\nskip_mounts = "^/backup"\n'
        '[[watch]]\nname = "web"\nprocess = "nginx"\n[[watch]]\nname = "app"\npattern = "java .*app.jar"\n'
    )
    config = load({"RDMP_AGENT_PORT": "9001"}, path=str(file))
    assert (config.port, config.token) == (9001, TOKEN)
    assert [watch.name for watch in config.watch] == ["web", "app"]


@pytest.mark.parametrize(
    "text",
    ["prot = 1", "port = ", '[[watch]]\nname = "x"', '[[watch]]\nname = "x"\npattern = "("', 'watch = "nginx"'],
)
def test_a_file_that_says_nonsense_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load({"RDMP_AGENT_TOKEN": TOKEN}, path=str(file))


def test_watched_processes_are_counted_and_zombies_are_not() -> None:
    script = "import time; time.sleep(60)  # rdmp-watched-by-test"
    watch = Watch(name="mine", pattern=re.compile("rdmp-watched-by-test"))
    workers = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    try:
        wait_until(lambda: count((watch,))["mine"] == 3)
        workers[0].kill()  # not waited for: a zombie
        wait_until(lambda: psutil.Process(workers[0].pid).status() == psutil.STATUS_ZOMBIE)
        assert count((watch,))["mine"] == 2
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_a_mount_that_hangs_holds_up_neither_the_others_nor_the_next_reading() -> None:
    release = threading.Event()
    asked: list[str] = []

    def measure(point: str) -> Usage:
        asked.append(point)
        if point == "/nfs":
            release.wait(30)
        return Usage(size=100, free=50, available=40, files=10, files_free=5, identity=len(point))

    patient = Patient(measure, patience_s=0.2)
    wanted = [Mount("server:/x", "/nfs", "nfs4"), Mount("/dev/sda1", "/", "ext4")]
    first = {mount.point: usage for mount, usage in patient.read(wanted)}
    assert first["/nfs"] is None
    assert first["/"] is not None
    patient.read(wanted)
    assert asked.count("/nfs") == 1, "a hanging mount must not be asked again"
    release.set()
    wait_until(lambda: {m.point: u for m, u in patient.read(wanted)}["/nfs"] is not None)


def test_one_filesystem_seen_through_several_mounts_is_told_once() -> None:
    usage = Usage(size=100, free=50, available=40, files=10, files_free=5, identity=1)
    other = Usage(size=100, free=50, available=40, files=10, files_free=5, identity=2)
    answers = {"/data": usage, "/data/bind": usage, "/etc/hosts": None, "/mnt/nfs": other, "/empty": usage}
    seen = Patient(answers.__getitem__).read(
        [
            Mount("/dev/sda1", "/data/bind", "ext4"),
            Mount("/dev/sda1", "/data", "ext4"),
            Mount("/dev/sda1", "/etc/hosts", "ext4"),
            Mount("server:/x", "/mnt/nfs", "nfs4"),
        ]
    )
    assert sorted(mount.point for mount, _ in seen) == ["/data", "/mnt/nfs"]


def test_only_real_writable_filesystems_are_measured() -> None:
    kinds = {mount.kind for mount in mounts()}
    assert not kinds & {"tmpfs", "proc", "sysfs", "squashfs", "cgroup", "devtmpfs"}
    assert "/" in {mount.point for mount in mounts()}


def test_many_askers_cost_one_reading() -> None:
    figures = HostFigures(Config(token=TOKEN))
    snapshot = Snapshot(figures)
    assert snapshot.page() is snapshot.page()


def test_more_requests_than_places_are_refused_and_the_agent_lives_on() -> None:
    server = AgentServer(Config(token=TOKEN, port=0), HostFigures(Config(token=TOKEN)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    port = server.server_address[1]
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(MAX_AT_ONCE)]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as extra:
            assert extra.recv(1) == b""
        for connection in silent:
            connection.close()
        wait_until(lambda: answers(port))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answers(port: int) -> bool:
    try:
        return get(port, "/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False
