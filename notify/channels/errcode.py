"""The answer that DingTalk and WeCom robots share: HTTP 200 whatever happened, and the verdict in `errcode`."""

import json
from dataclasses import dataclass
from datetime import timedelta

from notify.channels import http
from notify.channels.notice import scrub
from notify.channels.outcome import Outcome, Verdict


@dataclass(frozen=True)
class Codes:
    """What a provider's codes mean: wait for `pause`, or never try again; every other one may pass."""

    too_fast: frozenset[int]
    never: frozenset[int]
    pause: timedelta


def read_reply(reply: http.Reply, secrets: tuple[str, ...], codes: Codes) -> Outcome:
    """The verdict in an answer. A 200 that is not the promised JSON is UNCERTAIN, never a success."""
    detail = scrub(reply.body.decode(errors="replace"), secrets)
    by_status = http.outcome_of_status(reply.status, detail)
    if by_status is not None:
        return by_status
    try:
        answer = json.loads(reply.body)
        errcode = int(answer["errcode"])
    except (ValueError, TypeError, KeyError):
        return Outcome(Verdict.UNCERTAIN, "unreadable answer", detail)
    code, words = str(errcode), scrub(str(answer.get("errmsg", "")), secrets)
    if errcode == 0:
        return Outcome(Verdict.ACCEPTED, code, words)
    if errcode in codes.too_fast:
        return Outcome(Verdict.RATE, code, words, retry_after=codes.pause)
    return Outcome(Verdict.REFUSED if errcode in codes.never else Verdict.FAILED, code, words)
