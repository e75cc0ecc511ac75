"""The REST API: who may call it, what a token may, and problems said in one way."""

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import Client
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.throttling import SimpleRateThrottle

from accounts import scope
from accounts.api import problem_details
from accounts.errors import DomainError
from accounts.models import Customer, User
from accounts.services import people, tokens
from tests.conftest import ClientFor

LIST = "/api/v1/incidents/"


def token_of(person: User, kind: str = "read", valid_for: timedelta = timedelta(days=1)) -> str:
    with scope.user(person):
        now = timezone.now()
        _token, key = tokens.issue(actor=person, name="x", scope=kind, valid_for=valid_for, now=now)
    return key


def api(key: str, kind: str = "Bearer") -> Client:
    return Client(headers={"Authorization": f"{kind} {key}"})


def test_nobody_is_told_to_bring_a_token(db: None) -> None:
    answer = Client().get(LIST)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_a_token_opens_the_api_for_its_person(kind: str, alice: User) -> None:
    assert api(token_of(alice), kind).get(LIST).status_code == 200


def test_a_token_needs_no_second_factor_because_its_maker_had_one(chen: User) -> None:
    assert api(token_of(chen)).get(LIST).status_code == 200


@pytest.mark.parametrize("header", ["rdmp_wrong", "Bearer", "Bearer  ", "Basic YTpi", "Bearer rdmp_wrong", "Token x"])
def test_anything_else_is_401(header: str, alice: User) -> None:
    assert Client(headers={"Authorization": header}).get(LIST).status_code == 401


def test_a_wrong_token_is_not_made_good_by_a_session(alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    assert browser.get(LIST).status_code == 200
    assert browser.get(LIST, headers={"Authorization": "Bearer rdmp_wrong"}).status_code == 401


def test_an_ended_token_is_401_from_then_on(alice: User) -> None:
    key = token_of(alice)
    with scope.platform("test"):
        token = tokens.find(key, now=timezone.now())
        assert token is not None
    assert api(key).get(LIST).status_code == 200
    with scope.user(alice):
        tokens.revoke(token=token, actor=alice, now=timezone.now())
    assert api(key).get(LIST).status_code == 401


def test_a_token_ends_with_the_access_of_its_person(bob: User, root: User) -> None:
    key = token_of(bob, "write")
    with scope.user(root):
        people.change(person=bob, actor=root, now=timezone.now(), is_active=False)
    assert api(key).get(LIST).status_code == 401


def test_a_token_opens_no_page(alice: User) -> None:
    answer = api(token_of(alice, "write")).get("/profile/")
    assert answer.status_code == 302


def test_a_read_only_token_writes_nothing(alice: User) -> None:
    body = {"title": "x", "description": "y", "severity": 3}
    assert api(token_of(alice)).post(LIST, body, content_type="application/json").status_code == 403
    assert api(token_of(alice)).options(LIST).status_code == 200


def test_a_token_that_may_write_writes_no_more_once_its_person_may_only_read(bob: User, root: User) -> None:
    key = token_of(bob, "write")
    with scope.user(root):
        people.change(person=bob, actor=root, now=timezone.now(), role="customer_viewer")
    body = {"title": "x", "description": "y", "severity": 3}
    assert api(key).post(LIST, body, content_type="application/json").status_code == 403
    assert api(key).get(LIST).status_code == 200


def test_the_browsers_session_needs_its_csrf_token_to_write(alice: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    with scope.platform("test"):
        browser.force_login(alice)
    answer = browser.post(LIST, {"title": "x"}, content_type="application/json")
    assert answer.status_code == 403


def test_a_token_reaches_what_its_person_reaches_now(jia: Customer, chen: User) -> None:
    key = token_of(chen)
    with scope.platform("test"):
        chen.assignments.all().delete()
    assert api(key).get(LIST).json()["results"] == []


@pytest.fixture
def two_calls_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", {"person": "2/min"})


def test_too_many_calls_are_429_with_the_time_to_wait(alice: User, bob: User, two_calls_a_minute: None) -> None:
    browser = api(token_of(alice))
    assert [browser.get(LIST).status_code for _ in range(3)] == [200, 200, 429]
    assert int(browser.get(LIST)["Retry-After"]) > 0
    assert api(token_of(bob)).get(LIST).status_code == 200


@pytest.mark.parametrize(
    ("problem", "status", "kind"),
    [
        (DomainError("shut", code="shut"), 409, "shut"),
        (Http404("which?"), 404, "not_found"),
        (PermissionDenied("why"), 403, "forbidden"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.ParseError(), 400, "parse_error"),
        (exceptions.ValidationError({"title": ["empty"]}), 400, "invalid"),
    ],
)
def test_every_problem_has_type_title_status_and_detail(problem: Exception, status: int, kind: str) -> None:
    answer = problem_details(problem, {})
    assert answer is not None
    assert answer.status_code == answer.data["status"] == status
    assert answer.data["type"] == f"urn:rdmp:{kind}"
    assert answer.data["title"]
    assert answer.data["detail"]
    assert "which?" not in str(answer.data)


def test_a_bug_is_no_problem_of_the_api_but_ours() -> None:
    assert problem_details(ValueError("a bug"), {}) is None


def test_the_wrong_fields_are_named() -> None:
    answer = problem_details(exceptions.ValidationError({"title": ["empty"]}), {})
    assert answer is not None
    assert answer.data["errors"] == {"title": ["empty"]}


def test_the_schema_is_open_and_of_version_3_1(db: None) -> None:
    answer = Client().get("/api/schema/", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")
    assert LIST in answer.json()["paths"]


def test_pages_of_a_list_are_bounded(alice: User, settings: LazySettings) -> None:
    answer = api(token_of(alice)).get(LIST, {"page_size": 100_000})
    assert answer.status_code == 200
    assert set(answer.json()) >= {"next", "previous", "results"}


@pytest.mark.django_db(transaction=True)
def test_a_moment_beyond_the_database_is_a_bad_request(alice: User, client_for: ClientFor) -> None:
    answer = client_for(alice).get("/api/v1/assets/", {"expires_before": "7430-01-11T03:28:00+19:51"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:rdmp:out_of_range"
