"""Creating, changing and trying targets."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, scope, secrets
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_admin, is_provider
from accounts.services.customers import contract_in_force
from assets.models import Asset, CloudAccount, SshAccess
from assets.models import Kind as AssetKind
from monitoring import governor
from monitoring.collectors import Job, Outcome, cms, errand, products, rds
from monitoring.collectors.config import Config, Kind, config_of
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.machines import ProductConfig, TcpConfig
from monitoring.collectors.config.names import DnsConfig, DomainConfig, TlsConfig
from monitoring.collectors.config.web import FlowConfig, HttpConfig
from monitoring.collectors.http import origin
from monitoring.models import Target, Through
from monitoring.problems import config_error_text
from monitoring.services import cloud, node_checks, poll
from notify import live

PERIOD_S: Final = 60
URL_KINDS: Final = (Kind.HTTP, Kind.FLOW)
GROUP: Final = 200
"""Targets of one customer and kind that are due in the same second, so that they travel in one batch."""


@transaction.atomic
def create(
    *,
    asset: Asset,
    kind: str,
    config: Mapping[str, Any],
    actor: User | None,
    now: datetime,
    name: str = "",
    period_s: int = PERIOD_S,
    token: str = "",
    allow_internal: bool = False,
    through: str = "",
) -> Target:
    """Begin to collect from an asset. ``actor`` None is the platform itself (set-up). The first run is at once.
    ``through`` says who asks; without it the asset does (`usual_way`)."""
    _check_right(actor, allow_internal=allow_internal)
    checked = _checked(kind, config)
    through = through or usual_way(asset, kind, now=now)
    _check_way(asset.customer_id, kind, through, now)
    return _insert(
        Target(
            customer_id=asset.customer_id,
            asset=asset,
            kind=kind,
            name=name or _name(asset, checked),
            key=_key(asset, checked),
            config=checked.as_json(),
            period_s=period_s,
            allow_internal=allow_internal,
            through=through,
        ),
        token=token,
        actor=actor,
        now=now,
    )


@transaction.atomic
def create_product(
    *,
    asset: Asset,
    config: Mapping[str, Any],
    actor: User | None,
    now: datetime,
    name: str = "",
    period_s: int = PERIOD_S,
    token: str = "",
    checks_port: bool = False,
    allow_internal: bool = False,
    through: str = "",
) -> Target:
    """Begin to read a product's status, and to check its port if wanted and not done yet: the status says how it is,
    the port alone says that it is gone."""
    target = create(
        asset=asset, kind=Kind.PRODUCT, config=config, actor=actor, now=now, name=name, period_s=period_s, token=token,
        allow_internal=allow_internal, through=through,
    )  # fmt: skip
    if checks_port:
        port = {"host": config["host"], "port": config["port"]}
        key = _key(asset, _checked(Kind.TCP, port))
        if not Target.objects.filter(customer_id=asset.customer_id, key=key).exists():
            create(
                asset=asset, kind=Kind.TCP, config=port, actor=actor, now=now, allow_internal=allow_internal,
                through=target.through,
            )  # fmt: skip
    return target


@transaction.atomic
def create_for_account(*, account: CloudAccount, actor: User | None, now: datetime) -> list[Target]:
    """One CloudMonitor target for every namespace in which the account has resources; those there are stay."""
    _check_right(actor)
    kinds = Asset.objects.filter(cloud_account=account).active().values_list("kind", flat=True).distinct()
    there = set(Target.objects.filter(cloud_account=account).values_list("key", flat=True))
    created = []
    namespaces = cms.wanted_namespaces(kinds)
    if AssetKind.RDS in kinds and any(rds.keys_of(one.engine) for one in cloud.instances(account)):
        namespaces = (*namespaces, rds.NAMESPACE)
    cloud.reading_of(account, now)
    for namespace in namespaces:
        key = f"cms:{account.pk}:{namespace}"
        if key not in there:
            config = _checked(Kind.CMS, {"cloud_account_id": account.pk, "namespace": namespace})
            target = Target(
                customer_id=account.customer_id,
                cloud_account=account,
                kind=Kind.CMS,
                name=f"{account.name} {namespace}",
                key=key,
                config=config.as_json(),
                period_s=governor.period_s(namespace, 1.0),
            )
            created.append(_insert(target, token="", actor=actor, now=now))
    return created


def usual_way(asset: Asset, kind: str, *, now: datetime) -> Through:
    """Who asks unless somebody says otherwise: what only a node reaches, a node of the customer's, if it has one."""
    is_behind = SshAccess.objects.filter(asset=asset, through=SshAccess.Through.NODE).exists()
    if kind in errand.KINDS and is_behind and node_checks.carrier_of(asset.customer_id, now=now) is not None:
        return Through.NODE
    return Through.DIRECT


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A target that suits an asset."""

    kind: Kind
    config: Mapping[str, Any]


def suggestions(asset: Asset) -> list[Suggestion]:
    """What is worth collecting from an asset, by what it is and what is known of it."""
    host = asset.host or asset.public_ip or asset.private_ip or ""
    found = []
    if agent_url := str(asset.details.get("agent_url", "")):
        found.append(Suggestion(Kind.PROMETHEUS, {"url": agent_url}))
    if asset.kind == AssetKind.URL and asset.url:
        found.append(Suggestion(Kind.HTTP, {"url": asset.url}))
    if asset.port and host:
        found.append(Suggestion(Kind.TCP, {"host": host, "port": asset.port}))
    elif asset.kind in (AssetKind.SERVER, AssetKind.ECS) and host:
        found.append(Suggestion(Kind.PING, {"host": host}))
    return found


def create_defaults(
    *, asset: Asset, actor: User | None, now: datetime, token: str = "", allow_internal: bool = False
) -> list[Target]:
    """Create what `suggestions` says and is not there yet. Ask `quota_warnings` afterwards what to tell people."""
    there = set(Target.objects.filter(asset=asset).values_list("key", flat=True))
    return [
        create(
            asset=asset,
            kind=suggestion.kind,
            config=suggestion.config,
            token=token if suggestion.kind is Kind.PROMETHEUS else "",
            allow_internal=allow_internal,
            actor=actor,
            now=now,
        )
        for suggestion in suggestions(asset)
        if _key(asset, _checked(suggestion.kind, suggestion.config)) not in there
    ]


@transaction.atomic
def change(
    *,
    target: Target,
    config: Mapping[str, Any],
    name: str,
    period_s: int,
    actor: User,
    now: datetime,
    token: str = "",
    through: str = "",
) -> Target:
    """Change what is collected, or who asks; an empty token keeps the one that is stored. The next run is at once."""
    _check_right(actor)
    target = Target.objects.select_for_update(of=("self",)).get(pk=target.pk)
    checked = _checked(target.kind, config)
    before = _shown(target)
    through = through or target.through
    is_elsewhere = checked.as_json() != target.config or through != target.through
    if is_elsewhere and target.allow_internal and not is_admin(actor):
        raise DomainError(
            _("This target may reach the platform's own network, so only an administrator can change its address."),
            code="not_allowed",
        )
    if through != target.through:
        _check_way(target.customer_id, target.kind, through, now)
    if is_elsewhere:
        target.state = {}
    if target.asset is not None:
        target.key = _key(target.asset, checked)
    target.name, target.config, target.period_s = name or target.name, checked.as_json(), period_s
    target.through = through
    target.next_due_at = target.changed_at = now
    target.lease_until = None
    try:
        with transaction.atomic():
            target.save()
    except IntegrityError:
        raise _exists() from None
    if token:
        _store_token(target, token, actor, now)
    _changed("target.change", target, actor, now, {"before": before, "after": _shown(target)})
    return target


def _shown(target: Target) -> dict[str, object]:
    """What a change is told by."""
    return {"name": target.name, "config": target.config, "period_s": target.period_s, "through": target.through}


@transaction.atomic
def set_enabled(*, target: Target, enabled: bool, actor: User, now: datetime) -> None:
    """Switch collecting on or off. Off keeps the target, its figures and its settings."""
    _check_right(actor)
    changed = Target.objects.filter(pk=target.pk, is_enabled=not enabled).update(
        is_enabled=enabled, next_due_at=now, lease_until=None, problem_code="", problem_detail="",
        problem_since=None, failures=0, changed_at=now,
    )  # fmt: skip
    if changed:
        _changed("target.enable" if enabled else "target.disable", target, actor, now, {})


@transaction.atomic
def set_internal(*, target: Target, allowed: bool, reason: str, actor: User, now: datetime) -> None:
    """Let a target reach the platform's own machine or network, or no longer. Administrators only."""
    if not is_admin(actor):
        raise DomainError(_("Only an administrator can allow internal addresses."), code="not_allowed")
    if allowed and not reason.strip():
        raise DomainError(_("Say why this target may reach the platform's own network."), code="reason_needed")
    Target.objects.filter(pk=target.pk).update(allow_internal=allowed, next_due_at=now, changed_at=now)
    _changed("target.allow_internal", target, actor, now, {"allowed": allowed, "reason": reason.strip()})


