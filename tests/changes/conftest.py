"""A customer with its contacts, assets of all environments, and a change on its way through the gates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from accounts import scope
from accounts.models import Contact, Customer, User
from assets.models import Asset, CloudAccount
from changes import tasks  # noqa: F401 - timers find them by name
from changes.catalogue import Check, Type, operations
from changes.models import Change, ChangeKind
from changes.services import approving, confirming, drafting, evidence, scheduling
from changes.services.drafting import Content
from demo.aliyun import CloudServer
from incidents.models import Incident
from incidents.services import attestations
from tests.changes.hosts import KeyHost, Turns
from tests.changes.runs import open_account, quick_cloud
from tests.conftest import NOW
from tests.incidents.conftest import make_asset, raise_incident
from tests.portal import browser, portal, visit  # noqa: F401 - fixtures

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WINDOW = (NOW + HOUR, NOW + 3 * HOUR)


def place(customer: Customer, name: str, environment: str, *, kind: str = "server") -> Asset:
    asset = make_asset(customer, name)
    with scope.customer(customer):
        Asset.objects.filter(pk=asset.pk).update(environment=environment, kind=kind)
        asset.refresh_from_db()
    return asset


@pytest.fixture
def server() -> Iterator[CloudServer]:
    """A simulated cloud in which everything is done at once."""
    with quick_cloud() as running:
        yield running


@pytest.fixture
def account(jia: Customer, server: CloudServer) -> CloudAccount:
    with scope.customer(jia):
        return open_account(jia, server)


@pytest.fixture
def web(jia: Customer) -> Asset:
    return place(jia, "web-01", "production")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[KeyHost]:
    with KeyHost(tmp_path).running() as host:
        yield host


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def staging(jia: Customer) -> Asset:
    return place(jia, "web-test", "test")


@pytest.fixture
def contacts(jia: Customer, alice: User, bob: User) -> None:
    """Alice is the first project manager and the primary contact, Bob stands in for her."""
    with scope.customer(jia):
        for user, kinds in ((alice, ("first_pm", "primary")), (bob, ("second_pm", "secondary"))):
            for kind in kinds:
                Contact.objects.create(customer=jia, user=user, kind=kind, phone="13811110001", email=user.email)


@pytest.fixture
def incident(jia: Customer, alice: User) -> Incident:
    return raise_incident(alice, customer=jia)


def content(*assets: Asset, **changes: object) -> Content:
    said: dict[str, object] = {
        "title": "Raise the queue length of the web role",
        "operation": "windows-role",
        "fields": {"what": "queueLength"},
        "assets": assets,
        "reason": "Too many requests are refused",
        "plan": "1. appcmd set",
        "rollback": "1. appcmd set with the old value",
        **changes,
    }
    own = operations()[str(said["operation"])].risk.value
    return Content(**{"risk": own, **said})  # type: ignore[arg-type]


def draft(incident: Incident, chen: User, *assets: Asset, kind: str = ChangeKind.NORMAL, **changes: object) -> Change:
    return drafting.draft(
        customer=incident.customer,
        content=content(*assets, **changes),
        kind=kind,
        incident=incident,
        actor=chen,
        now=NOW,
    )


def sign(change: Change, person: User, *, now: datetime = NOW) -> None:
    """The contact signs, and the timer after it fires."""
    change.refresh_from_db()
    assert change.confirmation is not None
    attestations.sign(attestation=change.confirmation, actor=person, ip=None, now=now)
    confirming.answered(attestation_id=change.confirmation.pk, now=now)


def try_out(change: Change, on: Asset, chen: User, *, passed: bool = True) -> None:
    evidence.record_test(
        change=change, asset=on, has_passed=passed, what="It starts", tested_at=NOW, actor=chen, now=NOW
    )


def back_up(change: Change, asset: Asset, chen: User, *, at: datetime = NOW) -> None:
    said = {"method": "snapshot", "reference": "s-bp1abc2def3", "sha256": ""}
    evidence.record_backup(change=change, asset=asset, **said, taken_at=at, actor=chen, now=at)


SAMPLES = {Type.INTEGER: 3, Type.SNAPSHOT: "s-bp1abc2def3", Type.LINK: "https://example.com/graph", Type.FILE: None}


def proof_of(point: Check) -> dict[str, object]:
    """Some evidence for a point of a checklist."""
    given = {field.name: SAMPLES.get(field.type, "seen") for field in point.evidence}
    return {name: value for name, value in given.items() if value is not None}


def look(change: Change, chen: User, *, at: datetime = WINDOW[0]) -> None:
    """Every point that has to be looked at where the change stands."""
    change.refresh_from_db()
    for point in change.points:
        evidence.check(change=change, code=point.code, words="", given=proof_of(point), actor=chen, now=at)


def approve(change: Change, *people: User) -> None:
    for person in people:
        approving.decide(change=change, is_yes=True, words="", actor=person, now=NOW)


def prepared(
    change: Change, web: Asset, staging: Asset, *, chen: User, alice: User, lin: User, security: tuple[User, ...] = ()
) -> Change:
    """Through every gate, in the order of the contract. `security`: who speaks there of what is of high risk."""
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It may restart", actor=chen, now=NOW)
    sign(change, alice)
    try_out(change, staging, chen)
    back_up(change, web, chen)
    approve(change, lin, *security, alice)
    scheduling.schedule(change=change, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=chen, now=NOW)
    change.refresh_from_db()
    return change
