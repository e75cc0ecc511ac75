"""DingTalk's robot that listens (HTTP mode): the signature of its calls, the message, and the answer to it.

open.dingtalk.com, "receive messages of a robot". The signature does not cover the body, so a call can be repeated
within its hour: `msgId` makes each message one.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from notify.channels import dingtalk, http
from notify.channels.errcode import Codes, read_reply
from notify.channels.notice import cut
from notify.channels.outcome import Outcome
from notify.inbound import reading
from notify.inbound.reading import BadInputError

TOLERANCE: Final = timedelta(hours=1)
HOST: Final = dingtalk.HOST
REPLY_BYTES: Final = 14_000
LONGEST_SESSION: Final = timedelta(hours=2)
KINDS_WITH_TEXT: Final = ("text", "richText")
CODES: Final = Codes(dingtalk.TOO_FAST, dingtalk.NEVER, dingtalk.MUTE)


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """What somebody said to a robot, of whichever maker. `reply_url` may be called until `reply_until`."""

    message_id: str
    sender_id: str
    sender_name: str
    conversation: str
    is_group: bool
    text: str
    reply_url: str = ""
    reply_until: datetime | None = None


def is_signed(secret: str, timestamp: str, signature: str, *, now: datetime) -> bool:
    """Whether the headers `timestamp` (ms) and `sign` are DingTalk's and not older than an hour."""
    if not secret or not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 15:
        return False
    if abs(now - datetime.fromtimestamp(int(timestamp) / 1000, UTC)) > TOLERANCE:
        return False
    expected = dingtalk.sign(secret, int(timestamp))
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def read(raw: bytes, *, now: datetime) -> ChatMessage:
    """The message of a call. Pictures, voices and files come without text and say so. Raises BadInputError."""
    body = reading.mapping(reading.loads(raw))
    message_id, sender = reading.text(body.get("msgId"), 120), reading.text(body.get("senderId"), 190)
    if not message_id or not sender:
        raise BadInputError("msgId or senderId is missing")
    until = reading.moment(body.get("sessionWebhookExpiredTime"))
    return ChatMessage(
        message_id=message_id,
        sender_id=sender,
        sender_name=reading.text(body.get("senderNick"), 100),
        conversation=reading.text(body.get("conversationId"), 190),
        is_group=reading.text(body.get("conversationType")) != "1",
        text=_text(body),
        reply_url=reading.text(body.get("sessionWebhook"), 500),
        reply_until=min(until, now + LONGEST_SESSION) if until else None,
    )


def _text(body: Mapping[str, object]) -> str:
    kind = reading.text(body.get("msgtype"), 20)
    if kind == "text":
        part = body.get("text")
        return reading.block(part.get("content") if isinstance(part, dict) else "")
    if kind == "richText":
        part = body.get("content")
        pieces = part.get("richText") if isinstance(part, dict) else None
        texts = [reading.block(piece.get("text")) for piece in pieces or [] if isinstance(piece, dict)]
        return reading.block("\n".join(filter(None, texts)))
    return f"[{kind or 'message'}]"


def reply(url: str, text: str, *, title: str, limits: http.Limits) -> Outcome:
    """Answer in the conversation. Only DingTalk's own host is called, whatever the message named."""
    message = {
        "msgtype": "markdown",
        "markdown": {"title": title, "text": cut(text.replace("\n", "  \n"), REPLY_BYTES)},
    }
    content = json.dumps(message, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = http.attempt(lambda: http.post(url, content, headers, limits=limits, known_host=HOST))
    return answer if isinstance(answer, Outcome) else read_reply(answer, (), CODES)
