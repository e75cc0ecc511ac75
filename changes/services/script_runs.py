"""What people do with script runs: plan one (the dry run), start, pause, stop, go on, judge a host, run it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from celery import current_app
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider
from assets.models import Asset, Kind
from changes import states
from changes.catalogue import Type
from changes.models import SCRIPT_RUN, Change, ChangeEntry, HostState, ScriptHost, ScriptLine, ScriptRun, ScriptVersion
from changes.models import ScriptRunState as State
from changes.operation_forms import form_field
from changes.permissions import may_ever, side_of
from changes.script_words import fault_text, problem_text
from changes.scripts import BadScript, as_text, command, parse, parse_values
from changes.services import script_library, transports, windows
from changes.services.marks import allowed, hold
from changes.services.marks import write as write_entry
from changes.services.transports import Ways
from changes.states import Verb
from changes.words import said as in_words
from notify import live
from timers import services as timers

ADVANCE_TASK: Final = "changes.advance_script_run"
WAKE_TASK: Final = "changes.wake_script_run"
KINDS: Final = (Kind.ECS, Kind.SERVER)
MOST_HOSTS: Final = 500
MOST_AT_A_TIME: Final = 20
Line = ScriptLine.Kind


@dataclass(frozen=True, slots=True)
class Pace:
    """How careful one goes. `canary`: the host that comes first; none: the first by name."""

    batch_size: int = 5
    max_failures: int = 0
    waits_after_canary: bool = True
    canary: Asset | None = None


def plan_reading(
    *,
    customer: Customer,
    version: ScriptVersion,
    given: Mapping[str, object],
    assets: Sequence[Asset],
    reason: str,
    pace: Pace,
    actor: User,
    now: datetime,
) -> ScriptRun:
    """The dry run of a script that only reads: it needs no change, but a reason. Nothing is sent."""
    if not is_provider(actor):
        raise PermissionDenied
    if not version.only_reads:
        raise DomainError(_("This script changes something: it runs under a change only."), code="needs_change")
    if not reason.strip():
        raise DomainError(_("Please write what it is for."), code="text_missing")
    if version.customer_id not in (None, customer.pk):
        raise DomainError(_("The script is another customer's. Nothing was planned."), code="other_customer")
    _must_be_approved(version)
    values = checked(version, given)
    with transaction.atomic():
        audit.hold(customer.pk)
        run = ScriptRun(customer=customer, version=version, reason=reason.strip()[:300], values=values)
        return _plan(run, assets, pace, actor, now)


def plan_for_change(*, change: Change, pace: Pace, actor: User, now: datetime) -> ScriptRun:
    """The dry run of the script that the change names, with its parameters, on its assets. Nothing is sent."""
    with transaction.atomic():
        change = hold(change)
        allowed(Verb.DRY_RUN, change, actor)
        version, values = named_by(change)
        run = ScriptRun(
            customer=change.customer, version=version, change=change, revision=change.revision, values=values
        )
        return _plan(run, list(change.assets.order_by("name", "pk")), pace, actor, now)


def named_by(change: Change) -> tuple[ScriptVersion, dict[str, str]]:
    """The version and checked values that were signed and approved. Raises DomainError when they are not right."""
    if change.operation != SCRIPT_RUN:
        raise DomainError(_("This change does not say that a script is run."), code="no_script")
    try:
        code, number = parse(str(change.fields.get("script", "")))
        given = parse_values(str(change.fields.get("parameters", "")))
    except BadScript as fault:
        raise DomainError(fault_text(fault.code, fault.detail), code=fault.code) from None
    version = script_library.find(code, number, customer_id=change.customer_id, told_at=change.told_at)
    return version, checked(version, given)


def checked(version: ScriptVersion, given: Mapping[str, object]) -> dict[str, str]:
    """The values as the script gets them. Raises DomainError with the parameter that is not right."""
    fields = {field.name: field for field in version.fields}
    if strange := sorted(set(given) - set(fields)):
        raise DomainError(fault_text("unknown_parameter", strange[0][:80]), code="unknown_parameter")
    found = {}
    for name, field in fields.items():
        value = given.get(name)
        try:
            clean = form_field(field).clean(_truth(value) if field.type is Type.BOOLEAN else value)
        except ValidationError as wrong:
            raise DomainError(f"{in_words(field.words)}: {' '.join(wrong.messages)}", code="bad_value") from None
        text = "" if clean is None else as_text(clean)
        if not text.isprintable():
            raise DomainError(
                _("%(name)s: one line of readable characters, please.") % {"name": in_words(field.words)},
                code="bad_value",
            )
        found[name] = text
    return found


def _truth(value: object) -> object:
    """In a change it is written down as a word."""
    return str(value).strip().lower() in ("yes", "true", "on", "1", "是") if isinstance(value, str) else bool(value)


def _plan(run: ScriptRun, assets: Sequence[Asset], pace: Pace, actor: User, now: datetime) -> ScriptRun:
    chosen = _in_order(run, assets, pace)
    run.batch_size = max(1, min(pace.batch_size, MOST_AT_A_TIME))
    run.max_failures, run.waits_after_canary = pace.max_failures, pace.waits_after_canary
    run.planned_by, run.planned_at = actor, now
    run.save()
    if run.change_id is not None:
        for stale in ScriptRun.objects.filter(change=run.change_id, state=State.PLANNED).exclude(pk=run.pk):
            end(stale, State.STOPPED, Line.STOPPED, now=now, code="replaced")
    hosts = _hosts(run, chosen)
    if pace.canary is not None and hosts[0].state == HostState.SKIPPED:
        raise DomainError(
            _("The canary %(name)s cannot be reached: %(why)s Nothing was planned.")
            % {"name": pace.canary.name, "why": problem_text(hosts[0].problem_code)},
            code="no_canary",
        )
    ScriptHost.objects.bulk_create(_reachable_first(hosts))
    write(run, Line.PLANNED, at=now, actor=actor, hosts=len(hosts))
    _record(run, "plan", actor, now)
    tell_pages(run)
    return run


def _reachable_first(hosts: list[ScriptHost]) -> list[ScriptHost]:
    """Those that cannot be reached come last, so that a canary that nobody chose is one that can."""
    found = sorted(hosts, key=lambda host: (host.state == HostState.SKIPPED, host.position))
    for place, host in enumerate(found, 1):
        host.position = place
    return found


def _in_order(run: ScriptRun, assets: Sequence[Asset], pace: Pace) -> list[Asset]:
    chosen = [asset for asset in assets if asset.kind in KINDS and asset.retired_at is None]
    if any(asset.customer_id != run.customer_id for asset in assets):
        raise DomainError(_("One of the assets is not this customer's. Nothing was saved."), code="other_customer")
    if not chosen:
        raise DomainError(_("Please choose at least one server."), code="no_assets")
    if len(chosen) > MOST_HOSTS:
        raise DomainError(_("At most %(most)d servers at once.") % {"most": MOST_HOSTS}, code="too_many")
    if pace.canary is not None and pace.canary not in chosen:
        raise DomainError(_("The canary is not one of the servers."), code="no_canary")
    return sorted(chosen, key=lambda asset: (asset != pace.canary, asset.name, asset.pk))


def _hosts(run: ScriptRun, chosen: Sequence[Asset]) -> list[ScriptHost]:
    ways = transports.ways(chosen, run.version.accounts, as_root=run.version.as_root)
    return [_host(run, place, asset, ways) for place, asset in enumerate(chosen, 1)]


def _host(run: ScriptRun, place: int, asset: Asset, ways: Ways) -> ScriptHost:
    host = ScriptHost(customer_id=run.customer_id, run=run, position=place, asset=asset)
    script = run.version.content
    try:
        way = ways.through(asset)
        host.credential = ways.account_for(asset)
    except DomainError as refused:
        host.state, host.problem_code = HostState.SKIPPED, refused.code
        return host
    user = host.credential.username
    host.address = transports.address(host.credential, way)
    host.command = f"{'sudo -n ' if script.as_root and user != 'root' else ''}{command(script, run.values)}"
    return host


@transaction.atomic
def start(*, run: ScriptRun, actor: User, now: datetime) -> ScriptRun:
    """Carry out what the dry run showed."""
    run = hold_run(run)
    _may(actor)
    _must_be(run, State.PLANNED)
    must_be_let(run, actor)
    if run.change is not None:
        _must_be_as_signed(run, run.change)
        windows.must_not_be_over(run.change, now)
    if not run.hosts.filter(state=HostState.PLANNED).exists():
        raise DomainError(_("None of the hosts can be reached. Nothing was sent."), code="no_hosts")
    run.state, run.started_by, run.started_at = State.RUNNING, actor, now
    run.save()
    write(run, Line.STARTED, at=now, actor=actor)
    _record(run, "start", actor, now)
    note_in_change(run, actor=actor, now=now)
    _go(run, now)
    return run


@transaction.atomic
def pause(*, run: ScriptRun, actor: User, now: datetime) -> ScriptRun:
    """No further host is begun; those that are at work come to their end."""
    run = hold_run(run)
    _may(actor)
    _must_be(run, State.RUNNING)
    run.wants_pause = True
    run.save(update_fields=["wants_pause"])
    write(run, Line.PAUSING, at=now, actor=actor)
    _record(run, "pause", actor, now)
    tell_pages(run)
    return run


@transaction.atomic
def go_on(*, run: ScriptRun, actor: User, now: datetime) -> ScriptRun:
    """Somebody has looked: the hosts to come are next. What failed so far is forgiven."""
    run = hold_run(run)
    _may(actor)
    _must_be(run, State.PAUSED)
    must_be_let(run, actor)
    if run.change is not None:
        windows.must_not_be_over(run.change, now)
    run.state, run.problem_code, run.wants_pause, run.wants_stop = State.RUNNING, "", False, False
    run.forgiven = failures(run)
    run.save()
    write(run, Line.WENT_ON, at=now, actor=actor)
    _record(run, "go_on", actor, now)
    _go(run, now)
    return run


@transaction.atomic
def stop(*, run: ScriptRun, actor: User, now: datetime) -> ScriptRun:
    """It ends here: the hosts to come are left out; those that are at work come to their end."""
    run = hold_run(run)
    _may(actor)
    if run.state == State.RUNNING:
        run.wants_stop = True
        run.save(update_fields=["wants_stop"])
        write(run, Line.STOPPING, at=now, actor=actor)
    else:
        if run.state != State.PLANNED:
            _must_be(run, State.PAUSED)
        end(run, State.STOPPED, Line.STOPPED, now=now, code="stopped_by_person", actor=actor)
    _record(run, "stop", actor, now)
    tell_pages(run)
    return run


@transaction.atomic
def judge(*, host: ScriptHost, is_done: bool, words: str, actor: User, now: datetime) -> ScriptHost:
    """A person has looked at a host of which nobody knew whether it was done."""
    run = hold_run(host.run)
    _may(actor)
    host = run.hosts.select_for_update(of=("self",)).select_related("asset").get(pk=host.pk)
    if host.state != HostState.UNKNOWN:
        raise DomainError(_("How it went on this host is known. Nothing was changed."), code="wrong_state")
    if not words.strip():
        raise DomainError(_("Please write what you saw there."), code="text_missing")
    host.state = HostState.DONE if is_done else HostState.FAILED
    host.save(update_fields=["state"])
    if is_done and _was_forgiven(run, host):
        run.forgiven -= 1
        run.save(update_fields=["forgiven"])
    seen = {"host": host.asset.name, "as": HostState(host.state).value, "words": words.strip()[:300]}
    write(run, Line.JUDGED, at=now, actor=actor, **seen)
    _record(run, "judge", actor, now, **seen)
    tell_pages(run)
    return host


def _was_forgiven(run: ScriptRun, host: ScriptHost) -> bool:
    """It counted as a failure when somebody last went on; a success must not forgive another host's failure."""
    went_on = run.lines.filter(kind=Line.WENT_ON).order_by("pk").last()
    is_older = went_on is not None and host.ended_at is not None and host.ended_at <= went_on.at
    return run.forgiven > 0 and is_older


