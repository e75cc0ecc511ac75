"""What people do with runs: plan one (the dry run), start it, stop it, take it back, settle what is not known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import uuid4

from celery import current_app
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from assets.aliyun import AliyunError
from assets.models import AccountPurpose, Asset, CloudAccount, Credential, CredentialKind, Kind
from changes import operations
from changes.models import Change, ChangeState, OperationRun, RunLine, RunState, RunStep, StepState
from changes.models.runs import way_back
from changes.operations.executable import Executable, Job, Refused, Step, with_tokens
from changes.permissions import may_ever
from changes.run_words import problem_text
from changes.services import clouds, script_runs, windows
from changes.services.marks import allowed, hold
from changes.states import Verb
from notify import live
from timers import services as timers

ADVANCE_TASK: Final = "changes.advance_run"
WAKE_TASK: Final = "changes.wake_run"
Line = RunLine.Kind


def plan(
    *, change: Change, actor: User, now: datetime, backup: bool = False, account: CloudAccount | None = None
) -> list[OperationRun]:
    """The dry run: ask the cloud whether it can be done, and keep the exact calls. Nothing is changed.

    `backup`: not the change's own operation but the backup of its assets that its gate waits for. Raises DomainError
    with what stands against it.
    """
    allowed(Verb.RUN_BACKUP if backup else Verb.DRY_RUN, change, actor)
    places = _places(change, backup=backup, account=account)
    planned = [(place, token := uuid4().hex, _calls(place, change, token, now)) for place in places]
    with transaction.atomic():
        change = hold(change)
        allowed(Verb.RUN_BACKUP if backup else Verb.DRY_RUN, change, actor)
        return [
            _keep(change, place, token, steps, backup=backup, actor=actor, now=now) for place, token, steps in planned
        ]


class _Place:
    """Where an operation is carried out: an asset of the change, or the account itself."""

    def __init__(
        self, executable: Executable, account: CloudAccount, asset: Asset | None, fields: dict[str, object]
    ) -> None:
        self.executable, self.account, self.asset, self.fields = executable, account, asset, fields
        self.region = asset.region if asset is not None and asset.region else _first(account.regions)


def _places(change: Change, *, backup: bool, account: CloudAccount | None) -> list[_Place]:
    assets = list(change.assets.select_related("cloud_account").order_by("name", "pk"))
    if any(asset.customer_id != change.customer_id for asset in assets):
        raise DomainError(_("One of the assets is not this customer's. Nothing was saved."), code="other_customer")
    there = [asset for asset in assets if asset.cloud_account is not None and asset.retired_at is None]
    found = []
    for asset in there:
        assert asset.cloud_account is not None  # noqa: S101 - the line above
        one = _executable(change, asset.kind, backup=backup)
        if one is not None and one.kinds:
            fields = {} if backup else {name: change.fields[name] for name in one.reads if name in change.fields}
            found.append(_Place(one, asset.cloud_account, asset, fields))
    whole = None if backup else _executable(change, "", backup=False)
    if not found and whole is not None:
        chosen = account or _only_account(change, there)
        fields = {name: change.fields[name] for name in whole.reads if name in change.fields}
        found.append(_Place(whole, chosen, None, fields))
    if not found:
        raise DomainError(_("The platform cannot carry this out itself: an engineer does it."), code="by_hand")
    return found


def _executable(change: Change, kind: str, *, backup: bool) -> Executable | None:
    return operations.backup_of(kind) if backup else operations.find(change.operation, change.fields, kind)


def _only_account(change: Change, assets: Sequence[Asset]) -> CloudAccount:
    named = {asset.cloud_account for asset in assets}
    known = list(named) or list(CloudAccount.objects.existing().filter(customer_id=change.customer_id)[:2])
    if len(known) != 1 or known[0] is None:
        raise DomainError(_("Please say which cloud account it is about."), code="which_account")
    return known[0]


def _calls(place: _Place, change: Change, token: str, now: datetime) -> Sequence[Step]:
    cloud = clouds.reader(place.account, place.region, now=now)
    provider_id = "" if place.asset is None else place.asset.provider_id
    job = make_job(place.account, provider_id, place.fields, token, change.number)
    with _refusals(str(place.asset or place.account)):
        return place.executable.plan(cloud, job)


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """What a pre-check and the cloud say against it, as a sentence for people."""
    try:
        yield
    except Refused as refused:
        raise DomainError(
            f"{name}: {problem_text(refused.code, refused.detail)}", code=f"refused_{refused.code}"
        ) from None
    except AliyunError as error:
        raise DomainError(
            _("%(name)s: the cloud says %(code)s. Nothing was changed.") % {"name": name, "code": error.code},
            code="cloud_error",
        ) from None


def make_job(account: CloudAccount, provider_id: str, fields: dict[str, object], token: str, label: str) -> Job:
    """With what the pre-checks must know of the account: its servers, and which users are the platform's and the
    provider's own."""
    servers = Asset.objects.filter(cloud_account=account, kind=Kind.ECS, retired_at=None)
    users = Credential.objects.in_use().filter(
        cloud_account=account, kind__in=(CredentialKind.ACCESS_KEY, CredentialKind.CONSOLE)
    )
    ours = users.filter(purpose__in=(AccountPurpose.OPERATIONS, AccountPurpose.READING))
    return Job(
        provider_id,
        fields,
        token,
        label,
        frozenset(servers.values_list("provider_id", flat=True)),
        frozenset({account.key_user, account.ram_username, *ours.values_list("username", flat=True)} - {""}),
    )


