"""Reading the audit trail of cloud accounts (R89): the news first, then what is left of the 90 days before.

One row for each region of an account says how far reading came. A page is stored with its verdicts in one transaction,
and a mark moves only over what is stored: whoever dies in between reads a page again, and an event that is there
already is passed over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from accounts import bulk
from accounts.errors import DomainError
from accounts.models import Customer
from assets.aliyun import AliyunError, Client
from assets.aliyun import trail as api
from assets.models import Asset, CloudAccount
from assets.services import client_for
from assets.services.pacing import BUCKET, TooBusy
from changes.models import TrailEvent, TrailEventAsset, TrailReading
from changes.services import trail_judging
from incidents import locks
from notify import live

EVERY: Final = timedelta(seconds=settings.TRAIL_PERIOD_S)
LEASE: Final = timedelta(minutes=8)
LASTING: Final = timedelta(hours=1)
SELDOM: Final = timedelta(minutes=15)
"""A region that has not answered for so long is asked less often: each attempt holds a poller for up to a minute."""
LATE: Final = timedelta(minutes=15)
"""Events are listed up to ten minutes after they happened: what is younger is read again."""
CALLS: Final = 4
"""Pages of one region's round. Ninety days are read in some minutes, round by round."""
PAST_SHARE: Final = 4
"""Of so many pages one is the past's until it is read, however many news there are."""
REGIONS: Final = 4
"""Of one account at a time, one after the other: an account's calls share one limit of two a second, and its rounds
hold one poller, which monitoring needs, for ten seconds at most. Thirty regions have their turn in two minutes."""
MARGIN: Final = timedelta(minutes=30)
"""Less than the 90 days that Alibaba Cloud keeps: the oldest end goes on moving while it is read."""


class Pace:
    """Waits for the account's turn before each call; every worker of the platform shares one queue."""

    def __init__(self, account_uid: str) -> None:
        self._account_uid = account_uid

    def before(self, product: str, action: str) -> None:
        try:
            BUCKET.wait(self._account_uid, product, action)
        except TooBusy:
            raise AliyunError("Throttling.Own", "The queue for this API is too long.", retryable=False) from None

    def after(self, product: str, action: str, code: str) -> None:
        """Nothing is counted: LookupEvents has no monthly quota."""


@dataclass(slots=True)
class Budget:
    """How many calls a round may still make."""

    left: int = CALLS

    @property
    def is_spent(self) -> bool:
        return self.left <= 0


def regions_of(account: CloudAccount) -> frozenset[str]:
    """Which regions keep events of an account: its own, and those of what belongs to none."""
    return frozenset(account.regions).union(api.GLOBAL_REGIONS)


def follow_accounts(*, now: datetime) -> int:
    """A row for every region of every account, and none for a region that is no longer its; returns how many were made.
    What a region told stays. Needs a platform scope."""
    there = CloudAccount.objects.existing().filter(is_enabled=True).exclude(customer__status=Customer.Status.LEFT)
    known: dict[int, set[str]] = defaultdict(set)
    for account_id, region in TrailReading.objects.values_list("cloud_account_id", "region"):
        known[account_id].add(region)
    made = 0
    for account in there:
        wanted = regions_of(account)
        made += follow(account, wanted - known[account.pk], now)
        if gone := known[account.pk] - wanted:
            rows = TrailReading.objects.filter(cloud_account=account, region__in=gone)
            rows.exclude(lease_until__gt=now).delete()  # while a worker reads it, the next look takes it away
    return made


def follow(account: CloudAccount, regions: Iterable[str], now: datetime) -> int:
    """Begin to read these regions: their news begin now, and the past is read backwards."""
    rows = [
        TrailReading(
            customer_id=account.customer_id,
            cloud_account=account,
            region=region,
            began_at=now,
            next_due_at=now,
            read_until=now - LATE,
            back_until=now - LATE,
            back_goal=now - api.BACK + MARGIN,
            judged_at=now,
        )
        for region in sorted(regions)
    ]
    bulk.insert(rows, skip_known=True)
    return len(rows)


