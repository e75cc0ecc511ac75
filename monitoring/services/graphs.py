"""What graphs show: points of a panel's series in a few hundred buckets, and the alarms of that time."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import get_language
from numpy.typing import NDArray

from accounts.models import Severity
from assets.models import Asset
from monitoring import storage
from monitoring.collectors import labels_text, parse_labels
from monitoring.models import Alert, Series
from monitoring.panels import Panel, panels_for
from monitoring.rules import CODES
from monitoring.services import outgoing, outlooks
from monitoring.wording import labels_shown

log = logging.getLogger(__name__)

RANGES: Final = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "1y": timedelta(days=366),
}
DEFAULT_RANGE: Final = "6h"
LONGEST: Final = timedelta(days=366)
POINTS: Final = 360
SERIES_AT_ONCE: Final = 24
ALARMS_AT_ONCE: Final = 200
ROWS_AT_ONCE: Final = 200_000
STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
GAP_STEPS: Final = 2.6
AHEAD: Final = 2
"""A trend is drawn to its end when that is no further away than so many times the range (static/js/chart.js)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, half open, cut into buckets of ``step`` seconds."""

    start: datetime
    end: datetime
    step: int

    @classmethod
    def of(cls, start: datetime, end: datetime) -> Window:
        """Buckets of a round length, so that a longer look gives the same ones."""
        length = (end - start).total_seconds()
        step = next((step for step in STEPS_S if length / step <= POINTS), STEPS_S[-1])
        begin = start.timestamp() // step * step
        return cls(datetime.fromtimestamp(begin, UTC), end, step)


def window(name: str, start: datetime | None, end: datetime | None, *, now: datetime) -> Window:
    """The window that people picked: a named range up to now, or two moments of their own."""
    if start is not None and end is not None and timedelta(0) < end - start <= LONGEST:
        return Window.of(start, end)
    return Window.of(now - RANGES.get(name, RANGES[DEFAULT_RANGE]), now)


def panels_of(asset: Asset) -> list[Panel]:
    """The graphs there is something to show for."""
    return panels_for(Series.objects.filter(asset=asset).values_list("metric", flat=True).distinct())


def series_of(asset: Asset, panel: Panel) -> list[Series]:
    """The series of a panel: by metric in the panel's order, then by label as people count (sda2 before sda10)."""
    found = list(Series.objects.filter(asset=asset, metric__in=panel.metrics))
    order = {metric: place for place, metric in enumerate(panel.metrics)}
    return sorted(found, key=lambda one: (order[one.metric], _counting(one.labels)))


def _counting(text: str) -> list[tuple[int, str]]:
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.findall(r"\d+|\D+", text)]


def graph(asset: Asset, panel: Panel, view: Window, *, since: datetime | None = None) -> dict[str, Any]:
    """A panel as the chart draws it (JSON). ``since`` leaves out the buckets before it, for a graph that goes on."""
    series = series_of(asset, panel)
    shown = series[:SERIES_AT_ONCE]
    start = max(view.start, since) if since is not None else view.start
    columns = buckets(asset.pk, [one.pk for one in shown], start, view.end, view.step, last=panel.is_state)
    language = get_language() or "zh-hans"
    return {
        "id": panel.id,
        "title": panel.name(language),
        "unit": panel.unit,
        "state": panel.is_state,
        "min": panel.floor,
        "max": panel.ceiling,
        "from": _ms(view.start),
        "to": _ms(view.end),
        "step": view.step * 1000,
        "hidden": len(series) - len(shown),
        "series": [
            {
                "id": one.pk,
                "name": name,
                "codes": _codes(one.metric, language),
                "t": column.ts,
                "v": column.middle,
                "lo": column.low,
                "hi": column.high,
            }
            for one, name, column in zip(shown, _names(shown), columns, strict=True)
        ],
        "alarms": alarms(asset, panel, view),
        "ahead": [_reachable(one, view) for one in outlooks.ahead(series=shown, until=view.end)],
    }


def _reachable(one: outlooks.Ahead, view: Window) -> dict[str, object]:
    """With the shortest range in which the chart shows the trend to its end: it looks ahead twice as far as back."""
    left = timedelta(milliseconds=one.full - _ms(view.end))
    return {**one.as_json(), "range": next(name for name, length in RANGES.items() if left <= AHEAD * length)}


@dataclass(frozen=True, slots=True)
class Column:
    """One series in buckets: their beginning (Unix ms), mean, least and greatest; None marks a gap."""

    ts: list[int]
    middle: list[float | None]
    low: list[float | None]
    high: list[float | None]


def buckets(
    asset_id: int, series_ids: Sequence[int], start: datetime, end: datetime, step: int, *, last: bool = False
) -> list[Column]:
    """The series of an asset in buckets. ``last``: the last value instead of the mean, for codes, of which a mean makes
    no sense (the highest, where figures of five minutes or an hour are put together). Needs a scope that reaches the
    asset.

    Short buckets are reckoned from every point, long ones from the figures of five minutes or an hour that are kept:
    a year costs no more than a day.
    """
    if not series_ids:
        return []
    if settings.REMOTE_READ_URL:
        try:
            found = outgoing.read_back(series_ids=series_ids, start=start, end=end, step_s=step, last=last)
            return [_column(found[one], step * 1000) for one in series_ids]
        except outgoing.NotReadError as error:
            log.warning("graphs come from our own history: %s", error)
    kept: storage.Step | None = 3600 if step % 3600 == 0 else 300 if step % 300 == 0 else None
    if kept is None:
        points = storage.read(asset_id=asset_id, series_ids=series_ids, start=start, end=end)
        return [_of_points(points[one], step, last=last) for one in series_ids]
    steps = storage.rollup(series_ids=series_ids, start=start, end=end, step_s=kept)
    return [_of_steps(steps[one], step, last=last) for one in series_ids]