@transaction.atomic
def again(*, host: ScriptHost, actor: User, now: datetime) -> ScriptHost:
    """A host that failed, and was looked at, has another turn when the run goes on."""
    run = hold_run(host.run)
    _may(actor)
    _must_be(run, State.PAUSED)
    host = run.hosts.select_for_update(of=("self",)).select_related("asset").get(pk=host.pk)
    if host.state != HostState.FAILED:
        raise DomainError(_("Only a host on which it failed is done once more."), code="wrong_state")
    host.state, host.problem_code, host.exit_status = HostState.PLANNED, "", None
    host.stdout = host.stderr = ""
    host.stdout_is_cut = host.stderr_is_cut = False
    host.save()
    write(run, Line.AGAIN, at=now, actor=actor, host=host.asset.name)
    _record(run, "again", actor, now, host=host.asset.name)
    tell_pages(run)
    return host


def must_be_let(run: ScriptRun, actor: User | None) -> None:
    """What has to be true whenever a further host is begun. Raises DomainError. The caller holds the change."""
    _must_be_approved(run.version)
    if run.change is None:
        if not run.version.only_reads:
            raise DomainError(_("This script changes something: it runs under a change only."), code="needs_change")
        return
    if states.find(Verb.RUN, run.change.stage, side_of(actor)) is None:
        raise DomainError(problem_text("not_executing"), code="not_executing")
    if run.revision != run.change.revision:
        raise DomainError(problem_text("rewritten"), code="rewritten")


