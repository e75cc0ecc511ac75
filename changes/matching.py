"""Which verdict an event of the audit trail gets (R89, R91): exactly one, and because of what. Pure.

In this order: a run of the platform itself, a suspicion that no change excuses, an open change on the same asset, a
refusal, somebody known. What is left is unmatched and waits for a person.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_network
from typing import Final

from changes.trail_rules import Actions, Excuse, Rule, fits

BEFORE: Final = timedelta(minutes=10)
"""People press "begin" a little after they began, and clocks differ."""
AFTER: Final = timedelta(minutes=15)
"""The last calls of what is done by hand, and clocks differ. Whoever needs longer moves the window's end: then what
happened meanwhile is looked at again."""
EMERGENCY_BEFORE: Final = timedelta(hours=2)
"""In an emergency one acts first and writes it down then."""
OURS_WITHOUT_CHANGE: Final = frozenset({"session", "credential"})
"""What our own users may do without a change: sign in, and replace their own keys. The rest is what R91 looks for."""
WIDE: Final = {4: 8, 6: 16}
"""Bits by version of IP: a network with fewer is as good as the whole internet. Nobody's own is so large, and the
internet can be written in halves (0.0.0.0/1, 128.0.0.0/1)."""
INDEX: Final = re.compile(r"(?:\.\d+)+$")
SERVICE_ROLE: Final = ("aliyunservicerolefor*",)
"""Names that RAM gives to service-linked roles alone: nobody can make a role that is called so."""


class Verdict(StrEnum):
    """What an event is taken for."""

    CHANGE = "change"
    AUTOMATION = "automation"
    KNOWN = "known"
    REFUSED = "refused"
    HARMLESS = "harmless"
    """A person said so, and why."""
    SUSPICIOUS = "suspicious"
    UNMATCHED = "unmatched"


class Because(StrEnum):
    """Why, where the verdict alone does not say it."""

    WINDOW = "window"
    RUN = "run"
    ROTATION = "rotation"
    OURS = "ours"
    PEOPLE = "people"
    SERVICE = "service"
    RULE = "rule"
    PERSON = "person"
    REFUSED = "refused"
    OURS_NO_CHANGE = "ours_no_change"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Happened:
    """An event, as far as a verdict needs it. `asset_ids`: ours that it touches."""

    service: str
    action: str
    actor_type: str
    actor_name: str
    access_key_id: str
    origin: str
    request_id: str
    occurred_at: datetime
    is_refused: bool = False
    asset_ids: frozenset[int] = frozenset()
    key_ids: frozenset[str] = frozenset()
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """A change that was begun, from then to the end of its work or of its window; the undoing of one that failed is
    a work of its own. `in_account`: it touches this cloud account, or names no asset at all."""

    pk: int
    operation: str
    asset_ids: frozenset[int]
    begun_at: datetime
    ends_at: datetime
    is_emergency: bool = False
    in_account: bool = True

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Between which moments its traces may lie."""
        before = EMERGENCY_BEFORE if self.is_emergency else BEFORE
        return self.begun_at - before, self.ends_at + AFTER

    def covers(self, moment: datetime) -> bool:
        starts, ends = self.span
        return starts <= moment <= ends

    def removes(self, asset_ids: frozenset[int], actions: Actions) -> bool:
        """Whether its purpose is that one of these assets is gone."""
        return self.operation in actions.removals and bool(asset_ids & self.asset_ids)


@dataclass(frozen=True, slots=True)
class Run:
    """Calls that the platform made itself."""

    name: str
    change: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known around the events of one cloud account."""

    works: Sequence[Work] = ()
    runs: Mapping[str, Run] = field(default_factory=dict)
    rotated_keys: frozenset[str] = frozenset()
    ours: frozenset[str] = frozenset()
    our_keys: frozenset[str] = frozenset()
    people: Mapping[str, str] = field(default_factory=dict)
    """Names of RAM users and roles of the customer's own people, in lower case, with who that is."""


@dataclass(frozen=True, slots=True)
class Before:
    """What the same person did earlier: moments of deletions around the event that nobody agreed on, and where from.

    `origins`, countries or networks, None: not enough is known yet to call one new.
    """

    deletions: Sequence[datetime] = ()
    origins: frozenset[str] | None = None


