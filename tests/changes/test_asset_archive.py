"""An asset's page has its backups, its restores and the scripts that ran on it, for both sides (R24)."""

from __future__ import annotations

import pytest

from accounts import scope
from accounts.models import Customer, User
from changes.models import Change, DutyOccurrence, RecurringDuty, ScriptVersion
from changes.services import backup_policies, drafting, restores, script_runs
from changes.services.script_runs import Pace
from incidents.models import Incident
from tests.changes.conftest import back_up, draft, place
from tests.changes.hosts import KeyHost, approved, place_host, script
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.usefixtures("contacts")


def test_its_backups_are_there_with_what_was_agreed(
    jia: Customer, incident: Incident, chen: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        database = place(jia, "orders", "production", kind="rds")
        backup_policies.record(
            asset=database, days=[0, 3], hour=3, keep_days=14, log_backup=True, by_hand="mysqldump to /backup",
            actor=chen, now=NOW,
        )  # fmt: skip
        change = draft(
            incident, chen, database, operation="database-parameter", fields={"name": "max_connections", "value": "900"}
        )
        drafting.submit(change=change, actor=chen, now=NOW)
        back_up(change, database, chen)
        other = place(jia, "users", "production", kind="rds")
        bucket = place(jia, "files", "production", kind="oss")
    address = f"/changes/backups/for-asset/{database.pk}/"
    for person in (chen, alice):
        page = client_for(person).get(address).content.decode()
        assert "s-bp1abc2def3" in page
        assert change.number in page
        assert "14" in page
    assert f"/changes/backups/{database.pk}/" not in client_for(alice).get(address).content.decode()
    assert "s-bp1abc2def3" not in client_for(alice).get(f"/changes/backups/for-asset/{other.pk}/").content.decode()
    assert client_for(alice).get(f"/changes/backups/for-asset/{bucket.pk}/").content.decode().strip() == ""
    assert client_for(eve).get(address).status_code == 404


def test_its_restores_and_drills_are_there(
    jia: Customer, incident: Incident, chen: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        database = place(jia, "orders", "production", kind="rds")
        change = draft(
            incident, chen, database, operation="restore-backup-set", fields={"backup": "b-1", "keep_days": 5}
        )
        Change.objects.filter(pk=change.pk).update(state="executing", begun_at=NOW)
        restores.record(
            change=change, source=database, name="rm-tmp-1", address="", restore_minutes=12, actor=chen, now=NOW
        )
        duty = RecurringDuty.objects.create(
            customer=jia, kind="restore_drill", name_zh="恢复演练", name_en="Drill", rhythm="quarterly",
            first_due_on=NOW.date(), created_at=NOW,
        )  # fmt: skip
        DutyOccurrence.objects.create(
            customer=jia, duty=duty, due_on=NOW.date(), opened_at=NOW, change=change, result="passed", done_at=NOW,
            done_by=chen, backup="b-1",
        )  # fmt: skip
        other = place(jia, "users", "production", kind="rds")
    address = f"/changes/restores/for-asset/{database.pk}/"
    page = client_for(alice).get(address).content.decode()
    for said in ("rm-tmp-1", change.number, "恢复演练", "b-1"):
        assert said in page
    assert client_for(alice).get(f"/changes/restores/for-asset/{other.pk}/").content.decode().strip() == ""
    assert client_for(eve).get(address).status_code == 404


def test_the_scripts_that_ran_on_it_are_there(
    jia: Customer, host: KeyHost, chen: User, lin: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        web, other = place_host(jia, host, "web-1"), place(jia, "web-2", "production")
        version: ScriptVersion = approved(script("df -h", only_reads=True), chen, lin)
        script_runs.plan_reading(
            customer=jia, version=version, given={}, assets=[web], reason="How full is it", pace=Pace(), actor=chen,
            now=NOW,
        )  # fmt: skip
    address = f"/changes/script-runs/for-asset/{web.pk}/"
    page = client_for(alice).get(address).content.decode()
    assert str(version) in page
    assert "How full is it" in page
    assert client_for(alice).get(f"/changes/script-runs/for-asset/{other.pk}/").content.decode().strip() == ""
    assert client_for(eve).get(address).status_code == 404
