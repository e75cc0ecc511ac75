"""What work outside the contract would cost; accepted or refused by the customer's project manager (R9, R10)."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from incidents.models.attestations import Attestation
from incidents.models.incident import Incident, TimelineEntry


class Quote(TenantModel):
    """An offer in CNY. Its acceptance is an attestation; the file hangs on the timeline entry."""

    APPEND_ONLY: ClassVar[bool] = True

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="quotes")
    attestation = models.OneToOneField(Attestation, on_delete=models.PROTECT, related_name="quote")
    entry = models.ForeignKey(TimelineEntry, on_delete=models.PROTECT, related_name="+")
    amount = models.DecimalField(_("amount, CNY"), max_digits=14, decimal_places=2)
    valid_until = models.DateField(_("valid until"))
    note = models.TextField(_("note"), blank=True)
    offered_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    offered_at = models.DateTimeField(_("offered at"))

    class Meta:
        ordering = ("-offered_at", "-pk")
        verbose_name = _("quote")
        verbose_name_plural = _("quotes")
        constraints = (models.CheckConstraint(condition=Q(amount__gte=0), name="quote_is_not_negative"),)

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"QUO-{self.pk:06d}" if self.pk else "QUO-"


class QuoteLine(TenantModel):
    APPEND_ONLY: ClassVar[bool] = True

    quote = models.ForeignKey(Quote, on_delete=models.PROTECT, related_name="lines")
    text = models.CharField(_("work"), max_length=200)
    quantity = models.DecimalField(_("quantity"), max_digits=10, decimal_places=2)
    unit_price = models.DecimalField(_("unit price, CNY"), max_digits=12, decimal_places=2)

    class Meta:
        ordering = ("pk",)
        verbose_name = _("line of a quote")
        verbose_name_plural = _("lines of a quote")
        constraints = (
            models.CheckConstraint(condition=Q(quantity__gt=0), name="quote_line_has_a_quantity"),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="quote_line_is_not_negative"),
        )

    def __str__(self) -> str:
        return self.text

    @property
    def amount(self) -> Decimal:
        return (self.quantity * self.unit_price).quantize(Decimal("0.01"))
