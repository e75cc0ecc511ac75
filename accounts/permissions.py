"""Who may do what, as plain questions about a person; used by views, services and templates alike."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from accounts.models import Role, User

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def is_provider(person: User) -> bool:
    return person.is_provider


def is_manager(person: User) -> bool:
    """Service managers, and administrators who may do all that they may."""
    return person.role in (Role.MANAGER, Role.ADMIN)


def is_admin(person: User) -> bool:
    return person.role == Role.ADMIN


def is_customer_pm(person: User) -> bool:
    return person.role == Role.CUSTOMER_PM


def is_administrator(person: User) -> bool:
    """Of the platform, or of one's own company: which one, the scope says."""
    return is_admin(person) or is_customer_pm(person)


def administers(person: User, customer_id: int | None) -> bool:
    """The provider's administrators everything, a customer's project managers their own company (R101)."""
    return is_admin(person) or (is_customer_pm(person) and person.customer_id == customer_id)


def can_write(person: User) -> bool:
    """Everybody but the read-only users of a customer."""
    return person.role != Role.CUSTOMER_VIEWER


def can_manage_contacts(person: User) -> bool:
    """The customer's project managers keep their own contacts; the provider's managers keep everybody's."""
    return is_manager(person) or is_customer_pm(person)


def person_of(request: HttpRequest) -> User:
    """The signed-in person. Raises PermissionDenied for anybody else; LoginRequiredMiddleware comes first."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def require(allowed: Callable[[User], bool]) -> Callable[[View], View]:
    """View decorator: 403 unless the question is answered with yes."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            if not allowed(person_of(request)):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return cast(View, guarded)

    return decorate


def require_write(person: User) -> None:
    """Raises PermissionDenied for a read-only user; services and POST views call it."""
    if not can_write(person):
        raise PermissionDenied
