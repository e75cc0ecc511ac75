"""What was agreed is recorded and compared every day with what the cloud has; a difference is told to the engineers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from accounts.permissions import is_provider
from assets.aliyun import AliyunError
from assets.aliyun.resources import Row, rows, text
from assets.models import Asset, Kind
from changes.backup_policy import Policy, differences, of_ecs, of_rds, weakest
from changes.models import BackupPolicy
from changes.operations import ecs
from changes.services import clouds
from changes.telling import INBOX, tell
from incidents.duty import eligible_assignees
from timers import services as timers

CHECK_TASK: Final = "changes.compare_backup_policy"
EVERY: Final = timedelta(days=1)
KINDS: Final = (Kind.ECS, Kind.RDS, Kind.MONGODB, Kind.REDIS, Kind.SERVER, Kind.DATABASE)
"""What has backups. Of ECS and RDS the cloud tells what it has; the others are looked after by hand."""
COMPARED: Final = (Kind.ECS, Kind.RDS)
State = BackupPolicy.State


@transaction.atomic
def record(
    *,
    asset: Asset,
    days: Collection[int],
    hour: int,
    keep_days: int,
    log_backup: bool,
    by_hand: str,
    actor: User,
    now: datetime,
) -> BackupPolicy:
    """What the customer wants. Recording it again replaces it; the audit log keeps what was."""
    if not is_provider(actor):
        raise PermissionDenied
    if asset.kind not in KINDS or asset.retired_at is not None:
        raise DomainError(_("There is nothing to back up here."), code="no_backup")
    if not days or not set(days) <= set(range(7)):
        raise DomainError(_("Please choose at least one day."), code="no_days")
    audit.hold(asset.customer_id)
    policy, _made = BackupPolicy.objects.update_or_create(
        asset=asset,
        defaults={
            "customer_id": asset.customer_id,
            "days": sorted(set(days)),
            "hour": hour,
            "keep_days": keep_days,
            "log_backup": log_backup,
            "by_hand": by_hand.strip(),
            "agreed_at": now,
            "recorded_by": actor,
            "state": State.UNCHECKED if is_compared(asset) else State.BY_HAND,
            "differences": [],
            "there": None,
            "problem": "",
            "checked_at": None,
        },
    )
    detail = {"days": policy.days, "hour": hour, "keep_days": keep_days, "log": log_backup}
    audit.record(action="backup_policy.record", actor=actor, customer=asset.customer, obj=asset, detail=detail, now=now)
    if is_compared(asset):
        _arm(policy, now)
    return policy


def is_compared(asset: Asset) -> bool:
    return asset.kind in COMPARED and asset.cloud_account_id is not None


def compare(*, policy_id: int, now: datetime) -> BackupPolicy | None:
    """Ask the cloud what it has. The next comparison is armed whatever comes of this one."""
    policy = BackupPolicy.objects.select_related("asset__cloud_account", "customer").filter(pk=policy_id).first()
    if policy is None or policy.asset.retired_at is not None or not is_compared(policy.asset):
        return None
    before = policy.state
    policy.checked_at, policy.problem = now, ""
    try:
        there = _there(policy.asset, now)
    except AliyunError as error:
        policy.state, policy.problem = State.UNKNOWN, error.code[:100]
    except DomainError as error:
        policy.state, policy.problem = State.UNKNOWN, error.code[:100]
    else:
        found = differences(policy.agreed, there)
        policy.differences = [one.value for one in found]
        policy.there = None if there is None else _plain(there)
        policy.state = State.DIFFERS if found else State.AS_AGREED
    with transaction.atomic():
        audit.hold(policy.customer_id)
        policy.save(update_fields=["state", "differences", "there", "problem", "checked_at"])
        if policy.state == State.DIFFERS != before:
            _tell(policy, now)
        _arm(policy, now + EVERY)
    return policy


def _there(asset: Asset, now: datetime) -> Policy | None:
    account = asset.cloud_account
    assert account is not None  # noqa: S101 - `is_compared`
    cloud = clouds.reader(account, asset.region, now=now)
    if asset.kind == Kind.RDS:
        said = cloud.ask("Rds", "DescribeBackupPolicy", {"DBInstanceId": asset.provider_id})
        return of_rds(_texts(said))
    disks = ecs.disks(cloud, {"InstanceId": asset.provider_id})
    listed = cloud.ask("Ecs", "DescribeAutoSnapshotPolicyEx", {"PageSize": ecs.MOST_ROWS})
    known = {
        text(row, "AutoSnapshotPolicyId"): of_ecs(_texts(row))
        for row in rows(listed, "AutoSnapshotPolicies", "AutoSnapshotPolicy")
    }
    of_disks = [known.get(text(disk, "AutoSnapshotPolicyId")) for disk in disks]
    held = [policy for policy in of_disks if policy is not None]
    if not held or len(held) < len(of_disks):
        return None  # a disk without snapshots is an instance that cannot be restored
    return weakest(held)


def _texts(row: Row) -> dict[str, str]:
    return {name: text(row, name) for name in row}


def _plain(policy: Policy) -> dict[str, object]:
    return {
        "days": sorted(policy.days),
        "hour": policy.hour,
        "also": sorted(policy.also),
        "keep_days": policy.keep_days,
        "log_backup": policy.log_backup,
    }


def _arm(policy: BackupPolicy, at: datetime) -> None:
    timers.set(
        key=f"backup-policy:{policy.pk}:",
        due_at=at,
        task=CHECK_TASK,
        args={"policy_id": policy.pk},
        customer=policy.customer_id,
    )


def _tell(policy: BackupPolicy, now: datetime) -> None:
    def words() -> tuple[str, str]:
        return (
            _("The backup of %(name)s is not as agreed") % {"name": policy.asset},
            _("%(customer)s: the cloud has something else than the recorded backup policy.")
            % {"customer": policy.customer},
        )

    about = f"backup-policy:{policy.pk}"
    key = f"{about}:{now:%Y%m%d%H%M}"
    people = eligible_assignees(policy.customer_id)
    tell(
        policy.customer, key, people, words, about=about, url="/changes/backups/?state=differs", now=now, channels=INBOX
    )
