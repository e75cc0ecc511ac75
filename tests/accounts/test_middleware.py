"""What every request passes: refusals said once and in one way, and sign-in pages that stay a small world."""

import json
from collections.abc import Iterator

import pytest
from allauth.usersessions.models import UserSession
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import scope
from accounts.errors import DomainError
from accounts.middleware import SIGN_IN_PATHS, DomainErrorMiddleware, ScopeMiddleware
from accounts.models import User
from accounts.views.people import invitation
from tests.conftest import ClientFor

REFUSAL = "The door is shut. Nothing was changed. Ring the bell."


def refuse(**headers: str) -> HttpResponse:
    request = RequestFactory().post("/somewhere/", headers=headers)
    request.htmx = "hx-request" in headers  # type: ignore[attr-defined]  # as its own middleware does
    request._messages = Pad()  # type: ignore[attr-defined]  # as its own middleware does
    answer = DomainErrorMiddleware(HttpResponse).process_exception(request, DomainError(REFUSAL))
    assert answer is not None
    answer.said = request._messages.said  # type: ignore[attr-defined]
    return answer


class Pad:
    def __init__(self) -> None:
        self.said: list[str] = []

    def add(self, level: int, message: str, extra_tags: str) -> None:
        self.said.append(message)


def test_a_refusal_is_shown_on_the_page_that_the_person_came_from() -> None:
    answer = refuse(referer="http://testserver/incidents/7/")
    assert (answer.status_code, answer["Location"]) == (302, "http://testserver/incidents/7/")
    assert answer.said == [REFUSAL]  # type: ignore[attr-defined]


@pytest.mark.parametrize("elsewhere", ["", "https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_a_refusal_leads_nowhere_else(elsewhere: str) -> None:
    assert refuse(referer=elsewhere)["Location"] == "/"


def test_a_page_that_refuses_itself_does_not_send_in_circles() -> None:
    request = RequestFactory().get("/somewhere/", headers={"referer": "http://testserver/somewhere/?page=2"})
    request.htmx = False  # type: ignore[attr-defined]
    request._messages = Pad()  # type: ignore[attr-defined]
    answer = DomainErrorMiddleware(HttpResponse).process_exception(request, DomainError(REFUSAL))
    assert answer is not None
    assert answer["Location"] == "/"


def test_a_fragment_gets_a_toast_that_survives_a_header() -> None:
    request = RequestFactory().post("/somewhere/")
    request.htmx = True  # type: ignore[attr-defined]
    middleware = DomainErrorMiddleware(HttpResponse)
    answer = middleware.process_exception(request, DomainError("不行"))
    assert answer is not None
    assert answer.status_code == 422
    assert answer["HX-Reswap"] == "none"
    assert json.loads(answer["HX-Trigger"])["toast"]["text"] == "不行"
    assert answer["HX-Trigger"].isascii()


def test_other_errors_are_not_hidden() -> None:
    middleware = DomainErrorMiddleware(HttpResponse)
    assert middleware.process_exception(RequestFactory().get("/"), ValueError("a bug")) is None


def patterns(found: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in found.url_patterns:
        path = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from patterns(each, path)
        else:
            yield path, each


def test_no_page_of_ours_lies_among_the_sign_in_pages_which_see_every_customer() -> None:
    inside = {
        path: each.callback
        for path, each in patterns(get_resolver())
        if f"/{path}".startswith(SIGN_IN_PATHS) and not each.callback.__module__.startswith("allauth.")
    }
    inside.pop("accounts/email/")  # a redirect, see rdmp/urls.py
    assert inside == {"accounts/invitation/<str:token>/": invitation}


def test_the_list_of_sessions_is_written_once_a_minute_at_most(alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    seen = set()
    for _ in range(4):
        browser.get("/profile/")
        with scope.platform("test"):
            seen.add(UserSession.objects.get(user=alice).last_seen_at)
    assert len(seen) == 1


def test_a_stream_that_is_closed_early_closes_what_it_reads(alice: User) -> None:
    closed = []

    def lines() -> Iterator[str]:
        try:
            yield "one"
            yield "two"
        finally:
            closed.append(True)

    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(lines())

    request = RequestFactory().get("/")
    request.user = alice
    request.session = {"seen_at": 1e12}  # type: ignore[assignment]  # as much of a session as is read
    response = ScopeMiddleware(view)(request)
    next(iter(response))
    response.close()
    assert closed == [True]


def test_an_unknown_page_is_404_for_whoever_is_signed_in(alice: User, client_for: ClientFor) -> None:
    assert client_for(alice).get("/no-such-page/").status_code == 404
    assert Client().get("/no-such-page/").status_code == 404
