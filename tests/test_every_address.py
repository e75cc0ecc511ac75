"""Walks every address that exists, by every method, as everybody who might come: a new route is covered by being there.

Who comes: nobody signed in, the project manager and an engineer of another customer, and a read-only user. All objects
of jia have one id and marks in their texts (`tests/specimens.py`): an address finds its object whatever it is, and an
answer that shows a mark to the wrong person names the column.
"""

import hashlib
import logging
import re
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.routing import URLRouter
from django.apps import apps
from django.conf import LazySettings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from accounts import row_security, scope
from accounts.api_access import PersonThrottle
from accounts.models import Assignment, Customer, Role, User
from accounts.schema import ApiSchemaGenerator
from changes.models import ChangeFile, DutyFile
from incidents.models import Attachment, IncidentAsset
from notify import live
from notify.models import Delivery
from reports.models import AccidentFile, AccidentReport, MadeState, ServiceFile, ServiceReport
from tests.conftest import NOW, ClientFor, make_person
from tests.specimens import Marks, Specimens
from tests.walk import (
    INBOX_ID,
    JIAS,
    PAGE_METHODS,
    READING,
    REFUSED,
    YIS,
    Address,
    Answer,
    Visitor,
    every_address,
    filled,
)

OPEN_TO_ANYBODY: Final[dict[str, str]] = {
    "healthz": "asked by load balancers",
    "metrics": "asked by a Prometheus on this machine; from elsewhere with a token (test_platform)",
    "api/schema/": "the description of the API",
    "i18n/setlang/": "the language of the sign-in page",
    "accounts/login/": "sign-in",
    "accounts/logout/": "leads to the first page",
    "accounts/login/code/confirm/": "sign-in",
    "accounts/signup/": "says that one comes by invitation",
    "accounts/inactive/": "says that the access has ended",
    "accounts/confirm-email/": "unused part of sign-in",
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$": "unused part of sign-in",
    "accounts/password/reset/": "a forgotten password",
    "accounts/password/reset/done/": "a forgotten password",
    "accounts/password/reset/key/done/": "a forgotten password",
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "a forgotten password",
    "accounts/2fa/authenticate/": "the second step of sign-in",
    "accounts/2fa/webauthn/login/": "sign-in by passkey",
    "accounts/invitation/<str:token>/": "the way in",
    "attest/<str:token>/": "a named contact signs by the link that was mailed to them alone",
    "manifest.webmanifest": "what the web app is called",
    "service-worker.js": "the web app's program, the same for everybody",
    "offline/": "the page for when there is no network",
    "a/<str:token>/": "the link in a message: the token is the secret (tests/incidents/test_answer_link.py)",
    "receipts/<str:kind>/<str:token>/": "receipts of calls and SMS: the address is the secret (test_calls)",
    "roster/calendar/<str:token>.ics": "a secret address for calendar programs",
    "monitoring/shared/": "takes the secret of a link to a dashboard",
    "monitoring/shared/knock/": "a link to a dashboard",
    "reports/open/<str:token>/": "the link of a mail to a report; forged ones open nothing",
    "bastion/install/node.sh": "what a machine fetches to become a node, the same for everybody (test_installing)",
    "bastion/install/node-<str:digest>.tar.gz": "the node program, the same for everybody (test_installing)",
    "bastion/node/enrol/": "a node brings its token: it is the secret (tests/bastion/test_node_api.py)",
}

REFUSED_TO_PEOPLE: Final = (*REFUSED, HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED)
FOR_NODES: Final = "bastion/node/"
"""Answered to programs that sign with a node's key: to people all of them say 401, or 400 to what has no shape."""
NODE_SOCKET: Final = "/ws/node/"
TERMINAL_SOCKET: Final = "/ws/terminal/"
WATCH_SOCKET: Final = f"/ws/bastion/sessions/{JIAS}/watch/"
"""Of a session of jia's: there is none for anybody else."""

