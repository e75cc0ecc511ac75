"""What collectors of machines and what runs on them are told: exporters, the agent, ports, ping, server products."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from monitoring.collectors.config.fields import (
    LONGEST_WAIT_S,
    Base,
    ConfigError,
    check_flag,
    check_host,
    check_number,
    check_port,
    check_text,
    check_url,
    points_of,
)


@dataclass(frozen=True, slots=True)
class PrometheusConfig(Base):
    """An exporter's page; the token is a secret of the target and not in here."""

    url: str
    timeout_s: float = 10.0
    verify_tls: bool = True

    def __post_init__(self) -> None:
        check_url("url", self.url)
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        check_flag("verify_tls", self.verify_tls)


HOST_CHANGES: Final = (
    "host-password", "host-account", "host-sudo", "host-config", "host-firewall", "host-hostname",
)  # fmt: skip
"""The changes of a host that may raise an alert (`monitoring.hostdiff.Kind`)."""


@dataclass(frozen=True, slots=True)
class StateConfig(Base):
    """The host agent's state; the token is a secret of the target. ``alerts`` are the changes that raise an alert,
    the others are recorded only."""

    url: str
    timeout_s: float = 15.0
    verify_tls: bool = True
    alerts: tuple[str, ...] = HOST_CHANGES

    def __post_init__(self) -> None:
        check_url("url", self.url)
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        check_flag("verify_tls", self.verify_tls)
        if isinstance(self.alerts, str) or not set(self.alerts) <= set(HOST_CHANGES):
            raise ConfigError("alerts", "choice")
        object.__setattr__(self, "alerts", tuple(self.alerts))


@dataclass(frozen=True, slots=True)
class TcpConfig(Base):
    """A port. ``points`` are the places to ask from; none: the platform itself asks."""

    host: str
    port: int
    timeout_s: float = 5.0
    points: tuple[str, ...] = ()
    quorum: int = 0

    def __post_init__(self) -> None:
        check_host("host", self.host)
        check_port("port", self.port)
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
        check_number("quorum", self.quorum, 0, 20)
        object.__setattr__(self, "points", points_of(self.points))


@dataclass(frozen=True, slots=True)
class PingConfig(Base):
    host: str
    count: int = 3
    timeout_s: float = 2.0

    def __post_init__(self) -> None:
        check_host("host", self.host)
        check_number("count", self.count, 1, 10)
        check_number("timeout_s", self.timeout_s, 0.1, 3)


OptionValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class ProductConfig(Base):
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
        check_host("host", self.host)
        check_port("port", self.port)
        check_flag("tls", self.tls)
        check_flag("verify_tls", self.verify_tls)
        check_text("user", self.user)
        if not isinstance(self.path, str) or not re.fullmatch(r"(/[!-~]*)?", self.path):
            raise ConfigError("path", "path")
        if not isinstance(self.options, Mapping):
            raise ConfigError("options", "unknown_field")
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