@transaction.atomic
def claim(*, now: datetime, limit: int = 100) -> list[tuple[int, list[int]]]:
    """Take what is due, at most so many accounts: the customer and some readings of one account, which one worker reads
    one after the other. An account that a worker is reading waits. Needs a platform scope."""
    busy = TrailReading.objects.filter(lease_until__gt=now).values("cloud_account")
    due = TrailReading.objects.claimable(now).exclude(cloud_account__in=busy).order_by("next_due_at", "pk")
    chosen: dict[int, list[int]] = {}
    for account_id, pk in due.values_list("cloud_account_id", "pk"):
        if len(chosen.setdefault(account_id, [])) < REGIONS:
            chosen[account_id].append(pk)
    wanted = [pk for readings in list(chosen.values())[:limit] for pk in readings]
    rows = list(due.filter(pk__in=wanted).select_for_update(skip_locked=True, of=("self",)))
    TrailReading.objects.filter(pk__in=[row.pk for row in rows]).update(
        lease_until=now + LEASE, next_due_at=now + EVERY
    )
    taken: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in rows:
        taken[row.customer_id, row.cloud_account_id].append(row.pk)
    return [(customer_id, readings) for (customer_id, _account_id), readings in taken.items()]


def read_some(*, reading_ids: Sequence[int], now: datetime, calls: int = CALLS) -> int:
    """One round over some regions of one account, and a look at its changes that moved meanwhile; returns how many
    events were new. Needs the customer's scope."""
    readings = TrailReading.objects.filter(pk__in=reading_ids).select_related("cloud_account__customer")
    rows = list(readings.order_by("next_due_at", "pk"))
    new = sum(read(reading=reading, now=now, calls=calls) for reading in rows)
    if rows:
        trail_judging.follow_changes(account=rows[0].cloud_account, now=now)
    return new


def read(*, reading: TrailReading, now: datetime, calls: int = CALLS) -> int:
    """One round over one region; returns how many events were new. Trouble is written down and not raised: one region
    or account does not hold up another."""
    account = reading.cloud_account
    budget = Budget(calls)
    new, code, detail = 0, "", ""
    try:
        client = client_for(account, purpose="audit trail", now=now).watched(Pace(account.account_uid))
        for some in _round(reading, client, budget, now):
            new += some
    except DomainError as error:
        code, detail = error.code, error.message
    except AliyunError as error:
        code, detail = error.code, error.message
    _settle(reading, code, detail, now=now, goes_on=budget.is_spent)
    return new


def _round(reading: TrailReading, client: Client, budget: Budget, now: datetime) -> Iterator[int]:
    """The news, oldest first; then the past, newest first, for which some pages are kept."""
    kept = 0 if reading.is_complete else budget.left // PAST_SHARE
    budget.left -= kept
    while not budget.is_spent:
        end = min(reading.read_until + api.WINDOW, now)
        yield from _window(reading, client, budget, reading.read_until, end, now=now, backwards=False)
        if end == now:
            break
    budget.left += kept
    while not budget.is_spent and not reading.is_complete:
        start = max(reading.back_until - api.WINDOW, reading.back_goal)
        yield from _window(reading, client, budget, start, reading.back_until, now=now, backwards=True)


def _window(  # one window, said in full
    reading: TrailReading,
    client: Client,
    budget: Budget,
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    backwards: bool,
) -> Iterator[int]:
    """Every page of a window. The mark follows each page, so that a long window goes on where a round ended: over one
    second that fills more pages than a round may read it goes on at once, or it would begin there for ever."""
    token, last, stands_still = "", False, False
    while not last and (stands_still or not budget.is_spent):
        budget.left -= 1
        page = api.page(client, reading.region, start, end, token=token, newest_first=backwards)
        token, last = page.next_token, not page.next_token
        reached = page.records[-1].occurred_at if page.records else None
        mark = (start if backwards else end) if last else reached
        stands_still = reached is not None and (reached >= end if backwards else reached <= start)
        yield keep(reading=reading, records=page.records, mark=mark, backwards=backwards, now=now)