REACHED_BY_THEIR_OWN_TESTS: Final[dict[str, str]] = {
    "roster/notices/<int:pk>/send/": "only while it is a draft (test_responders, test_pages_duty)",
    "announcements/<int:pk>/": "the provider's original belongs to no customer (test_announcements)",
    "attestations/<int:pk>/answer/": "for its signer alone (test_attestations)",
    "attestations/<int:pk>/document/": "has a document once it was signed on paper (test_attestations)",
    "violations/<int:pk>/evidence/": "has a file when one was handed in (test_records)",
    "bastion/terminal/resources/<int:asset_id>/": "for servers with an SSH address (test_terminal_pages)",
    "bastion/terminal/shared/<int:share_id>/": "for its guest alone (test_terminal_pages)",
    "api/v1/requests/<int:pk>/": "the specimen of an incident is no request (test_reach)",
    "bastion/sessions/<int:pk>/recording/": "the specimen's recording was purged (tests/bastion/test_replay.py)",
    "bastion/sessions/<int:pk>/files/<int:number>/": "the specimen has no copy (tests/bastion/test_copies.py)",
    "reports/plans/<int:customer_id>/logo/": "for a customer that has one (tests/reports/test_service.py)",
}
"""What a specimen does not lead to: these are walked by tests with objects of their own."""

OPENED_BY_A_LINK: Final = "monitoring/shared/<int:share_id>/"
"""Shows a dashboard to whoever brings its link's cookie: tests/monitoring/test_dashboards.py walks through it."""

WRITABLE_BY_READERS: Final[dict[str, str]] = {
    "accounts/": "one's own sign-in: password, second factor, sessions",
    "i18n/": "one's own language",
    "profile/": "one's own name, language and read-only tokens",
    "notify/inbox/": "one's own messages",
    "notify/preferences/": "one's own messages",
    "announcements/received/": "that one has read something",
    "notify/devices/": "one's own telephone and browsers",
    "ways-in/chat/": "who one is in a chat",
    "attest/": "whoever brings the link that was mailed to the signer: the token is the secret (test_attestations)",
}

WRITTEN_WHEN_READING: Final[dict[str, str]] = {
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "following the link of a mail signs out",
    "bastion/sessions/<int:pk>/": "who looks at somebody's session is written down",
    "bastion/sessions/<int:pk>/events/": "the same",
    "api/v1/bastion/sessions/<int:pk>/": "the same",
    "reports/accidents/<int:pk>/issues/<int:issue_id>/": "that a recipient has read it is written down",
    "reports/service/<int:pk>/issues/<int:issue_id>/": "that a recipient has read it is written down",
    "reports/accidents/<int:pk>/issues/<int:issue_id>/pdf/": "that a recipient has read it is written down",
    "reports/service/<int:pk>/issues/<int:issue_id>/pdf/": "that a recipient has read it is written down",
    "reports/service/<int:pk>/issues/<int:issue_id>/workbook/": "that a recipient has read it is written down",
    "api/v1/service-reports/<int:pk>/issues/": "that a recipient has read it is written down",
    "api/v1/service-reports/<int:pk>/pdf/": "that a recipient has read it is written down",
}

FOREIGN_FILTERS: Final = urlencode(
    dict.fromkeys(
        ("customer", "customer_id", "asset", "asset_id", "incident", "user", "person", "actor", "assignee", "account",
         "cloud_account", "channel", "target", "id", "pk", "ids", "object"),
        JIAS,
    )
    | {"q": "jx7q", "search": "jx7q", "query": "jx7q"}
)  # fmt: skip
"""What somebody would add to a list's address to see more of it."""


@pytest.fixture
def marks() -> dict[str, Marks]:
    """What jia has, what the provider keeps to itself about jia, what yi has."""
    return {"jia": Marks("jx7q"), "inside": Marks("nx7q"), "yi": Marks("yx7q")}


def _customer(pk: int, marks: Marks) -> Customer:
    texts = {name: marks.new(f"accounts.Customer.{name}") for name in ("name", "short_name", "code", "notes")}
    with scope.platform("test"):
        return Customer.objects.create(pk=pk, status=Customer.Status.IN_SERVICE, created_at=NOW, **texts)


def _person(pk: int, role: Role, customer: Customer, marks: Marks) -> User:
    texts = {name: marks.new(f"accounts.User.{name}") for name in ("name", "phone")}
    email = f"{marks.new('accounts.User.email')}@example.com"
    with scope.platform("test"):
        return User.objects.create(pk=pk, email=email, role=role, customer=customer, **texts)


@pytest.fixture
def jia(db: None, marks: dict[str, Marks]) -> Customer:
    return _customer(JIAS, marks["jia"])


@pytest.fixture
def yi(db: None, marks: dict[str, Marks]) -> Customer:
    return _customer(YIS, marks["yi"])