def _must_be_as_signed(run: ScriptRun, change: Change) -> None:
    """The dry run may be older than the risk that was told; and one run at a time. The caller holds the change."""
    if named_by(change) != (run.version, run.values):
        raise DomainError(
            _("The change names another version or other values than this dry run showed. Make the dry run again."),
            code="rewritten",
        )
    if ScriptRun.objects.filter(change=change, state__in=ScriptRun.OPEN).exists():
        raise DomainError(_("Another run of this change is not over yet. Nothing was sent."), code="busy")


def must_have_ended(change: Change) -> None:
    """Raises DomainError while a script runs, waits, or nobody knows what it did."""
    runs = ScriptRun.objects.filter(change=change)
    unknown = ScriptHost.objects.filter(run__change=change, state=HostState.UNKNOWN)
    if runs.filter(state__in=ScriptRun.OPEN).exists() or unknown.exists():
        raise DomainError(_("A run is not over yet: wait for it, or settle what is not known."), code="runs_left")


def failures(run: ScriptRun) -> int:
    """Hosts that did not succeed, whether one knows how or not."""
    return run.hosts.filter(state__in=(HostState.FAILED, HostState.UNKNOWN)).count()


def end(
    run: ScriptRun,
    state: State,
    line: ScriptLine.Kind,
    *,
    now: datetime,
    code: str = "",
    actor: User | None = None,
) -> None:
    """Nothing comes any more. The caller holds the run."""
    run.hosts.filter(state=HostState.PLANNED).update(state=HostState.SKIPPED, problem_code=code)
    was_started = run.started_at is not None
    run.state, run.problem_code, run.ended_at, run.leased_until = state, code, now, None
    run.wants_pause = run.wants_stop = False
    run.save()
    write(run, line, at=now, actor=actor, **({"code": code} if code else {}))
    timers.cancel(prefix=timer_key(run))
    if was_started:
        note_in_change(run, actor=actor, now=now)


