"""A month is issued once and then stands (R6); what is used while a customer leaves is passed on at cost (R138)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Max, Min, Sum
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit, bulk
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import CloudAccount
from costs import settling
from costs.models import BillDay, BillLine, Statement, StatementLine
from costs.money import cents
from costs.permissions import may_issue
from incidents import locks
from incidents.months import Month
from notify import live

LEAVING: Final = (Customer.Status.LEAVING, Customer.Status.LEFT)
SAID: Final = (
    "product_code", "instance_id", "charge", "cloud_account_id", "product_name", "name", "asset_id", "cloud_cost",
    "markup", "amount", "is_offboarding",
)  # fmt: skip
"""Of a line, in the order in which it goes into the fingerprint; the first four are those of one line alone."""
SWEPT_MONTHS: Final = 3
"""How many months back the sweep looks for one that is not issued yet."""


def sweep(*, customer: Customer, now: datetime) -> list[Statement]:
    """Issue what is due and whole, oldest first. Needs the customer's scope."""
    current = Month.of(settling.today(now))
    issued = []
    for back in range(SWEPT_MONTHS, 0, -1):
        month = current.shifted(-back)
        if now < settling.issued_at(month) or is_issued(customer, month) or _may_still_come(customer, month):
            continue
        if BillLine.objects.filter(customer=customer).between(*settling.ends(month)).exists():
            with translation.override(customer.language):
                reason = _("The cloud account is retired: nobody can read these days any more.")
            issued.append(issue(customer=customer, month=month, actor=None, now=now, reason=reason))
    return issued


def is_issued(customer: Customer, month: Month) -> bool:
    return Statement.objects.filter(customer=customer, month=settling.first_day(month)).exists()


def lacking(customer: Customer, month: Month) -> list[date]:
    """Days of which an account's bill was not read since Alibaba Cloud closed the month.

    An account counts from the first day that anybody planned for it to the day on which it was retired.
    """
    rows = list(BillDay.objects.filter(customer=customer).of_month(month))
    found = {row.day for row in rows if not settling.is_final(row.day, row.read_at)}
    unplanned = set(settling.days_of(month)) - {row.day for row in rows}
    return sorted(found | {day for day in unplanned if day <= _last_day(customer)})


def _may_still_come(customer: Customer, month: Month) -> bool:
    """A day that is lacking can still be read: of accounts that are not retired."""
    rows = BillDay.objects.filter(customer=customer, cloud_account__retired_at=None).of_month(month)
    if any(not settling.is_final(row.day, row.read_at) for row in rows):
        return True
    if not CloudAccount.objects.filter(customer=customer).existing().exists():
        return False
    planned = set(BillDay.objects.filter(customer=customer).of_month(month).values_list("day", flat=True))
    return bool(set(settling.days_of(month)) - planned)


def _last_day(customer: Customer) -> date:
    """The last day of which a bill can be expected: all, as long as an account is not retired."""
    accounts = CloudAccount.objects.filter(customer=customer)
    retired = [settling.today(one.retired_at) for one in accounts if one.retired_at is not None]
    return max(retired) if retired and not accounts.existing().exists() else date.max


@transaction.atomic
def issue(*, customer: Customer, month: Month, actor: User | None, now: datetime, reason: str = "") -> Statement:
    """Close a month with the figures as they are. By hand also with days missing, and then with a reason."""
    if actor is not None and not may_issue(actor):
        raise PermissionDenied
    locks.hold_customer(customer)
    if now < settling.final_at(month):
        raise DomainError(
            _("Alibaba Cloud closes the bill of %(month)s later. Nothing was issued.") % {"month": month},
            code="too_early",
        )
    if is_issued(customer, month):
        raise DomainError(_("%(month)s is issued already and stands.") % {"month": month}, code="issued")
    missing = lacking(customer, month)
    if missing and not reason.strip():
        raise DomainError(
            ngettext(
                "%(count)s day of %(month)s is not read to the end. Say why it is issued nevertheless.",
                "%(count)s days of %(month)s are not read to the end. Say why it is issued nevertheless.",
                len(missing),
            )
            % {"count": len(missing), "month": month},
            code="days_missing",
        )
    lines = _lines(customer, month)
    statement = Statement.objects.create(
        customer=customer,
        month=settling.first_day(month),
        issued_at=now,
        issued_by=actor,
        total=cents(sum((line.amount for line in lines), Decimal(0))),
        missing=[day.isoformat() for day in missing],
        reason=reason.strip()[:400] if missing else "",
        digest=digest(lines),
    )
    for line in lines:
        line.statement = statement
    bulk.insert(lines)
    detail = {"month": str(month), "total": str(statement.total), "digest": statement.digest, "missing": len(missing)}
    audit.record(action="cost.issue", actor=actor, customer=customer, obj=statement, detail=detail, now=now)
    live.publish(customer_id=customer.pk, topic="costs", object_id=statement.pk)
    return statement


def _lines(customer: Customer, month: Month) -> list[StatementLine]:
    rows = BillLine.objects.filter(customer=customer).between(*settling.ends(month)).order_by()
    is_leaving = customer.status in LEAVING
    grouped = rows.values("cloud_account_id", "product_code", "instance_id", "charge").annotate(
        cost=Sum("amount"), named=Max("name"), product=Max("product_name"), known=Min("asset_id")
    )
    return [
        StatementLine(
            customer_id=customer.pk,
            cloud_account_id=row["cloud_account_id"],
            asset_id=row["known"],
            product_code=row["product_code"],
            product_name=row["product"],
            instance_id=row["instance_id"],
            name=row["named"],
            charge=row["charge"],
            cloud_cost=row["cost"],
            markup=Decimal(0),
            amount=row["cost"],
            is_offboarding=is_leaving,
        )
        for row in grouped.order_by("product_code", "instance_id", "charge", "cloud_account_id")
    ]


def digest(lines: Iterable[StatementLine]) -> str:
    """SHA-256 over all that the lines say, as lowercase hex."""
    return _digest(tuple(getattr(line, name) for name in SAID) for line in lines)


def is_unchanged(statement: Statement) -> bool:
    """The lines still give the fingerprint under which they were issued."""
    return _digest(statement.lines.order_by().values_list(*SAID)) == statement.digest


def _digest(rows: Iterable[tuple[object, ...]]) -> str:
    said = sorted([f"{one:.6f}" if isinstance(one, Decimal) else one for one in row] for row in rows)
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()
