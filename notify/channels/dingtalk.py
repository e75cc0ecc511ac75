"""DingTalk custom robot: signed markdown into a group. Protocol: open.dingtalk.com, "custom robot access".

The answer is HTTP 200 even on errors: the verdict is in `errcode`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from notify.channels import http
from notify.channels.errcode import Codes, read_reply
from notify.channels.notice import Notice, cut, fit
from notify.channels.outcome import Outcome

OFFICIAL_BASE = "https://oapi.dingtalk.com"
HOST = "oapi.dingtalk.com"
PER_MINUTE = 20  # messages per minute and robot; beyond it the robot is muted for MUTE
MUTE = timedelta(minutes=10)
TEXT_BYTES = 14_000  # the body may hold about 20 kB; JSON escapes and the title need room
TITLE_BYTES = 200

TOO_FAST = frozenset({130101, 410100})
BUSY = frozenset({-1})
# wrong token, robot stopped or removed, security setting not met, group dissolved, message the robot cannot take
NEVER = frozenset({300001, 310000, 400013, 400101, 400102, 400106, 40035, 400105, 430102, 430103, 430104, 460101})
CODES = Codes(TOO_FAST, NEVER, MUTE)


@dataclass(frozen=True)
class Robot:
    """`secret` (SEC…) when the robot signs; `keyword` when it asks for one in every message."""

    access_token: str = field(repr=False)
    secret: str = field(default="", repr=False)
    keyword: str = ""


def sign(secret: str, timestamp_ms: int) -> str:
    """base64(HMAC-SHA256(secret, "<timestamp>\\n<secret>")), not yet URL-encoded."""
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def body(robot: Robot, notice: Notice) -> bytes:
    """The markdown message. The link is kept whatever is cut; the keyword is added where the text lacks it."""
    head = f"### {notice.subject}\n\n"
    tail = f"\n\n[{notice.link_label}]({notice.link})" if notice.link else ""
    if notice.mention_all:
        tail += "\n\n@all"
    if robot.keyword and robot.keyword not in notice.subject + notice.text + tail:
        tail += f"\n\n{robot.keyword}"
    message = {
        "msgtype": "markdown",
        "markdown": {
            "title": cut(notice.subject, TITLE_BYTES),
            "text": fit(head, notice.text.replace("\n", "  \n"), tail, TEXT_BYTES),
        },
        "at": {"isAtAll": notice.mention_all},
    }
    return json.dumps(message, ensure_ascii=False).encode()


def send(robot: Robot, notice: Notice, *, now: datetime, base: str = OFFICIAL_BASE, limits: http.Limits) -> Outcome:
    """One try. DingTalk has no idempotency key: after UNCERTAIN a repeat may show the message twice."""
    query = {"access_token": robot.access_token}
    if robot.secret:
        timestamp = int(now.timestamp() * 1000)
        query |= {"timestamp": str(timestamp), "sign": sign(robot.secret, timestamp)}
    url = f"{base}/robot/send?{urlencode(query)}"
    headers = {"Content-Type": "application/json; charset=utf-8"}
    reply = http.attempt(lambda: http.post(url, body(robot, notice), headers, limits=limits, known_host=HOST))
    return reply if isinstance(reply, Outcome) else read_reply(reply, (robot.access_token, robot.secret), CODES)
