"""The bounded form of `benchmarks.incidents`: escalation while workers, broker, database, clock and mail server fail.

The trial needs servers that it may kill, so it runs as a process of its own with a PostgreSQL and a Redis of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INCIDENTS = 30
SECONDS = 32
NOTHING = (
    "incidents.steps_lost",
    "incidents.steps_twice",
    "incidents.steps_wrongly_marked",
    "incidents.steps_after_acknowledging",
    "incidents.mails_lost",
    "incidents.mails_after_withdrawal",
)


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.incidents", "--only", "faults"]
    command += ["--incidents", str(INCIDENTS), "--seconds", str(SECONDS)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "RDMP_TEST"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line["value"] for line in lines}


@pytest.mark.parametrize("name", NOTHING)
def test_no_fault_loses_or_doubles_a_step(figures: dict[str, float], name: str) -> None:
    assert figures[name] == 0


def test_the_trial_was_one(figures: dict[str, float]) -> None:
    """Steps were done, some of them late, and everything that can break was broken."""
    assert figures["incidents.steps_done"] > INCIDENTS * 4
    assert figures["incidents.steps_late"] > 0
    faults = {name.rpartition(".")[2] for name, count in figures.items() if ".fault." in name and count}
    assert faults >= {
        "worker_killed",
        "beat_killed",
        "all_killed",
        "redis_flushed",
        "redis_restarted",
        "postgres_restarted",
        "clock_forward",
        "clock_back",
        "queues_meddled_with",
    }
