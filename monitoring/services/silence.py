"""What silence means: stale alerts, no-data alerts, things that are gone. Never that something is fine again.

A series is silent when nothing came for three times its usual step (or its rule's period, the longer of the two) and a
little more. Then, by the rule's no-data policy:

* keep: an open alert stays and says since when it has no data;
* problem: silence is as bad as the worst value, provided that its source still speaks of the asset's other figures
  (a process that is no longer listed). Otherwise it is the source that is silent, not the thing;
* resolve: the thing is gone, if the source still speaks of others;
* ignore: events pass by themselves.

A source is what answers in one go: the agent or exporter of a host, or the status of one product on it. That the agent
speaks says nothing of a database whose status cannot be read.

A source that is silent altogether, although we did ask it, has one alert that says so. Silence that is ours (a poll
that did not run, refused credentials) is shown with the target and is never an alert of the customer. That alert ends
when a figure has come that is newer than the last one before: not because a rule was switched off or counts otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import Customer, Severity
from assets.models import Asset
from monitoring import registry, wording
from monitoring.evaluate import States
from monitoring.heads import Heads
from monitoring.matching import read_labels
from monitoring.models import NO_DATA, Alert, CollectorKind, RuleState, Series, Target
from monitoring.plan import Plan
from monitoring.rules import METRICS, Kind, Metric, NoData
from monitoring.services import alerts
from monitoring.services.alerts import Closing, Ending
from monitoring.services.openings import Opening, describe, moment, open_key

STEPS: Final = 3
TRIES: Final = 3
SLACK_MS: Final = {"agent": 30_000, "probe": 30_000}
LATE_MS: Final = 600_000
"""The points of all others, CloudMonitor's first, come minutes late."""
HOST: Final = "host"
OF_HOSTS: Final = frozenset({"host", "process", "script"})
"""Families of metrics that the agent of a host brings; all others are read from the product itself."""
SLUGS: Final = {"php-fpm": "phpfpm", "elasticsearch": "es", "kubernetes": "k8s", "kafka-lag": "kafka", "windows": HOST}
"""Products whose metrics have another family name."""
ASKED: Final = (CollectorKind.PROMETHEUS, CollectorKind.PRODUCT)
Source = tuple[int, str]
"""An asset, and what of it answers in one go."""
UNANSWERED: Final = ("", "timeout", "refused", "reset", "unreachable")
"""Outcomes of asking that may be the host's own silence; all others are ours to mend."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Every binding of a customer: when its figure was last seen, whether it is silent, whether its source speaks."""

    plan: Plan
    last_ts: np.ndarray[tuple[int], np.dtype[np.int64]]
    is_silent: np.ndarray[tuple[int], np.dtype[np.bool_]]
    source_speaks: np.ndarray[tuple[int], np.dtype[np.bool_]]
    newest: dict[Source, int]
    """The moment of the last figure of each source that is asked for agent's figures (Unix ms)."""
    silent: frozenset[Source]
    """Those of them that are silent altogether."""


def sweep(*, customer: Customer, now: datetime) -> int:
    """Look after one customer, inside its scope; returns how many alerts opened or ended.

    Looks without holding anything; only when there is something to do it holds the ledger and looks again.
    """
    plan = registry.glance(customer.pk)
    if not len(plan) and not Alert.objects.open().exists():
        return 0
    with translation.override(customer.language):
        quiet = look(plan, _heads(plan), now)
        mark_stale(quiet)
        if not any(_due(quiet, now)):
            return 0
        with registry.held(customer.pk) as memory:
            memory.plan = None  # others may have met series since: an alert must not end because we have not
            plan = memory.current_plan()
            assets = np.unique(plan.asset).astype(np.int64)
            memory.heads.load(assets)
            quiet = look(plan, memory.heads, now)
            openings, closings = _due(quiet, now)
            _remember_states(memory, quiet, openings, closings)
            opened = alerts.open_all(customer=customer, openings=openings, now=now)
            closed = alerts.close(customer=customer, closings=closings, now=now)
    return len(opened) + len(closed)


def _heads(plan: Plan) -> Heads:
    heads = Heads()
    heads.load(np.unique(plan.asset).astype(np.int64))
    return heads


