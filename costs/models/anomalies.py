"""Days that cost more than usual (R135), and how much more a customer wants to hear of."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import ClassVar, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, Q, When
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from costs.anomaly import Threshold


class CostThreshold(TenantModel):
    """How far above the usual a day must be before a customer hears of it. No row: as `anomaly.Threshold` has it."""

    deviations = models.DecimalField(
        _("deviations"), max_digits=4, decimal_places=1, validators=[MinValueValidator(1), MaxValueValidator(50)]
    )
    percent = models.PositiveIntegerField(_("percent above the usual"), validators=[MaxValueValidator(1000)])
    amount = models.DecimalField(
        _("yuan above the usual"),
        max_digits=10,
        decimal_places=2,
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(10_000_000))],
    )
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    changed_at = models.DateTimeField(_("changed at"))

    class Meta:
        verbose_name = _("threshold of a customer's cost")
        verbose_name_plural = _("thresholds of customers' cost")
        constraints = (models.UniqueConstraint(fields=("customer",), name="cost_threshold_once"),)

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.percent} %"

    @property
    def pure(self) -> Threshold:
        return Threshold(float(self.deviations), float(self.percent), float(self.amount))


class CostAnomalyQuerySet(TenantQuerySet["CostAnomaly"]):
    def open(self) -> Self:
        return self.filter(state=CostAnomaly.State.OPEN)

    def open_first(self) -> Self:
        """Those that nobody has explained, then the others; the newest first."""
        return self.order_by(Case(When(state=CostAnomaly.State.OPEN, then=0), default=1), "-last_day", "-pk")

    def for_lists(self) -> Self:
        return self.select_related("customer", "explained_by")


class CostAnomaly(TenantModel):
    """A product, or one resource of it, cost more than its weekday usually does: told once, however many days it goes
    on."""

    class State(models.TextChoices):
        OPEN = "open", _("Not explained")
        EXPLAINED = "explained", _("Explained")
        EXPECTED = "expected", _("Expected")

    product_code = models.CharField(_("product code"), max_length=60)
    product_name = models.CharField(_("product"), max_length=120)
    instance_id = models.CharField(_("instance ID"), max_length=128, blank=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"))
    days = models.JSONField(_("unusual days, as they were found"), default=list)
    amount = models.DecimalField(_("on the worst day, CNY"), max_digits=16, decimal_places=2)
    usual = models.DecimalField(_("usually, CNY"), max_digits=16, decimal_places=2)
    excess = models.DecimalField(_("above the usual in all, CNY"), max_digits=16, decimal_places=2)
    weeks = models.PositiveSmallIntegerField(_("weeks compared with"))
    movers = models.JSONField(_("what rose most"), default=list)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    found_at = models.DateTimeField(_("found at"))
    explained_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    explained_at = models.DateTimeField(_("explained at"), null=True, blank=True)
    note = models.CharField(_("explanation"), max_length=1000, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(CostAnomalyQuerySet)()

    class Meta:
        ordering = ("-last_day", "-pk")
        verbose_name = _("cost anomaly")
        verbose_name_plural = _("cost anomalies")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "product_code", "instance_id", "first_day"), name="cost_anomaly_once"
            ),
            models.CheckConstraint(condition=Q(last_day__gte=models.F("first_day")), name="cost_anomaly_goes_on"),
            models.CheckConstraint(
                condition=Q(state="open") | (~Q(note="") & Q(explained_by__isnull=False)),
                name="cost_anomaly_says_who_explained_it",
            ),
        )

    def __str__(self) -> str:
        return f"{self.product_name} {self.name or self.instance_id} {self.first_day}".replace("  ", " ")

    @property
    def movers_day(self) -> date:
        """The day on which it was found: of that one is what rose most."""
        return date.fromisoformat(self.days[0]) if self.days else self.first_day

    @property
    def what(self) -> str:
        return f"{self.product_name} · {self.name or self.instance_id}" if self.instance_id else self.product_name

    @property
    def percent(self) -> int | None:
        """Above the usual, on the worst day; None where there was nothing before."""
        return round((self.amount - self.usual) / self.usual * 100) if self.usual else None