@pytest.fixture
def alice(jia: Customer, marks: dict[str, Marks]) -> User:
    return _person(JIAS, Role.CUSTOMER_PM, jia, marks["jia"])


@pytest.fixture
def eve(yi: Customer, marks: dict[str, Marks]) -> User:
    return _person(YIS, Role.CUSTOMER_PM, yi, marks["yi"])


@pytest.fixture
def yis_engineer(yi: Customer) -> User:
    person = make_person("dora", Role.ENGINEER)
    with scope.platform("test"):
        Assignment.objects.create(customer=yi, user=person, assigned_at=NOW)
    return person


@pytest.fixture(autouse=True)
def planted(jia: Customer, yi: Customer, alice: User, eve: User, lin: User, marks: dict[str, Marks]) -> None:
    of_jia = Specimens(jia, alice, marks["jia"], JIAS)
    of_jia.plant()
    Specimens(yi, eve, marks["yi"], YIS).plant()
    internal = Specimens(jia, lin, marks["inside"], JIAS + 1, is_internal=True)
    kept_back = {model for model in of_jia.made if _can_be_internal(model)}
    internal.made = {model: made for model, made in of_jia.made.items() if model not in kept_back}
    internal.plant()

    with scope.platform("test"):
        _issue(of_jia)
        for specimens, kind in (
            (of_jia, Attachment), (internal, Attachment), (of_jia, ChangeFile), (of_jia, DutyFile)
        ):  # fmt: skip
            kept = specimens.made[kind]
            assert isinstance(kept, Attachment | ChangeFile | DutyFile)
            default_storage.delete(kept.stored_name)
            default_storage.save(kept.stored_name, ContentFile(specimens.marks.new("the file itself").encode()))
        texts = {name: marks["jia"].new(f"notify.Delivery.{name}") for name in ("key", "subject", "text")}
        message = Delivery(
            pk=JIAS + INBOX_ID, customer=jia, user=alice, medium=Delivery.Medium.INBOX, topic="incident", **texts
        )
        message.next_attempt_at = message.created_at = NOW
        message.save()


def _issue(specimens: Specimens) -> None:
    """The customer has been sent the reports: their documents are there to be taken and received."""
    for kind, of in ((AccidentFile, AccidentReport), (ServiceFile, ServiceReport)):
        document = specimens.made[kind]
        assert isinstance(document, AccidentFile | ServiceFile)
        content = specimens.marks.new("the document itself").encode()
        default_storage.delete(document.stored_name)
        default_storage.save(document.stored_name, ContentFile(content))
        kind.objects.filter(pk=document.pk).update(
            state=MadeState.READY, sha256=hashlib.sha256(content).hexdigest(), sent_at=NOW
        )
        of.objects.filter(issues=document.issue).update(sent_at=NOW)


def _can_be_internal(model: type[models.Model]) -> bool:
    return any(field.name == "is_internal" for field in model._meta.fields)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Specimens hold addresses of nothing; whoever calls them is told at once that nothing is there."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(this: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] != "127.0.0.1":
            raise ConnectionRefusedError(address)
        connect(this, address)

    def look_up_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)


