"""Macros: named values that thresholds speak of, so that one figure stands in one place."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider
from assets.models import Asset
from monitoring.levels import LENGTHS, MACRO, SIZES
from monitoring.models import AssetGroup, RuleMacro, RuleOverride
from monitoring.rules import METRICS, SAME_UNIT, plain
from monitoring.services import levels

VALUE: Final = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(\S{0,12})\s*")
UNITS: Final = frozenset({metric.unit for metric in METRICS.values()} | set(SIZES) | set(LENGTHS))


def parse(text: str) -> tuple[float, str]:
    """ "5 GiB" as 5.0 and "GiB". Raises DomainError."""
    match = VALUE.fullmatch(text)
    unit = SAME_UNIT.get(match[2], match[2]) if match else ""
    if match is None or unit not in UNITS:
        raise DomainError(_("A value is a number, with a unit if need be: 5 GiB, 3 s, 90."), code="macro_value")
    return float(match[1]), unit


def shown(macro: RuleMacro) -> str:
    return f"{plain(macro.value)} {macro.unit}".strip()


def name_of(text: str) -> str:
    """fs.free.min, $FS.FREE.MIN and {$FS.FREE.MIN} all mean the last. Raises DomainError."""
    name = "{$" + text.strip().strip("{}").lstrip("$").upper() + "}"
    if not MACRO.fullmatch(name):
        raise DomainError(
            _("A name has letters, digits, points and underscores, and begins with a letter: {$FS.FREE.MIN}."),
            code="macro_name",
        )
    return name


@transaction.atomic
def save(
    *,
    customer: Customer,
    name: str,
    value: str,
    group: AssetGroup | None = None,
    asset: Asset | None = None,
    reason: str,
    actor: User,
    now: datetime,
) -> RuleMacro:
    """Give a macro a value at a place, or another one. Every threshold that speaks of it follows."""
    _check(actor)
    if not reason.strip():
        raise DomainError(_("Please say why. Nothing was saved."), code="reason_missing")
    name, (number, unit) = name_of(name), parse(value)
    levels.replan(customer)
    row = RuleMacro.objects.filter(customer=customer, name=name, group=group, asset=asset).first()
    before = shown(row) if row else None
    row = row or RuleMacro(customer=customer, name=name, group=group, asset=asset)
    row.value, row.unit, row.reason = number, unit, reason.strip()[:300]
    row.changed_by, row.changed_at = actor, now
    row._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    row._change_reason = row.reason  # type: ignore[attr-defined]  # likewise
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise DomainError(_("Somebody else has just saved this macro. Please look again."), code="race") from None
    detail = {"name": name, "before": before, "after": shown(row), "group": row.group_id, "asset": row.asset_id}
    audit.record(action="macro.save", actor=actor, customer=customer, obj=row, detail=detail, now=now)
    return row


def usages(customer: Customer, name: str) -> list[RuleOverride]:
    """The overrides whose thresholds speak of a macro."""
    rows = RuleOverride.objects.filter(customer=customer).filter(
        Q(thresholds__contains=[name]) | Q(recovery__contains=[name])
    )
    return list(rows.select_related("group", "asset").order_by("rule_id"))


@transaction.atomic
def remove(*, macro: RuleMacro, actor: User, now: datetime) -> None:
    """Refused while a threshold would lose its value by it; a narrower value may go where a wider one remains."""
    _check(actor)
    used = usages(macro.customer, macro.name)
    is_wide = macro.group_id is None and macro.asset_id is None
    wide = RuleMacro.objects.filter(customer=macro.customer, name=macro.name, group=None, asset=None).exists()
    if used and (is_wide or not wide):
        said = ngettext(
            "%(count)d threshold speaks of %(name)s. Change it first.",
            "%(count)d thresholds speak of %(name)s. Change them first.",
            len(used),
        )
        raise DomainError(said % {"count": len(used), "name": macro.name}, code="macro_used")
    levels.replan(macro.customer)
    detail = {"name": macro.name, "before": shown(macro)}
    audit.record(action="macro.remove", actor=actor, customer=macro.customer, obj=macro, detail=detail, now=now)
    macro._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    macro.delete()


def _check(actor: User) -> None:
    if not is_provider(actor):
        raise PermissionDenied
