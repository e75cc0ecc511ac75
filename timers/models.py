"""A durable timer: the row is the promise, and Celery only the engine that wakes up for it."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantOrProviderModel, TenantQuerySet


class TimerQuerySet(TenantQuerySet["Timer"]):
    def pending(self) -> Self:
        return self.filter(fired_at=None)

    def claimable(self, now: datetime) -> Self:
        """Due, and held by nobody or by somebody whose lease has run out."""
        return self.pending().filter(Q(due_at__lte=now), Q(leased_until=None) | Q(leased_until__lte=now))


class Timer(TenantOrProviderModel):
    """One wake-up. It has fired when `fired_at` is set, in the same transaction as its effect."""

    key = models.CharField(_("key"), max_length=200, unique=True)
    due_at = models.DateTimeField(_("due at"))
    task = models.CharField(_("task"), max_length=120)
    args = models.JSONField(_("arguments"), default=dict)
    leased_until = models.DateTimeField(_("leased until"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    last_error = models.TextField(_("last error"), blank=True)
    fired_at = models.DateTimeField(_("fired at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(TimerQuerySet)()

    class Meta:
        ordering = ("due_at", "pk")
        verbose_name = _("timer")
        verbose_name_plural = _("timers")
        indexes = (models.Index(fields=("due_at",), condition=Q(fired_at=None), name="timer_pending_by_due"),)

    def __str__(self) -> str:
        return self.key

    @property
    def lateness_s(self) -> float | None:
        """Seconds between due and fired; None while it is pending."""
        return None if self.fired_at is None else max(0.0, (self.fired_at - self.due_at).total_seconds())
