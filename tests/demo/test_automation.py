"""The demo's operations are carried out by the engine, on the simulated cloud, and stand in the past."""

from datetime import UTC, datetime

import pytest

from accounts import scope
from accounts.models import Contact, Customer, User
from assets.models import Asset
from changes.models import BackupRecord, Change, OperationRun, RunState
from demo import automation, changes
from demo.aliyun import JIA_UID
from demo.changes import TEST_MACHINE
from tests.changes.runs import log_of, open_account, own, quick_cloud
from tests.incidents.conftest import make_asset

pytestmark = pytest.mark.django_db


def test_what_the_platform_did_is_there_as_it_would_be(
    jia: Customer, alice: User, chen: User, lin: User, root: User
) -> None:
    now = datetime.now(UTC)
    with scope.platform("test"), quick_cloud() as server:
        for kind in ("first_pm", "primary"):
            Contact.objects.create(customer=jia, kind=kind, user=alice, phone="1", email="a@example.com")
        account = open_account(jia, server)
        for name in ("mall-web-03", "mall-app-03"):
            own(account, server, name)
        Asset.objects.filter(pk=make_asset(jia, TEST_MACHINE.name).pk).update(environment="test")
        cast, estate = changes.Cast(chen, lin, root, alice), server.cloud.estate(JIA_UID)
        automation.write(customer=jia, cast=cast, estate=estate, now=now)
        assert list(Change.objects.order_by("pk").values_list("state", flat=True)) == ["closed", "rolled_back"]
        told = OperationRun.objects.order_by("pk").values_list("operation", "state", "problem_code")
        assert list(told) == [
            ("ecs.snapshot", RunState.VERIFIED, ""),
            ("ecs.restart", RunState.VERIFIED, ""),
            ("ecs.snapshot", RunState.VERIFIED, ""),
            ("ecs.instance_type", RunState.FAILED, "InstanceDowngrade.QuotaExceed"),
            ("ecs.instance_type", RunState.UNDONE, ""),
            ("ecs.instance_type", RunState.VERIFIED, ""),
        ]
        assert not OperationRun.objects.filter(ended_at__gte=now).exists()
        assert not OperationRun.objects.filter(ended_at=None).exists()
        assert BackupRecord.objects.filter(reference__startswith="s-bp1").count() == 4
        assert "restoring" in log_of(OperationRun.objects.get(state=RunState.FAILED))
        row = estate.find("mall-app-03")
        assert (row["InstanceType"], row["Status"]) == ("ecs.g7.2xlarge", "Running")
