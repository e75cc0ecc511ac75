"""When a target is due: on a grid of its own, wherever it is asked from. Missed beats do not pile up. Pure."""

from __future__ import annotations

import math
from datetime import datetime


def next_due(now: datetime, period: float, phase: float) -> datetime:
    """The next moment after ``now`` on the grid of a target that is due every ``period`` seconds."""
    offset = phase * period
    due = (math.floor((now.timestamp() - offset) / period) + 1) * period + offset
    return datetime.fromtimestamp(due, tz=now.tzinfo)
