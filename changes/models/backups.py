"""The backup policy that was agreed for an asset, and what the cloud really has."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from changes.backup_policy import Policy


class BackupPolicy(TenantModel):
    """R158: how often, when, how long, with the log or without, and how it is done by hand."""

    class State(models.TextChoices):
        UNCHECKED = "unchecked", _("Not compared yet")
        AS_AGREED = "as_agreed", _("As agreed")
        DIFFERS = "differs", _("Not as agreed")
        UNKNOWN = "unknown", _("Could not be compared")
        BY_HAND = "by_hand", _("By hand")

    asset = models.OneToOneField("assets.Asset", on_delete=models.PROTECT, related_name="backup_policy")
    days: Any = models.JSONField(_("days"), default=list)
    hour = models.PositiveSmallIntegerField(_("hour"))
    keep_days = models.PositiveIntegerField(_("kept for, days"))
    log_backup = models.BooleanField(_("log backup too"), default=False)
    by_hand = models.TextField(_("how it is done by hand"), blank=True)
    agreed_at = models.DateTimeField(_("agreed at"))
    recorded_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.UNCHECKED)
    differences: Any = models.JSONField(default=list)
    there: Any = models.JSONField(null=True, blank=True)
    problem = models.CharField(max_length=100, blank=True)
    checked_at = models.DateTimeField(_("compared at"), null=True, blank=True)

    class Meta:
        ordering = ("asset",)
        verbose_name = _("backup policy")
        verbose_name_plural = _("backup policies")
        constraints = (
            models.CheckConstraint(condition=Q(hour__lte=23), name="backup_policy_hour_is_one"),
            models.CheckConstraint(condition=Q(keep_days__gte=1), name="backup_policy_keeps_something"),
        )

    def __str__(self) -> str:
        return f"{self.asset}: {self.keep_days} d"

    @property
    def agreed(self) -> Policy:
        return Policy(frozenset(self.days), self.hour, self.keep_days, self.log_backup)
