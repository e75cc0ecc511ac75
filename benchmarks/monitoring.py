"""How soon alerts and messages come, and how many hosts one worker polls: JSON lines, one per figure.

    python -m benchmarks.monitoring [--storm 10000] [--burst 1000] [--hosts 1000] [--rounds 8]

It starts a PostgreSQL and a Redis of its own. Latency is counted from the arrival of a data point to the commit of the
alert's row, or to the arrival of the message at a local webhook:

* idle: one alarm at a time on a quiet platform;
* loaded: alarms among 150,000 samples a second that arrive by the clock, whether or not we are ready; `loaded_messages`
  are such alarms until their messages have arrived (`messages` are those of a quiet platform);
* storm: `--storm` alarms of 20 customers whose points all arrive in one moment, taken in by two processes;
* burst: `--burst` alarms of one customer at once, until the last of their messages is delivered.

Hosts: pages of 1,073 lines, as node_exporter has them, from a server in another process; fetched, parsed, stored and
judged by this one process, customer after customer. A host's first page makes the series of its figures and its second
those of its rates; that happens once in a host's life and is reported apart (`hosts_first_rounds_per_s`).
`hosts_per_s` is what is sustained in the `--rounds` that follow; the CPU seconds beside it tell about a busy machine.
"""

from __future__ import annotations

from benchmarks import _platform  # first: it starts the database and sets Django up

# isort: split

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import pickle
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import psutil
from django.conf import settings
from django.db import connection

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from benchmarks.ingest import Load, all_rules, batch_of, make_loads
from demo.robots import Robots
from monitoring import pipeline, registry
from monitoring.collectors import Batch, Keys, Pieces
from monitoring.models import Target
from monitoring.services import claims, poll, storms, targets
from notify.services import delivering
from notify.services.channels import Details, create
from rdmp.memory import sweep_less

Figures = Iterator[tuple[str, float, str]]
LOADED_SERIES = 100_000
LOADED_RATE = 150_000
AFTER_LOADED = timedelta(hours=1)
"""The minutes of one loaded part are not those of the other."""
LINES = 1_073
FIRST_ROUNDS = 2
"""Until a host has all its series: figures from its first page on, rates from its second."""


def percentiles(name: str, seconds: Sequence[float]) -> Figures:
    for share in (50, 95, 99):
        yield f"{name}_p{share}_s", float(np.percentile(seconds, share)), "s"


class Hosts:
    """One customer with hosts of one figure each, which is good until somebody makes it bad."""

    def __init__(self, name: str, count: int, now: datetime) -> None:
        self.now = now
        with scope.platform("benchmark"):
            self.customer = Customer.objects.create(name=name, short_name=name, code=name, created_at=now)
            assets = Asset.objects.bulk_create(
                Asset(customer=self.customer, kind="server", os="linux", name=f"h{at}", created_at=now, changed_at=now)
                for at in range(count)
            )
        self.keys = Pieces(Keys([(self.customer.pk, asset.pk, "host.cpu.util", "")]) for asset in assets)
        self.value = np.full(count, 10.0)

    def batch(self) -> Batch:
        size = len(self.value)
        ts = np.full(size, round(self.now.timestamp() * 1000), dtype=np.int64)
        return Batch(self.customer.pk, self.keys, np.arange(size, dtype=np.int32), ts, self.value.copy())

    def minute(self) -> int:
        """One minute of data; returns how many alerts it opened."""
        self.now += timedelta(minutes=1)
        return pipeline.ingest(self.batch(), now=self.now).opened

    def nearly_bad(self, some: slice) -> None:
        """Bad twice: the next minute opens the alerts of these hosts."""
        self.value[some] = 97.0
        self.minute()
        self.minute()


# --- latency ---------------------------------------------------------------------------------------------------------


