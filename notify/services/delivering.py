"""Taking deliveries out of the outbox: claim, call, settle, and what follows when a provider says no.

A worker claims one delivery under a lease and writes its Attempt in the same transaction, before the provider is
called; it settles both after the call. Between the two nothing is locked. A worker that dies in between leaves an
expired lease: nobody can know whether the provider got the message, so it counts as an uncertain try
(`notify.states.repeats` says which of those are made again).

Robots have a budget per minute, counted from the Attempt rows of the same robot while its Channel rows are locked, so
that any number of workers together never send more than it allows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import bulk, scope
from accounts.models import Contact, Customer, Role, Severity, User
from notify import budget, providers, states
from notify.channels.outcome import Outcome, Verdict
from notify.models import Attempt, Channel, Delivery, Topic
from notify.services import claiming, reach, receipts
from notify.services.claiming import NOT_SENT
from notify.services.digests import merge
from notify.services.leasing import Claim, lease
from notify.services.outbox import PERSONAL_LANES, PERSONAL_MAIL, Message, lane_of, tell, wake
from notify.states import State

logger = logging.getLogger(__name__)
BUDGETED = frozenset({Channel.Kind.DINGTALK, Channel.Kind.WECOM})
LONGEST_CALL = timedelta(seconds=13)  # to a robot or webhook; with less than this of the lease left none is begun
AT_A_TIME = 20  # claimed and settled together where nothing limits how many may be sent
AT_ONCE = 300  # waiting messages looked at, and merged into one digest, at a time
ROUNDS = 100  # messages of one lane per task; the sweep brings the next task
LOST = Outcome(Verdict.UNCERTAIN, "worker lost", "the worker stopped between the call and its answer")
WHY = "the outbox serves every customer"


MEDIUM_OF_LANE = {lane: medium for medium, lane in PERSONAL_LANES.items()}


def drain(*, lane: int, clock: Callable[[], datetime] = timezone.now) -> int:
    """Send what is due on one channel (or, lane PERSONAL_MAIL, to single people); returns how many tries were made.

    Stops when nothing is due, the budget is spent, or the provider did not accept: the rest waits for the sweep, so
    that a provider in trouble costs one time-out per round and not one per message.
    """
    tries = 0
    with scope.platform(WHY):
        while tries < ROUNDS:
            claims = claim_some(lane=lane, now=clock())
            if not claims:
                break
            made, goes_on = send_in_turn(claims, clock)
            tries += made
            if not goes_on:
                break
    return tries


def send_in_turn(claims: Sequence[Claim], clock: Callable[[], datetime]) -> tuple[int, bool]:
    """Send claims one after the other; returns how many, and whether the provider is well.

    What was accepted is settled at the end, in one transaction; what was not begun is given back.
    """
    accepted: list[tuple[Claim, Outcome, datetime]] = []
    opened: providers.Opened = {}
    for number, claim in enumerate(claims):
        lease = claim.delivery.lease_until
        is_late = number > 0 and lease is not None and clock() > lease - LONGEST_CALL
        if is_late:
            _settle_accepted(accepted)
            _give_back(claims[number:], now=clock())
            return number, True
        outcome = providers.send(claim, now=clock(), opened=opened)
        if outcome.is_accepted and claim.delivery.medium not in receipts.MEDIUMS:
            accepted.append((claim, outcome, clock()))
            continue
        _settle_accepted(accepted)
        settle(claim.attempt, outcome, now=clock())
        _give_back(claims[number + 1 :], now=clock())
        return number + 1, outcome.verdict in (Verdict.REFUSED, Verdict.ACCEPTED)
    _settle_accepted(accepted)
    return len(claims), True


def send(claim: Claim, *, clock: Callable[[], datetime] = timezone.now) -> Outcome:
    """Call the provider for a claim and settle it. Needs a platform scope and must run outside a transaction."""
    outcome = providers.send(claim, now=clock())
    settle(claim.attempt, outcome, now=clock())
    return outcome


def claim_next(*, lane: int, now: datetime) -> Claim | None:
    """Lease the next due delivery of a lane, or None when there is none or the robot may not send now."""
    return next(iter(claim_some(lane=lane, now=now, most=1)), None)


@transaction.atomic
def claim_some(*, lane: int, now: datetime, most: int = AT_A_TIME) -> list[Claim]:
    """Lease the next due deliveries of a lane, in their turn: one where there is a budget or a mail server, else more.

    Empty when there is none, or the robot may not send now.
    """
    with scope.platform(WHY):
        if lane <= PERSONAL_MAIL:
            return claiming.claim(medium=MEDIUM_OF_LANE[lane], now=now)
        channel = _lock_robot(lane)
        if channel is None:
            return []
        due = Delivery.objects.due(now).filter(channel=channel).in_turn().select_for_update(skip_locked=True)
        is_free = channel.kind == Channel.Kind.WEBHOOK and channel.is_active and not channel.is_muted(now)
        waiting = list(due[: most if is_free else AT_ONCE])
        for row in waiting:
            row.channel = channel
        if is_free or not waiting:
            return lease(waiting, now)
        if channel.is_muted(now) or not channel.is_active:
            _pass_on(channel, waiting, now)
            return []
        return lease(_pick(channel, waiting, now), now)


@transaction.atomic
def claim_one(*, delivery_id: int, now: datetime) -> Claim | None:
    """Lease this very delivery (a test by hand), within the robot's budget; None when it cannot go now."""
    with scope.platform(WHY):
        found = Delivery.objects.filter(pk=delivery_id).values_list("channel_id", flat=True).first()
        channel = _lock_robot(found or 0)
        if channel is None or channel.is_muted(now):
            return None
        limit = limit_of(channel)
        if limit is not None and used_of(channel, now) >= limit:
            return None
        delivery = Delivery.objects.due(now).filter(pk=delivery_id).select_for_update(skip_locked=True).first()
        return None if delivery is None else lease([delivery], now)[0]