@transaction.atomic
def remove(*, target: Target, actor: User, now: datetime) -> None:
    """Stop collecting for good. The figures collected so far stay."""
    _check_right(actor)
    _changed("target.remove", target, actor, now, {"kind": target.kind, "config": target.config})
    secrets.drop(obj=target, field=Target.TOKEN, actor=actor, now=now)
    target.delete()


@transaction.atomic
def follow_inventory(*, now: datetime) -> int:
    """Keep targets in step with the inventory: switch off those of retired assets and accounts and of customers
    who left, and read CloudMonitor wherever an account has resources. Needs a platform scope; returns how many
    targets changed."""
    gone = Q(asset__retired_at__isnull=False) | Q(cloud_account__retired_at__isnull=False)
    gone |= Q(customer__status=Customer.Status.LEFT)
    stale = Target.objects.enabled().filter(gone).values("pk")
    changed = Target.objects.filter(pk__in=stale).update(is_enabled=False, changed_at=now)
    served = CloudAccount.objects.existing().filter(is_enabled=True).exclude(customer__status=Customer.Status.LEFT)
    for account in served:
        with scope.customer(account.customer_id):
            changed += len(create_for_account(account=account, actor=None, now=now))
    return changed


def test_now(*, target: Target, actor: User, now: datetime) -> Outcome:
    """Run the collector once, now, and say what came of it. Nothing is stored and no alarm comes of it.

    Raises DomainError("asked_by_node") for one that the platform may not reach, or reaches something else by."""
    _check_right(actor)
    if target.through == Through.NODE:
        raise _asked_by_node()
    _audit("target.test", target, actor, now, {})
    return poll.run(target.kind, [target], now=now)[0]


