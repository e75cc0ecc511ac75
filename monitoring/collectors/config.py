"""What a target of each kind is told: typed, checked, and the same in forms, services and collectors."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Self
from urllib.parse import urlsplit

from monitoring.collectors import patterns

HOST: Final = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?"
)
STATUS: Final = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?")
LONGEST_WAIT_S: Final = 25
"""A collector must be done within its lease (`services.poll`), even when nothing answers."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NATIONWIDE, WORLDWIDE = "cn", "world"
LARGEST_BYTES: Final = 1024 * 1024
"""No more of an answer than this is read, whatever a check wants of it."""
MOST_STEPS: Final = 20
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}\s]*)\s*\}\}")
RECORDS: Final = ("A", "AAAA", "CNAME", "MX", "TXT", "NS", "SOA", "SRV", "CAA", "PTR")
STARTTLS: Final = ("", "smtp", "imap", "pop3")
SOURCES: Final = ("json", "regex", "header", "cookie")


class Kind(StrEnum):
    """The collectors there are."""

    PROMETHEUS = "prometheus"
    TCP = "tcp"
    HTTP = "http"
    PING = "ping"
    FLOW = "flow"
    DNS = "dns"
    TLS = "tls"
    DOMAIN = "domain"
    CMS = "cms"
    PRODUCT = "product"
    STATE = "state"


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
        """As the database gives it back: lists, no tuples, so that two can be compared."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


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


HOST_CHANGES: Final = (
    "host-password", "host-account", "host-sudo", "host-config", "host-firewall", "host-hostname",
)  # fmt: skip
"""The changes of a host that may raise an alert (`monitoring.hostdiff.Kind`)."""


@dataclass(frozen=True, slots=True)
class StateConfig(_Base):
    """The host agent's state; the token is a secret of the target. ``alerts`` are the changes that raise an alert,
    the others are recorded only."""

    url: str
    timeout_s: float = 15.0
    verify_tls: bool = True
    alerts: tuple[str, ...] = HOST_CHANGES

    def __post_init__(self) -> None:
        _url("url", self.url)
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        _flag("verify_tls", self.verify_tls)
        if isinstance(self.alerts, str) or not set(self.alerts) <= set(HOST_CHANGES):
            raise ConfigError("alerts", "choice")
        object.__setattr__(self, "alerts", tuple(self.alerts))


@dataclass(frozen=True, slots=True)
class TcpConfig(_Base):
    """A port. ``points`` are the places to ask from; none: the platform itself asks."""

    host: str
    port: int
    timeout_s: float = 5.0
    points: tuple[str, ...] = ()
    quorum: int = 0

    def __post_init__(self) -> None:
        _host("host", self.host)
        _port("port", self.port)
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        _number("quorum", self.quorum, 0, 20)
        object.__setattr__(self, "points", _points(self.points))


@dataclass(frozen=True, slots=True)
class Expectation:
    """What an answer must be: status, texts, one value of its JSON. Empty texts and zeros expect nothing."""

    status: str = "200-399"
    keyword: str = ""
    absent: str = ""
    json_path: str = ""
    json_value: str = ""
    max_ms: float = 0
    max_bytes: int = 0

    def check(self) -> None:
        if (
            not isinstance(self.status, str)
            or not self.status
            or not all(STATUS.fullmatch(part.strip()) for part in self.status.split(","))
        ):
            raise ConfigError("status", "status_list")
        _text("keyword", self.keyword)
        _text("absent", self.absent)
        _text("json_value", self.json_value)
        _json_path("json_path", self.json_path)
        _number("max_ms", self.max_ms, 0, LONGEST_WAIT_S * 1000)
        _number("max_bytes", self.max_bytes, 0, LARGEST_BYTES)

    def accepts(self, status: int) -> bool:
        """Whether this status code is one of those expected."""
        for part in self.status.split(","):
            match = STATUS.fullmatch(part.strip())
            if match is not None and int(match[1]) <= status <= int(match[2] or match[1]):
                return True
        return False

    @property
    def reads_text(self) -> bool:
        return bool(self.keyword or self.absent or self.json_path)


@dataclass(frozen=True, slots=True)
class HttpConfig(_Base):
    """A request and what its answer must be. ``status`` lists codes and ranges; ``points`` are the places to ask
    from (none: three of the ``area``), ``quorum`` how many of them must fail (0: two thirds). The values of headers
    and the body are secrets of the target: of them only the names stand here."""

    url: str
    method: str = "GET"
    status: str = "200-399"
    keyword: str = ""
    absent: str = ""
    json_path: str = ""
    json_value: str = ""
    max_ms: float = 0
    max_bytes: int = 0
    header_names: tuple[str, ...] = ()
    has_body: bool = False
    timeout_s: float = 10.0
    max_redirects: int = 5
    verify_tls: bool = True
    area: str = NATIONWIDE
    points: tuple[str, ...] = ()
    quorum: int = 0

    def __post_init__(self) -> None:
        _url("url", self.url)
        if self.method not in METHODS:
            raise ConfigError("method", "choice")
        self.expected.check()
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        _number("max_redirects", self.max_redirects, 0, 10)
        _number("quorum", self.quorum, 0, 20)
        _flag("verify_tls", self.verify_tls)
        _flag("has_body", self.has_body)
        _area("area", self.area)
        object.__setattr__(self, "points", _points(self.points))
        object.__setattr__(self, "header_names", tuple(self.header_names))

    @property
    def expected(self) -> Expectation:
        return Expectation(
            self.status, self.keyword, self.absent, self.json_path, self.json_value, self.max_ms, self.max_bytes
        )

    def accepts(self, status: int) -> bool:
        return self.expected.accepts(status)


@dataclass(frozen=True, slots=True)
class RequestSecret:
    """What an HTTP check sends that nobody may read again: values of headers, and the body."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the target's secret; '' is an empty one."""
        values = json.loads(text) if text else {}
        return cls(dict(values.get("headers", {})), str(values.get("body", "")))

    def as_text(self) -> str:
        check_headers("headers", self.headers)
        _text("body", self.body)
        return json.dumps({"headers": dict(self.headers), "body": self.body}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Extract:
    """One variable taken out of an answer for the steps after it."""

    name: str
    source: str
    expression: str

    def check(self) -> None:
        if not isinstance(self.name, str) or not VARIABLE.fullmatch(self.name):
            raise ConfigError("extract", "variable")
        if self.source not in SOURCES or not isinstance(self.expression, str) or not self.expression:
            raise ConfigError("extract", "choice")
        if self.source == "json":
            _json_path("extract", self.expression)
        if self.source == "regex":
            try:
                patterns.compiled(self.expression)
            except ValueError:
                raise ConfigError("extract", "pattern") from None


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One request of a flow. ``{{name}}`` stands for a variable; its value is escaped for where it stands."""

    name: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    expect: Expectation = field(default_factory=Expectation)
    extract: tuple[Extract, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        expect = Expectation(**values.get("expect", {}))
        extract = tuple(Extract(**one) for one in values.get("extract", ()))
        return cls(**{**values, "expect": expect, "extract": extract})

    def check(self) -> None:
        _text("steps", self.name)
        if not self.name.strip():
            raise ConfigError("steps", "step_name")
        _url("steps", PLACEHOLDER.sub("x", self.url) if isinstance(self.url, str) else self.url)
        if PLACEHOLDER.search(urlsplit(self.url).netloc):
            raise ConfigError("steps", "variable_host")
        if self.method not in METHODS:
            raise ConfigError("steps", "choice")
        check_headers("steps", self.headers)
        _text("steps", self.body)
        self.expect.check()
        for one in self.extract:
            one.check()

    def needs(self) -> set[str]:
        """The variables that this step speaks of."""
        texts = (self.url, self.body, *self.headers.values(), self.expect.keyword, self.expect.json_value)
        return {name for text in texts for name in PLACEHOLDER.findall(text)}


@dataclass(frozen=True, slots=True)
class FlowConfig(_Base):
    """Steps in their order, such as signing in and querying. ``secrets`` names the variables whose values are kept
    encrypted with the target; cookies live for one run; ``timeout_s`` is for the whole of it."""

    steps: tuple[FlowStep, ...]
    secrets: tuple[str, ...] = ()
    timeout_s: float = 20.0
    verify_tls: bool = True
    area: str = NATIONWIDE
    points: tuple[str, ...] = ()
    quorum: int = 0

    def __post_init__(self) -> None:
        try:
            steps = tuple(one if isinstance(one, FlowStep) else FlowStep.of(one) for one in self.steps)
        except (TypeError, AttributeError):
            raise ConfigError("steps", "unknown_field") from None
        if not steps:
            raise ConfigError("steps", "required")
        if len(steps) > MOST_STEPS:
            raise ConfigError("steps", "too_many_steps")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "secrets", tuple(self.secrets))
        object.__setattr__(self, "points", _points(self.points))
        known = set(self.secrets)
        if not all(VARIABLE.fullmatch(name) for name in known):
            raise ConfigError("secrets", "variable")
        for step in steps:
            step.check()
            if step.needs() - known:
                raise ConfigError("steps", "unknown_variable")
            known |= {one.name for one in step.extract}
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        _number("quorum", self.quorum, 0, 20)
        _flag("verify_tls", self.verify_tls)
        _area("area", self.area)

    @property
    def url(self) -> str:
        return self.steps[0].url


@dataclass(frozen=True, slots=True)
class DnsConfig(_Base):
    """A record and the values it must have (none: any will do), asked of ``resolver`` (none: the platform's own)."""

    name: str
    record: str = "A"
    expected: tuple[str, ...] = ()
    exactly: bool = False
    resolver: str = ""
    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        _host("name", self.name)
        if self.record not in RECORDS:
            raise ConfigError("record", "choice")
        object.__setattr__(self, "expected", tuple(self.expected))
        for value in self.expected:
            _text("expected", value)
        if self.resolver:
            _host("resolver", self.resolver_host)
            _port("resolver", self.resolver_port)
        _flag("exactly", self.exactly)
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)

    @property
    def resolver_host(self) -> str:
        return urlsplit(f"//{self.resolver}").hostname or ""

    @property
    def resolver_port(self) -> int:
        try:
            return urlsplit(f"//{self.resolver}").port or 53
        except ValueError:
            return 0


@dataclass(frozen=True, slots=True)
class TlsConfig(_Base):
    """A certificate: of a port that speaks TLS, or that changes to it when asked (``starttls``)."""

    host: str
    port: int = 443
    server_name: str = ""
    starttls: str = ""
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        _host("host", self.host)
        _port("port", self.port)
        if self.server_name:
            _host("server_name", self.server_name)
        if self.starttls not in STARTTLS:
            raise ConfigError("starttls", "choice")
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class DomainConfig(_Base):
    """A registered domain and until when it is paid. ``rdap_url`` names the registry's server where the list of
    IANA has none; ``expires_on`` is the day as people know it, for registries that answer no machine (such as .cn)."""

    domain: str
    rdap_url: str = ""
    expires_on: str = ""
    timeout_s: float = 15.0

    def __post_init__(self) -> None:
        _host("domain", self.domain)
        if "." not in self.domain.strip("."):
            raise ConfigError("domain", "host")
        if self.rdap_url:
            _url("rdap_url", self.rdap_url)
        if self.expires_on:
            try:
                date.fromisoformat(self.expires_on)
            except ValueError:
                raise ConfigError("expires_on", "date") from None
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)


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


OptionValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class ProductConfig(_Base):
    """A server product and where its own status can be read; the password is a secret of the target and not in here.
    What the options may be is the product's to say (`products.checked`)."""

    product: str
    host: str
    port: int
    tls: bool = False
    verify_tls: bool = True
    user: str = ""
    path: str = ""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.product, str) or not re.fullmatch(r"[a-z0-9-]{1,40}", self.product):
            raise ConfigError("product", "choice")
        _host("host", self.host)
        _port("port", self.port)
        _flag("tls", self.tls)
        _flag("verify_tls", self.verify_tls)
        _text("user", self.user)
        if not isinstance(self.path, str) or not re.fullmatch(r"(/[!-~]*)?", self.path):
            raise ConfigError("path", "path")
        if not isinstance(self.options, Mapping):
            raise ConfigError("options", "unknown_field")
        _number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)


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

PERFORMANCE: Final = "rds_performance"
"""Stands where a namespace would for the figures that RDS tells itself (`collectors.rds`)."""

ProbeConfig = FlowConfig | DnsConfig | TlsConfig | DomainConfig
Config = PrometheusConfig | TcpConfig | HttpConfig | PingConfig | CmsConfig | ProductConfig | StateConfig | ProbeConfig

CONFIGS: Final[Mapping[Kind, type[Config]]] = {
    Kind.PROMETHEUS: PrometheusConfig,
    Kind.TCP: TcpConfig,
    Kind.HTTP: HttpConfig,
    Kind.PING: PingConfig,
    Kind.CMS: CmsConfig,
    Kind.PRODUCT: ProductConfig,
    Kind.STATE: StateConfig,
    Kind.FLOW: FlowConfig,
    Kind.DNS: DnsConfig,
    Kind.TLS: TlsConfig,
    Kind.DOMAIN: DomainConfig,
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


def _json_path(field: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > 300:
        raise ConfigError(field, "text")
    if value and not patterns.is_json_path(value):
        raise ConfigError(field, "json_path")


def _area(field: str, value: object) -> None:
    if value not in (NATIONWIDE, WORLDWIDE):
        raise ConfigError(field, "choice")


def _points(value: Iterable[str]) -> tuple[str, ...]:
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


def _url(field: str, value: object) -> None:
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
        _host("url", parts.hostname)
    except ConfigError:
        return "url"
    return ""