def idle(start: datetime) -> Figures:
    hosts = Hosts("idle", 100, start)
    hosts.minute()
    seconds = []
    for at in range(100):
        hosts.nearly_bad(slice(at, at + 1))
        began = time.monotonic()
        assert hosts.minute() == 1
        seconds.append(time.monotonic() - began)
    yield from percentiles("monitoring.alert_latency_idle", seconds)


@lru_cache(maxsize=1)
def the_load(start: datetime) -> list[Load]:
    return make_loads(LOADED_SERIES, 20, start)


def alarms_in_load(hosts: Hosts, loads: Sequence[Load], start: datetime) -> Iterator[float]:
    """Batches arrive by the clock; who arrives while another is taken in waits. At every sixth one host more is about
    to turn bad: yields the moment at which its point came, before it is taken in."""
    random = np.random.default_rng(3)
    for minute in range(3):
        for load in loads:
            pipeline.ingest(batch_of(load, minute, start + timedelta(minutes=minute), random), now=start)
    hosts.minute()
    pause = LOADED_SERIES / len(loads) / LOADED_RATE
    arrival = time.monotonic()
    for number in range(600):
        minute, at = divmod(number, len(loads))
        now = start + timedelta(minutes=3 + minute)
        arrival += pause
        time.sleep(max(0.0, arrival - time.monotonic()))
        pipeline.ingest(batch_of(loads[at], minute, now, random), now=now)
        if number % 6 == 0:
            host = number // 6
            hosts.nearly_bad(slice(host, host + 1))
            yield max(arrival, time.monotonic() - pause)  # it came while the batch before was being taken in


def loaded(start: datetime) -> Figures:
    hosts, seconds = Hosts("loaded", 100, start), []
    for seen in alarms_in_load(hosts, the_load(start), start):
        assert hosts.minute() == 1
        seconds.append(time.monotonic() - seen)
    yield from percentiles("monitoring.alert_latency", seconds)


def loaded_messages(start: datetime) -> Figures:
    with Robots() as robots:
        hosts, lane = told_hosts("loaded-told", 100, robots, start)
        seconds = []
        for seen in alarms_in_load(hosts, the_load(start), start + AFTER_LOADED):
            before = len(robots.received)
            assert hosts.minute() == 1
            delivering.drain(lane=lane)
            assert len(robots.received) == before + 1
            seconds.append(time.monotonic() - seen)
        yield from percentiles("monitoring.message_latency_loaded", seconds)


