"""What of an account's figures is missing for good: after an outage longer than figures are read back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LONGEST_BACK_MS: Final = 24 * 3_600_000
"""How far back figures are read after an outage."""
PERFORMANCE_BACK_MS: Final = 6 * 3_600_000
"""The same for what RDS tells itself: each instance is a call of its own."""
MOST: Final = 5
KEPT_MS: Final = 90 * 86_400_000
"""Gaps are said this long."""


def after(before: Mapping[str, Any], *, is_read: bool, now_ms: int, back_ms: int) -> dict[str, Any]:
    """What a target remembers after a run: when it was last read without trouble, and its gaps (from and until, ms)."""
    read_at = int(before.get("read_at", 0))
    known = [gap for gap in before.get("gaps", ()) if gap[1] > now_ms - KEPT_MS]
    if not is_read:
        return {"read_at": read_at, "gaps": known}
    if lost := lost_by(read_at, now_ms, back_ms):
        known.append([read_at, lost])
    return {"read_at": now_ms, "gaps": known[-MOST:]}


def lost_by(read_at: int, now_ms: int, back_ms: int) -> int | None:
    """Until when figures can no longer be read, if any were lost since ``read_at``; None when all can be."""
    oldest = now_ms - back_ms
    return oldest if read_at and read_at < oldest else None
