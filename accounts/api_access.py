"""Who calls the REST API, what they may, how fast and in what portions. (Loaded by REST framework's own settings, so
nothing here may import its views.)"""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions, pagination, permissions, throttling
from rest_framework.request import Request

from accounts.models import ApiToken, User
from accounts.permissions import can_write

READING = ("GET", "HEAD", "OPTIONS")


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer rdmp_…`; the middleware has looked the token up, because it sets the scope."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        if "bearer" not in request.headers.get("Authorization", "").lower():
            return None
        token: ApiToken | None = getattr(request._request, "api_token", None)
        if token is None:
            raise exceptions.AuthenticationFailed
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SessionAuthentication(authentication.SessionAuthentication):
    """The browser's own session, with its CSRF token."""


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself, untyped
    target_class = "accounts.api_access.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the same
    target_class = "accounts.api_access.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "rdmp_session"}


class MayUseApi(permissions.BasePermission):
    """Signed in; and to write, neither a read-only person nor a read-only token. A token for samples reads nothing."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, User):
            return False
        token = request.auth
        if isinstance(token, ApiToken) and token.scope == ApiToken.Scope.METRICS:
            return False
        if request.method in READING:
            return True
        return can_write(request.user) and (not isinstance(token, ApiToken) or token.scope == ApiToken.Scope.WRITE)


class MayWriteSamples(permissions.BasePermission):
    """A token for samples, or one that may write anything, of somebody who may write."""

    def has_permission(self, request: Request, view: Any) -> bool:
        token = request.auth
        if not isinstance(token, ApiToken) or not isinstance(request.user, User):
            return False
        return can_write(request.user) and token.scope in (ApiToken.Scope.METRICS, ApiToken.Scope.WRITE)


class PersonThrottle(throttling.UserRateThrottle):
    scope = "person"


class CursorPagination(pagination.CursorPagination):
    """Stable under inserts. `page_size` up to 500."""

    ordering = "-pk"
    page_size_query_param = "page_size"
    max_page_size = 500
