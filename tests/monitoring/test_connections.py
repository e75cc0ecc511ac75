"""Connections to exporters stay open between batches: kept, bounded, made anew, never lent to the wrong target."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from monitoring.collectors import Job, Outcome, Problem, prometheus
from monitoring.collectors.config.machines import PrometheusConfig
from monitoring.collectors.connections import Connections, Standing
from monitoring.collectors.network import Guard
from tests.monitoring.probes import figures, job_for

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\nnode_load1 0.5\n"


class Exporter:
    """A server that counts its connections; it closes each after ``answers`` of them."""

    def __init__(self, answers: int = 1000) -> None:
        self.opened = 0
        self.requests: list[bytes] = []
        self._answers = answers
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/metrics"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return
            self.opened += 1
            threading.Thread(target=self._serve, args=(taken,), daemon=True).start()

    def _serve(self, taken: socket.socket) -> None:
        with taken:
            for _ in range(self._answers):
                head = b""
                while b"\r\n\r\n" not in head:
                    part = taken.recv(4096)
                    if not part:
                        return
                    head += part
                self.requests.append(head)
                taken.sendall(ANSWER)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextmanager
def exporter(answers: int = 1000) -> Iterator[Exporter]:
    one = Exporter(answers)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def standing(most: int = 100) -> Iterator[Standing]:
    one = Standing(lambda: prometheus.connections(Guard(), most=most))
    try:
        yield one
    finally:
        one.close()


def collect(worker: Standing, *jobs: Job[PrometheusConfig]) -> list[Outcome]:
    return worker.run(lambda kept: prometheus.collect_over(kept, jobs))


def test_the_next_batch_uses_the_connection_of_the_one_before() -> None:
    with exporter() as server, standing() as worker:
        for _ in range(3):
            [outcome] = collect(worker, job_for(PrometheusConfig(server.url)))
            assert figures(outcome) == {"host.load1": 0.5}
        assert server.opened == 1
        assert len(server.requests) == 3


def test_each_request_carries_the_token_of_its_own_target() -> None:
    with exporter() as server, standing() as worker:
        for token in ("one", "two", ""):
            collect(worker, job_for(PrometheusConfig(server.url), token=token))
        assert server.opened == 1
    first, second, third = server.requests
    assert b"Authorization: Bearer one\r\n" in first
    assert b"Authorization: Bearer two\r\n" in second
    assert b"Authorization" not in third


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure() -> None:
    with exporter(answers=1) as server, standing() as worker:
        for number in range(1, 4):
            [outcome] = collect(worker, job_for(PrometheusConfig(server.url)))
            assert outcome.problem is None
            assert server.opened == number


def test_a_connection_made_for_a_trusted_target_is_not_lent_to_another() -> None:
    with exporter() as server, standing() as worker:
        trusted, strange = (job_for(PrometheusConfig(server.url), trusted=one) for one in (True, False))
        assert collect(worker, trusted)[0].problem is None
        assert collect(worker, strange)[0].problem == Problem("blocked")
        assert server.opened == 1


def test_no_more_connections_are_kept_than_there_is_room_for() -> None:
    with exporter() as first, exporter() as second, standing(most=1) as worker:
        jobs = [job_for(PrometheusConfig(one.url)) for one in (first, second)]
        for _ in range(3):
            assert [outcome.problem for outcome in collect(worker, *jobs)] == [None, None]
        assert first.opened == 1
        assert second.opened == 3


def test_what_breaks_a_batch_off_leaves_nothing_behind_and_the_next_one_begins_anew() -> None:
    ended: list[str] = []

    async def stays() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def breaks(kept: Connections) -> None:
        task = asyncio.create_task(stays())
        await asyncio.sleep(0)
        assert not task.done()
        raise TimeoutError("time limit")

    with exporter() as server, standing() as worker:
        collect(worker, job_for(PrometheusConfig(server.url)))
        with pytest.raises(TimeoutError, match="time limit"):
            worker.run(breaks)
        assert ended == ["cancelled"]
        [outcome] = collect(worker, job_for(PrometheusConfig(server.url)))
        assert outcome.problem is None
        assert server.opened == 2


def test_a_host_that_does_not_answer_in_time_costs_its_own_connection_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, exporter() as server, standing() as worker:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/metrics"
        slow = job_for(PrometheusConfig(url, timeout_s=0.2), target_id=2)
        began = time.monotonic()
        for _ in range(2):
            good, bad = collect(worker, job_for(PrometheusConfig(server.url)), slow)
            assert good.problem is None
            assert bad.problem == Problem("timeout")
        assert time.monotonic() - began < 10
        assert server.opened == 1
