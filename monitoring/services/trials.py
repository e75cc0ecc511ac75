"""Dry runs that somebody watches: each look at one takes it a stretch further, and says how far it is.

No worker holds one: who closes the page or cancels has ended it. Between two looks it lies in the cache, under the name
of the person who asked.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from django.core.cache import cache

from accounts.models import Customer, User
from monitoring.services import dry_run
from monitoring.services.dry_run import Case, Trial

STRETCH_S: Final = 1.5
"""So long a look takes at most, one part of a trial more or less."""
KEPT_S: Final = 600


@dataclass(frozen=True, slots=True)
class Watched:
    """A trial under way, or its end."""

    token: str
    customer_id: int
    case: Case
    trial: Trial
    is_cancelled: bool = False

    @property
    def is_open(self) -> bool:
        return not self.is_cancelled and not self.trial.is_complete


def begin(*, customer: Customer, case: Case, actor: User, now: datetime) -> Watched:
    """Begin a trial with a first stretch; small ones are through with it. Needs a scope that reaches the customer."""
    trial = dry_run.begin(customer=customer, case=case, now=now)
    watched = Watched(uuid.uuid4().hex, customer.pk, case, trial)
    cache.set(_key(actor, watched.token), watched, KEPT_S)
    return _further(watched, customer, actor)


def look(*, token: str, actor: User) -> Watched | None:
    """The trial a stretch further; None when there is none of this person's, or the customer is out of reach."""
    watched: Watched | None = cache.get(_key(actor, token))
    customer = Customer.objects.filter(pk=watched.customer_id).first() if watched else None
    return _further(watched, customer, actor) if watched and customer else None


def cancel(*, token: str, actor: User) -> Watched | None:
    """End it: what was found so far stands."""
    watched: Watched | None = cache.get(_key(actor, token))
    if watched is None or not Customer.objects.filter(pk=watched.customer_id).exists():
        return None
    cache.delete(_key(actor, token))
    return replace(watched, is_cancelled=True)


def _further(watched: Watched, customer: Customer, actor: User) -> Watched:
    trial = dry_run.proceed(watched.trial, customer=customer, case=watched.case, limit_s=STRETCH_S)
    watched, key = replace(watched, trial=trial), _key(actor, watched.token)
    if trial.is_complete:
        cache.delete(key)
    elif cache.touch(key, KEPT_S):  # not cancelled meanwhile
        cache.set(key, watched, KEPT_S)
    return watched


def _key(actor: User, token: str) -> str:
    return f"dry-run:{actor.pk}:{token}"
