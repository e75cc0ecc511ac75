"""The engine of script runs: the canary, then batch after batch, and what a dead worker left is never repeated blindly.

A host is RUNNING in the database before it hears of anything. Who finds one like that after the lease has run out
marks it unknown: a person looks. Threads talk to the hosts; they hold no Django and no row.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Q

from accounts.errors import DomainError
from accounts.vault import VaultError
from assets import ssh
from assets.models import Credential
from assets.services import reaching
from changes import script_messages
from changes.models import HostState, ScriptHost, ScriptLine, ScriptRun
from changes.models import ScriptRunState as State
from changes.script_words import problem_text
from changes.scripts import INCOMPLETE, KILLED, TIMED_OUT, Script, command, given
from changes.services import script_runs, transports
from changes.services.script_runs import hold_run, publish, tell_pages, wake_later, write
from changes.services.transports import Transport
from timers import services as timers

log = logging.getLogger(__name__)
Clock = Callable[[], datetime]
Outcome = tuple[str, int | None, str]
"""A problem's code, the exit status, and the command as it was really sent."""
Line = ScriptLine.Kind
SHOW_EVERY_S: Final = 1.0
"""How often what hosts say is kept while they say it."""
LOCAL_SLACK_S: Final = 20.0
"""After its own time-out a host has so long to say so before it counts as lost."""
HIDDEN: Final = "******"


@dataclass(frozen=True, slots=True)
class _Errand:
    """All that a thread needs for one host."""

    transport: Transport
    login: ssh.Login
    script: Script
    command: str
    output: ssh.Output

    def run(self) -> Outcome:
        said = self.command
        try:
            with self.transport.open(self.login) as session:
                way = self._root(session)
                said = f"{way.prefix}{self.command}"
                begun = time.monotonic()
                status = session.execute(
                    said,
                    self.output,
                    given=f"{way.given}{given(self.script)}",
                    timeout_s=self.script.timeout_s + LOCAL_SLACK_S,
                )
        except ssh.SshError as problem:
            return problem.code, None, said
        took_s = time.monotonic() - begun
        return _problem(status, self.output, is_late=took_s >= self.script.timeout_s), status, said

    def _root(self, session: ssh.Session) -> reaching.Root:
        if not self.script.as_root:
            return reaching.Root()
        try:
            return reaching.root_of(session, self.login, probe=PROBE)
        except ssh.SshError:  # a time-out of this question, too: the script was not sent
            raise ssh.SshError("unreachable") from None


PROBE: Final = "env true"
"""`env` is what the command begins with: where sudo lets that pass unasked, a password would be read by the script."""


def _problem(status: int | None, output: ssh.Output, *, is_late: bool) -> str:
    if status == TIMED_OUT or (is_late and status in (None, KILLED)):
        return "timed_out"
    if status is None:
        return "signal"
    if status == INCOMPLETE and not output.stdout.text and not output.stderr.text:
        return "incomplete"
    return "exit" if status else ""


NOT_KNOWN: Final = frozenset({"timeout", "lost", "worker_lost"})
"""Something was sent, and nobody knows what came of it."""


def advance(*, run_id: int, clock: Clock) -> ScriptRun | None:
    """Take a run one batch further. None when somebody else has it or nothing is to be done."""
    now = clock()
    run = ScriptRun.objects.for_lists().filter(pk=run_id, state=State.RUNNING).first()
    if run is None:
        return None
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    mine = ScriptRun.objects.filter(free, pk=run_id, state=State.RUNNING)
    if not mine.update(leased_until=now + run.lease):
        return None
    if batch := _begin_batch(run, clock):
        _carry_out(run, batch, clock)
    return _after(run, clock)


