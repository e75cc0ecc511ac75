"""What a provider tells later about a call or an SMS that it had accepted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """`out_id` is ours (the attempt), `provider_id` theirs; either may be missing. `key`: what the person pressed."""

    out_id: str
    provider_id: str
    number: str
    was_reached: bool
    code: str
    words: str = ""
    key: str = ""
