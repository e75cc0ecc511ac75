"""What a target of each kind is told: typed, checked, and the same in forms, services and collectors."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, Self
from urllib.parse import urlsplit

HOST: Final = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?"
)
STATUS: Final = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?")
LONGEST_WAIT_S: Final = 25
"""A collector must be done within its lease (`services.poll`), even when nothing answers."""
METHODS: Final = frozenset({"GET", "HEAD", "POST"})


class Kind(StrEnum):
    """The collectors there are."""

    PROMETHEUS = "prometheus"
    TCP = "tcp"
    HTTP = "http"
    PING = "ping"
    CMS = "cms"


class ConfigError(ValueError):
    """A field of a configuration is wrong: its name and a code of ``monitoring.problems``."""

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code


@dataclass(frozen=True, slots=True)
class _Base:
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
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PrometheusConfig(_Base):
    """An exporter's page; the token is a secret of the target and not in here."""

    url: str
    timeout_s: float = 10.0
    verify_tls: bool = True

    def __post_init__(self) -> None:
        _url("url", self.url)
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        _flag("verify_tls", self.verify_tls)


@dataclass(frozen=True, slots=True)
class TcpConfig(_Base):
    host: str
    port: int
    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        _host("host", self.host)
        _port("port", self.port)
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class HttpConfig(_Base):
    """A request and what its answer must be. ``status`` lists codes and ranges, ``points`` the places to ask from
    (none: all there are)."""

    url: str
    method: str = "GET"
    status: str = "200-399"
    keyword: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    timeout_s: float = 10.0
    max_redirects: int = 5
    verify_tls: bool = True
    points: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _url("url", self.url)
        if self.method not in METHODS:
            raise ConfigError("method", "choice")
        if (
            not isinstance(self.status, str)
            or not self.status
            or not all(STATUS.fullmatch(part.strip()) for part in self.status.split(","))
        ):
            raise ConfigError("status", "status_list")
        _text("keyword", self.keyword)
        _text("body", self.body)
        _headers("headers", self.headers)
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        _number("max_redirects", self.max_redirects, 0, 10)
        _flag("verify_tls", self.verify_tls)
        object.__setattr__(self, "points", tuple(self.points))

    def accepts(self, status: int) -> bool:
        """Whether this status code is one of those expected."""
        for part in self.status.split(","):
            match = STATUS.fullmatch(part.strip())
            if match is not None and int(match[1]) <= status <= int(match[2] or match[1]):
                return True
        return False


@dataclass(frozen=True, slots=True)
class PingConfig(_Base):
    host: str
    count: int = 3
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        _host("host", self.host)
        _number("count", self.count, 1, 10)
        _number("timeout_s", self.timeout_s, 0.1, 3)


@dataclass(frozen=True, slots=True)
class CmsConfig(_Base):
    """One namespace of one cloud account; the metrics come from the catalogue."""

    cloud_account_id: int
    namespace: str
    region: str = ""

    def __post_init__(self) -> None:
        _number("cloud_account_id", self.cloud_account_id, 1, 2**31)
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", self.namespace):
            raise ConfigError("namespace", "choice")


NAMESPACES: Final[Mapping[str, str]] = {
    "ecs": "acs_ecs_dashboard",
    "rds": "acs_rds_dashboard",
    "slb": "acs_slb_dashboard",
    "redis": "acs_kvstore",
    "mongodb": "acs_mongodb",
    "drds": "acs_drds",
    "cdn": "acs_cdn",
    "elasticsearch": "acs_elasticsearch",
    "oss": "acs_oss_dashboard",
}
"""The namespace of each kind of asset (CMS documentation, list of metrics)."""

Config = PrometheusConfig | TcpConfig | HttpConfig | PingConfig | CmsConfig

CONFIGS: Final[Mapping[Kind, type[Config]]] = {
    Kind.PROMETHEUS: PrometheusConfig,
    Kind.TCP: TcpConfig,
    Kind.HTTP: HttpConfig,
    Kind.PING: PingConfig,
    Kind.CMS: CmsConfig,
}


def config_of(kind: str, values: Mapping[str, Any]) -> Config:
    """The typed configuration of a target. Raises :class:`ConfigError`."""
    return CONFIGS[Kind(kind)].of(values)


def _host(field: str, value: object) -> None:
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


def _port(field: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise ConfigError(field, "port")


def _number(field: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(field, "range")


def _flag(field: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(field, "choice")


def _text(field: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > 10_000:
        raise ConfigError(field, "text")


def _headers(field: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(field, "headers")
    for name, text in value.items():
        if (
            not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(name))
            or not isinstance(text, str)
            or re.search(r"[\r\n\0]", text)
        ):
            raise ConfigError(field, "headers")


def _url(field: str, value: object) -> None:
    text = value if isinstance(value, str) else ""
    if not text:
        raise ConfigError(field, "required")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConfigError(field, "url") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text) or port == 0:
        raise ConfigError(field, "url")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(field, "url_credentials")
    try:
        _host(field, parts.hostname)
    except ConfigError:
        raise ConfigError(field, "url") from None