def limit_of(channel: Channel) -> int | None:
    """Messages a minute, or None where the provider sets no limit."""
    return budget.PER_MINUTE if channel.kind in BUDGETED else None


def used_of(channel: Channel, now: datetime) -> int:
    """Tries of the running minute that reached, or may still reach, the robot; whoever's channel they came through.

    A try counts until a minute after it was settled, not after it began: a slow one arrives late.
    """
    if not channel.robot:
        return 0
    with scope.platform("a robot's budget is shared by all who use it"):
        recent = Attempt.objects.filter(Q(settled_at=None) | Q(settled_at__gt=now - budget.WINDOW), robot=channel.robot)
        return recent.exclude(code=NOT_SENT).count()


def _lock_robot(channel_id: int) -> Channel | None:
    """The channel, with every channel of the same robot locked, in one order for all."""
    channel = Channel.objects.filter(pk=channel_id).first()
    if channel is None:
        return None
    same = Q(pk=channel_id) | (Q(robot=channel.robot) & ~Q(robot=""))
    locked = list(Channel.objects.filter(same).order_by("pk").select_for_update(no_key=True))
    return next((row for row in locked if row.pk == channel_id), None)


def _pick(channel: Channel, waiting: list[Delivery], now: datetime) -> list[Delivery]:
    entries = [budget.Waiting(row.pk, row.priority, may_merge=not row.key.startswith("digest:")) for row in waiting]
    choice = budget.plan(entries, used=used_of(channel, now), limit=limit_of(channel))
    rows = {row.pk: row for row in waiting}
    if choice.alone is not None:
        return [rows[choice.alone]]
    if not choice.merge:
        return []
    first = rows[choice.merge[0]]
    parts = [rows[pk] for pk in choice.merge if rows[pk].customer_id == first.customer_id]
    return [merge(parts, now) if len(parts) > 1 else first]


