"""Series (one metric of one thing), and the newest value of each. The samples themselves: `monitoring.storage`."""

from __future__ import annotations

from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from monitoring.rules import metric_of


class Series(TenantModel):
    """One metric of one asset and label set. Made when its first sample comes; never deleted while samples remain."""

    id = models.AutoField(primary_key=True)  # four bytes: samples carry it
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", verbose_name=_("asset"))
    metric = models.CharField(_("metric"), max_length=100)
    labels = models.CharField(_("labels"), max_length=1000, blank=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        verbose_name = _("series")
        verbose_name_plural = _("series")
        constraints = (models.UniqueConstraint(fields=("asset", "metric", "labels"), name="series_once"),)

    def __str__(self) -> str:
        return f"{self.metric}{{{self.labels}}}" if self.labels else self.metric

    @property
    def name(self) -> str:
        return metric_name(self.metric)

    @property
    def unit(self) -> str:
        metric = metric_of(self.metric)
        return metric.unit if metric else ""


def metric_name(metric: str) -> str:
    """What people call a metric, in the language of the page."""
    known = metric_of(metric)
    if known is None:
        return metric
    return known.name_zh if (get_language() or "zh").startswith("zh") else known.name_en


class Newest(TenantModel):
    """The newest point of every series of one asset, as one packed array (`storage.HEAD`).

    One row per asset, not per sample: rewriting it costs a hundredth of an upsert for each sample. It is what tells a
    new point from one read again, gives changes their "before", and pages their "now".
    """

    asset = models.OneToOneField("assets.Asset", on_delete=models.PROTECT, primary_key=True, related_name="+")
    data = models.BinaryField()

    class Meta:
        verbose_name = _("newest values")
        verbose_name_plural = _("newest values")


class Ledger(TenantModel):
    """One row per customer: held locked while a batch is taken in, so that two workers never judge at once."""

    batches = models.PositiveBigIntegerField(
        _("batches"), default=0, help_text=_("Grows with every batch: whoever finds it as they left it knows the rest.")
    )
    plan_version = models.PositiveBigIntegerField(
        _("plan version"), default=1, help_text=_("Grows when rules are overridden.")
    )

    class Meta:
        verbose_name = _("ledger")
        verbose_name_plural = _("ledgers")
        constraints = (models.UniqueConstraint(fields=("customer",), name="ledger_once_per_customer"),)
