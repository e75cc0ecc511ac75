"""A chance for automation is written down, decided by the customer, and becomes a request (R139)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.exceptions import PermissionDenied

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from changes.models import AutomationIdea, RequestTarget
from changes.services import ideas
from changes.services.ideas import Idea
from incidents.models import IncidentKind
from notify.models import Delivery
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.usefixtures("contacts")
SEEN = Idea("Rotate logs", "Logs are deleted by hand each week", "INC-000007", 8, 3, "Ansible")
JSON = "application/json"


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def idea(jia: Customer, chen: User) -> AutomationIdea:
    return ideas.propose(customer=jia, idea=SEEN, actor=chen, now=NOW)


def test_the_project_manager_is_asked_and_a_yes_is_a_request(
    jia: Customer, idea: AutomationIdea, alice: User, bob: User, chen: User
) -> None:
    about = f"automation-idea:{idea.pk}"
    assert {row.user for row in Delivery.objects.filter(about=about, medium="inbox")} == {alice, bob}
    assert idea.pays_after == 3
    found = ideas.accept(idea=idea, reason="Yes, with Ansible", actor=alice, now=NOW)
    assert (found.state, found.decided_by, found.decided_at) == ("accepted", alice, NOW)
    assert found.request is not None
    assert (found.request.kind, found.request.raised_by) == (IncidentKind.REQUEST, alice)
    asked = found.request.request
    assert asked.operation == "automation-build"
    assert "by hand each week" in asked.fields["what"]
    assert RequestTarget.objects.filter(incident=found.request).exists()
    assert Delivery.objects.filter(about=about, medium="inbox", user=chen).exists()
    assert list(audit.verify(jia.pk)) == []


def test_it_is_decided_once_and_a_no_says_why(idea: AutomationIdea, alice: User) -> None:
    with pytest.raises(DomainError):
        ideas.reject(idea=idea, reason=" ", actor=alice, now=NOW)
    ideas.reject(idea=idea, reason="We leave that machine", actor=alice, now=NOW)
    with pytest.raises(DomainError) as again:
        ideas.accept(idea=idea, reason="", actor=alice, now=NOW)
    assert again.value.code == "decided"
    idea.refresh_from_db()
    assert (idea.state, idea.request) == ("rejected", None)


@pytest.mark.parametrize("name", ["chen", "lin", "root", "bob", "vera", "eve"])
def test_nobody_but_the_customers_project_manager_decides(
    idea: AutomationIdea, name: str, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(name)
    for act in (ideas.accept, ideas.reject):
        with pytest.raises(PermissionDenied):
            act(idea=idea, reason="x", actor=person, now=NOW)


@pytest.mark.parametrize("name", ["vera", "eve"])
def test_readers_and_strangers_write_nothing_down(jia: Customer, name: str, request: pytest.FixtureRequest) -> None:
    with pytest.raises(PermissionDenied):
        ideas.propose(customer=jia, idea=SEEN, actor=request.getfixturevalue(name), now=NOW)


@pytest.mark.parametrize(
    "wrong", [{"title": " "}, {"what": ""}, {"found_in": ""}, {"effort_hours": 0}, {"saving_hours": -1}]
)
def test_what_says_too_little_is_not_kept(jia: Customer, chen: User, wrong: dict[str, object]) -> None:
    said = {name: getattr(SEEN, name) for name in ("title", "what", "found_in", "effort_hours", "saving_hours")}
    with pytest.raises(DomainError):
        ideas.propose(customer=jia, idea=Idea(**{**said, **wrong}), actor=chen, now=NOW)
    assert not AutomationIdea.objects.exists()


def test_what_saves_nothing_never_pays() -> None:
    assert AutomationIdea(effort_hours=8, saving_hours=0).pays_after is None
    assert AutomationIdea(effort_hours=8, saving_hours=3).pays_after == 3
    assert AutomationIdea(effort_hours=8, saving_hours=8).pays_after == 1


def test_the_pages_of_both_sides(
    jia: Customer, chen: User, alice: User, bob: User, eve: User, vera: User, client_for: ClientFor
) -> None:
    said = {
        "title": "Rotate logs", "what": "By hand each week", "found_in": "INC-000007", "effort_hours": 8,
        "saving_hours": 3,
    }  # fmt: skip
    engineer = client_for(chen)
    new = f"/changes/ideas/new/?customer={jia.pk}"
    assert engineer.post(new, {**said, "effort_hours": "many"}).status_code == 422
    assert client_for(vera).post("/changes/ideas/new/", said).status_code == 403
    page = engineer.post(new, said)["Location"]
    assert 'name="answer"' not in engineer.get(page).content.decode()
    assert engineer.post(page, {"answer": "accept"}).status_code == 403
    assert client_for(bob).post(page, {"answer": "accept"}).status_code == 403
    assert client_for(eve).get(page).status_code == 404
    assert client_for(eve).post(page, {"answer": "accept"}).status_code == 404
    manager = client_for(alice)
    assert 'name="answer"' in manager.get(page).content.decode()
    assert manager.post(page, {"answer": "reject", "reason": ""}).status_code == 422
    assert manager.post(page, {"answer": "accept", "reason": "Good"}).status_code == 302
    idea = AutomationIdea.objects.get()
    assert f"/incidents/{idea.request_id}/" in engineer.get(page).content.decode()
    listed = engineer.get("/changes/ideas/?state=accepted").content.decode()
    assert "Rotate logs" in listed
    assert "Rotate logs" not in engineer.get("/changes/ideas/?state=proposed").content.decode()
    assert "Rotate logs" in manager.get("/changes/ideas/?export=csv").content.decode("utf-8-sig")
    assert "Rotate logs" not in client_for(eve).get("/changes/ideas/?export=csv").content.decode("utf-8-sig")


def test_the_api(jia: Customer, chen: User, alice: User, eve: User, client_for: ClientFor) -> None:
    said = {"customer": jia.pk, "title": "A", "what": "B", "found_in": "C", "effort_hours": 1, "saving_hours": 0}
    base, engineer = "/api/v1/automation-ideas/", client_for(chen)
    assert engineer.post(base, {**said, "effort_hours": 0}, content_type=JSON).status_code == 400
    made = engineer.post(base, said, content_type=JSON)
    assert made.status_code == 201, made.content
    one = f"{base}{made.json()['id']}/"
    assert engineer.post(f"{one}accept/", {}, content_type=JSON).status_code == 403
    assert client_for(eve).post(f"{one}accept/", {}, content_type=JSON).status_code == 404
    assert client_for(eve).get(base).json()["results"] == []
    assert client_for(alice).post(f"{one}reject/", {}, content_type=JSON).status_code == 400
    told = client_for(alice).post(f"{one}accept/", {}, content_type=JSON)
    assert (told.json()["state"], told.json()["request"] is not None) == ("accepted", True)
    assert client_for(alice).post(f"{one}reject/", {"reason": "x"}, content_type=JSON).status_code == 409