def try_before_saving(
    *,
    asset: Asset,
    kind: str,
    config: Mapping[str, Any],
    actor: User,
    now: datetime,
    token: str = "",
    target: Target | None = None,
    through: str = "",
) -> Outcome:
    """Run the collector once with what a form holds. An empty token means the one that is stored for ``target``.
    Raises DomainError("asked_by_node") as `test_now` does.

    What is stored goes only to the address it was entered for, and only an administrator's permission for exactly
    that address opens the platform's own network.
    """
    _check_right(actor)
    if through == Through.NODE:
        raise _asked_by_node()
    checked = _checked(kind, config)
    same = target is not None and _place(target.parsed_config) == _place(checked)
    if target is not None and same and not token:
        token = poll.token_of(target, now)
    job = Job(
        target_id=target.pk if target else 0,
        customer_id=asset.customer_id,
        asset_id=asset.pk,
        config=checked,
        allow_internal=target is not None and same and target.allow_internal,
        token=token,
    )
    detail = {"kind": kind, "config": checked.as_json()}
    audit.record(action="target.try", actor=actor, customer=asset.customer, obj=asset, detail=detail, now=now)
    return poll.trial(kind, job)


def _asked_by_node() -> DomainError:
    text = _("A node in the customer's network asks this, not the platform: save it and look at its first result.")
    return DomainError(text, code="asked_by_node")


def _place(config: Config) -> tuple[str, int, str]:
    """Where a target points: what a stored secret and a permission were given for."""
    if isinstance(config, FlowConfig):
        return " ".join(sorted({f"{origin(step.url)}" for step in config.steps})), 0, ""
    return str(getattr(config, "host", "")), int(getattr(config, "port", 0)), str(getattr(config, "url", ""))


def middleware_instances(customer: Customer) -> int:
    """How many instances the contract's middleware quota counts: Tomcat on five hosts is five."""
    watched = Target.objects.filter(customer=customer, kind=Kind.PRODUCT).enabled()
    return sum(bool(target.product and target.product.is_middleware) for target in watched.only("kind", "config"))


def middleware_quota(customer: Customer, *, now: datetime) -> int:
    """How many instances the contract in force counts; 0 without a contract."""
    contract = contract_in_force(customer, timezone.localdate(now))
    return contract.middleware_quota if contract else 0


def quota_warnings(customer: Customer, *, now: datetime) -> list[str]:
    """Where more is watched than the contract counts. Watching goes on: the contract is talked about, not cut."""
    contract = contract_in_force(customer, timezone.localdate(now))
    if contract is None:
        return []
    watched = Target.objects.filter(customer=customer).enabled()
    urls = watched.filter(kind__in=URL_KINDS).count()
    found = []
    if contract.url_quota and urls > contract.url_quota:
        found.append(
            _("%(count)d URLs are watched; the contract counts %(quota)d.")
            % {"count": urls, "quota": contract.url_quota}
        )
    wide = [
        target.name
        for target in watched.filter(kind__in=URL_KINDS)
        if isinstance(config := target.parsed_config, HttpConfig | FlowConfig)
        and len(config.points) > contract.probe_points_per_url
    ]
    if wide:
        found.append(
            _("More than %(quota)d probe points: %(names)s.")
            % {"quota": contract.probe_points_per_url, "names": ", ".join(wide[:5])}
        )
    if contract.middleware_quota and (count := middleware_instances(customer)) > contract.middleware_quota:
        found.append(
            _("%(count)d middleware instances are watched; the contract counts %(quota)d.")
            % {"count": count, "quota": contract.middleware_quota}
        )
    if contract.port_quota and (ports := watched.filter(kind=Kind.TCP).count()) > contract.port_quota:
        found.append(
            _("%(count)d ports are watched; the contract counts %(quota)d.")
            % {"count": ports, "quota": contract.port_quota}
        )
    return found


