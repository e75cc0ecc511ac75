"""What the widgets of a dashboard show now: figures for graphs, and what stands in the other boxes.

A dashboard is about one customer. Everything is read within that customer's scope, whoever looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils.translation import get_language

from assets.models import Asset
from incidents.models import Incident
from monitoring import overview, storage
from monitoring.models import Alert, Dashboard, Series, metric_name
from monitoring.overview import Condition
from monitoring.panels import Panel, panel
from monitoring.rules import METRICS
from monitoring.services import graphs
from monitoring.services import overview as wall
from monitoring.units import shown
from monitoring.widgets import Widget, WidgetKind
from monitoring.wording import labels_shown

LISTED: Final = 10
OLD: Final = timedelta(minutes=10)
"""A newest value older than this is said to be old."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The newest value of one series, ready to be read. `share` is its length as a bar, 0 to 100."""

    asset: Asset
    detail: str
    text: str
    at: datetime
    is_old: bool
    share: float
    worst: Condition | None


def graph(
    dashboard: Dashboard, widget: Widget, view: graphs.Window, *, since: datetime | None
) -> dict[str, Any] | None:
    """The figures of a graph or a comparison; None for boxes that hold none, or whose assets are gone."""
    assets = _assets(dashboard, widget)
    if not assets:
        return None
    if widget.kind is WidgetKind.GRAPH and (found := panel(widget.panel)) is not None:
        return graphs.graph(assets[0], found, view, since=since)
    if widget.kind is WidgetKind.COMPARE:
        return _compared(assets, widget.metric, view)
    return None


def _compared(assets: Sequence[Asset], metric: str, view: graphs.Window) -> dict[str, Any]:
    """One metric of several assets in one graph, each curve under the name of its asset."""
    about = METRICS[metric]
    alone = Panel(metric, about.name_zh, about.name_en, (metric,), 0.0, 100.0 if about.unit == "%" else None)
    each = [(asset, graphs.graph(asset, alone, view)) for asset in assets]
    merged = dict(each[0][1])
    merged["series"] = [
        {**one, "name": asset.name if len(found["series"]) == 1 else f"{asset.name} {one['name']}"}
        for asset, found in each
        for one in found["series"]
    ]
    merged["hidden"] = sum(found["hidden"] for _, found in each)
    merged["alarms"] = [alarm for _, found in each for alarm in found["alarms"]]
    return merged


def content(dashboard: Dashboard, widget: Widget, *, now: datetime) -> dict[str, Any]:
    """The context of `monitoring/_box_<kind>.html`."""
    match widget.kind:
        case WidgetKind.VALUE | WidgetKind.TOP:
            found = figures(dashboard, widget, now=now)
            return {"figures": found, "metric": metric_name(widget.metric)}
        case WidgetKind.ALERTS:
            rows = Alert.objects.loud().filter(customer=dashboard.customer_id).select_related("asset").worst_first()
            return {"alerts": rows[:LISTED], "more": max(rows.count() - LISTED, 0)}
        case WidgetKind.INCIDENTS:
            # Both sides look at the same dashboard, and whoever has its link does.
            unsolved = Incident.objects.filter(customer=dashboard.customer_id).unsolved().for_both_sides()
            return {"incidents": unsolved.by_urgency().for_lists()[:LISTED], "more": max(unsolved.count() - LISTED, 0)}
        case WidgetKind.HEALTH:
            tiles = wall.tiles(Asset.objects.active().filter(customer=dashboard.customer_id), now=now)
            return {"counts": wall.counts(tiles), "tiles": overview.worst_first(tiles)[:200]}
        case _:
            return {}


def figures(dashboard: Dashboard, widget: Widget, *, now: datetime) -> list[Figure]:
    """The newest values of a metric, the greatest first: of one asset, or of all that have it."""
    series = Series.objects.filter(customer=dashboard.customer_id, metric=widget.metric, asset__retired_at=None)
    if widget.kind is WidgetKind.VALUE:
        series = series.filter(asset__in=widget.assets)
    rows = list(series.select_related("asset"))
    newest = storage.newest(sorted({one.asset_id for one in rows}))
    found = [(one, *newest[one.pk]) for one in rows if one.pk in newest]
    found.sort(key=lambda row: -row[2])
    found = found[:LISTED]
    ceiling = 100.0 if METRICS[widget.metric].unit == "%" else max((value for _, _, value in found), default=0.0)
    worst = _worst([one.pk for one, _, _ in found])
    return [_figure(one, (ts, value), ceiling=ceiling, now=now, worst=worst.get(one.pk)) for one, ts, value in found]


def _figure(
    series: Series, point: tuple[int, float], *, ceiling: float, now: datetime, worst: Condition | None
) -> Figure:
    ts, value = point
    at = datetime.fromtimestamp(ts / 1000, tz=now.tzinfo)
    return Figure(
        asset=series.asset,
        detail=labels_shown(series.labels),
        text=shown(value, METRICS[series.metric].unit, metric=series.metric, language=get_language() or "zh"),
        at=at,
        is_old=now - at > OLD,
        share=round(min(max(value / ceiling, 0.0), 1.0) * 100, 1) if ceiling else 0.0,
        worst=worst,
    )


def _worst(series_ids: Sequence[int]) -> dict[int, Condition]:
    """The worst open alert on each of these series."""
    rows = Alert.objects.open().filter(series__in=series_ids).order_by("-severity").values_list("series", "severity")
    return {series_id: overview.BY_SEVERITY[severity] for series_id, severity in rows}


def _assets(dashboard: Dashboard, widget: Widget) -> list[Asset]:
    """The widget's assets that are still the customer's, in the widget's order."""
    there = Asset.objects.filter(customer=dashboard.customer_id).in_bulk(list(widget.assets))
    return [there[pk] for pk in widget.assets if pk in there]
