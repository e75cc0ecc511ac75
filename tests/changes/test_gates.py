"""The gates by themselves, without a database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from changes import gates
from changes.gates import Actor, Facts, Gate, Kind, Lack, Target, Word
from tests.conftest import NOW

WEB = Target(1, is_production=True, backed_up_at=NOW)
OLD = replace(WEB, backed_up_at=NOW - timedelta(days=8))
PASSED = Facts(
    kind=Kind.NORMAL,
    targets=(WEB,),
    authorised=True,
    template_in_force=True,
    risk_told=True,
    confirmed=Word.YES,
    heard=False,
    tested=gates.Tested.PASSED,
    approved=Word.YES,
    has_window=True,
    backup_since=NOW - timedelta(days=7),
)


def test_nothing_is_missing_when_everything_is_recorded() -> None:
    assert gates.missing(PASSED) == ()
    assert gates.current(PASSED) is None


@pytest.mark.parametrize(
    ("change", "gate", "lack", "who"),
    [
        ({"authorised": False}, Gate.AUTHORISED, Lack.NO_REQUEST, Actor.CUSTOMER),
        ({"risk_told": False}, Gate.RISK_TOLD, Lack.NOT_TOLD, Actor.PROVIDER),
        ({"confirmed": Word.PENDING}, Gate.CONFIRMED, Lack.NOT_SIGNED, Actor.CUSTOMER),
        ({"confirmed": Word.NO}, Gate.CONFIRMED, Lack.DECLINED, Actor.PROVIDER),
        ({"heard": True, "confirmed": Word.PENDING}, Gate.CONFIRMED, Lack.NOT_SIGNED, Actor.CUSTOMER),
        ({"tested": gates.Tested.NOT}, Gate.TESTED, Lack.NOT_TESTED, Actor.PROVIDER),
        ({"tested": gates.Tested.FAILED}, Gate.TESTED, Lack.TEST_FAILED, Actor.PROVIDER),
        ({"targets": (replace(WEB, backed_up_at=None),)}, Gate.BACKED_UP, Lack.NO_BACKUP, Actor.PROVIDER),
        ({"targets": (OLD,)}, Gate.BACKED_UP, Lack.OLD_BACKUP, Actor.PROVIDER),
        ({"approved": Word.NO}, Gate.APPROVED, Lack.REFUSED, Actor.PROVIDER),
        ({"approved": Word.LAPSED}, Gate.APPROVED, Lack.LAPSED, Actor.PROVIDER),
        ({"approved": Word.PENDING}, Gate.APPROVED, Lack.NOT_APPROVED, Actor.APPROVER),
        ({"has_window": False}, Gate.SCHEDULED, Lack.NO_WINDOW, Actor.PROVIDER),
        ({"is_frozen": True}, Gate.SCHEDULED, Lack.FROZEN, Actor.APPROVER),
        ({"is_patch": True, "patch_proven": True}, Gate.PATCH_PROVEN, Lack.NO_SOP, Actor.CUSTOMER),
        ({"is_patch": True, "has_sop": True}, Gate.PATCH_PROVEN, Lack.NOT_PROVEN, Actor.PROVIDER),
        (
            {"is_patch": True, "has_sop": True, "patch_proven": True, "targets": (), "file_backed_up_at": NOW},
            Gate.PATCH_PROVEN, Lack.NO_INSTANCE, Actor.PROVIDER,
        ),
        ({"targets": ()}, Gate.BACKED_UP, Lack.NO_FILE, Actor.PROVIDER),
        ({"targets": (), "file_backed_up_at": NOW - timedelta(days=8)}, Gate.BACKED_UP, Lack.NO_FILE, Actor.PROVIDER),
    ],
)  # fmt: skip
def test_each_gate_says_what_is_missing_and_who_must_act(
    change: dict[str, object], gate: Gate, lack: Lack, who: Actor
) -> None:
    [found] = gates.missing(replace(PASSED, **change))  # type: ignore[arg-type]
    assert (found.gate, found.lack, found.who) == (gate, lack, who)


def test_a_waived_test_and_a_waived_backup_pass_because_the_customer_signed_them() -> None:
    bare = (replace(WEB, backed_up_at=None),)
    waived = replace(PASSED, tested=gates.Tested.WAIVED, targets=bare, backup_waived=True)
    assert gates.missing(waived) == ()


@pytest.mark.parametrize("kind", list(Kind))
def test_what_touches_no_asset_has_a_file_of_what_it_changes_or_the_signed_waiver(kind: Kind) -> None:
    bare = replace(PASSED, kind=kind, targets=())
    assert [lack.gate for lack in gates.missing(bare)] == [Gate.BACKED_UP]
    assert gates.missing(replace(bare, file_backed_up_at=NOW)) == ()
    assert gates.missing(replace(bare, backup_waived=True)) == ()


def test_a_patch_needs_no_proof_where_nothing_is_production() -> None:
    spare = replace(WEB, is_production=False)
    assert gates.missing(replace(PASSED, is_patch=True, has_sop=True, targets=(spare,))) == ()


def test_a_standard_change_rests_on_its_template_alone() -> None:
    bare = Facts(kind=Kind.STANDARD, targets=(WEB,), authorised=True, template_in_force=True, has_window=True)
    assert gates.missing(bare) == ()
    [lack] = gates.missing(replace(bare, template_in_force=False))
    assert lack.lack is Lack.TEMPLATE_NOT_IN_FORCE


def test_an_emergency_begins_on_a_spoken_word_without_test_and_window_but_not_without_backup_and_approval() -> None:
    urgent = Facts(kind=Kind.EMERGENCY, targets=(WEB,), authorised=True, risk_told=True, heard=True, approved=Word.YES)
    assert gates.missing(urgent) == ()
    assert gates.missing(replace(urgent, confirmed=Word.NO))[0].gate is Gate.CONFIRMED
    assert gates.missing(replace(urgent, targets=(Target(1),)))[0].gate is Gate.BACKED_UP
    assert gates.missing(replace(urgent, approved=Word.PENDING))[0].gate is Gate.APPROVED
    assert gates.missing(replace(urgent, heard=False))[0].lack is Lack.NOT_HEARD


def test_an_emergency_patch_is_proven_elsewhere_and_has_its_procedure_too() -> None:
    urgent = Facts(
        kind=Kind.EMERGENCY,
        targets=(WEB,),
        authorised=True,
        risk_told=True,
        heard=True,
        approved=Word.YES,
        is_patch=True,
    )
    assert [lack.lack for lack in gates.missing(urgent)] == [Lack.NO_SOP, Lack.NOT_PROVEN]
    assert gates.missing(replace(urgent, has_sop=True, patch_proven=True)) == ()


def test_an_overruled_freeze_stops_nothing() -> None:
    assert gates.missing(replace(PASSED, is_frozen=True, freeze_overruled=True)) == ()


def test_the_path_keeps_the_order_of_the_contract() -> None:
    nothing = Facts(kind=Kind.NORMAL, targets=(Target(1),))
    assert [step.gate for step in gates.path(nothing)] == [gate for gate in Gate if gate is not Gate.PATCH_PROVEN]
    assert gates.current(nothing) is Gate.AUTHORISED
