"""Which alert is the cause of which: a symptom is recorded, and nobody is told of it while its cause lasts. Pure.

What covers what:

* `ping`: a host that does not answer ping covers what its agent says, its agent's silence, and the processes, ports,
  databases, middleware and addresses on it. Its CloudMonitor figures stay: they come from elsewhere and may be why.
* `agent`: a silent agent covers the older verdicts over its figures, and those of the middleware on that host. It does
  not cover ports and addresses: they are asked from outside.
* `restart`: the restart of a host covers the restarts of what runs on it.
* `worse`: the worse of two rules on one thing covers the milder one (filesystem 5 % over 10 %, red over yellow).
* `backend`: a backend that does not answer covers the load balancer's count of unhealthy backends.
* `account`: a cloud account that refuses us covers all missing figures of CloudMonitor: not the customer's outage.

A cause never hides what is worse than itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from assets.hosting import hosts
from monitoring.extra_rules import CLOUD_NO_DATA, NO_DATA
from monitoring.rules import METRICS, RULES, Kind

PING: Final = "ping-unreachable"
HOST_RESTARTED: Final = "host-restarted"
UNHEALTHY: Final = "slb-unhealthy-servers"
WORSE: Final[Mapping[str, str]] = {
    "host-fs-free-10": "host-fs-free-5",
    "es-cluster-yellow": "es-cluster-red",
    "cloud-es-cluster-yellow": "cloud-es-cluster-status",
}
"""The milder rule, and the one that covers it on the same thing."""
CAUSES: Final = frozenset({PING, NO_DATA, HOST_RESTARTED, *WORSE.values()})
"""Rules whose alerts may be a cause; all others are looked at as symptoms only."""
SHORTLY: Final = timedelta(minutes=10)
"""A symptom that was told this long before its cause was known still counts as one."""


class Relation(StrEnum):
    PING = "ping"
    AGENT = "agent"
    RESTART = "restart"
    WORSE = "worse"
    BACKEND = "backend"
    ACCOUNT = "account"


GRACE: Final[Mapping[Relation, timedelta]] = {
    Relation.PING: timedelta(minutes=2),
    Relation.AGENT: timedelta(minutes=2),
    Relation.RESTART: timedelta(minutes=1),
    Relation.WORSE: timedelta(0),
    Relation.BACKEND: timedelta(minutes=2),
    Relation.ACCOUNT: timedelta(minutes=2),
}
"""How long after its cause ended a symptom may still recover by itself before it is told."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An asset, as far as it matters what runs where."""

    id: int
    kind: str
    addresses: frozenset[str] = frozenset()
    account_id: int | None = None
    backend_ids: frozenset[int] = frozenset()
    """Of a load balancer: the assets behind it."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """An open alert, or one that is about to open. `severity`: 1 is the worst."""

    id: int
    rule_id: str
    asset_id: int
    labels: str
    severity: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """`alert_id` is None for a cloud account that refuses us."""

    alert_id: int | None
    relation: Relation


@dataclass(slots=True)
class Topology:
    """What runs where, for one customer."""

    things: Mapping[int, Thing] = field(default_factory=dict)
    host_of: Mapping[int, int] = field(default_factory=dict)
    refused_accounts: frozenset[int] = frozenset()

    @classmethod
    def of(cls, things: Iterable[Thing], refused_accounts: Collection[int] = ()) -> Topology:
        known = {thing.id: thing for thing in things}
        return cls(known, hosts(known.values()), frozenset(refused_accounts))

    def host(self, asset_id: int) -> int:
        """The host that a thing runs on; the thing itself when none is known."""
        return self.host_of.get(asset_id, asset_id)

    def on(self, host_ids: Collection[int]) -> set[int]:
        """These hosts, what runs on them, and the load balancers before them."""
        wanted = set(host_ids)
        found = wanted | {thing for thing, host in self.host_of.items() if host in wanted}
        return found | {thing.id for thing in self.things.values() if thing.backend_ids & wanted}


def causes(symptoms: Iterable[Symptom], bad: Sequence[Symptom], topology: Topology) -> dict[int, Cause]:
    """The cause of each symptom that has one. `bad` are the open alerts of rules in `CAUSES`.

    Of several the nearest to the root is taken: ping before the agent before the rest.
    """
    table: dict[tuple[str, int], list[Symptom]] = {}
    for one in bad:
        table.setdefault((one.rule_id, one.asset_id), []).append(one)
    found = ((one.id, _cause(one, table, topology)) for one in symptoms)
    return {symptom: cause for symptom, cause in found if cause is not None}


def follows(symptom: Symptom, cause: Symptom) -> bool:
    """Whether an alert that people were told of already may be called a symptom of a cause found later."""
    return symptom.since >= cause.since - SHORTLY


def _cause(one: Symptom, table: Mapping[tuple[str, int], list[Symptom]], topology: Topology) -> Cause | None:
    host = topology.host(one.asset_id)
    candidates: list[tuple[Relation, Iterable[Symptom]]] = []
    if one.rule_id != PING or host != one.asset_id:
        if _falls_with_ping(one):
            candidates.append((Relation.PING, table.get((PING, host), ())))
        if _needs_agent(one) or (one.rule_id == NO_DATA and host != one.asset_id):
            candidates.append((Relation.AGENT, table.get((NO_DATA, host), ())))
    if _is_restart(one):
        candidates.append((Relation.RESTART, table.get((HOST_RESTARTED, host), ())))
    if one.rule_id in WORSE:
        worse = table.get((WORSE[one.rule_id], one.asset_id), ())
        candidates.append((Relation.WORSE, (each for each in worse if each.labels == one.labels)))
    if one.rule_id == UNHEALTHY and one.asset_id in topology.things:
        behind = topology.things[one.asset_id].backend_ids
        candidates.append((Relation.BACKEND, (bad for each in behind for bad in table.get((PING, each), ()))))
    for relation, known in candidates:
        for cause in known:
            if cause.id != one.id and cause.severity <= one.severity:
                return Cause(cause.id, relation)
    return _of_account(one, topology)


def _of_account(one: Symptom, topology: Topology) -> Cause | None:
    thing = topology.things.get(one.asset_id)
    if one.rule_id != CLOUD_NO_DATA or thing is None or thing.account_id not in topology.refused_accounts:
        return None
    return Cause(None, Relation.ACCOUNT)


def _source(rule_id: str) -> str:
    rule = RULES.get(rule_id)
    return METRICS[rule.metrics[0]].source if rule else ""


def _falls_with_ping(one: Symptom) -> bool:
    return one.rule_id == NO_DATA or _source(one.rule_id) in ("agent", "probe")


def _needs_agent(one: Symptom) -> bool:
    return one.rule_id != NO_DATA and _source(one.rule_id) == "agent"


def _is_restart(one: Symptom) -> bool:
    rule = RULES.get(one.rule_id)
    return rule is not None and rule.kind is Kind.EVENT and one.rule_id != HOST_RESTARTED
