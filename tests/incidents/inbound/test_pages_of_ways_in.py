"""The pages: making a way in, its address once, trying samples, the log, and saying whose an unknown message is."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from incidents.inbound_samples import sample_of
from incidents.models import ALARM_KINDS, InboundMessage, InboundSource
from incidents.services import inbound
from tests.conftest import NOW, ClientFor
from tests.incidents.inbound.conftest import incidents, messages, only_incident, open_door
from tests.incidents.inbound.test_alarms_from_outside import alert, group

pytestmark = pytest.mark.django_db

FORM = {"name": "Prometheus", "default_severity": "3", "is_active": "on"}


def only_source() -> InboundSource:
    with scope.platform("test"):
        found: InboundSource = InboundSource.objects.get()
        return found


def test_a_new_way_in_shows_its_address_once_and_it_works(chen: User, jia: Customer, client_for: ClientFor) -> None:
    browser = client_for(chen)
    page = browser.post(f"/ways-in/new/?kind=alertmanager&customer={jia.pk}", FORM).content.decode()
    address = page.split("data-copy-source>")[1].split("<")[0]
    assert address.startswith("http://testserver/in/")
    source = only_source()
    assert address.split("/")[-2] not in browser.get(f"/ways-in/{source.pk}/").content.decode()
    path = address.removeprefix("http://testserver")
    assert browser.post(path, group(alert()), content_type="application/json").status_code == 200
    renewed = browser.post(f"/ways-in/{source.pk}/address/").content.decode()
    assert renewed.split("data-copy-source>")[1].split("<")[0] != address
    assert only_incident().number in browser.get(f"/ways-in/{source.pk}/").content.decode()


def test_secrets_go_in_and_never_come_out(chen: User, jia: Customer, client_for: ClientFor) -> None:
    browser = client_for(chen)
    key = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
    said = FORM | {"corp_id": "wx58", "token": "QDG6eK-geheim", "aes_key": key}
    browser.post(f"/ways-in/new/?kind=wecom&customer={jia.pk}", said)
    source = only_source()
    for path in (f"/ways-in/{source.pk}/", f"/ways-in/{source.pk}/edit/", "/ways-in/"):
        page = browser.get(path).content.decode()
        assert "QDG6eK-geheim" not in page
        assert key not in page
    assert browser.post(f"/ways-in/{source.pk}/edit/", FORM | {"corp_id": "wx59"}).status_code == 302
    assert only_source().config["corp_id"] == "wx59"


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("wecom", {"corp_id": "x", "token": "t", "aes_key": "short"}),
        ("generic", {"path_title": "$.[", "path_key": "$.id"}),
        ("generic", {"path_title": ""}),
        ("alertmanager", {"severities": "urgent"}),
        ("alertmanager", {"severities": "urgent = 7"}),
        ("email", {"host": "h", "port": "993", "security": "none", "username": "u", "address": "a@b.example"}),
        ("email", {"host": "", "port": "0"}),
    ],
)
def test_what_cannot_work_is_refused_where_it_stands(
    kind: str, wrong: dict[str, str], chen: User, jia: Customer, client_for: ClientFor
) -> None:
    answer = client_for(chen).post(f"/ways-in/new/?kind={kind}&customer={jia.pk}", FORM | wrong)
    assert answer.status_code == 422
    with scope.platform("test"):
        assert InboundSource.objects.count() == 0


def test_a_mailbox_without_a_password_is_not_saved(chen: User, jia: Customer, client_for: ClientFor) -> None:
    said = FORM | {"host": "imap.example.com", "port": "993", "security": "ssl", "username": "u", "folder": "INBOX"}
    client_for(chen).post(f"/ways-in/new/?kind=email&customer={jia.pk}", said | {"address": "a@b.example"})
    with scope.platform("test"):
        assert InboundSource.objects.count() == 0


@pytest.mark.parametrize("kind", sorted(ALARM_KINDS))
def test_the_sample_of_each_kind_shows_what_would_be_opened_and_opens_nothing(
    kind: str, chen: User, jia: Customer, web: Asset, client_for: ClientFor
) -> None:
    paths = {"title": "$.title", "key": "$.id", "status": "$.status", "severity": "$.level", "asset": "$.host"}
    door = open_door(kind, jia, **({"paths": paths} if kind == "generic" else {}))
    with scope.customer(jia):
        Asset.objects.filter(pk=web.pk).update(private_ip="10.0.0.7", provider_id="i-bp1abc")
    path = f"/ways-in/{door.source.pk}/preview/"
    assert escape(sample_of(kind)) in client_for(chen).get(path).content.decode()
    page = client_for(chen).post(path, {"sample": sample_of(kind)}).content.decode()
    assert f'href="/assets/{web.pk}/"' in page
    assert (incidents(), messages()) == ([], [])


def test_a_sample_that_cannot_be_read_says_why(chen: User, jia: Customer, client_for: ClientFor) -> None:
    door = open_door("alertmanager", jia)
    page = client_for(chen).post(f"/ways-in/{door.source.pk}/preview/", {"sample": '{"version": "4"}'})
    assert "alerts is not a list" in page.content.decode()


def test_the_log_shows_what_came_and_what_failed_can_be_read_again(
    chen: User, jia: Customer, client_for: ClientFor
) -> None:
    door = open_door("generic", jia, paths={"title": "$.wrong"})
    door.send({"title": "<b>Queue full</b>"})
    (message,) = messages()
    browser = client_for(chen)
    assert browser.get("/ways-in/received/?verdict=failed").content.decode().count("data-row") == 1
    assert browser.get("/ways-in/received/?verdict=opened").content.decode().count("data-row") == 0
    page = browser.get(f"/ways-in/received/{message.pk}/").content.decode()
    assert "&lt;b&gt;Queue full" in page
    browser.post(f"/ways-in/received/{message.pk}/again/")
    assert messages()[0].verdict == "failed"
    with scope.platform("test"):
        InboundSource.objects.update(config={"paths": {"title": "$.title"}})
    browser.post(f"/ways-in/received/{message.pk}/again/")
    assert messages()[0].verdict == "alarms"
    browser.post(f"/ways-in/received/{message.pk}/again/")
    assert len(incidents()) == 1


def held(jia: Customer) -> InboundMessage:
    source = open_door("email", None, address="service@rdmp.example", trusts_from=True).source
    raw = b"From: Wang <stranger@nowhere.example>\r\nSubject: Hilfe\r\n\r\nDer Shop ist weg.\r\n"
    stored, _new = inbound.store(source=source, received=inbound.Received(key="k", raw=raw), now=NOW)
    return inbound.read(message_id=stored.pk, now=NOW)


def test_an_unknown_sender_stands_on_the_board_and_becomes_an_incident(
    chen: User, jia: Customer, client_for: ClientFor
) -> None:
    message, browser = held(jia), client_for(chen)
    assert "/ways-in/unknown/board/" in browser.get("/board/").content.decode()
    for path in ("/ways-in/unknown/board/", "/ways-in/unknown/"):
        page = browser.get(path).content.decode()
        assert "Hilfe" in page
        assert "data-countdown" in page
    assert "Der Shop ist weg." in browser.get(f"/ways-in/unknown/{message.pk}/").content.decode()
    answer = browser.post(f"/ways-in/unknown/{message.pk}/", {"customer": jia.pk, "severity": "2"})
    assert answer.headers["Location"] == f"/incidents/{only_incident().pk}/"
    assert (only_incident().customer, only_incident().severity) == (jia, 2)
    assert "Hilfe" not in browser.get("/ways-in/unknown/board/").content.decode()
    assert browser.get(f"/ways-in/unknown/{message.pk}/").status_code == 200
    assert "stranger@nowhere.example" in browser.get(f"/incidents/{only_incident().pk}/").content.decode()


def test_rejecting_takes_it_off_the_board(chen: User, jia: Customer, client_for: ClientFor) -> None:
    message, browser = held(jia), client_for(chen)
    browser.post(f"/ways-in/unknown/{message.pk}/reject/")
    assert "Hilfe" not in browser.get("/ways-in/unknown/").content.decode()
    assert incidents() == []


def test_customers_have_no_business_here(alice: User, vera: User, jia: Customer, client_for: ClientFor) -> None:
    message = held(jia)
    door = open_door("alertmanager", jia)
    for person in (alice, vera):
        browser = client_for(person)
        for path in ("", "new/", "received/", "unknown/", "unknown/board/", f"{door.source.pk}/",
                     f"{door.source.pk}/preview/", f"received/{message.pk}/", f"unknown/{message.pk}/"):  # fmt: skip
            assert browser.get(f"/ways-in/{path}").status_code in (403, 404), path


def test_a_providers_way_in_is_seen_by_engineers_and_changed_by_managers(
    chen: User, lin: User, client_for: ClientFor
) -> None:
    source = open_door("alertmanager", None).source
    assert client_for(chen).get(f"/ways-in/{source.pk}/").status_code == 200
    for path in ("edit/", "preview/"):
        assert client_for(chen).get(f"/ways-in/{source.pk}/{path}").status_code == 403
    assert client_for(chen).post(f"/ways-in/{source.pk}/address/").status_code == 403
    assert client_for(lin).get(f"/ways-in/{source.pk}/edit/").status_code == 200
    assert client_for(chen).get("/ways-in/new/?kind=alertmanager&customer=provider").status_code == 200
    assert client_for(chen).post("/ways-in/new/?kind=alertmanager&customer=provider", FORM).status_code == 200
    with scope.platform("test"):
        assert InboundSource.objects.count() == 1


@pytest.mark.parametrize("path", ["/ways-in/", "/ways-in/received/", "/ways-in/unknown/", "/ways-in/unknown/board/"])
def test_the_number_of_queries_does_not_grow_with_what_is_shown(
    path: str, chen: User, jia: Customer, client_for: ClientFor
) -> None:
    browser = client_for(chen)

    def cost() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert browser.get(path).status_code == 200
        return len(seen)

    def more(start: int, count: int) -> None:
        for number in range(start, start + count):
            for owner in (jia, None):
                source = open_door("email", owner, address="s@rdmp.example", trusts_from=True).source
                raw = b"From: stranger@nowhere.example\r\nSubject: %d\r\n\r\nx" % number
                received = inbound.Received(key=str(number), raw=raw)
                stored, _new = inbound.store(source=source, received=received, now=NOW)
                inbound.read(message_id=stored.pk, now=NOW)

    more(0, 1)
    cost()
    few = cost()
    more(1, 4)
    assert cost() == few
