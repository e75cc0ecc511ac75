"""Alibaba Cloud SMS (Dysmsapi 2017-05-25): an approved template with variables, and the receipts.

SendSms knows no idempotency key: sent twice it arrives twice. After a lost answer the day's list is asked first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from notify.channels import aliyun, http
from notify.channels.outcome import Outcome, Verdict
from notify.channels.receipt import Report
from notify.channels.voice import entries

PRODUCT = "Dysmsapi"
VARIABLE = 35  # characters of one variable
PER_DAY = 50  # messages to one number with one signature and template; also the largest page of the list
WAITING, LOST, ARRIVED = "1", "2", "3"  # SendStatus


@dataclass(frozen=True)
class Sender:
    account: aliyun.Account
    sign: str
    code: str


def send(sender: Sender, number: str, variables: Mapping[str, str], *, out_id: str, limits: http.Limits) -> Outcome:
    """One try; accepted means that Alibaba Cloud has it."""
    words = {name: aliyun.plain(text, VARIABLE) or "-" for name, text in variables.items()}
    params = {
        "PhoneNumbers": number,
        "SignName": sender.sign,
        "TemplateCode": sender.code,
        "TemplateParam": json.dumps(words, ensure_ascii=False),
        "OutId": out_id,
    }
    answer = aliyun.ask(sender.account, PRODUCT, "SendSms", params, limits=limits)
    if isinstance(answer, Outcome):
        return answer
    return Outcome(Verdict.ACCEPTED, "OK", provider_id=str(answer.get("BizId", "")))


def look_up(
    sender: Sender, number: str, *, out_ids: Collection[str], on: date, limits: http.Limits
) -> Report | Outcome | None:
    """What the list of that day says of a message with one of our ids; None: it is not in there.

    A message on its way is a report without a code.
    """
    params = {"PhoneNumber": number, "SendDate": f"{on:%Y%m%d}", "PageSize": str(PER_DAY), "CurrentPage": "1"}
    answer = aliyun.ask(sender.account, PRODUCT, "QuerySendDetails", params, limits=limits)
    if isinstance(answer, Outcome):
        return answer
    listed = answer.get("SmsSendDetailDTOs")
    rows = listed.get("SmsSendDetailDTO") if isinstance(listed, dict) else None
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and str(row.get("OutId") or "") in out_ids:
            return _listed(row)
    return None


def _listed(row: Mapping[str, object]) -> Report:
    status = str(row.get("SendStatus") or "")
    return Report(
        out_id=str(row.get("OutId")),
        provider_id="",
        number=str(row.get("PhoneNum") or ""),
        was_reached=status == ARRIVED,
        code="" if status == WAITING else str(row.get("ErrCode") or status)[:40],
    )


def read_reports(body: bytes) -> list[Report]:
    """The receipts that Alibaba Cloud pushes: a JSON array of SmsReport. Raises ValueError for anything else."""
    return [
        Report(
            out_id=str(entry.get("out_id") or "")[:40],
            provider_id=str(entry.get("biz_id") or "")[:120],
            number=str(entry.get("phone_number") or "")[:20],
            was_reached=entry.get("success") is True or str(entry.get("success")).lower() == "true",
            code=str(entry.get("err_code") or "")[:40] or "-",
            words=str(entry.get("err_msg") or "")[:200],
        )
        for entry in entries(body)
    ]
