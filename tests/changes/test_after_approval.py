"""Whoever writes the risk anew asks everybody anew; and what was given up says how far it had come."""

from __future__ import annotations

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from changes import gates
from changes.models import Change, ChangeKind
from changes.services import approving, confirming, drafting, executing, facts
from changes.timeline import sentence
from incidents.models import Incident
from tests.changes.conftest import MINUTE, approve, back_up, draft, prepared, sign
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.usefixtures("contacts")


@pytest.fixture
def change(jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, lin: User) -> Change:
    """Through every gate."""
    with scope.customer(jia):
        made = prepared(draft(incident, chen, web), web, staging, chen=chen, alice=alice, lin=lin)
        assert made.state == "ready"
    return made


def tell(change: Change, text: str, chen: User) -> None:
    confirming.tell_risk(change=change, text=text, actor=chen, now=NOW)
    change.refresh_from_db()


def test_another_risk_is_approved_anew(jia: Customer, change: Change, chen: User, alice: User, lin: User) -> None:
    with scope.customer(jia):
        tell(change, "All data may be lost", chen)
        assert (change.state, change.gate) == ("preparing", "confirmed")
        sign(change, alice)
        change.refresh_from_db()
        assert (change.state, change.gate) == ("preparing", "approved")
        assert change.pk in {one.pk for one in approving.waiting_for(lin, now=NOW)}
        told = change.entries.filter(kind="risk_told").last()
        assert told is not None
        assert told.data["approvals_again"] is True
        assert "审批" in sentence(told)
        approve(change, lin, alice)
        change.refresh_from_db()
        assert change.state == "ready"


def test_the_same_risk_told_again_asks_for_the_signature_alone(
    jia: Customer, change: Change, chen: User, alice: User
) -> None:
    with scope.customer(jia):
        tell(change, "It may restart", chen)
        assert (change.state, change.gate) == ("preparing", "confirmed")
        sign(change, alice)
        change.refresh_from_db()
        assert change.state == "ready"


def test_a_spoken_yes_was_about_the_text_before(
    jia: Customer, incident: Incident, web: Asset, chen: User, lin: User
) -> None:
    with scope.customer(jia):
        urgent = draft(incident, lin, web, kind=ChangeKind.EMERGENCY)
        drafting.submit(change=urgent, actor=chen, now=NOW)
        tell(urgent, "It may restart", chen)
        confirming.hear(change=urgent, name="Alice", words="Do it", actor=chen, now=NOW)
        tell(urgent, "It may restart", chen)
        assert urgent.heard_at is not None, "the same text"
        tell(urgent, "All data may be lost", chen)
        assert [urgent.heard_at, urgent.heard_from, urgent.gate] == [None, "", "confirmed"]


def test_the_page_says_before_that_the_approvers_are_asked_once_more(
    jia: Customer, incident: Incident, web: Asset, change: Change, chen: User, client_for: ClientFor
) -> None:
    words = "再次"
    assert words in client_for(chen).get(f"/changes/{change.pk}/tell-risk/").content.decode()
    with scope.customer(jia):
        fresh = draft(incident, chen, web)
        drafting.submit(change=fresh, actor=chen, now=NOW)
    assert words not in client_for(chen).get(f"/changes/{fresh.pk}/tell-risk/").content.decode()


def passed(client_for: ClientFor, person: User, change: Change) -> set[str]:
    gates = client_for(person).get(f"/api/v1/changes/{change.pk}/gates/").json()
    page = client_for(person).get(f"/changes/{change.pk}/").content.decode()
    assert page.count('class="gate is-passed"') == sum(gate["is_passed"] for gate in gates)
    assert not any(gate["is_current"] or gate["lacks"] for gate in gates)
    return {gate["gate"] for gate in gates if gate["is_passed"]}


def test_what_was_given_up_shows_how_far_it_had_come(
    jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        fresh, half = draft(incident, chen, web), draft(incident, chen, web)
        drafting.cancel(change=fresh, reason="No", actor=chen, now=NOW)
        drafting.submit(change=half, actor=chen, now=NOW)
        tell(half, "It may restart", chen)
        sign(half, alice)
        back_up(half, web, chen)
        drafting.cancel(change=half, reason="No", actor=chen, now=NOW)
    assert passed(client_for, chen, fresh) == {"authorised"}
    assert passed(client_for, alice, half) == {"authorised", "risk_told", "confirmed", "backed_up"}


def test_what_was_done_shows_every_gate_passed(
    jia: Customer, change: Change, chen: User, alice: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        executing.begin(change=change, actor=chen, now=change.starts_at or NOW)
        needed = {gate.value for gate in gates.needed(facts.gather(change, now=NOW + MINUTE))}
    assert passed(client_for, alice, change) == needed
