"""Whose rows this piece of work may touch: a ContextVar that managers and the database both obey.

No scope means no rows: scoped managers raise `ScopeRequired`, and PostgreSQL's row-level security shows nothing.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol


class ScopeRequired(RuntimeError):
    """A tenant-owned table was asked for rows while nobody had said whose."""


@dataclass(frozen=True)
class Scope:
    """The customers in reach; None means all of them. `reason` says who opened it, for logs and errors.

    `sees_internal`: what the provider keeps to itself about these customers is in reach, too. False for the customers'
    own people.
    """

    customer_ids: frozenset[int] | None
    reason: str
    sees_internal: bool = True

    @cached_property
    def setting(self) -> str:
        """The value of the PostgreSQL setting `rdmp.customers` that the row policies read."""
        if self.customer_ids is None:
            return "*"
        return ",".join(map(str, sorted(self.customer_ids))) or "0"

    def allows(self, customer_id: int | None) -> bool:
        return self.customer_ids is None or customer_id in self.customer_ids


class HasPk(Protocol):
    pk: int


class HasReach(Protocol):
    """A person who knows which customers they may see."""

    pk: int

    @property
    def is_provider(self) -> bool: ...

    def reachable_customer_ids(self) -> Iterable[int] | None: ...


_current: ContextVar[Scope | None] = ContextVar("rdmp_scope", default=None)


def current() -> Scope | None:
    return _current.get()


def required() -> Scope:
    """The scope in force. Raises ScopeRequired when there is none."""
    scope = _current.get()
    if scope is None:
        raise ScopeRequired("no customer scope: wrap this in scope.customer(), scope.user() or scope.platform()")
    return scope


@contextmanager
def entered(scope: Scope) -> Generator[Scope]:
    """Work within a scope that was made before, for instance by the request that opened a stream."""
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)


@contextmanager
def customer(customer: HasPk | int) -> Generator[Scope]:
    """Work for one customer and nobody else."""
    pk = customer if isinstance(customer, int) else customer.pk
    with entered(Scope(frozenset({pk}), f"customer {pk}")) as scope:
        yield scope


def of(person: HasReach) -> Scope:
    """What one person may see at this moment."""
    with platform("who may see what"):
        reach = person.reachable_customer_ids()
        return Scope(None if reach is None else frozenset(reach), f"user {person.pk}", person.is_provider)


@contextmanager
def user(person: HasReach) -> Generator[Scope]:
    """Work within what one person may see."""
    with entered(of(person)) as scope:
        yield scope


@contextmanager
def platform(why: str) -> Generator[Scope]:
    """Work across customers: sweepers, sign-in, administration. `why` is kept for the reader of the code and logs."""
    if not why:
        raise ValueError("a platform scope needs its reason")
    with entered(Scope(None, why)) as scope:
        yield scope
