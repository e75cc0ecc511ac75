"""The graphs that an asset page shows: which metrics stand together, in which order, on which axis. No Django."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitoring.rules import CUSTOM, METRICS, metric_of

DATA: Final = Path(__file__).parent / "data" / "panels.csv"
HIDDEN: Final = frozenset({"host.boot_time", "host.cpu.cores", "host.fs.free_pct", "host.fs.size_bytes"})
"""Metrics that rules need and that no person looks at as a curve."""
FREE: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{1,99}")
"""Names that a customer's own Prometheus writes under (`services.remote`); those of the catalogue have points."""
FREE_AT_ONCE: Final = 60


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph. ``floor`` and ``ceiling`` fix the axis where the figure has natural ends."""

    id: str
    name_zh: str
    name_en: str
    metrics: tuple[str, ...]
    floor: float | None
    ceiling: float | None

    def name(self, language: str) -> str:
        return self.name_zh if language.startswith("zh") else self.name_en

    @property
    def unit(self) -> str:
        metric = METRICS.get(self.metrics[0])
        return metric.unit if metric else ""

    @property
    def is_state(self) -> bool:
        """Codes rather than quantities: drawn in steps, and named."""
        metric = METRICS.get(self.metrics[0])
        return metric is not None and metric.kind == "state"


def load(path: Path = DATA) -> Mapping[str, Panel]:
    """The catalogue of panels. Raises ValueError when a row does not fit the catalogue of metrics."""
    found: dict[str, Panel] = {}
    used: set[str] = set()
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            metrics = tuple(row["metrics"].split("|"))
            unknown = [name for name in metrics if name not in METRICS]
            units = {METRICS[name].unit for name in metrics if name in METRICS}
            if unknown or len(units) != 1 or used & set(metrics) or row["id"] in found:
                raise ValueError(f"{path.name}: {row['id']}: unknown, doubled or mixed metrics {unknown or units}")
            used |= set(metrics)
            found[row["id"]] = Panel(
                row["id"], row["name_zh"], row["name_en"], metrics, _number(row["floor"]), _number(row["ceiling"])
            )
    return found


def _number(text: str) -> float | None:
    return float(text) if text else None


PANELS: Final = load()
PANEL_OF: Final = {metric: panel.id for panel in PANELS.values() for metric in panel.metrics}


def panel(panel_id: str) -> Panel | None:
    """A panel by its id; a metric without a place in the catalogue is its own panel."""
    if panel_id in PANELS:
        return PANELS[panel_id]
    if FREE.fullmatch(panel_id):
        return Panel(panel_id, panel_id, panel_id, (panel_id,), None, None)
    metric = metric_of(panel_id)
    if metric is None or panel_id in PANEL_OF:
        return None
    ceiling = 100.0 if metric.unit == "%" else None
    return Panel(metric.name, metric.name_zh, metric.name_en, (metric.name,), None, ceiling)


def panels_for(metrics: Iterable[str]) -> list[Panel]:
    """The panels for the metrics an asset has, in the catalogue's order."""
    names = set(metrics)
    known = {name for name in names if name in METRICS or name.startswith(CUSTOM)}
    free = sorted(name for name in names - known if FREE.fullmatch(name))[:FREE_AT_ONCE]
    there = {name for name in known if METRICS[name].kind != "start"} - HIDDEN
    wanted = [found for found in PANELS.values() if there & set(found.metrics)]
    rest = sorted(metric for metric in there if metric not in PANEL_OF)
    return wanted + [found for metric in [*rest, *free] if (found := panel(metric)) is not None]
