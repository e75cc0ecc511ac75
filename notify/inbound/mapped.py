"""Any JSON at all, read by the paths that a person has entered (RFC 9535)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import jsonpath

from notify.inbound import reading
from notify.inbound.reading import BadInputError
from notify.inbound.signals import MOST, Signal, distinct, short_key

ENDED_WORDS: Final = (
    "resolved",
    "ok",
    "recovery",
    "recovered",
    "closed",
    "normal",
    "0",
    "false",
    "恢复",
    "已恢复",
    "正常",
)
FIELDS: Final = ("title", "key", "status", "severity", "text", "time", "asset", "customer")
LONGEST: Final = 300
_PATHS: Final = jsonpath.JSONPathEnvironment(strict=True)
for _name in ("match", "search"):  # patterns that somebody enters could keep a worker for ever
    _PATHS.function_extensions.pop(_name, None)


@dataclass(frozen=True, slots=True)
class FieldMap:
    """One path a field, inside each item; `items` leads to the list of items, empty: the whole body is one."""

    paths: Mapping[str, str]
    items: str = ""
    ended: tuple[str, ...] = ENDED_WORDS


def check(path: str) -> str:
    """What is wrong with a path, or nothing."""
    if len(path) > LONGEST:
        return "too long"
    try:
        _PATHS.compile(path)
    except (RecursionError, jsonpath.JSONPathError) as error:
        return str(error).splitlines()[0][:120]
    return ""


def read(raw: bytes, mapping: FieldMap) -> list[Signal]:
    """The signals in a body. Raises BadInputError."""
    body = reading.loads(raw)
    found = _all(mapping.items, body) if mapping.items else [body]
    if mapping.items and len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if len(found) > MOST:
        raise BadInputError(f"more than {MOST} items")
    return [_signal(item, mapping) for item in found]


def _signal(item: object, mapping: FieldMap) -> Signal:
    said = {name: _first(mapping.paths.get(name, ""), item) for name in FIELDS}
    title = reading.text(said["title"], 200)
    if not title:
        raise BadInputError("the path of the title leads to nothing")
    asset = reading.text(said["asset"], 200)
    status = _word(said["status"])
    ended = {word.strip().lower() for word in mapping.ended}
    is_firing = status.lower() not in ended if mapping.paths.get("status") else True
    return Signal(
        key=reading.text(said["key"], 120) or short_key(title, asset),
        is_firing=is_firing,
        severity=reading.text(said["severity"], 40),
        title=title,
        text=reading.block(said["text"], 4000),
        occurred_at=reading.moment(said["time"]) if is_firing else None,  # of an end it says when it began
        names=distinct(asset) if asset else (),
        customer=reading.text(said["customer"], 80),
    )


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else reading.text(value, 60)


def _first(path: str, item: object) -> object:
    return next(iter(_all(path, item)), None) if path else None


def _all(path: str, item: object) -> list[object]:
    try:
        return list(_PATHS.findall(path, item))  # type: ignore[arg-type]  # any JSON value will do
    except (RecursionError, TypeError, jsonpath.JSONPathError) as error:
        raise BadInputError(f"the path {path} cannot be followed: {str(error).splitlines()[0][:80]}") from None
