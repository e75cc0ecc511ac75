"""Restores of the four kinds, and temporary instances: counted, reminded of, kept longer, released under a change."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import translation

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from changes import tasks
from changes.catalogue import operations
from changes.gates import Gate
from changes.models import Change, ChangeEntry, ChangeState, TemporaryExtension, TemporaryInstance
from changes.services import confirming, drafting, evidence, executing, restores, scheduling
from changes.timeline import sentence
from incidents.models import Incident, IncidentKind, RequestPhase
from notify.models import Delivery
from tests.changes.conftest import WINDOW, approve, draft, place, sign
from tests.changes.runs import set_to
from tests.conftest import NOW, ClientFor
from timers import services as timers
from timers.models import Timer

DAY = timedelta(days=1)
State = TemporaryInstance.State
JSON = "application/json"


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def orders(jia: Customer) -> Asset:
    return place(jia, "mall-order", "production", kind="rds")


@pytest.fixture
def change(incident: Incident, orders: Asset, chen: User) -> Change:
    fields = {"moment": "2026-03-01T10:00:00+08:00", "keep_days": 5}
    made = draft(incident, chen, orders, operation="restore-point-in-time", fields=fields)
    return set_to(made, ChangeState.EXECUTING)


@pytest.fixture
def copy(change: Change, orders: Asset, chen: User) -> TemporaryInstance:
    said = {"name": "rm-tmp-1", "address": "rm-tmp-1.rds", "restore_minutes": 42}
    return restores.record(change=change, source=orders, **said, actor=chen, now=NOW)  # type: ignore[arg-type]


def ring(instance: TemporaryInstance) -> Timer:
    """The next timer fires at its time."""
    timer: Timer = Timer.objects.get(key=f"temporary-instance:{instance.pk}:")
    with scope.platform("test timers"):
        assert timers.fire(timer_id=timer.pk, now=timer.due_at)
    instance.refresh_from_db()
    return timer


def told(instance: TemporaryInstance, person: User) -> int:
    return Delivery.objects.filter(about=f"temporary-instance:{instance.pk}", user=person, medium="inbox").count()


def test_the_four_kinds_are_in_the_catalogue_and_so_is_the_release() -> None:
    known = operations()
    assert [known[code].name.en for code in restores.KINDS] == [
        "Restore over the current instance",
        "Restore a backup set to a temporary instance",
        "Restore a point in time to a temporary instance",
        "Restore files or one disk",
    ]
    assert known[restores.RELEASE].changes_something
    for code in restores.KINDS:
        points = {point.code for point in known[code].checklist}
        assert (restores.POINT in points) is (code in restores.TEMPORARY)


def test_its_days_are_counted_from_the_request(copy: TemporaryInstance, change: Change) -> None:
    assert (copy.state, copy.expires_at) == (State.IN_USE, NOW + 5 * DAY)
    assert Timer.objects.get(key=f"temporary-instance:{copy.pk}:").due_at == NOW + 2 * DAY
    (entry,) = ChangeEntry.objects.filter(change=change, kind="restored")
    assert "rm-tmp-1" in sentence(entry)


def test_the_work_is_not_done_before_it_is_written_down(change: Change, orders: Asset, chen: User) -> None:
    with pytest.raises(DomainError) as refused:
        evidence.check(change=change, code=restores.POINT, words="", actor=chen, now=NOW)
    assert refused.value.code == "not_recorded"
    restores.record(change=change, source=orders, name="rm-tmp", address="", restore_minutes=None, actor=chen, now=NOW)
    evidence.check(change=change, code=restores.POINT, words="", actor=chen, now=NOW)


def test_what_cannot_be_written_down(
    change: Change, orders: Asset, incident: Incident, jia: Customer, chen: User, alice: User
) -> None:
    said = {"address": "", "restore_minutes": None, "now": NOW}
    other = place(jia, "mall-user", "production", kind="rds")
    for name, source, code in (
        ("mall-order", orders, "the_source"),
        (" ", orders, "error"),
        ("rm-tmp", other, "not_touched"),
    ):
        with pytest.raises(DomainError) as refused:
            restores.record(change=change, source=source, name=name, actor=chen, **said)  # type: ignore[arg-type]
        assert code in (refused.value.code, "error")
    with pytest.raises(PermissionDenied):
        restores.record(change=change, source=orders, name="rm-tmp", actor=alice, **said)  # type: ignore[arg-type]
    overwrite = set_to(draft(incident, chen, orders, operation="restore-overwrite"), ChangeState.EXECUTING)
    with pytest.raises(DomainError) as refused:
        restores.record(change=overwrite, source=orders, name="rm-tmp", actor=chen, **said)  # type: ignore[arg-type]
    assert refused.value.code == "not_temporary"
    set_to(change, ChangeState.READY)
    with pytest.raises(DomainError) as refused:
        restores.record(change=change, source=orders, name="rm-tmp", actor=chen, **said)  # type: ignore[arg-type]
    assert refused.value.code == "wrong_state"


@pytest.mark.usefixtures("contacts")
def test_reminders_before_then_every_day_until_it_is_gone(copy: TemporaryInstance, chen: User, alice: User) -> None:
    assert told(copy, alice) == 0
    assert ring(copy).due_at == NOW + 2 * DAY
    assert ring(copy).due_at == NOW + 4 * DAY
    assert copy.state == State.IN_USE
    assert ring(copy).due_at == NOW + 5 * DAY
    assert copy.state == State.EXPIRED, "and nothing was deleted"
    before = told(copy, alice)
    assert before == 3
    assert ring(copy).due_at > NOW + 5 * DAY
    assert told(copy, alice) > before
    assert told(copy, chen) == 4


@pytest.mark.usefixtures("contacts")
def test_it_is_kept_for_longer_with_a_reason(copy: TemporaryInstance, alice: User, bob: User, vera: User) -> None:
    for days, reason in ((0, "x"), (31, "x"), (3, " ")):
        with pytest.raises(DomainError):
            restores.extend(instance=copy, days=days, reason=reason, actor=alice, now=NOW)
    with pytest.raises(PermissionDenied):
        restores.extend(instance=copy, days=3, reason="x", actor=vera, now=NOW)
    for _ in range(3):
        ring(copy)
    later = NOW + 6 * DAY
    copy = restores.extend(instance=copy, days=3, reason="Audit goes on", actor=bob, now=later)
    assert (copy.state, copy.expires_at) == (State.IN_USE, later + 3 * DAY)
    (kept,) = TemporaryExtension.objects.all()
    assert (kept.before, kept.until, kept.reason, kept.by) == (NOW + 5 * DAY, later + 3 * DAY, "Audit goes on", bob)
    assert Timer.objects.get(key=f"temporary-instance:{copy.pk}:").due_at == later + 2 * DAY
    with pytest.raises(DomainError) as refused:
        for _ in range(10):
            copy = restores.extend(instance=copy, days=30, reason="And on", actor=bob, now=later)
    assert refused.value.code == "too_long"


def test_it_goes_under_a_change_and_never_without(copy: TemporaryInstance, chen: User, alice: User) -> None:
    with pytest.raises(PermissionDenied):
        restores.draft_release(instance=copy, actor=alice, now=NOW)
    with pytest.raises(DomainError) as refused:
        restores.note_release(instance=copy, words="Gone", actor=chen, now=NOW)
    assert refused.value.code == "no_change"
    release = restores.draft_release(instance=copy, actor=chen, now=NOW)
    assert (release.operation, release.state, release.incident) == (restores.RELEASE, "draft", copy.change.incident)
    assert "rm-tmp-1" in release.title
    assert restores.draft_release(instance=copy, actor=chen, now=NOW) == release, "one is enough"
    for state in (ChangeState.DRAFT, ChangeState.PREPARING, ChangeState.READY):
        set_to(release, state)
        with pytest.raises(DomainError):
            restores.note_release(instance=copy, words="Gone", actor=chen, now=NOW)
    set_to(release, ChangeState.EXECUTING)
    with pytest.raises(DomainError) as refused:
        restores.extend(instance=copy, days=3, reason="x", actor=chen, now=NOW)
    assert refused.value.code == "releasing"
    gone = restores.note_release(instance=copy, words="The console lists it no more", actor=chen, now=NOW)
    assert (gone.state, gone.released_by) == (State.RELEASED, chen)
    assert not Timer.objects.filter(key=f"temporary-instance:{copy.pk}:", fired_at=None).exists()
    with pytest.raises(DomainError):
        restores.draft_release(instance=copy, actor=chen, now=NOW)
    with pytest.raises(DomainError):
        restores.note_release(instance=copy, words="Again", actor=chen, now=NOW)
    with pytest.raises(DomainError):
        restores.extend(instance=copy, days=1, reason="x", actor=chen, now=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        TemporaryInstance.objects.filter(pk=copy.pk).update(release=None)


def test_a_release_that_was_given_up_is_drafted_anew(copy: TemporaryInstance, chen: User) -> None:
    first = restores.draft_release(instance=copy, actor=chen, now=NOW)
    set_to(first, ChangeState.CANCELLED)
    assert restores.draft_release(instance=copy, actor=chen, now=NOW) != first


@pytest.mark.parametrize("state", [ChangeState.CANCELLED, ChangeState.ROLLED_BACK])
def test_the_page_offers_another_release_when_one_was_given_up(
    copy: TemporaryInstance, chen: User, alice: User, client_for: ClientFor, state: ChangeState
) -> None:
    page, button = f"/changes/restores/{copy.pk}/", f'action="/changes/restores/{copy.pk}/release/"'
    assert button in client_for(chen).get(page).content.decode()
    first = restores.draft_release(instance=copy, actor=chen, now=NOW)
    assert button not in client_for(chen).get(page).content.decode()
    set_to(first, state)
    assert button in client_for(chen).get(page).content.decode()
    assert button not in client_for(alice).get(page).content.decode()


@pytest.mark.usefixtures("contacts")
def test_its_release_passes_the_gates_though_the_request_is_done(
    change: Change, copy: TemporaryInstance, chen: User, alice: User, lin: User
) -> None:
    """The request that asked for the restore authorised the release with its day."""
    done = {"kind": IncidentKind.REQUEST, "phase": RequestPhase.DONE}
    Incident.objects.filter(pk=change.incident_id).update(**done)
    copy.refresh_from_db()
    release = restores.draft_release(instance=copy, actor=chen, now=NOW)
    drafting.submit(change=release, actor=chen, now=NOW)
    confirming.tell_risk(change=release, text="The copy is gone", actor=chen, now=NOW)
    release.refresh_from_db()
    sign(release, alice)
    approve(release, lin, alice)
    scheduling.schedule(change=release, starts_at=WINDOW[0], ends_at=WINDOW[1], actor=chen, now=NOW)
    release = executing.begin(change=release, actor=chen, now=WINDOW[0])
    assert release.state == ChangeState.EXECUTING
    other = draft(change.incident, chen, operation=restores.RELEASE, fields={"name": "rm-2", "reason": "x"})  # type: ignore[arg-type]
    drafting.submit(change=other, actor=chen, now=NOW)
    other.refresh_from_db()
    assert other.gate == Gate.AUTHORISED, "what no instance asks for is authorised by nobody"


def test_a_release_that_was_prepared_is_cancelled_when_it_is_kept_for_longer(
    copy: TemporaryInstance, chen: User, alice: User
) -> None:
    release = restores.draft_release(instance=copy, actor=chen, now=NOW)
    set_to(release, ChangeState.READY)
    restores.extend(instance=copy, days=3, reason="Audit goes on", actor=alice, now=NOW)
    release.refresh_from_db()
    assert release.state == ChangeState.CANCELLED
    entry = ChangeEntry.objects.get(change=release, kind="cancelled")
    assert "Audit goes on" in entry.body
    assert entry.actor == alice


def test_a_release_names_the_instance_once_the_inventory_has_found_it(
    jia: Customer, copy: TemporaryInstance, orders: Asset, chen: User
) -> None:
    found = place(jia, "restored", "production", kind="rds")
    Asset.objects.filter(pk=found.pk).update(provider_id=copy.name)
    release = restores.draft_release(instance=copy, actor=chen, now=NOW)
    assert list(release.assets.all()) == [found]


def test_a_release_is_written_in_the_customers_language(copy: TemporaryInstance, chen: User) -> None:
    with translation.override("en"):
        release = restores.draft_release(instance=copy, actor=chen, now=NOW)
    assert "释放" in release.title
    assert "释放" in release.plan


def test_days_in_the_export_are_those_of_the_calendar_on_the_wall(
    copy: TemporaryInstance, chen: User, client_for: ClientFor
) -> None:
    TemporaryInstance.objects.filter(pk=copy.pk).update(expires_at=datetime(2026, 3, 9, 17, 30, tzinfo=UTC))
    answer = client_for(chen).get("/changes/restores/?export=csv")
    (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig")))
    assert "2026-03-10" in row.values()


@pytest.mark.parametrize("address", ["/changes/restores/", "/changes/"])
def test_a_change_is_listed_once_however_much_of_it_fits(
    address: str,
    change: Change,
    copy: TemporaryInstance,
    orders: Asset,
    jia: Customer,
    chen: User,
    client_for: ClientFor,
) -> None:
    change.assets.add(place(jia, "mall-user", "production", kind="rds"), through_defaults={"customer": jia})
    said = {"name": "rm-tmp-2", "address": "", "restore_minutes": None}
    restores.record(change=change, source=orders, **said, actor=chen, now=NOW + DAY)  # type: ignore[arg-type]
    client = client_for(chen)
    for query in ("?q=mall", "?q=rm-tmp&sort=expires", "?sort=expires", "?sort=-expires"):
        if address == "/changes/" and "expires" in query:
            continue
        shown = client.get(f"{address}{query}")
        assert (shown.context["page"].total, len(shown.context["page"].rows)) == (1, 1), query
        rows = csv.DictReader(io.StringIO(b"".join(client.get(f"{address}{query}&export=csv")).decode("utf-8-sig")))
        assert len(list(rows)) == 1, query


def test_restores_are_sorted_by_what_expires_first(
    incident: Incident, change: Change, copy: TemporaryInstance, orders: Asset, chen: User, client_for: ClientFor
) -> None:
    said = {"address": "", "restore_minutes": None, "actor": chen}
    fields = {"moment": "2026-03-01T10:00:00+08:00", "keep_days": 2}
    soon = set_to(
        draft(incident, chen, orders, operation="restore-point-in-time", fields=fields), ChangeState.EXECUTING
    )
    restores.record(change=soon, source=orders, name="rm-soon", now=NOW, **said)  # type: ignore[arg-type]
    restores.record(change=soon, source=orders, name="rm-late", now=NOW + 9 * DAY, **said)  # type: ignore[arg-type]
    for query, first in (("expires", soon), ("-expires", change)):
        rows = client_for(chen).get(f"/changes/restores/?sort={query}").context["page"].rows
        assert rows[0] == first, query


def test_pages(
    change: Change, orders: Asset, chen: User, alice: User, vera: User, eve: User, client_for: ClientFor
) -> None:
    engineer = client_for(chen)
    assert "还没有恢复" in client_for(eve).get("/changes/restores/").content.decode()
    address = f"/changes/{change.pk}/temporary/"
    assert address in engineer.get(f"/changes/{change.pk}/runs/").content.decode()
    given = {"name": "<i>tmp</i>", "address": "10.0.0.9", "restore_minutes": 7, "source": orders.pk}
    assert engineer.post(address, {**given, "name": ""}).status_code == 422
    assert engineer.post(address, {**given, "name": "mall-order"}).status_code == 422
    page = engineer.post(address, given)["Location"]
    shown = engineer.get(page).content.decode()
    assert "&lt;i&gt;tmp" in shown
    assert "<i>tmp" not in shown + engineer.get("/changes/restores/").content.decode()
    assert client_for(alice).post(address, given).status_code == 403
    assert client_for(vera).post(f"{page}extend/", {"days": 1, "reason": "x"}).status_code == 403
    assert client_for(alice).post(f"{page}extend/", {"days": 99, "reason": "x"}).status_code == 422
    assert client_for(alice).post(f"{page}extend/", {"days": 2, "reason": "还在核对"}).status_code == 302
    assert "还在核对" in client_for(vera).get(page).content.decode()
    assert client_for(alice).post(f"{page}release/").status_code == 403
    assert engineer.post(f"{page}gone/", {"words": "x"}).status_code == 422
    assert engineer.post(f"{page}release/")["Location"].startswith("/changes/")
    for query, is_there in (("instance=standing", True), ("instance=released", False), ("kind=restore-files", False)):
        assert (change.number in engineer.get(f"/changes/restores/?{query}").content.decode()) is is_there, query
    (row,) = csv.DictReader(io.StringIO(b"".join(engineer.get("/changes/restores/?export=csv")).decode("utf-8-sig")))
    assert change.number in row.values()
    for path in (page, f"{page}extend/"):
        assert client_for(eve).get(path).status_code == 404
    assert "tmp" not in client_for(eve).get("/changes/restores/").content.decode().split("<main", 1)[-1]


def test_by_the_api(
    change: Change, orders: Asset, chen: User, alice: User, vera: User, eve: User, client_for: ClientFor
) -> None:
    engineer, root = client_for(chen), "/api/v1/temporary-instances/"
    body = {"change": change.pk, "asset": orders.pk, "name": "rm-tmp"}
    assert client_for(alice).post(root, body, JSON).status_code == 403
    assert engineer.post(root, {**body, "change": 999_999}, JSON).status_code == 400
    assert engineer.post(root, {**body, "asset": 999_999}, JSON).status_code == 400
    made = engineer.post(root, body, JSON)
    assert made.status_code == 201
    address = f"{root}{made.json()['id']}/"
    assert client_for(vera).get(address).json()["state"] == "in_use"
    assert client_for(vera).post(f"{address}extend/", {"days": 1, "reason": "x"}, JSON).status_code == 403
    longer = client_for(alice).post(f"{address}extend/", {"days": 1, "reason": "x"}, JSON).json()
    assert [one["reason"] for one in longer["extensions"]] == ["x"]
    assert client_for(alice).post(f"{address}draft-release/").status_code == 403
    assert engineer.post(f"{address}gone/", {"words": "x"}, JSON).status_code == 409
    release = engineer.post(f"{address}draft-release/").json()["release"]
    set_to(Change.objects.get(pk=release), ChangeState.EXECUTING)
    assert engineer.post(f"{address}gone/", {"words": "Seen"}, JSON).json()["state"] == "released"
    assert client_for(eve).get(address).status_code == 404
    assert client_for(eve).get(root).json()["results"] == []


def test_the_task_finds_nothing_to_do_once_it_is_gone(copy: TemporaryInstance) -> None:
    tasks.watch_temporary_instance.run(due_at=NOW, now=NOW, instance_id=999_999)
    assert copy.state == State.IN_USE
