"""What touches no asset is backed up as well: a file of the zone, policy or route table, or the signed waiver (R87)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Role, User
from assets.models import Asset
from changes.models import BackupRecord, Change
from changes.services import confirming, drafting, evidence, executing, scheduling
from incidents.models import Incident
from tests.changes.conftest import WINDOW, approve, content, draft, sign, try_out
from tests.conftest import NOW, ClientFor, make_person

pytestmark = pytest.mark.usefixtures("contacts")
DNS = {"action": "delete", "domain": "example.com", "rr": "www", "type": "A", "value": "192.0.2.1"}
SUM = "0" * 64
FILE = "oss://backups/example.com.zone"


def stands(change: Change) -> tuple[str, str]:
    change.refresh_from_db()
    return change.state, change.gate


@pytest.fixture
def change(jia: Customer, incident: Incident, staging: Asset, chen: User, alice: User) -> Change:
    """A DNS record is to go; it waits for its backup."""
    with scope.customer(jia):
        change = draft(incident, chen, operation="dns-record", fields=DNS)
        drafting.submit(change=change, actor=chen, now=NOW)
        confirming.tell_risk(change=change, text="Nobody finds it any more", actor=chen, now=NOW)
        sign(change, alice)
        try_out(change, staging, chen)
        assert stands(change) == ("preparing", "backed_up")
    return change


def keep(change: Change, chen: User, *, at: object = NOW, **said: object) -> BackupRecord:
    usual = {"asset": None, "method": "file", "reference": FILE, "sha256": SUM, "taken_at": at}
    return evidence.record_backup(change=change, actor=chen, now=NOW, **{**usual, **said})  # type: ignore[arg-type]


def test_a_file_with_its_checksum_opens_the_gate_and_nothing_else(
    jia: Customer, change: Change, web: Asset, chen: User, alice: User, lin: User
) -> None:
    with scope.customer(jia):
        for wrong, code in (
            ({"method": "snapshot", "reference": "s-bp1abc2def3"}, "file_missing"),
            ({"sha256": ""}, "bad_sum"),
            ({"reference": "somewhere"}, "bad_reference"),
            ({"asset": web}, "other_asset"),
        ):
            with pytest.raises(DomainError) as refused:
                keep(change, chen, **wrong)
            assert refused.value.code == code
        with pytest.raises(IntegrityError), transaction.atomic():
            BackupRecord.objects.create(
                customer=jia, change=change, method="snapshot", reference="s-1", taken_at=NOW, recorded_at=NOW, by=chen
            )
        keep(change, chen, at=NOW - timedelta(days=8))
        assert stands(change) == ("preparing", "backed_up"), "too old"
        keep(change, chen)
        assert stands(change) == ("preparing", "approved")
        rita = make_person("rita", Role.MANAGER)
        approve(change, lin, rita, alice)
        scheduling.schedule(change=change, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=chen, now=NOW)
        executing.begin(change=change, actor=chen, now=WINDOW[0])


def test_the_signed_waiver_opens_it_too(jia: Customer, change: Change, staging: Asset, chen: User, alice: User) -> None:
    with scope.customer(jia):
        drafting.edit(
            change=change,
            content=content(operation="dns-record", fields=DNS, backup_waiver="The record is in the change"),
            actor=chen,
            now=NOW,
        )
        asked = confirming.tell_risk(change=change, text="Nobody finds it any more", actor=chen, now=NOW)
        assert asked is not None
        assert "The record is in the change" in asked.text
        sign(change, alice)
        try_out(change, staging, chen)
        assert stands(change) == ("preparing", "approved")


def test_what_touches_assets_names_the_one_that_was_backed_up(
    jia: Customer, incident: Incident, web: Asset, chen: User
) -> None:
    with scope.customer(jia):
        change = draft(incident, chen, web)
        drafting.submit(change=change, actor=chen, now=NOW)
        with pytest.raises(DomainError) as refused:
            keep(change, chen)
        assert refused.value.code == "asset_missing"


def test_page_and_api_take_the_file(change: Change, chen: User, alice: User, eve: User, client_for: ClientFor) -> None:
    client, address = client_for(chen), f"/changes/{change.pk}/record-backup/"
    form = client.get(address).content.decode()
    assert 'name="asset"' not in form
    assert 'value="snapshot"' not in form
    said = {"method": "file", "reference": FILE, "sha256": SUM, "taken_at": "2026-03-01T10:00"}
    assert client.post(address, {**said, "sha256": ""}).status_code == 422
    assert client.post(address, {**said, "method": "snapshot"}).status_code == 422
    assert client.post(address, said).status_code == 302
    page = client.get(f"/changes/{change.pk}/").content.decode()
    assert FILE in page
    assert "None ·" not in page
    api = f"/api/v1/changes/{change.pk}/backups/"
    body = {"method": "file", "reference": FILE, "sha256": SUM, "taken_at": "2026-03-01T10:00:00+08:00"}
    assert client.post(api, body, content_type="application/json").status_code == 201
    wrong = client.post(api, {**body, "method": "database"}, content_type="application/json")
    assert wrong.status_code == 409
    assert client_for(alice).post(api, body, content_type="application/json").status_code == 403
    assert client_for(eve).post(api, body, content_type="application/json").status_code == 404
    with scope.customer(change.customer_id):
        assert change.backups.filter(asset=None).count() == 2
