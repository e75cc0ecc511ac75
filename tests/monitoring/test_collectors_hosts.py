"""From an exporter's page to the host's figures: rates, restarts, wraps, and what is left out."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.collectors import State
from monitoring.collectors.hostfigures import Figures, Reading, derive, derive_all, increases
from monitoring.collectors.hosts import choose
from monitoring.exposition import Parser

# What node_exporter 1.8 writes on a two-core Debian machine, shortened.
NODE_EXPORTER = """\
# HELP node_cpu_guest_seconds_total Seconds the CPUs spent in guests (VMs) for each mode.
# TYPE node_cpu_guest_seconds_total counter
node_cpu_guest_seconds_total{cpu="0",mode="nice"} 0
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} %(idle0)s
node_cpu_seconds_total{cpu="0",mode="iowait"} %(iowait0)s
node_cpu_seconds_total{cpu="0",mode="irq"} 0
node_cpu_seconds_total{cpu="0",mode="nice"} 0
node_cpu_seconds_total{cpu="0",mode="softirq"} 0
node_cpu_seconds_total{cpu="0",mode="steal"} 0
node_cpu_seconds_total{cpu="0",mode="system"} %(system0)s
node_cpu_seconds_total{cpu="0",mode="user"} %(user0)s
node_cpu_seconds_total{cpu="1",mode="idle"} %(idle1)s
node_cpu_seconds_total{cpu="1",mode="iowait"} 0
node_cpu_seconds_total{cpu="1",mode="system"} 0
node_cpu_seconds_total{cpu="1",mode="user"} 0
# TYPE node_disk_read_bytes_total counter
node_disk_read_bytes_total{device="vda"} %(read)s
node_disk_read_bytes_total{device="vda1"} 5
node_disk_io_time_seconds_total{device="vda"} %(busy)s
node_network_receive_bytes_total{device="eth0"} %(received)s
node_network_receive_bytes_total{device="lo"} 5
node_network_receive_bytes_total{device="veth12ab"} 5
node_filesystem_avail_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 2.5e+10
node_filesystem_size_bytes{device="/dev/vda1",fstype="ext4",mountpoint="/"} 1e+11
node_filesystem_files{device="/dev/vda1",fstype="ext4",mountpoint="/"} 1000
node_filesystem_files_free{device="/dev/vda1",fstype="ext4",mountpoint="/"} 400
node_filesystem_avail_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 10
node_filesystem_size_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 10
node_filesystem_avail_bytes{device="/dev/sr0",fstype="ext4",mountpoint="/cd"} 0
node_filesystem_size_bytes{device="/dev/sr0",fstype="ext4",mountpoint="/cd"} 10
node_filesystem_readonly{device="/dev/sr0",fstype="ext4",mountpoint="/cd"} 1
node_filesystem_avail_bytes{device="nas:/x",fstype="nfs4",mountpoint="/nas"} 0
node_filesystem_size_bytes{device="nas:/x",fstype="nfs4",mountpoint="/nas"} 10
node_filesystem_device_error{device="nas:/x",fstype="nfs4",mountpoint="/nas"} 1
node_load1 1
node_load5 0.5
node_load15 0.25
node_memory_MemAvailable_bytes 2e+09
node_memory_MemTotal_bytes 8e+09
node_memory_SwapFree_bytes 0
node_memory_SwapTotal_bytes 0
node_procs_blocked 1
node_procs_running 3
node_boot_time_seconds %(boot)s
node_time_seconds %(time)s
namedprocess_namegroup_num_procs{groupname="nginx"} 4
"""
START = {
    "idle0": 1000.0,
    "iowait0": 50.0,
    "system0": 100.0,
    "user0": 200.0,
    "idle1": 1350.0,
    "read": 1_000_000.0,
    "busy": 10.0,
    "received": 5_000.0,
    "boot": 1_700_000_000.0,
    "time": 1_700_001_350.0,
}
PARSER = Parser(choose)


def read(values: Mapping[str, float], before: State, at: float) -> Figures:
    return derive(PARSER.parse(NODE_EXPORTER % values), before, at=at)


def by_name(figures: Figures) -> dict[str, float]:
    return {
        f"{metric}{{{labels}}}" if labels else metric: value
        for metric, labels, value in zip(figures.metrics, figures.labels, figures.values, strict=True)
    }


def after(seconds: float, **changes: float) -> dict[str, float]:
    """The page ``seconds`` later: cores idle but for what is given."""
    values = {
        **START,
        "time": START["time"] + seconds,
        "idle0": START["idle0"] + seconds,
        "idle1": START["idle1"] + seconds,
    }
    return values | changes


def two_pages(
    second: Mapping[str, float], *, gap: float = 60.0, first: Mapping[str, float] = START
) -> dict[str, float]:
    """The figures of the second page; the state in between goes through JSON as it does on the target's row."""
    state = json.loads(json.dumps(read(first, {}, 100.0).state))
    return by_name(read(second, state, 100.0 + gap))