@pytest.fixture(autouse=True)
def _unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One visitor asks more in a minute than the API allows a person: each address shall answer for itself."""
    monkeypatch.setattr(PersonThrottle, "allow_request", lambda *_asked: True)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.CRITICAL, "django"), caplog.at_level(logging.CRITICAL, "accounts"):
        yield  # thousands of refusals that were asked for


def _seen(answer: Answer, marks: dict[str, Marks], *whose: str) -> list[str]:
    return [place for name in whose or marks for place in marks[name].in_text(answer.text)]


def _is_refusal(visitor: Visitor, address: Address, method: str, answer: Answer) -> bool:
    """404 or 403; or what is asked and said before any object is looked for: the password, or a form that is wrong."""
    if answer.status in REFUSED or answer.location.startswith("/accounts/reauthenticate/"):
        return True
    return answer.status == HTTPStatus.BAD_REQUEST and visitor.ask(address.of_nobody, method).status == answer.status


def _report(problems: list[str]) -> None:
    assert not problems, f"{len(problems)} of the addresses leak or give way:\n" + "\n".join(problems)


def as_nobody(marks: dict[str, Marks]) -> Iterator[str]:
    visitor = Visitor(Client())
    for address in every_address():
        is_open = address.pattern in OPEN_TO_ANYBODY
        for method in PAGE_METHODS if is_open else address.methods:
            answer = visitor.ask(address, method)
            what = f"{method} {address.pattern}"
            to_sign_in = answer.status == HTTPStatus.FOUND and answer.location.startswith("/accounts/")
            if not is_open and not to_sign_in and answer.status not in (HTTPStatus.UNAUTHORIZED, *REFUSED):
                yield f"{what} answers nobody with {answer.status}"
            if answer.is_broken:
                yield f"{what} breaks ({answer.status}) for nobody"
            yield from (f"{what} shows {place}" for place in _seen(answer, marks))


def as_stranger(visitor: Visitor, marks: dict[str, Marks], own: set[str]) -> Iterator[str]:
    """Everything that a person of yi can ask for; what they rightly see of yi's is noted in `own`."""
    for address in every_address():
        answers = [(method, visitor.ask(address, method)) for method in address.methods]
        for extra, headers in (
            (("", {"HX-Request": "true"}), ("&export=csv", {})) if not address.names_an_object else ()
        ):
            answers.append(("GET", visitor.ask(address, query=FOREIGN_FILTERS + extra, headers=headers)))
        for method, answer in answers:
            what = f"{method} {address.pattern}"
            yield from (f"{what} shows {place} ({answer.status})" for place in _seen(answer, marks, "jia", "inside"))
            own.update(_seen(answer, marks, "yi"))
            if address.names_an_object and method != "OPTIONS" and not _is_refusal(visitor, address, method, answer):
                yield f"{what} answers {answer.status} for an object of jia, not 404"
            yield from _faults(address, method, answer)


def as_reader(visitor: Visitor, marks: dict[str, Marks]) -> Iterator[str]:
    for address in every_address():
        is_own = address.pattern.startswith(tuple(WRITABLE_BY_READERS))
        for method in address.methods:
            answer = visitor.ask(address, method)
            what = f"{method} {address.pattern}"
            yield from (f"{what} shows {place} ({answer.status})" for place in _seen(answer, marks, "inside", "yi"))
            refused = REFUSED_TO_PEOPLE if address.pattern.startswith(FOR_NODES) else REFUSED
            if method not in READING and not is_own and (answer.status not in refused or answer.written):
                yield f"{what} answers {answer.status} to a read-only user and writes to {sorted(answer.written)}"
            yield from _faults(address, method, answer)
        yield from _kept_back(visitor, address, marks)


def _kept_back(visitor: Visitor, address: Address, marks: dict[str, Marks]) -> Iterator[str]:
    """What a customer is shown who asks for the provider's internal objects by their ids."""
    for internal in address.internal:
        yield from (f"{internal.path} shows {place}" for place in _seen(visitor.ask(internal), marks, "inside"))


def _faults(address: Address, method: str, answer: Answer) -> Iterator[str]:
    """What is wrong whoever asks."""
    if answer.is_broken:
        yield f"{method} {address.pattern} breaks ({answer.status})"
    if method == "GET":
        yield from (f"GET {address.pattern} shows what only Python calls so: {words}" for words in answer.raw_words)
    if method in READING and answer.written and address.pattern not in WRITTEN_WHEN_READING:
        yield f"{method} {address.pattern} writes to {sorted(answer.written)}"


def test_nobody_signed_in_gets_no_further_than_the_sign_in_page(marks: dict[str, Marks]) -> None:
    _report(list(as_nobody(marks)))


@pytest.mark.parametrize("who", ["eve", "yis_engineer"])
def test_another_customers_people_find_nothing_of_jia(
    who: str, request: pytest.FixtureRequest, client_for: ClientFor, marks: dict[str, Marks]
) -> None:
    own: set[str] = set()
    _report(list(as_stranger(Visitor(client_for(request.getfixturevalue(who))), marks, own)))
    assert len(own) > 15, f"the walk is blind: of what these people may see it saw only {sorted(own)}"


def test_a_read_only_user_reads_what_is_theirs_and_changes_nothing(
    vera: User, client_for: ClientFor, marks: dict[str, Marks]
) -> None:
    _report(list(as_reader(Visitor(client_for(vera)), marks)))


