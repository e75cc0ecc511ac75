"""Web Push (RFC 8030): the message encrypted for one browser (RFC 8291), signed with our key (RFC 8292, VAPID)."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02
from pywebpush import WebPusher

from notify.channels import http
from notify.channels.notice import Notice, cut, scrub
from notify.channels.outcome import Outcome, Verdict

GONE = "gone"  # the push service knows the browser no more
KEPT_FOR = timedelta(days=1)  # a phone that is off gets it within a day, or not at all
PASS_FOR = timedelta(hours=12)  # validity of our signature; 24 h is the most (RFC 8292 §2)
TITLE_BYTES, TEXT_BYTES = 240, 1200  # services refuse more than 4096 bytes in all
URGENT = 2
POINT_BYTES, AUTH_BYTES = 65, 16
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True)
class Device:
    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


@dataclass(frozen=True)
class Sender:
    """`private_key`: 32 bytes in base64url. `contact`: whom the push service may write to."""

    private_key: str = field(repr=False)
    contact: str


def new_key_pair() -> tuple[str, str]:
    """A private key and the public one that browsers are given, both in base64url."""
    key = ec.generate_private_key(ec.SECP256R1())
    raw = key.private_numbers().private_value.to_bytes(32, "big")
    numbers = key.public_key().public_numbers()
    point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return to_text(raw), to_text(point)


def to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def is_device(device: Device) -> bool:
    """Whether this can be encrypted for: an https address, a point on P-256, 16 bytes of secret."""
    try:
        point = base64.urlsafe_b64decode(device.p256dh + "==")
        secret = base64.urlsafe_b64decode(device.auth + "==")
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        parts = urlsplit(device.endpoint)
    except ValueError:
        return False
    sizes_fit = len(point) == POINT_BYTES and len(secret) == AUTH_BYTES
    return sizes_fit and parts.scheme in ("http", "https") and bool(parts.hostname)


def payload(notice: Notice, *, text: str, tag: str) -> bytes:
    """What the service worker shows. `tag`: a newer one about the same thing replaces the older."""
    message = {
        "title": cut(notice.subject, TITLE_BYTES),
        "body": cut(text, TEXT_BYTES),
        "url": notice.link,
        "tag": tag,
        "urgent": notice.severity is not None and notice.severity <= URGENT,
    }
    return json.dumps(message, ensure_ascii=False).encode()


def send(
    sender: Sender, device: Device, content: bytes, notice: Notice, *, now: datetime, limits: http.Limits
) -> Outcome:
    """One try to one browser. A repeat carries the same Topic, so that one still waiting is replaced."""
    parts = urlsplit(device.endpoint)
    keys = {"p256dh": device.p256dh, "auth": device.auth}
    body: bytes = WebPusher({"endpoint": device.endpoint, "keys": keys}).encode(content)["body"]
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "sub": f"mailto:{sender.contact}",
        "exp": int((now + PASS_FOR).timestamp()),
    }
    headers: dict[str, str] = {
        **Vapid02.from_raw(sender.private_key.encode()).sign(claims),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(int(KEPT_FOR.total_seconds())),
        "Urgency": "high" if notice.severity is not None and notice.severity <= URGENT else "normal",
        "Topic": f"d{notice.reference}"[:32],
    }
    reply = http.attempt(lambda: http.post(device.endpoint, body, headers, limits=limits))
    return reply if isinstance(reply, Outcome) else _read(reply, device)


def _read(reply: http.Reply, device: Device) -> Outcome:
    detail = scrub(reply.body.decode(errors="replace"), (device.endpoint,), 200)
    if reply.status in (404, 410):
        return Outcome(Verdict.REFUSED, GONE, detail)
    outcome = http.outcome_of_status(reply.status, detail)
    if outcome is None:
        return Outcome(Verdict.ACCEPTED, f"http {reply.status}", provider_id=reply.headers.get("location", "")[:120])
    if outcome.verdict is Verdict.RATE:
        seconds = reply.headers.get("retry-after", "")
        wait = timedelta(seconds=int(seconds)) if seconds.isdecimal() and len(seconds) < 8 else timedelta(minutes=1)
        return Outcome(Verdict.RATE, outcome.code, detail, retry_after=min(wait, LONGEST_WAIT))
    return outcome