def look(plan: Plan, heads: Heads, now: datetime) -> Quiet:
    """Which bindings are silent at `now`."""
    now_ms = round(now.timestamp() * 1000)
    last, step = np.zeros(len(plan), np.int64), np.zeros(len(plan), np.int64)
    if len(heads.series) and len(plan):
        at, known = heads.find(plan.first)
        last[known], step[known] = heads.ts[at[known]], heads.step[at[known]]
    metrics = [METRICS[each.rule.metrics[0]] for each in plan.effective]
    slack = np.array([SLACK_MS.get(metric.source, LATE_MS) for metric in metrics], dtype=np.int64)
    is_silent = now_ms - last > STEPS * np.maximum(step, plan.period) + slack
    sources = [(asset, source_of(metric)) for asset, metric in zip(plan.asset.tolist(), metrics, strict=True)]
    speaking: set[Source] = set()
    newest: dict[Source, int] = {}
    for source, metric, silent, ts in zip(sources, metrics, is_silent.tolist(), last.tolist(), strict=True):
        if not silent:
            speaking.add(source)
        if metric.source == "agent":
            newest[source] = max(newest.get(source, 0), ts)
    speaks = np.array([source in speaking for source in sources], dtype=np.bool_)
    return Quiet(plan, last, is_silent, speaks, newest, frozenset(newest.keys() - speaking))


def source_of(metric: Metric) -> str:
    """What answers in one go with this metric, among the sources of one asset."""
    family = metric.name.split(".")[0]
    return HOST if family in OF_HOSTS else family


def mark_stale(quiet: Quiet) -> None:
    """Write on open alerts since when their figure is silent, and take it away when it speaks again."""
    for alert in Alert.objects.open().exclude(series=None).only("pk", "series_id", "rule_id", "stale_since"):
        binding = quiet.plan.find(alert.series_id or 0, alert.rule_id)
        since = moment(int(quiet.last_ts[binding])) if binding is not None and quiet.is_silent[binding] else None
        if since != alert.stale_since:
            Alert.objects.filter(pk=alert.pk, recovered_at=None).update(stale_since=since)


def _due(quiet: Quiet, now: datetime) -> tuple[list[Opening], list[Closing]]:
    """The alerts that silence and the passing of time open and end."""
    open_alerts = {alert.open_key: alert for alert in Alert.objects.open().select_related("asset")}
    bad = {key for key, alert in open_alerts.items() if not alert.is_calm}
    openings = [one for one in _openings(quiet, now) if one.key not in bad]
    asked = _asked(quiet)
    openings += [one for one in _source_openings(quiet, asked, now) if one.key not in bad]
    passed = _passed(quiet, now)
    closings = [closing for alert in open_alerts.values() if (closing := _closing(alert, quiet, passed, now))]
    return openings, closings


def _openings(quiet: Quiet, now: datetime) -> Iterable[Opening]:
    """Rules for which silence is a problem, where the source still speaks of other figures."""
    plan = quiet.plan
    problem = np.array([each.rule.no_data is NoData.PROBLEM for each in plan.effective], dtype=np.bool_)
    found = np.flatnonzero(problem & quiet.is_silent & quiet.source_speaks & (quiet.last_ts > 0)).tolist()
    of_agents = [at for at in found if METRICS[plan.rule_of(at).metrics[0]].source == "agent"]
    series = Series.objects.select_related("asset").in_bulk([int(plan.first[at]) for at in of_agents])
    for at in of_agents:
        one, effective = series[int(plan.first[at])], plan.effective[at]
        last = moment(int(quiet.last_ts[at]))
        yield Opening(
            key=open_key(effective.rule.id, one.asset_id, one.labels),
            asset_id=one.asset_id,
            rule_id=effective.rule.id,
            severity=Severity[effective.severity.upper()],
            title=wording.title(asset=one.asset.name, rule=effective.rule, labels=one.labels),
            text=_("No data since %(time)s, while the agent reports the rest: taken as a failure.")
            % {"time": wording.clock(last)},
            first_breach_at=last,
            opened_at=now,
            series_id=one.pk,
            labels=one.labels,
            condition=describe(effective),
        )


def _source_openings(quiet: Quiet, asked: set[Source], now: datetime) -> Iterable[Opening]:
    """Sources that did not answer although they were asked."""
    silent = {source: quiet.newest[source] for source in quiet.silent & asked if quiet.newest[source]}
    assets = Asset.objects.active().in_bulk({asset for asset, _ in silent})
    for (asset_id, name), ts in sorted(silent.items()):
        if asset_id not in assets:
            continue
        last = moment(ts)
        yield Opening(
            key=no_data_key(asset_id, name),
            asset_id=asset_id,
            rule_id=NO_DATA,
            severity=Severity.AVERAGE,
            title=wording.no_data_title(assets[asset_id].name, "" if name == HOST else name),
            text=_("Nothing has come from the agent or exporter since %(time)s. Open alerts of this asset stay open.")
            % {"time": wording.clock(last)},
            first_breach_at=last,
            opened_at=now,
            labels="" if name == HOST else f'product="{name}"',
        )


def no_data_key(asset_id: int, source: str) -> str:
    return f"{NO_DATA}/{asset_id}/{'' if source == HOST else source}"


