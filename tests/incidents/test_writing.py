"""The timeline's filter and its length, the composer's answers, replies and filters that are kept."""

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Assignment, Customer, User
from assets.models import Asset
from incidents import services
from incidents.models import CannedReply, Incident, SavedFilter, TimelineEntry
from incidents.replies import fill
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import alarm, raise_incident

HTMX = {"HX-Request": "true"}


@pytest.fixture
def incident(jia: Customer, alice: User) -> Incident:
    return raise_incident(alice, customer=jia, now=timezone.now())


def write(incident: Incident, count: int, kind: str = "comment", *, is_internal: bool = False) -> None:
    with scope.customer(incident.customer_id):
        TimelineEntry.objects.bulk_create(
            TimelineEntry(
                customer_id=incident.customer_id,
                incident=incident,
                at=timezone.now() + timedelta(seconds=number),
                kind=kind,
                body=f"{kind} no {number:04}.",
                is_internal=is_internal,
            )
            for number in range(count)
        )


def page_of(incident: Incident, person: User, client_for: ClientFor, query: str = "") -> str:
    return client_for(person).get(f"/incidents/{incident.pk}/{query}").content.decode()


def test_a_long_timeline_begins_with_its_newest_hundred(incident: Incident, chen: User, client_for: ClientFor) -> None:
    write(incident, 150)
    page = page_of(incident, chen, client_for)
    assert "comment no 0149." in page
    assert "comment no 0049." not in page
    assert "entries=200" in page
    assert "comment no 0000." in page_of(incident, chen, client_for, "?entries=200")


@pytest.mark.parametrize("query", ["?entries=-5", "?entries=9999999999", "?entries=x", "?show=nonsense"])
def test_a_strange_address_shows_the_usual_page(
    query: str, incident: Incident, chen: User, client_for: ClientFor
) -> None:
    write(incident, 3)
    assert "comment no 0002." in page_of(incident, chen, client_for, query)


def test_the_timeline_is_filtered(incident: Incident, chen: User, client_for: ClientFor) -> None:
    write(incident, 1, "comment")
    write(incident, 1, "warning")
    write(incident, 1, "alert")
    write(incident, 1, "note", is_internal=True)
    shown = {
        show: {kind for kind in ("comment", "warning", "alert", "note") if f"{kind} no 0000." in page}
        for show in ("", "talk", "steps", "alerts", "internal")
        if (page := page_of(incident, chen, client_for, f"?show={show}"))
    }
    assert shown == {
        "": {"comment", "warning", "alert", "note"},
        "talk": {"comment", "note"},
        "steps": {"warning"},
        "alerts": {"alert"},
        "internal": {"note"},
    }


def test_a_customer_cannot_ask_for_internal_notes(incident: Incident, alice: User, client_for: ClientFor) -> None:
    write(incident, 1, "note", is_internal=True)
    page = page_of(incident, alice, client_for, "?show=internal")
    assert "note no 0000." not in page
    assert "internal" not in page.split('name="show"')[1].split("</select>")[0]


