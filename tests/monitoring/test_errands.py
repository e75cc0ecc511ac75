"""The program that checks from a node, as a process, against real servers of this machine."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from monitoring.collectors import errand
from monitoring.collectors.errand import Result
from tests.monitoring.test_agent import TOKEN, agent

ROOT = Path(__file__).parents[2]


class Runner:
    """The program, with a thread that reads what it says."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitoring.errands"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.results: list[Result] = []
        self.signs_of_life = 0
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip():
                self.results += errand.decode(line)
            else:
                self.signs_of_life += 1

    def assign(self, *checks: Mapping[str, Any], secrets: Mapping[str, str] | None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"body": checks, "secrets": secrets}).encode() + b"\n")
        self.process.stdin.flush()

    def of(self, target: int, count: int = 1) -> list[Result]:
        """The first so many results of a target."""
        deadline = time.monotonic() + 20
        while len(found := [one for one in self.results if one.target == target]) < count:
            assert time.monotonic() < deadline, self.results
            time.sleep(0.02)
        return found[:count]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.close()


def check(target: int, kind: str, *, internal: bool = True, period_s: float = 60, **config: object) -> dict[str, Any]:
    said = {"target": target, "kind": kind, "config": config, "internal": internal}
    return {**said, "period_s": period_s, "phase": 0.0, "needs_secret": False}


def figures(result: Result) -> dict[str, float]:
    return {metric: value for metric, _labels, _ts, value in result.samples}


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def site() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.end_headers()
            self.wfile.write(b"welcome")

        def log_message(self, *_words: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_port_a_site_and_a_product_are_asked_and_one_that_fails_holds_up_nobody(
    runner: Runner, port: int, site: str
) -> None:
    runner.assign(
        check(1, "tcp", host="127.0.0.1", port=port),
        check(2, "http", url=site),
        check(3, "http", url=f"{site}/gone"),
        check(4, "tcp", host="127.0.0.1", port=port, internal=False),
        check(5, "a-kind-of-the-future"),
        check(6, "product", product="nginx", host="127.0.0.1", port=port, timeout_s=0.5),
        check(7, "domain", domain="example.com"),
        secrets={},
    )
    [open_] = runner.of(1)
    assert figures(open_)["port.result_code"] == 0
    assert abs(open_.at - time.time()) < 20
    answers = [one.answer for target in (2, 3) for one in runner.of(target)]
    assert [(one.point, one.code, one.status) for one in answers if one] == [("node", 0, 200), ("node", 3, 404)]
    assert [one.problem and one.problem[0] for target in (4, 5, 6, 7) for one in runner.of(target)] == [
        "blocked", "node_behind", "timeout", "node_behind",
    ]  # fmt: skip


def test_each_target_keeps_its_rhythm_and_its_memory(runner: Runner) -> None:
    with agent() as (_process, port):
        page = check(1, "prometheus", url=f"http://127.0.0.1:{port}/metrics", period_s=1) | {"needs_secret": True}
        runner.assign(page, secrets={"1": TOKEN})
        first, second, third = runner.of(1, 3)
    assert "host.net.in_bytes_per_s" not in figures(first)
    assert "host.net.in_bytes_per_s" in figures(third), "a rate needs the reading before"
    assert 0.5 < third.at - second.at < 5
    assert abs(third.at % 1) < 0.5


def test_without_secrets_it_does_what_needs_none_and_takes_up_the_rest_later(runner: Runner, port: int) -> None:
    open_ = check(1, "tcp", host="127.0.0.1", port=port, period_s=1)
    secret = check(2, "tcp", host="127.0.0.1", port=port, period_s=1) | {"needs_secret": True}
    runner.assign(open_, secret, secrets=None)
    runner.of(1, 2)
    assert [one for one in runner.results if one.target == 2] == []
    runner.assign(open_, secret, secrets={"2": "x"})
    runner.of(2)


def test_what_is_taken_away_is_asked_no_more(runner: Runner, port: int) -> None:
    mine = [check(number, "tcp", host="127.0.0.1", port=port, period_s=0.2) for number in (1, 2)]
    runner.assign(*mine, secrets={})
    runner.of(1)
    runner.assign(mine[1], secrets={})
    runner.of(2, len([one for one in runner.results if one.target == 2]) + 10)
    seen = len([one for one in runner.results if one.target == 1])
    runner.of(2, len([one for one in runner.results if one.target == 2]) + 10)
    assert len([one for one in runner.results if one.target == 1]) == seen


def test_a_hosts_state_comes_with_the_texts_that_are_new(runner: Runner) -> None:
    with agent() as (_process, port):
        state = check(1, "state", url=f"http://127.0.0.1:{port}/state", period_s=1) | {"needs_secret": True}
        runner.assign(state, secrets={"1": TOKEN})
        first, second = (one.reading or {} for one in runner.of(1, 2))
    assert first["facts"]["format"] == 1
    assert second["texts"] == {}, "they are known"


def test_it_says_that_it_is_well_and_ends_with_the_node(runner: Runner) -> None:
    deadline = time.monotonic() + 20
    while not runner.signs_of_life:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert runner.process.stdin is not None
    runner.process.stdin.close()
    assert runner.process.wait(10) == 0
