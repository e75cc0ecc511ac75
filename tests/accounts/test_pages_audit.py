"""The audit log as a page: whose chain one sees, and what its verdict says."""

import pytest
from django.db import connection

from accounts import audit, scope
from accounts.models import AuditEntry, Customer, User
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.django_db


def note(customer: Customer | None, action: str = "test.note") -> None:
    with scope.platform("test"):
        audit.record(action=action, actor=None, customer=customer, obj=customer, detail={"n": "=1+1"}, now=NOW)


def test_a_project_manager_reads_the_own_chain_only(
    client_for: ClientFor, alice: User, jia: Customer, yi: Customer
) -> None:
    note(jia, "test.ours")
    note(yi, "test.theirs")
    note(None, "test.platform")
    text = client_for(alice).get("/audit/?q=test").content.decode()
    assert "test.ours" in text
    assert "test.theirs" not in text
    assert "test.platform" not in text
    assert "test.theirs" not in client_for(alice).get(f"/audit/?customer={yi.pk}").content.decode()


def test_a_manager_filters_by_customer_kind_and_day(
    client_for: ClientFor, lin: User, jia: Customer, yi: Customer
) -> None:
    note(jia, "test.ours")
    note(yi, "test.theirs")
    browser = client_for(lin)
    assert "test.theirs" not in browser.get(f"/audit/?customer={jia.pk}&kind=test").content.decode()
    assert "test.ours" in browser.get("/audit/?since=2026-03-01&until=2026-03-02").content.decode()
    assert "test.ours" not in browser.get("/audit/?q=test&since=2026-03-03").content.decode()


@pytest.mark.parametrize(
    "address", ["?since=x", "?until=0000-00-00", "?actor=x", "?customer=%00", "?id=%27", "?object=x"]
)
def test_nonsense_in_the_address_is_harmless(client_for: ClientFor, lin: User, address: str) -> None:
    assert client_for(lin).get(f"/audit/{address}").status_code == 200


def test_an_export_holds_the_hashes_and_no_formula(client_for: ClientFor, lin: User, jia: Customer) -> None:
    note(jia)
    text = client_for(lin).get("/audit/?export=csv&q=test.note").content.decode("utf-8-sig")
    with scope.platform("test"):
        head = AuditEntry.objects.get(action="test.note")
    assert head.hash in text
    assert ",=" not in text


def test_whole_chains_are_said_to_hold(client_for: ClientFor, lin: User, jia: Customer) -> None:
    note(jia)
    text = client_for(lin).post("/audit/verify/").content.decode()
    assert "alert-success" in text


def test_a_changed_entry_is_found_and_named(client_for: ClientFor, lin: User, jia: Customer) -> None:
    note(jia)
    table = AuditEntry._meta.db_table
    with connection.as_owner(), connection.cursor() as cursor:  # type: ignore[attr-defined]  # our own backend
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # the test's own transaction is still open
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(f"UPDATE {table} SET actor_name = 'somebody else' WHERE action = 'test.note'")
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    assert "alert-danger" in client_for(lin).post("/audit/verify/").content.decode()


@pytest.mark.parametrize("who", ["bob", "vera", "chen"])
def test_nobody_else_reads_the_log(client_for: ClientFor, request: pytest.FixtureRequest, who: str) -> None:
    browser = client_for(request.getfixturevalue(who))
    assert browser.get("/audit/").status_code == 403
    assert browser.post("/audit/verify/").status_code == 403
