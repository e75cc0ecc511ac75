"""Taking values out of what strangers send: bounded, and without characters that a database refuses."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

BEIJING: Final = ZoneInfo("Asia/Shanghai")
MILLISECONDS_FROM: Final = 1e11  # seconds since 1970 reach this in the year 5138
FORM_FIELDS: Final = 200
TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MOMENT_FORMATS: Final = ("%Y.%m.%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M")
OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)


class BadInputError(ValueError):
    """What came is not what the protocol promises. The text is for the sender's own log: one short English phrase."""


def loads(raw: bytes) -> object:
    """JSON in UTF-8, whatever it holds."""
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadInputError("the body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise BadInputError("the body is not JSON") from None


def mapping(value: object, what: str = "the body") -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise BadInputError(f"{what} is not an object")
    return value


def items(value: object, what: str, most: int) -> list[object]:
    if not isinstance(value, list):
        raise BadInputError(f"{what} is not a list")
    if len(value) > most:
        raise BadInputError(f"{what} holds more than {most} entries")
    return value


def form(raw: bytes) -> dict[str, str]:
    """The fields of `application/x-www-form-urlencoded`."""
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="replace")
    except ValueError:
        raise BadInputError("the body is not a form in UTF-8") from None
    return dict(pairs)


def text(value: object, limit: int = 300) -> str:
    """A value as one line of plain text; objects and lists have none."""
    return " ".join(block(value, limit * 4).split())[:limit]


def block(value: object, limit: int = 8000) -> str:
    """A value as text that may have several lines."""
    if value is None or isinstance(value, bool | dict | list):
        return ""
    shown = value if isinstance(value, str) else str(value)
    return "".join(char for char in shown[: limit * 2] if _is_welcome(char))[:limit].strip()


def _is_welcome(char: str) -> bool:
    """No control characters but tab and newline, no halves of characters, nothing that turns the text's direction."""
    if char in "\t\n":
        return True
    kind = unicodedata.category(char)
    return kind not in ("Cc", "Cs", "Co", "Cn") and char not in TURNING


def moment(value: object, *, zone: tzinfo = BEIJING) -> datetime | None:
    """ISO 8601, seconds or milliseconds since 1970, or date and time of `zone`; None when it is none of them."""
    found = _moment(value, zone)
    return found if found is not None and found > OLDEST else None


def _moment(value: object, zone: tzinfo) -> datetime | None:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _since_1970(float(value))
        written = text(value, 60)
        if not written:
            return None
        if (
            written.replace(".", "", 1).isascii()
            and written.replace(".", "", 1).isdecimal()
            and written.count("-") == 0
        ):
            return _since_1970(float(written))
        return _written(written, zone)
    except (ValueError, OverflowError, OSError):
        return None


def _since_1970(number: float) -> datetime | None:
    if not math.isfinite(number):
        return None
    return datetime.fromtimestamp(number / 1000 if number >= MILLISECONDS_FROM else number, UTC)


def _written(written: str, zone: tzinfo) -> datetime:
    for shape in MOMENT_FORMATS:
        try:
            return datetime.strptime(written, shape).replace(tzinfo=zone).astimezone(UTC)
        except ValueError:
            continue
    found = datetime.fromisoformat(written)
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def within(value: datetime | None, now: datetime, *, back: timedelta) -> datetime:
    """A claimed moment, if it lies in the past and not further back than that; otherwise now."""
    return value if value is not None and now - back <= value <= now else now
