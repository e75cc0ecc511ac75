"""`/metrics`: the platform's own figures in Prometheus' format, the same whichever process answers."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from accounts import scope
from monitoring.services import vitals

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
HELP: Final = {
    "poll_lag_s": "Seconds that the longest waiting due target is late",
    "targets": "Targets that are collected from",
    "targets_late_pct": "Per cent of targets without a result for three periods",
    "targets_failing": "Targets whose collector cannot look",
    "timer_late_s": "Seconds that the longest waiting due timer is late",
    "timers_pending": "Timers that have not fired",
    "deliveries_waiting": "Messages in the outbox that are not settled",
    "delivery_wait_s": "Seconds that the longest waiting due message is late",
    "delivery_failed_1h": "Messages that failed within an hour",
    "db_bytes": "Size of the database",
    "db_connections": "Connections to the database",
    "db_connections_pct": "Per cent of max_connections in use",
    "db_ms": "Milliseconds of an empty query",
    "packer_lag_s": "Seconds that the oldest unpacked closed hour waits",
    "rounds_open": "Rounds of probes that wait for answers",
    "probes_silent": "Probe points that have not answered for three rounds",
    "redis_bytes": "Memory that Redis uses",
    "redis_memory_pct": "Per cent of maxmemory that Redis uses",
    "samples_per_s": "Samples stored per second, mean of the last minute",
    "claimed_per_s": "Targets claimed per second, mean of the last minute",
    "batch_s": "Seconds of a batch, mean of the last minute",
    "queue_depth": "Tasks that wait in a queue",
    "queue_silence_s": "Seconds since a worker of a queue was last heard of",
}


class Vitals(Collector):
    """Figures from PostgreSQL and Redis, asked for when somebody scrapes."""

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("rdmp_up", "Whether the part answers", labels=["part"])
        try:
            with scope.platform("metrics of the platform"):
                found = vitals.figures(now=timezone.now())
        except Error:
            found = {}
        up.add_metric(["postgres"], float("db_ms" in found))
        up.add_metric(["redis"], float("redis_bytes" in found))
        yield up
        yield from _gauges(found)
        yield from _counters(vitals.counters())


def _gauges(found: dict[str, float]) -> Iterable[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for name, value in sorted(found.items()):
        what, _dot, which = name.partition(".")
        if what in HELP:
            labels = ["queue"] if which else None
            family = families.setdefault(what, GaugeMetricFamily(f"rdmp_{what}", HELP[what], labels=labels))
            family.add_metric([which] if which else [], value)
    return families.values()


def _counters(totals: dict[str, float]) -> Iterable[Metric]:
    for name, text in (
        ("batches", "Batches collected"),
        ("targets", "Targets collected from"),
        ("samples", "Samples stored by collectors"),
    ):
        family = CounterMetricFamily(f"rdmp_collected_{name}", text, labels=["kind"])
        for key, value in sorted(totals.items()):
            what, _bar, kind = key.partition("|")
            if what == name:
                family.add_metric([kind], value)
        yield family
    buckets, count = [], 0.0
    for bound in (*map(str, vitals.BOUNDS_S), "+Inf"):
        count += totals.get(f"bucket|{bound}", 0.0)
        buckets.append((bound, count))
    seconds = sum(value for key, value in totals.items() if key.startswith("seconds|"))
    yield HistogramMetricFamily("rdmp_batch_seconds", "Time of a batch", buckets=buckets, sum_value=seconds)


REGISTRY: Final = CollectorRegistry(auto_describe=False)
REGISTRY.register(Vitals())


@require_safe
@never_cache
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """For a Prometheus with the token, or on this machine when there is none."""
    if not _may_read(request):
        raise PermissionDenied
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE)


def _may_read(request: HttpRequest) -> bool:
    """By token where one is set. Without one, loopback only, and not for what a proxy on this machine passes on."""
    if token := settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    behind_proxy = settings.SECURE_PROXY_SSL_HEADER is not None
    if behind_proxy or request.headers.get("X-Forwarded-For") or request.headers.get("Forwarded"):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