def test_a_first_page_gives_levels_and_no_rates() -> None:
    found = by_name(read(START, {}, 100.0))
    assert found["host.load1"] == 1
    assert found["host.load1_per_core"] == 0.5
    assert found["host.cpu.cores"] == 2
    assert found["host.mem.util"] == 75
    assert found["host.mem.available_bytes"] == 2e9
    assert found["host.procs"] == 4
    assert found["host.uptime_s"] == 1350
    assert found['process.count{process="nginx"}'] == 4
    assert "host.cpu.util" not in found
    assert "host.swap.util" not in found, "no swap: no figure"
    assert not any("per_s" in name for name in found)


def test_only_real_filesystems_are_told() -> None:
    found = by_name(read(START, {}, 100.0))
    root = '{device="/dev/vda1",mountpoint="/"}'
    assert found[f"host.fs.free_pct{root}"] == 25
    assert found[f"host.fs.used_pct{root}"] == 75
    assert found[f"host.fs.inode_free_pct{root}"] == 40
    assert {name.partition("{")[2] for name in found if name.startswith("host.fs.")} == {root[1:]}


def test_the_second_page_gives_rates_over_the_time_between() -> None:
    found = two_pages(
        after(60, idle0=1015, user0=230, system0=110, iowait0=55, read=1_600_000, busy=40, received=11_000)
    )
    assert found['host.cpu.core_util{core="0"}'] == pytest.approx(75)
    assert found['host.cpu.core_util{core="1"}'] == pytest.approx(0)
    assert found["host.cpu.util"] == pytest.approx(37.5)
    assert found["host.cpu.user"] == pytest.approx(25)
    assert found["host.cpu.system"] == 8.33, "as fine as hundredths of a second tell"
    assert found["host.cpu.iowait"] == 4.17
    assert found['host.disk.read_bytes_per_s{device="vda"}'] == pytest.approx(10_000)
    assert found['host.disk.util{device="vda"}'] == pytest.approx(50)
    assert found['host.net.in_bytes_per_s{device="eth0"}'] == pytest.approx(100)


def test_partitions_loopback_and_container_links_are_left_out() -> None:
    found = two_pages(after(60))
    devices = {name.partition('device="')[2].rstrip('"}') for name in found if ".disk." in name or ".net." in name}
    assert devices == {"vda", "eth0"}


def test_a_restarted_host_counts_from_zero_and_shows_its_new_boot() -> None:
    found = two_pages(
        {**START, "boot": 1_700_001_380.0, "time": 1_700_001_410.0, "idle0": 15, "user0": 10, "system0": 5}
        | {"iowait0": 0, "idle1": 30, "read": 6_000, "busy": 1, "received": 600}
    )
    assert found["host.boot_time"] == 1_700_001_380
    assert found["host.cpu.util"] == pytest.approx(25)
    assert found['host.disk.read_bytes_per_s{device="vda"}'] == pytest.approx(100)


def test_a_boot_time_that_moves_with_the_clock_is_no_restart() -> None:
    found = two_pages(after(60, boot=START["boot"] + 2, read=1_600_000))
    assert found["host.boot_time"] == START["boot"]
    assert found['host.disk.read_bytes_per_s{device="vda"}'] == pytest.approx(10_000)


def test_a_mode_that_goes_back_a_little_is_not_a_restart() -> None:
    found = two_pages(after(60, iowait0=49.5, idle0=1030, user0=230))
    assert found["host.cpu.iowait"] == 0
    assert 20 < found["host.cpu.util"] < 30


def test_a_host_clock_that_was_set_does_not_bend_the_rates() -> None:
    found = two_pages(after(60, time=START["time"] + 7200, read=1_600_000))
    assert found['host.disk.read_bytes_per_s{device="vda"}'] == pytest.approx(10_000)


def test_after_a_long_silence_there_is_no_rate_and_then_there_is_one() -> None:
    silent = json.loads(json.dumps(read(START, {}, 100.0).state))
    late = read(after(7200), silent, 7300.0)
    assert "host.cpu.util" not in by_name(late)
    assert "host.cpu.util" in by_name(read(after(7260), late.state, 7360.0))


