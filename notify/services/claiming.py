"""Claiming messages to single people: mail and push one by one, calls and SMS within the limits of each number.

Alibaba Cloud counts calls and SMS by the called number, so all claims of them stand in one line: whoever claims holds
the line for the few milliseconds that it takes, and no two workers together exceed what a number may get.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q

from notify import budget
from notify.models import Attempt, Delivery, DeliveryQuerySet
from notify.services.digests import is_digest, merge
from notify.services.leasing import Claim, lease
from notify.states import State

Medium = Delivery.Medium
LIMITS = {Medium.VOICE.value: budget.CALLS, Medium.SMS.value: budget.TEXTS}
PATIENCE = {Medium.VOICE.value: timedelta(minutes=15), Medium.SMS.value: timedelta(hours=1)}
"""A call or SMS that its number's limit would hold up for longer is given up: somebody else must be reached."""
AT_ONCE = 200
LINE = 0x726470  # the advisory lock of everybody who claims a call or an SMS
NOT_SENT = "not sent"


def claim(*, medium: str, now: datetime) -> list[Claim]:
    """The next message of this medium, leased; needs the platform's scope and a transaction."""
    if medium in LIMITS:
        return _claim_numbered(medium, now)
    first = _due(medium, now)[:1]
    return lease([_with_others(row, now) for row in first], now)


def _claim_numbered(medium: str, now: datetime) -> list[Claim]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LINE])
    seen = set[str]()
    for row in _due(medium, now)[:AT_ONCE]:
        if row.address in seen:
            continue
        seen.add(row.address)
        robot = fingerprint(medium, row.address)
        wait = budget.wait_for(LIMITS[medium], tries_of(robot, medium, now), now)
        if wait <= timedelta():
            return lease([_with_others(row, now)], now, robot=robot)
        _hold_back(medium, row.address, now, wait)
    return []


def _due(medium: str, now: datetime) -> DeliveryQuerySet:
    due: DeliveryQuerySet = Delivery.objects.due(now).filter(channel=None, medium=medium).in_turn()
    return due.select_for_update(skip_locked=True)


def _with_others(row: Delivery, now: datetime) -> Delivery:
    """One call for all that is wrong at a customer; one message for all that quiet hours held back."""
    if is_digest(row) or (row.medium != Medium.VOICE and row.held_until is None):
        return row
    same = Delivery.objects.due(now).filter(medium=row.medium, user=row.user, customer=row.customer)
    same = same.filter(address=row.address).exclude(key__startswith="digest:").exclude(topic="test")
    if row.medium != Medium.VOICE:
        same = same.filter(held_until__isnull=False)
    parts = list(same.in_turn().select_for_update(skip_locked=True)[:AT_ONCE])
    return merge(parts, now) if len(parts) > 1 else row


def _hold_back(medium: str, address: str, now: datetime, wait: timedelta) -> None:
    mine = Delivery.objects.due(now).filter(channel=None, medium=medium, address=address)
    if wait <= PATIENCE[medium]:
        mine.update(next_attempt_at=now + wait)
    else:
        given_up = {"state": State.FAILED, "settled_at": now, "next_attempt_at": None, "lease_until": None}
        mine.update(**given_up, last_code="number's limit", last_detail="")


def fingerprint(medium: str, address: str) -> str:
    """Names a number without telling it."""
    return hashlib.sha256(f"{medium}:{address}".encode()).hexdigest()[:32]


def tries_of(robot: str, medium: str, now: datetime) -> list[datetime]:
    """When this number was tried, as far back as a limit reaches; what never reached the provider does not count."""
    since = now - budget.longest(LIMITS[medium])
    recent = Attempt.objects.filter(Q(settled_at=None) | Q(settled_at__gt=since), robot=robot)
    return [
        settled or started for started, settled in recent.exclude(code=NOT_SENT).values_list("started_at", "settled_at")
    ]