@transaction.atomic
def _give_back(claims: Sequence[Claim], *, now: datetime) -> None:
    """Leases that nothing was sent under; those that ran out meanwhile have been dealt with already."""
    ids = [claim.attempt.pk for claim in claims]
    locked = Delivery.objects.select_for_update().filter(pk__in=[claim.delivery.pk for claim in claims]).order_by("pk")
    if not list(locked.values_list("pk", flat=True)):
        return
    mine = list(Attempt.objects.filter(pk__in=ids, settled_at=None).values_list("pk", "delivery_id"))
    Attempt.objects.filter(pk__in=[pk for pk, _ in mine]).delete()
    Delivery.objects.filter(pk__in=[delivery_id for _, delivery_id in mine]).update(
        state=Case(When(withdrawn_at=None, then=Value(State.PENDING.value)), default=Value(State.WITHDRAWN.value)),
        tries=F("tries") - 1,
        lease_until=None,
        next_attempt_at=now,
    )


@transaction.atomic
def _settle_accepted(sent: Sequence[tuple[Claim, Outcome, datetime]]) -> None:
    """Write down what was accepted. What came after its lease was given away is settled as late (`settle`)."""
    if not sent:
        return
    ids = [claim.delivery.pk for claim, _, _ in sent]
    list(Delivery.objects.select_for_update().filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))
    unsettled = Attempt.objects.filter(pk__in=[claim.attempt.pk for claim, _, _ in sent], settled_at=None)
    in_time = set(unsettled.values_list("pk", flat=True))
    attempts, deliveries = [], []
    for claim, outcome, at in sent:
        attempt, delivery = claim.attempt, claim.delivery
        if attempt.pk not in in_time:
            settle(attempt, outcome, now=at)
            continue
        attempt.verdict, attempt.code, attempt.detail = outcome.verdict.value, outcome.code[:40], outcome.detail[:600]
        attempt.settled_at, attempt.provider_id = at, outcome.provider_id[:120]
        attempts.append(attempt)
        delivery.state, delivery.settled_at = State.DELIVERED, at
        delivery.lease_until = delivery.next_attempt_at = None
        delivery.last_code, delivery.last_detail = attempt.code, attempt.detail
        deliveries.append(delivery)
    bulk.update(attempts, ["settled_at", "provider_id", "verdict", "code", "detail"])
    bulk.update(deliveries, ["state", "lease_until", "next_attempt_at", "settled_at", "last_code", "last_detail"])


@transaction.atomic
def settle(attempt: Attempt, outcome: Outcome, *, now: datetime) -> None:
    """Write down how a try ended and take the delivery's next step.

    A worker that comes back after its lease was given away only completes its own attempt; if the provider had
    accepted after all, the delivery is not sent again.
    """
    with scope.platform(WHY):
        delivery = Delivery.objects.select_for_update().get(pk=attempt.delivery_id)
        open_attempt = Attempt.objects.filter(pk=attempt.pk, settled_at=None)
        change = {"verdict": outcome.verdict.value, "code": outcome.code[:40], "detail": outcome.detail[:600]}
        in_time = open_attempt.update(settled_at=now, provider_id=outcome.provider_id[:120], **change)
        if in_time:
            _step(delivery, outcome, now)
        elif outcome.is_accepted:
            Attempt.objects.filter(pk=attempt.pk).update(provider_id=outcome.provider_id[:120], **change)
            if delivery.state in (State.PENDING, State.UNCERTAIN):
                if delivery.medium in receipts.MEDIUMS:
                    receipts.await_receipt(delivery, outcome, now)
                else:
                    _become(delivery, State.DELIVERED, now, outcome)


