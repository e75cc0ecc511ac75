"""How long samples are kept is a manager's decision; which asset a remote write source is, an engineer's."""

from __future__ import annotations

import pytest

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets.models import Asset
from monitoring.models import RemoteSource, Retention
from tests.conftest import NOW, ClientFor
from tests.monitoring.samples import server

ASKED = {"points_days": "90", "steps_days": "400", "reason": "ISO 27001"}


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


@pytest.fixture
def source(jia: Customer) -> RemoteSource:
    with scope.customer(jia):
        return RemoteSource.objects.create(customer=jia, name="10.9.9.9:9100", refused=5, first_at=NOW, last_at=NOW)


def test_a_manager_keeps_a_customers_history_longer_and_it_is_on_record(
    jia: Customer, lin: User, client_for: ClientFor
) -> None:
    address = f"/monitoring/history/{jia.pk}/keep/"
    assert client_for(lin).post(address, ASKED).status_code == 302
    with scope.customer(jia):
        row = Retention.objects.get()
        assert (row.points_days, row.steps_days) == (90, 400)
        assert AuditEntry.objects.filter(action="retention.set").count() == 1
    assert "ISO 27001" in client_for(lin).get("/monitoring/history/").content.decode()


@pytest.mark.parametrize(("points", "steps"), [("10", "400"), ("400", "90"), ("40", "99999")])
def test_times_that_make_no_sense_are_explained(
    jia: Customer, lin: User, client_for: ClientFor, points: str, steps: str
) -> None:
    answer = client_for(lin).post(
        f"/monitoring/history/{jia.pk}/keep/", {**ASKED, "points_days": points, "steps_days": steps}
    )
    assert answer.status_code == 422
    with scope.customer(jia):
        assert not Retention.objects.exists()


def test_engineers_and_customers_do_not_change_how_long(
    jia: Customer, chen: User, alice: User, client_for: ClientFor
) -> None:
    for person in (chen, alice):
        assert client_for(person).post(f"/monitoring/history/{jia.pk}/keep/", ASKED).status_code == 403


def test_a_source_that_nobody_knows_is_shown_and_given_its_asset(
    jia: Customer,
    yi: Customer,
    web: Asset,
    source: RemoteSource,
    chen: User,
    alice: User,
    eve: User,
    client_for: ClientFor,
) -> None:
    for person in (chen, alice):
        assert "10.9.9.9:9100" in client_for(person).get("/monitoring/history/").content.decode()
    assert "10.9.9.9:9100" not in client_for(eve).get("/monitoring/history/").content.decode()
    address = f"/monitoring/history/sources/{source.pk}/"
    assert client_for(alice).post(address, {"asset": web.pk}).status_code == 403
    assert client_for(chen).post(address, {"asset": server(yi).pk}).status_code == 422
    assert client_for(chen).post(address, {"asset": web.pk}).status_code == 302
    with scope.customer(jia):
        source = RemoteSource.objects.get()
    assert (source.asset_id, source.is_set_by_hand) == (web.pk, True)
