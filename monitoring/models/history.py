"""How long a customer's samples are kept, and who sends samples by Prometheus remote write."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet

SHORTEST_DAYS = 36
LONGEST_DAYS = 3660


class Retention(TenantModel):
    """A customer that keeps its samples longer or shorter than the platform's settings say."""

    points_days = models.PositiveSmallIntegerField(
        _("days that every sample is kept"),
        validators=[MinValueValidator(SHORTEST_DAYS), MaxValueValidator(LONGEST_DAYS)],
    )
    steps_days = models.PositiveSmallIntegerField(
        _("days that five-minute and hourly figures are kept"),
        validators=[MinValueValidator(SHORTEST_DAYS), MaxValueValidator(LONGEST_DAYS)],
    )
    reason = models.CharField(_("reason"), max_length=300)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))

    history = HistoricalRecords(related_name="past")

    class Meta:
        verbose_name = _("retention")
        verbose_name_plural = _("retentions")
        constraints = (
            models.UniqueConstraint(fields=("customer",), name="retention_once_per_customer"),
            models.CheckConstraint(condition=Q(points_days__gte=SHORTEST_DAYS), name="retention_covers_late_points"),
            models.CheckConstraint(
                condition=Q(steps_days__gte=F("points_days")), name="retention_steps_outlive_points"
            ),
        )


class RemoteSourceQuerySet(TenantQuerySet["RemoteSource"]):
    def for_lists(self) -> RemoteSourceQuerySet:
        """Those that nobody has matched first."""
        return self.select_related("customer", "asset").order_by(F("asset").asc(nulls_first=True), "-last_at", "pk")


class RemoteSource(TenantModel):
    """What calls itself by one name in samples that came by remote write, and the asset that it is."""

    name = models.CharField(_("name"), max_length=200, help_text=_("Its label rdmp_asset, host or instance."))
    asset = models.ForeignKey(
        "assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("asset")
    )
    is_set_by_hand = models.BooleanField(_("set by hand"), default=False)
    samples = models.PositiveBigIntegerField(_("samples taken in"), default=0)
    refused = models.PositiveBigIntegerField(_("samples refused"), default=0)
    first_at = models.DateTimeField(_("first seen"))
    last_at = models.DateTimeField(_("last seen"))
    state = models.JSONField(default=dict)
    """Of a node_exporter: the counters of its last page, and the page that is still coming in."""

    objects: ClassVar = ScopedManager.from_queryset(RemoteSourceQuerySet)()

    class Meta:
        verbose_name = _("remote write source")
        verbose_name_plural = _("remote write sources")
        constraints = (models.UniqueConstraint(fields=("customer", "name"), name="remote_source_once"),)

    def __str__(self) -> str:
        return self.name
