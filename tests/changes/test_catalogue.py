"""The catalogue is data that can be used, and holds what the contract's table holds (R173, R10)."""

import csv
from pathlib import Path

import pytest
from django.utils import translation

from assets.models import Kind
from changes import catalogue
from changes.catalogue import Needs, Risk, Type, operations, route
from changes.services import backup_policies
from changes.trail_rules import actions
from changes.words import said
from incidents.models import ServiceRequest

OURS = [each for each in operations().values() if each.number is None]
CONTRACT = [each for each in operations().values() if each.number is not None]


def test_the_65_operations_of_the_contract_are_there_once_and_in_order() -> None:
    assert [each.number for each in CONTRACT] == list(range(1, 66))


def test_beside_them_stand_the_groups_that_the_contract_names() -> None:
    groups = {each.group.en for each in OURS}
    wanted = {
        "Linux operations",
        "Windows operations",
        "Backup",
        "Restore",
        "Database operations",
        "Network operations",
    }
    assert wanted | {"Security operations", "Automation"} == groups
    assert len([each for each in OURS if each.code.startswith("restore-")]) == 4


@pytest.mark.parametrize("operation", operations().values(), ids=lambda each: each.code)
def test_each_can_be_asked_for(operation: catalogue.Operation) -> None:
    assert operation.fields
    assert len({field.name for field in operation.fields}) == len(operation.fields)
    assert operation.kinds <= set(Kind.values)
    assert operation.billing in ServiceRequest.Billing.values
    assert all(field.options for field in operation.fields if field.type is Type.CHOICE)
    with translation.override("zh-hans"):
        assert said(operation.name) == operation.name.zh


def test_what_is_more_dangerous_is_approved_by_more_people() -> None:
    counts = [len(route(risk).levels) for risk in (Risk.NONE, Risk.LOW, Risk.MEDIUM, Risk.HIGH)]
    assert counts == [0, 1, 2, 3]
    assert route(Risk.DANGEROUS).levels[-1].needs is Needs.ALL
    assert len(route(Risk.LOW, emergency=True).levels) == 1


def test_migration_is_value_added_and_oracle_is_charged_separately() -> None:
    by_billing = {each.code for each in operations().values() if each.billing != "included"}
    assert by_billing == {"database-migration", "oracle"}


def test_patches_are_known_as_such() -> None:
    patches = {each.code for each in operations().values() if each.is_patch}
    assert patches == {"linux-patch", "windows-patch", "database-patch", "cloud-patch", "windows-update"}


def test_an_analysis_of_a_patch_says_what_it_needs_and_in_which_order() -> None:
    required = {field.name for field in operations()["linux-patch"].fields if field.required}
    assert required == {"patch", "analysis", "prerequisites", "order"}


def test_whatever_is_dangerous_is_looked_at_afterwards() -> None:
    assert [each.code for each in operations().values() if each.risk is Risk.DANGEROUS and not each.checklist] == []


def test_every_operation_that_changes_something_names_the_traces_that_it_leaves() -> None:
    named = set(actions().operations)
    assert {each.code for each in operations().values() if each.changes_something} - named == set()
    assert named <= set(operations())


def test_an_image_is_copied_without_a_server() -> None:
    assert operations()["image-copy"].kinds == catalogue.ANY_KIND


def test_no_backup_is_offered_of_what_has_none() -> None:
    assert operations()["database-backup-policy"].kinds <= set(backup_policies.KINDS)
    groups = [each for each in OURS if each.group.en in ("Backup", "Restore")]
    assert not any(Kind.MEMCACHE in each.kinds for each in groups)


def test_data_that_cannot_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in filter(Path.is_file, catalogue.DATA.iterdir()):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = list(csv.reader((tmp_path / "operations.csv").open(encoding="utf-8")))
    with (tmp_path / "operations.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(rows[1])
    monkeypatch.setattr(catalogue, "DATA", tmp_path)
    catalogue.operations.cache_clear()
    try:
        with pytest.raises(ValueError, match="twice"):
            catalogue.operations()
    finally:
        catalogue.operations.cache_clear()