def test_the_right_people_do_find_it_so_that_the_walk_proves_something(
    alice: User, root: User, client_for: ClientFor, marks: dict[str, Marks]
) -> None:
    """Each address of an object leads somewhere for jia's project manager or the administrator, and nothing breaks."""
    visitors = {"alice": Visitor(client_for(alice)), "root": Visitor(client_for(root))}
    problems: list[str] = []
    seen: set[str] = set()
    for address in every_address():
        found = {}
        for who, visitor in visitors.items():
            for method in PAGE_METHODS:
                answer = visitor.ask(address, method)
                found[f"{who} {method}"] = answer.status
                problems += [f"{fault} for {who}" for fault in _faults(address, method, answer)]
                if who == "alice":
                    seen.update(_seen(answer, marks, "jia"))
                    problems += [
                        f"{method} {address.pattern} shows the customer {place}"
                        for place in _seen(answer, marks, "inside")
                    ]
        problems += _kept_back(visitors["alice"], address, marks)
        elsewhere = (OPENED_BY_A_LINK, *REACHED_BY_THEIR_OWN_TESTS)
        has_a_way_in = address.names_an_object and not address.pattern.startswith(elsewhere)
        if has_a_way_in and all(status in REFUSED for status in found.values()):
            problems.append(f"{address.pattern} leads nowhere for anybody, so the walk proves nothing there: {found}")
    _report(problems)
    assert len(seen) > 40, f"the walk is blind: of jia's columns it saw only {sorted(seen)}"


# --- ids inside forms -----------------------------------------------------------------------------------------------


class Forms(HTMLParser):
    """The forms of a page: where they are sent, and their fields with a value that each would take."""

    TEXTS: Final = {
        "email": "x@example.com",
        "date": "2026-03-03",
        "datetime-local": "2026-03-03T10:00",
        "time": "10:00",
        "number": "7",
        "url": "https://x.example/",
        "tel": "13900000000",
        "password": "a quiet river 77",
    }

    def __init__(self, page: str, pk: int) -> None:
        super().__init__()
        self.found: dict[str, dict[str, object]] = {}
        self._page, self._pk = page, pk
        self._fields: dict[str, object] = {}
        self._choosing = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        sent_to = given.get("hx-post") or (given.get("action") if given.get("method", "").lower() == "post" else None)
        if tag == "form" or given.get("hx-post"):
            self._fields = self.found.setdefault(urlsplit(sent_to or self._page).path or self._page, {})
        elif tag == "select":
            self._choosing = name
            self._fields[name] = self._pk
        elif tag == "option" and self._choosing and not given.get("value", "").isdigit() and given.get("value"):
            self._fields[self._choosing] = given["value"]  # words to choose from, no objects
        elif tag == "textarea":
            self._fields[name] = "x"
        elif tag == "input" and name and name != "csrfmiddlewaretoken":
            self._fields[name] = self._of_input(given)

    def _of_input(self, given: dict[str, str]) -> object:
        kind = given.get("type", "text")
        if kind in ("checkbox", "radio", "hidden"):
            value = given.get("value", "on")
            return self._pk if value.isdigit() and len(value) > 4 else value
        return given.get("value") or self.TEXTS.get(kind, "x")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._choosing = ""


def _crossing_sql() -> str:
    """Names every column by which a row of one customer points at a row of another."""
    tables = {table.name: table for table in row_security.tables()}
    looks = []
    for model in apps.get_models(include_auto_created=True):
        table = tables.get(model._meta.db_table)
        for field in model._meta.local_concrete_fields if table and table.column == "customer_id" else ():
            target = field.related_model
            if not isinstance(target, type) or target is Customer or target._meta.db_table not in tables:
                continue
            looks.append(
                f"SELECT '{model._meta.label}.{field.name}' FROM \"{model._meta.db_table}\" here"
                f' JOIN "{target._meta.db_table}" there ON there."{target._meta.pk.column}" = here."{field.column}"'
                f" WHERE here.customer_id <> there.customer_id"
            )
    return " UNION ".join(looks)


@pytest.mark.parametrize("who", ["eve", "yis_engineer", "root"])
def test_no_form_makes_a_row_of_one_customer_point_at_anothers(
    who: str, request: pytest.FixtureRequest, client_for: ClientFor, marks: dict[str, Marks]
) -> None:
    """Foreign keys are checked past the wall: what a form takes for one of its objects must be one of its customer's.

    Each form of yi's pages is sent as it is, to see that it works, and with jia's id for each object that it names.
    """
    visitor = Visitor(client_for(request.getfixturevalue(who)), look_for_strays=_crossing_sql())
    working: set[str] = set()
    problems = list(try_forms(visitor, {} if who == "root" else marks, working))
    _report(problems)
    assert len(working) > 5, f"the walk is blind: only {sorted(working)} took what was sent"


