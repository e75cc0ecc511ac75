"""Alibaba Cloud voice (Dyvmsapi 2017-05-25): a call that reads an approved template, and the receipts of calls.

Templates take variables, no free text. A called number may be rung once a minute, 5 times an hour and 20 times a day,
whether or not anybody answers: `notify.budget.CALLS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notify.channels import aliyun, http
from notify.channels.outcome import Outcome, Verdict
from notify.channels.receipt import Report

PRODUCT = "Dyvmsapi"
VARIABLE = 30  # characters of one variable
KEY_YES = "1"
NOTICE, IVR = "11000000300006", "11000000300005"  # ProdId of QueryCallDetailByCallId: voice notice, call with keys
MOST_REPORTS = 1000


@dataclass(frozen=True)
class Line:
    """How calls are made. With `start_code`, `bye_code` and a number of one's own, keys can be pressed (IvrCall)."""

    account: aliyun.Account
    tts_code: str
    show_number: str = ""
    start_code: str = ""
    bye_code: str = ""

    @property
    def takes_keys(self) -> bool:
        return bool(self.start_code and self.bye_code and self.show_number)


def call(
    line: Line, number: str, variables: Mapping[str, str], *, out_id: str, asks: bool, limits: http.Limits
) -> Outcome:
    """One try; accepted means that it is ringing soon. `asks`: offer to press 1, where the line can."""
    params = {"CalledNumber": number, "OutId": out_id}
    if line.show_number:
        params["CalledShowNumber"] = line.show_number
    words = json.dumps({name: aliyun.plain(text, VARIABLE) for name, text in variables.items()}, ensure_ascii=False)
    if (asks or not line.tts_code) and line.takes_keys:
        action = "IvrCall"
        params |= {"StartCode": line.start_code, "StartTtsParams": words, "PlayTimes": "2", "Timeout": "6000"}
        params |= {"MenuKeyMap.1.Key": KEY_YES, "MenuKeyMap.1.Code": line.bye_code, "ByeCode": line.bye_code}
    else:
        action = "SingleCallByTts"
        params |= {"TtsCode": line.tts_code, "TtsParam": words, "PlayTimes": "2", "Volume": "100"}
    answer = aliyun.ask(line.account, PRODUCT, action, params, limits=limits)
    if isinstance(answer, Outcome):
        return answer
    return Outcome(Verdict.ACCEPTED, "OK", action, provider_id=str(answer.get("CallId", "")))


def look_up(
    line: Line, call_id: str, *, asked: bool, made_at: datetime, limits: http.Limits
) -> Report | Outcome | None:
    """What became of a call, asked for because its receipt has not come; None: it is not over yet."""
    product = IVR if asked and line.takes_keys else NOTICE
    params = {"CallId": call_id, "ProdId": product, "QueryDate": str(int(made_at.timestamp() * 1000))}
    answer = aliyun.ask(line.account, PRODUCT, "QueryCallDetailByCallId", params, limits=limits)
    if isinstance(answer, Outcome):
        return answer
    try:
        found = json.loads(str(answer.get("Data") or "{}"))
    except ValueError:
        return Outcome(Verdict.FAILED, "unreadable answer")
    if not isinstance(found, dict) or not found.get("state") or not found.get("endDate"):
        return None
    seconds = _number(found.get("duration"))
    return Report(
        out_id=str(found.get("outId") or ""),
        provider_id=call_id,
        number=str(found.get("callee") or ""),
        was_reached=seconds > 0,
        code=str(found["state"])[:40],
        words=str(found.get("stateDesc") or "")[:200],
        key=str(found.get("dtmf") or "")[:8],
    )


def read_reports(body: bytes) -> list[Report]:
    """The receipts that Alibaba Cloud pushes: a JSON array of VoiceReport. Raises ValueError for anything else.

    Answered is what has a start and lasted: the table of status codes has grown more than once.
    """
    return [_report(entry) for entry in entries(body)]


def entries(body: bytes) -> list[dict[str, object]]:
    """The objects of a pushed JSON array. Raises ValueError."""
    found = json.loads(body)
    if not isinstance(found, list) or len(found) > MOST_REPORTS or not all(isinstance(each, dict) for each in found):
        raise ValueError("not a list of receipts")
    return found


def _report(entry: dict[str, object]) -> Report:
    began = entry.get("start_time") or entry.get("b_start_time")
    return Report(
        out_id=str(entry.get("out_id") or "")[:40],
        provider_id=str(entry.get("call_id") or "")[:120],
        number=str(entry.get("callee") or "")[:20],
        was_reached=bool(began) and _number(entry.get("duration")) > 0,
        code=str(entry.get("status_code") or "")[:40],
        words=str(entry.get("status_msg") or "")[:200],
        key=str(entry.get("dtmf") or "")[:8],
    )


def _number(value: object) -> int:
    text = str(value or "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
