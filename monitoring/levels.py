"""How a rule holds somewhere: the template, and what customer, groups, asset and part want otherwise.

The narrower level has the last word. Thresholds may be named values (macros), which have levels of their own. No Django
here; `services.levels` reads the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

from monitoring.rules import Condition, Rule
from monitoring.schedules import Schedule

MACRO: Final = re.compile(r"\{\$[A-Z][A-Z0-9_.]{0,58}\}")
"""A named value in the place of a threshold, written as {$FS.FREE.MIN}."""
SIZES: Final[Mapping[str, float]] = {"B": 1.0, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3, "TiB": 1024.0**4}
LENGTHS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
ROUND_THE_CLOCK: Final = 0
"""In the place of a schedule: none, whatever the wider level says."""

Threshold = float | str


class Level(IntEnum):
    """How wide an override reaches; the narrower has the last word."""

    TEMPLATE = 0
    CUSTOMER = 1
    GROUP = 2
    ASSET = 3
    SERIES = 4


@dataclass(frozen=True, slots=True)
class Override:
    """What a customer, a group of its assets, an asset, or one part of it wants otherwise. None keeps what was."""

    rule_id: str
    asset_id: int | None
    enabled: bool | None = None
    severity: str | None = None
    times: int | None = None
    period_s: int | None = None
    thresholds: tuple[Threshold, ...] | None = None
    group_id: int | None = None
    labels: str | None = None
    recovery: tuple[Threshold, ...] | None = None
    recovery_times: int | None = None
    schedule: int | None = None
    channels: tuple[int, ...] | None = None
    flap_changes: int | None = None
    flap_window_s: int | None = None
    id: int = 0
    """The row it stands in; 0 for what comes from elsewhere (expected processes) or is only tried."""

    @property
    def level(self) -> Level:
        if self.asset_id is not None:
            return Level.ASSET if self.labels is None else Level.SERIES
        return Level.CUSTOMER if self.group_id is None else Level.GROUP

    @property
    def macros(self) -> tuple[str, ...]:
        """The names it speaks of."""
        texts = [*(self.thresholds or ()), *(self.recovery or ())]
        return tuple(dict.fromkeys(each for each in texts if isinstance(each, str)))


@dataclass(frozen=True, slots=True)
class Macro:
    """A named value of a customer, or, narrower, of a group or an asset."""

    name: str
    value: float
    unit: str = ""
    group_id: int | None = None
    asset_id: int | None = None

    def in_unit(self, unit: str) -> float | None:
        """The value in another unit; None where the two do not measure the same."""
        if not self.unit or self.unit == unit:
            return self.value
        for scale in (SIZES, LENGTHS):
            if self.unit in scale and unit in scale:
                return self.value * scale[self.unit] / scale[unit]
        return None


@dataclass(frozen=True, slots=True)
class Levels:
    """All that makes rules hold otherwise somewhere in one customer."""

    overrides: Sequence[Override] = ()
    groups: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """The groups of each asset; where two contradict each other, the later in this order has the last word."""
    macros: Sequence[Macro] = ()
    schedules: Mapping[int, Schedule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effective:
    """A rule as it holds somewhere, after all overrides that reach there."""

    rule: Rule
    enabled: bool
    severity: str
    times: int
    recovery_times: int
    period_s: float
    conditions: tuple[Condition, ...]
    recovery: tuple[Condition, ...]
    schedule: Schedule | None = None
    channels: tuple[int, ...] = ()
    """Where its alerts are told; empty: wherever alerts are told (R46)."""
    flap_changes: int | None = None
    flap_window_s: int | None = None
    """How often within how long coming and going is flapping; None: as the platform's setting says."""


def resolve(
    rule: Rule,
    overrides: Iterable[Override],
    period_cap_s: float = 0,
    schedules: Mapping[int, Schedule] | None = None,
) -> Effective:
    """Apply overrides, the wider one first. `period_cap_s` shortens the period of checks (a setting, for trials).

    Their macros must have been filled in (`Resolver.chain` does). A threshold that moves takes its recovery threshold
    along: the margin between them stays, unless an override names a recovery of its own. An alert recovers after as
    many good points as it took to open (requirements, decision Q18): `times` sets both, unless told otherwise.
    """
    effective = Effective(
        rule,
        rule.enabled,
        rule.severity,
        rule.times,
        rule.recovery_times,
        rule.period_s,
        rule.conditions,
        rule.recovery,
    )
    for override in overrides:
        effective = _overridden(effective, override, schedules or {})
    if period_cap_s:
        effective = replace(effective, period_s=min(effective.period_s, period_cap_s))
    return effective


