"""When a disk is expected to be full, as last worked out."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet


class OutlookQuerySet(TenantQuerySet["Outlook"]):
    def filling(self, before: datetime) -> Self:
        """Those expected to be full by then, the soonest first; guesses are left out."""
        sure = self.filter(full_at__lte=before, series__asset__retired_at=None).exclude(
            confidence=Outlook.Confidence.LOW
        )
        return sure.order_by("full_at", "pk")


class Outlook(TenantModel):
    """The trend of one series that has an end. Advice: no alert comes of it."""

    class Confidence(models.TextChoices):
        HIGH = "high", _("high")
        MEDIUM = "medium", _("medium")
        LOW = "low", _("low")

    series = models.OneToOneField("monitoring.Series", on_delete=models.PROTECT, related_name="+")
    level = models.FloatField(_("now"))
    limit = models.FloatField(_("full at"))
    per_day = models.FloatField(_("change per day"))
    full_at = models.DateTimeField(_("expected to be full"), null=True)
    earliest_at = models.DateTimeField(_("at the earliest"), null=True)
    latest_at = models.DateTimeField(_("at the latest"), null=True)
    confidence = models.CharField(_("confidence"), max_length=8, choices=Confidence)
    made_at = models.DateTimeField(_("worked out at"))

    objects: ClassVar = ScopedManager.from_queryset(OutlookQuerySet)()

    class Meta:
        verbose_name = _("outlook")
        verbose_name_plural = _("outlooks")
        indexes = (models.Index(fields=("customer", "full_at"), name="outlook_by_full"),)

    def __str__(self) -> str:
        return f"{self.series_id}: {self.full_at}"

    def days_left(self, now: datetime) -> float | None:
        return None if self.full_at is None else max(0.0, (self.full_at - now).total_seconds() / 86_400)