def _check_right(actor: User | None, *, allow_internal: bool = False) -> None:
    if actor is None:
        return
    if not is_provider(actor):
        raise DomainError(_("Only the service team can change what is collected."), code="not_allowed")
    if allow_internal and not is_admin(actor):
        raise DomainError(_("Only an administrator can allow internal addresses."), code="not_allowed")


def _check_way(customer_id: int, kind: str, through: str, now: datetime) -> None:
    if through not in Through.values:
        raise DomainError(_("Say who asks."), code="through")
    if through == Through.DIRECT:
        return
    if kind not in errand.KINDS:
        raise DomainError(_("Nodes do not ask this: it is asked from where everybody reaches it."), code="through")
    if node_checks.carrier_of(customer_id, now=now) is None:
        raise DomainError(_("The customer has no node of its own that could ask."), code="no_node")


def _checked(kind: str, config: Mapping[str, Any]) -> Config:
    try:
        checked = config_of(kind, config)
        return products.checked(checked) if isinstance(checked, ProductConfig) else checked
    except ConfigError as error:
        message = f"{error.field}: {config_error_text(error.code)}"
        raise DomainError(message, code="config") from error


def _insert(target: Target, *, token: str, actor: User | None, now: datetime) -> Target:
    target.next_due_at = target.created_at = target.changed_at = now
    target.phase = phase(target.customer_id, target.kind, _ordinal(target))
    try:
        with transaction.atomic():
            target.save(force_insert=True)
    except IntegrityError:
        raise _exists() from None
    if token:
        _store_token(target, token, actor, now)
    _changed(
        "target.create", target, actor, now, {"kind": target.kind, "config": target.config, "through": target.through}
    )
    return target


def _ordinal(target: Target) -> int:
    return Target.objects.filter(customer_id=target.customer_id, kind=target.kind).count()


def phase(customer_id: int, kind: str, ordinal: int) -> float:
    """Where in its period a target is due: the same for a group that travels together, spread between groups."""
    return (zlib.crc32(f"{customer_id}:{kind}:{ordinal // GROUP}".encode()) % 1000) / 1000


def _exists() -> DomainError:
    return DomainError(_("This is collected already: the same target exists."), code="exists")


def _store_token(target: Target, token: str, actor: User | None, now: datetime) -> None:
    secrets.put(obj=target, field=Target.TOKEN, value=token, actor=actor, now=now)
    target.token_set_at = now
    target.save(update_fields=["token_set_at"])


def _changed(action: str, target: Target, actor: User | None, now: datetime, detail: Mapping[str, object]) -> None:
    """Write a change down, and let open pages look again."""
    _audit(action, target, actor, now, detail)
    live.publish(customer_id=target.customer_id, topic="targets", object_id=target.pk)


def _audit(action: str, target: Target, actor: User | None, now: datetime, detail: Mapping[str, object]) -> None:
    audit.record(action=action, actor=actor, customer=target.customer, obj=target, detail=detail, now=now)


def _name(asset: Asset, config: Config) -> str:
    """Asset and port are what people recognise; the collector is shown beside it."""
    if isinstance(config, ProductConfig):
        return f"{asset.name} {products.PRODUCTS[config.product].name_en}"
    return f"{asset.name}:{config.port}" if isinstance(config, TcpConfig) and not asset.port else asset.name


def _key(asset: Asset, config: Config) -> str:
    match config:
        case TcpConfig():
            what = f"tcp:{config.host}:{config.port}"
        case ProductConfig():
            what = f"product:{config.product}:{config.host}:{config.port}{config.path}"
        case FlowConfig():
            what = f"flow:{config.url}:{zlib.crc32(json.dumps(config.as_json()['steps']).encode())}"
        case DnsConfig():
            what = f"dns:{config.record}:{config.name}:{config.resolver}"
        case TlsConfig():
            what = f"tls:{config.host}:{config.port}:{config.server_name}"
        case DomainConfig():
            what = f"domain:{config.domain}"
        case HttpConfig():
            what = f"http:{config.method}:{config.url}"
        case _:
            what = f"{type(config).__name__}:{getattr(config, 'url', '') or getattr(config, 'host', '')}"
    return f"{asset.pk}:{what}"[:600]
