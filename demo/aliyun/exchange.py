"""The simulated telephone exchange: calls and SMS with the real ones' templates, limits per number, and receipts.

How a called person behaves is set by number; whoever has no behaviour of their own answers and listens.
"""

import json
import re
import threading
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from demo.aliyun.account import Policy, policy_document
from demo.aliyun.answers import ApiError, Call
from demo.aliyun.estate import Json

MOBILE = re.compile(r"1[3-9]\d{9}")
LANDLINE = re.compile(r"0\d{9,11}")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CALL_LIMITS = ((1, MINUTE, "分钟级"), (5, HOUR, "小时级"), (20, DAY, "天级"))
TEXT_LIMITS = ((50, DAY, "天级"),)
BEIJING = timedelta(hours=8)
RINGS_S, TALKS_S = 12, 18
TELEPHONE_ACCESS = Policy("rdmp-telephone", "Custom", policy_document("dyvms:*", "dysms:*"))
CALL_VARIABLES = frozenset({"customer", "severity", "title", "count"})
TEXT_VARIABLES = frozenset({"customer", "severity", "title", "code"})


@dataclass(frozen=True)
class Behaviour:
    """What the person at a number does: `status` is the exchange's code for it."""

    answers: bool = True
    key: str = ""
    status: str = "200000"
    words: str = "用户接听"


ANSWERS = Behaviour()
PRESSES_ONE = Behaviour(key="1")
BUSY = Behaviour(answers=False, status="200002", words="用户占线")
NO_ANSWER = Behaviour(answers=False, status="200003", words="用户无应答")
SWITCHED_OFF = Behaviour(answers=False, status="200005", words="用户无法接通")


@dataclass(frozen=True)
class Placed:
    """One call or SMS that was accepted."""

    kind: str  # "call", "ivr" or "sms"
    id: str
    number: str
    template: str
    words: Mapping[str, str]
    out_id: str
    at: datetime
    behaviour: Behaviour


