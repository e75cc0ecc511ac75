"""How a customer's contacts are told, by severity; and when no channel of a customer can be reached at all."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.models import Severity
from accounts.tenancy import TenantModel


class NotificationPolicy(TenantModel):
    """What was agreed with one customer for one severity (R71); without a row the contract's default holds."""

    class Hours(models.TextChoices):
        ALWAYS = "always", _("Around the clock")
        BUSINESS = "business", _("In working hours; what comes at other times follows in one message")

    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity)
    contacts = models.JSONField(_("contacts"), default=list)
    mediums = models.JSONField(_("by"), default=list)
    with_progress = models.BooleanField(_("every step, not the opening alone"), default=True)
    until_reached = models.BooleanField(_("call again until somebody is reached"), default=False)
    repeat_minutes = models.PositiveSmallIntegerField(_("minutes between rounds of calls"), default=15)
    hours = models.CharField(_("when"), max_length=10, choices=Hours, default=Hours.ALWAYS)
    changed_at = models.DateTimeField(_("changed at"))
    history = HistoricalRecords()

    class Meta:
        ordering = ("severity",)
        verbose_name = _("notification policy")
        verbose_name_plural = _("notification policies")
        constraints = (
            models.UniqueConstraint(fields=("customer", "severity"), name="one_notification_policy_per_severity"),
            models.CheckConstraint(condition=Q(repeat_minutes__gte=5), name="rounds_of_calls_are_apart"),
        )

    def __str__(self) -> str:
        return str(Severity(self.severity).label)


class Outage(TenantModel):
    """A time in which nothing reached a customer (N7). `about`: what was done about it upstairs."""

    since = models.DateTimeField(_("since"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    delivery = models.ForeignKey("notify.Delivery", on_delete=models.PROTECT, related_name="+", null=True)
    """What did not arrive; nothing where there was nobody to send it to."""
    about = models.CharField(max_length=40, blank=True)
    is_settled = models.BooleanField(default=False)

    class Meta:
        ordering = ("-since",)
        verbose_name = _("outage of all channels")
        verbose_name_plural = _("outages of all channels")
        constraints = (
            models.UniqueConstraint(fields=("customer",), condition=Q(ended_at=None), name="one_outage_at_a_time"),
        )

    def __str__(self) -> str:
        return f"{self.customer_id} {self.since:%F %T}"

    @property
    def is_of_calls(self) -> bool:
        """No contact answered the telephone; otherwise messages arrived nowhere."""
        return self.delivery is not None and self.delivery.medium == "voice"

    def has_ended(self, now: datetime) -> bool:
        return self.ended_at is not None and self.ended_at <= now
