"""The monitoring template of a customer (R34): filled in, looked through by an engineer, set up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Contract, Customer, User
from accounts.permissions import is_customer_pm, is_provider
from accounts.services.customers import contract_in_force
from assets.facts import Facts
from assets.models import Asset, CloudAccount
from assets.services import inventory
from monitoring import watch_plan
from monitoring.collectors.config import Kind
from monitoring.collectors.config.cloud import NAMESPACES
from monitoring.collectors.products import PRODUCTS
from monitoring.models import MonitoringTemplate, RuleOverride, Target, TemplateTask
from monitoring.rules import RULES
from monitoring.services import overrides, targets
from monitoring.services.overrides import Wish
from monitoring.watch_plan import AssetFacts, Form, Known, ProductFacts, Quota, Step

State = MonitoringTemplate.State
FIELDS: Final = (
    "wanted", "basics", "other_basics", "web", "databases", "other_products", "ports", "other_ports", "url_kinds",
    "urls", "notes",
)  # fmt: skip
CODES: Final[Mapping[str, str]] = {Kind.PING: "ping", Kind.PROMETHEUS: "agent", Kind.HTTP: "url"}


def may_fill(person: User) -> bool:
    """The customer's project managers and the provider's people."""
    return is_provider(person) or is_customer_pm(person)


@transaction.atomic
def submit(*, customer: Customer, form: Form, actor: User, now: datetime) -> MonitoringTemplate:
    """Keep what was filled in as the next version; an engineer sets it up."""
    if not may_fill(actor):
        raise PermissionDenied
    Customer.objects.select_for_update().get(pk=customer.pk)
    rows = MonitoringTemplate.objects.filter(customer=customer)
    rows.filter(state=State.SUBMITTED).update(state=State.REPLACED)
    last = rows.aggregate(last=Max("version"))["last"] or 0
    row = MonitoringTemplate(customer=customer, version=last + 1, submitted_by=actor, submitted_at=now)
    for name in FIELDS:
        value = getattr(form, name)
        setattr(row, name, list(value) if isinstance(value, list | tuple) else value)
    row.save(force_insert=True)
    detail = {"version": row.version, **{name: getattr(row, name) for name in FIELDS}}
    audit.record(action="watch_form.submit", actor=actor, customer=customer, obj=row, detail=detail, now=now)
    return row


def form_of(row: MonitoringTemplate) -> Form:
    return Form(**{name: getattr(row, name) for name in FIELDS})


# --- what comes of it ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Preview:
    """What the form would set up, what is for people, and how that stands to the contract."""

    steps: Sequence[Step]
    quotas: Sequence[Quota]
    contract: Contract | None

    @property
    def new(self) -> list[Step]:
        return [step for step in self.steps if not step.is_task and not step.is_there]

    @property
    def there(self) -> list[Step]:
        return [step for step in self.steps if step.is_there]

    @property
    def tasks(self) -> list[Step]:
        return [step for step in self.steps if step.is_task]


def preview(row: MonitoringTemplate) -> Preview:
    known = inventory_of(row.customer)
    steps = watch_plan.derive(form_of(row), known)
    contract = contract_in_force(row.customer, timezone.localdate())
    return Preview(steps, _quotas(row.customer, watch_plan.counted(steps, known), contract), contract)


def inventory_of(customer: Customer) -> Known:
    assets = Asset.objects.active().filter(customer=customer).order_by("kind", "name")
    products = {
        slug: ProductFacts(product.port, "password" in product.asks, product.is_middleware)
        for slug, product in PRODUCTS.items()
    }
    off = RuleOverride.objects.filter(customer=customer, asset=None, group=None, enabled=False)
    return Known(
        assets=[_facts(asset) for asset in assets],
        targets={_target_key(target): target.pk for target in Target.objects.filter(customer=customer).enabled()},
        products=products,
        rules_off=set(off.values_list("rule_id", flat=True)),
    )


def _facts(asset: Asset) -> AssetFacts:
    return AssetFacts(
        id=asset.pk,
        name=asset.name,
        kind=asset.kind,
        host=str(asset.host or asset.public_ip or asset.private_ip or ""),
        port=asset.port,
        product=asset.product,
        engine=asset.engine,
        url=asset.url,
        agent_url=str(asset.details.get("agent_url", "")),
        account_id=asset.cloud_account_id,
    )


def _target_key(target: Target) -> tuple[str, int, str]:
    config = target.config
    if target.kind == Kind.CMS:
        kinds = {namespace: kind for kind, namespace in NAMESPACES.items()}
        return "cloud", target.cloud_account_id or 0, kinds.get(str(config.get("namespace")), "")
    if target.kind == Kind.TCP:
        return "port", target.asset_id or 0, str(config.get("port"))
    if target.kind == Kind.PRODUCT:
        return "product", target.asset_id or 0, str(config.get("product"))
    return CODES.get(target.kind, target.kind), target.asset_id or 0, ""


def _quotas(customer: Customer, adding: Mapping[str, int], contract: Contract | None) -> list[Quota]:
    watched = Target.objects.filter(customer=customer).enabled()
    used = {
        "middleware": targets.middleware_instances(customer),
        "url": watched.filter(kind__in=targets.URL_KINDS).count(),
        "port": watched.filter(kind=Kind.TCP).count(),
    }
    limits = {
        "middleware": contract.middleware_quota if contract else None,
        "url": contract.url_quota if contract else None,
        "port": contract.port_quota if contract else None,
    }
    return [Quota(code, used[code], adding[code], limits[code]) for code in used]


# --- setting up ------------------------------------------------------------------------------------------------------


@transaction.atomic
def confirm(*, template: MonitoringTemplate, chosen: Collection[str], actor: User, now: datetime) -> MonitoringTemplate:
    """Set up the steps that were chosen. What was not chosen, what is for people, and what went wrong are tasks."""
    if not is_provider(actor):
        raise PermissionDenied
    row = MonitoringTemplate.objects.select_for_update(of=("self",)).select_related("customer").get(pk=template.pk)
    if row.state != State.SUBMITTED:
        raise DomainError(_("This version is not waiting any more. Nothing was set up."), code="not_waiting")
    tasks: list[TemplateTask] = []
    for step in preview(row).steps:
        if step.is_there:
            continue
        if step.is_task:
            tasks.append(_task(row, step, step.code, step.subject))
        elif step.key not in chosen:
            tasks.append(_task(row, step, "task_left_out", told(step)))
        elif problem := _set_up(row, step, actor, now):
            tasks.append(_task(row, step, "task_failed", f"{told(step)}: {problem}"))
    TemplateTask.objects.bulk_create(tasks)
    rows = MonitoringTemplate.objects.filter(customer=row.customer, state=State.CONFIRMED)
    rows.update(state=State.REPLACED)
    row.state, row.confirmed_by, row.confirmed_at = State.CONFIRMED, actor, now
    row.save(update_fields=["state", "confirmed_by", "confirmed_at"])
    detail = {"version": row.version, "chosen": len(chosen), "tasks": len(tasks)}
    audit.record(action="watch_form.confirm", actor=actor, customer=row.customer, obj=row, detail=detail, now=now)
    return row


def told(step: Step) -> str:
    """A step in few words, the same in every language."""
    port = f":{step.port}" if step.port and step.code in ("port", "product") else ""
    return f"{step.code} {step.subject}{port}"


def _task(row: MonitoringTemplate, step: Step, code: str, subject: str) -> TemplateTask:
    return TemplateTask(
        customer=row.customer,
        template=row,
        asset_id=step.asset_id,
        code=code.removeprefix("task_"),
        subject=subject[:200],
    )


def _set_up(row: MonitoringTemplate, step: Step, actor: User, now: datetime) -> str:
    """Do one step; returns what went wrong. What the step wrote before is undone."""
    try:
        with transaction.atomic():
            _carry_out(row, step, actor, now)
    except DomainError as problem:
        return problem.message
    except ValidationError as problem:
        return " ".join(problem.messages)
    return ""


def _carry_out(row: MonitoringTemplate, step: Step, actor: User, now: datetime) -> None:
    if step.code in ("rule_on", "rule_off"):
        _switch_rule(row, step, actor, now)
    elif step.code == "target_off":
        target = Target.objects.get(pk=int(step.subject), customer=row.customer)
        targets.set_enabled(target=target, enabled=False, actor=actor, now=now)
    elif step.code == "cloud":
        account = CloudAccount.objects.get(pk=step.port or 0, customer=row.customer)
        targets.create_for_account(account=account, actor=actor, now=now)
    else:
        asset = _asset(row, step, actor, now)
        kind, config = _config(step, asset)
        targets.create(asset=asset, kind=kind, config=config, actor=actor, now=now)


def _asset(row: MonitoringTemplate, step: Step, actor: User, now: datetime) -> Asset:
    if step.asset_id is not None:
        return Asset.objects.get(pk=step.asset_id, customer=row.customer)
    name = step.subject.split("://", 1)[-1].rstrip("/")[:200]
    facts = Facts(kind="url", name=name, url=step.subject)
    return inventory.create_manual(customer=row.customer, facts=facts, actor=actor, now=now)


def _config(step: Step, asset: Asset) -> tuple[str, dict[str, object]]:
    host = str(asset.host or asset.public_ip or asset.private_ip or "")
    match step.code:
        case "ping":
            return Kind.PING, {"host": host}
        case "agent":
            return Kind.PROMETHEUS, {"url": str(asset.details.get("agent_url", ""))}
        case "port":
            return Kind.TCP, {"host": host, "port": step.port}
        case "url":
            return Kind.HTTP, {"url": step.subject}
        case _:
            product = PRODUCTS[step.subject]
            config: dict[str, object] = {"product": product.slug, "host": host, "port": step.port}
            return Kind.PRODUCT, config | ({"path": product.path} if product.path else {})


def _switch_rule(row: MonitoringTemplate, step: Step, actor: User, now: datetime) -> None:
    """What else was said of the rule for the whole customer stays."""
    enabled = step.code == "rule_on"
    there = RuleOverride.objects.filter(customer=row.customer, rule_id=step.subject, asset=None, group=None).first()
    reason = _("Monitoring template, version %(version)d") % {"version": row.version}
    rule = RULES[step.subject]
    before = overrides.wish_of(there, there.schedule) if there else Wish()
    wish = Wish(**{**{name: getattr(before, name) for name in Wish.__slots__}, "enabled": enabled})
    if there is not None and enabled and wish == Wish(enabled=True) and rule.enabled:
        overrides.restore(override=there, reason=reason, actor=actor, now=now)
        return
    overrides.override(customer=row.customer, rule=rule, wish=wish, reason=reason, actor=actor, now=now)


@transaction.atomic
def settle_task(*, task: TemplateTask, done: bool, actor: User, now: datetime) -> None:
    if not is_provider(actor):
        raise PermissionDenied
    task.done_at, task.done_by = (now, actor) if done else (None, None)
    task.save(update_fields=["done_at", "done_by"])
    detail = {"task": f"{task.code} {task.subject}", "done": done}
    audit.record(action="watch_form.task", actor=actor, customer=task.customer, obj=task, detail=detail, now=now)
