"""Rounds of probes: the places of this machine are asked at once, those elsewhere by the queue of their name, and when
all have answered, or their time is over, the answers are put together.

A place elsewhere gets a sealed parcel of jobs and sends back a sealed parcel of answers; what it says counts for
rounds it was asked in, once, and for no other target.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from accounts import scope
from accounts.models import Severity
from assets.models import Asset
from monitoring.collectors import Job, Outcome, asking, parcel, places
from monitoring.collectors.config import Kind
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.network import Guard
from monitoring.collectors.places import Answer, Location
from monitoring.models import ProbePoint, ProbeRound, Target
from monitoring.rules import CODES
from monitoring.services import alerts

log = logging.getLogger(__name__)

PATIENCE: Final = timedelta(seconds=45)
"""How long a round waits for its places: longer than the longest check, shorter than the lease of its targets."""
PARCEL: Final = 50
REGION_AFTER: Final = 3
"""Rounds in a row, as for every rule of the SOW that looks once a minute."""
PROBE_TASK: Final = "monitoring.probe"
REGION_RULE: Final = "url-region"
HERE: Final = Location("here")


@dataclass(frozen=True, slots=True)
class Finished:
    """A round that is over: its target, the outcome for the pipeline, and the lease to settle under."""

    target: Target
    outcome: Outcome
    lease: datetime


def locations() -> Mapping[str, Location]:
    """The probe points of this installation."""
    return places.locations_of(settings.PROBE_POINTS)


def key_of(location: str) -> str:
    """The key that the worker of a location is started with."""
    return parcel.key_for(location, settings.SECRET_KEY)


def run_here(kind: Kind, jobs: Sequence[Job[Any]], *, guard: Guard, now: datetime) -> list[Outcome]:
    """One look from this machine alone, for trials; places elsewhere are not asked."""
    known = locations()
    answers: dict[int, list[Answer]] = {job.target_id: [] for job in jobs}
    wanted = {
        job.target_id: [one for one in places.chosen(job.config, known) if one.is_local] or [HERE] for job in jobs
    }
    for _point, found in _ask_here(kind, jobs, wanted, guard):
        for job, answer in found:
            answers[job.target_id].append(answer)
    at = round(now.timestamp() * 1000)
    return [places.outcome_of(job, answers[job.target_id], points=len(wanted[job.target_id]), at_ms=at) for job in jobs]


def ask(
    kind: Kind, jobs: Sequence[Job[Any]], targets: Mapping[int, Target], *, guard: Guard, lease: datetime, now: datetime
) -> tuple[list[Outcome], set[int]]:
    """Begin a round for each job. Returns the outcomes of rounds that are over already, and the targets whose rounds
    wait for places elsewhere. Needs the customer's scope."""
    known = locations()
    wanted = {job.target_id: places.chosen(job.config, known) or [HERE] for job in jobs}
    far = {
        job.target_id: [one for one in wanted[job.target_id] if not one.is_local]
        for job in jobs
        if not all(one.is_local for one in wanted[job.target_id])
    }
    if far:
        _open_rounds([targets[pk] for pk in far], wanted, lease=lease, now=now)
        for pk in _send(kind, [job for job in jobs if job.target_id in far], far, now):
            log.warning("no question could be sent to a probe point for target %s", pk)
    near = {pk: [one for one in some if one.is_local] for pk, some in wanted.items()}
    answers: dict[int, list[Answer]] = {job.target_id: [] for job in jobs}
    for _point, found in _ask_here(kind, jobs, near, guard):
        for job, answer in found:
            answers[job.target_id].append(answer)
    with transaction.atomic():
        keep([targets[pk] for pk in answers], answers, asked_at=now, now=now)
    outcomes: list[Outcome] = []
    at = round(now.timestamp() * 1000)
    for job in jobs:
        if job.target_id not in far:
            points = [one.slug for one in wanted[job.target_id]]
            some = answers[job.target_id]
            outcomes.append(places.outcome_of(job, some, points=len(points), at_ms=at))
            watch_regions(targets[job.target_id], some, points=points, now=now)
    return outcomes, set(far)


def _ask_here(
    kind: Kind, jobs: Sequence[Job[Any]], wanted: Mapping[int, Sequence[Location]], guard: Guard
) -> list[tuple[str, list[tuple[Job[Any], Answer]]]]:
    """The answers of every place on this machine, place by place."""
    by_point: dict[str, list[Job[Any]]] = {}
    for job in jobs:
        for place in wanted[job.target_id]:
            by_point.setdefault(place.slug, []).append(job)

    async def main() -> list[tuple[str, list[tuple[Job[Any], Answer]]]]:
        asked = [
            asking.ask(kind, some, guard=guard, point=point, control=settings.PROBE_CONTROL)
            for point, some in by_point.items()
        ]
        return [
            (point, list(zip(by_point[point], answers, strict=True)))
            for point, answers in zip(by_point, await asyncio.gather(*asked), strict=True)
        ]

    found: list[tuple[str, list[tuple[Job[Any], Answer]]]] = asking.to_the_end(main) if by_point else []
    return found