def _overridden(effective: Effective, override: Override, schedules: Mapping[int, Schedule]) -> Effective:
    conditions, recovery = effective.conditions, effective.recovery
    if override.thresholds is not None:
        pairs = list(zip(conditions, map(_number, override.thresholds), strict=True))
        conditions = tuple(replace(condition, threshold=threshold) for condition, threshold in pairs)
        moves = [threshold - condition.threshold for condition, threshold in pairs]
        recovery = tuple(
            replace(condition, threshold=condition.threshold + move)
            for condition, move in zip(recovery, moves, strict=False)
        )
    if override.recovery is not None:
        recovery = tuple(
            replace(condition, threshold=_number(threshold))
            for condition, threshold in zip(recovery, override.recovery, strict=True)
        )
    times = effective.times if override.times is None else override.times
    follows = effective.recovery_times == effective.times
    schedule = effective.schedule
    if override.schedule is not None:
        schedule = schedules.get(override.schedule)
    return replace(
        effective,
        enabled=effective.enabled if override.enabled is None else override.enabled,
        severity=override.severity or effective.severity,
        times=times,
        recovery_times=override.recovery_times or (times if follows else effective.recovery_times),
        period_s=override.period_s or effective.period_s,
        conditions=conditions,
        recovery=recovery,
        schedule=schedule,
        channels=effective.channels if override.channels is None else override.channels,
        flap_changes=override.flap_changes or effective.flap_changes,
        flap_window_s=override.flap_window_s or effective.flap_window_s,
    )


def _number(threshold: Threshold) -> float:
    if isinstance(threshold, str):
        raise ValueError(f"{threshold} has not been filled in")
    return threshold


FIELDS: Final = (
    "enabled", "thresholds", "times", "period_s", "recovery", "recovery_times", "severity", "schedule", "channels",
    "flap_changes", "flap_window_s",
)  # fmt: skip


def origins(chain: Iterable[Override]) -> dict[str, Override]:
    """Which override has the last word on each field; a field that is missing holds as the template says."""
    found: dict[str, Override] = {}
    for override in chain:
        for name in FIELDS:
            if getattr(override, name) is not None:
                found[name] = override
                if name == "thresholds":
                    found.pop("recovery", None)  # the recovery moves along with it
    return found


class Resolver:
    """What reaches each place, and the rule as it holds there; computed once per distinct set of overrides."""

    def __init__(self, levels: Levels, period_cap_s: float = 0) -> None:
        self._cap = period_cap_s
        self._levels = levels
        self._rows: dict[tuple[str, int | None, int | None, str | None], list[Override]] = {}
        for override in sorted(levels.overrides, key=lambda one: one.id):
            place = (override.rule_id, override.group_id, override.asset_id, override.labels)
            self._rows.setdefault(place, []).append(override)
        self._touched = {override.rule_id for override in levels.overrides}
        self._macros = {(one.name, one.group_id, one.asset_id): one for one in levels.macros}
        self._known: dict[tuple[object, ...], Effective] = {}

    def of(self, rule: Rule, asset_id: int, labels: str = "") -> Effective:
        chain = self.chain(rule, asset_id, labels)
        key: tuple[object, ...] = (rule.id, chain)
        if key not in self._known:
            self._known[key] = resolve(rule, chain, self._cap, self._levels.schedules)
        return self._known[key]

    def wide(self, rule: Rule) -> Effective:
        """The rule as it holds for the customer as a whole."""
        return resolve(rule, self.chain(rule, None), self._cap, self._levels.schedules)

    def chain(self, rule: Rule, asset_id: int | None, labels: str = "") -> tuple[Override, ...]:
        """The overrides that reach a place, the widest first, with their macros filled in."""
        if rule.id not in self._touched:
            return ()
        reach: list[tuple[int | None, int | None, str | None]] = [(None, None, None)]
        if asset_id is not None:
            reach += [(group, None, None) for group in self._levels.groups.get(asset_id, ())]
            reach += [(None, asset_id, None), (None, asset_id, labels)]
        found = [each for place in reach for each in self._rows.get((rule.id, *place), ())]
        return tuple(self._filled(rule, each, asset_id) if each.macros else each for each in found)

    def macro(self, name: str, asset_id: int | None, group_id: int | None = None) -> Macro | None:
        """What a name stands for at a place: the asset's word before that of its groups, theirs before all."""
        groups = self._levels.groups.get(asset_id, ()) if asset_id is not None else ()
        narrow = [(name, None, asset_id)] if asset_id is not None else []
        wide = [(name, group, None) for group in reversed(groups)] + ([(name, group_id, None)] if group_id else [])
        places: list[tuple[str, int | None, int | None]] = [*narrow, *wide, (name, None, None)]
        return next((self._macros[place] for place in places if place in self._macros), None)

    def _filled(self, rule: Rule, override: Override, asset_id: int | None) -> Override:
        """Thresholds as numbers. One that cannot be filled in here leaves the wider value: the form refuses such."""
        thresholds = self._numbers(override.thresholds, rule.conditions, override, asset_id)
        recovery = self._numbers(override.recovery, rule.recovery, override, asset_id)
        return replace(override, thresholds=thresholds, recovery=recovery)

    def _numbers(
        self,
        given: tuple[Threshold, ...] | None,
        conditions: Sequence[Condition],
        override: Override,
        asset_id: int | None,
    ) -> tuple[Threshold, ...] | None:
        if given is None:
            return None
        found: list[Threshold] = []
        for threshold, condition in zip(given, conditions, strict=True):
            value: float | None
            if isinstance(threshold, str):
                macro = self.macro(threshold, asset_id, override.group_id)
                value = macro.in_unit(condition.unit) if macro else None
            else:
                value = threshold
            if value is None:
                return None
            found.append(value)
        return tuple(found)
