"""What the platform does on a cloud comes back in the cloud's own trail, and is known again as its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.services import pacing
from changes.models import ChangeState, RunState, TrailEvent, TrailReading, TrailVerdict
from changes.services import trail_reading
from demo.aliyun import JIA_UID
from demo.aliyun import cloud as simulated
from incidents.models import Incident
from tests.changes.conftest import draft
from tests.changes.runs import Driver, carry_out, open_account, own, quick_cloud, set_to

pytestmark = pytest.mark.django_db


def test_a_run_finds_its_own_calls_in_the_trail(
    jia: Customer, incident: Incident, chen: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pacing.LIMITS, "Actiontrail", 5000.0)
    monkeypatch.setitem(simulated.CALLS_PER_SECOND, "Actiontrail", 5000)
    with scope.customer(jia), quick_cloud() as server:
        server.cloud.estate(JIA_UID).trail.clear()
        account, driver = open_account(jia, server), Driver()
        web = own(account, server, "mall-web-01")
        change = set_to(
            draft(incident, chen, web, operation="ecs-power", fields={"action": "restart"}), ChangeState.EXECUTING
        )
        assert carry_out(change, chen, driver).state == RunState.VERIFIED
        now = datetime.now(UTC)
        trail_reading.follow(account, trail_reading.regions_of(account), now)
        readings = list(TrailReading.objects.values_list("pk", flat=True))
        trail_reading.read_some(reading_ids=readings, now=now, calls=200)
        assert not TrailEvent.objects.exists(), "nothing is listed at once"
        for row in server.cloud.estate(JIA_UID).trail:
            row["listed_at"] = row["at"]
        trail_reading.read_some(reading_ids=readings, now=now + timedelta(minutes=1), calls=200)
        event = TrailEvent.objects.get(action="RebootInstance")
        assert (event.verdict, event.change) == (TrailVerdict.AUTOMATION, change)
        assert [asset.name for asset in event.assets.all()] == ["mall-web-01"]
        assert not TrailEvent.objects.unexplained().exists()
