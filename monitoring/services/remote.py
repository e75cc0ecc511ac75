"""Samples that a customer's own Prometheus writes to us: whose they are, what they are, how many may come.

What calls itself by one name (`rdmp_asset`, `host` or `instance`) is a source, and a source is one asset: found by
number, instance ID, name or address, or set by hand. Samples of a source that is no asset are counted and shown, not
stored. What a node_exporter says becomes the host figures of the catalogue, page by page, by the functions that read
exporters; everything else is kept under its own name. Whatever is sent twice changes nothing.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import Q

from assets.models import Asset
from monitoring import pipeline
from monitoring.collectors import Batch, SeriesKey, hostfigures, hosts, labels_text
from monitoring.exposition import Page
from monitoring.models import RemoteSource
from monitoring.remote_write import BadRequestError, Written, labels_of
from monitoring.services import series_limit

NAMED_BY: Final = ("rdmp_asset", "host", "instance")
NAME_LENGTH: Final = 200
METRIC_LENGTH: Final = 100
LABELS_LENGTH: Final = 1000
MOST_KNOWN: Final = 200_000
HOST_FAMILIES: Final = frozenset({*hosts.PLAIN, *hosts.FILESYSTEM, *hosts.RATES, hosts.CPU})
MINUTE_S: Final = 60


class TooManyError(Exception):
    """More samples than the token may send; `wait_s` says when to come again."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many samples, wait {wait_s} s")
        self.wait_s = wait_s


@dataclass(slots=True)
class Report:
    """What became of a request. `problems` are those that sending again does not mend."""

    stored: int = 0
    repeated: int = 0
    unmatched: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Known:
    """What the labels of a series say: whose it is, and what it is."""

    source: str
    metric: str
    labels: str
    of_host: hosts.Source | None
    is_wanted: bool


_known: dict[bytes, Known | str] = {}


def allow(*, token_id: int, samples: int, now: datetime) -> None:
    """Count samples against the minute of a token. Raises TooManyError when the minute is full."""
    most = settings.REMOTE_SAMPLES_PER_MINUTE
    minute, second = divmod(int(now.timestamp()), MINUTE_S)
    key = f"remote-write:{token_id}:{minute}"
    cache.add(key, 0, timeout=2 * MINUTE_S)
    if cache.incr(key, samples) > most and samples < most:
        cache.decr(key, samples)
        raise TooManyError(MINUTE_S - second)


@transaction.atomic
def take_in(*, customer_id: int, written: Written, now: datetime) -> Report:
    """Store the samples of one request, inside the customer's scope."""
    report = Report()
    known = _understood(written, report)
    names = {one.source for one in known if one is not None}
    sources = _sources(customer_id, names, report, now=now)
    rows = _Rows(customer_id)
    pages: dict[str, dict[int, dict[hosts.Source, float]]] = {}
    taken = dict.fromkeys(sources, 0)
    for place, at, value in zip(written.index.tolist(), written.ts.tolist(), written.value.tolist(), strict=True):
        one = known[place]
        source = sources.get(one.source) if one is not None else None
        if one is None or source is None:
            continue
        if not math.isfinite(value) or not one.is_wanted:  # a stale marker is a NaN, too
            report.skipped += 1
        elif source.asset_id is None:
            report.unmatched += 1
            source.refused += 1
        elif one.of_host is not None:
            pages.setdefault(one.source, {}).setdefault(at, {})[one.of_host] = value
            taken[one.source] += 1
        else:
            rows.add(source.asset_id, one.metric, one.labels, at, value)
            taken[one.source] += 1
    for name, moments in pages.items():
        _take_pages(sources[name], moments, rows)
    batch = _within_limit(rows, report)
    if len(batch):
        result = pipeline.ingest(batch, now=now)
        report.stored += result.stored
        report.repeated += result.repeated
        if result.refused:
            report.problems.append(f"{result.refused} samples are too old or of the future")
    for name, source in sources.items():
        source.samples += taken[name]
        source.last_at = now
    RemoteSource.objects.bulk_update(sources.values(), ["asset", "samples", "refused", "last_at", "state"])
    return report


# --- whose and what ------------------------------------------------------------------------------------------------


def _understood(written: Written, report: Report) -> list[Known | None]:
    """What each series is; None for those that cannot be, which are told once."""
    found: list[Known | None] = []
    for encoded in written.labels:
        one = _known.get(encoded)
        if one is None:
            if len(_known) >= MOST_KNOWN:
                _known.clear()
            one = _known[encoded] = _understand(encoded)
        if isinstance(one, str):
            report.problems.append(one)
            found.append(None)
        else:
            found.append(one)
    return found


def _understand(encoded: bytes) -> Known | str:
    try:
        labels = labels_of(encoded)
    except BadRequestError as error:
        return str(error)
    metric = labels.pop("__name__")
    named = next((name for name in NAMED_BY if labels.get(name)), None)
    if named is None:
        return f"{metric[:60]} has none of the labels {', '.join(NAMED_BY)}"
    source = labels[named][:NAME_LENGTH]
    rest = {name: value for name, value in labels.items() if name not in NAMED_BY}
    of_host = hosts.choose(metric, rest)
    text = labels_text(rest)
    if of_host is None and (len(metric) > METRIC_LENGTH or len(text) > LABELS_LENGTH):
        return f"the name or labels of {metric[:60]} are too long"
    return Known(source, metric, text, of_host, of_host is not None or metric not in HOST_FAMILIES)


