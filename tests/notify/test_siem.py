"""The audit log goes out to real receivers: in order, nothing left out, whatever becomes of them on the way."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.exceptions import PermissionDenied
from django.utils import translation

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from notify import siem as shape
from notify.models import AuditCursor, AuditReceiver, Delivery
from notify.services import siem
from notify.services.siem import Wanted
from tests.conftest import NOW, ClientFor

LATER = timedelta(minutes=10)


class Syslog:
    """A receiver as syslog daemons are: it reads until the sender has closed, then closes itself.

    `cuts`: how many connections it breaks off in the middle; `is_deaf`: it reads nothing.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.lines: list[str] = []
        self.cuts, self.is_deaf, self.connections = 0, False, 0
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # else whoever waits for a connection holds it open
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _address = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError), connection:
            if self.is_deaf:
                threading.Event().wait(20)
                return
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls is not None else connection
            if self.cuts:
                self.cuts -= 1
                stream.recv(100)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                stream.close()
                return
            data = b""
            while part := stream.recv(65536):
                data += part
            self.lines += [message.decode() for message in unframed(data)]
            if isinstance(stream, ssl.SSLSocket):
                stream.unwrap()


def unframed(data: bytes) -> list[bytes]:
    found = []
    while data:
        count, _blank, rest = data.partition(b" ")
        found.append(rest[: int(count)])
        data = rest[int(count) :]
    return found


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of localhost, signed by itself, with its key in the same file."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "key",
         "-out", tmp_path / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "both").write_text((tmp_path / "crt").read_text() + (tmp_path / "key").read_text())
    return tmp_path / "both"


@pytest.fixture
def syslog(settings: LazySettings) -> Iterator[Syslog]:
    made = Syslog()
    settings.NOTIFY_ALLOWED_HOSTS = ["localhost"]
    yield made
    made.close()


def add(actor: User, customer: Customer | None, wanted: Wanted, *, from_start: bool = False) -> AuditReceiver:
    with scope.user(actor):
        return siem.add(customer=customer, wanted=wanted, from_start=from_start, actor=actor, now=NOW)[0]


def plain(syslog: Syslog) -> Wanted:
    return Wanted("SIEM", "syslog", host="localhost", port=syslog.port)


def write(customer: Customer | None, *names: str, actor: User | None = None) -> None:
    with scope.platform("test"):
        for name in names:
            audit.record(action=name, actor=actor, customer=customer, detail={"words": "换行\n and 中文"}, now=NOW)


def ship(at: datetime = NOW) -> None:
    with scope.platform("test"):
        siem.ship(clock=lambda: at)


def said(lines: list[str]) -> list[tuple[str, int, str]]:
    return [(one["chain"], one["sequence"], one["action"]) for one in map(content, lines)]


def content(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line[line.index(" {") :])
    return found


def state(receiver: AuditReceiver) -> AuditReceiver:
    with scope.platform("test"):
        receiver.refresh_from_db()
    return receiver


# --- the shape --------------------------------------------------------------------------------------------------------


def entry(**changes: Any) -> shape.Entry:
    usual = {
        "chain": "jia", "customer_id": 3, "sequence": 7, "at": NOW, "actor": "张三\n", "actor_id": 1, "action": "a b.c",
        "object_type": "", "object_id": "", "object_name": "", "detail": {}, "hash": "h", "previous_hash": "p",
    }  # fmt: skip
    return shape.Entry(**{**usual, **changes})


def test_a_line_is_rfc_5424() -> None:
    line = shape.line(entry(), host="rdmp.example.com").decode("ascii")
    assert re.fullmatch(
        r'<109>1 2026-03-02T02:00:00\.000000Z rdmp\.example\.com rdmp - a_b\.c \[meta sequenceId="7"\] \{.*\}', line
    )
    assert content(line)["actor"] == "张三\n"
    assert unframed(shape.framed([b"a\nb", b"1 2"])) == [b"a\nb", b"1 2"]


def test_what_is_too_long_goes_without_its_detail() -> None:
    line = shape.line(entry(detail={"text": "中" * 5000}), host="h").decode()
    assert len(line) < shape.LONGEST_LINE
    assert content(line)["detail_left_out"]
    assert content(line)["hash"] == "h"