def _open_rounds(
    targets: Sequence[Target], wanted: Mapping[int, Sequence[Location]], *, lease: datetime, now: datetime
) -> None:
    rows = [
        ProbeRound(
            customer_id=target.customer_id,
            target=target,
            asked_at=now,
            lease=lease,
            due_at=now + PATIENCE,
            points=[place.slug for place in wanted[target.pk]],
            is_open=True,
        )
        for target in targets
    ]
    ProbeRound.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["target"],
        update_fields=["asked_at", "lease", "due_at", "points", "is_open"],
    )


def _send(kind: Kind, jobs: Sequence[Job[Any]], far: Mapping[int, Sequence[Location]], now: datetime) -> Iterable[int]:
    """Put the questions into the queues of their places; returns the targets for which a queue took nothing."""
    by_place: dict[Location, list[Job[Any]]] = {}
    for job in jobs:
        for place in far[job.target_id]:
            by_place.setdefault(place, []).append(job)
    lost: list[int] = []
    expires = now + PATIENCE
    for place, some in by_place.items():
        for at in range(0, len(some), PARCEL):
            part = some[at : at + PARCEL]
            content = {
                "round": now.isoformat(),
                "expires": expires.timestamp(),
                "jobs": [parcel.job_as_json(kind, job) for job in part],
            }
            sealed = parcel.seal(content, key=key_of(place.slug), location=place.slug, direction=parcel.QUESTION)
            try:
                current_app.send_task(
                    PROBE_TASK, (sealed,), queue=place.queue, expires=PATIENCE.total_seconds(), ignore_result=True
                )
            except OperationalError:
                lost += [job.target_id for job in part]
    return lost


# --- answers from elsewhere ----------------------------------------------------------------------------------------


def take(location: str, sealed: str, *, now: datetime) -> list[Finished]:
    """Take the answers of a location; returns the rounds that are over with them. Needs a platform scope.

    Raises ParcelError for what was not sealed with the location's own key.
    """
    content = parcel.unseal(sealed, key=key_of(location), location=location, direction=parcel.ANSWER)
    asked_at = datetime.fromisoformat(content["round"])
    answers = {each["target"]: Answer.of({**each["answer"], "point": location}) for each in content["answers"]}
    finished: list[Finished] = []
    with transaction.atomic():
        rounds = list(
            ProbeRound.objects.filter(target__in=answers, asked_at=asked_at)
            .select_for_update(of=("self",))
            .select_related("target__customer", "target__asset")
            .order_by("pk")
        )
        rounds = [one for one in rounds if location in one.points]
        keep([one.target for one in rounds], {one.target_id: [answers[one.target_id]] for one in rounds},
             asked_at=asked_at, now=now)  # fmt: skip
        for one in rounds:
            if one.is_open and len(said := answers_of(one)) == len(one.points):
                finished += _conclude(one, said, now)
    return finished


@transaction.atomic
def take_overdue(*, now: datetime) -> list[Finished]:
    """End the rounds whose time is over with the answers there are. Needs a platform scope."""
    finished: list[Finished] = []
    due = ProbeRound.objects.overdue(now).select_related("target__customer", "target__asset")
    for one in due.select_for_update(of=("self",), skip_locked=True).order_by("pk")[:500]:
        said = answers_of(one)
        missing = [point for point in one.points if point not in {answer.point for answer in said}]
        _miss(one, missing, now)
        finished += _conclude(one, said, now)
    return finished


def answers_of(one: ProbeRound) -> list[Answer]:
    """The answers that belong to this round."""
    rows = ProbePoint.objects.filter(target_id=one.target_id, asked_at=one.asked_at, point__in=one.points)
    return [Answer.of(row.answer) for row in rows.exclude(answered_at=None)]


def _conclude(one: ProbeRound, said: Sequence[Answer], now: datetime) -> list[Finished]:
    ProbeRound.objects.filter(pk=one.pk).update(is_open=False)
    target = one.target
    try:
        config = target.parsed_config
    except ConfigError:
        return []
    job = Job(target.pk, target.customer_id, target.asset_id or 0, config)
    outcome = places.outcome_of(job, said, points=len(one.points), at_ms=round(one.asked_at.timestamp() * 1000))
    with scope.customer(target.customer_id):
        watch_regions(target, said, points=one.points, now=now)
    return [Finished(target, outcome, one.lease)]