def test_the_same_moment_read_twice_gives_no_rate_and_keeps_the_older_state() -> None:
    first = read(START, {}, 100.0)
    again = read(START, first.state, 100.05)
    assert "host.cpu.util" not in by_name(again)
    assert again.state == first.state


def test_a_core_that_is_added_has_no_figure_until_the_next_page() -> None:
    state = json.loads(json.dumps(read(START, {}, 100.0).state))
    names = state["names"].split("\n")
    values = np.frombuffer(base64.b64decode(state["values"]))
    old = [not name.endswith(" 1") for name in names]
    state["names"] = "\n".join(name for name, is_old in zip(names, old, strict=True) if is_old)
    state["values"] = base64.b64encode(values[old].tobytes()).decode()
    found = by_name(read(after(60), state, 160.0))
    assert 'host.cpu.core_util{core="0"}' in found
    assert 'host.cpu.core_util{core="1"}' not in found


@pytest.mark.parametrize(
    ("before", "now", "grown"),
    [(10, 15, 5), (10, 10, 0), (1000, 3, 3), (2**32 - 100, 50, 150), (2**33, 7, 7), (1000, 999.9, 0)],
)
def test_counters_grow_wrap_restart_and_round(before: float, now: float, grown: float) -> None:
    assert increases(np.array([before]), np.array([now]), np.array([False])).tolist() == [grown]


@given(st.floats(0, 1e15), st.floats(0, 1e15), st.booleans())
def test_a_counter_never_grows_by_less_than_nothing(before: float, now: float, restarted: bool) -> None:
    assert increases(np.array([before]), np.array([now]), np.array([restarted]))[0] >= 0


@given(st.lists(st.floats(0, 1e6), min_size=5, max_size=5), st.lists(st.floats(0, 1e6), min_size=5, max_size=5))
def test_shares_of_cpu_time_stay_between_0_and_100(first: list[float], second: list[float]) -> None:
    names = ("idle0", "iowait0", "system0", "user0", "idle1")
    found = two_pages(
        {**START, "time": START["time"] + 60, **dict(zip(names, second, strict=True))},
        first={**START, **dict(zip(names, first, strict=True))},
    )
    shares = [value for name, value in found.items() if name.startswith("host.cpu.") and name != "host.cpu.cores"]
    assert all(-1e-6 <= value <= 100.000001 for value in shares)


LESS = "\n".join(line for line in NODE_EXPORTER.splitlines() if 'cpu="1"' not in line and "filesystem" not in line)
BARE = 'node_load1 1\nnode_network_receive_bytes_total{device="eth0"} %(received)s\n'
FIGURE = st.floats(0, 1e12) | st.sampled_from([0.0, 2.0**32 - 1, math.nan, math.inf])
PAGES = st.tuples(
    st.sampled_from([NODE_EXPORTER, LESS, BARE]),
    st.sampled_from([NODE_EXPORTER, LESS, BARE]),
    st.fixed_dictionaries(dict.fromkeys(START, FIGURE)),
    st.fixed_dictionaries(dict.fromkeys(START, FIGURE)),
    st.sampled_from([0.0, 0.1, 15.0, 60.0, 7200.0]),
)


@given(st.lists(PAGES, min_size=1, max_size=5))
def test_a_host_has_the_same_figures_alone_and_among_others(
    hosts: list[tuple[str, str, dict[str, float], dict[str, float], float]],
) -> None:
    readings = []
    for first, second, before, now, gap in hosts:
        state = derive(PARSER.parse(first % before), {}, at=100.0).state
        readings.append(Reading(PARSER.parse(second % now), json.loads(json.dumps(state)), 100.0 + gap))
    together = derive_all(readings)
    alone = [derive(one.page, one.before, at=one.at) for one in readings]
    assert together == alone
    assert all(math.isfinite(value) for figures in together for value in figures.values)


def test_counters_go_on_by_their_names_when_the_page_has_others_beside_them() -> None:
    state = json.loads(json.dumps(derive(PARSER.parse(LESS % START), {}, at=100.0).state))
    found = by_name(read(after(60, read=1_600_000), state, 160.0))
    assert found['host.disk.read_bytes_per_s{device="vda"}'] == pytest.approx(10_000)
    assert 'host.cpu.core_util{core="0"}' in found
    assert 'host.cpu.core_util{core="1"}' not in found


def test_what_an_older_version_remembered_gives_no_rates_and_no_error() -> None:
    state = {"at": 40.0, "boot": START["boot"], "time": START["time"] - 60, "counters": {"cpu.total 0": 5.0}}
    found = by_name(read(START, state, 100.0))
    assert found["host.load1"] == 1
    assert "host.cpu.util" not in found
