"""What was issued of a month: it never changes again, and what Alibaba Cloud says later stands beside it (R6)."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from costs import settling
from costs.models.bills import Charge
from incidents.months import Month


class Statement(TenantModel):
    """The cost of a month as it was issued. `digest` is the SHA-256 over its lines."""

    APPEND_ONLY = True

    month = models.DateField(_("month"))
    issued_at = models.DateTimeField(_("issued at"))
    issued_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    total = models.DecimalField(_("total, CNY"), max_digits=18, decimal_places=2)
    missing = models.JSONField(_("days without a bill"), default=list)
    reason = models.CharField(_("why it was issued with days missing"), max_length=400, blank=True)
    digest = models.CharField(_("fingerprint"), max_length=64)

    class Meta:
        ordering = ("-month", "pk")
        verbose_name = _("cost statement")
        verbose_name_plural = _("cost statements")
        constraints = (
            models.UniqueConstraint(fields=("customer", "month"), name="statement_once_a_month"),
            models.CheckConstraint(condition=Q(month__day=1), name="statement_of_a_month"),
        )

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"

    @property
    def period(self) -> Month:
        return Month.of(self.month)


class StatementLine(TenantModel):
    """One resource of an issued month. What is used while a customer leaves is passed on at cost (R138)."""

    APPEND_ONLY = True

    statement = models.ForeignKey(Statement, on_delete=models.PROTECT, related_name="lines")
    cloud_account = models.ForeignKey("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", null=True)
    product_code = models.CharField(_("product code"), max_length=60)
    product_name = models.CharField(_("product"), max_length=120)
    instance_id = models.CharField(_("instance ID"), max_length=128, blank=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    charge = models.CharField(_("charge"), max_length=12, choices=Charge)
    cloud_cost = models.DecimalField(_("cost at Alibaba Cloud, CNY"), max_digits=18, decimal_places=6)
    markup = models.DecimalField(_("mark-up, CNY"), max_digits=18, decimal_places=6, default=0)
    amount = models.DecimalField(_("amount, CNY"), max_digits=18, decimal_places=6)
    is_offboarding = models.BooleanField(_("while leaving"), default=False)

    class Meta:
        ordering = ("product_code", "instance_id", "charge", "pk")
        verbose_name = _("line of a cost statement")
        verbose_name_plural = _("lines of cost statements")
        constraints = (
            models.CheckConstraint(condition=Q(amount=F("cloud_cost") + F("markup")), name="statement_line_adds_up"),
            models.CheckConstraint(
                condition=Q(is_offboarding=False) | Q(markup=0), name="leaving_is_passed_on_at_cost"
            ),
        )

    def __str__(self) -> str:
        return f"{self.product_code} {self.instance_id}"


class BillDifferenceQuerySet(TenantQuerySet["BillDifference"]):
    def of_month(self, month: Month) -> Self:
        first, end = settling.ends(month)
        return self.filter(day__gte=first, day__lt=end)


class BillDifference(TenantModel):
    """Alibaba Cloud says another amount for a day whose month was issued. Nothing is restated."""

    APPEND_ONLY = True

    cloud_account = models.ForeignKey("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    day = models.DateField(_("day"))
    product_code = models.CharField(_("product code"), max_length=60)
    product_name = models.CharField(_("product"), max_length=120)
    instance_id = models.CharField(_("instance ID"), max_length=128, blank=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    charge = models.CharField(_("charge"), max_length=12, choices=Charge)
    issued = models.DecimalField(_("as issued, CNY"), max_digits=16, decimal_places=6)
    said = models.DecimalField(_("said later, CNY"), max_digits=16, decimal_places=6)
    seen_at = models.DateTimeField(_("seen at"))

    objects: ClassVar = ScopedManager.from_queryset(BillDifferenceQuerySet)()

    class Meta:
        ordering = ("-seen_at", "-pk")
        verbose_name = _("difference to what was issued")
        verbose_name_plural = _("differences to what was issued")
        indexes = (models.Index(fields=("customer", "day"), name="bill_difference_by_day"),)

    def __str__(self) -> str:
        return f"{self.day} {self.product_code} {self.instance_id}"

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.product_code, self.instance_id, self.charge)
