"""Backup policies: what was agreed is compared with what the cloud has, and only whoever may sees and records them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from changes import backup_policy
from changes.backup_policy import EVERY_DAY, Difference, Policy, differences, of_ecs, of_rds, weakest
from changes.models import BackupPolicy
from changes.services import backup_policies
from demo.aliyun import CloudServer
from notify.models import Delivery
from tests.changes.conftest import place
from tests.changes.runs import own, workings
from tests.conftest import NOW, ClientFor
from timers.models import Timer

AGREED = Policy(EVERY_DAY, 2, 7)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (None, (Difference.NONE_THERE,)),
        (AGREED, ()),
        (Policy(EVERY_DAY, 2, 30), ()),
        (Policy(EVERY_DAY, 2, backup_policy.FOR_EVER), ()),
        (Policy(frozenset({0, 3}), 2, 7), (Difference.DAYS,)),
        (Policy(EVERY_DAY, 3, 3), (Difference.HOUR, Difference.KEPT)),
    ],
)
def test_where_the_cloud_is_not_as_agreed(there: Policy | None, found: tuple[Difference, ...]) -> None:
    assert differences(AGREED, there) == found


def test_the_log_counts_only_where_it_was_agreed() -> None:
    without = Policy(EVERY_DAY, 2, 7, log_backup=False)
    assert differences(AGREED, without) == ()
    assert differences(Policy(EVERY_DAY, 2, 7, log_backup=True), without) == (Difference.LOG,)


def test_an_evening_in_utc_is_the_next_day_in_beijing() -> None:
    said = {"PreferredBackupPeriod": "Sunday,Wednesday", "PreferredBackupTime": "18:00Z-19:00Z"}
    kept = {"BackupRetentionPeriod": "7", "BackupLog": "Enable"}
    assert of_rds(said | kept) == Policy(frozenset({0, 3}), 2, 7, log_backup=True)
    noon = {**said, "PreferredBackupTime": "04:00Z-05:00Z", "BackupRetentionPeriod": "", "BackupLog": "Disabled"}
    assert of_rds(noon) == Policy(frozenset({6, 2}), 12, 0, log_backup=False)


def test_ecs_counts_from_monday_as_one_and_of_several_disks_the_weakest_holds() -> None:
    said = {"RepeatWeekdays": '["1","7"]', "TimePoints": '["0", "12"]', "RetentionDays": "-1"}
    assert of_ecs(said) == Policy(frozenset({0, 6}), 0, backup_policy.FOR_EVER, also=frozenset({12}))
    assert of_ecs({}) == Policy(frozenset(), 0, 0), "what nobody understands is no backup"
    assert weakest([]) is None
    assert weakest([of_ecs(said), Policy(EVERY_DAY, 0, 7)]) == Policy(frozenset({0, 6}), 0, 7)


def test_one_of_several_hours_a_day_is_the_one_that_was_agreed() -> None:
    said = {"RepeatWeekdays": '["1","2","3","4","5","6","7"]', "TimePoints": '["12", "0"]', "RetentionDays": "7"}
    there = of_ecs(said)
    assert there.hours == {0, 12}
    assert differences(Policy(EVERY_DAY, 12, 7), there) == ()
    assert differences(Policy(EVERY_DAY, 2, 7), there) == (Difference.HOUR,)
    common = weakest([there, Policy(EVERY_DAY, 12, 7)])
    assert common is not None
    assert differences(Policy(EVERY_DAY, 12, 7), common) == ()
    assert differences(Policy(EVERY_DAY, 0, 7), common) == (Difference.HOUR,)


@pytest.fixture
def web(account: CloudAccount, server: CloudServer) -> Asset:
    with scope.customer(account.customer_id):
        return own(account, server, "mall-web-01")


def record(asset: Asset, actor: User, **changes: object) -> BackupPolicy:
    said: dict[str, object] = {"days": range(7), "hour": 2, "keep_days": 7, "log_backup": False, "by_hand": ""}
    return backup_policies.record(asset=asset, actor=actor, now=NOW, **{**said, **changes})  # type: ignore[arg-type]


def compared(policy: BackupPolicy) -> BackupPolicy:
    found = backup_policies.compare(policy_id=policy.pk, now=NOW)
    assert found is not None
    return found


def test_snapshots_of_every_disk_are_compared_each_day(web: Asset, server: CloudServer, chen: User) -> None:
    with scope.customer(web.customer_id):
        policy = record(web, chen)
        assert Timer.objects.pending().get(key=f"backup-policy:{policy.pk}:").due_at == NOW
        assert compared(policy).state == "as_agreed"
        assert Timer.objects.pending().get(key=f"backup-policy:{policy.pk}:").due_at == NOW + timedelta(days=1)
        workings(server).policies[0]["RetentionDays"] = 3
        found = compared(policy)
        assert (found.state, found.differences) == ("differs", ["kept"])
        told = Delivery.objects.filter(subject__contains="mall-web-01").count()
        assert told == 1
        assert compared(policy).state == "differs"
        assert Delivery.objects.filter(subject__contains="mall-web-01").count() == told, "told once, not every day"
        disk = next(one for one in workings(server).disks if one["InstanceId"] == web.provider_id)
        disk["AutoSnapshotPolicyId"] = ""
        assert compared(policy).differences == ["none_there"], "one disk without is an instance without"
        assert list(audit.verify(web.customer_id)) == []


def test_an_rds_policy_is_compared_with_its_log(account: CloudAccount, server: CloudServer, chen: User) -> None:
    with scope.customer(account.customer_id):
        order = own(account, server, "mall-order", kind="rds")
        policy = record(order, chen, log_backup=True)
        assert compared(policy).state == "as_agreed"
        workings(server).backup_policies[order.provider_id].update(BackupLog="Disabled", PreferredBackupPeriod="Monday")
        assert compared(policy).differences == ["days", "log"]


def test_a_cloud_that_does_not_answer_is_not_a_difference(web: Asset, server: CloudServer, chen: User) -> None:
    with scope.customer(web.customer_id):
        policy = record(web, chen)
        server.cloud.fail("unavailable", 9, action="DescribeDisks")
        found = compared(policy)
        assert (found.state, found.problem, found.differences) == ("unknown", "ServiceUnavailable", [])


def test_what_is_backed_up_by_hand_says_how(jia: Customer, chen: User, alice: User) -> None:
    server = place(jia, "db-01", "production")
    with scope.customer(jia):
        policy = record(server, chen, by_hand="xtrabackup to oss://jiahe-backup")
        assert policy.state == "by_hand"
        assert backup_policies.compare(policy_id=policy.pk, now=NOW) is None
        with pytest.raises(PermissionDenied):
            record(server, alice)
        with pytest.raises(DomainError):
            record(server, chen, days=[])
        with pytest.raises(DomainError):
            record(place(jia, "www", "production", kind="url"), chen)


def test_pages_for_both_sides_and_nobody_else(
    web: Asset, chen: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    engineer = client_for(chen)
    assert "mall-web-01" in engineer.get("/changes/backups/?state=missing").content.decode()
    assert engineer.get(f"/changes/backups/{web.pk}/").status_code == 200
    said = {"days": ["0", "1"], "hour": "3", "keep_days": "14", "by_hand": "<script>alert(1)</script>"}
    assert engineer.post(f"/changes/backups/{web.pk}/", said).status_code == 302
    assert engineer.post(f"/changes/backups/{web.pk}/", {**said, "days": ["9"], "keep_days": "0"}).status_code == 422
    assert engineer.post(f"/changes/backups/{web.pk}/compare/").status_code == 302
    shown = engineer.get("/changes/backups/?state=differs").content.decode()
    assert "mall-web-01" in shown
    assert "<script>alert(1)" not in shown
    customer = client_for(alice)
    assert "mall-web-01" in customer.get("/changes/backups/").content.decode()
    assert customer.post(f"/changes/backups/{web.pk}/", said).status_code == 403
    assert "mall-web-01" not in client_for(eve).get("/changes/backups/").content.decode()
    assert client_for(eve).get(f"/changes/backups/{web.pk}/").status_code in (403, 404)
    assert b"mall-web-01" in b"".join(engineer.get("/changes/backups/?export=csv"))
