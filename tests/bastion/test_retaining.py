"""How long recordings stay: a customer's rule, holds, and what goes when its time is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Role, User
from assets.models import Asset
from bastion.models import BastionSession, Node, RecordingHold, RecordingPolicy, RecordingPurge
from bastion.services import keeping, retaining, verifying
from bastion.stores import Disk
from bastion.tasks import purge
from tests.bastion import kept
from tests.conftest import NOW, ClientFor, make_person

YEAR = timedelta(days=365)


@pytest.fixture
def session(node: Node, web: Asset, root: User, tmp_path: Path) -> BastionSession:
    made = kept.begin(node, web, root)
    kept.record(made, tmp_path, kept.lines("hello\r\n", "bye\r\n"))
    kept.end(made)
    return made


def purge_at(session: BastionSession, now: datetime) -> int:
    with scope.platform("test"):
        return retaining.purge(customer=session.customer, now=now)


def is_there(session: BastionSession) -> bool:
    with scope.platform("test"):
        pieces = list(session.pieces.select_related("session"))
        return all(keeping.store().exists(piece.file) for piece in pieces)


def test_it_goes_when_its_time_is_over_and_its_chain_stays(session: BastionSession) -> None:
    assert purge_at(session, NOW + YEAR) == 0
    assert is_there(session)
    assert purge_at(session, NOW + YEAR + timedelta(seconds=1)) == 1
    assert not is_there(session)
    with scope.platform("test"):
        verdict = verifying.verify(session, trusted=verifying.portal_keys(), now=NOW)
        assert verdict.is_good
        assert verdict.is_purged
        assert RecordingPurge.objects.get().pieces == session.pieces.count()
        assert AuditEntry.objects.filter(action="bastion.recording.purge").count() == 1
    assert purge_at(session, NOW + 2 * YEAR) == 0


def test_what_arrived_late_stays_as_long(node: Node, web: Asset, root: User, tmp_path: Path) -> None:
    late = kept.begin(node, web, root)
    kept.record(late, tmp_path, kept.lines("hello\r\n"), now=NOW + YEAR)
    kept.end(late)
    assert purge_at(late, NOW + 2 * YEAR) == 0
    assert purge_at(late, NOW + 2 * YEAR + timedelta(seconds=1)) == 1


def test_what_runs_or_is_held_stays(session: BastionSession, alice: User, node: Node, web: Asset, root: User) -> None:
    with scope.platform("test"):
        retaining.hold(session=session, reason="asked for by the court", actor=alice, now=NOW)
    assert purge_at(session, NOW + 2 * YEAR) == 0
    assert is_there(session)
    with scope.platform("test"), pytest.raises(DomainError):
        retaining.hold(session=session, reason="again", actor=alice, now=NOW)
    with scope.platform("test"):
        retaining.lift(session=session, actor=alice, now=NOW)
        assert [
            entry.action
            for entry in AuditEntry.objects.filter(action__startswith="bastion.recording.").order_by("sequence")
        ] == [
            "bastion.recording.hold",
            "bastion.recording.lift",
        ]
    assert purge_at(session, NOW + 2 * YEAR) == 1
    with scope.platform("test"), pytest.raises(DomainError):
        retaining.hold(session=session, reason="too late", actor=alice, now=NOW)


def test_a_hold_is_lifted_neither_by_whose_session_it_is_nor_by_a_customer_where_the_provider_placed_it(
    session: BastionSession, alice: User, root: User, client_for: ClientFor
) -> None:
    other, page = make_person("ruth", Role.ADMIN), f"/bastion/sessions/{session.pk}/"
    with scope.platform("test"):
        retaining.hold(session=session, reason="an inquiry", actor=other, now=NOW)
        for person in (root, alice):  # their own; placed by the provider
            with pytest.raises(PermissionDenied):
                retaining.lift(session=session, actor=person, now=NOW)
    for person, is_offered in ((root, False), (alice, False), (other, True)):
        assert (f"{page}lift/" in client_for(person).get(page).content.decode()) is is_offered
    assert client_for(alice).post(f"{page}lift/").status_code == 403
    with scope.platform("test"):
        retaining.lift(session=session, actor=other, now=NOW)
        assert retaining.hold_of(session) is None


def test_a_run_that_was_broken_off_is_finished_by_the_next(
    session: BastionSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete, calls = Disk.delete, []

    def break_off(disk: Disk, name: str) -> None:
        calls.append(name)
        if len(calls) == 2:
            raise OSError("the disk went away")
        delete(disk, name)

    with monkeypatch.context() as patched:
        patched.setattr(Disk, "delete", break_off)
        assert purge_at(session, NOW + 2 * YEAR) == 0
    with scope.platform("test"):
        assert not RecordingPurge.objects.exists()
    assert purge_at(session, NOW + 2 * YEAR) == 1


def test_nobody_is_promised_what_is_going_meanwhile(
    session: BastionSession, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retaining, "_stays", lambda _session: False)
    with scope.platform("test"), pytest.raises(DomainError) as refused:
        retaining.hold(session=session, reason="asked for by the court", actor=alice, now=NOW)
    assert refused.value.code == "purged"


def test_the_customers_log_is_free_while_bytes_go(
    session: BastionSession, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is open in the database but the lock of this one recording."""
    remove = keeping.remove_all
    depths: list[int] = []

    def look(pieces: object) -> None:
        depths.append(len(connection.savepoint_ids))
        remove(pieces)  # type: ignore[arg-type]

    monkeypatch.setattr(keeping, "remove_all", look)
    before = len(connection.savepoint_ids)
    assert purge_at(session, NOW + 2 * YEAR) == 1
    assert depths == [before]


