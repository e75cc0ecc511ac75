"""Runs of the checks: begun by people, every week, or after a change; carried out batch by batch; cancelled.

A run only reads. A worker that dies leaves its batch RUNNING: whoever takes the run next asks those servers once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from celery import current_app
from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from bastion.models import HardeningCheck, HardeningPolicy, HardeningRun
from bastion.services.hardening import asking, clouds, judging, policies
from bastion.services.hardening.rights import may_check, require
from notify import live
from timers import services as timers
from timers.models import Timer

ADVANCE_TASK: Final = "bastion.advance_hardening"
WAKE_TASK: Final = "bastion.wake_hardening"
WEEK_TASK: Final = "bastion.weekly_hardening"
TOPIC: Final = "hardening"
WEEK_KEY: Final = "hardening-week:"
MOST_SERVERS: Final = 2000
MOST_ATTEMPTS: Final = 2
WEEKDAY: Final = 6
LONGEST_S: Final = 150
HOUR: Final = time(3, 30)
"""Sunday before dawn: the lists of packages are read, which costs a server some seconds."""
ZONE: Final = ZoneInfo("Asia/Shanghai")
State = HardeningRun.State
Host = HardeningCheck.State
Clock = Callable[[], datetime]


@transaction.atomic
def begin(
    *,
    customer: Customer,
    assets: Sequence[Asset],
    actor: User | None,
    now: datetime,
    why: str = HardeningRun.Why.ASKED,
) -> HardeningRun:
    """Look at these servers, from now on. `actor` None: the platform by itself."""
    require(actor is None or may_check(actor, customer.pk))
    if any(asset.customer_id != customer.pk for asset in assets):
        raise DomainError(_("One of the assets is not this customer's. Nothing was saved."), code="other_customer")
    chosen = list(
        policies.held_to_it().filter(customer=customer, pk__in=[asset.pk for asset in assets]).order_by("name")
    )
    if not chosen:
        raise DomainError(_("Please choose at least one Linux server."), code="no_assets")
    if len(chosen) > MOST_SERVERS:
        raise DomainError(_("At most %(most)d servers at once.") % {"most": MOST_SERVERS}, code="too_many")
    audit.hold(customer.pk)
    taken = _taken(chosen) if why == HardeningRun.Why.ASKED else set()
    if taken >= {asset.pk for asset in chosen}:
        raise DomainError(_("A run is looking at it just now. Please wait for that one."), code="busy")
    run = HardeningRun.objects.create(customer=customer, why=why, started_by=actor, started_at=now)
    HardeningCheck.objects.bulk_create(
        HardeningCheck(customer=customer, run=run, asset=asset) for asset in chosen if asset.pk not in taken
    )
    detail = {"servers": len(chosen) - len(taken), "why": str(why)}
    audit.record(action="hardening.run", actor=actor, customer=customer, obj=run, detail=detail, now=now)
    _go(run, now)
    return run


def _taken(assets: Sequence[Asset]) -> set[int]:
    """Those that another run looks at."""
    rows = HardeningCheck.objects.filter(asset__in=assets, run__state=State.RUNNING)
    return set(rows.filter(state__in=(Host.PLANNED, Host.RUNNING)).values_list("asset_id", flat=True))


@transaction.atomic
def cancel(*, run: HardeningRun, actor: User, now: datetime) -> HardeningRun:
    """No further server is asked; what is asked just now is kept when it answers."""
    require(may_check(actor, run.customer_id))
    run = _hold(run)
    if run.state != State.RUNNING or run.wants_stop:
        return run
    run.wants_stop = True
    run.save(update_fields=["wants_stop"])
    audit.record(action="hardening.cancel", actor=actor, customer=run.customer, obj=run, now=now)
    if run.leased_until is None or run.leased_until <= now:
        _end(run, now)
    _tell(run)
    return run


def advance(*, run_id: int, clock: Clock) -> HardeningRun | None:
    """Take a run one batch further. None when somebody else has it or nothing is to be done."""
    now = clock()
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    mine = HardeningRun.objects.filter(free, pk=run_id, state=State.RUNNING)
    if not mine.update(leased_until=now + HardeningRun.LEASE):
        return None
    run = HardeningRun.objects.select_related("customer", "started_by").get(pk=run_id)
    batch = _begin_batch(run, now)
    if batch:
        _carry_out(run, batch, clock)
    return _after(run, clock())


@transaction.atomic
def _begin_batch(run: HardeningRun, now: datetime) -> list[HardeningCheck]:
    rows = run.checks.select_related("asset__customer").order_by("pk")
    rows.filter(state=Host.RUNNING, attempts__gte=MOST_ATTEMPTS).update(
        state=Host.FAILED, problem_code="worker_lost", ended_at=now
    )
    if HardeningRun.objects.filter(pk=run.pk, wants_stop=True).exists():
        return []
    batch = list(rows.filter(state__in=(Host.RUNNING, Host.PLANNED))[: asking.AT_ONCE])
    HardeningCheck.objects.filter(pk__in=[check.pk for check in batch]).update(
        state=Host.RUNNING, started_at=now, attempts=F("attempts") + 1
    )
    _tell(run)
    return batch


def _carry_out(run: HardeningRun, batch: Sequence[HardeningCheck], clock: Clock) -> None:
    now = clock()
    assets = [check.asset for check in batch]
    reason = f"hardening check #{run.pk}"
    made = asking.script("collect.sh", timeout_s=LONGEST_S)
    errands = asking.errands(assets, made, {}, reason=reason, actor=run.started_by, now=now)
    answers = asking.ask(errands)
    now = clock()
    seen = clouds.look(assets, now=now)
    for check in batch:
        judging.note_address(check.asset, answers[check.asset_id].seen_as)
    standards = policies.standards(assets, clouds=seen, now=now)
    for check in batch:
        judging.keep(check=check, answer=answers[check.asset_id], standard=standards[check.asset_id], now=now)
    _tell(run)


@transaction.atomic
def _after(run: HardeningRun, now: datetime) -> HardeningRun:
    run = _hold(run)
    run.leased_until = None
    run.save(update_fields=["leased_until"])
    if run.state != State.RUNNING:
        return run
    if run.wants_stop or not run.checks.filter(state__in=(Host.PLANNED, Host.RUNNING)).exists():
        _end(run, now)
    else:
        _go(run, now)
    _tell(run)
    return run


def _end(run: HardeningRun, now: datetime) -> None:
    left = run.checks.filter(state__in=(Host.PLANNED, Host.RUNNING))
    left.update(state=Host.SKIPPED, problem_code="cancelled", ended_at=now)
    run.state = State.CANCELLED if run.wants_stop else State.DONE
    run.ended_at, run.leased_until = now, None
    run.save(update_fields=["state", "ended_at", "leased_until"])
    timers.cancel(prefix=_key(run))


def wake(*, run_id: int, now: datetime) -> None:
    """The timer rang: whoever had the run is dead, or the queue has lost it."""
    run = HardeningRun.objects.filter(pk=run_id, state=State.RUNNING).first()
    if run is not None:
        _go(run, now)


def _go(run: HardeningRun, now: datetime) -> None:
    timers.set(
        key=_key(run),
        due_at=now + HardeningRun.LEASE + timedelta(seconds=5),
        task=WAKE_TASK,
        args={"run_id": run.pk},
        customer=run.customer_id,
    )
    send = partial(current_app.send_task, ADVANCE_TASK, args=[run.customer_id, run.pk], queue="automation")
    transaction.on_commit(send, robust=True)


def _key(run: HardeningRun) -> str:
    return f"hardening-run:{run.pk}:"


def keep_weeks(*, now: datetime) -> int:
    """Every customer in service has its timer for the weekly look; how many were armed."""
    wanted = set(Customer.objects.filter(status=Customer.Status.IN_SERVICE).values_list("pk", flat=True))
    off = set(HardeningPolicy.objects.filter(asset=None, is_weekly=False).values_list("customer_id", flat=True))
    armed = set(Timer.objects.pending().filter(key__startswith=WEEK_KEY).values_list("customer_id", flat=True)) - {None}
    for customer_id in wanted - off - armed:
        _arm_week(customer_id, now)
    timers.cancel_many(prefixes=[_week_key(customer_id) for customer_id in armed - (wanted - off)])
    return len(wanted - off - armed)


def weekly(*, customer: Customer, now: datetime) -> HardeningRun | None:
    """The timer rang: look at all servers, and arm the next one."""
    _arm_week(customer.pk, now)
    servers = list(policies.held_to_it().filter(customer=customer)[:MOST_SERVERS])
    if not servers or customer.status != Customer.Status.IN_SERVICE or not policies.of(customer).is_weekly:
        return None
    return begin(customer=customer, assets=servers, actor=None, now=now, why=HardeningRun.Why.WEEKLY)


def _arm_week(customer_id: int, now: datetime) -> None:
    timers.set(
        key=_week_key(customer_id),
        due_at=next_week(now) + timedelta(minutes=customer_id % 90),
        task=WEEK_TASK,
        args={"customer_id": customer_id},
        customer=customer_id,
    )


def next_week(now: datetime) -> datetime:
    here = now.astimezone(ZONE)
    day = here.date() + timedelta(days=(WEEKDAY - here.weekday()) % 7)
    at = datetime.combine(day, HOUR, ZONE)
    return at if at > now + timedelta(hours=2) else at + timedelta(days=7)


def _week_key(customer_id: int) -> str:
    return f"{WEEK_KEY}{customer_id}:"


def _hold(run: HardeningRun) -> HardeningRun:
    audit.hold(run.customer_id)
    return HardeningRun.objects.select_for_update(no_key=True, of=("self",)).select_related("customer").get(pk=run.pk)


def _tell(run: HardeningRun) -> None:
    live.publish(customer_id=run.customer_id, topic=TOPIC, object_id=run.pk)