@pytest.mark.parametrize("sequence", [1, 2**31 - 1, 2**31, 2**40])
def test_a_number_of_syslog_stays_in_its_range(sequence: int) -> None:
    line = shape.line(entry(sequence=sequence), host="").decode()
    found = re.search(r'sequenceId="(\d+)"', line)
    assert found is not None
    assert 1 <= int(found[1]) < 2**31
    assert content(line)["sequence"] == sequence


# --- on its way -------------------------------------------------------------------------------------------------------


def test_a_customers_receiver_gets_the_customers_chain_in_order(
    jia: Customer, yi: Customer, alice: User, syslog: Syslog
) -> None:
    write(jia, "before")
    receiver = add(alice, jia, plain(syslog))
    names = [f"did.{number}" for number in range(450)]
    write(jia, *names)
    write(yi, "theirs")
    write(None, "ours")
    ship()
    found = said(syslog.lines)
    assert [one[2] for one in found] == ["siem.add", *names]
    assert {one[0] for one in found} == {"jia"}
    numbers = [one[1] for one in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    ship()
    assert len(syslog.lines) == len(found), "nothing twice"
    assert (state(receiver).sent, state(receiver).failing_since) == (451, None)
    with scope.platform("test"):
        assert siem.waiting(receiver) == 0
        last = AuditEntry.objects.filter(customer=jia).order_by("-sequence")[0]
    assert content(syslog.lines[-1])["hash"] == last.hash


def test_the_providers_receiver_gets_all_chains_from_their_start(
    jia: Customer, yi: Customer, root: User, syslog: Syslog
) -> None:
    for chain in (jia, yi, None):
        write(chain, "one", "two")
    add(root, None, plain(syslog), from_start=True)
    ship()
    with scope.platform("test"):
        everything = {("platform" if one.customer is None else one.customer.code, one.sequence)
                      for one in AuditEntry.objects.select_related("customer")}  # fmt: skip
    assert {one[:2] for one in said(syslog.lines)} == everything


@pytest.mark.parametrize("fault", ["away", "cut", "deaf"])
def test_what_a_receiver_missed_comes_when_it_is_back(
    jia: Customer, alice: User, syslog: Syslog, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notify.providers.TOTAL_S", 0.5)
    receiver = add(alice, jia, plain(syslog))
    ship()
    got = len(syslog.lines)
    port = syslog.port
    if fault == "away":
        syslog.close()
        syslog_port_is_free(port)
    syslog.cuts, syslog.is_deaf = (1 if fault == "cut" else 0), fault == "deaf"
    write(jia, "one", "two")
    ship()
    assert len(syslog.lines) == got
    failing = state(receiver)
    assert failing.failures == 1
    assert failing.problem
    assert failing.failing_since == NOW
    assert failing.leased_until is None
    with scope.platform("test"):
        assert siem.waiting(receiver) == 2
    tries = syslog.connections
    write(jia, "three")
    ship()
    assert syslog.connections == tries, "it is left alone for a while"
    syslog.is_deaf = False
    if fault == "away":
        back = Syslog()
        with scope.user(alice):
            siem.change(receiver=receiver, wanted=plain(back), actor=alice, now=NOW)
        ship()
        assert [one[2] for one in said(back.lines)] == ["one", "two", "three", "siem.change"]
        back.close()
    else:
        ship(NOW + LATER)
        assert [one[2] for one in said(syslog.lines[got:])] == ["one", "two", "three"]
    assert (state(receiver).failures, state(receiver).problem, state(receiver).failing_since) == (0, "", None)


def test_whoever_keeps_a_receiver_hears_once_that_it_is_away(jia: Customer, yi: Customer, alice: User, eve: User,
    bob: User, root: User, syslog: Syslog) -> None:  # fmt: skip
    receiver = add(alice, jia, Wanted("SIEM", "syslog", host="localhost", port=1))
    for minutes in (0, 6, 20, 26):
        ship(NOW + timedelta(minutes=minutes))
        with scope.platform("test"):
            told = Delivery.objects.filter(url="/notify/siem/", medium="inbox")
            names = sorted(told.values_list("user__name", flat=True))
        assert names == (["Alice", "Root"] if minutes >= 20 else [])
    assert state(receiver).failures == 4


def syslog_port_is_free(port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_a_crash_before_the_note_repeats_and_loses_nothing(
    jia: Customer, alice: User, syslog: Syslog, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = add(alice, jia, plain(syslog))
    write(jia, "one")

    def crash(*_said: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(siem, "_note", crash)
        ship()
    assert [one[2] for one in said(syslog.lines)] == ["siem.add", "one"]
    with scope.platform("test"):
        AuditReceiver.objects.update(leased_until=NOW + timedelta(seconds=30))  # whoever was killed had it still
    ship()
    assert len(syslog.lines) == 2, "another worker may have it"
    ship(NOW + LATER)
    assert said(syslog.lines)[2:] == said(syslog.lines)[:2], "the same numbers, by which they are known"
    assert state(receiver).sent == 2


def test_over_tls_the_certificate_must_be_vouched_for(
    jia: Customer, alice: User, certificate: Path, settings: LazySettings
) -> None:
    settings.NOTIFY_ALLOWED_HOSTS = ["localhost"]
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    syslog = Syslog(tls)
    wanted = Wanted("SIEM", "syslog_tls", host="localhost", port=syslog.port)
    receiver = add(alice, jia, wanted)
    ship()
    assert syslog.lines == []
    assert "certificate" in state(receiver).problem
    with scope.user(alice):
        pem = certificate.with_name("crt").read_text()
        vouched = Wanted("SIEM", "syslog_tls", host="localhost", port=syslog.port, authority=pem)
        siem.change(receiver=receiver, wanted=vouched, actor=alice, now=NOW)
    ship()
    assert [one[2] for one in said(syslog.lines)] == ["siem.add", "siem.change"]
    syslog.cuts = 1
    write(jia, "one")
    ship()
    assert state(receiver).failures == 1
    ship(NOW + LATER)
    assert said(syslog.lines)[-1][2] == "one"
    syslog.close()


class Hook(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((dict(self.headers), body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Content-Length", str(len(self.server.words)))
        self.end_headers()
        self.wfile.write(self.server.words)

    def log_message(self, *_said: object) -> None:
        pass


@pytest.fixture
def hook(settings: LazySettings) -> Iterator[Any]:
    settings.NOTIFY_ALLOWED_HOSTS = ["localhost"]
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.came, server.answers, server.words = [], [], b""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_webhook_is_signed_and_tried_again(jia: Customer, alice: User, hook: Any) -> None:
    wanted = Wanted("SIEM", "webhook", url=f"http://localhost:{hook.server_port}/in?x=1")
    with scope.user(alice):
        receiver, key = siem.add(customer=jia, wanted=wanted, from_start=False, actor=alice, now=NOW)
    write(jia, "one")
    hook.answers[:] = [500, 302, 200]
    for at in (NOW, NOW + LATER, NOW + 2 * LATER):
        ship(at)
    bodies = [json.loads(body)["entries"] for _headers, body in hook.came]
    assert len(bodies) == 3
    assert bodies[1][: len(bodies[0])] == bodies[0], "what was not taken comes again, as it was"
    headers, body = hook.came[2]
    digest = hmac.new(key.encode(), headers["X-RDMP-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-RDMP-Signature"] == f"v1={digest}"
    assert [one["action"] for one in bodies[2]][:3] == ["secret.set", "siem.add", "one"]
    assert key not in str(state(receiver).__dict__)
    with scope.platform("test"):
        assert key not in str(list(AuditEntry.objects.values_list("detail", flat=True)))
        assert siem.waiting(receiver) <= 1  # that its key was used is written down meanwhile


def test_what_points_into_our_own_network_is_refused(jia: Customer, alice: User, settings: LazySettings) -> None:
    settings.NOTIFY_ALLOWED_HOSTS = []
    syslog = Syslog()
    wishes = (
        Wanted("one", "syslog", host="localhost", port=syslog.port),
        Wanted("two", "syslog_tls", host="127.0.0.1", port=syslog.port),
        Wanted("three", "webhook", url=f"http://127.0.0.1:{syslog.port}/"),
        Wanted("four", "webhook", url="https://127.0.0.1/"),
    )
    receivers = [add(alice, jia, wanted) for wanted in wishes]
    ship()
    assert syslog.connections == 0
    assert [state(one).failures for one in receivers] == [1, 1, 1, 1]
    syslog.close()


def test_one_bad_receiver_holds_up_no_other(jia: Customer, alice: User, root: User, syslog: Syslog) -> None:
    add(root, None, Wanted("bad", "syslog", host="localhost", port=1))
    add(alice, jia, plain(syslog))
    ship()
    assert said(syslog.lines)


# --- tried by hand ----------------------------------------------------------------------------------------------------


def try_out(receiver: AuditReceiver, actor: User) -> str:
    with scope.user(actor), translation.override("en"):
        return siem.send_test(receiver=receiver, actor=actor, now=NOW)


def test_a_test_says_that_it_is_one_and_moves_nothing(jia: Customer, alice: User, syslog: Syslog) -> None:
    receiver = add(alice, jia, plain(syslog))
    with scope.platform("test"):
        AuditReceiver.objects.update(retry_at=NOW + LATER)
    assert try_out(receiver, alice) == ""
    [line] = syslog.lines
    assert " siem.test - {" in line, "no number of a chain"
    assert (content(line)["test"], content(line)["chain"], content(line)["sequence"]) == (True, "jia", 0)
    assert (content(line)["hash"], content(line)["actor"]) == ("", "Alice")
    ship()
    assert [one[2] for one in said(syslog.lines[1:])] == ["siem.add", "siem.test"], "it waits no longer"
    assert not [one for one in syslog.lines[1:] if "test" in content(one)]


def test_what_is_wrong_is_said(jia: Customer, alice: User, syslog: Syslog, certificate: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    guarded = Syslog(tls)
    receiver = add(alice, jia, plain(syslog))
    syslog.cuts = 1
    assert try_out(receiver, alice).startswith("It was reached, but did not confirm the entry: ")
    for wanted, words in (
        (Wanted("one", "syslog", host="localhost", port=1), "It was not reached: Connection refused"),
        (Wanted("two", "syslog_tls", host="nowhere.invalid", port=1), "It was not reached: no address for nowhere"),
        (Wanted("three", "syslog_tls", host="localhost", port=guarded.port), "It was not reached: certificate: self"),
        (Wanted("four", "syslog", host="192.0.2.1", port=514), "It was not reached: plain TCP goes to hosts alone"),
        (Wanted("five", "syslog_tls", host="10.0.0.1", port=514), "It was not reached: host 10.0.0.1 is not a public"),
    ):
        assert try_out(add(alice, jia, wanted), alice).startswith(words)
    assert state(receiver).failures == 0, "what is tried by hand is no failure of what is sent"
    with scope.platform("test"):
        last = AuditEntry.objects.filter(customer=jia, action="siem.test").order_by("-sequence")[0]
    assert last.detail["problem"] == "host 10.0.0.1 is not a public address"
    guarded.close()


def test_a_webhook_that_refuses_is_heard_out(jia: Customer, alice: User, hook: Any) -> None:
    wanted = Wanted("SIEM", "webhook", url=f"http://localhost:{hook.server_port}/in?x=1")
    with scope.user(alice):
        receiver, key = siem.add(customer=jia, wanted=wanted, from_start=False, actor=alice, now=NOW)
    hook.answers[:], hook.words = [401, 200], f"no such key: {key}".encode()
    assert try_out(receiver, alice) == "It was reached, but did not confirm the entry: http 401 no such key: •••"
    assert try_out(receiver, alice) == ""
    headers, body = hook.came[1]
    digest = hmac.new(key.encode(), headers["X-RDMP-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-RDMP-Signature"] == f"v1={digest}"
    assert headers["X-RDMP-Delivery"].startswith("test-")
    assert [one["test"] for one in json.loads(body)["entries"]] == [True]


def test_a_test_is_for_whoever_keeps_the_receiver(
    jia: Customer, alice: User, bob: User, eve: User, lin: User, root: User, client_for: ClientFor, syslog: Syslog
) -> None:
    receiver = add(alice, jia, plain(syslog))
    for stranger in (bob, eve, lin):
        with pytest.raises(PermissionDenied):
            try_out(receiver, stranger)
    assert client_for(bob).post(f"/notify/siem/{receiver.pk}/test/").status_code == 403
    assert syslog.connections == 0
    said = client_for(root).post(f"/notify/siem/{receiver.pk}/test/", follow=True).content.decode()
    assert "“SIEM”" in said
    syslog.close()
    said = client_for(alice).post(f"/notify/siem/{receiver.pk}/test/", follow=True).content.decode()
    assert "Connection refused" in said
    assert len(syslog.lines) == 1


# --- kept by administrators -------------------------------------------------------------------------------------------


def test_each_keeps_receivers_of_their_own_log(
    jia: Customer, yi: Customer, alice: User, bob: User, eve: User, lin: User, syslog: Syslog
) -> None:
    for actor, customer in ((bob, jia), (alice, yi), (alice, None), (lin, jia), (lin, None)):
        with pytest.raises(PermissionDenied):
            add(actor, customer, plain(syslog))
    receiver = add(alice, jia, plain(syslog))
    with scope.user(eve):
        assert not siem.seen_by(eve).exists()
        assert not AuditCursor.objects.exists()
        with pytest.raises(PermissionDenied):
            siem.remove(receiver=receiver, actor=eve, now=NOW)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (Wanted("", "syslog", host="h", port=1), "name"),
        (Wanted("n", "smoke", host="h", port=1), "name"),
        (Wanted("n", "syslog"), "address"),
        (Wanted("n", "syslog", host="h", port=70000), "address"),
        (Wanted("n", "syslog", host="h\nx", port=1), "address"),
        (Wanted("n", "webhook", url="ftp://h/"), "address"),
        (Wanted("n", "webhook", url="https://"), "address"),
        (Wanted("n", "syslog_tls", host="h", port=1, authority="nonsense"), "authority"),
        (Wanted("SIEM", "syslog", host="h", port=1), "name"),
    ],
)
def test_what_makes_no_receiver_is_refused(
    jia: Customer, alice: User, syslog: Syslog, wanted: Wanted, code: str
) -> None:
    add(alice, jia, plain(syslog))
    with pytest.raises(DomainError) as refusal:
        add(alice, jia, wanted)
    assert refusal.value.code == code


def test_receivers_are_kept_on_their_page(
    jia: Customer, alice: User, bob: User, eve: User, root: User, client_for: ClientFor, syslog: Syslog
) -> None:
    client = client_for(alice)
    form = {"name": "SIEM", "kind": "syslog", "host": "localhost", "port": str(syslog.port), "is_on": "on"}
    assert client.post("/notify/siem/new/", {**form, "host": ""}).status_code == 422
    assert client.post("/notify/siem/new/", form).status_code == 302
    hooked = client.post("/notify/siem/new/", {"name": "hook", "kind": "webhook", "url": "https://siem.example.com/"})
    assert hooked.status_code == 200
    assert hooked["Cache-Control"] == "no-store"
    with scope.platform("test"):
        receiver, hook = AuditReceiver.objects.order_by("pk")
        assert (receiver.customer, hook.is_on) == (jia, False)
    page = client.get("/notify/siem/").content.decode()
    assert "siem.example.com" in page
    changed = {**form, "name": "New", "kind": "webhook", "url": "https://x/"}
    assert client.post(f"/notify/siem/{receiver.pk}/", changed).status_code == 302
    assert (state(receiver).name, receiver.kind, receiver.url) == ("New", "syslog", ""), "its kind stays"
    other = client_for(eve)
    assert "siem.example.com" not in other.get("/notify/siem/").content.decode()
    for path in (f"/notify/siem/{receiver.pk}/", *(f"/notify/siem/{receiver.pk}/{do}/" for do in ("test", "remove"))):
        assert other.post(path, form).status_code == 404
    assert client_for(bob).get("/notify/siem/").status_code == 403
    assert "siem.example.com" in client_for(root).get("/notify/siem/").content.decode()
    assert client.post(f"/notify/siem/{receiver.pk}/remove/").status_code == 302
    with scope.platform("test"):
        assert AuditReceiver.objects.count() == 1