@dataclass
class Exchange:
    templates: dict[str, frozenset[str]] = field(
        default_factory=lambda: {
            "TTS_100001": CALL_VARIABLES,
            "TTS_100002": CALL_VARIABLES,
            "TTS_100003": frozenset(),
            "SMS_100001": TEXT_VARIABLES,
        }
    )
    signs: frozenset[str] = frozenset({"济通科技"})
    numbers: frozenset[str] = frozenset({"057100001111"})  # bought: may be shown
    placed: list[Placed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    clock: Callable[[], datetime] | None = None  # whose time limits are counted by; None: that of the request
    receivers: dict[str, str] = field(default_factory=dict)  # kind of receipt → address that is told
    _behaviours: dict[str, Behaviour] = field(default_factory=dict)
    _reported: set[str] = field(default_factory=set)
    _tries: defaultdict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # what tests and the demo do with it

    def behave(self, number: str, behaviour: Behaviour) -> None:
        self._behaviours[number] = behaviour

    def reports(self, kind: str) -> list[Json]:
        """The receipts of `kind` ("voice", "sms") that were not handed out yet, as they are pushed."""
        with self._lock:
            mine = [each for each in self.placed if (each.kind == "sms") == (kind == "sms")]
            fresh = [each for each in mine if each.id not in self._reported]
            self._reported.update(each.id for each in fresh)
        return [_sms_report(each) if each.kind == "sms" else _voice_report(each) for each in fresh]

    def push_reports(self) -> int:
        """Tell the receivers what happened; returns how many receipts were taken with code 0."""
        taken = 0
        for kind, address in self.receivers.items():
            reports = self.reports(kind)
            if reports:
                request = urllib.request.Request(  # noqa: S310 - the address that was entered here
                    address, json.dumps(reports).encode(), {"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - as above
                    taken += len(reports) if json.loads(reply.read())["code"] == 0 else 0
        return taken

    # the API

    def single_call(self, call: Call) -> Json:
        return self._place(call, "call", call.need("TtsCode"), call.params.get("TtsParam", "{}"), "CallId")

    def ivr_call(self, call: Call) -> Json:
        shown = call.need("CalledShowNumber")
        if shown not in self.numbers:
            raise self._no("isv.SHOW_NUMBER_ILLEGAL", "号显不合法")
        for name in ("MenuKeyMap.1.Key", "MenuKeyMap.1.Code", "ByeCode"):
            call.need(name)
        return self._place(call, "ivr", call.need("StartCode"), call.params.get("StartTtsParams", "{}"), "CallId")

    def send_sms(self, call: Call) -> Json:
        if call.need("SignName") not in self.signs:
            raise self._no("isv.SMS_SIGNATURE_ILLEGAL", "短信签名不合法")
        return self._place(call, "sms", call.need("TemplateCode"), call.params.get("TemplateParam", "{}"), "BizId")

    def _place(self, call: Call, kind: str, template: str, words: str, id_name: str) -> Json:
        number = call.need("PhoneNumbers" if kind == "sms" else "CalledNumber")
        said = self._checked(kind, number, template, words)
        with self._lock:
            self._count(kind, number, self._now(call))
            placed = Placed(
                kind=kind,
                id=f"{len(self.placed):06}^{uuid.uuid4().hex[:12]}",
                number=number,
                template=template,
                words=said,
                out_id=call.params.get("OutId", ""),
                at=self._now(call),
                behaviour=self._behaviours.get(number, ANSWERS),
            )
            self.placed.append(placed)
        return {"Code": "OK", "Message": "OK", id_name: placed.id}

    def _checked(self, kind: str, number: str, template: str, words: str) -> dict[str, str]:
        is_number = MOBILE.fullmatch(number) or (kind != "sms" and LANDLINE.fullmatch(number))
        if not is_number:
            raise self._no("isv.MOBILE_NUMBER_ILLEGAL", f"{number}号码格式错误")
        wanted = self.templates.get(template)
        if wanted is None or template.startswith("SMS") != (kind == "sms"):
            raise self._no("isv.SMS_TEMPLATE_ILLEGAL" if kind == "sms" else "isv.TTS_TEMPLATE_ILLEGAL", "模板不合法")
        try:
            said = {str(name): str(value) for name, value in json.loads(words).items()}
        except (ValueError, AttributeError):
            raise self._no("isv.INVALID_JSON_PARAM", "参数不是JSON") from None
        if missing := wanted - said.keys():
            raise self._no("isv.TEMPLATE_MISSING_PARAMETERS", f"模板缺少变量{min(missing)}")
        if any(not 1 <= len(said[name]) <= 35 or "【" in said[name] for name in wanted):
            raise self._no("isv.PARAM_LENGTH_LIMIT", "变量长度或内容不合法")
        return said

    def _count(self, kind: str, number: str, now: datetime) -> None:
        """Every try counts, refused or not; over a limit nothing goes through."""
        tries = self._tries[f"{kind == 'sms'}:{number}"]
        limits = TEXT_LIMITS if kind == "sms" else CALL_LIMITS
        over = [
            f"触发{name}流控Permits:{most}"
            for most, span, name in limits
            if sum(moment > now - span for moment in tries) >= most
        ]
        tries.append(now)
        if over:
            raise self._no("isv.BUSINESS_LIMIT_CONTROL", over[-1])

    def _now(self, call: Call) -> datetime:
        return call.now if self.clock is None else self.clock()

    def _no(self, code: str, words: str) -> ApiError:
        self.refused.append(code)
        return ApiError(200, code, words)  # these services answer 200 and say no in Code

    def call_detail(self, call: Call) -> Json:
        found = next((each for each in self.placed if each.id == call.need("CallId")), None)
        call.need("ProdId")
        call.need("QueryDate")
        if found is None:
            raise self._no("isv.CALL_ID_NOT_EXIST", "呼叫不存在")
        over = self._now(call) - found.at >= timedelta(seconds=RINGS_S + TALKS_S)
        detail: Json = {"callee": found.number, "startDate": _local(found.at), "outId": found.out_id}
        if over:
            how = found.behaviour
            detail |= {"state": how.status, "stateDesc": how.words, "endDate": _local(found.at + _lasted(how))}
            detail |= {"duration": TALKS_S if how.answers else 0, "dtmf": how.key}
        return {"Code": "OK", "Message": "OK", "Data": json.dumps(detail, ensure_ascii=False)}

    def send_details(self, call: Call) -> Json:
        number, day = call.need("PhoneNumber"), call.need("SendDate")
        mine = [
            each
            for each in self.placed
            if each.kind == "sms" and each.number == number and f"{each.at + BEIJING:%Y%m%d}" == day
        ]
        rows = [
            {
                "PhoneNum": each.number,
                "OutId": each.out_id,
                "TemplateCode": each.template,
                "SendDate": _local(each.at),
                "SendStatus": 3 if each.behaviour.answers else 2,
                "ErrCode": "DELIVERED" if each.behaviour.answers else "MK:0001",
            }
            for each in reversed(mine)
        ]
        size = call.number("PageSize", 10, top=50)
        return {
            "Code": "OK",
            "Message": "OK",
            "TotalCount": str(len(rows)),
            "SmsSendDetailDTOs": {"SmsSendDetailDTO": rows[:size]},
        }


def _lasted(how: Behaviour) -> timedelta:
    return timedelta(seconds=RINGS_S + (TALKS_S if how.answers else 0))


def _local(moment: datetime) -> str:
    return f"{moment + BEIJING:%Y-%m-%d %H:%M:%S}"


def _voice_report(placed: Placed) -> Json:
    how = placed.behaviour
    began = _local(placed.at + timedelta(seconds=RINGS_S)) if how.answers else ""
    return {
        "call_id": placed.id,
        "out_id": placed.out_id,
        "callee": placed.number,
        "status_code": how.status,
        "status_msg": how.words,
        "originate_time": _local(placed.at),
        "ring_time": _local(placed.at + timedelta(seconds=3)),
        "start_time": began,
        "end_time": _local(placed.at + _lasted(how)),
        "duration": str(TALKS_S if how.answers else 0),
        "dtmf": how.key if placed.kind == "ivr" else "",
        "hangup_direction": "1",
        "toll_type": "LOCAL",
    }


def _sms_report(placed: Placed) -> Json:
    how = placed.behaviour
    return {
        "phone_number": placed.number,
        "send_time": _local(placed.at),
        "report_time": _local(placed.at + timedelta(seconds=4)),
        "success": how.answers,
        "err_code": "DELIVERED" if how.answers else "MK:0001",
        "err_msg": "用户接收成功" if how.answers else "空号",
        "sms_size": "1",
        "biz_id": placed.id,
        "out_id": placed.out_id,
    }
