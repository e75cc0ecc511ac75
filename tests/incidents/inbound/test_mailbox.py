"""The mailbox on a real IMAP server: nothing twice, nothing left, whatever the server does to its numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest
import time_machine
from django.conf import LazySettings

from accounts import scope
from accounts.models import User
from incidents.models import InboundKind, InboundMessage, InboundSource
from incidents.services import inbound, mailbox
from notify.models import Delivery
from tests.conftest import NOW
from tests.incidents.inbound.conftest import incidents, messages, open_door
from tests.incidents.inbound.dovecot import ImapServer, imap_server

pytestmark = pytest.mark.django_db
Verdict = InboundMessage.Verdict
NUMBERS = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[ImapServer]:
    with imap_server() as running:
        yield running


@dataclass
class Box:
    source: InboundSource
    server: ImapServer
    user: str
    folder: str = "INBOX"

    def put(self, text: str, *, sender: str = "alice@example.com", minutes_ago: int = 1) -> None:
        raw = f"From: {sender}\r\nSubject: {text}\r\nMessage-ID: <{text}@example.com>\r\n\r\n{text}\r\n".encode()
        self.server.put(raw, user=self.user, at=NOW - timedelta(minutes=minutes_ago), folder=self.folder)

    def poll(self, *, minutes: int = 0) -> int:
        return mailbox.poll(source_id=self.source.pk, clock=lambda: NOW + timedelta(minutes=minutes))

    def fresh(self) -> InboundSource:
        with scope.platform("test"):
            found: InboundSource = InboundSource.objects.get(pk=self.source.pk)
            return found


@pytest.fixture
def box(server: ImapServer, db: None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
    settings.NOTIFY_ALLOWED_HOSTS = ["localhost"]
    return make_box(server)


def make_box(server: ImapServer, **config: object) -> Box:
    user = f"box{next(NUMBERS)}"
    known: dict[str, object] = {"host": "localhost", "port": server.port, "username": user, "trusts_from": True}
    source = open_door(
        "email", None, **(known | {"address": "service@rdmp.example", "folder": "INBOX"} | config)
    ).source
    return Box(source, server, user, str(config.get("folder", "INBOX")))


def test_new_mails_are_taken_once_and_marked_as_read(box: Box, alice: User) -> None:
    box.put("one")
    box.put("two")
    assert (box.poll(), box.poll()) == (2, 0)
    box.put("three")
    assert (box.poll(), box.poll()) == (1, 0)
    assert [incident.title for incident in incidents()] == ["one", "two", "three"]
    assert len(box.server.kept(box.user)) == 3
    assert all(b"\\Seen" in flags for flags in box.server.kept(box.user))
    assert box.fresh().problem == ""
    assert box.fresh().lease_until is None


def test_the_clock_starts_when_the_server_had_the_mail(box: Box, alice: User) -> None:
    box.put("late", minutes_ago=40)
    box.poll()
    assert incidents()[0].clock_started_at == NOW - timedelta(minutes=40)


def test_mails_may_be_deleted_once_they_are_stored(box: Box, alice: User, server: ImapServer) -> None:
    other = make_box(server, deletes=True)
    other.put("gone")
    other.poll()
    assert other.server.kept(other.user) == []
    assert len(messages()) == 1


def test_starttls_is_as_good(box: Box, alice: User, server: ImapServer) -> None:
    other = make_box(server, port=server.plain_port, security="starttls")
    other.put("hello")
    assert other.poll() == 1


def test_old_mail_of_a_new_mailbox_is_left_alone(box: Box, alice: User) -> None:
    box.put("ancient", minutes_ago=60 * 24 * 30)
    box.put("fresh")
    assert box.poll() == 1
    assert [incident.title for incident in incidents()] == ["fresh"]


def test_a_server_that_counts_anew_brings_nothing_twice(box: Box, alice: User, server: ImapServer) -> None:
    other = make_box(server, folder="Service")
    server.make("Service", user=other.user)
    for text in ("one", "two", "three"):
        other.put(text)
    assert other.poll() == 3
    with time_machine.travel(NOW, tick=True):
        server.make("Service", user=other.user)
    for text in ("one", "two", "three", "four"):
        other.put(text)
    other.poll()
    assert len(messages()) == 4
    assert [incident.title for incident in incidents()] == ["one", "two", "three", "four"]


def test_a_mail_that_breaks_the_reader_does_not_keep_the_others_waiting(
    box: Box, alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    box.put("poison")
    box.put("water")
    real = inbound.READERS[InboundKind.EMAIL]

    def broken(message: InboundMessage, now: object) -> None:
        if b"poison" in bytes(message.raw):
            raise RuntimeError("cannot")
        real(message, NOW)

    monkeypatch.setitem(inbound.READERS, InboundKind.EMAIL, broken)
    assert box.poll() == 2
    assert [each.verdict for each in messages()] == [Verdict.STORED, Verdict.OPENED]


def test_a_crash_between_storing_and_the_mark_brings_nothing_twice(box: Box, alice: User) -> None:
    box.put("one")
    box.poll()
    with scope.platform("test"):
        InboundSource.objects.filter(pk=box.source.pk).update(uid_mark=0)
    box.poll()
    assert len(messages()) == len(incidents()) == 1


def test_one_reader_at_a_time(box: Box, alice: User) -> None:
    box.put("one")
    with scope.platform("test"):
        InboundSource.objects.filter(pk=box.source.pk).update(lease_until=NOW + timedelta(minutes=1))
    assert (box.poll(), box.poll(minutes=2)) == (0, 1)


def test_a_mailbox_that_cannot_be_read_says_why_and_after_ten_minutes_managers_hear_of_it(
    box: Box, lin: User, server: ImapServer
) -> None:
    wrong = make_box(server, username="nobody-here")
    wrong.poll()
    assert "refused the user name" in wrong.fresh().problem
    assert "geheim" not in wrong.fresh().problem
    with scope.platform("test"):
        heard = Delivery.objects.filter(user=lin, url=f"/ways-in/{wrong.source.pk}/")
        assert heard.count() == 0
        wrong.poll(minutes=11)
        wrong.poll(minutes=12)
        assert heard.filter(medium="inbox").count() == heard.filter(medium="email").count() == 1
        InboundSource.objects.filter(pk=wrong.source.pk).update(config=box.source.config | {"username": wrong.user})
        wrong.poll(minutes=13)
    assert (wrong.fresh().failing_since, wrong.fresh().problem) == (None, "")


def test_a_server_nobody_vouches_for_gets_no_password(
    box: Box, server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "TLS" in mailbox.try_out(box.source, now=NOW)


def test_a_host_inside_our_network_is_not_called_unless_it_is_allowed(box: Box, settings: LazySettings) -> None:
    settings.NOTIFY_ALLOWED_HOSTS = []
    assert "not a public address" in mailbox.try_out(box.source, now=NOW)


def test_a_server_that_is_down_or_has_no_such_folder_is_said(box: Box, server: ImapServer) -> None:
    assert "no folder" in mailbox.try_out(make_box(server, folder="Nirgends").source, now=NOW)
    assert "no connection" in mailbox.try_out(make_box(server, port=1).source, now=NOW)
    assert mailbox.try_out(box.source, now=NOW) == ""
