"""The rules of hosts, from pages of the real node_exporter in which a value is bad, over HTTP to alerts and back."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from accounts.models import Customer
from monitoring.collectors import Outcome, State, prometheus
from monitoring.collectors.config.machines import PrometheusConfig
from monitoring.rules import RULES
from tests.monitoring.probes import GUARD, job_for
from tests.monitoring.products.alarms import states, store
from tests.monitoring.products.recordings import serving
from tests.monitoring.products.servers import Running
from tests.monitoring.samples import server
from tests.monitoring.test_agent import TOKEN, agent

MIB, GIB = 1024**2, 1024**3
BOOTED = 1_772_000_000.0
LINE = re.compile(r"^(\w+)(\{.*\})? \S+$")
DISK = '{device="/dev/vdb1",device_error="",fstype="ext4",mountpoint="/data"}'
DISK_LINES = "".join(
    f"node_filesystem_{name}{DISK} 0\n"
    for name in ("avail_bytes", "size_bytes", "files", "files_free", "readonly", "device_error")
)
"""A disk beside those of this machine: in a container there may be none."""
FINE: Mapping[str, float] = {
    "node_boot_time_seconds": BOOTED,
    "node_load1": 0.1,
    "node_memory_MemTotal_bytes": 8 * GIB,
    "node_memory_MemAvailable_bytes": 4 * GIB,
    "node_filesystem_size_bytes": 50 * GIB,
    "node_filesystem_avail_bytes": 25 * GIB,
    "node_filesystem_files": 1000,
    "node_filesystem_files_free": 500,
    "node_filesystem_readonly": 0,
    "node_filesystem_device_error": 0,
}


@dataclass(frozen=True)
class Case:
    """What a page says while a rule is to fire; `cpu` is where the seconds of each core's minute go."""

    rules: tuple[str, ...]
    values: Mapping[str, float] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=lambda: {"idle": 60.0})


CASES = (
    Case(("host-mem-util",), {"node_memory_MemAvailable_bytes": 0.79 * GIB}),
    Case(("host-mem-available-low",),
         {"node_memory_MemTotal_bytes": 500 * MIB, "node_memory_MemAvailable_bytes": 99 * MIB}),
    Case(("host-load-per-core",), {"node_load1": 10_000.0}),
    Case(("host-cpu-util",), cpu={"user": 40.0, "system": 15.0, "idle": 5.0}),
    Case(("host-cpu-iowait",), cpu={"iowait": 13.0, "idle": 47.0}),
    Case(("host-fs-free-5", "host-fs-free-10"), {"node_filesystem_avail_bytes": 2 * GIB}),
    Case(("host-fs-free-10",), {"node_filesystem_avail_bytes": 4.5 * GIB}),
    Case(("host-fs-inode-free",), {"node_filesystem_files_free": 49}),
)  # fmt: skip


class Host:
    """The page of the real node_exporter, one a minute: counters and clock go on, and what a case says is there."""

    def __init__(self, port: int) -> None:
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        self.lines = (page + DISK_LINES).splitlines()
        self.minute = 0
        self.cpu: dict[str, float] = defaultdict(float)

    def page(self, values: Mapping[str, float], cpu: Mapping[str, float]) -> str:
        self.minute += 1
        for mode, seconds in cpu.items():
            self.cpu[mode] += seconds
        said = {**FINE, **values, "node_time_seconds": BOOTED + 86_400 + 60 * self.minute}
        return "\n".join(self._line(line, said) for line in self.lines) + "\n"

    def _line(self, line: str, said: Mapping[str, float]) -> str:
        found = LINE.match(line)
        if found is None:
            return line
        name, labels = found[1], found[2] or ""
        if name == "node_cpu_seconds_total":
            mode = re.search(r'mode="(\w+)"', labels)
            return f"{name}{labels} {self.cpu[mode[1]] if mode else 0}"
        return f"{name}{labels} {said[name]}" if name in said else line


async def look(page: str, before: State | None) -> Outcome:
    state = {**before, "at": before["at"] - 60} if before else None
    async with serving({"/metrics": page}) as port:
        job = job_for(PrometheusConfig(f"http://127.0.0.1:{port}/metrics"), state=state)
        [outcome] = await prometheus.collect([job], guard=GUARD)
        assert outcome.problem is None
        return outcome


@pytest.mark.django_db
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rules[0])
def test_a_rule_fires_on_the_third_bad_page_and_recovers_on_the_third_good_one(
    case: Case, node_exporter: Running, jia: Customer
) -> None:
    asset, host = server(jia, name="host-01"), Host(node_exporter.port)
    state: State | None = None
    told: list[dict[str, bool]] = []
    for at, verdict in enumerate("ggbbbggg"):
        page = host.page(case.values, case.cpu) if verdict == "b" else host.page({}, {"idle": 60.0})
        outcome = asyncio.run(look(page, state))
        store(asset, outcome, at)
        state = outcome.state
        told.append(states(asset))
    fired, over = dict.fromkeys(case.rules, False), dict.fromkeys(case.rules, True)
    assert told == [{}, {}, {}, {}, fired, fired, fired, over]


@pytest.mark.django_db
def test_a_restart_is_told_once_and_is_over_after_ten_minutes(node_exporter: Running, jia: Customer) -> None:
    asset, host = server(jia, name="host-01"), Host(node_exporter.port)
    state: State | None = None
    told: list[dict[str, bool]] = []
    for at in range(13):
        booted = {"node_boot_time_seconds": BOOTED + 86_000} if at > 1 else {}
        outcome = asyncio.run(look(host.page(booted, {"idle": 60.0}), state))
        store(asset, outcome, at)
        state = outcome.state
        told.append(states(asset))
    assert told[1] == {}
    assert told[2:-1] == [{"host-restarted": False}] * 10
    assert told[-1] == {"host-restarted": True}


@pytest.mark.django_db
def test_a_process_that_ends_is_told_by_the_real_agent_and_so_is_its_return(tmp_path: Path, jia: Customer) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    program = tmp_path / "rdmp-watched"
    shutil.copy(sleep, program)
    asset = server(jia, name="host-01")
    told: list[bool | None] = []
    for is_running, looks in ((True, 1), (False, 3), (True, 3)):
        process = subprocess.Popen([program, "600"]) if is_running else None
        try:
            with agent(RDMP_AGENT_WATCH="rdmp-watched") as (_, port):  # one agent counts every ten seconds at most
                job = job_for(PrometheusConfig(f"http://127.0.0.1:{port}/metrics"), token=TOKEN)
                for _look in range(looks):
                    [outcome] = asyncio.run(prometheus.collect([job], guard=GUARD))
                    assert outcome.problem is None
                    store(asset, outcome, len(told))
                    told.append(states(asset).get("process-not-running"))
        finally:
            if process is not None:
                process.kill()
                process.wait()
    assert told == [None, None, None, False, False, False, True]


def test_every_rule_of_hosts_is_among_the_cases() -> None:
    ours = {rule.id for rule in RULES.values() if rule.is_sows and rule.product == "Linux/Windows"}
    assert ours == {rule for case in CASES for rule in case.rules} | {"host-restarted"}
