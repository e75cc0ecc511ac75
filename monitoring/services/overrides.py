"""What a customer wants otherwise than the catalogue: written with its reason, kept with its history (R35, R46)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from accounts.permissions import is_provider
from assets.models import Asset
from monitoring.levels import MACRO, ROUND_THE_CLOCK, Override, Resolver, Threshold
from monitoring.models import AssetGroup, RuleOverride, RuleSchedule
from monitoring.plan import COMPARATORS, EQ, GT, LT
from monitoring.rules import RULES, Condition, Rule
from monitoring.services import levels
from notify.models import Channel


@dataclass(frozen=True, slots=True)
class Wish:
    """The fields that differ; None keeps the wider value. Thresholds are numbers or names of macros."""

    enabled: bool | None = None
    severity: Severity | None = None
    times: int | None = None
    period_s: int | None = None
    thresholds: tuple[Threshold, ...] | None = None
    recovery: tuple[Threshold, ...] | None = None
    recovery_times: int | None = None
    schedule: RuleSchedule | None = None
    round_the_clock: bool = False
    channels: tuple[int, ...] | None = None
    flap_changes: int | None = None
    flap_window_s: int | None = None

    @property
    def is_empty(self) -> bool:
        return self == Wish()

    def at(
        self, rule: Rule, *, group: AssetGroup | None = None, asset: Asset | None = None, labels: str = ""
    ) -> Override:
        """As the plan takes it."""
        schedule = None if self.schedule is None else self.schedule.pk
        return Override(
            rule_id=rule.id,
            asset_id=asset.pk if asset else None,
            enabled=self.enabled,
            severity=None if self.severity is None else self.severity.name.lower(),
            times=self.times,
            period_s=self.period_s,
            thresholds=self.thresholds,
            group_id=group.pk if group else None,
            labels=labels or None,
            recovery=self.recovery,
            recovery_times=self.recovery_times,
            schedule=ROUND_THE_CLOCK if self.round_the_clock else schedule,
            channels=self.channels,
            flap_changes=self.flap_changes,
            flap_window_s=self.flap_window_s,
        )


@transaction.atomic
def override(
    *,
    customer: Customer,
    rule: Rule,
    asset: Asset | None = None,
    group: AssetGroup | None = None,
    labels: str = "",
    wish: Wish,
    reason: str,
    actor: User,
    now: datetime,
) -> RuleOverride:
    """Let a rule hold otherwise for a customer, a group, an asset or one part of it. It takes effect with the next
    batch."""
    _check(actor, reason)
    check(customer=customer, rule=rule, override=wish.at(rule, group=group, asset=asset, labels=labels), wish=wish)
    levels.replan(customer)
    place = {"customer": customer, "rule_id": rule.id, "asset": asset, "group": group, "labels": labels}
    row = RuleOverride.objects.filter(**place).first()
    before = None if row is None else _told(row)
    row = row or RuleOverride(**place)
    _fill(row, wish)
    row.reason = reason.strip()[:300]
    row.changed_by = actor
    row.changed_at = now
    _remember(row, actor, row.reason)
    row.save()
    detail = {"rule": rule.id, **_place(row), "before": before, "after": _told(row)}
    audit.record(action="rule.override", actor=actor, customer=customer, obj=row, detail=detail, now=now)
    return row


@transaction.atomic
def restore(*, override: RuleOverride, reason: str, actor: User, now: datetime) -> None:
    """Let the rule hold as the wider level says again."""
    _check(actor, reason)
    levels.replan(override.customer)
    detail = {"rule": override.rule_id, **_place(override), "before": _told(override), "reason": reason}
    audit.record(action="rule.restore", actor=actor, customer=override.customer, obj=override, detail=detail, now=now)
    _remember(override, actor, reason.strip()[:300])
    override.delete()


@transaction.atomic
def bring_back(*, past: Any, reason: str, actor: User, now: datetime) -> RuleOverride:
    """Let an override hold again as it did once: `past` is a row of its history."""
    schedule = RuleSchedule.objects.filter(pk=past.schedule_id).first() if past.schedule_id else None
    if past.schedule_id and schedule is None:
        raise DomainError(_("Its schedule is gone. Nothing was saved."), code="schedule_gone")
    group = AssetGroup.objects.filter(pk=past.group_id).first() if past.group_id else None
    if past.group_id and group is None:
        raise DomainError(_("Its group is gone. Nothing was saved."), code="group_gone")
    return override(
        customer=past.customer,
        rule=RULES[past.rule_id],
        asset=past.asset,
        group=group,
        labels=past.labels,
        wish=wish_of(past, schedule),
        reason=reason,
        actor=actor,
        now=now,
    )


def wish_of(row: Any, schedule: RuleSchedule | None) -> Wish:
    """What a row, or a row of the history, says."""
    return Wish(
        enabled=row.enabled,
        severity=None if row.severity is None else Severity(row.severity),
        times=row.times,
        period_s=row.period_s,
        thresholds=None if row.thresholds is None else tuple(row.thresholds),
        recovery=None if row.recovery is None else tuple(row.recovery),
        recovery_times=row.recovery_times,
        schedule=schedule,
        round_the_clock=row.round_the_clock,
        channels=None if row.channels is None else tuple(row.channels),
        flap_changes=row.flap_changes,
        flap_window_s=row.flap_window_s,
    )


def check(*, customer: Customer, rule: Rule, override: Override, wish: Wish) -> None:
    """Raises DomainError for what cannot be meant."""
    if wish.is_empty:
        raise DomainError(_("Nothing differs from the rule as it is. Nothing was saved."), code="no_change")
    if wish.thresholds is not None and len(wish.thresholds) != len(rule.conditions):
        raise DomainError(_("This rule has another number of thresholds. Nothing was saved."), code="thresholds")
    if wish.recovery is not None and len(wish.recovery) != len(rule.recovery):
        raise DomainError(
            _("This rule has another number of recovery thresholds. Nothing was saved."), code="thresholds"
        )
    known = levels.load(customer)
    resolver = Resolver(known)
    bad = _checked(resolver, override, override.thresholds, rule.conditions)
    good = _checked(resolver, override, override.recovery, rule.recovery)
    if good is not None:
        limits = bad if bad is not None else [condition.threshold for condition in rule.conditions]
        _check_sides(rule, limits, good)
    _check_channels(customer, wish.channels)


def _checked(
    resolver: Resolver, override: Override, given: Sequence[Threshold] | None, conditions: Sequence[Condition]
) -> list[float] | None:
    """Thresholds as numbers, where the override stands."""
    if given is None:
        return None
    found = []
    for threshold, condition in zip(given, conditions, strict=True):
        if not isinstance(threshold, str):
            found.append(float(threshold))
            continue
        macro = resolver.macro(threshold, override.asset_id, override.group_id) if MACRO.fullmatch(threshold) else None
        if macro is None:
            raise DomainError(
                _("There is no macro %(name)s here. Define it first, or write a number.") % {"name": threshold},
                code="macro_unknown",
            )
        value = macro.in_unit(condition.unit)
        if value is None:
            raise DomainError(
                _("%(name)s is in %(unit)s, which cannot be compared with %(wanted)s.")
                % {"name": threshold, "unit": macro.unit, "wanted": condition.unit or "1"},
                code="macro_unit",
            )
        found.append(value)
    return found


def _check_sides(rule: Rule, limits: Sequence[float], good: Sequence[float]) -> None:
    """What recovers must not be what alarms: otherwise it would never, or at once."""
    for condition, limit, back, threshold in zip(rule.conditions, limits, rule.recovery, good, strict=False):
        rising = COMPARATORS[condition.comparator] in (GT, GT | EQ) and COMPARATORS[back.comparator] in (LT, LT | EQ)
        falling = COMPARATORS[condition.comparator] in (LT, LT | EQ) and COMPARATORS[back.comparator] in (GT, GT | EQ)
        if (rising and threshold > limit) or (falling and threshold < limit):
            raise DomainError(
                _("The recovery threshold lies where the rule alarms. Nothing was saved."), code="recovery_side"
            )


def _check_channels(customer: Customer, wanted: tuple[int, ...] | None) -> None:
    if wanted:
        there = Channel.objects.existing().filter(Q(customer=customer) | Q(customer=None), pk__in=wanted)
        if there.count() != len(set(wanted)):
            raise DomainError(_("One of the channels is not there any more. Nothing was saved."), code="channel_gone")


def _fill(row: RuleOverride, wish: Wish) -> None:
    row.enabled = wish.enabled
    row.severity = wish.severity
    row.times = wish.times
    row.period_s = wish.period_s
    row.thresholds = None if wish.thresholds is None else list(wish.thresholds)
    row.recovery = None if wish.recovery is None else list(wish.recovery)
    row.recovery_times = wish.recovery_times
    row.schedule = wish.schedule
    row.round_the_clock = wish.round_the_clock
    row.channels = None if wish.channels is None else list(wish.channels)
    row.flap_changes = wish.flap_changes
    row.flap_window_s = wish.flap_window_s


def _check(actor: User, reason: str) -> None:
    if not is_provider(actor):
        raise PermissionDenied
    if not reason.strip():
        raise DomainError(_("Please say why. Nothing was saved."), code="reason_missing")


def _told(row: RuleOverride) -> dict[str, object]:
    names = (
        "enabled", "severity", "times", "period_s", "thresholds", "recovery", "recovery_times", "schedule_id",
        "round_the_clock", "channels", "flap_changes", "flap_window_s", "reason",
    )  # fmt: skip
    return {name: getattr(row, name) for name in names}


def _place(row: RuleOverride) -> dict[str, object]:
    return {"asset": row.asset_id, "group": row.group_id, "labels": row.labels}


def _remember(row: RuleOverride, actor: User, reason: str) -> None:
    """For the history that django-simple-history writes with the row."""
    row._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    row._change_reason = reason  # type: ignore[attr-defined]  # likewise
