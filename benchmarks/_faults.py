"""Escalation while everything breaks: what is left of a thousand incidents with five steps each after random faults.

Real workers, a real beat, PostgreSQL, Redis and a mail server. Tasks are dropped, doubled and shuffled in the broker;
workers and beat are killed with -9; Redis is flushed and restarted, PostgreSQL stopped at once and restarted; the clock
jumps; the mail server takes mails and does not say so. Meanwhile engineers acknowledge some of the incidents. At the
end every step of the others must have been done exactly once, and no step of these after the acknowledgement.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.utils import timezone

from accounts import scope
from accounts.models import Assignment, AuditEntry, Customer, Role, RosterShift, Severity, User
from assets.models import Asset
from benchmarks._faulty_worker import OFFSET
from incidents import services
from incidents.escalation import Policy, Step, Who
from incidents.models import EscalationStep, Incident
from incidents.services import policies
from notify import marking
from notify.models import Attempt, Delivery
from notify.states import State
from rdmp.embedded.postgres import Server as Postgres
from rdmp.embedded.redis import Server as Redis
from timers.models import Timer

QUEUES: Final = ("q:timers", "q:default", "q:notify")
PER_CUSTOMER: Final = 100
STEPS: Final = 5
ACKNOWLEDGED_SHARE: Final = 0.15
WORKERS: Final = 2
LATE_S: Final = 60
"""From then on a step is marked as late."""


@dataclass
class Trial:
    """What is tried, and the machinery that it is tried on."""

    incidents: int
    seconds: float
    directory: Path
    postgres: Postgres
    redis: Redis
    seed: int = 1
    faults: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Verdict:
    """What was left. All but `steps`, `late` and `mails_repeated` must be 0."""

    steps: int
    lost: int
    twice: int
    late: int
    wrongly_marked: int
    after_acknowledging: int
    mails_lost: int
    mails_repeated: int
    mails_after_withdrawal: int
    took_s: float


class Mailbox:
    """Takes every mail, and now and then does not say so, or asks to come again."""

    def __init__(self, dice: random.Random) -> None:
        self.taken: Counter[str] = Counter()
        self.is_faulty = True
        self._dice = dice

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # by this name
        luck = self._dice.random() if self.is_faulty else 1.0
        if luck < 0.05:
            return "451 come again"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        line = next(line for line in content.split(b"\n") if line.lower().startswith(b"message-id:"))
        self.taken[line.partition(b"<")[2].partition(b">")[0].decode()] += 1
        if luck < 0.12 and server.transport is not None:
            server.transport.abort()  # type: ignore[attr-defined]  # asyncio's own
        return "250 OK"


@contextlib.contextmanager
def mail_server(dice: random.Random, port: int) -> Iterator[Mailbox]:
    box = Mailbox(dice)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


class Process:
    """A worker or beat that is killed and comes back."""

    def __init__(self, kind: str, trial: Trial, environment: dict[str, str]) -> None:
        self._kind, self._trial, self._environment = kind, trial, environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "benchmarks._faulty_worker", self._kind, str(self._trial.directory)]
            self._process = subprocess.Popen(
                command,
                env=self._environment,
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        """kill -9 for it and all its children."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


# --- the scene -------------------------------------------------------------------------------------------------------

POLICY: Final = Policy(
    (
        Step(0, Who.FIRST, ("inbox",)),
        Step(1, Who.SECOND, ("inbox",)),
        Step(2, Who.FIRST, ("inbox",)),
        Step(3, Who.MANAGER, ("inbox", "email")),
        Step(4, Who.SECOND, ("inbox",)),
    ),
    "7x24",
    1,
    10,
)


def set_the_scene(trial: Trial, now: datetime) -> list[int]:
    """Customers with people on duty, and incidents whose steps are due within the first half of the trial."""
    with scope.platform("trial"):
        people = [
            User.objects.create(email=f"{role}-{at}@example.com", name=f"{role} {at}", role=role, phone="13800000000")
            for at, role in enumerate((Role.ENGINEER, Role.ENGINEER, Role.MANAGER))
        ]
        for duty, person in zip(("first", "second", "manager"), people, strict=True):
            start, end = now - timedelta(days=1), now + timedelta(days=30)
            RosterShift.objects.create(duty=duty, user=person, starts_at=start, ends_at=end)
        policies.save(customer=None, severity=Severity.HIGH, policy=POLICY, reason="trial", actor=people[2], now=now)
        opened: list[int] = []
        while len(opened) < trial.incidents:
            count = min(PER_CUSTOMER, trial.incidents - len(opened))
            opened += _open(f"f{len(opened)}", count, people[:2], now)
    _hurry(trial, now)
    return opened