def _step(delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    channel = delivery.channel
    situation = receipts.situation_of(delivery)
    step = states.next_step(situation, outcome)
    if delivery.withdrawn_at is not None and step.state in (State.PENDING, State.FAILED):
        step = states.Step(State.WITHDRAWN, mute=step.mute)
    if step.state is State.ACCEPTED:
        receipts.await_receipt(delivery, outcome, now)
        return
    if step.mute is not None and channel is not None:
        mute(channel, until=now + step.mute, code=outcome.code)
    _become(delivery, step.state, now, outcome, retry_at=now + step.wait)
    if step.state is State.FAILED:
        _after_failure(delivery, now)
    elif step.state is State.PENDING and step.mute is not None:
        wake([lane_of(delivery)])  # the next round hands it to the next channel, if there is one


def _become(
    delivery: Delivery, state: State, now: datetime, outcome: Outcome, *, retry_at: datetime | None = None
) -> None:
    delivery.state = state
    delivery.lease_until = None
    delivery.next_attempt_at = retry_at if state is State.PENDING else None
    delivery.settled_at = now if state in states.FINAL else None
    delivery.last_code, delivery.last_detail = outcome.code[:40], outcome.detail[:600]
    if outcome.verdict is Verdict.RATE and state is State.PENDING and delivery.channel_id is not None:
        delivery.next_attempt_at = now  # the mute holds it back; a fallback takes it at once
    delivery.save(update_fields=["state", "lease_until", "next_attempt_at", "settled_at", "last_code", "last_detail"])


def mute(channel: Channel, *, until: datetime, code: str) -> None:
    """Keep every channel of this robot silent until then: what we send in the meantime only makes it longer."""
    same = Q(pk=channel.pk) | (Q(robot=channel.robot) & ~Q(robot=""))
    with scope.platform("a robot is muted for all who use it"):
        Channel.objects.filter(same).update(muted_until=until, muted_code=code[:40])
    logger.warning("channel %s is muted until %s after answer %s", channel.pk, until.isoformat(), code)


def _pass_on(channel: Channel, waiting: Iterable[Delivery], now: datetime) -> None:
    """The robot may not send: the next channel takes over, or the messages wait until it may again."""
    for delivery in waiting:
        if channel.fallback_id is None and channel.is_active:
            delivery.next_attempt_at = channel.muted_until
            delivery.save(update_fields=["next_attempt_at"])
            continue
        code = "muted" if channel.is_active else "switched off"
        _become(delivery, State.FAILED, now, Outcome(Verdict.RATE, code, channel.muted_code))
        _after_failure(delivery, now)


def _after_failure(delivery: Delivery, now: datetime) -> None:
    if delivery.topic == Topic.TEST:
        return
    if delivery.channel is None:
        alarm_if_unheard(delivery, now=now)
        return
    stand_in = _fall_back(delivery, now)
    if stand_in is None and delivery.channel.customer_id is not None and _nobody_heard(delivery):
        _raise_the_alarm(delivery, now)


def alarm_if_unheard(delivery: Delivery, *, now: datetime) -> None:
    """A message to a person has failed for good: N7, when it was the last hope of a customer without a channel."""
    with scope.platform(WHY):
        if any(_no_contact_heard(said) for said in tuple(delivery.parts.all()) or (delivery,)):
            _raise_the_alarm(delivery, now)


def _fall_back(delivery: Delivery, now: datetime) -> Delivery | None:
    """The same message to the next active channel down the chain; None when there is none left that lacks it."""
    channel, seen = delivery.channel, set[int]()
    while channel is not None and channel.fallback is not None and channel.pk not in seen:
        seen.add(channel.pk)
        channel = channel.fallback
        if not channel.is_active:
            continue
        stand_in, created = Delivery.objects.get_or_create(
            key=delivery.key,
            channel=channel,
            defaults={
                "customer_id": delivery.customer_id,
                "medium": channel.kind,
                "topic": delivery.topic,
                "severity": delivery.severity,
                "priority": delivery.priority,
                "subject": delivery.subject,
                "text": delivery.text,
                "url": delivery.url,
                "next_attempt_at": now,
                "created_at": now,
                "stands_in_for": delivery,
            },
        )
        if created or stand_in.state != State.FAILED:
            wake([channel.pk])
            return stand_in
    return None


def _nobody_heard(delivery: Delivery) -> bool:
    """True when a message has now failed on every channel of the customer; the provider's own do not count."""
    keys = {delivery.key, *delivery.parts.values_list("key", flat=True)}
    same = Delivery.objects.filter(key__in=keys, customer=delivery.customer, channel__customer=delivery.customer)
    hopeful = same.exclude(state=State.FAILED).exclude(digest__state=State.FAILED)
    meant = keys if delivery.parts.exists() is False else keys - {delivery.key}
    return bool(meant - set(hopeful.values_list("key", flat=True)))


def _no_contact_heard(delivery: Delivery) -> bool:
    """True when news has now failed for every contact of a customer who has no channel; the inbox calls nobody.

    News is what is about the same thing and of the same moment. A call may still reach somebody; whether it does is
    known upstairs, where calls have their rounds.
    """
    if delivery.medium == Delivery.Medium.VOICE or not delivery.about:
        return False
    if not Contact.objects.filter(customer=delivery.customer_id, user=delivery.user_id).exists():
        return False
    if Channel.objects.filter(customer=delivery.customer_id).active().exists():
        return False
    same = Q(about=delivery.about) | Q(medium=Delivery.Medium.VOICE)
    told = Delivery.objects.filter(same, user__customer=delivery.customer_id, customer=delivery.customer_id)
    hopeful = told.filter(created_at=delivery.created_at).exclude(medium=Delivery.Medium.INBOX)
    hopeful = hopeful.exclude(state__in=(State.FAILED, State.SKIPPED)).exclude(digest__state=State.FAILED)
    return not hopeful.exists()


def _raise_the_alarm(delivery: Delivery, now: datetime) -> None:
    """N7: every channel of a customer has failed. Engineers and managers hear it once, until one works again."""
    logger.error(
        "no channel of customer %s took delivery %s (%s)", delivery.customer_id, delivery.pk, delivery.last_code
    )
    if delivery.customer is None:
        return
    if not reach.begins(delivery, now=now):
        return
    for person in _responsible(delivery.customer):
        with translation.override(person.language):
            message = Message(
                topic=Topic.SLA,
                subject=_("No channel of %(customer)s can be reached") % {"customer": delivery.customer},
                text=_("“%(subject)s” could not be delivered anywhere (last answer: %(code)s). Call the customer.")
                % {"subject": delivery.subject, "code": delivery.last_code},
                url=f"/notify/deliveries/{delivery.pk}/",
                severity=Severity.HIGH,
            )
        key = f"unreachable:{delivery.customer_id}:{delivery.pk}"
        tell(user=person, key=key, message=message, now=now, channels=("inbox", "email"), customer=delivery.customer)


def _responsible(customer: Customer) -> Iterable[User]:
    people = User.objects.filter(is_active=True)
    engineers = Q(role=Role.ENGINEER, assignments__customer=customer)
    return people.filter(engineers | Q(role__in=(Role.MANAGER, Role.ADMIN))).distinct()


@transaction.atomic
def recover(*, now: datetime) -> int:
    """Give back the deliveries whose worker died: an uncertain try each. Returns how many."""
    with scope.platform(WHY):
        lost = list(Delivery.objects.lease_over(now).select_for_update(skip_locked=True).select_related(None)[:AT_ONCE])
        for delivery in lost:
            change = {"verdict": LOST.verdict.value, "code": LOST.code, "detail": LOST.detail}
            Attempt.objects.filter(delivery=delivery, settled_at=None).update(settled_at=now, **change)
            _step(delivery, LOST, now)
        return len(lost)


def lanes_due(*, now: datetime) -> list[int]:
    """The channels (or the lanes of ways to single people) that have something to send."""
    with scope.platform(WHY):
        found = Delivery.objects.due(now).order_by().values_list("channel_id", "medium").distinct()
        return sorted({channel_id or PERSONAL_LANES[medium] for channel_id, medium in found})