NOTHING_BEFORE: Final = Before()


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict; `change` where one explains it, `rule` where one was broken, `who` where somebody is known."""

    verdict: Verdict
    because: Because
    change: int | None = None
    rule: str = ""
    who: str = ""


def judge(
    event: Happened, facts: Facts, *, rules: Iterable[Rule], actions: Actions, before: Before = NOTHING_BEFORE
) -> Judgement:
    """The one verdict of an event."""
    run = facts.runs.get(event.request_id) if event.request_id else None
    if run is not None:
        return Judgement(Verdict.AUTOMATION, Because.RUN, change=run.change, who=run.name)
    if event.key_ids & facts.rotated_keys:
        return Judgement(Verdict.AUTOMATION, Because.ROTATION)
    works = explaining(event, facts.works, actions)
    for rule in rules:
        if breaks(event, rule, actions, before):
            works_excusing = [work for work in works if excuses(work, event, rule, actions)]
            if not works_excusing:
                return Judgement(Verdict.SUSPICIOUS, Because.RULE, rule=rule.code)
            works = works_excusing
    if works:
        return Judgement(Verdict.CHANGE, Because.WINDOW, change=works[0].pk)
    if event.is_refused:
        return Judgement(Verdict.REFUSED, Because.REFUSED)
    return _known(event, facts, actions)


def is_agreed(event: Happened, facts: Facts, actions: Actions) -> bool:
    """Whether what is gone was meant to go: by the platform itself, or as the removal of this very asset."""
    if event.request_id and event.request_id in facts.runs:
        return True
    return any(work.removes(event.asset_ids, actions) for work in explaining(event, facts.works, actions))


def breaks(event: Happened, rule: Rule, actions: Actions, before: Before) -> bool:
    """Whether an event is what a rule is about."""
    is_about = (
        (rule.even_refused or not event.is_refused)
        and fits(f"{event.service}:{event.action}".lower(), rule.actions)
        and (not rule.actor_types or event.actor_type in rule.actor_types)
        and (not rule.opens or opens(event.parameters, rule))
    )
    if not is_about:
        return False
    if rule.new_origin:
        return bool(event.origin) and before.origins is not None and event.origin not in before.origins
    if rule.burst is not None:
        is_one = actions.is_deletion(event.service, event.action)
        moments = (*before.deletions, event.occurred_at)
        return is_one and in_burst(event.occurred_at, moments, rule.burst.count, rule.burst.within)
    return True


def in_burst(moment: datetime, moments: Iterable[datetime], count: int, within: timedelta) -> bool:
    """Whether some stretch of this length around `moment` holds so many of the moments."""
    near = sorted(each for each in moments if abs(each - moment) <= within)
    return any(near[at + count - 1] - near[at] <= within for at in range(len(near) - count + 1))


def opens(parameters: Mapping[str, str], rule: Rule) -> bool:
    """Whether the whole internet is let in. A call may hold many rules (Permissions.1.…, Permissions.2.…): what one of
    them says makes no other harmless, and a name that is there twice only when it says the same each time."""
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, value in parameters.items():
        group, _dot, name = INDEX.sub("", path.lower()).rpartition(".")
        groups[group][name].append(value.strip().lower())

    def is_harmless(said: Mapping[str, Sequence[str]]) -> bool:
        return any(said.get(name) and values.issuperset(said[name]) for name, values in rule.unless.items())

    return any(
        not is_harmless(said)
        and any(fits(name, rule.opens) and any(map(is_wide, values)) for name, values in said.items())
        for said in groups.values()
    )


def is_wide(text: str) -> bool:
    """Whether one of the networks in a text is as good as the whole internet."""
    return any(_bits(part) < 0 for part in re.split(r"[\s,;]+", text) if "/" in part)


def _bits(text: str) -> int:
    """By how many bits a network is narrower than what counts as wide; what is no network is never wide."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return 0
    return network.prefixlen - WIDE[network.version]


def excuses(work: Work, event: Happened, rule: Rule, actions: Actions) -> bool:
    """Whether it is harmless under this change, which explains the event, that a rule was broken."""
    if rule.excused_by is Excuse.REMOVAL:
        return work.removes(event.asset_ids, actions)
    return rule.excused_by is Excuse.CHANGE


def explaining(event: Happened, works: Iterable[Work], actions: Actions) -> list[Work]:
    """The changes that explain an event: on one of its assets, or, for what is no asset of ours (a security group, a
    record, a user), in the same account; of the right class; at the right time. The one begun last comes first."""
    kind = actions.class_of(event.service, event.action)
    found = [
        work
        for work in works
        if work.covers(event.occurred_at)
        and kind in actions.needed_by(work.operation)
        and (bool(event.asset_ids & work.asset_ids) if event.asset_ids else work.in_account)
    ]
    return sorted(found, key=lambda work: (work.begun_at, work.pk), reverse=True)


def _known(event: Happened, facts: Facts, actions: Actions) -> Judgement:
    name = event.actor_name.lower()
    if event.actor_type == "system" or (event.actor_type == "assumed-role" and fits(name, SERVICE_ROLE)):
        return Judgement(Verdict.KNOWN, Because.SERVICE)
    if name in facts.ours or (event.access_key_id and event.access_key_id in facts.our_keys):
        if actions.class_of(event.service, event.action) in OURS_WITHOUT_CHANGE:
            return Judgement(Verdict.KNOWN, Because.OURS)
        return Judgement(Verdict.UNMATCHED, Because.OURS_NO_CHANGE)
    role = name.partition(":")[0]
    who = facts.people.get(name) or (facts.people.get(role) if event.actor_type == "assumed-role" else None)
    if who:
        return Judgement(Verdict.KNOWN, Because.PEOPLE, who=who)
    return Judgement(Verdict.UNMATCHED, Because.NOBODY)
