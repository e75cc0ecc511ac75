"""What a customer wants otherwise than the catalogue: written with its reason, kept with its history (R35, R46)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, Severity, User
from accounts.permissions import is_provider
from assets.models import Asset
from monitoring.models import RuleOverride
from monitoring.rules import Rule


@dataclass(frozen=True, slots=True)
class Wish:
    """The fields that differ; None keeps the wider value."""

    enabled: bool | None = None
    severity: Severity | None = None
    times: int | None = None
    period_s: int | None = None
    thresholds: tuple[float, ...] | None = None

    @property
    def is_empty(self) -> bool:
        return self == Wish()


@transaction.atomic
def override(
    *, customer: Customer, rule: Rule, asset: Asset | None, wish: Wish, reason: str, actor: User, now: datetime
) -> RuleOverride:
    """Let a rule hold otherwise for a customer, or for one asset of it. It takes effect with the next batch."""
    _check(actor, reason)
    if wish.is_empty:
        raise DomainError(_("Nothing differs from the rule as it is. Nothing was saved."), code="no_change")
    if wish.thresholds is not None and len(wish.thresholds) != len(rule.conditions):
        raise DomainError(_("This rule has another number of thresholds. Nothing was saved."), code="thresholds")
    _replan(customer)
    row = RuleOverride.objects.filter(customer=customer, rule_id=rule.id, asset=asset).first()
    before = None if row is None else _told(row)
    row = row or RuleOverride(customer=customer, rule_id=rule.id, asset=asset)
    row.enabled = wish.enabled
    row.severity = wish.severity
    row.times = wish.times
    row.period_s = wish.period_s
    row.thresholds = None if wish.thresholds is None else list(wish.thresholds)
    row.reason = reason.strip()[:300]
    row.changed_by = actor
    row.changed_at = now
    _remember(row, actor, row.reason)
    row.save()
    detail = {"rule": rule.id, "asset": asset.pk if asset else None, "before": before, "after": _told(row)}
    audit.record(action="rule.override", actor=actor, customer=customer, obj=row, detail=detail, now=now)
    return row


@transaction.atomic
def restore(*, override: RuleOverride, reason: str, actor: User, now: datetime) -> None:
    """Let the rule hold as the wider level says again."""
    _check(actor, reason)
    _replan(override.customer)
    detail = {"rule": override.rule_id, "asset": override.asset_id, "before": _told(override), "reason": reason}
    audit.record(action="rule.restore", actor=actor, customer=override.customer, obj=override, detail=detail, now=now)
    _remember(override, actor, reason.strip()[:300])
    override.delete()


def _check(actor: User, reason: str) -> None:
    if not is_provider(actor):
        raise PermissionDenied
    if not reason.strip():
        raise DomainError(_("Please say why. Nothing was saved."), code="reason_missing")


def _replan(customer: Customer) -> None:
    """Workers notice by the version that their plan is old; it is held until the change is committed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO monitoring_ledger (customer_id, batches, plan_version) VALUES (%s, 0, 2)"
            " ON CONFLICT (customer_id) DO UPDATE SET plan_version = monitoring_ledger.plan_version + 1",
            [customer.pk],
        )


def _told(row: RuleOverride) -> dict[str, object]:
    names = ("enabled", "severity", "times", "period_s", "thresholds", "reason")
    return {name: getattr(row, name) for name in names}


def _remember(row: RuleOverride, actor: User, reason: str) -> None:
    """For the history that django-simple-history writes with the row."""
    row._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    row._change_reason = reason  # type: ignore[attr-defined]  # likewise
