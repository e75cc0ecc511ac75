"""All that makes rules hold otherwise in one customer, read from its rows into `monitoring.levels.Levels`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from zoneinfo import ZoneInfo

from django.db import connection

from accounts.calendars import Calendar
from accounts.models import Customer, Severity
from accounts.services import calendars
from assets.models import Asset
from monitoring.levels import ROUND_THE_CLOCK, Levels, Macro, Override
from monitoring.models import (
    AssetGroup,
    AssetGroupMember,
    ExpectedProcess,
    RuleMacro,
    RuleOverride,
    RuleSchedule,
)
from monitoring.rules import RULES
from monitoring.schedules import Schedule
from notify import live

PROCESS_RULE = "process-not-running"
TOO_MANY_RULE = "process-too-many"


def load(customer: Customer | None = None) -> Levels:
    """Of the customer in scope, or of this one where the scope is wider."""
    rows = RuleOverride.objects.filter(rule_id__in=RULES, **_of(customer))
    expected = ExpectedProcess.objects.filter(**_of(customer))
    return Levels(
        overrides=[*(each for row in expected for each in overrides_of_process(row)), *map(override_of, rows)],
        groups=groups_of_assets(customer),
        macros=[macro_of(row) for row in RuleMacro.objects.filter(**_of(customer))],
        schedules=schedules(customer),
    )


def override_of(row: RuleOverride) -> Override:
    return Override(
        rule_id=row.rule_id,
        asset_id=row.asset_id,
        enabled=row.enabled,
        severity=None if row.severity is None else Severity(row.severity).name.lower(),
        times=row.times,
        period_s=row.period_s,
        thresholds=None if row.thresholds is None else tuple(map(_threshold, row.thresholds)),
        group_id=row.group_id,
        labels=row.labels or None,
        recovery=None if row.recovery is None else tuple(map(_threshold, row.recovery)),
        recovery_times=row.recovery_times,
        schedule=ROUND_THE_CLOCK if row.round_the_clock else row.schedule_id,
        channels=None if row.channels is None else tuple(row.channels),
        flap_changes=row.flap_changes,
        flap_window_s=row.flap_window_s,
        id=row.pk or 0,
    )


def _threshold(value: object) -> float | str:
    return value if isinstance(value, str) else float(str(value))


def overrides_of_process(row: ExpectedProcess) -> Iterator[Override]:
    """How many should run is the threshold of the process rule for that name; a maximum switches its sister on."""
    labels = f'process="{row.name}"'
    least = max(row.minimum, 1)
    yield Override(PROCESS_RULE, row.asset_id, labels=labels, enabled=row.minimum > 0, thresholds=(float(least),))
    if row.maximum is not None:
        yield Override(TOO_MANY_RULE, row.asset_id, labels=labels, enabled=True, thresholds=(float(row.maximum),))


def macro_of(row: RuleMacro) -> Macro:
    return Macro(row.name, row.value, row.unit, row.group_id, row.asset_id)


# --- groups ----------------------------------------------------------------------------------------------------------


def groups_of_assets(customer: Customer | None = None) -> Mapping[int, tuple[int, ...]]:
    """The groups of each asset, the one that has the last word last."""
    found: dict[int, list[int]] = {}
    groups = list(AssetGroup.objects.filter(**_of(customer)).order_by("-rank", "-pk"))
    if not groups:
        return {}
    named: dict[int, set[int]] = {}
    for group_id, asset_id in AssetGroupMember.objects.filter(**_of(customer)).values_list("group_id", "asset_id"):
        named.setdefault(group_id, set()).add(asset_id)
    filtered = any(group.tag or group.kinds for group in groups)
    facts = list(Asset.objects.active().filter(**_of(customer)).values_list("pk", "kind", "tags")) if filtered else []
    for group in groups:
        for asset_id in named.get(group.pk, set()) | set(_matching(group, facts)):
            found.setdefault(asset_id, []).append(group.pk)
    return {asset_id: tuple(ids) for asset_id, ids in found.items()}


def _matching(group: AssetGroup, facts: Iterable[tuple[int, str, object]]) -> Iterator[int]:
    if not (group.tag or group.kinds):
        return
    for asset_id, kind, tags in facts:
        if (not group.kinds or kind in group.kinds) and (not group.tag or has_tag(tags, group.tag)):
            yield asset_id


def has_tag(tags: object, wanted: str) -> bool:
    """Whether "name=value", or a name with any value, is among an asset's tags."""
    if not isinstance(tags, dict):
        return False
    name, sign, value = wanted.partition("=")
    return name.strip() in tags and (not sign or str(tags[name.strip()]).strip() == value.strip())


def members(group: AssetGroup) -> list[Asset]:
    """The assets of a group, named or matching."""
    ids = [asset_id for asset_id, groups in groups_of_assets(group.customer).items() if group.pk in groups]
    return list(Asset.objects.active().filter(pk__in=ids))


# --- schedules -------------------------------------------------------------------------------------------------------


def schedules(customer: Customer | None = None) -> dict[int, Schedule]:
    rows = list(RuleSchedule.objects.filter(**_of(customer)).select_related("customer"))
    return {row.pk: schedule_of(row) for row in rows}


def schedule_of(row: RuleSchedule) -> Schedule:
    """Without a business calendar the hours of the week stand in for it: a rule must not fall asleep for good."""
    version = None if row.basis == RuleSchedule.Basis.WEEK else calendars.current_version(row.customer)
    calendar = _week(row) if version is None else calendars.load(version)
    return Schedule(row.pk, row.name, calendar, outside=row.basis == RuleSchedule.Basis.OFF_HOURS)


def _week(row: RuleSchedule) -> Calendar:
    return Calendar(
        tz=ZoneInfo(row.timezone), week={day: calendars.parse_hours(spans) for day, spans in enumerate(row.week)}
    )


def _of(customer: Customer | None) -> dict[str, Customer]:
    return {} if customer is None else {"customer": customer}


def replan(customer: Customer) -> None:
    """Workers notice by the version that their plan is old; it is held until the change is committed. Open pages of
    rules look again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitoring_ledger (customer_id, batches, plan_version) VALUES (%s, 0, 2)"
            " ON CONFLICT (customer_id) DO UPDATE SET plan_version = monitoring_ledger.plan_version + 1",
            [customer.pk],
        )
    live.publish(customer_id=customer.pk, topic="rules", object_id=customer.pk)
