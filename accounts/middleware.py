"""What every request passes: whose rows it may touch, the second factor, and refusals said in one way."""

import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from accounts import limiter, scope, signin
from accounts.errors import DomainError
from accounts.models import ApiToken, User
from accounts.services import entering, tokens
from accounts.signin import turned_away

GetResponse = Callable[[HttpRequest], HttpResponseBase]
SIGN_IN_PATHS = "/accounts/"
API_PATHS = "/api/"
SEEN_EVERY = timedelta(minutes=1)
UNASKED = object()
"""No token was sent; None is a token that is not valid."""


class ScopeMiddleware:
    """Derives the scope from the person alone, never from a parameter or header; nobody signed in means no scope.

    The sign-in pages work on the platform's scope, because who is there is what they find out.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with scope.platform("who is this"):
            person = _person(request)
        if getattr(request, "api_token", UNASKED) is None and limiter.failed(request, "API token"):
            return limiter.too_many(request)
        if request.path.startswith(SIGN_IN_PATHS):
            reach = scope.Scope(None, "sign-in pages")
        elif person is None:
            return self.get_response(request)
        else:
            reach = scope.of(person)
        with scope.entered(reach):
            response = self.get_response(request)
        if isinstance(response, StreamingHttpResponse):
            content: Any = response.streaming_content  # bytes one by one, of either kind
            wrap = _streamed_within_async if response.is_async else _streamed_within
            response.streaming_content = wrap(reach, content)
        return response


def _person(request: HttpRequest) -> User | None:
    token = _api_token(request)
    if token is not None:
        request.user = token.user
        return token.user
    if not isinstance(request.user, User) or not request.user.is_active:
        return None
    _note_activity(request)
    return request.user


def _api_token(request: HttpRequest) -> ApiToken | None:
    if not request.path.startswith(API_PATHS):
        return None
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return None
    token = tokens.find(key.strip(), now=timezone.now())
    request.api_token = token  # type: ignore[attr-defined]  # read by accounts.api
    return token


def _note_activity(request: HttpRequest) -> None:
    """Keep the list of sessions that their owner can end, at most once a minute."""
    now = timezone.now().timestamp()
    if now - request.session.get("seen_at", 0) > SEEN_EVERY.total_seconds():
        request.session["seen_at"] = now
        UserSession.objects.create_from_request(request)


def _streamed_within(reach: scope.Scope, content: Iterable[bytes]) -> Iterator[bytes]:
    chunks = iter(content)
    while True:
        with scope.entered(reach):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


async def _streamed_within_async(reach: scope.Scope, content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    chunks = aiter(content)
    while True:
        with scope.entered(reach):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk


class SecondFactorMiddleware:
    """The provider's people reach every customer, so they get nowhere without a second factor (N3)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_missing = isinstance(request.user, User) and signin.lacks_second_factor(request.user)
        request.second_factor_missing = is_missing  # type: ignore[attr-defined]  # read by the page's navigation
        if not is_missing or self._is_open(request):
            return self.get_response(request)
        return HttpResponse(status=403) if request.path.startswith(API_PATHS) else redirect("mfa_index")

    def _is_open(self, request: HttpRequest) -> bool:
        by_token = getattr(request, "api_token", None) is not None
        return by_token or request.path.startswith((SIGN_IN_PATHS, settings.STATIC_URL))


class EntryMiddleware:
    """Turns away who comes from an address that the rules of entry do not name, whatever it was that signed them in.

    The server in front of us has settled who asks: `REMOTE_ADDR` is the client's own only where that one is trusted.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        person, address = request.user, request.META.get("REMOTE_ADDR", "")
        if not isinstance(person, User) or not person.is_active or request.path == reverse("account_logout"):
            return self.get_response(request)
        if entering.may_enter(person, address):
            return self.get_response(request)
        is_api = request.path.startswith(API_PATHS)
        entering.note_refused(person=person, address=address, door="api" if is_api else "web", now=timezone.now())
        if is_api:
            detail = _("Your account may not be used from %(address)s.") % {"address": address}
            problem = {"type": "urn:rdmp:address", "title": "address", "status": 403, "detail": detail}
            return JsonResponse(problem, status=403, content_type="application/problem+json")
        return turned_away(request)


class DomainErrorMiddleware:
    """Shows a refusal once: a toast to htmx, otherwise a message on the page that the person came from."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DomainError):
            return None
        if getattr(request, "htmx", False):
            toast = json.dumps({"toast": {"level": "error", "text": exception.message}})
            return HttpResponse(status=422, headers={"HX-Trigger": toast, "HX-Reswap": "none"})
        messages.error(request, exception.message)
        return HttpResponseRedirect(_back(request))


def _back(request: HttpRequest) -> str:
    came_from = request.headers.get("Referer", "")
    same_site = url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure())
    in_circles = request.method == "GET" and urlsplit(came_from).path == request.path
    return came_from if same_site and not in_circles else reverse("home")
