"""How long samples are kept, and which asset a remote write source is: what people decide about history."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_manager, is_provider
from assets.models import Asset
from monitoring.models import RemoteSource, Retention
from monitoring.models.history import LONGEST_DAYS, SHORTEST_DAYS


@transaction.atomic
def keep(
    *, customer: Customer, points_days: int, steps_days: int, reason: str, actor: User, now: datetime
) -> Retention:
    """Let a customer's history be kept so long. What is past it is deleted within the hour, for good."""
    if not is_manager(actor):
        raise PermissionDenied
    if not SHORTEST_DAYS <= points_days <= steps_days <= LONGEST_DAYS:
        raise DomainError(
            _(
                "Samples are kept for %(shortest)s to %(longest)s days, and the figures of five minutes and hours at"
                " least as long."
            )
            % {"shortest": SHORTEST_DAYS, "longest": LONGEST_DAYS},
            code="days",
        )
    row = Retention.objects.select_for_update().filter(customer=customer).first() or Retention(customer=customer)
    row.points_days, row.steps_days, row.reason = points_days, steps_days, reason
    row.changed_by, row.changed_at = actor, now
    row._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    row.save()
    detail = {"points_days": points_days, "steps_days": steps_days, "reason": reason}
    audit.record(action="retention.set", actor=actor, customer=customer, obj=row, detail=detail, now=now)
    return row


@transaction.atomic
def bind(*, source: RemoteSource, asset: Asset | None, actor: User, now: datetime) -> RemoteSource:
    """Say which asset a source is; None: nobody knows, and it is looked for again."""
    if not is_provider(actor):
        raise PermissionDenied
    if asset is not None and asset.customer_id != source.customer_id:
        raise DomainError(_("The asset belongs to another customer."), code="customer")
    row = RemoteSource.objects.select_for_update().get(pk=source.pk)
    row.asset, row.is_set_by_hand, row.state = asset, asset is not None, {}
    row.save(update_fields=["asset", "is_set_by_hand", "state"])
    detail = {"source": row.name, "asset": asset.pk if asset else None}
    audit.record(action="remote_source.bind", actor=actor, customer=row.customer, obj=row, detail=detail, now=now)
    return row
