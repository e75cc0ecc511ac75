"""What a provider said about one attempt, in one vocabulary for all providers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Verdict(StrEnum):
    ACCEPTED = "accepted"  # the provider took it
    REFUSED = "refused"  # the provider will never take it: wrong token, bad keyword, no such address
    RATE = "rate"  # too many messages: come back after `retry_after`
    FAILED = "failed"  # surely not delivered, worth another try: no connection, "system busy"
    UNCERTAIN = "uncertain"  # sent, and the answer never came: it may or may not have been delivered


@dataclass(frozen=True)
class Outcome:
    """`code` is the provider's own ("0", "310000", "http 502", "smtp 550"); `detail` its words, without secrets."""

    verdict: Verdict
    code: str
    detail: str = ""
    provider_id: str = ""
    retry_after: timedelta | None = None

    @property
    def is_accepted(self) -> bool:
        return self.verdict is Verdict.ACCEPTED
