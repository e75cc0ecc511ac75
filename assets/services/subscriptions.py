"""What is paid until when, as the billing of an account lists it (R41)."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from assets.aliyun.happenings import Paid
from assets.models import Asset, CloudAccount, Subscription

RENEWALS = {
    "AutoRenewal": Subscription.Renewal.AUTO,
    "ManualRenewal": Subscription.Renewal.MANUAL,
    "NotRenewal": Subscription.Renewal.NONE,
}


@transaction.atomic
def apply(*, account: CloudAccount, paid: Iterable[Paid], now: datetime) -> int:
    """Make the account's subscriptions equal to a complete list; returns how many there are. What vanished was
    released or has become pay-as-you-go: it is kept and no longer warned about."""
    listed = {one.instance_id: one for one in paid if one.instance_id}
    assets = dict(Asset.objects.filter(cloud_account=account, provider_id__in=listed).values_list("provider_id", "pk"))
    Subscription.objects.bulk_create(
        [
            Subscription(
                customer_id=account.customer_id,
                cloud_account=account,
                asset_id=assets.get(name),
                product=one.product[:60],
                instance_id=name[:128],
                region=one.region[:40],
                ends_at=one.ends_at,
                renewal=RENEWALS.get(one.renewal, Subscription.Renewal.UNKNOWN),
                status=one.status[:30],
                seen_at=now,
            )
            for name, one in listed.items()
        ],
        update_conflicts=True,
        unique_fields=["cloud_account", "instance_id"],
        update_fields=["asset", "product", "region", "ends_at", "renewal", "status", "seen_at"],
    )
    there = Subscription.objects.filter(cloud_account=account)
    there.filter(instance_id__in=listed).exclude(gone_at=None).update(gone_at=None)
    there.filter(gone_at=None).exclude(instance_id__in=listed).update(gone_at=now)
    return len(listed)
