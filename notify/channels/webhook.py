"""Generic webhook: our JSON to the customer's own address, signed with HMAC-SHA256, with an idempotency id.

The receiver checks `X-RDMP-Signature: v1=<hex>` over "<timestamp>.<body>" with the shared secret, refuses a timestamp
older than five minutes, and drops a `X-RDMP-Delivery` that it has seen: a repeat is the same delivery.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from notify.channels import http
from notify.channels.notice import Notice, scrub
from notify.channels.outcome import Outcome, Verdict

TOLERANCE = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=1)
DEFAULT_WAIT = timedelta(minutes=1)


@dataclass(frozen=True)
class Receiver:
    url: str = field(repr=False)
    secret: str = field(repr=False)


def sign(secret: str, timestamp: int, body: bytes) -> str:
    digest = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def body(notice: Notice) -> bytes:
    message = {
        "id": notice.reference,
        "topic": notice.topic,
        "severity": notice.severity,
        "subject": notice.subject,
        "text": notice.text,
        "url": notice.link,
    }
    return json.dumps(message, ensure_ascii=False).encode()


def send(receiver: Receiver, notice: Notice, *, now: datetime, limits: http.Limits) -> Outcome:
    """One try; repeats carry the same id, so trying again after UNCERTAIN is safe."""
    content, timestamp = body(notice), int(now.timestamp())
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "X-RDMP-Delivery": notice.reference,
        "X-RDMP-Timestamp": str(timestamp),
        "X-RDMP-Signature": sign(receiver.secret, timestamp, content),
    }
    reply = http.attempt(lambda: http.post(receiver.url, content, headers, limits=limits))
    return reply if isinstance(reply, Outcome) else read_reply(reply, (receiver.secret, receiver.url))


def read_reply(reply: http.Reply, secrets: tuple[str, ...]) -> Outcome:
    """2xx is acceptance. A redirect is a refusal: following it would sign a message for somebody else."""
    detail = scrub(reply.body.decode(errors="replace"), secrets)
    outcome = http.outcome_of_status(reply.status, detail)
    if outcome is None:
        return Outcome(Verdict.ACCEPTED, f"http {reply.status}", detail)
    if outcome.verdict is Verdict.RATE:
        wait = _retry_after(reply.headers.get("retry-after", ""))
        return Outcome(Verdict.RATE, outcome.code, detail, retry_after=wait)
    return outcome


def _retry_after(value: str) -> timedelta:
    return min(timedelta(seconds=int(value)), LONGEST_WAIT) if value.isdecimal() else DEFAULT_WAIT