def _keep(
    change: Change,
    place: _Place,
    token: str,
    steps: Sequence[Step],
    *,
    backup: bool,
    actor: User,
    now: datetime,
) -> OperationRun:
    """A dry run that was never started is replaced by the new one."""
    stale = OperationRun.objects.filter(
        change=change,
        asset=place.asset,
        operation=place.executable.code,
        is_backup=backup,
        state=RunState.PLANNED,
        undoes=None,
    ).first()
    run = stale or OperationRun(customer_id=change.customer_id, change=change, asset=place.asset, is_backup=backup)
    run.cloud_account, run.region, run.operation = place.account, place.region, place.executable.code
    run.fields, run.revision, run.token = place.fields, change.revision, token
    run.planned_by, run.planned_at = actor, now
    run.save()
    _keep_steps(run, steps)
    write(run, Line.PLANNED, at=now, actor=actor, data={"calls": len(steps)})
    _tell_pages(run)
    return run


def _keep_steps(run: OperationRun, steps: Sequence[Step]) -> None:
    run.steps.all().delete()
    RunStep.objects.bulk_create(
        RunStep(
            customer_id=run.customer_id,
            run=run,
            position=place,
            product=step.product,
            action=step.action,
            params=dict(step.params),
            repeat=step.repeat.value,
            keeps=list(step.keeps),
            before=dict(step.before),
        )
        for place, step in enumerate(steps, 1)
    )


def verb_of(run: OperationRun) -> Verb:
    """By which line of the table of transitions its calls may be sent."""
    if run.undoes_id is not None:
        return Verb.UNDO
    return Verb.RUN_BACKUP if run.is_backup else Verb.RUN


def may_start(run: OperationRun, verbs: Collection[Verb]) -> bool:
    """Whether somebody with these verbs may carry the dry run out now."""
    return run.state == RunState.PLANNED and run.operation in operations.EXECUTABLES and verb_of(run) in verbs


@transaction.atomic
def start(*, run: OperationRun, actor: User, now: datetime) -> OperationRun:
    """Carry out what the dry run showed."""
    run, change = hold_run(run)
    _may(actor, Verb.RUN)
    _must_be_known(run)
    allowed(verb_of(run), change, actor)
    _must_be(run, RunState.PLANNED)
    if verb_of(run) is Verb.RUN and run.revision != change.revision:
        raise DomainError(
            _("%(number)s was rewritten since the dry run: make a new one. Nothing was changed.")
            % {"number": change.number},
            code="rewritten",
        )
    if verb_of(run) is Verb.RUN:
        windows.must_not_be_over(change, now)
    clouds.operations_key(run.cloud_account)
    run.state, run.started_by, run.started_at, run.next_at = RunState.RUNNING, actor, now, None
    try:
        with transaction.atomic():
            run.save()
    except IntegrityError:
        raise DomainError(_("Another run is working on “%(name)s”.") % {"name": run.target}, code="busy") from None
    write(run, Line.STARTED, at=now, actor=actor)
    _record(run, "start", actor, now)
    wake_later(run, now + OperationRun.LEASE)
    publish(run)
    _tell_pages(run)
    return run