@transaction.atomic
def keep(
    *, reading: TrailReading, records: Sequence[api.Record], mark: datetime | None, backwards: bool, now: datetime
) -> int:
    """Store what is new of a page with its verdicts and move the mark, all or nothing; returns how many were new."""
    account = reading.cloud_account
    locks.hold_customer(account.customer)
    held = (
        TrailReading.objects.select_for_update(of=("self",))
        .select_related("cloud_account__customer")
        .get(pk=reading.pk)
    )
    unique = {record.event_id: record for record in records}
    known = TrailEvent.objects.filter(cloud_account=account, event_id__in=unique)
    for event_id in known.values_list("event_id", flat=True):
        del unique[event_id]
    fresh = sorted(unique.values(), key=lambda record: (record.occurred_at, record.event_id))
    events = [_event(account, record, now) for record in fresh]
    bulk.insert(events)
    touched = _touched(account, fresh)
    bulk.insert(
        [
            TrailEventAsset(customer_id=account.customer_id, event=event, asset_id=asset_id)
            for event, record in zip(events, fresh, strict=True)
            for asset_id in sorted({touched[name] for name in record.resources if name in touched})
        ]
    )
    trail_judging.judge_new(account=account, events=events, began_at=held.began_at, now=now)
    if mark is not None:
        _move(held, mark, backwards=backwards, now=now)
    reading.read_until, reading.back_until = held.read_until, held.back_until
    if events:
        live.publish(customer_id=account.customer_id, topic="trail", object_id=account.pk)
    return len(events)


def _move(reading: TrailReading, mark: datetime, *, backwards: bool, now: datetime) -> None:
    """Forward never into what may still be listed late; never back over what is done."""
    if backwards:
        reading.back_until = max(min(reading.back_until, mark), reading.back_goal)
    else:
        reading.read_until = max(reading.read_until, min(mark, now - LATE))
    reading.save(update_fields=["read_until", "back_until"])


def _event(account: CloudAccount, record: api.Record, now: datetime) -> TrailEvent:
    return TrailEvent(
        customer_id=account.customer_id,
        cloud_account=account,
        event_id=record.event_id,
        occurred_at=record.occurred_at,
        seen_at=now,
        service=record.service,
        action=record.action,
        region=record.region,
        actor_type=record.actor_type,
        actor_name=record.actor_name,
        access_key_id=record.access_key_id,
        source_ip=record.source_ip,
        origin=record.origin,
        request_id=record.request_id,
        error_code=record.error_code,
        resources=list(record.resources),
        raw=dict(record.raw),
    )


def _touched(account: CloudAccount, records: Sequence[api.Record]) -> dict[str, int]:
    """Our assets by the ids that the events name."""
    names = {name for record in records for name in record.resources}
    rows = Asset.objects.filter(cloud_account=account, provider_id__in=names)
    return dict(rows.values_list("provider_id", "pk"))


def _settle(reading: TrailReading, code: str, detail: str, *, now: datetime, goes_on: bool) -> None:
    """End the round: what went wrong is shown on the page, and what is left is read soon."""
    is_news = bool(code) != bool(reading.problem_code)
    reading.problem_since = (reading.problem_since if code == reading.problem_code else now) if code else None
    reading.problem_code, reading.problem_detail = code[:80], detail[:400]
    reading.read_at = reading.read_at if code else now
    reading.lease_until = None
    lasts = reading.problem_since is not None and now - reading.problem_since > LASTING
    reading.next_due_at = now if goes_on and not code else now + (SELDOM if lasts else EVERY)
    reading.save(
        update_fields=["problem_code", "problem_detail", "problem_since", "read_at", "lease_until", "next_due_at"]
    )
    if is_news:
        live.publish(customer_id=reading.customer_id, topic="trail", object_id=reading.cloud_account_id)
