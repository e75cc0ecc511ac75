"""The audit log: who changes, removes or reorders an entry is found, and the database lets nobody try."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import execute_from_command_line
from django.db import DatabaseError, connection, connections, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts import audit, scope
from accounts.models import AuditEntry, Customer, Severity, User
from tests.conftest import NOW


def write(customer: Customer | None, *actions: str, detail: dict[str, Any] | None = None) -> list[AuditEntry]:
    return [
        audit.record(action=action, actor=None, customer=customer, obj=customer, detail=detail, now=NOW)
        for action in actions
    ]


def faults(customer: Customer | None) -> list[tuple[int, str]]:
    with scope.platform("test"):
        return [(fault.sequence, fault.what) for fault in audit.verify(None if customer is None else customer.pk)]


@contextmanager
def tampering() -> Iterator[Callable[[str, list[int | str]], None]]:
    """SQL as the owner of the tables who has taken the trigger off: an insider with every right."""
    with connection.as_owner(), scope.platform("tamper"), connection.cursor() as cursor:  # type: ignore[attr-defined]  # our own wrapper
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute('ALTER TABLE accounts_auditentry DISABLE TRIGGER "rdmp_append_only"')
        yield cursor.execute
        cursor.execute('ALTER TABLE accounts_auditentry ENABLE TRIGGER "rdmp_append_only"')


@pytest.fixture
def chain(jia: Customer) -> list[AuditEntry]:
    """Five entries after those of the contract."""
    return write(jia, *(f"test.{number}" for number in range(5)), detail={"n": 1})


def test_an_untouched_log_holds(jia: Customer, yi: Customer, chain: list[AuditEntry]) -> None:
    write(None, "platform.thing")
    assert faults(jia) == faults(yi) == faults(None) == []


def test_each_customer_and_the_platform_have_a_chain_of_their_own(jia: Customer, yi: Customer) -> None:
    (first,) = write(None, "platform.first")
    before = audit_head(jia)
    (hers,) = write(jia, "test.one")
    (his,) = write(yi, "test.one")
    assert (first.sequence, first.previous_hash) == (1, audit.GENESIS)
    assert (hers.sequence, hers.previous_hash) == (before.sequence + 1, before.hash)
    assert hers.hash != his.hash


def audit_head(customer: Customer | None) -> audit.Head:
    with scope.platform("test"):
        return audit.head(None if customer is None else customer.pk)


def test_an_entry_says_who_did_what_to_what_when(jia: Customer, alice: User) -> None:
    entry = audit.record(action="test.did", actor=alice, customer=jia, obj=jia, detail={"why": "因为"}, now=NOW)
    with scope.customer(jia):
        entry = AuditEntry.objects.get(pk=entry.pk)
        assert (entry.actor, entry.actor_name, entry.at) == (alice, "Alice", NOW)
    assert (entry.object_type, entry.object_id, entry.object_name) == ("accounts.customer", str(jia.pk), str(jia))
    assert entry.detail == {"why": "因为"}


@pytest.mark.parametrize(
    "change",
    [
        "action = 'test.other'",
        "actor_name = 'somebody else'",
        "at = at + interval '1 microsecond'",
        "detail = '{\"n\": 2}'",
        "object_id = '0'",
        "object_name = ''",
        "object_type = ''",
        "customer_id = (SELECT id FROM accounts_customer WHERE code = 'yi')",
    ],
)
def test_a_changed_entry_is_found(change: str, jia: Customer, yi: Customer, chain: list[AuditEntry]) -> None:
    with tampering() as execute:
        if change.startswith("customer_id"):  # there is an entry of that number at yi already
            execute("UPDATE accounts_auditentry SET sequence = 99 WHERE id = %s", [chain[2].pk])
        execute(f"UPDATE accounts_auditentry SET {change} WHERE id = %s", [chain[2].pk])
    found = faults(jia) + faults(yi)
    assert found
    assert {sequence for sequence, _what in found} <= {chain[2].sequence, chain[3].sequence, 99, 3, 4}


def test_a_changed_entry_with_a_new_hash_of_its_own_is_found_by_the_next(
    jia: Customer, chain: list[AuditEntry]
) -> None:
    chain[2].action = "test.other"
    with tampering() as execute:
        execute(
            "UPDATE accounts_auditentry SET action = 'test.other', hash = %s WHERE id = %s",
            [audit.digest(chain[2]), chain[2].pk],
        )
    assert faults(jia) == [(chain[3].sequence, "does not follow the entry before it")]


def test_a_replaced_entry_is_found_even_when_the_next_one_was_made_to_follow_it(
    jia: Customer, chain: list[AuditEntry]
) -> None:
    chain[2].action = "test.other"
    forged = audit.digest(chain[2])
    with tampering() as execute:
        execute("UPDATE accounts_auditentry SET action = 'test.other', hash = %s WHERE id = %s", [forged, chain[2].pk])
        execute("UPDATE accounts_auditentry SET previous_hash = %s WHERE id = %s", [forged, chain[3].pk])
    assert faults(jia) == [(chain[3].sequence, "was changed")]


def test_a_removed_entry_is_found(jia: Customer, chain: list[AuditEntry]) -> None:
    with tampering() as execute:
        execute("DELETE FROM accounts_auditentry WHERE id = %s", [chain[1].pk])
    assert faults(jia) == [(chain[1].sequence, f"missing: {chain[1].sequence} to {chain[1].sequence}")]


def test_a_removed_entry_is_found_even_when_the_rest_closed_up(jia: Customer, chain: list[AuditEntry]) -> None:
    with tampering() as execute:
        execute("DELETE FROM accounts_auditentry WHERE id = %s", [chain[1].pk])
        for entry in chain[2:]:
            execute("UPDATE accounts_auditentry SET sequence = sequence - 1 WHERE id = %s", [entry.pk])
    found = faults(jia)
    assert (chain[1].sequence, "does not follow the entry before it") in found
    assert (chain[1].sequence, "was changed") in found


def test_swapped_entries_are_found(jia: Customer, chain: list[AuditEntry]) -> None:
    one, other = chain[1], chain[2]
    with tampering() as execute:
        execute("UPDATE accounts_auditentry SET sequence = 0 WHERE id = %s", [one.pk])
        execute("UPDATE accounts_auditentry SET sequence = %s WHERE id = %s", [one.sequence, other.pk])
        execute("UPDATE accounts_auditentry SET sequence = %s WHERE id = %s", [other.sequence, one.pk])
    assert {sequence for sequence, _what in faults(jia)} == {one.sequence, other.sequence, other.sequence + 1}


def test_entries_cut_off_at_the_end_show_in_the_head(jia: Customer, chain: list[AuditEntry]) -> None:
    before = audit_head(jia)
    with tampering() as execute:
        execute("DELETE FROM accounts_auditentry WHERE id = %s", [chain[-1].pk])
    assert faults(jia) == []
    assert audit_head(jia) != before
    assert audit_head(jia).sequence == before.sequence - 1


@pytest.mark.parametrize("sql", ["UPDATE accounts_auditentry SET action = ''", "DELETE FROM accounts_auditentry"])
@pytest.mark.parametrize("as_owner", [False, True])
def test_the_database_refuses_change_and_removal_to_everybody(
    sql: str, as_owner: bool, chain: list[AuditEntry]
) -> None:
    @contextmanager
    def role() -> Iterator[None]:
        if as_owner:
            with connection.as_owner():  # type: ignore[attr-defined]  # our own wrapper
                yield
        else:
            yield

    with (
        scope.platform("test"),
        role(),
        pytest.raises(DatabaseError) as caught,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    assert getattr(caught.value.__cause__, "pgcode", "") == "42501"


def test_the_orm_cannot_change_or_remove_an_entry_either(jia: Customer, chain: list[AuditEntry]) -> None:
    with scope.platform("test"):
        for attempt in (chain[0].save, chain[0].delete, AuditEntry.objects.all().delete):
            with pytest.raises(DatabaseError), transaction.atomic():
                attempt()


def test_an_entry_goes_with_the_change_that_it_speaks_of(jia: Customer) -> None:
    before = audit_head(jia)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        write(jia, "test.undone")
        raise ZeroDivisionError
    assert audit_head(jia) == before


def test_a_moment_in_another_time_zone_is_the_same_moment(jia: Customer) -> None:
    there = datetime(2026, 3, 2, 18, 30, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    audit.record(action="test.there", actor=None, customer=jia, now=there)
    assert faults(jia) == []
    with scope.customer(jia):
        assert AuditEntry.objects.latest("sequence").at == there.astimezone(UTC)


def test_names_longer_than_their_column_do_not_stop_the_work(jia: Customer, alice: User) -> None:
    alice.name, alice.email = "", f"{'a' * 200}@example.com"
    entry = audit.record(action="test.did", actor=alice, customer=jia, obj=alice, now=NOW)
    assert len(entry.actor_name) == 120
    assert len(entry.object_name) == 200
    assert faults(jia) == []


def test_what_json_does_not_know_is_kept_as_text(jia: Customer) -> None:
    detail: dict[Any, object] = {
        "at": NOW,
        "price": Decimal("1.10"),
        "severity": Severity.HIGH,
        "both": ("a", 1),
        "nothing": None,
        "nan": float("nan"),
        "nul": "a\0b",
        "half": "\ud83d",
        3: "number as a key",
    }
    (entry,) = write(jia, "test.detail", detail=detail)
    assert faults(jia) == []
    with scope.customer(jia):
        kept = AuditEntry.objects.get(pk=entry.pk).detail
    assert kept["price"] == "1.10"
    assert kept["severity"] == 2
    assert kept["both"] == ["a", 1]
    assert kept["nan"] == "nan"
    assert kept["nul"] == "a\N{REPLACEMENT CHARACTER}b"
    assert kept["3"] == "number as a key"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@example(detail={"big": 1e22, "minus": -0.0, "tiny": 5e-324, "never": float("inf")})
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(detail=st.dictionaries(st.text(max_size=5), ANYTHING, max_size=4))
def test_whatever_an_entry_holds_the_chain_still_verifies(detail: dict[str, object], jia: Customer) -> None:
    (entry,) = write(jia, "test.anything", detail=detail)
    with scope.customer(jia):
        stored = AuditEntry.objects.get(pk=entry.pk)
    assert audit.digest(stored) == stored.hash


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_make_one_chain_without_gaps(jia: Customer, yi: Customer) -> None:
    threads_count, each = 6, 12
    problems: list[BaseException] = []

    def write_some(number: int) -> None:
        try:
            for turn in range(each):
                with transaction.atomic():
                    write(jia if (number + turn) % 3 else yi, f"test.{number}.{turn}")
                    if turn % 5 == 4:
                        transaction.set_rollback(True)  # an abandoned entry leaves no hole
        except DatabaseError as problem:
            problems.append(problem)
        finally:
            connections.close_all()

    before = audit_head(jia).sequence + audit_head(yi).sequence
    threads = [threading.Thread(target=write_some, args=[number]) for number in range(threads_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert faults(jia) == faults(yi) == []
    kept = threads_count * (each - each // 5)
    assert audit_head(jia).sequence + audit_head(yi).sequence == before + kept


def verify_command(capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = 0
    try:
        execute_from_command_line(["manage.py", "audit", "verify", "--no-color"])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_prints_each_head_and_says_that_the_log_holds(
    jia: Customer, chain: list[AuditEntry], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = verify_command(capsys)
    assert (code, err) == (0, "")
    assert f"{jia}: {chain[-1].sequence} entries, head {chain[-1].hash}" in out
    assert "platform: 0 entries" in out
    assert "The audit log holds." in out


def test_the_command_names_what_does_not_hold_and_fails(
    jia: Customer, chain: list[AuditEntry], capsys: pytest.CaptureFixture[str]
) -> None:
    with tampering() as execute:
        execute("DELETE FROM accounts_auditentry WHERE id = %s", [chain[1].pk])
    code, out, err = verify_command(capsys)
    number = chain[1].sequence
    assert code == 1
    assert f"customer {jia.pk}, entry {number}: missing: {number} to {number}" in err
    assert "1 faults in the audit log" in err
    assert "holds" not in out
