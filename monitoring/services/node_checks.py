"""Checks that a customer's own node carries: what it is given, and what of its results is believed.

A node is believed about the targets of its own customer that it is to ask, and about nothing else: whose the figures
are, the rows here say. Results may come hours after their moment, since nodes keep them while the portal is away:
figures are stored and judged by their own moments (`pipeline`), a target's row is changed only by what is newer
(`settling`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import compress
from typing import Final, Protocol, cast

import msgspec
from django.conf import settings
from django.utils.module_loading import import_string

from accounts import scope
from monitoring import pipeline, registry
from monitoring.collectors import Job, Outcome, Problem, batch_of, errand, labels_text, parse_labels, places
from monitoring.collectors.config import Kind
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.errand import POINT, Result
from monitoring.collectors.places import Answer
from monitoring.models import Target
from monitoring.rules import metric_of
from monitoring.services import hosts, poll, probe_events, rounds, series_limit
from monitoring.services.settling import settle

AHEAD: Final = timedelta(minutes=2)
OLDEST: Final = timedelta(hours=7)
"""Nodes keep results for six hours."""
CODES: Final = range(places.STEP_FAILED + 1)
LONGEST_MS: Final = 3_600_000.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assignment:
    """All checks of a customer's node as JSON, and their secrets apart."""

    version: str
    size: int
    body: bytes
    secrets: bytes


class Carrier(Protocol):
    """The node that asks a customer's targets."""

    @property
    def name(self) -> str: ...
    @property
    def seen_at(self) -> datetime | None: ...
    def is_silent(self, now: datetime) -> bool: ...


def carrier_of(customer_id: int, *, now: datetime) -> Carrier | None:
    """None: the customer has no node of its own. Nodes belong to another app, which names itself in the settings."""
    return cast("Carrier | None", import_string(settings.NODE_CARRIER)(customer_id, now=now))


def assignment(*, customer_id: int, known: str, now: datetime) -> Assignment | None:
    """What the customer's node is to ask; None when that is the version it knows."""
    with scope.customer(customer_id):
        targets = list(Target.objects.carried().order_by("pk"))
        version = _version(targets)
        if version == known:
            return None
        checks, secrets = [], {}
        for target in targets:
            try:
                job = poll.job_of(target, now)
            except ConfigError:
                continue
            needs_secret = target.token_set_at is not None
            checks.append(errand.check_as_json(target.kind, job, phase=target.phase, needs_secret=needs_secret))
            if job.token:
                secrets[str(target.pk)] = job.token
    return Assignment(version, len(checks), msgspec.json.encode(checks), msgspec.json.encode(secrets))


def _version(targets: Sequence[Target]) -> str:
    """Whatever changes a target changes its `changed_at`."""
    said = [(target.pk, target.changed_at, target.token_set_at) for target in targets]
    return hashlib.sha256(msgspec.json.encode([settings.CHECK_PERIOD_S, said])).hexdigest()


def take(*, customer_id: int, body: bytes, now: datetime) -> None:
    """Take results in, within the caller's transaction. Raises ValueError for what are none; results that are not
    believed are passed over."""
    results = errand.decode(body)
    with scope.customer(customer_id):
        rows = Target.objects.carried().filter(pk__in={result.target for result in results})
        targets = {target.pk: target for target in rows.select_related("customer", "asset", "cloud_account")}
        looks = [
            look
            for result in sorted(results, key=lambda result: result.at)
            if result.target in targets and (look := _look(result, targets[result.target], now)) is not None
        ]
        if len(looks) < len(results):
            log.info("customer %s: %d results are of no target of its nodes", customer_id, len(results) - len(looks))
        try:
            _store(customer_id, [look.outcome for look in looks], now)
            for some in _turns(looks):
                _settle(some, now)
        finally:
            registry.forget_unless_committed(customer_id)


def _store(customer_id: int, outcomes: Sequence[Outcome], now: datetime) -> None:
    _keep_within_limit(customer_id, outcomes)
    batch = batch_of(customer_id, outcomes)
    if len(batch):
        pipeline.ingest(batch, now=now)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a target, as it is believed."""

    target: Target
    at: datetime
    outcome: Outcome
    answer: Answer | None = None


def _look(result: Result, target: Target, now: datetime) -> _Look | None:
    if not (now - OLDEST).timestamp() <= result.at <= (now + AHEAD).timestamp():
        return None
    at = datetime.fromtimestamp(result.at, UTC)
    try:
        job = Job(target.pk, target.customer_id, target.asset_id or 0, target.parsed_config)
    except ConfigError:
        return None
    kind = Kind(target.kind)
    if kind not in errand.ANSWERED:
        outcome = errand.outcome_of(result, job)
        _leave_out(outcome, [_is_believed(outcome, place, kind, now) for place in range(len(outcome.keys))])
        return _Look(target, at, outcome)
    if result.answer is None:
        problem = Problem(*result.problem) if result.problem else Problem("points_missing")
        return _Look(target, at, Outcome(target.pk, problem=problem, took_ms=result.took_ms))
    if result.answer.code not in CODES or not 0 <= result.answer.took_ms <= LONGEST_MS:
        return None
    answer = replace(result.answer, point=POINT)
    return _Look(target, at, places.outcome_of(job, [answer], points=1, at_ms=round(result.at * 1000)), answer)


def _is_believed(outcome: Outcome, place: int, kind: Kind, now: datetime) -> bool:
    """A figure that the catalogue knows, spelt as we do, of a moment that may be. What a host's scripts told last may
    be of any day."""
    _customer, _asset, metric, labels = outcome.keys[place]
    at = outcome.ts[place] / 1000
    is_in_time = at <= (now + AHEAD).timestamp() and (kind is Kind.STATE or at >= (now - OLDEST).timestamp())
    return is_in_time and metric_of(metric) is not None and labels_text(parse_labels(labels)) == labels


def _keep_within_limit(customer_id: int, outcomes: Sequence[Outcome]) -> None:
    refused = series_limit.beyond(customer_id, [key for outcome in outcomes for key in outcome.keys])
    if refused:
        log.warning("customer %s: %d series are too many", customer_id, len(refused))
        for outcome in outcomes:
            _leave_out(outcome, [key not in refused for key in outcome.keys])


def _leave_out(outcome: Outcome, keep: Sequence[bool]) -> None:
    """Of an outcome's columns, what is not to be kept."""
    if not all(keep):
        outcome.keys = list(compress(outcome.keys, keep))
        outcome.ts, outcome.value = list(compress(outcome.ts, keep)), list(compress(outcome.value, keep))


def _turns(looks: Sequence[_Look]) -> Iterator[list[_Look]]:
    """Looks in their order, no target twice at once."""
    left = list(looks)
    while left:
        first = {look.target.pk: look for look in reversed(left)}
        yield list(first.values())
        left = [look for look in left if first[look.target.pk] is not look]


def _settle(looks: Sequence[_Look], now: datetime) -> None:
    """Of each target once: its row, and what follows from looks that are news."""
    news = settle(
        [look.target for look in looks],
        [look.outcome for look in looks],
        lease=None,
        asked_at=[look.at for look in looks],
        now=now,
    )
    for look in looks:
        if look.target.pk not in news:
            continue
        kind = Kind(look.target.kind)
        if look.answer is not None:
            rounds.keep([look.target], {look.target.pk: [look.answer]}, asked_at=look.at, now=now)
        if kind is Kind.STATE:
            hosts.take([look.target], [look.outcome], now=now)
        if kind in probe_events.KINDS:
            probe_events.watch([look.target], [look.outcome], now=now, asked_at=look.at)
