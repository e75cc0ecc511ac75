"""Rules of a customer's own: written by engineers with a reason, kept with history, tried before they hold (R33)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider
from monitoring.models import CustomRule
from monitoring.services import trials
from monitoring.services.dry_run import Case
from monitoring.services.levels import replan
from monitoring.services.trials import Watched

MOST: Final = 200
"""Rules of one customer: each is judged with every batch."""
FIELDS: Final = (
    "name", "metric", "labels", "comparator", "threshold", "recovery_threshold", "times", "period_s", "severity",
    "no_data", "is_enabled", "reason",
)  # fmt: skip


@transaction.atomic
def save(*, rule: CustomRule, actor: User, now: datetime) -> CustomRule:
    """Write a new rule, or what is changed of one. It takes effect with the next batch."""
    _check(actor, rule.reason)
    is_new = rule.pk is None
    if is_new and CustomRule.objects.filter(customer_id=rule.customer_id).count() >= MOST:
        raise DomainError(_("There are %(count)d custom rules already.") % {"count": MOST}, code="too_many")
    before = None if is_new else _told(CustomRule.objects.select_for_update().get(pk=rule.pk))
    replan(rule.customer)
    rule.changed_by, rule.changed_at = actor, now
    _remember(rule, actor, rule.reason)
    rule.save()
    detail = {"before": before, "after": _told(rule)}
    audit.record(action="own_rule.save", actor=actor, customer=rule.customer, obj=rule, detail=detail, now=now)
    return rule


@transaction.atomic
def remove(*, rule: CustomRule, reason: str, actor: User, now: datetime) -> None:
    """Take a rule away. Its open alerts end by themselves: the rule no longer applies."""
    _check(actor, reason)
    replan(rule.customer)
    detail = {"before": _told(rule), "reason": reason.strip()}
    audit.record(action="own_rule.remove", actor=actor, customer=rule.customer, obj=rule, detail=detail, now=now)
    _remember(rule, actor, reason.strip()[:300])
    rule.delete()


def attempt(*, rule: CustomRule, actor: User, now: datetime) -> Watched:
    """Begin to try what the rule as it is written now would have done in the last days. Nothing is saved."""
    if not is_provider(actor):
        raise PermissionDenied
    customer: Customer = rule.customer
    assets = None if rule.asset_id is None else [rule.asset_id]
    return trials.begin(customer=customer, case=Case(rule.as_rule(), assets=assets), actor=actor, now=now)


def _check(actor: User, reason: str) -> None:
    if not is_provider(actor):
        raise PermissionDenied
    if not reason.strip():
        raise DomainError(_("Please say why. Nothing was saved."), code="reason_missing")


def _told(rule: CustomRule) -> dict[str, object]:
    return {"asset": rule.asset_id, **{name: getattr(rule, name) for name in FIELDS}}


def _remember(rule: CustomRule, actor: User, reason: str) -> None:
    """For the history that django-simple-history writes with the row."""
    rule._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    rule._change_reason = reason  # type: ignore[attr-defined]  # likewise