def _of_points(points: storage.Column, step: int, *, last: bool) -> Column:
    found = storage.steps(points, step)
    middle = points.value[np.cumsum(found.count) - 1] if last else found.mean
    return _column(replace(found, mean=middle), step * 1000)


def _of_steps(kept: storage.Rollup, step: int, *, last: bool) -> Column:
    if not len(kept.ts):
        return Column([], [], [], [])
    begins = kept.ts // (step * 1000) * (step * 1000)
    first = np.flatnonzero(np.append(True, begins[1:] != begins[:-1]))
    count = np.add.reduceat(kept.count, first)
    low, high = np.minimum.reduceat(kept.low, first), np.maximum.reduceat(kept.high, first)
    mean = np.add.reduceat(kept.mean * kept.count, first) / count
    return _column(storage.Rollup(begins[first], low, high, high if last else mean, count), step * 1000)


def _column(found: storage.Rollup, step: int) -> Column:
    """One series with a None where it was silent for long."""
    ts = found.ts
    if not len(ts):
        return Column([], [], [], [])
    apart = np.diff(ts)
    usual = max(float(np.median(apart)) if len(apart) else 0.0, step)
    breaks = np.flatnonzero(apart > GAP_STEPS * usual)
    moments = np.insert(ts, breaks + 1, ts[breaks] + step).tolist()
    if float(found.count.mean()) < 1.5:  # about one point in each bucket: least and greatest say nothing more
        return Column(moments, _figures(found.mean, breaks), [], [])
    return Column(moments, *(_figures(values, breaks) for values in (found.mean, found.low, found.high)))


def _figures(values: Floats, breaks: NDArray[np.intp]) -> list[float | None]:
    """Rounded to what an eye or a tooltip can tell apart: six significant digits keep the answer small."""
    with_gaps = np.insert(values, breaks + 1, np.nan).tolist()
    return [None if value != value else float(f"{value:.6g}") for value in with_gaps]  # noqa: PLR0124  # NaN


def _names(shown: Sequence[Series]) -> list[str]:
    """What tells each curve from its neighbours: its metric, and the labels that differ between them."""
    labels = [parse_labels(one.labels) for one in shown]
    same = [name for name in labels[0] if len({each.get(name) for each in labels}) == 1] if len(shown) > 1 else []
    alone = len({one.metric for one in shown}) == 1
    names = []
    for one, mine in zip(shown, labels, strict=True):
        detail = labels_shown(labels_text({name: value for name, value in mine.items() if name not in same}))
        names.append((detail or one.name) if alone else f"{one.name} {detail}".strip())
    return names


def _codes(metric: str, language: str) -> dict[int, str]:
    place = 0 if language.startswith("zh") else 1
    return {code: names[place] for code, names in CODES.get(metric, {}).items()}


def alarms(asset: Asset, panel: Panel, view: Window) -> list[dict[str, Any]]:
    """The alerts of the panel's metrics that were open within the window."""
    within = Alert.objects.filter(asset=asset, series__metric__in=_judged_with(panel), first_breach_at__lt=view.end)
    within = within.filter(Q(recovered_at=None) | Q(recovered_at__gte=view.start)).order_by("-opened_at")
    return [
        {
            "from": _ms(alert.opened_at),
            "to": _ms(alert.recovered_at) if alert.recovered_at else None,
            "name": alert.title,
            "severity": alert.severity,
            "level": str(Severity(alert.severity).label),
            "url": _alert_url(alert),
        }
        for alert in within[:ALARMS_AT_ONCE]
    ]


def _judged_with(panel: Panel) -> list[str]:
    """Metrics whose alerts belong on this graph: its own, and hidden ones that say the same in other words."""
    said_elsewhere = {"host.fs.used_pct": "host.fs.free_pct", "host.fs.free_bytes": "host.fs.free_pct"}
    more = [said_elsewhere[metric] for metric in panel.metrics if metric in said_elsewhere]
    return [*panel.metrics, *more]


def _alert_url(alert: Alert) -> str:
    return reverse("incidents:detail", args=[alert.incident_id]) if alert.incident_id else ""


def raw_rows(asset: Asset, panel: Panel, view: Window) -> list[tuple[Any, ...]]:
    """Every point of a panel in a window, for export: time, metric, labels, value, unit. At most `ROWS_AT_ONCE`."""
    series = series_of(asset, panel)
    rows: list[tuple[Any, ...]] = []
    begin = view.start
    while begin < view.end and len(rows) < ROWS_AT_ONCE:
        end = min(begin + timedelta(days=1), view.end)
        found = storage.read(asset_id=asset.pk, series_ids=[one.pk for one in series], start=begin, end=end)
        day = [
            (at, place, value)
            for place, one in enumerate(series)
            for at, value in zip(found[one.pk].ts.tolist(), found[one.pk].value.tolist(), strict=True)
        ]
        rows += [(datetime.fromtimestamp(at / 1000, UTC), series[place], value) for at, place, value in sorted(day)]
        begin = end
    return [(at, one.name, labels_shown(one.labels), value, one.unit) for at, one, value in rows[:ROWS_AT_ONCE]]


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