def _asked(quiet: Quiet) -> set[Source]:
    """Silent sources that were asked again and again since, in vain: otherwise the silence is ours."""
    assets = {asset for asset, _ in quiet.silent}
    targets = Target.objects.enabled().filter(kind__in=ASKED, asset_id__in=assets, problem_code__in=UNANSWERED)
    return {
        source
        for target in targets
        for source in quiet.silent
        if source[0] == target.asset_id and _brings(target, source[1]) and _in_vain(target, quiet.newest[source])
    }


def _brings(target: Target, source: str) -> bool:
    """Whether a target is asked for this source: an exporter for any, a product for its own."""
    if target.kind == CollectorKind.PROMETHEUS:
        return True
    slug = str(target.config.get("product", ""))
    return SLUGS.get(slug, slug) == source


def _in_vain(target: Target, last_ts: int) -> bool:
    """Three questions without an answer, or answers for three periods that hold none of the figures."""
    if target.problem_code:
        return target.failures >= TRIES
    return target.last_ok_at is not None and target.last_ok_at - moment(last_ts) >= TRIES * target.interval


def _passed(quiet: Quiet, now: datetime) -> set[tuple[int, str]]:
    """Events that are over by the clock, by (series, rule): no data point is needed for that."""
    now_ms = round(now.timestamp() * 1000)
    over = set()
    for state in RuleState.objects.filter(firing=True).only("series_id", "rule_id", "last_bad_ts"):
        binding = quiet.plan.find(state.series_id, state.rule_id)
        if binding is None or quiet.plan.rule_of(binding).kind is not Kind.EVENT:
            continue
        if now_ms - state.last_bad_ts >= quiet.plan.after[binding]:
            over.add((state.series_id, state.rule_id))
    return over


def _closing(alert: Alert, quiet: Quiet, passed: set[tuple[int, str]], now: datetime) -> Closing | None:
    """How this open alert ends, if it does."""
    ending: Alert.Ending | None
    if alert.asset.retired_at is not None:
        ending = Ending.RETIRED
    elif alert.is_event:
        ending = None
    elif alert.rule_id == NO_DATA:
        ending = _source_ending(alert, quiet)
    else:
        ending = _rule_ending(alert, quiet, passed)
    return Closing(alert.open_key, now, ending) if ending else None


def _source_ending(alert: Alert, quiet: Quiet) -> Ending | None:
    """Only a figure newer than the last one before the silence is data that is back."""
    source = (alert.asset_id, read_labels(alert.labels).get("product", HOST))
    if not _is_watched(*source):
        return Ending.RULE_OFF
    if alert.is_calm:  # it flaps: a timer ends it
        return None
    return Ending.DATA_BACK if speaks_again(alert, quiet) else None


def speaks_again(alert: Alert, quiet: Quiet) -> bool:
    """Whether the source of a no-data alert has spoken since, and still does."""
    source = (alert.asset_id, read_labels(alert.labels).get("product", HOST))
    newest = quiet.newest.get(source, 0)
    return source not in quiet.silent and newest > round(alert.first_breach_at.timestamp() * 1000)


def _rule_ending(alert: Alert, quiet: Quiet, passed: set[tuple[int, str]]) -> Ending | None:
    binding = quiet.plan.find(alert.series_id or 0, alert.rule_id)
    if binding is None:
        return Ending.RULE_OFF
    if (alert.series_id, alert.rule_id) in passed:
        return Ending.PASSED
    gone = quiet.is_silent[binding] and quiet.source_speaks[binding]
    return Ending.GONE if gone and quiet.plan.rule_of(binding).no_data is NoData.RESOLVE else None


def _is_watched(asset_id: int, source: str) -> bool:
    targets = Target.objects.enabled().filter(kind__in=ASKED, asset_id=asset_id)
    return any(_brings(target, source) for target in targets)


def _remember_states(
    memory: registry.Memory, quiet: Quiet, openings: Iterable[Opening], closings: Iterable[Closing]
) -> None:
    """Alerts opened by silence fire until good points come; those ended by other means have no state any more."""
    plan = quiet.plan
    fired = [plan.find(one.series_id, one.rule_id) for one in openings if one.series_id is not None]
    opened = np.array(sorted(at for at in fired if at is not None), dtype=np.int64)
    states = States.none(opened)
    states.firing[:] = True
    states.bad[:] = plan.times[opened]
    states.first_ts[:] = states.counted_ts[:] = states.last_bad_ts[:] = states.last_ts[:] = quiet.last_ts[opened]
    memory.keep_states(plan, states)
    ended = Alert.objects.open().filter(open_key__in=[one.key for one in closings]).exclude(series=None)
    pairs = list(ended.values_list("series_id", "rule_id"))
    for series_id, rule_id in pairs:
        RuleState.objects.filter(series_id=series_id, rule_id=rule_id).delete()
    if pairs:
        memory.states = None
