"""What the configurations of all kinds have in common: how they are read, and the checks of their fields."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, Final, Self
from urllib.parse import urlsplit

HOST: Final = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?"
)
LONGEST_WAIT_S: Final = 25
"""A collector must be done within its lease (`services.claims`), even when nothing answers."""


class ConfigError(ValueError):
    """A field of a configuration is wrong: its name and a code of ``monitoring.problems``."""

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code


@dataclass(frozen=True, slots=True)
class Base:
    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON. Unknown fields are refused: a misspelt option must not be silently ignored."""
        known = {f.name for f in fields(cls)}
        for name in values:
            if name not in known:
                raise ConfigError(name, "unknown_field")
        try:
            return cls(**values)
        except TypeError:
            missing = next((f.name for f in fields(cls) if f.name not in values), "")
            raise ConfigError(missing, "required") from None

    def as_json(self) -> dict[str, Any]:
        """As the database gives it back: lists, no tuples, so that two can be compared."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


def check_host(field: str, value: object) -> None:
    text = value if isinstance(value, str) else ""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not HOST.fullmatch(_ascii(text)) or re.fullmatch(r"[\d.]+", text):
            raise ConfigError(field, "host" if text else "required") from None


def _ascii(host: str) -> str:
    """A name with Chinese or other letters as the resolver will ask for it."""
    try:
        return host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError:
        return ""


def check_port(field: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise ConfigError(field, "port")


def check_number(field: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(field, "range")


def check_flag(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(field, "choice")


def check_text(field: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > 10_000:
        raise ConfigError(field, "text")


def points_of(value: Iterable[str]) -> tuple[str, ...]:
    points = tuple(dict.fromkeys(value))
    if not all(isinstance(point, str) and re.fullmatch(r"[a-z0-9-]{1,30}", point) for point in points):
        raise ConfigError("points", "choice")
    return points


def check_headers(field: str, value: object) -> None:
    """Names and values that may stand in a request. Raises :class:`ConfigError`."""
    if not isinstance(value, Mapping):
        raise ConfigError(field, "headers")
    for name, text in value.items():
        if (
            not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(name))
            or not isinstance(text, str)
            or re.search(r"[\r\n\0]", text)
        ):
            raise ConfigError(field, "headers")


def check_url(field: str, value: object) -> None:
    code = _url_problem(value if isinstance(value, str) else "")
    if code:
        raise ConfigError(field, code)


@lru_cache(maxsize=10_000)
def _url_problem(text: str) -> str:
    """What is wrong with an address, '' for nothing. Remembered: a worker reads the same ones every minute."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "url"
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text) or port == 0:
        return "url" if text else "required"
    if parts.username is not None or parts.password is not None:
        return "url_credentials"
    try:
        check_host("url", parts.hostname)
    except ConfigError:
        return "url"
    return ""
