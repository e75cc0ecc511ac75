"""The sessions of a piece of work stand on its page, for whoever may watch them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import translation

from accounts import scope
from accounts.models import Customer, Role, User
from assets.models import Asset, CloudAccount
from bastion.models import BastionSession, Node, SessionCommand
from bastion.services import authorising
from bastion.trigrams import trigrams
from changes.models import Change, TrailEvent, TrailEventAsset
from incidents.models import Incident, IncidentAsset
from reports import facts
from tests.bastion.conftest import wish_for
from tests.changes.conftest import draft
from tests.conftest import NOW, ClientFor, make_person
from tests.incidents.conftest import raise_incident

ENDED = NOW + timedelta(minutes=20)


def session_for(person: User, asset: Asset, node: Node, work: str, *, opened_at: datetime = NOW) -> BastionSession:
    """One that has ended, twenty minutes after it began."""
    with scope.platform("test"):
        made = authorising.authorise(person=person, wish=wish_for(asset, work=work), node=node, now=opened_at)
        ended_at = opened_at + (ENDED - NOW)
        BastionSession.objects.filter(pk=made.pk).update(
            state="ended", opened_at=opened_at, ended_at=ended_at, ending="exit"
        )
        made.refresh_from_db()
    return made


@pytest.fixture
def incident(jia: Customer, alice: User, web: Asset) -> Incident:
    incident = raise_incident(alice, customer=jia)
    with scope.customer(jia):
        IncidentAsset.objects.create(customer=jia, incident=incident, asset=web)
    return incident


@pytest.fixture
def change(incident: Incident, web: Asset, chen: User) -> Change:
    with scope.customer(incident.customer_id):
        return draft(incident, chen, web)


def event_on(asset: Asset, customer: Customer, *, occurred_at: datetime, change: Change | None = None) -> TrailEvent:
    with scope.platform("test"):
        account, _ = CloudAccount.objects.get_or_create(
            customer=customer, name="main", defaults={"access_key_id": "LTAI0", "created_at": NOW}
        )
        event = TrailEvent.objects.create(
            customer=customer,
            cloud_account=account,
            event_id=f"E-{occurred_at.isoformat()}-{change is None}",
            occurred_at=occurred_at,
            seen_at=occurred_at,
            service="Ecs",
            action="RebootInstance",
            change=change,
        )
        TrailEventAsset.objects.create(customer=customer, event=event, asset=asset)
    return event


def test_an_incident_shows_its_own_sessions_and_those_of_its_changes(
    incident: Incident, change: Change, web: Asset, node: Node, root: User, client_for: ClientFor
) -> None:
    mine = session_for(root, web, node, incident.number)
    by_change = session_for(root, web, node, change.number)
    other = session_for(root, web, node, "looking around")
    page = client_for(root).get(f"/bastion/for-incident/{incident.pk}/").content.decode()
    shown = {one.pk for one in (mine, by_change, other) if f"/bastion/sessions/{one.pk}/" in page}
    assert shown == {mine.pk, by_change.pk}
    page = client_for(root).get(f"/bastion/for-change/{change.pk}/").content.decode()
    assert f"/bastion/sessions/{by_change.pk}/" in page
    assert f"/bastion/sessions/{mine.pk}/" not in page
    for address in (f"/incidents/{incident.pk}/", f"/changes/{change.pk}/", f"/assets/{web.pk}/"):
        assert "/bastion/for-" in client_for(root).get(address).content.decode()


def test_more_than_fit_are_one_click_away(
    incident: Incident, web: Asset, node: Node, root: User, client_for: ClientFor
) -> None:
    for minute in range(9):
        session_for(root, web, node, incident.number, opened_at=NOW + timedelta(minutes=minute))
    client = client_for(root)
    page = client.get(f"/bastion/for-incident/{incident.pk}/").content.decode()
    assert page.count('href="/bastion/sessions/') == 8 + 1
    assert f"?incident={incident.pk}" in page
    listed = client.get(f"/bastion/sessions/?incident={incident.pk}").content.decode()
    assert listed.count('data-href="/bastion/sessions/') == 9


def test_who_may_not_watch_a_session_does_not_see_it_and_another_customer_nothing_at_all(
    incident: Incident,
    change: Change,
    web: Asset,
    node: Node,
    root: User,
    jia: Customer,
    bob: User,
    yi: Customer,
    client_for: ClientFor,
) -> None:
    made = session_for(root, web, node, incident.number)
    event = event_on(web, jia, occurred_at=NOW + timedelta(minutes=5))
    addresses = (f"for-incident/{incident.pk}/", f"for-asset/{web.pk}/", f"for-event/{event.pk}/")
    for address in addresses:
        answer = client_for(bob).get(f"/bastion/{address}")
        assert answer.status_code == 200
        assert f"/bastion/sessions/{made.pk}/" not in answer.content.decode()
    stranger = client_for(make_person("yao", Role.CUSTOMER_PM, yi))
    for address in (*addresses, f"for-change/{change.pk}/"):
        assert stranger.get(f"/bastion/{address}").status_code == 404


def test_an_event_of_the_trail_names_the_session_that_was_open_then(
    incident: Incident, web: Asset, node: Node, root: User, jia: Customer, client_for: ClientFor
) -> None:
    during = session_for(root, web, node, incident.number)
    before = session_for(root, web, node, incident.number, opened_at=NOW - timedelta(hours=3))
    after = session_for(root, web, node, incident.number, opened_at=NOW + timedelta(hours=3))
    event = event_on(web, jia, occurred_at=NOW + timedelta(minutes=25))
    page = client_for(root).get(f"/bastion/for-event/{event.pk}/").content.decode()
    assert f"/bastion/sessions/{during.pk}/" in page
    for one in (before, after):
        assert f"/bastion/sessions/{one.pk}/" not in page
    assert f"/bastion/for-event/{event.pk}/" in client_for(root).get(f"/changes/trail/{event.pk}/").content.decode()


def test_the_accident_reports_process_tells_who_was_on_which_host(
    incident: Incident, web: Asset, node: Node, root: User
) -> None:
    made = session_for(root, web, node, incident.number)
    with scope.platform("test"):
        for number, text in enumerate(("uptime", "systemctl restart nginx"), start=1):
            SessionCommand.objects.create(
                customer_id=made.customer_id, session=made, at=NOW, number=number, asset=web, person=root, text=text,
                trigrams=trigrams(text), at_s=1.5, verdict="allow",
            )  # fmt: skip
        with translation.override("en"):
            process = facts.process(facts.entries_of(incident), facts.sessions_of(incident))
    told = next(line for line in process.splitlines() if "through the bastion" in line)
    assert "web-01" in told
    assert "trops" in told
    assert "2 commands" in told
    assert "systemctl" not in process
    moments = [line[2:21] for line in process.splitlines()]
    assert moments == sorted(moments)
