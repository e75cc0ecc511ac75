"""The ground of the REST API: view sets over rows in scope, and problems said in one way."""

from typing import Any, TypeVar

from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.db.models import Model, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import exceptions, serializers, status, views, viewsets
from rest_framework.response import Response

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User

M = TypeVar("M", bound=Model)


class TenantViewSet(viewsets.GenericViewSet[M]):
    """A view set over rows in scope: foreign and unknown objects are 404.

    Set `model`; override `rows()` for joins. The schema generator works on an empty set, outside any customer.
    """

    model: type[M]

    def rows(self) -> QuerySet[M]:
        return self.model._default_manager.all()

    def get_queryset(self) -> QuerySet[M]:
        if getattr(self, "swagger_fake_view", False):
            with scope.platform("API schema"):
                return self.rows().none()
        return self.rows()

    @property
    def person(self) -> User:
        if not isinstance(self.request.user, User):
            raise exceptions.NotAuthenticated
        return self.request.user

    def said(self, form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """What the body says, checked; ValidationError otherwise."""
        given = form(data=self.request.data)
        given.is_valid(raise_exception=True)
        return dict(given.validated_data)

    def who(self) -> dict[str, Any]:
        """Who acts and when, as every service wants to know."""
        return {"actor": self.person, "now": timezone.now()}

    def shown(self, row: M, code: int = status.HTTP_200_OK) -> Response:
        """A row as it is now, joined as `rows` has it."""
        return Response(self.get_serializer(self.rows().get(pk=row.pk)).data, status=code)


def own_customer(person: User, asked: int | None) -> Customer:
    """A customer's own, or the one that somebody of the provider names; ValidationError when that is none in reach."""
    wanted = asked if person.is_provider else person.customer_id
    customer = Customer.objects.filter(pk=wanted or 0).first() if asked in (None, wanted) else None
    if customer is None:
        raise exceptions.ValidationError({"customer": [_("There is no such customer.")]})
    return customer


def problem_details(problem: Exception, context: dict[str, Any]) -> Response | None:
    """RFC 9457: every error of the API is `application/problem+json` with type, title, status and detail."""
    if isinstance(problem, DomainError):
        return _problem(status.HTTP_409_CONFLICT, problem.code, problem.message)
    if isinstance(problem, Http404):
        return _problem(status.HTTP_404_NOT_FOUND, "not_found", str(exceptions.NotFound.default_detail))
    if isinstance(problem, PermissionDenied):
        return _problem(status.HTTP_403_FORBIDDEN, "forbidden", str(exceptions.PermissionDenied.default_detail))
    if isinstance(problem, DataError):  # a figure or moment that is well formed and yet beyond the database
        views.set_rollback()
        return _problem(status.HTTP_400_BAD_REQUEST, "out_of_range", _("A value is out of range."))
    if not isinstance(problem, exceptions.APIException):
        return None
    views.set_rollback()
    fields = problem.detail if isinstance(problem, exceptions.ValidationError) else None
    detail = str(problem.detail) if fields is None else str(problem.default_detail)
    response = _problem(problem.status_code, problem.default_code, detail, fields)
    wait: float | None = getattr(problem, "wait", None)  # of a throttled call
    if wait is not None:
        response["Retry-After"] = str(int(wait) + 1)
    if problem.status_code == status.HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _problem(code: int, kind: str, detail: str, fields: Any = None) -> Response:
    body = {"type": f"urn:rdmp:{kind}", "title": kind.replace("_", " "), "status": code, "detail": detail}
    if fields is not None:
        body["errors"] = fields
    return Response(body, status=code, content_type="application/problem+json")