def note_in_change(run: ScriptRun, *, actor: User | None, now: datetime) -> None:
    """A line in the change's timeline."""
    if run.change is None:
        return
    counts = {state: run.hosts.filter(state=state).count() for state in HostState.values}
    data: dict[str, object] = {"script_run": run.pk, "script": str(run.version), "state": run.state, "hosts": counts}
    write_entry(run.change, ChangeEntry.Kind.RUN, actor=actor or run.started_by, now=now, data=data)


def wake(*, run_id: int, now: datetime) -> None:
    """The timer rang: a run goes on, and its timer is armed anew in case that worker dies as well."""
    run = ScriptRun.objects.for_lists().filter(pk=run_id, state=State.RUNNING).first()
    if run is not None:
        _go(run, now)


def _go(run: ScriptRun, now: datetime) -> None:
    """Tell a worker after commit. Should the queue lose it, the run's timer tells it again."""
    wake_later(run, now)
    publish(run)
    tell_pages(run)


def publish(run: ScriptRun) -> None:
    send = partial(current_app.send_task, ADVANCE_TASK, args=[run.customer_id, run.pk], queue="automation")
    transaction.on_commit(send, robust=True)


def wake_later(run: ScriptRun, now: datetime) -> None:
    timers.set(
        key=timer_key(run),
        due_at=now + run.lease + timedelta(seconds=1),
        task=WAKE_TASK,
        args={"run_id": run.pk},
        customer=run.customer_id,
    )


def timer_key(run: ScriptRun) -> str:
    return f"script-run:{run.pk}:"


def hold_run(run: ScriptRun) -> ScriptRun:
    """The run and its change as they are now, held until the transaction ends; the change first, as everywhere."""
    change = None if run.change is None else hold(run.change)
    if change is None:
        audit.hold(run.customer_id)
    held = ScriptRun.objects.for_lists().select_for_update(no_key=True, of=("self",)).get(pk=run.pk)
    if change is not None:
        held.change = change
    return held


def write(run: ScriptRun, kind: ScriptLine.Kind, *, at: datetime, actor: User | None = None, **data: object) -> None:
    ScriptLine.objects.create(customer_id=run.customer_id, run=run, at=at, kind=kind, actor=actor, data=data)


def tell_pages(run: ScriptRun) -> None:
    live.publish(customer_id=run.customer_id, topic="scripts", object_id=run.pk)
    if run.change_id is not None:
        live.publish(customer_id=run.customer_id, topic="changes", object_id=run.change_id)


def _record(run: ScriptRun, verb: str, actor: User, now: datetime, **more: object) -> None:
    detail = {"script": str(run.version), "sha256": run.version.sha256, "change": run.change_id, **more}
    audit.record(action=f"script_run.{verb}", actor=actor, customer=run.customer, obj=run, detail=detail, now=now)


def _must_be_approved(version: ScriptVersion) -> None:
    if version.approved_at is None:
        raise DomainError(_("Nobody has approved this version yet. Nothing was sent."), code="not_approved")
    if version.retired_at is not None:
        raise DomainError(problem_text("retired"), code="retired")
    if not version.is_as_approved:
        raise DomainError(problem_text("tampered"), code="tampered")


def _may(actor: User) -> None:
    if not may_ever(actor, Verb.RUN):
        raise PermissionDenied


def _must_be(run: ScriptRun, state: State) -> None:
    if run.state != state:
        raise DomainError(
            _("The run is now “%(state)s”, so this is not possible. Nothing was changed.")
            % {"state": State(run.state).label},
            code="wrong_state",
        )