def storm(count: int, start: datetime) -> Figures:
    customers = [Hosts(f"storm{number}", count // 20, start) for number in range(20)]
    warm = [Hosts(f"warm{number}", 2 * storms.AT_ONCE, start) for number in range(2)]
    connection.close()
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(3), context.Queue()

    def work(first: Hosts, mine: Sequence[Hosts]) -> None:
        for hosts in (first, *mine):
            hosts.minute()
            hosts.nearly_bad(slice(None))
        first.minute()  # what a process does once in its life is done
        barrier.wait()
        began = time.monotonic()
        seconds: list[float] = []
        for hosts in mine:
            opened = hosts.minute()
            seconds += [time.monotonic() - began] * opened
        answers.put(pickle.dumps(seconds))

    workers = [context.Process(target=work, args=(warm[half], customers[half::2])) for half in (0, 1)]
    for worker in workers:
        worker.start()
    barrier.wait()
    seconds = [each for _ in workers for each in pickle.loads(answers.get())]
    for worker in workers:
        worker.join()
    assert len(seconds) == count
    yield from percentiles("monitoring.alert_latency_storm", seconds)
    began, told = time.monotonic(), 0
    for hosts in customers:
        with scope.customer(hosts.customer):
            told += storms.tell_waiting(customer=hosts.customer, now=datetime.now(UTC))
    yield "monitoring.incidents_per_s", told / (time.monotonic() - began), "incidents/s"


def told_hosts(name: str, count: int, robots: Robots, start: datetime) -> tuple[Hosts, int]:
    """Hosts of a customer whose alarms go to a webhook on this machine, and the lane of its messages."""
    settings.NOTIFY_ALLOWED_HOSTS = [robots.host]
    hosts = Hosts(name, count, start)
    with scope.platform("benchmark"):
        channel = create(
            customer=hosts.customer,
            kind="webhook",
            details=Details(name="hook"),
            values={"url": robots.add_webhook("hook", secret="hook-secret"), "secret": "hook-secret"},
            actor=None,
            now=start,
        )
    return hosts, channel.pk


def messages(burst: int, start: datetime) -> Figures:
    with Robots() as robots:
        hosts, lane = told_hosts("told", 100 + burst, robots, start)
        hosts.minute()
        seconds = []
        for at in range(100):
            hosts.nearly_bad(slice(at, at + 1))
            before, began = len(robots.received), time.monotonic()
            hosts.minute()
            delivering.drain(lane=lane)
            assert len(robots.received) == before + 1
            seconds.append(time.monotonic() - began)
        yield from percentiles("monitoring.message_latency", seconds)
        hosts.nearly_bad(slice(100, None))
        before, began = len(robots.received), time.monotonic()
        hosts.minute()
        with scope.customer(hosts.customer):
            storms.tell_waiting(customer=hosts.customer, now=datetime.now(UTC))
        while delivering.drain(lane=lane):
            pass
        assert len(robots.received) == before + burst
        yield "incidents.burst_s", time.monotonic() - began, "s"


# --- hosts -----------------------------------------------------------------------------------------------------------


def page(number: int) -> str:
    """What node_exporter shows of a host with eight cores, `number` minutes after the first page."""
    lines: list[str] = []

    def add(name: str, value: float, **labels: str) -> None:
        text = ",".join(f'{label}="{said}"' for label, said in labels.items())
        lines.append(f"{name}{{{text}}} {value!r}" if text else f"{name} {value!r}")

    spent = {"idle": 50, "iowait": 1, "irq": 0, "nice": 0, "softirq": 1, "steal": 0, "system": 3, "user": 5}
    for core in range(8):
        for mode, seconds in spent.items():
            add("node_cpu_seconds_total", 1e6 + seconds * number, cpu=str(core), mode=mode)
    for disk in "abcd":
        for what in ("read_bytes", "written_bytes", "reads_completed", "writes_completed", "io_time_seconds"):
            add(f"node_disk_{what}_total", 1e9 + 12.5 * number, device=f"vd{disk}")
        for what, value in (("size_bytes", 1e11), ("avail_bytes", 5e10), ("files", 1e7), ("files_free", 9e6)):
            labels = {"device": f"/dev/vd{disk}1", "fstype": "ext4", "mountpoint": f"/m{disk}"}
            add(f"node_filesystem_{what}", value + number, **labels)
    for link in range(4):
        for way in ("receive", "transmit"):
            for what in ("bytes", "packets", "errs"):
                add(f"node_network_{way}_{what}_total", 1e8 + 100.0 * number, device=f"eth{link}")
    for name, value in (
        ("load1", 0.5), ("load5", 0.4), ("load15", 0.3), ("memory_MemTotal_bytes", 16e9),
        ("memory_MemAvailable_bytes", 8e9), ("boot_time_seconds", 1.6e9), ("procs_running", 2.0),
    ):  # fmt: skip
        add(f"node_{name}", value)
    for other in range(LINES - len(lines)):
        kind = other % 3
        help_text = "# HELP" if kind == 0 else "# TYPE"
        lines.append(
            f"node_other_{other} {other * 1.5}" if kind == 2 else f"{help_text} node_other_{other + 2 - kind} x"
        )
    return "\n".join(lines) + "\n"


def serve(taken: socket.socket, rounds: int) -> None:
    """Pages by the number in their path, from a server that does nothing else."""
    answers = []
    for number in range(rounds):
        body = page(number).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        answers.append(head.encode() + body)
    asked: dict[bytes, int] = {}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:  # as exporters do, the connection stays open for the next page
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
                asked[path] = asked.get(path, -1) + 1
                writer.write(answers[asked[path] % rounds])
                await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, sock=taken, backlog=1000)
        await server.serve_forever()

    asyncio.run(main())


def polled(count: int, rounds: int) -> Figures:
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    connection.close()
    exporter = multiprocessing.get_context("fork").Process(
        target=serve, args=(taken, FIRST_ROUNDS + rounds), daemon=True
    )
    exporter.start()
    taken.close()
    now = datetime.now(UTC)
    with scope.platform("benchmark"):
        for number in range(count // 100):
            name = f"polled{number}"
            customer = Customer.objects.create(name=name, short_name=name, code=name, created_at=now)
            assets = Asset.objects.bulk_create(
                Asset(customer=customer, kind="server", os="linux", name=f"h{at}", created_at=now, changed_at=now)
                for at in range(100)
            )
            for at, asset in enumerate(assets):
                url = f"http://127.0.0.1:{port}/{number}/{at}"
                targets.create(
                    asset=asset, kind="prometheus", config={"url": url}, actor=None, now=now, allow_internal=True
                )
    sweep_less()  # as every worker process does
    rounds_spent = [_round(count) for _ in range(FIRST_ROUNDS + rounds)]
    exporter.terminate()
    first, sustained = _sum(rounds_spent[:FIRST_ROUNDS]), _sum(rounds_spent[FIRST_ROUNDS:])
    pages = count * rounds
    print(f"{sustained.stored} samples of {rounds} rounds of {count} hosts", file=sys.stderr)
    yield "monitoring.hosts_first_rounds_per_s", count * FIRST_ROUNDS / first.wall_s, "pages/s"
    yield "monitoring.hosts_per_s", pages / sustained.wall_s, "pages/s"
    yield "monitoring.host_worker_cpu_s", sustained.own_cpu_s / pages, "s"
    yield "monitoring.cpu_s_per_million_scraped", sustained.cpu_s / (pages * LINES) * 1e6, "s"


class Spent(NamedTuple):
    """What a round of all hosts took: samples stored, time, CPU with the database, CPU of this process."""

    stored: int
    wall_s: float
    cpu_s: float
    own_cpu_s: float


def _sum(some: Sequence[Spent]) -> Spent:
    return Spent(*map(sum, zip(*some, strict=True)))


def _round(count: int) -> Spent:
    time.sleep(0.5)  # rates need some time between two pages
    now = datetime.now(UTC)
    with scope.platform("benchmark"):
        Target.objects.update(next_due_at=now)
    began, cpu, own = time.monotonic(), _platform.cpu_seconds(), own_cpu()
    with scope.platform("benchmark"):
        works = claims.claim(now=now, limit=count)
    stored = 0
    for work in works:
        with scope.customer(work.customer_id):
            stored += poll.collect(work)
    return Spent(stored, time.monotonic() - began, _platform.cpu_seconds() - cpu, own_cpu() - own)


def own_cpu() -> float:
    spent = psutil.Process().cpu_times()
    return float(spent.user + spent.system)


PARTS = ("idle", "loaded", "loaded_messages", "storm", "messages", "hosts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storm", type=int, default=10_000)
    parser.add_argument("--burst", type=int, default=1_000)
    parser.add_argument("--hosts", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    all_rules()
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=20)
    parts = {
        "idle": lambda: idle(start),
        "loaded": lambda: loaded(start),
        "loaded_messages": lambda: loaded_messages(start),
        "storm": lambda: storm(options.storm, start),
        "messages": lambda: messages(options.burst, start),
        "hosts": lambda: polled(options.hosts, options.rounds),
    }
    for name in options.only:
        for figure, value, unit in parts[name]():
            print(json.dumps({"name": figure, "value": round(value, 5), "unit": unit}), flush=True)
        registry.forget()
    print(f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
