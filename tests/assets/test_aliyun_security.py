"""What the adapter reads of Security Center, from the simulated Alibaba Cloud over HTTP."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from assets.aliyun import AliyunError
from assets.aliyun.security import suspicions, vulnerabilities
from demo.aliyun import JIA_UID, READ_ONLY, Credentials, FaultKind, SimulatedCloud
from demo.aliyun.security import add_suspicion, add_vulnerability
from tests.assets.conftest import ClientOf

BEGIN = datetime(2026, 2, 28, 16, tzinfo=UTC)
END = datetime(2026, 3, 31, 16, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_open_and_settled_vulnerabilities_of_every_kind_and_page(cloud: SimulatedCloud, client_of: ClientOf) -> None:
    estate = cloud.estate(JIA_UID)
    estate.vulnerabilities.clear()
    for number in range(230):
        add_vulnerability(estate, instance_id=f"i-{number}", name=f"CVE-{number}", found_at=BEGIN)
    add_vulnerability(
        estate, instance_id="i-1", name="KB1", kind="sys", need="later", status=7, found_at=BEGIN, fixed_at=END
    )
    ticks, begun = itertools.count(), datetime.now(UTC)
    cloud.clock = lambda: begun + next(ticks) * SECOND  # slower than the limit, as the pace of the platform is
    found = vulnerabilities(client_of())
    assert len(found) == 231
    assert sum(one.is_open for one in found) == 230
    fixed = next(one for one in found if not one.is_open)
    assert (fixed.kind, fixed.need, fixed.found_at, fixed.fixed_at) == ("sys", "later", BEGIN, END)
    assert found[0].fixed_at is None


def test_events_are_those_of_the_stretch_by_the_clock_of_china(cloud: SimulatedCloud, client_of: ClientOf) -> None:
    estate = cloud.estate(JIA_UID)
    for name, at in (("before", BEGIN - SECOND), ("first", BEGIN), ("last", END - SECOND), ("after", END)):
        add_suspicion(estate, instance_id="i-1", name=name, at=at)
    add_suspicion(estate, instance_id="i-2", name="settled", at=BEGIN + SECOND, level="remind", status=32)
    found = suspicions(client_of(), BEGIN, END)
    assert [(one.name, one.is_settled) for one in found] == [("last", False), ("settled", True), ("first", False)]


def test_a_page_that_got_lost_is_an_error(cloud: SimulatedCloud, client_of: ClientOf) -> None:
    add_vulnerability(cloud.estate(JIA_UID), instance_id="i-1", name="CVE-1", found_at=BEGIN)
    cloud.fail(FaultKind.LOST_PAGE, 9, product="Sas")
    with pytest.raises(AliyunError, match="IncompleteListing"):
        vulnerabilities(client_of())


def test_signatures_are_checked(client_of: ClientOf) -> None:
    wrong = Credentials(READ_ONLY.access_key_id, "x" * 30)
    with pytest.raises(AliyunError) as refused:
        suspicions(client_of(wrong), BEGIN, END)
    assert refused.value.is_credential_problem
