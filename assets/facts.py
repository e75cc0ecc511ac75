"""What a manual asset of each kind must say about itself. Pure: facts in, tidy facts and problems out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from assets.addresses import AddressError, clean_host, clean_url, is_own_machine

# Products with the port they listen on. Middleware is what SOW §2.2.1 monitors, and what the 90 rules know.
DATABASE_PORTS: Mapping[str, int] = {
    "mysql": 3306, "sqlserver": 1433, "postgresql": 5432, "mongodb": 27017, "redis": 6379, "memcached": 11211,
    "oracle": 1521,
}  # fmt: skip
MIDDLEWARE_PORTS: Mapping[str, int] = {
    "apache": 80, "nginx": 80, "tomcat": 8080, "php-fpm": 9000, "zookeeper": 2181, "iis": 80, "weblogic": 7001,
    "resin": 8080, "java": 8080, "rabbitmq": 15672, "kafka": 9092, "elasticsearch": 9200, "docker": 2375,
    "kubernetes": 6443, "activemq": 8161, "solr": 8983, "memcached": 11211,
}  # fmt: skip
# Kinds of the contract's quota "50 middleware instances" (SOW §2.2.1): its list names these databases too (R7, R8).
QUOTA_DATABASES = ("mysql", "mongodb", "redis")


@dataclass(frozen=True)
class Facts:
    """What people may write about an asset that no cloud API describes."""

    kind: str
    name: str
    host: str = ""
    port: int | None = None
    url: str = ""
    private_ip: str | None = None
    public_ip: str | None = None
    os: str = ""
    engine: str = ""
    product: str = ""
    spec: str = ""
    region: str = ""
    expires_at: datetime | None = None
    environment: str = "unknown"
    owner_name: str = ""
    owner_contact: str = ""
    role_text: str = ""
    notes: str = ""
    hardware_by_customer: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """`problems` by field, as codes of `assets.words.PROBLEMS`; `facts` are tidy where they could be read."""

    facts: Facts
    problems: Mapping[str, str]


def check(facts: Facts, *, may_name_own_machine: bool) -> Checked:
    problems: dict[str, str] = {}
    tidy = replace(facts, name=facts.name.strip(), product=facts.product.strip().lower())
    if not tidy.name:
        problems["name"] = "required"
    tidy = _with_addresses(tidy, problems)
    tidy = _with_default_port(tidy)
    for name in _required(tidy):
        problems.setdefault(name, "required")
    if tidy.kind != "server" and tidy.hardware_by_customer:
        problems["hardware_by_customer"] = "servers_only"
    named = [tidy.host, tidy.private_ip or "", tidy.public_ip or "", _host_of(tidy.url)]
    if not may_name_own_machine and any(is_own_machine(host) for host in named if host):
        problems["url" if tidy.kind == "url" else "host"] = "own_machine"
    return Checked(tidy, problems)


def _with_addresses(facts: Facts, problems: dict[str, str]) -> Facts:
    for name, clean in (
        ("host", clean_host),
        ("private_ip", clean_host),
        ("public_ip", clean_host),
        ("url", clean_url),
    ):
        value = getattr(facts, name)
        if not value:
            continue
        try:
            facts = replace(facts, **{name: clean(value)})  # type: ignore[arg-type]  # all four hold text
        except AddressError as error:
            problems[name] = error.code
    if facts.port is not None and not 1 <= facts.port <= 65535:
        problems["port"] = "port"
    return facts


def _with_default_port(facts: Facts) -> Facts:
    ports = {"database": DATABASE_PORTS, "middleware": MIDDLEWARE_PORTS}.get(facts.kind, {})
    return replace(facts, port=ports.get(facts.product)) if facts.port is None else facts


def _required(facts: Facts) -> list[str]:
    """Names of required fields that are empty."""
    wanted: dict[str, object]
    match facts.kind:
        case "server":
            has_address = facts.host or facts.private_ip or facts.public_ip
            wanted = {"host": has_address, "os": facts.os}
        case "database":
            wanted = {"product": facts.product, "host": facts.host, "port": facts.port}
        case "middleware":
            wanted = {"product": facts.product, "host": facts.host}
        case "url":
            wanted = {"url": facts.url}
        case "port":
            wanted = {"host": facts.host, "port": facts.port}
        case "load_balancer":
            wanted = {"host": facts.host or facts.public_ip or facts.private_ip}
        case _:
            return ["kind"]
    return [name for name, value in wanted.items() if not value]


def _host_of(url: str) -> str:
    try:
        return clean_host(url.split("//", 1)[1].split("/", 1)[0].rsplit(":", 1)[0]) if "//" in url else ""
    except AddressError:
        return ""
