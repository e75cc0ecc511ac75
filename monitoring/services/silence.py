"""What silence means: stale alerts, no-data alerts, things that are gone. Never that something is fine again.

A series is silent when nothing came for three times its usual step (or its rule's period, the longer of the two) and a
little more. Then, by the rule's no-data policy:

* keep: an open alert stays and says since when it has no data;
* problem: silence is as bad as the worst value, provided that its source still speaks of the asset's other figures
  (a process that is no longer listed). Otherwise it is the source that is silent, not the thing;
* resolve: the thing is gone, if the source still speaks of others;
* ignore: events pass by themselves.

A source (`services.sources`) is what answers in one go: the agent or exporter of a host, the status of one product on
it, or CloudMonitor. That the agent speaks says nothing of a database whose status cannot be read.

A source that is silent altogether, although we did ask it or it used to send by itself, has one alert that says so.
Silence that is ours (a poll that did not run, refused credentials) is shown with the target and is never an alert of
the customer. That alert ends when a figure has come that is newer than the last one before: not because a rule was
switched off or counts otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import Customer, Severity
from assets.models import Asset
from monitoring import registry, wording
from monitoring.company import Company
from monitoring.evaluate import States
from monitoring.extra_rules import CLOUD_NO_DATA
from monitoring.heads import Heads
from monitoring.inhibition import Relation
from monitoring.matching import read_labels
from monitoring.models import NO_DATA, Alert, AlertHold, RuleState, Series
from monitoring.plan import Plan
from monitoring.rules import METRICS, Kind, NoData
from monitoring.services import alerts, cloud, sources
from monitoring.services.alerts import Closing, Ending
from monitoring.services.openings import Opening, describe, moment, open_key
from monitoring.services.sources import CLOUD, HOST, Source, source_of
from timers import services as timers
from timers.models import Timer

STEPS: Final = 3
SLACK_MS: Final = {"agent": 30_000, "probe": 30_000}
LATE_MS: Final = 600_000
"""The points of all others, CloudMonitor's first, come minutes late."""
SILENCES: Final = frozenset({NO_DATA, CLOUD_NO_DATA})
READABLE_FOR: Final = timedelta(minutes=10)
"""An account that can be read again brings what was missed first: until then its resources have not fallen silent."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Every binding of a customer: when its figure was last seen, whether it is silent, whether its source speaks."""

    plan: Plan
    last_ts: np.ndarray[tuple[int], np.dtype[np.int64]]
    is_silent: np.ndarray[tuple[int], np.dtype[np.bool_]]
    source_speaks: np.ndarray[tuple[int], np.dtype[np.bool_]]
    newest: dict[Source, int]
    """The moment of the last figure of each source that rules look at, probes left out (Unix ms)."""
    silent: frozenset[Source]
    """Those of them that are silent altogether."""


def sweep(*, customer: Customer, now: datetime) -> int:
    """Look after one customer, inside its scope; returns how many alerts opened or ended.

    Looks without holding anything; only when there is something to do it holds the ledger and looks again.
    """
    plan = registry.glance(customer.pk)
    if not len(plan) and not Alert.objects.open().exists() and not sources.unheard(()):
        return 0
    with translation.override(customer.language):
        quiet = look(plan, _heads(plan), now)
        mark_stale(quiet)
        _free_readable(customer, now)
        if not any(_due(quiet, now)):
            return 0
        with registry.held([customer.pk]) as (memory,):
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


def _free_readable(customer: Customer, now: datetime) -> None:
    """An account can be read again: what is still silent a while later is told."""
    held = AlertHold.objects.filter(until_at=None, relation=Relation.ACCOUNT, alert__recovered_at=None)
    accounts = set(held.values_list("alert__asset__cloud_account", flat=True))
    if not accounts - cloud.unreadable():
        return
    key = f"alerts-settle:{customer.pk}:accounts"
    if not Timer.objects.pending().filter(key=key).exists():
        due_at = now + READABLE_FOR
        timers.set(
            key=key, due_at=due_at, task="monitoring.settle", args={"customer_id": customer.pk}, customer=customer
        )


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
    of = [(asset, source_of(metric)) for asset, metric in zip(plan.asset.tolist(), metrics, strict=True)]
    speaking: set[Source] = set()
    newest: dict[Source, int] = {}
    for source, metric, silent, ts in zip(of, metrics, is_silent.tolist(), last.tolist(), strict=True):
        if not silent:
            speaking.add(source)
        if metric.source in ("agent", "cms"):
            newest[source] = max(newest.get(source, 0), ts)
    speaks = np.array([source in speaking for source in of], dtype=np.bool_)
    return Quiet(plan, last, is_silent, speaks, newest, frozenset(newest.keys() - speaking))


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
    openings += [one for one in _source_openings(quiet, now) if one.key not in bad]
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


