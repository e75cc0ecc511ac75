"""Counters that only grow, turned into rates: across restarts, wraps and silences. Pure.

A counter that became smaller either wrapped at its width or began again at zero. Which of the two is told by where it
stood: near its end before and near its beginning now is a wrap, anything else a restart. After a restart the growth is
what it counts now, which is never more than what really happened and never negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

WIDTHS: Final = (2**32, 2**64)
HIGH: Final = 0.75
LOW: Final = 0.25
SHORTEST_S: Final = 0.2
LIFE_SLACK_S: Final = 5.0
"""A start time worked out from an uptime in whole seconds moves by this much without a restart."""
LONGEST_S: Final = 900.0
"""An average over more than this is not a figure of now."""


def increase(before: float, now: float, *, restarted: bool = False) -> float:
    """How much a counter grew between two readings."""
    if restarted:
        return now
    if now >= before:
        return now - before
    for width in WIDTHS:
        if HIGH * width <= before < width and now < LOW * width:
            return now + width - before
    return now


class Counters:
    """The counters of one reading beside those of the reading before.

    ``before`` is what :attr:`state` was then. Whole numbers keep their 64 bits, here and in JSON.
    """

    def __init__(self, before: Mapping[str, Any], *, at: float, longest_s: float = LONGEST_S) -> None:
        self.at = at
        self._epoch_before: str = before.get("epoch", "")
        self._epoch = ""
        self._now: dict[str, float] = {}
        self._elapsed = at - float(before.get("at", at))
        self._before: Mapping[str, float] = {}
        if SHORTEST_S <= self._elapsed <= longest_s:
            self._before = before.get("values", {})
        self._too_soon = before if before and self._elapsed < SHORTEST_S else None

    def of_life(self, epoch: str) -> None:
        """Say which life of the process is counting (its start time, its id). Without it, only sinking counters
        tell of a restart."""
        self._epoch = epoch

    def began_at(self, start: float) -> None:
        """The same, where the life is known by its beginning (Unix seconds), to a few seconds."""
        known = self._epoch_before
        same = known.startswith("@") and abs(float(known[1:]) - start) <= LIFE_SLACK_S
        self._epoch = known if same else f"@{start:.0f}"

    @property
    def has_restarted(self) -> bool:
        return bool(self._epoch and self._epoch_before and self._epoch != self._epoch_before)

    @property
    def _is_same_life(self) -> bool:
        return bool(self._epoch) and self._epoch == self._epoch_before

    def increase(self, key: str, value: float) -> float | None:
        """Growth since the reading before; None without one, and for a counter that sank within one life: it was set
        back by hand or lost a part, and its growth is not known."""
        self._now[key] = value
        before = self._before.get(key)
        if before is None:
            return None
        grown = increase(before, value, restarted=self.has_restarted)
        return None if self._is_same_life and value < before and grown == value else grown

    def rate(self, key: str, value: float) -> float | None:
        """Growth per second since the reading before; None without one."""
        grown = self.increase(key, value)
        return None if grown is None else grown / self._elapsed

    @property
    def state(self) -> Mapping[str, Any]:
        """What the next reading needs. A reading too soon after the last one leaves that one's."""
        if self._too_soon is not None:
            return self._too_soon
        return {"at": self.at, "epoch": self._epoch, "values": self._now}