@transaction.atomic
def stop(*, run: OperationRun, actor: User, now: datetime) -> OperationRun:
    """No further call is sent. One that was accepted is followed to its end: nothing is left half-way unseen."""
    run, _change = hold_run(run)
    _may(actor, Verb.RUN)
    if run.state == RunState.PLANNED:
        run.state, run.ended_at = RunState.CANCELLED, now
    elif run.state in OperationRun.ACTIVE:
        run.is_stopping = True
    else:
        _must_be(run, RunState.RUNNING)
    run.save(update_fields=["state", "ended_at", "is_stopping"])
    write(run, Line.STOPPED if run.state == RunState.CANCELLED else Line.STOPPING, at=now, actor=actor)
    _record(run, "stop", actor, now)
    _tell_pages(run)
    return run


def undo(*, run: OperationRun, actor: User, now: datetime) -> OperationRun:
    """The dry run of the way back, as a run of its own. The cloud is asked whether it can be gone."""
    allowed(Verb.UNDO, run.change, actor)
    _must_be_known(run)
    _check_back(run, now)
    with transaction.atomic():
        return _keep_back(run, actor, now)


def _check_back(run: OperationRun, now: datetime) -> None:
    steps, check = way_back(run), run.executable.check_back
    if not steps or check is None:
        return
    provider_id = "" if run.asset is None else run.asset.provider_id
    cloud = clouds.reader(run.cloud_account, run.region, now=now)
    with _refusals(run.target):
        check(cloud, make_job(run.cloud_account, provider_id, run.fields, run.token, run.change.number), steps)


def _keep_back(run: OperationRun, actor: User, now: datetime) -> OperationRun:
    run, change = hold_run(run)
    allowed(Verb.UNDO, change, actor)
    steps = way_back(run) if run.may_be_undone else ()
    if not steps:
        raise DomainError(_("There is nothing here that could be undone."), code="no_way_back")
    if run.undoings.exclude(state__in=(RunState.FAILED, RunState.CANCELLED)).exists():
        raise DomainError(_("It is being undone already."), code="undoing")
    token = uuid4().hex
    back = OperationRun.objects.create(
        customer_id=run.customer_id,
        change=change,
        asset=run.asset,
        cloud_account=run.cloud_account,
        region=run.region,
        operation=run.operation,
        fields=run.fields,
        undoes=run,
        revision=change.revision,
        token=token,
        planned_by=actor,
        planned_at=now,
    )
    _keep_steps(back, with_tokens(steps, token))
    write(run, Line.UNDOING, at=now, actor=actor)
    write(back, Line.PLANNED, at=now, actor=actor, data={"calls": len(steps)})
    _tell_pages(back)
    return back


@transaction.atomic
def look_again(*, run: OperationRun, actor: User, now: datetime) -> OperationRun:
    """What is not known is asked of the cloud once more."""
    run, _change = hold_run(run)
    _may(actor, Verb.RUN)
    _must_be(run, RunState.UNKNOWN)
    run.steps.filter(state__in=(StepState.SENDING, StepState.ACCEPTED)).update(looks=0, sent_at=now)
    run.state, run.ended_at, run.next_at = RunState.RUNNING, None, None
    run.problem_code = run.problem = ""
    try:
        with transaction.atomic():
            run.save()
    except IntegrityError:
        raise DomainError(_("Another run is working on “%(name)s”.") % {"name": run.target}, code="busy") from None
    write(run, Line.AGAIN, at=now, actor=actor)
    wake_later(run, now + OperationRun.LEASE)
    publish(run)
    _tell_pages(run)
    return run


