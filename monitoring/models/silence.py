"""A silence: what is quiet, when, why, and who said so. Alerts are recorded meanwhile; nobody is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from accounts.windows import Window, from_json, is_active, last_end, next_change, upcoming


class SilenceQuerySet(TenantQuerySet["Silence"]):
    def standing(self, now: datetime) -> Self:
        """Not over yet: quiet now, or to be quiet some day."""
        return self.filter(ended_at=None).filter(Q(over_at=None) | Q(over_at__gt=now))

    def over(self, now: datetime) -> Self:
        return self.filter(Q(ended_at__isnull=False) | Q(over_at__lte=now))


class Silence(TenantModel):
    """Windows of quiet for part of a customer. Each list of what is meant is an "or", the lists together an "and";
    an empty list means all. Kept when it is over.
    """

    class Source(models.TextChoices):
        PERSON = "person", _("By hand")
        CHANGE = "change", _("From a change")

    reason = models.CharField(_("reason"), max_length=300)
    source = models.CharField(_("source"), max_length=10, choices=Source, default=Source.PERSON)
    key = models.CharField(max_length=120, blank=True)
    """Of a change: the same change silences once."""
    asset_ids = models.JSONField(_("assets"), default=list, blank=True)
    group_ids = models.JSONField(_("groups"), default=list, blank=True)
    rule_ids = models.JSONField(_("rules"), default=list, blank=True)
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    windows = models.JSONField(_("windows"))
    timezone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    over_at = models.DateTimeField(_("over at"), null=True, blank=True)
    """When the last window ends; empty: it comes back every week."""
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(_("created at"))
    ended_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    ended_at = models.DateTimeField(_("ended early at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(SilenceQuerySet)()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = _("silence")
        verbose_name_plural = _("silences")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "key"), condition=Q(ended_at=None) & ~Q(key=""), name="silence_once_per_change"
            ),
        )
        indexes = (models.Index(fields=("customer", "over_at"), condition=Q(ended_at=None), name="silence_standing"),)

    def __str__(self) -> str:
        return self.reason

    def spans(self) -> Sequence[Window]:
        return from_json(self.windows, self.timezone)

    def is_quiet(self, at: datetime) -> bool:
        """Whether it silences at this moment."""
        if at < self.created_at or (self.ended_at is not None and at >= self.ended_at):
            return False
        return is_active(self.spans(), at)

    def is_standing(self, now: datetime) -> bool:
        return self.ended_at is None and (self.over_at is None or self.over_at > now)

    def next_change(self, at: datetime) -> datetime | None:
        return next_change(self.spans(), at) if self.ended_at is None else None

    def upcoming(self, at: datetime, count: int) -> list[tuple[datetime, datetime]]:
        return upcoming(self.spans(), at, count) if self.ended_at is None else []

    def last_end(self) -> datetime | None:
        return last_end(self.spans())
