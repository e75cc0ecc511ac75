"""Signed calls to Alibaba Cloud's voice and SMS services: the SDK signs, our own guarded client sends, once.

The SDK would repeat and follow on its own; the outbox must know whether a request left, and an SMS must not go twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from aliyunsdkcore.request import CommonRequest

from notify.channels import http
from notify.channels.notice import scrub
from notify.channels.outcome import Outcome, Verdict

REGION = "cn-hangzhou"
VERSION = "2017-05-25"  # of both services
Answer = dict[str, object]

# The message names the limit that was hit: 触发分钟级流控Permits:1, 触发小时级流控Permits:5, 触发天级流控Permits:20.
OVER_LIMIT = frozenset({"isv.BUSINESS_LIMIT_CONTROL", "isv.OUT_OF_SERVICE_LIMIT"})
A_MINUTE = timedelta(minutes=1)
BUSY_PAUSE = timedelta(seconds=5)
UNKNOWN_FATE = frozenset({"isp.SYSTEM_ERROR", "InternalError", "isp.UNKNOWN_ERROR"})
QUOTES_WHAT_WAS_SIGNED = frozenset({"SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignature"})


@dataclass(frozen=True)
class Account:
    """`endpoint` replaces the official address, for a trial with a simulated cloud."""

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    endpoint: str = ""


def ask(
    account: Account, product: str, action: str, params: Mapping[str, str], *, limits: http.Limits
) -> Answer | Outcome:
    """One call. The answer when its Code is OK, else the Outcome that tells why not and how far it got."""
    host = f"{product.lower()}.aliyuncs.com"
    url = (account.endpoint or f"https://{host}") + _signed_path(account, product, action, params)
    reply = http.attempt(lambda: http.post(url, b"", {"Accept": "application/json"}, limits=limits, known_host=host))
    return reply if isinstance(reply, Outcome) else _read(reply, account)


def _signed_path(account: Account, product: str, action: str, params: Mapping[str, str]) -> str:
    request = CommonRequest(version=VERSION, action_name=action, product=product)
    request.set_accept_format("JSON")
    request.set_method("POST")
    for name, value in params.items():
        request.add_query_param(name, value)
    request.trans_to_acs_request()
    path: str = request.get_url(REGION, account.access_key_id, account.access_key_secret)
    return path


def _read(reply: http.Reply, account: Account) -> Answer | Outcome:
    secrets = (account.access_key_secret, account.access_key_id)
    try:
        answer = json.loads(reply.body)
        code = str(answer["Code"])
    except (ValueError, TypeError, KeyError):
        detail = scrub(reply.body.decode(errors="replace"), secrets)
        return http.outcome_of_status(reply.status, detail) or Outcome(Verdict.UNCERTAIN, "unreadable answer", detail)
    if code == "OK" and reply.status == 200:
        return dict(answer)
    words = "" if code in QUOTES_WHAT_WAS_SIGNED else scrub(str(answer.get("Message", "")), secrets)
    return Outcome(*_verdict(code, words, reply.status), words, retry_after=_pause(code, words))


def _verdict(code: str, words: str, status: int) -> tuple[Verdict, str]:
    if code in OVER_LIMIT:
        return (Verdict.RATE if _pause(code, words) == A_MINUTE else Verdict.REFUSED), code
    if code.startswith("Throttling"):
        return Verdict.RATE, code
    if code in UNKNOWN_FATE or status in (500, 502, 504):
        return Verdict.UNCERTAIN, code
    return (Verdict.FAILED if status >= 500 else Verdict.REFUSED), code


def _pause(code: str, words: str) -> timedelta | None:
    """How long to wait; None where waiting within reason does not help (the limit of an hour or a day)."""
    if code.startswith("Throttling"):
        return BUSY_PAUSE
    if code in OVER_LIMIT and not any(mark in words for mark in ("小时", "天", "日", "hour", "day")):
        return A_MINUTE
    return None


def plain(value: str, limit: int) -> str:
    """A value of a template variable: one line without the marks that Alibaba Cloud reserves for signatures."""
    text = " ".join(value.translate({ord("【"): "(", ord("】"): ")", ord("["): "(", ord("]"): ")"}).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
