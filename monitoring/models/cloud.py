"""What reading an Alibaba Cloud account costs and how it goes, and how customers want to hear of expiry."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet


class CloudUse(TenantModel):
    """Calls of one account on one day (of Beijing, where the quota is counted), per namespace.

    `calls` are those that the free million a month counts; `other_calls` are not counted by it.
    """

    cloud_account = models.ForeignKey("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    day = models.DateField(_("day"))
    namespace = models.CharField(_("namespace"), max_length=60, blank=True)
    calls = models.PositiveIntegerField(_("calls"), default=0)
    other_calls = models.PositiveIntegerField(_("calls outside the quota"), default=0)
    throttled = models.PositiveIntegerField(_("throttled"), default=0)

    objects: ClassVar = ScopedManager.from_queryset(TenantQuerySet)()

    class Meta:
        verbose_name = _("use of an account")
        verbose_name_plural = _("use of accounts")
        constraints = (
            models.UniqueConstraint(fields=("cloud_account", "day", "namespace"), name="cloud_use_once_a_day"),
        )

    def __str__(self) -> str:
        return f"{self.cloud_account_id} {self.day} {self.namespace}: {self.calls}"


class CloudReadingQuerySet(TenantQuerySet["CloudReading"]):
    def claimable(self, now: datetime) -> Self:
        there = self.filter(cloud_account__retired_at=None, cloud_account__is_enabled=True)
        return there.filter(Q(lease_until=None) | Q(lease_until__lte=now), next_due_at__lte=now)


class CloudReading(TenantModel):
    """How reading one account goes beyond its figures: events, names of metrics, rights, agents, the governor."""

    cloud_account = models.OneToOneField("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    next_due_at = models.DateTimeField(_("next due at"))
    lease_until = models.DateTimeField(null=True, blank=True)
    events_until = models.DateTimeField(_("events read until"), null=True, blank=True)
    security_until = models.DateTimeField(_("Security Center read until"), null=True, blank=True)
    security_followed_at = models.DateTimeField(_("open security events followed at"), null=True, blank=True)
    names_checked_at = models.DateTimeField(_("metric names checked at"), null=True, blank=True)
    agents_checked_at = models.DateTimeField(_("agents checked at"), null=True, blank=True)
    names = models.JSONField(default=dict, help_text=_("Metric names that exist, per namespace."))
    missing = models.JSONField(default=list, help_text=_("Metrics of the catalogue that no longer exist."))
    denied = models.JSONField(default=dict, help_text=_("APIs that the AccessKey may not call, and since when."))
    agents = models.JSONField(default=dict, help_text=_("State of the CloudMonitor agent per instance."))
    resources = models.JSONField(default=dict, help_text=_("What each resource was when it was last looked at."))
    problem_code = models.CharField(_("problem"), max_length=40, blank=True)
    problem_detail = models.CharField(_("what Alibaba Cloud said"), max_length=400, blank=True)
    problem_since = models.DateTimeField(_("problem since"), null=True, blank=True)
    told_key = models.CharField(max_length=80, blank=True, help_text=_("The spell of credential trouble told last."))
    stretch = models.FloatField(_("periods are stretched by"), default=1.0)
    forecast = models.PositiveIntegerField(_("calls forecast for the month"), default=0)
    warned_month = models.CharField(max_length=7, blank=True)
    exhausted_until = models.DateTimeField(_("quota exhausted until"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(CloudReadingQuerySet)()

    class Meta:
        verbose_name = _("reading of an account")
        verbose_name_plural = _("reading of accounts")
        indexes = (models.Index(fields=("next_due_at",), name="cloud_reading_due"),)

    def __str__(self) -> str:
        return f"reading of account {self.cloud_account_id}"


def default_rungs() -> list[int]:
    """Days before the end, as R41 proposes."""
    return [30, 15, 7, 3, 1]


class ExpiryLadder(TenantModel):
    """When a customer wants to hear of what is about to expire (R41)."""

    rungs = models.JSONField(_("days before"), default=default_rungs)
    hour = models.PositiveSmallIntegerField(
        _("at which hour"),
        default=9,
        validators=[MaxValueValidator(23)],
        help_text=_("In the customer's own time: nobody is woken by something that ends in a month."),
    )
    changed_at = models.DateTimeField(_("changed at"))
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("expiry ladder")
        verbose_name_plural = _("expiry ladders")
        constraints = (models.UniqueConstraint(fields=("customer",), name="expiry_ladder_once"),)

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.rungs}"
