"""The demo's recurring duties: what the contract brought, some done with their evidence, one late, one to come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from accounts.models import Contract, Customer, User
from changes.duties import Kind
from changes.models import DutyOccurrence, RecurringDuty
from changes.services import recurring
from changes.services.recurring import Shown

SINCE: Final = timedelta(days=75)
LATE: Final = Kind.ANNOUNCEMENT
RECENTLY: Final = timedelta(days=31)
EVIDENCE: Final = {
    Kind.METRIC_REVIEW: Shown(minutes="CPU 与内存余量充足；mall-order 磁盘 30 天内达到 85%，建议扩容。客户同意。"),
    Kind.PATCH_REVIEW: Shown(minutes="评审 6 个补丁，2 个本季度实施，4 个不适用。客户已提供操作规程。"),
    Kind.RESTORE_DRILL: Shown(
        result="passed", backup="物理备份 rm-bp1demo-20261115；逻辑备份 mall_order-1115.sql.gz", restore_minutes=38,
        minutes="恢复到临时实例，核对订单表行数与最近一笔订单一致。",
    ),
    Kind.MONTHLY_REPORT: Shown(link="https://rdmp.example/reports/"),
    Kind.ANNOUNCEMENT: Shown(minutes="梳理 3 条产品公告，1 条涉及客户：SLB 旧规格下线，已告知。"),
}  # fmt: skip


def write(*, customer: Customer, engineer: User, now: datetime) -> None:
    """As if the platform had served the customer for some weeks."""
    contract = Contract.objects.filter(customer=customer).latest("starts_on")
    recurring.create_standard_set(contract=contract, now=now - SINCE)
    for duty in RecurringDuty.objects.filter(customer=customer):
        while (occurrence := recurring.open_due(duty_id=duty.pk, now=now)) is not None:
            _do(occurrence, engineer, now)


def _do(occurrence: DutyOccurrence, engineer: User, now: datetime) -> None:
    kind, today = Kind(occurrence.duty.kind), timezone.localdate(now)
    if occurrence.due_on >= today or (kind is LATE and today - occurrence.due_on < RECENTLY):
        return
    on = timezone.make_aware(datetime.combine(occurrence.due_on, recurring.MORNING))
    if occurrence.duty.tells_customer:
        told_at = on - timedelta(days=10)
        recurring.tell(occurrence=occurrence, agenda=occurrence.agenda, actor=engineer, now=told_at)
    recurring.complete(occurrence=occurrence, shown=EVIDENCE[kind], actor=engineer, now=on)
