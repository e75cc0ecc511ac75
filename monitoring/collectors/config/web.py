"""What checks of the web are told: one request and what its answer must be, or a flow of several."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

from monitoring.collectors import patterns
from monitoring.collectors.config.fields import (
    LONGEST_WAIT_S,
    Base,
    ConfigError,
    check_flag,
    check_headers,
    check_number,
    check_text,
    check_url,
    points_of,
)

STATUS: Final = re.compile(r"([1-5]\d\d)(?:-([1-5]\d\d))?")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NATIONWIDE, WORLDWIDE = "cn", "world"
LARGEST_BYTES: Final = 1024 * 1024
"""No more of an answer than this is read, whatever a check wants of it."""
MOST_STEPS: Final = 20
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
PLACEHOLDER: Final = re.compile(r"\{\{\s*([^{}\s]*)\s*\}\}")
SOURCES: Final = ("json", "regex", "header", "cookie")


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
        check_text("keyword", self.keyword)
        check_text("absent", self.absent)
        check_text("json_value", self.json_value)
        _json_path("json_path", self.json_path)
        check_number("max_ms", self.max_ms, 0, LONGEST_WAIT_S * 1000)
        check_number("max_bytes", self.max_bytes, 0, LARGEST_BYTES)

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
class HttpConfig(Base):
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
        check_url("url", self.url)
        if self.method not in METHODS:
            raise ConfigError("method", "choice")
        self.expected.check()
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        check_number("max_redirects", self.max_redirects, 0, 10)
        check_number("quorum", self.quorum, 0, 20)
        check_flag("verify_tls", self.verify_tls)
        check_flag("has_body", self.has_body)
        _area("area", self.area)
        object.__setattr__(self, "points", points_of(self.points))
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
        check_text("body", self.body)
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
        check_text("steps", self.name)
        if not self.name.strip():
            raise ConfigError("steps", "step_name")
        check_url("steps", PLACEHOLDER.sub("x", self.url) if isinstance(self.url, str) else self.url)
        if PLACEHOLDER.search(urlsplit(self.url).netloc):
            raise ConfigError("steps", "variable_host")
        if self.method not in METHODS:
            raise ConfigError("steps", "choice")
        check_headers("steps", self.headers)
        check_text("steps", self.body)
        self.expect.check()
        for one in self.extract:
            one.check()

    def needs(self) -> set[str]:
        """The variables that this step speaks of."""
        texts = (self.url, self.body, *self.headers.values(), self.expect.keyword, self.expect.json_value)
        return {name for text in texts for name in PLACEHOLDER.findall(text)}


@dataclass(frozen=True, slots=True)
class FlowConfig(Base):
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
        object.__setattr__(self, "points", points_of(self.points))
        known = set(self.secrets)
        if not all(VARIABLE.fullmatch(name) for name in known):
            raise ConfigError("secrets", "variable")
        for step in steps:
            step.check()
            if step.needs() - known:
                raise ConfigError("steps", "unknown_variable")
            known |= {one.name for one in step.extract}
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        check_number("quorum", self.quorum, 0, 20)
        check_flag("verify_tls", self.verify_tls)
        _area("area", self.area)

    @property
    def url(self) -> str:
        return self.steps[0].url


def _json_path(field: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > 300:
        raise ConfigError(field, "text")
    if value and not patterns.is_json_path(value):
        raise ConfigError(field, "json_path")


def _area(field: str, value: object) -> None:
    if value not in (NATIONWIDE, WORLDWIDE):
        raise ConfigError(field, "choice")
