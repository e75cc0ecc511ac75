"""Secrets of objects: sealed to their place, written down nowhere, every use and every look audited, keys turned."""

import base64
import logging
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing import get_context

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.conf import LazySettings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connections, models

from accounts import scope, secrets
from accounts.models import AuditEntry, BusinessCalendar, Contract, Customer, Secret, User
from accounts.vault import VaultError, key_id_of
from rdmp.safety import refuse_to_serve_insecurely
from tests.conftest import NOW

VALUE = "LTAI-very-secret-value"
OLD = "t1:" + base64.b64encode(b"k" * 32).decode()
NEW = "t2:" + base64.b64encode(b"n" * 32).decode()


@pytest.fixture
def contract(jia: Customer) -> Contract:
    with scope.customer(jia):
        return Contract.objects.get()


@pytest.fixture
def in_jia(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def put(obj: models.Model, field: str = "password", value: str = VALUE, actor: User | None = None) -> None:
    with scope.platform("test"):
        secrets.put(obj=obj, field=field, value=value, actor=actor, now=NOW)


def use(obj: models.Model, field: str = "password", purpose: str = "test", minutes: int = 0) -> str:
    with scope.platform("test"):
        return secrets.use(obj=obj, field=field, purpose=purpose, now=NOW + timedelta(minutes=minutes))


def said(action: str) -> list[AuditEntry]:
    with scope.platform("test"):
        return list(AuditEntry.objects.filter(action=action).select_related("actor").order_by("sequence"))


def test_a_secret_is_used_as_it_was_put(contract: Contract) -> None:
    put(contract)
    assert use(contract) == VALUE
    put(contract, value="another")
    assert use(contract) == "another"


def test_what_was_never_put_is_missing(contract: Contract, in_jia: None) -> None:
    assert not secrets.is_set(contract, "password")
    with pytest.raises(secrets.Missing):
        use(contract)


def test_the_database_holds_no_trace_of_the_value(contract: Contract) -> None:
    put(contract)
    with scope.platform("test"):
        row = Secret.objects.get()
        assert row.customer_id == contract.customer_id
        assert VALUE.encode() not in bytes(row.sealed)
        assert VALUE not in str([list(AuditEntry.objects.values()), list(Secret.objects.values())])


def test_no_log_and_no_error_says_the_value(contract: Contract, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        put(contract)
        use(contract)
        with scope.platform("damage it"):
            Secret.objects.update(field="other")
        with pytest.raises(VaultError) as caught:
            use(contract, "other")
    assert VALUE not in caplog.text
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("moved", ["customer", "object", "field", "model"])
def test_a_sealed_value_that_was_moved_does_not_open(moved: str, contract: Contract, yi: Customer) -> None:
    put(contract)
    with scope.platform("somebody with SQL"):
        other = Contract.objects.get(customer=yi)
        calendar = BusinessCalendar.objects.create(customer=contract.customer, name="x")
        target: models.Model = contract
        field = "password"
        if moved == "customer":
            Secret.objects.update(customer=yi)
        elif moved == "object":
            Secret.objects.update(object_id=str(other.pk))
            target = other
        elif moved == "field":
            Secret.objects.update(field="api_key")
            field = "api_key"
        else:
            Secret.objects.update(object_type="accounts.businesscalendar", object_id=str(calendar.pk))
            target = calendar
    with pytest.raises(VaultError):
        use(target, field)


def test_another_customer_finds_no_secret(contract: Contract, yi: Customer) -> None:
    put(contract)
    with scope.customer(yi):
        assert not secrets.is_set(contract, "password")
        with pytest.raises(secrets.Missing):
            secrets.use(obj=contract, field="password", purpose="theft", now=NOW)
    assert said("secret.use") == []


def test_putting_and_dropping_are_audited_without_the_value(contract: Contract, alice: User) -> None:
    put(contract, actor=alice)
    with scope.platform("test"):
        secrets.drop(obj=contract, field="password", actor=alice, now=NOW)
        secrets.drop(obj=contract, field="password", actor=alice, now=NOW)
    assert [(entry.actor, entry.detail) for entry in said("secret.set")] == [(alice, {"field": "password"})]
    assert [(entry.actor, entry.detail) for entry in said("secret.drop")] == [(alice, {"field": "password"})]
    with pytest.raises(secrets.Missing):
        use(contract)


def test_use_is_audited_once_an_hour_for_each_purpose_and_field(contract: Contract) -> None:
    put(contract)
    put(contract, "api_key")
    for minutes in (0, 1, 59, 60, 61, 119, 120):
        use(contract, minutes=minutes)
    use(contract, purpose="another")
    use(contract, "api_key")
    found = [
        (entry.detail["field"], entry.detail["purpose"], entry.detail["hour"][-2:]) for entry in said("secret.use")
    ]
    assert found == [
        ("password", "test", "02"),
        ("password", "test", "03"),
        ("password", "test", "04"),
        ("password", "another", "02"),
        ("api_key", "test", "02"),
    ]


def test_every_look_of_a_person_is_audited_with_the_reason(contract: Contract, lin: User) -> None:
    put(contract)
    for reason in ("ticket 7", "ticket 7", "handover"):
        with scope.user(lin):
            assert secrets.reveal(obj=contract, field="password", reason=reason, actor=lin, now=NOW) == VALUE
    assert [(entry.actor, entry.detail["reason"]) for entry in said("secret.reveal")] == [
        (lin, "ticket 7"),
        (lin, "ticket 7"),
        (lin, "handover"),
    ]


def test_a_look_that_shows_nothing_leaves_no_entry(contract: Contract, lin: User) -> None:
    with scope.user(lin), pytest.raises(secrets.Missing):
        secrets.reveal(obj=contract, field="password", reason="?", actor=lin, now=NOW)
    assert said("secret.reveal") == []


# --- turning the keys -----------------------------------------------------------------------------------------------


def key_ids() -> set[str]:
    with scope.platform("test"):
        return set(Secret.objects.values_list("key_id", flat=True))


def test_rotation_seals_everything_anew_and_the_old_key_can_go(contract: Contract, settings: LazySettings) -> None:
    put(contract)
    put(contract, "api_key", "other")
    settings.RDMP_MASTER_KEYS = f"{NEW},{OLD}"
    assert use(contract) == VALUE
    call_command("secrets", "rotate")
    assert key_ids() == {"t2"}
    settings.RDMP_MASTER_KEYS = NEW
    assert (use(contract), use(contract, "api_key")) == (VALUE, "other")
    assert [entry.detail["secrets"] for entry in said("secret.rotate")] == [2]


def test_rotation_turns_the_second_factors_too(alice: User, settings: LazySettings) -> None:
    adapter = get_adapter()
    with scope.platform("test"):
        sealed = {
            Authenticator.Type.TOTP: {"secret": adapter.encrypt("JBSWY3DP")},
            Authenticator.Type.RECOVERY_CODES: {"seed": adapter.encrypt("seed"), "used_mask": 3},
            Authenticator.Type.WEBAUTHN: {"name": "key", "credential": {"secret": "its own"}},
        }
        for kind, data in sealed.items():
            Authenticator.objects.create(user=alice, type=kind, data=data)
        settings.RDMP_MASTER_KEYS = f"{NEW},{OLD}"
        call_command("secrets", "rotate")
        settings.RDMP_MASTER_KEYS = NEW
        kept = {row.type: row.data for row in Authenticator.objects.all()}
    assert adapter.decrypt(kept["totp"]["secret"]) == "JBSWY3DP"
    assert adapter.decrypt(kept["recovery_codes"]["seed"]) == "seed"
    assert kept["recovery_codes"]["used_mask"] == 3
    assert kept["webauthn"] == sealed[Authenticator.Type.WEBAUTHN]


def test_rotating_twice_changes_nothing_more(contract: Contract, settings: LazySettings) -> None:
    put(contract)
    settings.RDMP_MASTER_KEYS = f"{NEW},{OLD}"
    call_command("secrets", "rotate")
    with scope.platform("test"):
        before = bytes(Secret.objects.get().sealed)
        assert secrets.rotate(now=NOW) == 0
        assert bytes(Secret.objects.get().sealed) == before


def test_rotation_without_the_old_key_changes_nothing_and_names_it(contract: Contract, settings: LazySettings) -> None:
    put(contract)
    settings.RDMP_MASTER_KEYS = NEW
    with pytest.raises(CommandError, match="lacks t1: nothing was changed"):
        call_command("secrets", "rotate")
    assert key_ids() == {"t1"}
    assert said("secret.rotate") == []


def test_the_missing_key_of_a_second_factor_is_noticed_too(alice: User, settings: LazySettings) -> None:
    with scope.platform("test"):
        data = {"secret": get_adapter().encrypt("JBSWY3DP")}
        Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data=data)
        settings.RDMP_MASTER_KEYS = NEW
        assert secrets.unknown_keys() == {"t1"}
    with pytest.raises(CommandError, match="lacks t1"):
        call_command("secrets", "check")


def test_one_damaged_secret_stops_the_rotation_before_it_changed_any(
    contract: Contract, settings: LazySettings
) -> None:
    put(contract)
    put(contract, "api_key")
    with scope.platform("damage"):
        broken = Secret.objects.get(field="api_key")
        broken.sealed = bytes(broken.sealed)[:-1] + b"?"
        broken.save()
    settings.RDMP_MASTER_KEYS = f"{NEW},{OLD}"
    with pytest.raises(CommandError, match="nothing was changed"):
        call_command("secrets", "rotate")
    assert key_ids() == {"t1"}
    assert use(contract) == VALUE


def test_a_blob_that_names_another_key_than_its_row_stops_the_rotation(
    contract: Contract, settings: LazySettings
) -> None:
    put(contract)
    with scope.platform("damage"):
        Secret.objects.update(key_id="t0")
    settings.RDMP_MASTER_KEYS = f"{NEW},{OLD},t0:{base64.b64encode(os.urandom(32)).decode()}"
    with pytest.raises(CommandError, match="two different keys"):
        call_command("secrets", "rotate")


@pytest.mark.django_db(transaction=True)
def test_a_rotation_killed_in_the_middle_leaves_every_secret_as_it_was(
    contract: Contract, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = [f"field{number}" for number in range(6)]
    for field in fields:
        put(contract, field)
    settings.RDMP_MASTER_KEYS = f"{NEW},{OLD}"
    saved: list[int] = []
    save = Secret.save

    def save_some_and_die(row: Secret, **options: object) -> None:
        save(row, **options)  # type: ignore[arg-type]  # handed on
        saved.append(row.pk)
        if len(saved) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    def rotate() -> None:
        with scope.platform("test"):
            secrets.rotate(now=NOW)

    connections.close_all()
    with monkeypatch.context() as patch:
        patch.setattr(Secret, "save", save_some_and_die)
        child = get_context("fork").Process(target=rotate)
        child.start()
        child.join()
    assert child.exitcode == -signal.SIGKILL
    assert key_ids() == {"t1"}
    assert {use(contract, field) for field in fields} == {VALUE}
    call_command("secrets", "rotate")
    assert key_ids() == {"t2"}


def test_the_platform_does_not_start_with_a_key_that_it_lacks(contract: Contract, settings: LazySettings) -> None:
    """Asked by another thread, and so by another connection: what is committed counts, which here is nothing."""
    settings.INSECURE = ["RDMP_MASTER_KEYS is missing"]
    with pytest.raises(ImproperlyConfigured, match="RDMP_MASTER_KEYS is missing"):
        refuse_to_serve_insecurely()


def test_the_blob_names_its_key(contract: Contract) -> None:
    put(contract)
    with scope.platform("test"):
        assert key_id_of(bytes(Secret.objects.get().sealed)) == "t1"