def _begin_batch(run: ScriptRun, clock: Clock) -> list[ScriptHost]:
    """The hosts that are next, marked as running; none when the run is over or has to wait."""
    now = clock()
    with transaction.atomic():
        run = hold_run(run)
        if _left_by_dead_worker(run, now) or run.state != State.RUNNING:
            return []
        if run.wants_stop:
            script_runs.end(run, State.STOPPED, Line.STOPPED, now=now, code="stopped_by_person")
            return []
        try:
            script_runs.must_be_let(run, run.started_by)
        except DomainError as refused:
            script_runs.end(run, State.STOPPED, Line.STOPPED, now=now, code=refused.code)
            script_messages.needs_person(run, now=now)
            tell_pages(run)
            return []
        if run.wants_pause:
            _pause(run, "paused_by_person", now)
            return []
        batch = _next(run)
        for host in batch:
            _mark(host, now)
        begun = [host for host in batch if host.state == HostState.RUNNING]
        if begun:
            write(run, Line.BATCH, at=now, hosts=", ".join(host.asset.name for host in begun))
        tell_pages(run)
        return begun


def _left_by_dead_worker(run: ScriptRun, now: datetime) -> bool:
    """Whoever had the lease is dead: what it had begun is unknown, and a person decides."""
    left = list(run.hosts.filter(state=HostState.RUNNING))
    if not left:
        return False
    for host in left:
        host.state, host.problem_code, host.ended_at = HostState.UNKNOWN, "worker_lost", now
        host.save(update_fields=["state", "problem_code", "ended_at"])
    _pause(run, "worker_lost", now)
    return True


def _next(run: ScriptRun) -> list[ScriptHost]:
    """The canary alone, then as many as go at a time."""
    rows = run.hosts.select_related("asset", "credential__asset", "credential__customer").filter(
        state=HostState.PLANNED
    )
    first = rows.first()
    if first is None:
        return []
    is_canary = not run.hosts.filter(state=HostState.DONE).exists() and not run.forgiven
    return [first] if is_canary else list(rows[: run.batch_size])


def _mark(host: ScriptHost, now: datetime) -> None:
    host.state, host.problem_code, host.started_at, host.ended_at = HostState.RUNNING, "", now, None
    host.attempts += 1
    try:
        with transaction.atomic():
            host.save()
    except IntegrityError:  # the constraint `one_script_at_a_time_per_host`
        host.state, host.problem_code, host.ended_at = HostState.FAILED, "busy", now
        host.save()


def _carry_out(run: ScriptRun, batch: Sequence[ScriptHost], clock: Clock) -> None:
    """All of a batch at once; what they say is kept as they say it. Whatever goes wrong here, every outcome is kept."""
    working: dict[Future[Outcome], tuple[ScriptHost, _Errand]] = {}
    with ThreadPoolExecutor(max_workers=len(batch)) as pool:
        try:
            for host in batch:
                errand = _errand(run, host, clock)
                if errand is not None:
                    working[pool.submit(errand.run)] = (host, errand)
            while working:
                done, _rest = wait(working, timeout=SHOW_EVERY_S, return_when="FIRST_COMPLETED")
                for future in done:
                    host, errand = working.pop(future)
                    _keep(host, errand, _outcome(future, errand), clock())
                _show_all(run, working.values())
        finally:
            for future, (host, errand) in working.items():
                _keep(host, errand, _outcome(future, errand), clock())


def _outcome(future: Future[Outcome], errand: _Errand) -> Outcome:
    try:
        return future.result()
    except Exception:  # nobody knows how far the thread had come
        log.exception("a script's thread failed")
        return "worker_lost", None, errand.command


def _errand(run: ScriptRun, host: ScriptHost, clock: Clock) -> _Errand | None:
    """None, and the host has failed, when there is no way to it any more: nothing was sent."""
    script, now = run.version.content, clock()
    reason = f"{run.change.number if run.change else ''} {run.version}".strip()
    assert host.credential is not None  # noqa: S101 - only hosts with an account are planned
    try:
        transport = _way_shown(host, host.credential)
        login = transports.login(host.credential, reason=reason, actor=run.started_by, now=now)
    except DomainError as refused:
        code = refused.code
    except VaultError:
        log.exception("the secret of credential %d does not open", host.credential.pk)
        code = "no_secret"
    else:
        return _Errand(transport, login, script, command(script, run.values), ssh.Output(script.output_limit))
    host.state, host.problem_code, host.ended_at = HostState.FAILED, code, now
    host.save(update_fields=["state", "problem_code", "ended_at"])
    return None


