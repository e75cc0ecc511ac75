"""What makes an incident a service request (R73): what is wanted, how risky it is, how it is charged."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from incidents.models.incident import Incident


class ServiceRequest(TenantModel):
    """One incident of kind request. Its phase stands on the incident, beside the state (`incidents.states`)."""

    class Risk(models.TextChoices):
        LOW = "low", _("Low")
        NORMAL = "normal", _("Usual")
        DANGEROUS = "dangerous", _("Dangerous to security or business")

    class Billing(models.TextChoices):
        """How the contract charges it (R10)."""

        INCLUDED = "included", _("Included")
        VALUE_ADDED = "value_added", _("Value-added")
        SEPARATE = "separate", _("Charged separately")

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, related_name="request")
    operation = models.CharField(
        _("operation"), max_length=80, blank=True, help_text=_("The code of the catalogue; empty: described freely.")
    )
    fields: Any = models.JSONField(_("details of the operation"), default=dict, blank=True)
    wished_at = models.DateTimeField(_("wished for"), null=True, blank=True)
    risk = models.CharField(_("risk"), max_length=20, choices=Risk, default=Risk.NORMAL)
    billing = models.CharField(_("billing"), max_length=20, choices=Billing, default=Billing.INCLUDED)
    is_out_of_scope = models.BooleanField(_("outside the contract's scope"), default=False)
    owes_change = models.BooleanField(
        _("a change is still owed"),
        default=False,
        help_text=_("Its operation changes something, and no change that came of it is closed yet."),
    )

    class Meta:
        verbose_name = _("service request")
        verbose_name_plural = _("service requests")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(risk__in=("low", "normal", "dangerous")), name="request_risk_known"
            ),
            models.CheckConstraint(
                condition=models.Q(billing__in=("included", "value_added", "separate")), name="request_billing_known"
            ),
        )

    def __str__(self) -> str:
        return str(self.incident)

    @property
    def needs_quote(self) -> bool:
        """Work outside the scope, and what is charged by itself, waits for an accepted quote (R9, R10)."""
        return self.is_out_of_scope or self.billing != self.Billing.INCLUDED

    @property
    def needs_confirmation(self) -> bool:
        """Dangerous work waits for the named contact's written word (R75)."""
        return self.risk == self.Risk.DANGEROUS