def _open(name: str, count: int, engineers: list[User], now: datetime) -> list[int]:
    customer = Customer.objects.create(name=name, short_name=name, code=name, created_at=now)
    for person in engineers:
        Assignment.objects.create(customer=customer, user=person, assigned_at=now)
    assets = Asset.objects.bulk_create(
        Asset(customer=customer, kind="server", name=f"{name}-{at}", created_at=now, changed_at=now)
        for at in range(count)
    )
    alarms = [services.Alarm(asset, Severity.HIGH, "down", "", f"{name}:{asset.pk}", now) for asset in assets]
    with scope.customer(customer):
        return [incident.pk for incident in services.open_from_alerts(customer=customer, alarms=alarms, now=now)]


def _hurry(trial: Trial, now: datetime) -> None:
    """Minutes become a few seconds: the steps and their timers alike, spread over the time of the faults."""
    dice = random.Random(trial.seed)
    with scope.platform("trial"), connection.cursor() as cursor:
        for step in EscalationStep.objects.order_by("incident", "number"):
            share = (step.number - 1 + dice.random()) / STEPS
            due = now + timedelta(seconds=share * trial.seconds * 0.7)
            cursor.execute("UPDATE incidents_escalationstep SET due_at = %s WHERE id = %s", [due, step.pk])
            cursor.execute("UPDATE timers_timer SET due_at = %s WHERE key = %s", [due, f"{step.key}:"])


# --- the faults ------------------------------------------------------------------------------------------------------


class Havoc:
    """Breaks something every so often, until its time is over."""

    def __init__(self, trial: Trial, workers: list[Process], beat: Process) -> None:
        self._trial, self._workers, self._beat = trial, workers, beat
        self._dice = random.Random(trial.seed)
        self._is_over = threading.Event()

    def run(self) -> None:
        meddler = threading.Thread(target=self._meddle, daemon=True)
        meddler.start()
        acts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("worker killed", lambda: self._dice.choice(self._workers).kill()),
            ("beat killed", self._beat.kill),
            ("clock forward", lambda: self._jump(LATE_S + self._trial.seconds)),  # all that is still to come is late
            ("all killed", self._kill_all),
            ("redis flushed", self._flush_redis),
            ("redis restarted", self._restart_redis),
            ("postgres restarted", self._restart_postgres),
            ("clock back", lambda: self._jump(-8.0)),
        )
        order = list(acts)
        began, tried = time.monotonic(), 0
        while time.monotonic() - began < self._trial.seconds or tried < len(acts):
            tried += 1
            if not order:
                order = [each for each in acts if not each[0].startswith("clock")]
                self._dice.shuffle(order)
            name, act = order.pop(0)
            act()
            self._trial.faults[name] += 1
            time.sleep(self._dice.uniform(0.5, 2.5))
            self.revive()
            time.sleep(self._dice.uniform(1.0, 3.0))
        self._is_over.set()
        meddler.join()
        self.revive()

    def revive(self) -> None:
        for process in (*self._workers, self._beat):
            process.start()

    def _kill_all(self) -> None:
        for process in (*self._workers, self._beat):
            process.kill()

    def _broker(self) -> redis.Redis:
        return redis.Redis.from_url(self._trial.redis.url, socket_timeout=2)

    def _flush_redis(self) -> None:
        self._broker().flushall()

    def _restart_redis(self) -> None:
        """It keeps nothing on disk: what waited in it is gone."""
        self._trial.redis.stop()
        self._trial.redis.start()

    def _restart_postgres(self) -> None:
        """Stopped as by a power cut: the log brings everything back that was committed."""
        if self._trial.postgres.pid is not None:
            os.kill(self._trial.postgres.pid, signal.SIGQUIT)
        self._trial.postgres.stop()
        self._trial.postgres.start()

    def _jump(self, seconds: float) -> None:
        file = self._trial.directory / OFFSET
        before = float(file.read_text()) if file.exists() else 0.0
        file.write_text(str(before + seconds))

    def _meddle(self) -> None:
        """Drop, double and shuffle what waits in the broker."""
        while not self._is_over.wait(0.05):
            with contextlib.suppress(redis.RedisError, OSError):
                for queue in QUEUES:
                    self._meddle_with(queue)

    def _meddle_with(self, queue: str) -> None:
        with self._broker() as broker, broker.pipeline() as pipe:
            pipe.watch(queue)
            waiting = pipe.lrange(queue, 0, -1)
            if not waiting:
                return
            kept = [one for one in waiting for _copy in range(self._dice.choices((0, 1, 2), (15, 65, 20))[0])]
            self._dice.shuffle(kept)
            pipe.multi()
            pipe.delete(queue)
            if kept:
                pipe.rpush(queue, *kept)
            pipe.execute()
            self._trial.faults["queues meddled with"] += 1


# --- the engineers ---------------------------------------------------------------------------------------------------


