"""Reading a cloud account's resources into assets: asking for a pass, running it, and what each kind of it changed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from celery import current_app
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from assets.aliyun import AliyunError, Client, Resource
from assets.models import CLOUD_KINDS, AccountPurpose, Asset, CloudAccount, Environment, SyncRun, SyncStep
from assets.services import ram_view
from assets.services.accounts import client_for
from assets.services.mirroring import mirror
from notify import live
from notify.services import Message, broadcast

State = SyncRun.State
ABANDONED_AFTER = timedelta(minutes=20)
"""Longer than Celery lets the task live: whoever ran it is dead."""
KEPT = timedelta(days=30)
UNHEARD_AFTER = timedelta(minutes=2)
"""A waiting pass that no worker took: the queue lost it."""
NAMES_IN_AUDIT = 50
ENVIRONMENTS = {
    **dict.fromkeys(("production", "prod", "prd", "online", "生产"), Environment.PRODUCTION),
    **dict.fromkeys(("test", "testing", "qa", "uat", "staging", "pre", "测试"), Environment.TEST),
    **dict.fromkeys(("development", "dev", "开发"), Environment.DEVELOPMENT),
}
ENVIRONMENT_TAGS = ("env", "environment", "stage", "环境")

Clock = Callable[[], datetime]


def ask(*, account: CloudAccount, trigger: SyncRun.Trigger, actor: User | None, now: datetime) -> SyncRun:
    """Ask for a pass over the account. While one is open, that one is returned: pressing twice changes nothing."""
    if account.retired_at is not None:
        raise DomainError(_("This cloud account was retired; its credentials are gone."), code="retired")
    try:
        with transaction.atomic():
            run = SyncRun.objects.create(
                customer_id=account.customer_id, account=account, trigger=trigger, actor=actor, queued_at=now
            )
            SyncStep.objects.bulk_create(
                SyncStep(customer_id=account.customer_id, run=run, kind=kind, position=position)
                for position, kind in enumerate((*CLOUD_KINDS, SyncStep.RAM))
            )
            minutes = timedelta(minutes=account.sync_minutes)
            CloudAccount.objects.filter(pk=account.pk).update(next_sync_at=now + minutes)
            if actor is not None:
                audit.record(
                    action="cloud_account.ask_sync", actor=actor, customer=account.customer, obj=account, now=now
                )
            publish(run)
    except IntegrityError:
        return SyncRun.objects.get(account=account, state__in=SyncRun.OPEN)
    return run


def publish(run: SyncRun) -> None:
    """Wake a worker after commit. Should Redis lose it, `assets.sync_due` asks again."""
    send = partial(current_app.send_task, "assets.sync_account", args=[run.customer_id, run.pk])
    transaction.on_commit(send, robust=True)


def ask_for_due(*, now: datetime) -> int:
    """Ask for a pass over every account whose time has come; wake up lost passes and end dead ones. Platform scope."""
    for run in SyncRun.objects.filter(state=State.RUNNING, started_at__lt=now - ABANDONED_AFTER):
        _end_abandoned(run, now)
    for run in SyncRun.objects.filter(state=State.WAITING, queued_at__lt=now - UNHEARD_AFTER):
        publish(run)
    SyncRun.objects.filter(queued_at__lt=now - KEPT).exclude(state__in=SyncRun.OPEN).delete()
    due = list(CloudAccount.objects.due(now).select_related("customer"))
    for account in due:
        ask(account=account, trigger=SyncRun.Trigger.SCHEDULE, actor=None, now=now)
    return len(due)


@transaction.atomic
def _end_abandoned(run: SyncRun, now: datetime) -> None:
    claimed = SyncRun.objects.filter(pk=run.pk, state=State.RUNNING).update(
        state=State.FAILED, finished_at=now, error_code="interrupted"
    )
    if claimed:
        run.steps.filter(state__in=SyncRun.OPEN).update(state=State.FAILED, error_code="interrupted")
        CloudAccount.objects.filter(pk=run.account_id).update(next_sync_at=now)
        live.publish(customer_id=run.customer_id, topic="assets", object_id=run.account_id)


def run(*, run_id: int, clock: Clock) -> SyncRun | None:
    """Do a waiting pass. None when somebody else took it. Network first, then one transaction per kind."""
    if not SyncRun.objects.filter(pk=run_id, state=State.WAITING).update(state=State.RUNNING, started_at=clock()):
        return None
    run = SyncRun.objects.select_related("account__customer").get(pk=run_id)
    try:
        client = client_for(run.account, purpose="sync", now=clock())
        run.account.credentials.in_use().filter(purpose=AccountPurpose.READING).update(last_used_at=clock())
    except DomainError as error:
        return _finish(run, clock(), error_code=error.code)
    refusal: AliyunError | None = None
    for step in run.steps.all():
        refusal = refusal or _do_step(step, run.account, client, clock)
        if refusal:
            _fail(step, refusal)
    return _finish(run, clock(), error_code=refusal.code if refusal else "", is_refused=refusal is not None)


def _do_step(step: SyncStep, account: CloudAccount, client: Client, clock: Clock) -> AliyunError | None:
    """Returns the error when the AccessKey itself is no good, so that the other kinds need not be tried."""
    SyncStep.objects.filter(pk=step.pk).update(state=State.RUNNING)
    live.publish(customer_id=account.customer_id, topic="assets", object_id=account.pk)
    try:
        if step.kind == SyncStep.RAM:
            _read_ram(step, account, client, clock)
            return None
        resources = client.resources(step.kind, account.regions)
    except AliyunError as error:
        if error.is_credential_problem:
            return error
        _fail(step, error)
        return None
    with transaction.atomic():
        counts = apply(account=account, kind=step.kind, resources=resources, now=clock())
        SyncStep.objects.filter(pk=step.pk).update(
            state=State.DONE,
            found=counts.found,
            created=len(counts.created),
            changed=len(counts.changed),
            retired=len(counts.retired),
            returned=len(counts.returned),
        )
    return None


def _read_ram(step: SyncStep, account: CloudAccount, client: Client, clock: Clock) -> None:
    seen = ram_view.read(client, account)
    with transaction.atomic():
        new = ram_view.apply(account=account, seen=seen, now=clock())
        SyncStep.objects.filter(pk=step.pk).update(state=State.DONE, found=len(seen.people), created=new)


def _fail(step: SyncStep, error: AliyunError) -> None:
    SyncStep.objects.filter(pk=step.pk).update(
        state=State.FAILED,
        error_code=error.code[:80],
        error=error.message[:400],
        request_id=error.request_id[:80],
    )


@transaction.atomic
def _finish(run: SyncRun, now: datetime, *, error_code: str = "", is_refused: bool = False) -> SyncRun:
    steps = list(run.steps.all())
    failed = [step for step in steps if step.state != State.DONE]
    run.state = State.FAILED if len(failed) == len(steps) else State.PARTIAL if failed else State.DONE
    run.finished_at, run.error_code = now, error_code[:80]
    run.save(update_fields=["state", "finished_at", "error_code"])
    account = CloudAccount.objects.select_for_update().get(pk=run.account_id)
    was_refused = account.state == CloudAccount.State.REFUSED
    if is_refused:
        account.state = CloudAccount.State.REFUSED
    else:
        account.state = CloudAccount.State.FAILING if failed else CloudAccount.State.WORKING
    account.last_error_code = error_code or (failed[0].error_code if failed else "")
    account.last_error = failed[0].error if failed else ""
    account.synced_at = now if len(failed) < len(steps) else account.synced_at
    account.save(update_fields=["state", "last_error_code", "last_error", "synced_at"])
    mirror(account, now=now)
    if is_refused and not was_refused:
        _tell_about_refusal(account, run, now)
    live.publish(customer_id=run.customer_id, topic="assets", object_id=account.pk)
    return run


def _tell_about_refusal(account: CloudAccount, run: SyncRun, now: datetime) -> None:
    """Without the key there is no monitoring of the cloud products: everybody who listens should know."""
    with override(account.customer.language):
        message = Message(
            topic="account",
            subject=_("Cloud account %(name)s: the AccessKey is refused") % {"name": account.name},
            text=_("Alibaba Cloud resources of %(customer)s can no longer be read. %(why)s")
            % {"customer": account.customer, "why": run.problem},
            url=f"/assets/cloud-accounts/{account.pk}/",
        )
    broadcast(customer=account.customer, key=f"cloud-account-refused:{account.pk}:{run.pk}", message=message, now=now)


@dataclass(frozen=True)
class Counts:
    """What a list of one kind changed, by name."""

    found: int
    created: tuple[str, ...]
    changed: tuple[str, ...]
    retired: tuple[str, ...]
    returned: tuple[str, ...]


@transaction.atomic
def apply(*, account: CloudAccount, kind: str, resources: Iterable[Resource], now: datetime) -> Counts:
    """Make the account's assets of one kind equal to a complete list: what vanished is retired, never deleted."""
    listed = {resource.provider_id: resource for resource in resources}
    known = {
        asset.provider_id: asset for asset in Asset.objects.select_for_update().filter(cloud_account=account, kind=kind)
    }
    created = [_new(account, resource, now) for name, resource in listed.items() if name not in known]
    seen = [known[name] for name in listed if name in known]
    returned = [asset for asset in seen if asset.retired_at is not None]
    changed = [asset for asset in seen if _update(asset, listed[asset.provider_id], now)]
    gone = [asset for name, asset in known.items() if name not in listed and asset.retired_at is None]
    for asset in gone:
        asset.retired_at = asset.changed_at = now
    Asset.objects.bulk_create(created)
    Asset.objects.bulk_update([*changed, *gone], [*SYNCED_FIELDS, "retired_at", "changed_at"], batch_size=200)
    Asset.objects.filter(pk__in=[asset.pk for asset in seen]).update(seen_at=now)
    back = {asset.provider_id for asset in returned}
    counts = Counts(
        found=len(listed),
        created=_names(created),
        changed=_names(asset for asset in changed if asset.provider_id not in back),
        retired=_names(gone),
        returned=_names(returned),
    )
    _write_down(account, kind, counts, now)
    return counts


