"""Faults (故障): what an incident may become after a joint technical review (R65)."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from incidents.models.incident import Incident


class Fault(TenantModel):
    """A review of one or more incidents. The latest word of each side counts; agreeing they decide it."""

    class Outcome(models.TextChoices):
        REVIEW = "review", _("In review")
        FAULT = "fault", _("Fault")
        NOT_FAULT = "not_fault", _("No fault")
        DISAGREED = "disagreed", _("The sides disagree")

    title = models.CharField(_("title"), max_length=200)
    summary = models.TextField(_("technical summary"))
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome, default=Outcome.REVIEW)
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(_("proposed at"))
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    incidents: "models.ManyToManyField[Incident, FaultIncident]" = models.ManyToManyField(
        Incident, through="FaultIncident", through_fields=("fault", "incident"), related_name="faults"
    )

    class Meta:
        ordering = ("-proposed_at", "-pk")
        verbose_name = _("fault")
        verbose_name_plural = _("faults")
        constraints = (
            models.CheckConstraint(condition=~Q(title=""), name="fault_has_a_title"),
            models.CheckConstraint(
                condition=Q(outcome__in=("review", "disagreed"), decided_at=None)
                | Q(outcome__in=("fault", "not_fault"), decided_at__isnull=False),
                name="fault_is_decided_at_a_time",
            ),
        )
        indexes = (models.Index(fields=("customer", "-proposed_at"), name="fault_by_customer"),)

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        return f"FLT-{self.pk:06d}" if self.pk else "FLT-"

    @property
    def is_decided(self) -> bool:
        return self.decided_at is not None


class FaultIncident(TenantModel):
    fault = models.ForeignKey(Fault, on_delete=models.CASCADE, related_name="+")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(_("added at"))

    class Meta:
        constraints = (models.UniqueConstraint(fields=("fault", "incident"), name="fault_incident_once"),)

    def __str__(self) -> str:
        return f"{self.fault_id} → {self.incident_id}"


class FaultDecision(TenantModel):
    """What one side said in the review. A later word of the same side replaces it and leaves it standing."""

    APPEND_ONLY: ClassVar[bool] = True

    class Side(models.TextChoices):
        PROVIDER = "provider", _("Provider")
        CUSTOMER = "customer", _("Customer")

    class Verdict(models.TextChoices):
        FAULT = "fault", _("Fault")
        NOT_FAULT = "not_fault", _("No fault")

    fault = models.ForeignKey(Fault, on_delete=models.PROTECT, related_name="decisions")
    side = models.CharField(_("side"), max_length=20, choices=Side)
    verdict = models.CharField(_("decision"), max_length=20, choices=Verdict)
    words = models.TextField(_("words"))
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(_("at"))

    class Meta:
        ordering = ("at", "pk")
        verbose_name = _("decision on a fault")
        verbose_name_plural = _("decisions on faults")

    def __str__(self) -> str:
        return f"{self.get_side_display()}: {self.get_verdict_display()}"
