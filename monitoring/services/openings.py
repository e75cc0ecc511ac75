"""What an alert says when it opens: the words, the rule as it held, and the data points that fired it.

Of many alerts at once each costs a few microseconds: what the alerts of one rule have in common is put together once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from django.db import connection

from accounts import bulk
from accounts.models import Severity
from monitoring import storage, wording
from monitoring.evaluate import Transitions
from monitoring.levels import Effective
from monitoring.models import Alert
from monitoring.plan import Plan
from monitoring.rules import Condition, Form

SAMPLES_KEPT: Final = 20
Samples = Sequence[tuple[int, float]]
"""Data points: Unix milliseconds and value."""


@dataclass(slots=True)
class Opening:
    """An alert about to open, in words already. Not frozen: that would cost a storm a tenth of its time."""

    key: str
    asset_id: int
    rule_id: str
    severity: Severity
    title: str
    text: str
    first_breach_at: datetime
    opened_at: datetime
    series_id: int | None = None
    labels: str = ""
    value: float | None = None
    condition: Mapping[str, object] = field(default_factory=dict)
    samples: Samples | None = ()
    """None: they are copied later."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """Of events: the title by language ("zh", "en"), for readers."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What a series belongs to."""

    asset_id: int
    asset: str
    labels: str


def things_of(series_ids: Sequence[int]) -> dict[int, Thing]:
    """By series, of the customers in scope."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT series.id, asset.id, asset.name, series.labels FROM monitoring_series series"
            " JOIN assets_asset asset ON asset.id = series.asset_id WHERE series.id = ANY(%s)",
            [bulk.array(series_ids)],
        )
        return {pk: Thing(asset_id, name, labels) for pk, asset_id, name, labels in cursor}


def open_key(rule_id: str, asset_id: int, labels: str) -> str:
    """What is unique among open alerts: the rule, the asset, and which of its parts."""
    return f"{rule_id}/{asset_id}/{labels}"


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def describe(effective: Effective) -> dict[str, object]:
    """The rule as it held, for the record and for the line on the graph."""
    return {
        "conditions": [_condition(each) for each in effective.conditions],
        "recovery": [_condition(each) for each in effective.recovery],
        "times": effective.times,
        "period_s": effective.period_s,
        **({"channels": list(effective.channels)} if effective.channels else {}),
        **({"flap_changes": effective.flap_changes} if effective.flap_changes else {}),
        **({"flap_window_s": effective.flap_window_s} if effective.flap_window_s else {}),
    }


def _condition(condition: Condition) -> dict[str, object]:
    return {
        "subject": condition.subject,
        "comparator": condition.comparator.value,
        "threshold": condition.threshold,
        "unit": condition.unit,
        "limit": condition.limit if condition.form is Form.VALUE else None,
    }


@dataclass(frozen=True, slots=True)
class _Terms:
    """What all alerts of one rule have in common."""

    severity: Severity
    condition: Mapping[str, object]
    phrases: wording.Phrases


class Openings:
    """Transitions of one customer put into words, in the language that is active.

    `is_storm`: their data points are stored already and can be copied onto the alerts later.
    """

    def __init__(self, plan: Plan, moved: Transitions, things: Mapping[int, Thing], *, is_storm: bool) -> None:
        self._plan = plan
        self._things = things
        self._terms: dict[int, _Terms] = {}
        runs = [] if is_storm else _runs(plan, moved, things)
        self._samples = dict(zip(runs, samples_of(runs), strict=True))

    def of(self, binding: int, *, first_ts: int, ts: int, value: float) -> Opening:
        """`first_ts`: the first bad data point; `ts`: the one that decided, with its value. Unix milliseconds."""
        effective, series_id = self._plan.effective[binding], int(self._plan.first[binding])
        thing, terms = self._things[series_id], self._terms_of(effective)
        rule_id = effective.rule.id
        return Opening(
            key=open_key(rule_id, thing.asset_id, thing.labels),
            asset_id=thing.asset_id,
            rule_id=rule_id,
            severity=terms.severity,
            title=terms.phrases.title(asset=thing.asset, labels=thing.labels),
            text=terms.phrases.opened(value),
            first_breach_at=moment(first_ts),
            opened_at=moment(ts),
            series_id=series_id,
            labels=thing.labels,
            value=value,
            condition=terms.condition,
            samples=self._samples.get(storage.Span(thing.asset_id, series_id, first_ts, ts)) if self._samples else None,
        )

    def _terms_of(self, effective: Effective) -> _Terms:
        terms = self._terms.get(id(effective))
        if terms is None:
            severity = Severity[effective.severity.upper()]
            terms = self._terms[id(effective)] = _Terms(severity, describe(effective), wording.Phrases(effective))
        return terms


def _runs(plan: Plan, moved: Transitions, things: Mapping[int, Thing]) -> list[storage.Span]:
    """The run of bad points behind each transition that opens an alert."""
    opens = moved.opens
    series = plan.first[moved.binding[opens]].tolist()
    ends = zip(series, moved.first_ts[opens].tolist(), moved.ts[opens].tolist(), strict=True)
    return [storage.Span(things[one].asset_id, one, first, last) for one, first, last in ends]


def samples_of(runs: Sequence[storage.Span]) -> list[Samples]:
    """The stored points of each run, the last of them when they are many; several runs may be of one series."""
    wide: dict[int, storage.Span] = {}
    for run in runs:
        known = wide.get(run.series_id, run)
        first, last = min(known.first, run.first), max(known.last, run.last)
        wide[run.series_id] = storage.Span(run.asset_id, run.series_id, first, last)
    found = storage.read_spans(list(wide.values())) if wide else {}
    points = {one: list(zip(column.ts.tolist(), column.value.tolist(), strict=True)) for one, column in found.items()}
    return [[at for at in points[run.series_id] if run.first <= at[0] <= run.last][-SAMPLES_KEPT:] for run in runs]


def samples_of_alerts(alerts: Sequence[Alert]) -> list[Samples]:
    """The points that fired these alerts, as they were copied or, where that has not been done yet, as stored."""
    bare = [alert for alert in alerts if alert.samples is None and alert.series_id is not None]
    runs = [
        storage.Span(alert.asset_id, alert.series_id or 0, _ms(alert.first_breach_at), _ms(alert.opened_at))
        for alert in bare
    ]
    read = dict(zip([alert.pk for alert in bare], samples_of(runs), strict=True))
    return [read.get(alert.pk) or [(int(ts), float(value)) for ts, value in alert.samples or ()] for alert in alerts]


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