def _source_openings(quiet: Quiet, now: datetime) -> Iterable[Opening]:
    """Sources that did not answer although they were asked."""
    silent = {source: quiet.newest[source] for source in quiet.silent if quiet.newest[source]}
    last = {source: moment(silent[source]) for source in sources.asked(silent, now=now)}
    last |= {source: target.last_ok_at for source, target in sources.unheard(quiet.newest).items() if target.last_ok_at}
    assets = Asset.objects.active().in_bulk({asset for asset, _ in last})
    for (asset_id, name), at in sorted(last.items()):
        if asset_id not in assets:
            continue
        is_cloud = name == CLOUD
        product = "" if name in (HOST, CLOUD) else name
        shown = assets[asset_id].name
        yield Opening(
            key=no_data_key(asset_id, name),
            asset_id=asset_id,
            rule_id=CLOUD_NO_DATA if is_cloud else NO_DATA,
            severity=Severity.AVERAGE,
            title=wording.cloud_no_data_title(shown) if is_cloud else wording.no_data_title(shown, product),
            text=_source_text(name) % {"time": wording.clock(at)},
            first_breach_at=at,
            opened_at=now,
            labels=f'product="{product}"' if product else "",
        )


def _source_text(source: str) -> str:
    if source == CLOUD:
        return _("CloudMonitor has shown nothing since %(time)s. Open alerts of this asset stay open.")
    if source == HOST:
        return _("Nothing has come from the agent or exporter since %(time)s. Open alerts of this asset stay open.")
    return _("Its status could not be read since %(time)s. Open alerts of this asset stay open.")


def no_data_key(asset_id: int, source: str) -> str:
    if source == CLOUD:
        return f"{CLOUD_NO_DATA}/{asset_id}/"
    return f"{NO_DATA}/{asset_id}/{'' if source == HOST else source}"


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
    elif alert.rule_id in SILENCES:
        ending = _source_ending(alert, quiet)
    else:
        ending = _rule_ending(alert, quiet, passed)
    return Closing(alert.open_key, now, ending) if ending else None


def _source_ending(alert: Alert, quiet: Quiet) -> Ending | None:
    """Only a figure newer than the last one before the silence is data that is back."""
    if not sources.is_watched(alert.asset, _source(alert)[1]):
        return Ending.RULE_OFF
    if alert.is_calm:  # it flaps: a timer ends it
        return None
    return Ending.DATA_BACK if speaks_again(alert, quiet) else None


def speaks_again(alert: Alert, quiet: Quiet) -> bool:
    """Whether the source of a no-data alert has spoken since, and still does."""
    source = _source(alert)
    if source in quiet.newest:
        since = round(alert.first_breach_at.timestamp() * 1000)
        return source not in quiet.silent and quiet.newest[source] > since
    heard_at = sources.heard_at(*source)
    return heard_at is not None and heard_at > alert.first_breach_at


def _source(alert: Alert) -> Source:
    """What the no-data alert says is silent."""
    if alert.rule_id == CLOUD_NO_DATA:
        return alert.asset_id, CLOUD
    return alert.asset_id, read_labels(alert.labels).get("product", HOST)


def _rule_ending(alert: Alert, quiet: Quiet, passed: set[tuple[int, str]]) -> Ending | None:
    binding = quiet.plan.find(alert.series_id or 0, alert.rule_id)
    if binding is None:
        return Ending.RULE_OFF
    if (alert.series_id, alert.rule_id) in passed:
        return Ending.PASSED
    gone = quiet.is_silent[binding] and quiet.source_speaks[binding]
    return Ending.GONE if gone and quiet.plan.rule_of(binding).no_data is NoData.RESOLVE else None


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
    company = Company([memory])
    company.keep_states(company.states(), states)
    ended = Alert.objects.open().filter(open_key__in=[one.key for one in closings]).exclude(series=None)
    pairs = list(ended.values_list("series_id", "rule_id"))
    for series_id, rule_id in pairs:
        RuleState.objects.filter(series_id=series_id, rule_id=rule_id).delete()
    if pairs:
        memory.states = None
