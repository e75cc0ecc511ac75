"""What a target of each kind is told: typed, checked, and the same in forms, services and collectors."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from monitoring.collectors.config.cloud import CmsConfig
from monitoring.collectors.config.machines import PingConfig, ProductConfig, PrometheusConfig, StateConfig, TcpConfig
from monitoring.collectors.config.names import DnsConfig, DomainConfig, TlsConfig
from monitoring.collectors.config.web import FlowConfig, HttpConfig


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