def _way_shown(host: ScriptHost, credential: Credential) -> Transport:
    """The way that the dry run showed. Raises DomainError when it is another by now, or the asset is gone."""
    if host.asset.retired_at is not None:
        raise DomainError(problem_text("asset_retired"), code="asset_retired")
    way = transports.through(host.asset)
    if transports.address(credential, way) != host.address:
        raise DomainError(problem_text("moved"), code="moved")
    return way


def _keep(host: ScriptHost, errand: _Errand, outcome: Outcome, now: datetime) -> None:
    problem, host.exit_status, host.command = outcome
    host.problem_code, host.ended_at = problem, now
    host.state = HostState.UNKNOWN if problem in NOT_KNOWN else HostState.FAILED if problem else HostState.DONE
    try:
        with transaction.atomic():
            _show(host, errand, "problem_code", "exit_status", "command", "ended_at", "state")
    except DatabaseError:  # its row stays "running": whoever takes the run next has a person look
        log.exception("the outcome on host %d of a run could not be kept", host.pk)


def _show_all(run: ScriptRun, working: Iterable[tuple[ScriptHost, _Errand]]) -> None:
    """What they have said so far, for those who watch: never a reason to lose a batch."""
    try:
        with transaction.atomic():
            for host, errand in working:
                _show(host, errand)
            tell_pages(run)
    except DatabaseError:
        log.exception("what a script has said so far could not be kept")


def _show(host: ScriptHost, errand: _Errand, *more: str) -> None:
    out, err = errand.output.stdout, errand.output.stderr
    said = (_harmless(out.text, errand.login), _harmless(err.text, errand.login), out.is_cut, err.is_cut)
    if more or said != (host.stdout, host.stderr, host.stdout_is_cut, host.stderr_is_cut):
        host.stdout, host.stderr, host.stdout_is_cut, host.stderr_is_cut = said
        host.save(update_fields=["stdout", "stderr", "stdout_is_cut", "stderr_is_cut", *more])


def _harmless(text: str, login: ssh.Login) -> str:
    """A script that shows the password with which it was let in shows it to nobody."""
    return text.replace(login.password, HIDDEN) if login.password else text


def _after(run: ScriptRun, clock: Clock) -> ScriptRun:
    """What follows a batch: the next one, a pause, or the end."""
    now = clock()
    with transaction.atomic():
        run = hold_run(run)
        run.leased_until = None
        run.save(update_fields=["leased_until"])
        if run.state != State.RUNNING:
            return run
        if not run.hosts.filter(state__in=(HostState.PLANNED, HostState.RUNNING)).exists():
            _finish(run, now)
        elif not run.wants_stop and (code := _why_wait(run)):
            _pause(run, code, now)
        else:
            wake_later(run, now)
            publish(run)
        tell_pages(run)
    return run


def _why_wait(run: ScriptRun) -> str:
    """The canary decides alone; later ones together."""
    failed = script_runs.failures(run)
    only_canary = run.hosts.exclude(state__in=(HostState.PLANNED, HostState.SKIPPED)).count() == 1
    if only_canary and failed:
        return "canary_failed"
    if failed - run.forgiven > run.max_failures:
        return "too_many_failures"
    return "canary_done" if only_canary and run.waits_after_canary and not run.forgiven else ""


def _pause(run: ScriptRun, code: str, now: datetime) -> None:
    run.state, run.problem_code, run.wants_pause, run.leased_until = State.PAUSED, code, False, None
    run.save()
    write(run, Line.PAUSED, at=now, code=code)
    timers.cancel(prefix=script_runs.timer_key(run))
    script_messages.needs_person(run, now=now)
    tell_pages(run)


def _finish(run: ScriptRun, now: datetime) -> None:
    script_runs.end(run, State.DONE, Line.DONE, now=now)
    if script_runs.failures(run):
        script_messages.needs_person(run, now=now)