# --- what is known of each place -----------------------------------------------------------------------------------


def keep(
    targets: Sequence[Target], answers: Mapping[int, Sequence[Answer]], *, asked_at: datetime, now: datetime
) -> None:
    """Write the last answer of each place beside its target, with since when it is so."""
    known = {(row.target_id, row.point): row for row in ProbePoint.objects.filter(target__in=targets)}
    rows = []
    for target in targets:
        for answer in answers[target.pk]:
            row = known.get((target.pk, answer.point))
            if row is None or row.asked_at < asked_at:
                rows.append(_with(row, target, answer, asked_at, now))
    _write(rows)


def _with(row: ProbePoint | None, target: Target, answer: Answer, asked_at: datetime, now: datetime) -> ProbePoint:
    before = row or ProbePoint(customer_id=target.customer_id, target=target, point=answer.point, since=asked_at)
    is_missing = answer.problem is not None
    is_bad = not is_missing and answer.code != places.PASSED
    is_new = row is None or (bool(before.bad_rounds), bool(before.missing_rounds)) != (is_bad, is_missing)
    before.asked_at, before.answered_at = asked_at, now
    before.code = None if is_missing else answer.code
    before.answer = answer.as_json()
    before.since = asked_at if is_new else before.since
    before.missing_rounds = before.missing_rounds + 1 if is_missing else 0
    before.bad_rounds = before.bad_rounds + 1 if is_bad else 0
    before.good_rounds = 0 if is_bad or is_missing else before.good_rounds + 1
    return before


def _miss(one: ProbeRound, points: Sequence[str], now: datetime) -> None:
    """Places that did not answer in time: missing, and neither good nor bad."""
    known = {row.point: row for row in ProbePoint.objects.filter(target_id=one.target_id, point__in=points)}
    rows = []
    for point in points:
        row = known.get(point) or ProbePoint(
            customer_id=one.customer_id, target=one.target, point=point, since=one.asked_at
        )
        row.since = row.since if row.missing_rounds else one.asked_at
        row.asked_at, row.missing_rounds, row.bad_rounds, row.good_rounds = one.asked_at, row.missing_rounds + 1, 0, 0
        row.code, row.answered_at = None, None
        rows.append(row)
    _write(rows)


def _write(rows: Collection[ProbePoint]) -> None:
    fields = ["asked_at", "answered_at", "code", "answer", "since", "bad_rounds", "good_rounds", "missing_rounds"]
    if rows:
        ProbePoint.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["target", "point"], update_fields=fields
        )


# --- one place alone ----------------------------------------------------------------------------------------------


def watch_regions(target: Target, said: Sequence[Answer], *, points: Sequence[str], now: datetime) -> None:
    """A place that fails while the site as a whole does not is a regional trouble: told after three rounds, closed
    when the place has passed three times. Needs the customer's scope."""
    if len(points) < 2 or target.asset is None:
        return
    rows = {row.point: row for row in ProbePoint.objects.filter(target=target, point__in=points)}
    is_down = places.verdict(said, points=len(points), wished=target.config.get("quorum", 0)).is_down
    for answer in said:
        row = rows.get(answer.point)
        key = f"{REGION_RULE}:{target.pk}:{answer.point}"
        if row is None:
            continue
        if row.bad_rounds >= REGION_AFTER and is_down is False:
            _open_region(target, target.asset, answer, row, key, now)
        elif row.good_rounds == REGION_AFTER or (row.bad_rounds and is_down):
            alerts.close_event(customer=target.customer, key=key, now=now)


def _open_region(  # noqa: PLR0917  # what an alert is made of
    target: Target, asset: Asset, answer: Answer, row: ProbePoint, key: str, now: datetime
) -> None:
    place = locations().get(answer.point, Location(answer.point))
    titles = {language: _region_title(language, target, place) for language in ("zh", "en")}
    reason = CODES.get("url.point.result_code", {}).get(answer.code, ("", ""))
    alerts.open_event(
        customer=target.customer,
        asset=asset,
        rule_id=REGION_RULE,
        severity=Severity.WARNING,
        title=titles["zh"],
        text=f"{place.title}: {reason[0]} {answer.detail}".strip(),
        key=key,
        occurred_at=row.since,
        now=now,
        titles=titles,
    )


def _region_title(language: str, target: Target, place: Location) -> str:
    with translation.override("zh-hans" if language == "zh" else "en"):
        return _("%(name)s cannot be reached from %(place)s") % {"name": target.name, "place": place.title}