def test_a_rule_is_set_by_administrators_within_the_law(
    session: BastionSession, alice: User, root: User, client_for: ClientFor
) -> None:
    address = f"/bastion/retention/{session.customer_id}/"
    assert client_for(alice).get(address).status_code == 403
    assert client_for(alice).post(address, {"keep_days": 200}).status_code == 403
    assert client_for(root).post(address, {"keep_days": 30, "copies_mb": 0}).status_code == 422
    assert client_for(root).post(address, {"keep_days": 200, "copies_mb": 600}).status_code == 422
    assert client_for(root).post(address, {"keep_days": 200, "copies_mb": 5}).status_code == 302
    with scope.platform("test"):
        policy = RecordingPolicy.objects.get()
        assert (policy.keep_days, policy.tells_watched, policy.copies_mb) == (200, False, 5)
        [entry] = AuditEntry.objects.filter(action="bastion.recording.policy")
        assert entry.detail["keep_days"] == [365, 200]
        said: dict[str, Any] = {"customer": session.customer, "keep_days": 400, "tells_watched": True, "now": NOW}
        said["copies_mb"] = 0
        with pytest.raises(DomainError):
            retaining.set_policy(actor=root, **{**said, "keep_days": 100})
        with pytest.raises(DomainError):
            retaining.set_policy(actor=root, **{**said, "copies_mb": 513})
        with pytest.raises(PermissionDenied):
            retaining.set_policy(actor=alice, **said)
    assert purge_at(session, NOW + timedelta(days=201)) == 1


def test_the_page_shows_ones_own_rule_and_holds(
    session: BastionSession, alice: User, bob: User, eve: User, root: User, client_for: ClientFor
) -> None:
    client = client_for(alice)
    assert client.post(f"/bastion/sessions/{session.pk}/hold/", {"words": "the court asks"}).status_code == 302
    assert "the court asks" in client.get("/bastion/retention/").content.decode()
    assert "the court asks" in client.get(f"/bastion/sessions/{session.pk}/").content.decode()
    page = client_for(eve).get("/bastion/retention/").content.decode()
    assert "the court asks" not in page
    assert f"/bastion/retention/{session.customer_id}/" not in page
    assert "甲方制造" not in page
    assert client_for(bob).get("/bastion/retention/").status_code == 403
    assert client.post(f"/bastion/sessions/{session.pk}/lift/", {}).status_code == 302
    with scope.platform("test"):
        assert RecordingHold.objects.get().lifted_by == alice


def test_the_task_looks_at_every_customer(node: Node, web: Asset, root: User, tmp_path: Path) -> None:
    long_ago = NOW - 3 * YEAR
    session = kept.begin(node, web, root)
    kept.record(session, tmp_path, kept.lines("hello\r\n"), now=long_ago)
    kept.end(session, now=long_ago)
    purge()
    assert not is_there(session)


def test_who_is_connected_stands_by_customer_and_group(
    session: BastionSession, node: Node, web: Asset, root: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    running = kept.begin(node, web, root)
    page = client_for(alice).get("/bastion/online/").content.decode()
    assert f"/bastion/sessions/{running.pk}/watch/" in page
    assert f"/bastion/sessions/{session.pk}/watch/" not in page
    assert "trops@web-01" not in client_for(eve).get("/bastion/online/").content.decode()
    assert client_for(alice).get(f"/bastion/sessions/{running.pk}/watch/").status_code == 200
    assert client_for(alice).get(f"/bastion/sessions/{session.pk}/watch/").status_code == 302
