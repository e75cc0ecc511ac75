"""SQL statements of customers' own servers that were slow, day by day."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet


class SlowStatement(TenantModel):
    """One kind of statement of one server on one day of the platform's calendar: no values, times in seconds (R118)."""

    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", verbose_name=_("asset"))
    day = models.DateField(_("day"))
    database = models.CharField(_("schema"), max_length=64, blank=True)
    digest = models.CharField(max_length=64)
    text = models.TextField(_("SQL statement"))
    count = models.PositiveBigIntegerField(_("times"))
    total_s = models.FloatField(_("altogether"))
    longest_s = models.FloatField(_("longest"))
    rows_examined = models.PositiveBigIntegerField(_("rows examined"))

    objects: ClassVar = ScopedManager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("slow statement")
        verbose_name_plural = _("slow statements")
        constraints = (
            models.UniqueConstraint(fields=("asset", "day", "database", "digest"), name="slow_statement_once_a_day"),
        )

    def __str__(self) -> str:
        return f"{self.asset_id} {self.day} {self.digest}"