def try_forms(visitor: Visitor, marks: dict[str, Marks], working: set[str]) -> Iterator[str]:
    routes = {address.path: address for address in every_address(YIS)}
    sent = [(to, fields) for page in routes.values() for to, fields in _forms_of(visitor.ask(page), page).items()]
    for path_sent_to, fields in [*sent, *_api_forms()]:
        address = routes.get(path_sent_to)
        if address is None or address.pattern.startswith(("accounts/", "i18n/")):
            continue
        if visitor.ask(address, "POST", form=fields).written:
            working.add(address.pattern)
        for name, foreign in [(name, _foreign(value)) for name, value in fields.items() if value in (YIS, [YIS])]:
            answer = visitor.ask(address, "POST", form=fields | {name: foreign})
            what = f"POST {address.pattern} with jia's {name}"
            yield from (f"{what} makes {place} point at another customer" for place in answer.strays)
            yield from (
                f"{what} shows {place}" for whose in marks if whose != "yi" for place in _seen(answer, marks, whose)
            )
            yield from (f"{what}: {fault}" for fault in _faults(address, "POST", answer))


def _foreign(value: object) -> object:
    return [JIAS] if isinstance(value, list) else JIAS


def _api_forms() -> Iterator[tuple[str, dict[str, object]]]:
    """What each POST of the API takes, by its own description: yi's id wherever it wants an integer."""
    generator: Any = ApiSchemaGenerator  # without types
    schema = generator().get_schema(public=True)
    parts = schema["components"]["schemas"]

    def value(kind: dict[str, Any]) -> object:
        if "$ref" in kind or "allOf" in kind:
            return value(parts[kind.get("$ref", kind.get("allOf", [{}])[0].get("$ref")).rpartition("/")[2]])
        if "enum" in kind:
            return kind["enum"][0]
        if kind.get("type") == "array":
            return [value(kind["items"])]
        return {"string": "x", "boolean": False, "integer": YIS}.get(str(kind.get("type")))

    for where, verbs in schema["paths"].items():
        body = verbs.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        wanted = parts[body["schema"]["$ref"].rpartition("/")[2]]["properties"] if body else {}
        yield re.sub(r"{\w+}", str(YIS), where), {name: value(kind) for name, kind in wanted.items()}


def _forms_of(answer: Answer, page: Address) -> dict[str, dict[str, object]]:
    parser = Forms(page.path, YIS)
    parser.feed(answer.text)
    return parser.found


# --- WebSockets -----------------------------------------------------------------------------------------------------


def _socket_routes(application: Any) -> list[str]:
    """The paths of the WebSockets, however the application is wrapped."""
    while application is not None and not isinstance(application, URLRouter):
        inner = getattr(application, "inner", None) or getattr(application, "application", None)
        application = inner or getattr(application, "application_mapping", {}).get("websocket")
    found = []
    for route in [] if application is None else application.routes:
        found += _socket_routes(route.callback) or ["/" + filled(str(route.pattern), JIAS)]
    return found


