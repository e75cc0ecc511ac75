"""What the platform has carried out itself in the demo: by its own engine, on the simulated cloud, some days ago."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from accounts.models import Customer
from changes.models import Change, OperationRun, RunState
from changes.services import running, runs
from demo.aliyun.estate import Estate
from demo.aliyun.instance_types import MOST_DOWNGRADES
from demo.changes import DOES, Cast, Steps, Turn, play

FILE: Final = Path(__file__).parent / "data" / "automation.json"
TURNS: Final = 60
APART: Final = timedelta(seconds=9)


def write(*, customer: Customer, cast: Cast, estate: Estate, now: datetime) -> list[Change]:
    """Draft each change of the script and have the platform carry it out. Needs the simulated cloud to answer."""
    entries = json.loads(FILE.read_text(encoding="utf-8"))
    with _at_once(estate):
        return [play(customer, entry, cast, now, {**DOES, **_steps(estate)}) for entry in entries]


@contextmanager
def _at_once(estate: Estate) -> Iterator[None]:
    """Nobody waits for what was done days ago."""
    takes, estate.work.takes = estate.work.takes, timedelta()
    try:
        yield
    finally:
        estate.work.takes = takes


def _steps(estate: Estate) -> Steps:
    return {
        "platform_backup": lambda turn: _carry_out(turn, backup=True),
        "run": _carry_out,
        "undo": _take_back,
        "refuse_refunds": lambda turn: _set_downgrades(turn, estate, MOST_DOWNGRADES),
        "grant_refunds": lambda turn: _set_downgrades(turn, estate, 0),
    }


def _set_downgrades(turn: Turn, estate: Estate, count: int) -> None:
    """How often a subscription was made smaller already: after the third time the cloud refuses."""
    for asset in turn.change.assets.all():
        estate.find(asset.name)["_downgrades"] = count


def _carry_out(turn: Turn, *, backup: bool = False) -> None:
    for run in runs.plan(change=turn.change, actor=turn.cast.engineer, now=turn.now, backup=backup):
        _drive(run, turn)


def _take_back(turn: Turn) -> None:
    done = OperationRun.objects.filter(change=turn.change, is_backup=False, state=RunState.VERIFIED)
    _drive(runs.undo(run=done.latest("pk"), actor=turn.cast.engineer, now=turn.now), turn)


def _drive(run: OperationRun, turn: Turn) -> None:
    """What the workers would have done, turn by turn, from a minute after the dry run."""
    at = turn.now + timedelta(minutes=1)
    run = runs.start(run=run, actor=turn.cast.engineer, now=at)
    for number in range(1, TURNS):
        if not run.is_active:
            return
        running.advance(run_id=run.pk, clock=_standing_at(at + number * APART))
        run.refresh_from_db()


def _standing_at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment
