"""From the SOW's monitoring template (监控模板) to what is to be set up: pure, form and inventory in, steps out.

Nothing that the customer wrote is dropped silently: what cannot be set up by itself becomes a step for a person.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

BASICS: Final = ("cpu", "memory", "network", "disk", "os")
WEB: Final = ("iis", "apache", "nginx", "tomcat", "resin")
DATABASES: Final = (
    "mysql", "sqlserver", "oracle", "mongodb", "redis", "memcached", "rds-mysql", "rds-sqlserver", "kvstore",
    "zookeeper",
)  # fmt: skip
PORTS: Final = (80, 22, 3306, 1433, 21)
URL_KINDS: Final = ("https", "http", "api")
CLOUD: Final[Mapping[str, tuple[str, str]]] = {
    "rds-mysql": ("rds", "mysql"),
    "rds-sqlserver": ("rds", "sqlserver"),
    "kvstore": ("redis", ""),
}
"""What the cloud runs: the kind of its assets and how their engine begins. KVStore is the old name of cloud Redis."""
RULES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "cpu": ("host-cpu-util", "host-load-per-core", "host-cpu-iowait", "ecs-cpu-util", "ecs-cpu-iowait"),
    "memory": ("host-mem-util", "host-mem-available-low", "ecs-mem-util"),
    "network": ("ping-unreachable",),
    "disk": ("host-fs-free-5", "host-fs-free-10", "host-fs-inode-free", "ecs-disk-util", "ecs-inode-util"),
    "os": ("host-restarted", "process-not-running"),
}
"""The rules of each box of basic monitoring."""
HOSTS: Final = frozenset({"server", "ecs"})
SELF_BUILT: Final = frozenset({"middleware", "database"})
_WORD: Final = re.compile(r"[,，、;；\n]+")
_NOISE: Final = re.compile(r"(监控|monitoring|等)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """The template as filled in."""

    wanted: bool
    basics: Sequence[str] = ()
    other_basics: str = ""
    web: Sequence[str] = ()
    databases: Sequence[str] = ()
    other_products: str = ""
    ports: Sequence[int] = ()
    other_ports: str = ""
    url_kinds: Sequence[str] = ()
    urls: str = ""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class AssetFacts:
    id: int
    name: str
    kind: str
    host: str = ""
    port: int | None = None
    product: str = ""
    engine: str = ""
    url: str = ""
    agent_url: str = ""
    account_id: int | None = None


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """What the collector of a product asks for."""

    port: int
    needs_password: bool
    is_middleware: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `code` says what: "ping", "agent", "port", "product", "url", "cloud", "rule_off", "rule_on",
    "target_off", or a task for a person, whose code begins with "task_". `is_there`: done already."""

    code: str
    subject: str
    asset_id: int | None = None
    port: int | None = None
    is_there: bool = False

    @property
    def is_task(self) -> bool:
        return self.code.startswith("task_")

    @property
    def key(self) -> str:
        return f"{self.code}|{self.asset_id or ''}|{self.port or ''}|{self.subject}"


@dataclass(frozen=True, slots=True)
class Known:
    """What is there. Targets as ("ping" | "agent" | "port" | "product" | "url" | "cloud", asset or account, detail)."""

    assets: Sequence[AssetFacts]
    targets: Mapping[tuple[str, int, str], int]
    products: Mapping[str, ProductFacts]
    rules_off: Collection[str] = ()
    """Rules that are switched off for the whole customer."""


def derive(form: Form, known: Known) -> list[Step]:
    """What the form asks for, in the form's order."""
    if not form.wanted:
        return [Step("target_off", str(pk)) for pk in known.targets.values()] + list(_texts(form))
    steps = [
        *_rules(form, known),
        *_hosts(form, known),
        *_products(form, known),
        *_ports(form, known),
        *_urls(form, known),
        *_texts(form),
    ]
    return list(dict.fromkeys(steps))


def _rules(form: Form, known: Known) -> Iterator[Step]:
    for basic, rules in RULES_OF.items():
        for rule in rules:
            if basic not in form.basics:
                yield Step("rule_off", rule, is_there=rule in known.rules_off)
            elif rule in known.rules_off:
                yield Step("rule_on", rule)


def _hosts(form: Form, known: Known) -> Iterator[Step]:
    hosts = [asset for asset in known.assets if asset.kind in HOSTS]
    if form.basics and not hosts:
        yield Step("task_no_server", ", ".join(form.basics))
    for asset in hosts if form.basics else ():
        if "network" in form.basics:
            yield from _at_host(asset, Step("ping", asset.name, asset.id), known, "")
        if asset.agent_url:
            there = ("agent", asset.id, "") in known.targets
            yield Step("agent", asset.name, asset.id, is_there=there)
        elif ("agent", asset.id, "") not in known.targets:
            yield Step("task_agent", asset.name, asset.id)
        if asset.account_id is not None:
            yield _cloud(asset.kind, asset.account_id, known)


def _cloud(kind: str, account_id: int, known: Known) -> Step:
    return Step("cloud", kind, None, account_id, is_there=("cloud", account_id, kind) in known.targets)


def _at_host(asset: AssetFacts, step: Step, known: Known, detail: str) -> Iterator[Step]:
    """A step that needs the asset's address; without one somebody must find it out."""
    if not asset.host:
        yield Step("task_host", asset.name, asset.id)
        return
    there = (step.code, asset.id, detail) in known.targets
    yield Step(step.code, step.subject, step.asset_id, step.port, there)


def _products(form: Form, known: Known) -> Iterator[Step]:
    for slug in [*form.web, *form.databases]:
        yield from _cloud_product(slug, known) if slug in CLOUD else _product(slug, known)
    for word in words(form.other_products):
        slug = word.lower().replace(" ", "-")
        if slug in known.products:
            yield from _product(slug, known)
        else:
            yield Step("task_unknown_product", word)


def _product(slug: str, known: Known) -> Iterator[Step]:
    instances = [asset for asset in known.assets if asset.product == slug and asset.kind in SELF_BUILT]
    if not instances:
        yield Step("task_no_instance", slug)
    for asset in instances:
        product = known.products.get(slug)
        there = ("product", asset.id, slug) in known.targets
        if product is None:
            yield Step("task_unknown_product", f"{slug} ({asset.name})", asset.id)
        elif not there and product.needs_password:
            yield Step("task_credentials", slug, asset.id)
        else:
            yield from _at_host(asset, Step("product", slug, asset.id, asset.port or product.port), known, slug)


def _cloud_product(slug: str, known: Known) -> Iterator[Step]:
    kind, engine = CLOUD[slug]
    found = [one for one in known.assets if one.kind == kind and _plain(one.engine).startswith(engine)]
    if not found:
        yield Step("task_no_cloud_instance", slug)
    for account_id in sorted({one.account_id for one in found if one.account_id is not None}):
        yield _cloud(kind, account_id, known)


def _plain(engine: str) -> str:
    return engine.lower().replace(" ", "").replace("mssql", "sqlserver")


def _ports(form: Form, known: Known) -> Iterator[Step]:
    ports = list(form.ports)
    for word in words(form.other_ports):
        for part in word.split():
            if part.isdecimal() and 1 <= int(part) <= 65535:
                ports.append(int(part))
            else:
                yield Step("task_port", part)
    hosts = [asset for asset in known.assets if asset.kind in HOSTS]
    if ports and not hosts:
        yield Step("task_no_server", ", ".join(map(str, ports)))
    for port in dict.fromkeys(ports):
        for asset in hosts:
            yield from _at_host(asset, Step("port", asset.name, asset.id, port), known, str(port))


def _urls(form: Form, known: Known) -> Iterator[Step]:
    scheme = "https" if "https" in form.url_kinds or "http" not in form.url_kinds else "http"
    found = 0
    for word in words(form.urls):
        url = address(word, scheme)
        if not url:
            yield Step("task_url", word)
            continue
        found += 1
        asset = next(
            (one for one in known.assets if one.kind == "url" and one.url.rstrip("/") == url.rstrip("/")), None
        )
        there = asset is not None and ("url", asset.id, "") in known.targets
        yield Step("url", url, asset.id if asset else None, is_there=there)
    if form.url_kinds and not found and not form.urls.strip():
        yield Step("task_url", ", ".join(form.url_kinds))
    if "api" in form.url_kinds:
        yield Step("task_api", ", ".join(words(form.urls)) or "api")


def address(word: str, scheme: str) -> str:
    """A word as a URL; empty when it names no address ("官网")."""
    text = word.strip()
    if not re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
        if not re.match(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+([:/].*)?$", text):
            return ""
        text = f"{scheme}://{text}"
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.hostname and not re.search(r"\s", text) else ""


def _texts(form: Form) -> Iterator[Step]:
    """Free text is for people."""
    for code, text in (("task_other_basics", form.other_basics), ("task_notes", form.notes)):
        if text.strip():
            yield Step(code, " ".join(text.split())[:200])


def words(text: str) -> list[str]:
    """A list as people write it: commas and dots of either width, "监控" after each name."""
    return [word for part in _WORD.split(text) if (word := _NOISE.sub("", part.strip()).strip())]


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota of the contract after the steps: what there is, what they add, what is agreed (None: unlimited)."""

    code: str
    used: int
    adding: int
    limit: int | None

    @property
    def is_exceeded(self) -> bool:
        return self.limit is not None and self.used + self.adding > self.limit

    @property
    def over(self) -> int:
        return max(0, self.used + self.adding - (self.limit or 0)) if self.limit is not None else 0


def counted(steps: Iterable[Step], known: Known) -> dict[str, int]:
    """How many of each quota the steps add: middleware by instance, not by kind (R8)."""
    new = [step for step in steps if not step.is_there]
    middleware = [
        step for step in new if step.code == "product" and known.products[step.subject].is_middleware
    ]  # fmt: skip
    return {
        "middleware": len(middleware),
        "url": sum(step.code == "url" for step in new),
        "port": sum(step.code == "port" for step in new),
    }
