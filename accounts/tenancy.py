"""The base of every tenant-owned model, and the managers that refuse to work without a scope."""

from functools import lru_cache
from typing import TypeVar

from django.db import models

from accounts import reach, scope

M = TypeVar("M", bound=models.Model)


class TenantQuerySet(models.QuerySet[M]):
    """Rows of the customers in scope. Subclass it for the reading vocabulary of a model."""


class ScopedManager(models.Manager[M]):
    """Hands out rows within the current scope; raises `scope.ScopeRequired` when there is none."""

    shared = False
    _queryset_class: type[models.QuerySet[M]] = TenantQuerySet

    def get_queryset(self) -> models.QuerySet[M]:
        current = scope.required()
        if current.customer_ids is None:
            return super().get_queryset()
        return _rows_of(current.setting, self._queryset_class, self.model, self._db, self.shared).all()

    def none(self) -> models.QuerySet[M]:
        """No row of anybody, which needs no scope: the generator of the API's schema asks for it."""
        return super().get_queryset().none()


@lru_cache(maxsize=1024)
def _rows_of(
    customers: str, kind: type[models.QuerySet[M]], model: type[M], using: str | None, shared: bool
) -> models.QuerySet[M]:
    """Kept unevaluated and only ever copied: each row of a page asks several times, for its relations."""
    mine = models.Q(reach.within(customers, "customer_id"))
    rows = kind(model, using=using)
    return rows.filter(mine | models.Q(customer_id__isnull=True) if shared else mine)


class SharedManager(ScopedManager[M]):
    """Like ScopedManager, and rows that belong to no customer are in reach of everybody."""

    shared = True


class TenantModel(models.Model):
    """A row of one customer. The database holds the same wall by row-level security (`accounts.row_security`)."""

    customer = models.ForeignKey("accounts.Customer", on_delete=models.PROTECT, related_name="+")

    objects = ScopedManager()

    class Meta:
        abstract = True


class SharedModel(models.Model):
    """A row of one customer or, with no customer, of the whole platform: then readable by all, written only by it."""

    customer = models.ForeignKey("accounts.Customer", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    objects = SharedManager()

    class Meta:
        abstract = True


class TenantOrProviderModel(models.Model):
    """A row of one customer or, with no customer, of the provider itself: then only the platform's scope reaches it."""

    customer = models.ForeignKey("accounts.Customer", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    objects = ScopedManager()

    class Meta:
        abstract = True