def _write_down(account: CloudAccount, kind: str, counts: Counts, now: datetime) -> None:
    what = {name: list(getattr(counts, name)) for name in ("created", "changed", "retired", "returned")}
    if not any(what.values()):
        return
    detail: dict[str, object] = {"kind": kind, "found": counts.found}
    detail |= {name: {"count": len(names), "names": names[:NAMES_IN_AUDIT]} for name, names in what.items() if names}
    audit.record(
        action="cloud_account.sync", actor=None, customer=account.customer, obj=account, detail=detail, now=now
    )


SYNCED_FIELDS = (
    "name", "region", "zone", "spec", "private_ip", "public_ip", "host", "port", "url", "os", "engine", "product",
    "status", "expires_at", "tags", "details", "simulated", "environment",
)  # fmt: skip


def _new(account: CloudAccount, resource: Resource, now: datetime) -> Asset:
    asset = Asset(
        customer_id=account.customer_id,
        cloud_account=account,
        kind=resource.kind,
        provider_id=resource.provider_id,
        created_at=now,
        seen_at=now,
    )
    _update(asset, resource, now)
    asset.simulated = account.simulated
    return asset


def _update(asset: Asset, resource: Resource, now: datetime) -> bool:
    """Take over what the provider says; True when anything changed. What people wrote is left alone."""
    values: dict[str, object] = {
        "name": resource.name[:200],
        "region": resource.region,
        "zone": resource.zone,
        "spec": resource.spec[:120],
        "private_ip": resource.private_ip or None,
        "public_ip": resource.public_ip or None,
        "host": resource.host,
        "port": resource.port,
        "url": resource.url,
        "os": resource.os,
        "engine": resource.engine[:80],
        "product": resource.product[:40],
        "status": resource.status,
        "expires_at": resource.expires_at,
        "tags": dict(resource.tags),
        "details": dict(resource.details),
        "retired_at": None,
    }
    if asset.environment == Environment.UNKNOWN:
        values["environment"] = _environment(resource)
    changed = [name for name, value in values.items() if getattr(asset, name) != value]
    for name in changed:
        setattr(asset, name, values[name])
    if changed:
        asset.changed_at = now
    return bool(changed)


def _environment(resource: Resource) -> str:
    tags = {key.lower(): value.lower() for key, value in resource.tags.items()}
    told = (tags[name] for name in ENVIRONMENT_TAGS if name in tags)
    return next((ENVIRONMENTS[value] for value in told if value in ENVIRONMENTS), Environment.UNKNOWN)


def _names(assets: Iterable[Asset]) -> tuple[str, ...]:
    return tuple(f"{asset.name} ({asset.provider_id})" for asset in assets)
