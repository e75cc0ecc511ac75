"""Follow-ups: both sides own them, timers remind, nobody else sees them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from incidents import tasks
from incidents.models import FollowUp, Incident
from incidents.services import following_up
from notify.models import Delivery
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import raise_incident
from tests.incidents.test_api import machine, send
from timers import services as timers
from timers.models import Timer

DUE = date(2026, 3, 10)


def plan(customer: Customer, actor: User, owner: User, **said: object) -> FollowUp:
    facts = {"title": "Raise the pool to 500", "due_on": DUE, "now": NOW, **said}
    with scope.customer(customer):
        return following_up.plan(customer=customer, actor=actor, owner=owner, **facts)  # type: ignore[arg-type]


def told(person: User) -> list[str]:
    with scope.platform("test"):
        rows = Delivery.objects.filter(user=person, medium="inbox").order_by("pk")
        return list(rows.values_list("subject", flat=True))


def fire_due(now: datetime) -> int:
    with scope.platform("test"):
        return sum(timers.fire(timer_id=pk, now=now) for pk in timers.claim(now=now))


def test_the_owner_is_told_reminded_before_and_on_the_day_and_everybody_concerned_when_it_is_missed(
    jia: Customer, chen: User, lin: User, bob: User
) -> None:
    assert tasks.remind_of_follow_up.name == following_up.REMIND_TASK
    with scope.platform("test"):
        User.objects.update(language="en")
        bob.refresh_from_db()
    task = plan(jia, chen, bob)
    assert told(bob) == ["For you, due on 2026-03-10: Raise the pool to 500"]
    assert fire_due(datetime(2026, 3, 9, 0, 59, tzinfo=UTC)) == 0
    assert fire_due(datetime(2026, 3, 9, 1, 0, tzinfo=UTC)) == 1
    assert fire_due(datetime(2026, 3, 10, 1, 0, tzinfo=UTC)) == 1
    assert told(chen) == []
    assert fire_due(datetime(2026, 3, 11, 1, 0, tzinfo=UTC)) == 1
    assert [subject.partition(":")[0] for subject in told(bob)][1:] == [
        "Due tomorrow", "Due today", "Overdue since 2026-03-10",
    ]  # fmt: skip
    assert told(chen) == told(lin) == ["Overdue since 2026-03-10: Raise the pool to 500"]
    with scope.platform("test"):
        task.refresh_from_db()
    assert task.missed_at == datetime(2026, 3, 11, 1, 0, tzinfo=UTC)


def test_done_in_time_nobody_is_reminded_any_more(jia: Customer, chen: User, bob: User) -> None:
    task = plan(jia, chen, bob)
    with scope.user(bob):
        following_up.start(follow_up=task, actor=bob, now=NOW)
        done = following_up.finish(follow_up=task, result="500 since Tuesday", actor=bob, now=NOW)
    assert (done.state, done.closed_by_id) == ("done", bob.pk)
    assert fire_due(NOW + timedelta(days=30)) == 0
    assert len(told(chen)) == 1
    with scope.platform("test"):
        actions = list(AuditEntry.objects.filter(customer=jia, object_id=str(task.pk)).values_list("action", flat=True))
    assert sorted(actions) == ["follow_up.finish", "follow_up.plan", "follow_up.start"]


def test_a_reminder_that_comes_twice_says_it_once(jia: Customer, chen: User, bob: User) -> None:
    task = plan(jia, chen, bob)
    at = datetime(2026, 3, 9, 1, 0, tzinfo=UTC)
    with scope.customer(jia):
        for _ in range(2):
            assert following_up.remind(follow_up_id=task.pk, stage="before", due_at=at, now=at)
    assert len(told(bob)) == 2


def test_another_day_moves_the_reminders_and_the_old_ones_are_void(jia: Customer, chen: User, bob: User) -> None:
    task = plan(jia, chen, bob)
    with scope.customer(jia):
        following_up.change(
            follow_up=task, title=task.title, detail="", owner=bob, due_on=DUE + timedelta(days=7), actor=chen, now=NOW
        )
        old = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)
        assert not following_up.remind(follow_up_id=task.pk, stage="due", due_at=old, now=old)
    with scope.platform("test"):
        pending = Timer.objects.pending().filter(key__startswith="follow-up:").order_by("due_at")
        assert [timer.due_at.day for timer in pending] == [16, 17, 18]


def test_planned_for_today_only_what_lies_ahead_is_armed(jia: Customer, chen: User, bob: User) -> None:
    plan(jia, chen, bob, due_on=date(2026, 3, 2))
    with scope.platform("test"):
        keys = Timer.objects.filter(key__startswith="follow-up:").values_list("key", flat=True)
        assert [key.rpartition(":")[2] for key in keys] == ["late"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"due_on": date(2026, 3, 1)}, "past"),
        ({"due_on": date(2031, 1, 1)}, "too_far"),
        ({"title": "  "}, "text_missing"),
        ({"detail": "x" * 10_001}, "too_long"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    jia: Customer, chen: User, bob: User, said: dict[str, object], code: str
) -> None:
    with pytest.raises(DomainError) as refusal:
        plan(jia, chen, bob, **said)
    assert refusal.value.code == code


def test_nobody_of_another_customer_and_no_reader_becomes_the_owner(
    jia: Customer, chen: User, eve: User, vera: User
) -> None:
    for person in (eve, vera):
        with pytest.raises(DomainError) as refusal:
            plan(jia, chen, person)
        assert refusal.value.code == "not_assignable"


def test_what_is_internal_belongs_to_the_provider_and_is_out_of_the_customers_reach(
    jia: Customer, chen: User, lin: User, alice: User
) -> None:
    with pytest.raises(DomainError):
        plan(jia, chen, alice, is_internal=True)
    task = plan(jia, chen, lin, is_internal=True)
    with scope.user(alice):
        assert not FollowUp.objects.filter(pk=task.pk).exists()
    with scope.user(chen):
        assert FollowUp.objects.filter(pk=task.pk).exists()


def test_a_customer_plans_for_colleagues_and_acts_on_their_own_alone(
    jia: Customer, chen: User, alice: User, bob: User, vera: User
) -> None:
    task = plan(jia, alice, bob)
    with pytest.raises(DomainError):
        plan(jia, alice, chen)
    with pytest.raises(PermissionDenied):
        plan(jia, vera, bob)
    with scope.customer(jia), pytest.raises(PermissionDenied):
        following_up.finish(follow_up=task, result="x", actor=alice, now=NOW)
    with scope.customer(jia), pytest.raises(PermissionDenied):
        following_up.drop(follow_up=task, reason="x", actor=bob, now=NOW)


def test_what_somebody_else_changed_is_not_overwritten(jia: Customer, chen: User, bob: User) -> None:
    task = plan(jia, chen, bob)
    said = {"title": "Other", "detail": "", "owner": bob, "due_on": DUE, "actor": chen, "now": NOW}
    with scope.customer(jia):
        following_up.change(follow_up=task, version=0, **said)  # type: ignore[arg-type]
        with pytest.raises(DomainError) as refusal:
            following_up.change(follow_up=task, version=0, **said)  # type: ignore[arg-type]
    assert refusal.value.code == "changed_meanwhile"


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def incident(jia: Customer, alice: User) -> Incident:
    return raise_incident(alice, customer=jia, now=timezone.now())


def test_from_the_incident_to_done_by_pages(incident: Incident, chen: User, bob: User, client_for: ClientFor) -> None:
    engineer, owner = client_for(chen), client_for(bob)
    due = (timezone.localdate() + timedelta(days=3)).isoformat()
    form = {"incident": incident.pk, "title": "Check the pool", "owner": bob.pk, "due_on": due}
    made = engineer.post("/follow-ups/new/", form, follow=True)
    assert "Check the pool" in made.content.decode()
    with scope.platform("test"):
        task = FollowUp.objects.get()
    assert "Check the pool" in owner.get(f"/follow-ups/for-incident/{incident.pk}/").content.decode()
    assert "Check the pool" in owner.get("/follow-ups/?who=me&state=open").content.decode()
    assert owner.post(f"/follow-ups/{task.pk}/start/").status_code == 302
    assert owner.post(f"/follow-ups/{task.pk}/finish/", {"text": ""}).status_code == 422
    page = owner.post(f"/follow-ups/{task.pk}/finish/", {"text": "Pool is 500"}, follow=True)
    assert "Pool is 500" in page.content.decode()
    sheet = engineer.get("/follow-ups/?export=csv").content.decode()
    assert "Pool is 500" in sheet


def test_what_was_typed_comes_back_with_the_refusal(
    incident: Incident, chen: User, bob: User, client_for: ClientFor
) -> None:
    form = {"incident": incident.pk, "title": "Typed at length", "owner": bob.pk, "due_on": "2020-01-01"}
    page = client_for(chen).post("/follow-ups/new/", form)
    assert page.status_code == 422
    assert "Typed at length" in page.content.decode()


def test_strangers_find_nothing_and_readers_change_nothing(
    jia: Customer, chen: User, bob: User, eve: User, vera: User, client_for: ClientFor
) -> None:
    task = plan(jia, chen, bob, due_on=timezone.localdate() + timedelta(days=1), now=timezone.now())
    stranger, reader = client_for(eve), client_for(vera)
    for path in ("", "change/", "start/", "finish/", "drop/", "reopen/"):
        assert stranger.get(f"/follow-ups/{task.pk}/{path}").status_code == 404
        assert reader.post(f"/follow-ups/{task.pk}/{path}", {"text": "x"}).status_code in (403, 405)
    assert "pool" not in stranger.get("/follow-ups/").content.decode()
    assert reader.get(f"/follow-ups/{task.pk}/").status_code == 200
    assert reader.post("/follow-ups/new/", {}).status_code == 403


def test_the_list_asks_a_constant_number_of_queries(
    jia: Customer, chen: User, bob: User, client_for: ClientFor
) -> None:
    browser = client_for(chen)
    now = timezone.now()
    day = timezone.localdate() + timedelta(days=2)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get("/follow-ups/").status_code == 200
        return len(captured)

    plan(jia, chen, bob, due_on=day, now=now)
    browser.get("/follow-ups/")
    few = queries()
    for number in range(15):
        plan(jia, chen, bob, title=f"Task {number}", due_on=day, now=now)
    assert queries() == few


def test_a_machine_plans_and_finishes(incident: Incident, jia: Customer, chen: User, bob: User, eve: User) -> None:
    api = machine(chen)
    due = (timezone.localdate() + timedelta(days=3)).isoformat()
    said = {"incident": incident.pk, "title": "By machine", "owner": bob.pk, "due_on": due}
    made = send(api, "/api/v1/follow-ups/", **said)
    assert made.status_code == 201, made.json()
    assert made.json()["owner"]["name"] == "Bob"
    assert send(api, f"/api/v1/follow-ups/{made.json()['id']}/finish/", text="done").json()["state"] == "done"
    assert send(api, f"/api/v1/follow-ups/{made.json()['id']}/start/").status_code == 409
    assert send(api, "/api/v1/follow-ups/", **{**said, "owner": eve.pk}).status_code == 400
    assert send(machine(eve), "/api/v1/follow-ups/", **{**said, "owner": eve.pk}).status_code == 400
    assert machine(eve).get(f"/api/v1/follow-ups/{made.json()['id']}/").status_code == 404
    assert machine(bob).get("/api/v1/follow-ups/?overdue=true").json()["results"] == []