def acknowledge_some(trial: Trial, opened: list[int], until: threading.Event) -> set[int]:
    """Engineers take some of the incidents while all this happens; whoever meets a broken database tries again."""
    dice = random.Random(trial.seed + 1)
    wanted = dice.sample(opened, int(len(opened) * ACKNOWLEDGED_SHARE))
    pause = trial.seconds * 0.8 / max(1, len(wanted))
    taken: set[int] = set()
    for pk in wanted:
        until.wait(pause)
        for _again in range(600):
            try:
                _acknowledge(pk)
                taken.add(pk)
                break
            except (DatabaseError, InterfaceError):
                connection.close()
                time.sleep(0.2)
    return taken


def _acknowledge(pk: int) -> None:
    close_old_connections()
    with scope.platform("trial"):
        incident = Incident.objects.get(pk=pk)
        if incident.state == "open":
            engineer = User.objects.filter(role=Role.ENGINEER)[0]
            services.acknowledge(incident=incident, actor=engineer, now=timezone.now())


# --- the trial -------------------------------------------------------------------------------------------------------


def run(trial: Trial, *, mail_port: int, patience_s: float) -> Verdict:
    began = time.monotonic()
    dice = random.Random(trial.seed + 2)
    environment = {
        **os.environ,
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(mail_port),
        "EMAIL_USE_SSL": "0",
        "RDMP_LOG_LEVEL": "CRITICAL",
    }
    workers = [Process(f"worker{at}", trial, environment) for at in range(WORKERS)]
    beat = Process("beat", trial, environment)
    havoc = Havoc(trial, workers, beat)
    with mail_server(dice, mail_port) as box:
        opened = set_the_scene(trial, timezone.now() + timedelta(seconds=8))
        havoc.revive()
        taken: set[int] = set()
        over = threading.Event()
        engineers = threading.Thread(target=lambda: taken.update(acknowledge_some(trial, opened, over)), daemon=True)
        engineers.start()
        try:
            havoc.run()
            over.set()
            engineers.join()
            box.is_faulty = False
            _wait_for_quiet(patience_s, havoc)
        finally:
            for process in (*workers, beat):
                process.kill()
        return judge(box, took_s=time.monotonic() - began)


def _wait_for_quiet(patience_s: float, havoc: Havoc) -> None:
    """Until no step waits and no mail is on its way, or patience is over: then it counts as lost."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        close_old_connections()
        with contextlib.suppress(DatabaseError, InterfaceError), scope.platform("trial"):
            on_its_way = Delivery.objects.filter(state__in=(State.PENDING, State.SENDING)).exists()
            if not on_its_way and not EscalationStep.objects.pending().exists():
                return
        havoc.revive()
        time.sleep(0.5)


def judge(box: Mailbox, *, took_s: float) -> Verdict:
    """Count by what independent records say: step rows, the hash-chained audit log, the outbox, the mail server."""
    connection.close()
    with scope.platform("trial"):
        steps = list(EscalationStep.objects.select_related("incident"))
        written = AuditEntry.objects.filter(action="incident.escalation").values_list("detail__step", "sequence")
        entries: dict[str, list[int]] = {}
        for key, sequence in written:
            entries.setdefault(key, []).append(sequence)
        acknowledged = dict(
            AuditEntry.objects.filter(action="incident.acknowledge").values_list("object_id", "sequence")
        )
        told = Counter(Delivery.objects.filter(medium="inbox", key__contains=":step:").values_list("key", flat=True))
        mails = Delivery.objects.filter(medium="email", key__contains=":step:")
        states = {marking.message_id(pk).partition("@")[0]: state for pk, state in mails.values_list("pk", "state")}
        tried = set(Attempt.objects.filter(delivery__medium="email").values_list("delivery_id", flat=True))
        timers = Timer.objects.pending().filter(key__startswith="escalation:").count()
    done = [step for step in steps if step.state == "done"]
    lost = sum(step.state == "pending" for step in steps) + timers
    lost += sum(not entries.get(step.key) or not told[step.message_key] for step in done)
    lost += sum(step.state == "cancelled" and str(step.incident_id) not in acknowledged for step in steps)
    taken = {message_id.partition("@")[0]: count for message_id, count in box.taken.items()}
    return Verdict(
        steps=len(done),
        lost=lost,
        twice=sum(len(entries.get(step.key, ())) > 1 or told[step.message_key] > 1 for step in steps),
        late=sum(step.is_late for step in done),
        wrongly_marked=sum(step.is_late != (step.late_by(step.done_at or step.due_at) > LATE_S) for step in done),
        after_acknowledging=sum(
            sequence > acknowledged.get(str(step.incident_id), sequence)
            for step in steps
            for sequence in entries.get(step.key, ())
        ),
        mails_lost=sum(state not in (State.DELIVERED, State.WITHDRAWN) for state in states.values())
        + sum(state == State.DELIVERED and name not in taken for name, state in states.items()),
        mails_repeated=sum(count - 1 for count in taken.values()),
        mails_after_withdrawal=sum(
            states.get(name) == State.WITHDRAWN and int(name.rpartition(".")[2]) not in tried for name in taken
        ),
        took_s=took_s,
    )
