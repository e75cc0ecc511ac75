"""What checks of names are told: DNS records, certificates, registered domains."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import urlsplit

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
)

RECORDS: Final = ("A", "AAAA", "CNAME", "MX", "TXT", "NS", "SOA", "SRV", "CAA", "PTR")
STARTTLS: Final = ("", "smtp", "imap", "pop3")


@dataclass(frozen=True, slots=True)
class DnsConfig(Base):
    """A record and the values it must have (none: any will do), asked of ``resolver`` (none: the platform's own)."""

    name: str
    record: str = "A"
    expected: tuple[str, ...] = ()
    exactly: bool = False
    resolver: str = ""
    timeout_s: float = 5.0

    def __post_init__(self) -> None:
        check_host("name", self.name)
        if self.record not in RECORDS:
            raise ConfigError("record", "choice")
        object.__setattr__(self, "expected", tuple(self.expected))
        for value in self.expected:
            check_text("expected", value)
        if self.resolver:
            check_host("resolver", self.resolver_host)
            check_port("resolver", self.resolver_port)
        check_flag("exactly", self.exactly)
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)

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
class TlsConfig(Base):
    """A certificate: of a port that speaks TLS, or that changes to it when asked (``starttls``)."""

    host: str
    port: int = 443
    server_name: str = ""
    starttls: str = ""
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        check_host("host", self.host)
        check_port("port", self.port)
        if self.server_name:
            check_host("server_name", self.server_name)
        if self.starttls not in STARTTLS:
            raise ConfigError("starttls", "choice")
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)


@dataclass(frozen=True, slots=True)
class DomainConfig(Base):
    """A registered domain and until when it is paid. ``rdap_url`` names the registry's server where the list of
    IANA has none; ``expires_on`` is the day as people know it, for registries that answer no machine (such as .cn)."""

    domain: str
    rdap_url: str = ""
    expires_on: str = ""
    timeout_s: float = 15.0

    def __post_init__(self) -> None:
        check_host("domain", self.domain)
        if "." not in self.domain.strip("."):
            raise ConfigError("domain", "host")
        if self.rdap_url:
            check_url("rdap_url", self.rdap_url)
        if self.expires_on:
            try:
                date.fromisoformat(self.expires_on)
            except ValueError:
                raise ConfigError("expires_on", "date") from None
        check_number("timeout_s", self.timeout_s, 0.1, LONGEST_WAIT_S)
