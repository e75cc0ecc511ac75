"""What the collector tests share: jobs that may reach this machine, and figures by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from monitoring.collectors import Job, Outcome, State
from monitoring.collectors.network import Guard

C = TypeVar("C")
GUARD = Guard()


def job_for(
    config: C, *, trusted: bool = True, token: str = "", state: State | None = None, target_id: int = 1
) -> Job[C]:
    """A job of customer 7 on asset 42."""
    return Job(
        target_id=target_id,
        customer_id=7,
        asset_id=42,
        config=config,
        state=state or {},
        allow_internal=trusted,
        token=token,
    )


def figures(outcome: Outcome) -> Mapping[str, float]:
    """The values of an outcome by ``metric`` or ``metric{labels}``."""
    return {
        f"{metric}{{{labels}}}" if labels else metric: value
        for (_, _, metric, labels), value in zip(outcome.keys, outcome.value, strict=True)
    }
