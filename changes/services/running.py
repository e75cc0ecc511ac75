"""The engine: takes a run one turn further, and survives whatever stops it.

Before a call is sent, its step says so (`SENDING`) in a transaction of its own, in which the change is held and asked
whether it may. So whoever finds a step being sent (a worker was killed, an answer never came) asks the cloud what
happened before anything else: found, the step counts as accepted; not found after some looks, it is sent again if that
is harmless, or a person decides.

Whoever holds a run's lease works on it. A worker that stalled for longer finds at its next write that the lease is
somebody else's, and lets go without a trace. A call that fails ends the run, after the calls that give back what an
earlier one took away (`Executable.restores`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q

from accounts.errors import DomainError
from assets.aliyun import AliyunError
from assets.aliyun.resources import Row, text
from changes import messages, states
from changes.models import BackupRecord, Change, ChangeEntry, OperationRun, RunLine, RunState, RunStep, StepState
from changes.operations.executable import Progress, Refused, Repeat, Seen, Step, filled
from changes.permissions import side_of
from changes.services import clouds, evidence
from changes.services.marks import write as write_entry
from changes.services.runs import hold_run, make_job, publish, timer_key, verb_of, wake_later, write
from notify import live
from timers import services as timers

Clock = Callable[[], datetime]
Line = RunLine.Kind
POLL: Final = timedelta(seconds=2)
LONGEST_POLL: Final = timedelta(seconds=30)
LOOK_AFTER: Final = timedelta(seconds=3)
LOOKS: Final = 3
"""So often nothing is seen of a call before it counts as not arrived: the cloud shows things some seconds later."""
FIRST_BACKOFF: Final = timedelta(seconds=1)
LONGEST_BACKOFF: Final = timedelta(minutes=1)
SENDS: Final = 12
TURNS: Final = 40
"""A run gives way to others after so many turns without waiting."""
OVER: Final[timedelta | None] = None
"""How long a run waits that has ended."""
_OVER: Final = (StepState.SETTLED, StepState.FAILED, StepState.SKIPPED)
_UNANSWERED: Final = frozenset({"Timeout", "Unreachable", "InvalidResponse"})


def advance(*, run_id: int, clock: Clock) -> OperationRun | None:
    """Take a run as far as it goes now. None when somebody else has it, it waits for its moment, or it is over."""
    now = clock()
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    due = Q(next_at=None) | Q(next_at__lte=now)
    mine = OperationRun.objects.active().filter(free, due, pk=run_id)
    lease = now + OperationRun.LEASE
    if not mine.update(leased_until=lease):
        return None
    turn = _Turn(OperationRun.objects.for_lists().get(pk=run_id), lease, clock)
    wait: timedelta | None = timedelta()
    try:
        for _ in range(TURNS):
            wait = turn.take()
            if wait is None or wait:
                break
            turn.renew()
        turn.end(wait)
    except _LostError:
        return None
    return turn.run


class _LostError(Exception):
    """The lease ran out and somebody else works on the run."""


def backoff(attempt: int) -> timedelta:
    """Before the call after `attempt`, with jitter so that many runs do not come back together."""
    ceiling = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(attempt, 10))
    return timedelta(seconds=ceiling.total_seconds() * random.uniform(0.5, 1))  # noqa: S311 - spreads load, guards nothing


class _Turn:
    """One run in the hands of one worker."""

    def __init__(self, run: OperationRun, lease: datetime, clock: Clock) -> None:
        self.run, self.lease, self.clock = run, lease, clock
        self.executable = run.executable
        self.steps = list(run.steps.order_by("position"))
        provider_id = "" if run.asset is None else run.asset.provider_id
        self.job = make_job(run.cloud_account, provider_id, run.fields, run.token, run.change.number)

    def take(self) -> timedelta | None:
        """The next thing to do; returns how long to wait after it, None when the run is over."""
        step = next((one for one in self.steps if one.state not in _OVER), None)
        try:
            self.cloud = clouds.reader(self.run.cloud_account, self.run.region, now=self.clock())
            if step is None:
                return self._end_failed() if self.run.problem_code else self._verify()
            if step.state == StepState.PLANNED:
                return self._send(step)
            return self._find_out(step) if step.state == StepState.SENDING else self._follow(step)
        except Refused as refused:
            return self._fail(refused.code, refused.detail)
        except DomainError as refusal:
            return self._fail(refusal.code, str(refusal))
        except AliyunError as error:
            return self._could_not_ask(error, step)

    def renew(self) -> None:
        lease = self.clock() + OperationRun.LEASE
        if not OperationRun.objects.filter(pk=self.run.pk, leased_until=self.lease).update(leased_until=lease):
            raise _LostError
        self.lease = lease

    def _hold(self) -> tuple[OperationRun, Change]:
        """The run and its change as they are now, held until the transaction ends, while the lease is still ours."""
        run, change = hold_run(self.run)
        if run.leased_until != self.lease:
            raise _LostError
        return run, change

    def _keep(self, row: RunStep) -> None:
        with transaction.atomic():
            self._hold()
            row.save()

    def end(self, wait: timedelta | None) -> None:
        """Let go of the run, with its next moment as a timer."""
        run = self.run
        done = sum(100 if step.state == StepState.SETTLED else step.percent for step in self.steps)
        run.percent = done // max(1, len(self.steps))
        run.leased_until = None
        run.next_at = None if wait is None else self.clock() + wait
        with transaction.atomic():
            self._hold()
            run.save(update_fields=["percent", "leased_until", "next_at"])
            if wait is None:
                timers.cancel(prefix=timer_key(run))
            elif wait:
                wake_later(run, self.clock() + wait - timedelta(seconds=1))
            else:
                wake_later(run, self.clock() + OperationRun.LEASE)
                publish(run)
            live.publish(customer_id=run.customer_id, topic="changes", object_id=run.change_id)

    # sending

    def _send(self, row: RunStep) -> timedelta | None:
        if row.position == 1 and not row.attempts:
            self._check_again()
        step = filled(row.as_step(), self._settled())
        with transaction.atomic():
            run, change = self._hold()
            if RunStep.objects.select_for_update(no_key=True).get(pk=row.pk).state != StepState.PLANNED:
                raise _LostError
            if run.is_stopping:
                return self._stop("stopped_by_person")
            if states.find(verb_of(run), change.stage, side_of(run.started_by)) is None:
                return self._stop("not_executing")
            if row.attempts >= SENDS:
                return self._fail("gave_up", row.action, row)
            row.state, row.attempts, row.looks = StepState.SENDING, row.attempts + 1, 0
            row.sent_at, row.params = self.clock(), dict(step.params)
            row.save()
            self._log(Line.SENT, row)
        reason = f"{self.run.change.number} {self.run.operation}"
        account, region = self.run.cloud_account, self.run.region
        if self.clock() >= self.lease:
            raise _LostError
        try:
            answer = clouds.send(account, region, step, reason=reason, actor=self.run.started_by, now=self.clock())
        except AliyunError as error:
            return self._not_accepted(row, error)
        except DomainError:  # the key for operations is gone: nothing was sent
            row.state = StepState.PLANNED
            self._keep(row)
            raise
        self._accept(row, Line.ACCEPTED, answer=answer)
        return POLL if self.executable.longest > timedelta(hours=1) else timedelta(milliseconds=500)

    def _check_again(self) -> None:
        """The pre-check once more, right before the first call: what the dry run showed must still be what is done."""
        if self.run.undoes_id is not None:
            if self.executable.check_back is not None:
                self.executable.check_back(self.cloud, self.job, [row.as_step() for row in self.steps])
            return
        fresh = self.executable.plan(self.cloud, self.job)
        shown = [(row.action, row.params) for row in self.steps]
        if [(step.action, dict(step.params)) for step in fresh] != shown:
            raise Refused("not_as_shown")
        for row, step in zip(self.steps, fresh, strict=True):
            row.before = dict(step.before)
            self._keep(row)

    def _accept(self, row: RunStep, line: RunLine.Kind, *, answer: Row | None = None, seen: Seen | None = None) -> None:
        with transaction.atomic():
            self._hold()
            request_id = "" if answer is None else text(answer, "RequestId")
            if answer is not None:
                row.result = {**row.result, **{name: text(answer, name) for name in row.keeps if text(answer, name)}}
            if seen is not None:
                row.result = {**row.result, **seen.result}
            row.request_ids = [*row.request_ids, *([request_id] if request_id else [])]
            row.state, row.looks = StepState.ACCEPTED, 0
            row.save()
            self._log(line, row, request_id=request_id)

    def _not_accepted(self, row: RunStep, error: AliyunError) -> timedelta | None:
        if error.request_id:
            row.request_ids = [*row.request_ids, error.request_id]
        if error.is_throttling:
            row.state = StepState.PLANNED
            self._keep(row)
            self._log(Line.THROTTLED, row, code=error.code)
            return backoff(row.attempts)
        self._keep(row)
        if error.retryable or error.code in _UNANSWERED:
            self._log(Line.UNSURE, row, code=error.code)
            return LOOK_AFTER
        seen = self._look(row)  # a "no" may be the answer to a second call whose first one went through
        if seen.progress in (Progress.DONE, Progress.GOING):
            self._accept(row, Line.FOUND, seen=seen)
            return timedelta()
        return self._fail(error.code, error.message, row)

    # asking

    def _find_out(self, row: RunStep) -> timedelta | None:
        """It was being sent when an answer, or a worker, was lost."""
        seen = self._look(row)
        if seen.progress is not Progress.ABSENT:
            self._accept(row, Line.FOUND, seen=seen)
            return timedelta()
        row.looks += 1
        row.status = seen.words
        self._keep(row)
        if row.looks < LOOKS:
            return LOOK_AFTER
        if row.repeat == Repeat.NEVER:
            return self._unknown("not_seen", row)
        self._log(Line.NOT_FOUND, row, words=seen.words)
        row.state = StepState.PLANNED
        self._keep(row)
        return backoff(row.attempts)

    def _follow(self, row: RunStep) -> timedelta | None:
        seen = self._look(row)
        row.status, row.percent = seen.words, max(row.percent, seen.percent)
        row.result = {**row.result, **seen.result}
        if seen.progress is Progress.FAILED:
            self._keep(row)
            return self._fail("cloud_failed", seen.words, row)
        since = self.clock() - (row.sent_at or self.clock())
        unseen_after = self.executable.unseen_after
        is_unseen = seen.progress is Progress.ABSENT and unseen_after is not None and since > unseen_after
        if seen.progress is Progress.DONE or is_unseen:
            row.state, row.percent, row.settled_at = StepState.SETTLED, 100, self.clock()
            self._keep(row)
            self._log(Line.SETTLED, row)
            return timedelta()
        self._keep(row)
        if since > self.executable.longest:
            return self._unknown("too_long", row)
        return min(LONGEST_POLL, max(POLL, since / 5))

    def _look(self, row: RunStep) -> Seen:
        return self.executable.look(self.cloud, self.job, row.as_step())

    def _could_not_ask(self, error: AliyunError, row: RunStep | None) -> timedelta | None:
        if not error.retryable and error.code not in _UNANSWERED:
            return self._fail(error.code, error.message, row)
        began = (row.sent_at if row is not None else None) or self.run.started_at or self.clock()
        if self.clock() - began > self.executable.longest:
            return self._unknown(error.code, row)
        return backoff(3)

    def _verify(self) -> timedelta | None:
        if self.run.state != RunState.SETTLED:
            with transaction.atomic():
                self._hold()
                self.run.state = RunState.SETTLED
                self.run.save(update_fields=["state"])
        if not self.executable_is_so():
            return self._fail("not_verified", "")
        with transaction.atomic():
            run, change = self._hold()
            self._finish(RunState.VERIFIED, Line.VERIFIED)
            if run.undoes is not None:
                run.undoes.state = RunState.UNDONE
                run.undoes.save(update_fields=["state"])
                write(run.undoes, Line.UNDONE, at=self.clock())
            if self.executable.backs_up and run.undoes_id is None:
                self._record_backups(change)
        return None

    def executable_is_so(self) -> bool:
        """What was done is seen once more; of a way back its own calls are, because "so" is now the state before."""
        done = [row.as_step() for row in self.steps]
        if self.run.undoes_id is None:
            return self.executable.verify(self.cloud, self.job, done)
        return self.executable.look(self.cloud, self.job, done[-1]).progress is Progress.DONE

    def _record_backups(self, change: Change) -> None:
        """What the backup gate is read off; once the work has begun the run alone keeps them."""
        run = self.run
        if change.stage not in states.GATED or run.asset is None or run.started_by is None:
            return
        for row in self.steps:
            reference = str(row.result.get(self.executable.kept_as, ""))
            evidence.record_backup(
                change=change,
                asset=run.asset,
                method=BackupRecord.Method(self.executable.backs_up),
                reference=reference,
                sha256="",
                taken_at=row.sent_at or self.clock(),
                actor=run.started_by,
                now=self.clock(),
            )
            self._log(Line.BACKED_UP, row, reference=reference)

    # endings

    def _settled(self) -> Sequence[Step]:
        return [row.as_step() for row in self.steps if row.state == StepState.SETTLED]

    def _stop(self, code: str) -> timedelta | None:
        self._end_steps()
        if self.run.problem_code:
            return self._end_failed()
        self._finish(RunState.CANCELLED, Line.STOPPED, code)
        return OVER

    def _fail(self, code: str, detail: str, row: RunStep | None = None) -> timedelta | None:
        """The run has failed; what it took away is given back first, once."""
        with transaction.atomic():
            self._hold()
            if row is not None:
                row.state = StepState.FAILED
                row.save()
            back = [] if self.run.problem_code else self._restoring()
            self._end_steps(but=back)
            if not self.run.problem_code:
                self.run.problem_code, self.run.problem = code[:100], detail[:300]
            if not back:
                return self._end_failed()
            self.run.save(update_fields=["problem_code", "problem"])
            self._log(Line.RESTORING, back[0], code=code, detail=detail[:300])
        return timedelta()

    def _end_failed(self) -> timedelta | None:
        with transaction.atomic():
            _run, change = self._hold()
            self._finish(RunState.FAILED, Line.FAILED, self.run.problem_code, self.run.problem)
            messages.run_needs_person(change, self.run, now=self.clock())
        return OVER

    def _restoring(self) -> list[RunStep]:
        """What is left of the calls that give something back, when something was done."""
        if not self._settled():
            return []
        names = self.executable.restores
        return [row for row in self.steps if row.state == StepState.PLANNED and row.action in names]

    def _unknown(self, code: str, row: RunStep | None) -> timedelta | None:
        with transaction.atomic():
            _run, change = self._hold()
            self._finish(RunState.UNKNOWN, Line.UNKNOWN, code, "" if row is None else row.action)
            messages.run_needs_person(change, self.run, now=self.clock())
        return OVER

    def _end_steps(self, *, but: Sequence[RunStep] = ()) -> None:
        for row in self.steps:
            if row.state == StepState.PLANNED and row not in but:
                row.state = StepState.SKIPPED
                row.save(update_fields=["state"])

    def _finish(self, state: RunState, line: RunLine.Kind, code: str = "", detail: str = "") -> None:
        with transaction.atomic():
            _held, change = self._hold()
            run = self.run
            run.state, run.ended_at = state, self.clock()
            run.problem_code, run.problem = code[:100], detail[:300]
            run.save(update_fields=["state", "ended_at", "problem_code", "problem"])
            write(run, line, at=self.clock(), data={"code": code, "detail": detail[:300]} if code else {})
            ids = [request_id for row in self.steps for request_id in row.request_ids]
            said = {"run": run.pk, "operation": run.operation, "target": run.target, "state": state.value}
            is_back = run.undoes_id is not None
            write_entry(
                change,
                ChangeEntry.Kind.RUN,
                actor=run.started_by,
                now=self.clock(),
                data={**said, "undo": is_back, "requests": ids[:40]},
            )

    def _log(self, kind: RunLine.Kind, row: RunStep, **data: str) -> None:
        said = {name: value for name, value in data.items() if value}
        write(self.run, kind, at=self.clock(), data={"action": row.action, "step": row.position, **said})