@transaction.atomic
def give_up(*, run: OperationRun, actor: User, now: datetime) -> OperationRun:
    """A person has looked at the cloud: what is not known counts as failed."""
    run, _change = hold_run(run)
    _may(actor, Verb.RUN)
    _must_be(run, RunState.UNKNOWN)
    run.state = RunState.FAILED
    run.save(update_fields=["state"])
    write(run, Line.FAILED, at=now, actor=actor, data={"code": "given_up"})
    _record(run, "give_up", actor, now)
    _tell_pages(run)
    return run


def must_have_ended(change: Change) -> None:
    """Raises DomainError while the platform still works for this change."""
    script_runs.must_have_ended(change)
    left = OperationRun.objects.filter(change=change).filter(state__in=(*OperationRun.ACTIVE, RunState.UNKNOWN))
    if left.exists():
        raise DomainError(_("A run is not over yet: wait for it, or settle what is not known."), code="runs_left")


def wake(*, run_id: int, now: datetime) -> None:
    """The timer rang: a run goes on, and its timer is armed anew in case that worker dies as well."""
    run = OperationRun.objects.active().filter(pk=run_id).first()
    if run is not None:
        wake_later(run, now + OperationRun.LEASE)
        publish(run)


def publish(run: OperationRun) -> None:
    """Tell a worker after commit. Should the queue lose it, the run's timer tells it again."""
    send = partial(current_app.send_task, ADVANCE_TASK, args=[run.customer_id, run.pk], queue="automation")
    transaction.on_commit(send, robust=True)


def wake_later(run: OperationRun, at: datetime) -> None:
    timers.set(
        key=timer_key(run),
        due_at=at + timedelta(seconds=1),
        task=WAKE_TASK,
        args={"run_id": run.pk},
        customer=run.customer_id,
    )


def timer_key(run: OperationRun) -> str:
    return f"run:{run.pk}:"


def hold_run(run: OperationRun) -> tuple[OperationRun, Change]:
    """The run and its change as they are now, held until the transaction ends; the change first, as everywhere."""
    change = hold(run.change)
    rows = OperationRun.objects.for_lists().select_for_update(no_key=True, of=("self",))
    return rows.get(pk=run.pk), change


def write(
    run: OperationRun,
    kind: RunLine.Kind,
    *,
    at: datetime,
    actor: User | None = None,
    data: dict[str, object] | None = None,
) -> None:
    RunLine.objects.create(customer_id=run.customer_id, run=run, at=at, kind=kind, actor=actor, data=data or {})


def _tell_pages(run: OperationRun) -> None:
    live.publish(customer_id=run.customer_id, topic="changes", object_id=run.change_id)


def _record(run: OperationRun, verb: str, actor: User, now: datetime) -> None:
    detail = {"run": run.pk, "operation": run.operation, "target": run.target}
    audit.record(
        action=f"automation.{verb}", actor=actor, customer=run.change.customer, obj=run.change, detail=detail, now=now
    )


def _may(actor: User, verb: Verb) -> None:
    if not may_ever(actor, verb):
        raise PermissionDenied


def _must_be_known(run: OperationRun) -> None:
    """A dry run of an earlier release may be of an operation that this one does not have."""
    if run.operation not in operations.EXECUTABLES:
        raise DomainError(_("The platform does not carry this operation out any more."), code="unknown_operation")


def _must_be(run: OperationRun, state: RunState) -> None:
    if run.state != state:
        raise DomainError(
            _("The run is now “%(state)s”, so this is not possible. Nothing was changed.")
            % {"state": RunState(run.state).label},
            code="wrong_state",
        )


def _first(regions: Sequence[str]) -> str:
    return regions[0] if regions else "cn-hangzhou"


def offers(change: Change) -> tuple[bool, bool]:
    """Whether the platform can carry out the change itself, and whether it can back up what it touches."""
    kinds = [asset.kind for asset in change.assets.all() if asset.cloud_account_id is not None]
    own = any(operations.find(change.operation, change.fields, kind) for kind in ["", *kinds])
    backs_up = change.state in (ChangeState.PREPARING, ChangeState.READY, ChangeState.EXECUTING)
    return own, backs_up and any(operations.backup_of(kind) for kind in kinds)
