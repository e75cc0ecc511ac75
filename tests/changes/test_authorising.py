"""A change is asked for by an incident of these days, an accepted request, or a notice that one can look up (R83)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from changes.gates import Lack, missing
from changes.models import Change
from changes.services import drafting, facts
from changes.services.facts import can_be_looked_up
from incidents.models import Incident, IncidentState
from tests.changes.conftest import content, draft
from tests.conftest import NOW, ClientFor

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def is_authorised(change: Change) -> bool:
    change.refresh_from_db()
    return Lack.NO_REQUEST not in {lack.lack for lack in missing(facts.gather(change, now=NOW))}


@pytest.mark.parametrize(("closed_days_before", "holds"), [(None, True), (0, True), (30, True), (31, False)])
def test_an_incident_that_was_settled_long_ago_asks_for_nothing(
    incident: Incident, web: Asset, chen: User, closed_days_before: int | None, holds: bool
) -> None:
    if closed_days_before is not None:
        at = NOW - closed_days_before * DAY
        Incident.objects.filter(pk=incident.pk).update(state=IncidentState.CLOSED, resolved_at=at, closed_at=at)
        incident.refresh_from_db()
    assert is_authorised(draft(incident, chen, web)) is holds


def test_what_was_asked_for_stays_asked_for_when_its_incident_is_closed_meanwhile(
    incident: Incident, web: Asset, chen: User
) -> None:
    change = draft(incident, chen, web)
    at = NOW + 100 * DAY
    Incident.objects.filter(pk=incident.pk).update(state=IncidentState.CLOSED, resolved_at=at, closed_at=at)
    assert is_authorised(change)


@pytest.mark.parametrize(
    ("notice", "holds"),
    [
        ("阿里云公告 2026-11-1187", True),
        ("https://help.aliyun.com/notice", True),
        ("NGINX-2026-03", True),
        ("They told us", False),
        ("x", False),
        ("https://", False),
        ("", False),
    ],
)
def test_a_vendors_notice_is_one_that_can_be_looked_up(
    jia: Customer, web: Asset, chen: User, notice: str, holds: bool
) -> None:
    assert can_be_looked_up(notice) is holds
    change = drafting.draft(
        customer=jia, content=content(web), origin="cloud_vendor", vendor_notice=notice, actor=chen, now=NOW
    )
    assert is_authorised(change) is holds


def test_the_form_wants_such_a_notice(jia: Customer, web: Asset, chen: User, client_for: ClientFor) -> None:
    said = {
        "title": "Kernel", "field-what": "x", "assets": [web.pk], "risk": "high", "lead": "provider",
        "origin": "cloud_vendor", "vendor_notice": "They told us", "plan": "x", "rollback": "x",
    }  # fmt: skip
    address, engineer = f"/changes/new/?customer={jia.pk}&operation=linux-kernel", client_for(chen)
    assert engineer.post(address, said).status_code == 422
    assert engineer.post(address, {**said, "vendor_notice": "Notice 7"}).status_code == 302