@pytest.mark.django_db(transaction=True)
def test_no_socket_opens_to_nobody_or_tells_of_another_customer(
    jia: Customer, yi: Customer, eve: User, client_for: ClientFor
) -> None:
    application = import_module("rdmp.asgi").application  # here, because it looks into the database when it is loaded
    paths = _socket_routes(application)
    assert NODE_SOCKET in paths
    assert WATCH_SOCKET in paths
    assert len(paths) > 1
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client_for(eve).cookies.items())
    open_socket: Any = ApplicationCommunicator

    async def listen(where: str, cookie: str) -> list[dict[str, Any]]:
        headers = [(b"origin", b"http://testserver"), (b"host", b"testserver"), (b"cookie", cookie.encode())]
        socket_ = open_socket(
            application, {"type": "websocket", "path": where, "query_string": b"", "headers": headers}
        )
        await socket_.send_input({"type": "websocket.connect"})
        heard = [await socket_.receive_output(timeout=5)]
        if heard[0]["type"] == "websocket.accept":
            for customer in (jia, yi):  # what is told in this order is heard in it: first nothing, then her own
                publish = sync_to_async(live.publish)
                await publish(customer_id=customer.pk, topic="incidents", object_id=customer.pk)
            if where != TERMINAL_SOCKET or not await socket_.receive_nothing(timeout=1):
                heard.append(await socket_.receive_output(timeout=5))
        await socket_.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket_.wait()
        return heard

    for where in paths:
        if where == NODE_SOCKET:
            for cookie in ("", cookies):
                assert async_to_sync(listen)(where, cookie) == [{"type": "websocket.close", "code": 4401}]
            continue
        *_accepted, closed = async_to_sync(listen)(where, "")  # a browser hears the code of what was accepted alone
        assert (closed["type"], closed["code"]) == ("websocket.close", 4401)
        if where == WATCH_SOCKET:
            *_accepted, closed = async_to_sync(listen)(where, cookies)
            assert (closed["type"], closed["code"]) == ("websocket.close", 4404)
            continue
        if where == TERMINAL_SOCKET:  # it says nothing before it is asked
            [accepted] = async_to_sync(listen)(where, cookies)
            assert accepted["type"] == "websocket.accept"
            continue
        accepted, event = async_to_sync(listen)(where, cookies)
        assert accepted["type"] == "websocket.accept"
        assert str(YIS) in event["text"]
        assert str(JIAS) not in event["text"]


# --- does the walk notice? ------------------------------------------------------------------------------------------


def _leak(request: HttpRequest, pk: int = JIAS) -> HttpResponse:
    """The mistake that the walk is for: the customer comes from the address."""
    with scope.platform("a mistake"):
        customer = Customer.objects.get(pk=pk)
        if request.method == "GET":
            Customer.objects.filter(pk=pk).update(notes=customer.notes)
        return HttpResponse(customer.name)


def _cross(request: HttpRequest, pk: int) -> HttpResponse:
    """The other mistake: what a form names is taken as it comes."""
    if request.method == "POST":
        IncidentAsset.objects.filter(incident=pk).update(asset_id=int(request.POST["asset"]))
    return HttpResponse(f'<form method="post"><select name="asset"><option value="{YIS}"></select></form>')


def _break(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


urlpatterns = [
    path("", include("rdmp.urls")),
    path("new-form/<int:pk>/", _cross),
    path("new-route/", _leak),
    path("new-route/<int:pk>/", _leak),
    path("new-broken-route/", _break),
]
"""An address book in which somebody has added some routes."""


@pytest.fixture
def _new_routes(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOT_URLCONF = __name__
    added = {pk: [each for each in every_address(pk) if each.pattern.startswith("new")] for pk in (JIAS, YIS)}
    monkeypatch.setattr(f"{__name__}.every_address", lambda pk=JIAS: added[pk])


@pytest.mark.usefixtures("_new_routes")
def test_a_new_form_that_takes_any_id_is_found(eve: User, client_for: ClientFor) -> None:
    visitor = Visitor(client_for(eve), look_for_strays=_crossing_sql())
    assert list(try_forms(visitor, {}, set())) == [
        "POST new-form/<int:pk>/ with jia's asset makes incidents.IncidentAsset.asset point at another customer"
    ]


@pytest.mark.usefixtures("_new_routes")
def test_a_new_route_that_leaks_writes_or_breaks_is_found(
    eve: User, vera: User, client_for: ClientFor, marks: dict[str, Marks]
) -> None:
    as_eve = list(as_stranger(Visitor(client_for(eve)), marks, set()))
    assert "GET new-route/ shows accounts.Customer.name (200)" in as_eve
    assert "GET new-route/<int:pk>/ shows accounts.Customer.name (200)" in as_eve
    assert "GET new-route/<int:pk>/ answers 200 for an object of jia, not 404" in as_eve
    assert "GET new-route/ writes to ['accounts_customer']" in as_eve
    assert "GET new-broken-route/ breaks (500)" in as_eve
    as_vera = list(as_reader(Visitor(client_for(vera)), marks))
    assert "POST new-route/ answers 200 to a read-only user and writes to []" in as_vera
    assert list(as_nobody(marks)) == []  # to sign in is asked of everybody, without anybody asking for it


def test_an_address_with_an_unknown_parameter_stops_the_walk() -> None:
    with pytest.raises(AssertionError, match="no value for <str:colour>"):
        filled("paint/<str:colour>/", JIAS)