def _sources(customer_id: int, names: set[str], report: Report, *, now: datetime) -> dict[str, RemoteSource]:
    """The rows of these sources, locked; new ones are made, and those that are no asset yet are looked for again."""
    _make(customer_id, names, report, now=now)
    rows = RemoteSource.objects.select_for_update().filter(customer_id=customer_id, name__in=names).order_by("pk")
    found = {row.name: row for row in rows}
    homeless = [row for row in found.values() if row.asset_id is None]
    if homeless:
        matches = match([row.name for row in homeless])
        for row in homeless:
            row.asset_id = matches.get(row.name)
    return found


def _make(customer_id: int, names: set[str], report: Report, *, now: datetime) -> None:
    mine = RemoteSource.objects.filter(customer_id=customer_id)
    new = sorted(names - set(mine.filter(name__in=names).values_list("name", flat=True)))
    if not new:
        return
    room = max(settings.REMOTE_SOURCES - mine.count(), 0)
    if len(new) > room:
        report.problems.append(f"no more than {settings.REMOTE_SOURCES} sources are kept for a customer")
    RemoteSource.objects.bulk_create(
        [RemoteSource(customer_id=customer_id, name=name, first_at=now, last_at=now) for name in new[:room]],
        ignore_conflicts=True,
    )


def match(names: Sequence[str]) -> dict[str, int]:
    """The asset that each of these names means, where there is exactly one, among those in scope."""
    hosts_of = {name: _host(name) for name in names}
    texts = {*names, *hosts_of.values()}
    numbers = [int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 18]
    addresses = [text for text in texts if _is_address(text)]
    wanted = Q(pk__in=numbers) | Q(provider_id__in=texts) | Q(name__in=texts) | Q(host__in=texts)
    wanted |= Q(private_ip__in=addresses) | Q(public_ip__in=addresses)
    by_text: dict[str, set[int]] = {}
    for asset in Asset.objects.active().filter(wanted):
        for text in (asset.pk, asset.provider_id, asset.name, asset.host, asset.private_ip, asset.public_ip):
            if text:
                by_text.setdefault(str(text), set()).add(asset.pk)
    found = {}
    for name in names:
        candidates = by_text.get(name) or by_text.get(hosts_of[name]) or set()
        if len(candidates) == 1:
            found[name] = next(iter(candidates))
    return found


def _host(name: str) -> str:
    """The host of `host:port`, of `[::1]:port`, or the name itself."""
    if name.startswith("["):
        return name[1:].partition("]")[0]
    head, colon, port = name.rpartition(":")
    return head if colon and port.isdigit() and ":" not in head else name


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# --- pages of node_exporter ----------------------------------------------------------------------------------------


def _take_pages(source: RemoteSource, moments: Mapping[int, Mapping[hosts.Source, float]], rows: _Rows) -> None:
    """Add to the page that is coming in; a page is over when a later one begins or it is as long as the one before.

    One scrape comes as several requests. Its samples share their moment, and rates need the moment before.
    """
    state: dict[str, Any] = source.state
    for at in sorted(moments):
        pending = state.get("pending")
        if at <= state.get("read", 0):
            continue  # again, or too late for the rates that were reckoned since
        if pending is not None and at < pending["at"]:
            continue
        if pending is not None and at > pending["at"]:
            _finish(source, rows)
            pending = None
        page = {_text(one): value for one, value in moments[at].items()} | (pending["page"] if pending else {})
        state["pending"] = {"at": at, "page": page}
        if len(page) >= state.get("size", math.inf):
            _finish(source, rows)


def _finish(source: RemoteSource, rows: _Rows) -> None:
    state: dict[str, Any] = source.state
    pending = state.pop("pending")
    page: Page[hosts.Source] = Page([_source(text) for text in pending["page"]], list(pending["page"].values()))
    figures = hostfigures.derive(page, state.get("counters", {}), at=pending["at"] / 1000)
    for metric, labels, value in zip(figures.metrics, figures.labels, figures.values, strict=True):
        if math.isfinite(value):
            rows.add(source.asset_id, metric, labels, pending["at"], value)
    state.update(read=pending["at"], size=len(page.series), counters=dict(figures.state))


def _text(one: hosts.Source) -> str:
    return f"{one[0]} {one[1]}"


def _source(text: str) -> hosts.Source:
    what, _, of = text.partition(" ")
    return what, of


# --- columns -------------------------------------------------------------------------------------------------------


class _Rows:
    """Columns that grow."""

    def __init__(self, customer_id: int) -> None:
        self.customer_id = customer_id
        self.places: dict[SeriesKey, int] = {}
        self.index: list[int] = []
        self.ts: list[int] = []
        self.value: list[float] = []

    def add(self, asset_id: int | None, metric: str, labels: str, at: int, value: float) -> None:
        assert asset_id is not None  # noqa: S101 - narrows the type: sources without an asset do not come here
        key = (self.customer_id, asset_id, metric, labels)
        self.index.append(self.places.setdefault(key, len(self.places)))
        self.ts.append(at)
        self.value.append(value)

    def batch(self, keep: Iterable[bool]) -> Batch:
        kept = np.fromiter(keep, dtype=np.bool_, count=len(self.places))
        index = np.array(self.index, dtype=np.int32)
        mine = kept[index] if len(index) else np.empty(0, np.bool_)
        ts, value = np.array(self.ts, dtype=np.int64), np.array(self.value, dtype=np.float64)
        return Batch(self.customer_id, list(self.places), index[mine], ts[mine], value[mine])


def _within_limit(rows: _Rows, report: Report) -> Batch:
    """The samples, without those that would need more series than a customer may have; old series go on."""
    refused = series_limit.beyond(rows.customer_id, rows.places)
    if refused:
        report.problems.append(
            f"{len(refused)} series are too many: a customer has at most {settings.REMOTE_SERIES} (series limit)"
        )
    return rows.batch(key not in refused for key in rows.places)