def test_the_length_of_the_timeline_costs_no_queries(incident: Incident, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(f"/incidents/{incident.pk}/")
        return len(captured)

    queries()
    few = queries()
    write(incident, 90)
    assert queries() == few


def test_a_refused_file_comes_back_with_what_was_typed(incident: Incident, chen: User, client_for: ClientFor) -> None:
    file = SimpleUploadedFile("x.html", b"<html>")
    sent = {"body": "Half an hour of work", "attachments": file}
    answer = client_for(chen).post(f"/incidents/{incident.pk}/comment/", sent, headers=HTMX)
    assert answer.status_code == 422
    assert "Half an hour of work" in answer.content.decode()
    assert "x.html" in answer.content.decode()
    with scope.customer(incident.customer_id):
        assert not TimelineEntry.objects.filter(incident=incident, kind="comment").exists()


def test_what_was_sent_empties_the_composer(incident: Incident, chen: User, client_for: ClientFor) -> None:
    answer = client_for(chen).post(f"/incidents/{incident.pk}/comment/", {"body": "Done"}, headers=HTMX)
    assert answer.status_code == 204
    assert "comment:sent" in answer.headers["HX-Trigger"]


def test_people_who_can_be_named_are_offered_to_those_who_write(
    incident: Incident, alice: User, bob: User, chen: User, eve: User, client_for: ClientFor
) -> None:
    address = f"/incidents/{incident.pk}/people/"
    names = {each["name"] for each in client_for(chen).get(address).json()["people"]}
    assert {alice.name, bob.name} <= names
    assert eve.name not in names
    assert chen.name not in names
    internal = {each["name"] for each in client_for(chen).get(f"{address}?internal=1").json()["people"]}
    assert alice.name not in internal
    assert client_for(eve).get(address).status_code == 404


# --- replies ---------------------------------------------------------------------------------------------------------


def keep(actor: User, customer: Customer | None = None, name: str = "Restarted", **said: object) -> CannedReply:
    facts = {"body": "{number} on {asset}: restarted. {name} {phone} {else}", "is_internal": False, **said}
    return services.keep_reply(reply=None, name=name, customer=customer, actor=actor, now=NOW, **facts)  # type: ignore[arg-type]


def test_only_known_blanks_are_filled() -> None:
    assert fill("{number} {else} {title}", {"number": "INC-1", "title": "{number}"}) == "INC-1 {else} {number}"


def test_a_reply_is_offered_filled_in(incident: Incident, chen: User, client_for: ClientFor) -> None:
    keep(chen)
    page = client_for(chen).get(f"/incidents/{incident.pk}/replies/").content.decode()
    assert f"{incident.number} on : restarted. {chen.name}" in page
    assert "{else}" in page


def test_replies_of_one_customer_are_not_offered_to_another(
    incident: Incident, yi: Customer, chen: User, root: User, client_for: ClientFor
) -> None:
    reply = keep(root, yi, name="Only for yi")
    with scope.platform("test"):
        Assignment.objects.filter(customer=yi, user=chen).delete()
    assert "Only for yi" not in client_for(chen).get(f"/incidents/{incident.pk}/replies/").content.decode()
    assert "Only for yi" not in client_for(chen).get("/incidents/replies/").content.decode()
    assert client_for(chen).get(f"/incidents/replies/{reply.pk}/").status_code == 404
    assert client_for(chen).post(f"/incidents/replies/{reply.pk}/remove/").status_code == 404
    assert "Only for yi" in client_for(root).get("/incidents/replies/").content.decode()


def test_customers_neither_read_nor_keep_replies(
    incident: Incident, alice: User, chen: User, client_for: ClientFor
) -> None:
    reply = keep(chen)
    for address in ("/incidents/replies/", f"/incidents/{incident.pk}/replies/", f"/incidents/replies/{reply.pk}/"):
        assert client_for(alice).get(address).status_code == 403
    with pytest.raises(PermissionDenied):
        keep(alice, name="Mine")


def test_a_reply_is_changed_and_its_name_is_taken_once(chen: User, client_for: ClientFor) -> None:
    first, second = keep(chen), keep(chen, name="Other")
    sent = {"name": "Restarted", "body": "x"}
    assert client_for(chen).post(f"/incidents/replies/{second.pk}/", sent).status_code == 422
    assert client_for(chen).post(f"/incidents/replies/{first.pk}/", sent | {"body": "new"}).status_code == 302
    client_for(chen).post(f"/incidents/replies/{second.pk}/remove/")
    with scope.platform("test"):
        assert list(CannedReply.objects.values_list("name", "body")) == [("Restarted", "new")]


# --- filters ---------------------------------------------------------------------------------------------------------


def save(person: User, name: str = "Mine", query: str = "who=me&severity=1&evil=1&page=3") -> SavedFilter:
    allowed = frozenset({"who", "severity"})
    return services.save_filter(person=person, place="board", name=name, query=query, allowed=allowed)


def test_a_filter_keeps_what_the_page_understands(chen: User, lin: User) -> None:
    assert save(chen).query == "who=me&severity=1"
    assert [each.name for each in services.filters_of(chen, "board")] == ["Mine"]
    assert services.filters_of(lin, "board") == []


def test_the_same_name_again_replaces_it(chen: User) -> None:
    save(chen)
    save(chen, query="who=nobody")
    assert [each.query for each in services.filters_of(chen, "board")] == ["who=nobody"]


@pytest.mark.parametrize(("name", "query"), [("", "who=me"), ("x", "evil=1"), ("x", ""), ("x", "who=" + "a" * 600)])
def test_a_filter_without_name_or_sense_is_refused(name: str, query: str, chen: User) -> None:
    with pytest.raises(DomainError):
        save(chen, name, query)


def test_a_filter_is_saved_and_removed_on_the_page(chen: User, lin: User, client_for: ClientFor) -> None:
    sent = {"place": "board", "name": "Disasters", "query": "severity=1"}
    answer = client_for(chen).post("/board/filters/", sent, follow=True)
    assert answer.redirect_chain[-1][0] == "/board/?severity=1"
    assert "Disasters" in client_for(chen).get("/board/").content.decode()
    assert "Disasters" not in client_for(lin).get("/board/").content.decode()
    (saved,) = services.filters_of(chen, "board")
    assert client_for(lin).post(f"/board/filters/{saved.pk}/remove/").status_code == 404
    assert client_for(chen).post(f"/board/filters/{saved.pk}/remove/").status_code == 302
    assert services.filters_of(chen, "board") == []
    assert client_for(chen).post("/board/filters/", sent | {"place": "elsewhere"}).status_code == 404


# --- other pieces ----------------------------------------------------------------------------------------------------


def test_the_wall_counts_and_shows_the_most_urgent(
    jia: Customer, web: Asset, alice: User, chen: User, client_for: ClientFor
) -> None:
    alarm(web, title="Port 443 does not answer", now=timezone.now())
    page = client_for(chen).get("/board/wall/").content.decode()
    assert "Port 443 does not answer" in page
    assert "<html" not in client_for(chen).get("/board/wall/", headers=HTMX).content.decode()
    assert client_for(alice).get("/board/wall/").status_code == 403


def test_what_happened_before_on_the_same_assets_is_named(
    web: Asset, alice: User, chen: User, eve: User, client_for: ClientFor
) -> None:
    first = alarm(web, title="First time", now=timezone.now() - timedelta(days=3))
    with scope.customer(web.customer_id):
        services.resolve(incident=first, resolution="x", cause="system", actor=chen, now=timezone.now())
    second = alarm(web, key="a:2", title="Second time", now=timezone.now())
    page = client_for(alice).get(f"/incidents/{second.pk}/related/").content.decode()
    assert "First time" in page
    assert "Second time" not in page
    assert client_for(eve).get(f"/incidents/{second.pk}/related/").status_code == 404
