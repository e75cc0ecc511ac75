"""Who decides while somebody is away: by themself or, when they are ill, by who leads their side; told and audited."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Role, User
from changes.models import Delegation
from changes.services import approving
from notify.models import Delivery
from tests.conftest import NOW, ClientFor, make_person

DAY = timedelta(days=1)


def give(principal: User, delegate: User, actor: User, *, begins: date | None = None, days: int = 1) -> Delegation:
    first = begins or timezone.localdate(NOW)
    return approving.delegate(
        principal=principal, delegate=delegate, begins_on=first, ends_on=first + days * DAY, actor=actor, now=NOW
    )


def test_a_manager_sets_it_for_one_of_ours_and_a_project_manager_for_one_of_theirs(
    jia: Customer, chen: User, lin: User, root: User, alice: User, bob: User
) -> None:
    carol = make_person("carol", Role.CUSTOMER_MEMBER, jia)
    for principal, delegate, actor in ((chen, root, lin), (bob, carol, alice)):
        made = give(principal, delegate, actor)
        assert approving.principals_of(delegate, NOW) == [principal.pk]
        with scope.platform("look"):
            told = Delivery.objects.filter(user=principal, key=f"delegation:{made.pk}")
            assert {one.medium for one in told} >= {"inbox"}
            assert delegate.name in told.filter(medium="inbox").get().text
            assert AuditEntry.objects.filter(action="approval.delegate", object_id=str(made.pk)).exists()


def test_nobody_else_does_and_nobody_for_the_other_side(
    jia: Customer, yi: Customer, chen: User, lin: User, root: User, alice: User, bob: User, vera: User, eve: User
) -> None:
    dora = make_person("dora", Role.ENGINEER)
    for principal, delegate, actor in (
        (lin, dora, chen),  # an engineer for a manager
        (alice, bob, lin),  # ours for theirs
        (chen, dora, alice),  # theirs for ours
        (bob, alice, eve),  # another customer's
        (bob, alice, vera),  # who only reads
        (vera, bob, alice),  # for who decides nothing
    ):
        with pytest.raises(PermissionDenied):
            give(principal, delegate, actor)
    with pytest.raises(DomainError) as refused:
        give(bob, eve, alice)
    assert refused.value.code == "other_side"


def test_nobody_takes_anothers_word_for_themself(jia: Customer, chen: User, lin: User, alice: User, bob: User) -> None:
    """Both project managers say yes to what is dangerous: one alone does not become both."""
    for principal, actor in ((bob, alice), (chen, lin)):
        with pytest.raises(DomainError) as refused:
            give(principal, actor, actor)
        assert refused.value.code == "own_gain"
    assert give(bob, alice, bob).delegate == alice, "who is asked may give it"


@pytest.mark.parametrize(("begins", "days"), [(-3, 1), (2, -1)])
def test_its_days_lie_ahead_and_end_after_they_begin(chen: User, lin: User, begins: int, days: int) -> None:
    with pytest.raises(DomainError) as refused:
        give(chen, lin, chen, begins=timezone.localdate(NOW) + begins * DAY, days=days)
    assert refused.value.code == "bad_days"


def test_whose_word_it_is_takes_it_back(chen: User, lin: User, root: User) -> None:
    made = give(chen, root, lin)
    with pytest.raises(PermissionDenied):
        approving.end_delegation(delegation=made, actor=make_person("dora", Role.ENGINEER), now=NOW)
    approving.end_delegation(delegation=made, actor=chen, now=NOW)
    assert approving.principals_of(root, NOW) == []


def body(delegate: User, **more: object) -> dict[str, Any]:
    today = timezone.localdate()
    return {"delegate": delegate.pk, "begins_on": today.isoformat(), "ends_on": (today + DAY).isoformat(), **more}


def test_the_page_offers_colleagues_to_who_leads_a_side_alone(
    jia: Customer, chen: User, lin: User, root: User, alice: User, bob: User, client_for: ClientFor
) -> None:
    address = "/changes/approvals/"
    for leader in (lin, alice):
        assert 'name="principal"' in client_for(leader).get(address).content.decode()
    for other in (chen, bob):
        assert 'name="principal"' not in client_for(other).get(address).content.decode() or other.role == alice.role
    assert client_for(chen).post(f"{address}delegate/", body(lin, principal=root.pk)).status_code == 302
    with scope.platform("look"):
        assert Delegation.objects.get().principal == chen, "an engineer speaks for nobody else"
    assert client_for(lin).post(f"{address}delegate/", body(root, principal=chen.pk)).status_code == 302
    page = client_for(chen).get(address).content.decode()
    assert root.name in page
    assert lin.name in page
    with scope.platform("look"):
        made = Delegation.objects.get(made_by=lin)
    assert client_for(alice).post(f"{address}delegate/{made.pk}/end/").status_code == 404
    assert client_for(chen).post(f"{address}delegate/{made.pk}/end/").status_code == 302
    with scope.platform("look"):
        made.refresh_from_db()
    assert made.ended_at is not None


def test_the_api_says_the_same(
    jia: Customer, chen: User, lin: User, root: User, alice: User, bob: User, eve: User, vera: User,
    client_for: ClientFor,
) -> None:  # fmt: skip
    address = "/api/v1/delegations/"

    def post(person: User, said: dict[str, Any]) -> Any:
        return client_for(person).post(address, said, content_type="application/json")

    made = post(lin, body(root, principal=chen.pk))
    assert made.status_code == 201, made.content
    assert (made.json()["principal"]["id"], made.json()["made_by"]["id"]) == (chen.pk, lin.pk)
    for person, said, status in (
        (chen, body(lin, principal=root.pk), 403),
        (lin, body(root, principal=alice.pk), 400),
        (lin, body(alice), 400),
        (lin, body(root, ends_on="2020-01-01"), 409),
        (lin, {"delegate": root.pk}, 400),
        (vera, body(bob), 403),
    ):
        assert post(person, said).status_code == status, said
    pk = made.json()["id"]
    for person, sees in ((lin, True), (chen, True), (root, True), (alice, False), (eve, False)):
        listed = client_for(person).get(address).json()["results"]
        assert [one["id"] for one in listed] == ([pk] if sees else []), person
        assert client_for(person).get(f"{address}{pk}/").status_code == (200 if sees else 404)
    theirs = post(bob, body(alice)).json()["id"]
    assert client_for(eve).post(f"{address}{theirs}/end/").status_code == 404
    assert client_for(lin).post(f"{address}{theirs}/end/").status_code == 404
    ended = client_for(bob).post(f"{address}{theirs}/end/")
    assert ended.status_code == 200
    assert ended.json()["ended_at"]
    assert [one["ended_at"] is not None for one in client_for(bob).get(address).json()["results"]] == [True]
