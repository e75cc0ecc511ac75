"""WeCom group robot: markdown (or text, when everybody is to be mentioned). The key in the address is the secret.

Protocol: developer.work.weixin.qq.com/document/path/99110. HTTP 200 also on errors; the verdict is in `errcode`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlencode

from notify.channels import http
from notify.channels.errcode import Codes, read_reply
from notify.channels.notice import Notice, fit
from notify.channels.outcome import Outcome

OFFICIAL_BASE = "https://qyapi.weixin.qq.com"
HOST = "qyapi.weixin.qq.com"
PER_MINUTE = 20
TEXT_BYTES = 2048
MARKDOWN_BYTES = 4096
PAUSE = timedelta(minutes=1)  # the limit is counted by the minute

TOO_FAST = frozenset({45009, 45033})
# bad key, removed robot, wrong type or size: another try cannot help
NEVER = frozenset({93000, 93004, 93006, 93008, 40001, 40008, 40014, 40035, 40058, 44004, 45002})
CODES = Codes(TOO_FAST, NEVER, PAUSE)


@dataclass(frozen=True)
class Robot:
    key: str = field(repr=False)


def body(notice: Notice) -> bytes:
    """WeCom refuses what is too long, so the text is cut in bytes and the link kept."""
    if notice.mention_all:
        tail = f"\n{notice.link}" if notice.link else ""
        content = fit(f"{notice.subject}\n", notice.text, tail, TEXT_BYTES)
        message: dict[str, object] = {"msgtype": "text", "text": {"content": content, "mentioned_list": ["@all"]}}
    else:
        tail = f"\n[{notice.link_label}]({notice.link})" if notice.link else ""
        content = fit(f"### {notice.subject}\n", notice.text, tail, MARKDOWN_BYTES)
        message = {"msgtype": "markdown", "markdown": {"content": content}}
    return json.dumps(message, ensure_ascii=False).encode()


def send(robot: Robot, notice: Notice, *, base: str = OFFICIAL_BASE, limits: http.Limits) -> Outcome:
    """One try. No idempotency key here either: a repeat after UNCERTAIN may show twice."""
    url = f"{base}/cgi-bin/webhook/send?{urlencode({'key': robot.key})}"
    headers = {"Content-Type": "application/json; charset=utf-8"}
    reply = http.attempt(lambda: http.post(url, body(notice), headers, limits=limits, known_host=HOST))
    return reply if isinstance(reply, Outcome) else read_reply(reply, (robot.key,), CODES)
