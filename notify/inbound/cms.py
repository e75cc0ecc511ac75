"""Alarm callbacks of Alibaba Cloud's CloudMonitor: thresholds (a form, or JSON) and system events (JSON).

help.aliyun.com/document_detail/60714 (threshold), 281090 (event). Three tries of five seconds each; no signature is
promised, so the address is the secret. `dimensions` comes as `{instanceId=i-…, userId=…}`, as JSON text or as a list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from notify.inbound import reading
from notify.inbound.reading import BadInputError
from notify.inbound.signals import Signal, distinct, short_key

FORM: Final = "application/x-www-form-urlencoded"
ENDED: Final = "OK"
FIRING: Final = ("ALERT", "ALARM")
NO_DATA: Final = "INSUFFICIENT_DATA"
PAIR: Final = re.compile(r"(\w+)=([^,{}\[\]]+)")
NAMING: Final = ("instanceId", "nodeId", "port", "instanceName", "domain", "BucketName")
EVENT_ENDED: Final = ("executed", "avoided", "canceled", "normal", "recovered")


def read(raw: bytes, content_type: str) -> list[Signal]:
    """The one alarm of a callback. Raises BadInputError."""
    if content_type.partition(";")[0].strip().lower() == FORM:
        return [_threshold(reading.form(raw))]
    body = reading.mapping(reading.loads(raw))
    if "alertState" in body or "alertName" in body:
        return [_threshold(body)]
    if "product" in body and "name" in body:
        return [_event(body)]
    raise BadInputError("neither a threshold alarm nor a system event of CloudMonitor")


def _threshold(body: Mapping[str, object]) -> Signal:
    state = reading.text(body.get("alertState")).upper()
    if state not in (ENDED, NO_DATA, *FIRING):
        raise BadInputError("alertState is none of OK, ALERT and INSUFFICIENT_DATA")
    where = _dimensions(body.get("dimensions"))
    instance = reading.text(body.get("instanceName"), 120)
    metric = reading.text(body.get("metricName"), 80)
    name = reading.text(body.get("alertName"), 120)
    shown = "INSUFFICIENT_DATA" if state == NO_DATA else reading.text(body.get("curValue"), 40)
    lines = (
        f"{metric} = {shown}" if metric else "",
        reading.text(body.get("expression"), 300),
        ", ".join(f"{key}={value}" for key, value in sorted(where.items())),
        reading.text(body.get("regionName") or body.get("regionId"), 60),
    )
    return Signal(
        key=short_key(
            reading.text(body.get("ruleId") or name), metric, *(f"{k}={v}" for k, v in sorted(where.items()))
        ),
        is_firing=state != ENDED,
        severity=reading.text(body.get("triggerLevel") or body.get("preTriggerLevel"), 40),
        title=reading.text(" ".join(filter(None, (name, instance or where.get("instanceId", "")))), 200)
        or "CloudMonitor",
        text="\n\n".join(filter(None, lines)),
        occurred_at=reading.moment(body.get("timestamp")),
        names=distinct(*(where[key] for key in NAMING if where.get(key)), instance),
        customer=reading.text(body.get("userId") or where.get("userId"), 40),
    )


def _event(body: Mapping[str, object]) -> Signal:
    resource = reading.text(body.get("resourceId") or body.get("instanceId"), 200)
    instance, name = resource.rsplit("/", 1)[-1], reading.text(body.get("name"), 120)
    content = body.get("content")
    details = _words(content) if isinstance(content, dict) else {"content": reading.block(content, 2000)}
    kind = details.get("eventId") or name
    shown = "\n".join(f"{key}: {value}" for key, value in details.items() if value)
    return Signal(
        key=short_key("event", reading.text(body.get("product")), instance, kind),
        is_firing=reading.text(body.get("status")).lower() not in EVENT_ENDED,
        severity=reading.text(body.get("level"), 40),
        title=reading.text(f"{name} {reading.text(body.get('instanceName')) or instance}", 200),
        text=reading.block(f"{reading.text(body.get('status'), 60)}\n\n{shown}", 4000),
        occurred_at=reading.moment(body.get("eventTime") or body.get("timestamp")),
        names=distinct(instance, reading.text(body.get("instanceName"), 120)),
        customer=reading.text(body.get("userId"), 40),
    )


def _words(content: Mapping[str, object]) -> dict[str, str]:
    return {reading.text(key, 60): reading.text(value, 300) for key, value in list(content.items())[:40]}


def _dimensions(value: object) -> dict[str, str]:
    if isinstance(value, str):
        text = reading.text(value, 2000)
        try:
            value = reading.loads(text.encode())
        except BadInputError:
            return {key: word.strip() for key, word in PAIR.findall(text)}
    if isinstance(value, list):
        value = value[0] if value else {}
    return _words(value) if isinstance(value, dict) else {}
