"""Groups of assets: made, changed, put in order, taken away where nothing hangs on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.permissions import is_provider
from assets.models import Asset, Kind
from monitoring.models import AssetGroup, AssetGroupMember, RuleMacro, RuleOverride
from monitoring.services import levels


@transaction.atomic
def save(
    *,
    customer: Customer,
    group: AssetGroup | None,
    name: str,
    description: str = "",
    tag: str = "",
    kinds: Sequence[str] = (),
    assets: Iterable[Asset] = (),
    actor: User,
    now: datetime,
) -> AssetGroup:
    """Make a group, or change it. A new one comes last in rank: it overrules no other."""
    _check(actor)
    if unknown := set(kinds) - set(Kind.values):
        raise DomainError(_("There is no kind of asset called %(kind)s.") % {"kind": min(unknown)}, code="kind")
    levels.replan(customer)
    row = group or AssetGroup(customer=customer, rank=_last_rank(customer) + 1)
    row.name, row.description, row.tag, row.kinds = name.strip(), description.strip(), tag.strip(), list(kinds)
    row.changed_at = now
    row._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        raise DomainError(_("There is a group with this name already."), code="duplicate") from None
    wanted = {asset.pk for asset in assets if asset.customer_id == customer.pk}
    row.members.exclude(asset_id__in=wanted).delete()
    there = set(row.members.values_list("asset_id", flat=True))
    AssetGroupMember.objects.bulk_create(
        AssetGroupMember(customer=customer, group=row, asset_id=pk) for pk in sorted(wanted - there)
    )
    detail = {"name": row.name, "tag": row.tag, "kinds": row.kinds, "assets": sorted(wanted), "rank": row.rank}
    audit.record(action="group.save", actor=actor, customer=customer, obj=row, detail=detail, now=now)
    return row


@transaction.atomic
def move(*, group: AssetGroup, up: bool, actor: User, now: datetime) -> None:
    """One place up or down: which of two contradicting groups has the last word."""
    _check(actor)
    levels.replan(group.customer)
    rows = list(AssetGroup.objects.filter(customer=group.customer).order_by("rank", "pk"))
    at = next(place for place, row in enumerate(rows) if row.pk == group.pk)
    other = at - 1 if up else at + 1
    if not 0 <= other < len(rows):
        return
    rows[at], rows[other] = rows[other], rows[at]
    for rank, row in enumerate(rows, 1):
        row.rank = rank
    AssetGroup.objects.bulk_update(rows, ["rank"])
    detail = {"order": [row.name for row in rows]}
    audit.record(action="group.order", actor=actor, customer=group.customer, obj=group, detail=detail, now=now)


@transaction.atomic
def remove(*, group: AssetGroup, actor: User, now: datetime) -> None:
    """Refused while rules or macros speak of it."""
    _check(actor)
    used = RuleOverride.objects.filter(group=group).count() + RuleMacro.objects.filter(group=group).count()
    if used:
        said = ngettext(
            "%(count)d rule or macro speaks of this group. Take it back first.",
            "%(count)d rules or macros speak of this group. Take them back first.",
            used,
        )
        raise DomainError(said % {"count": used}, code="group_used")
    levels.replan(group.customer)
    audit.record(
        action="group.remove", actor=actor, customer=group.customer, obj=group, detail={"name": group.name}, now=now
    )
    group._history_user = actor  # type: ignore[attr-defined]  # read by simple_history
    group.delete()


def _last_rank(customer: Customer) -> int:
    return int(AssetGroup.objects.filter(customer=customer).aggregate(last=Max("rank"))["last"] or 0)


def _check(actor: User) -> None:
    if not is_provider(actor):
        raise PermissionDenied
