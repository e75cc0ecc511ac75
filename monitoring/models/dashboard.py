"""Dashboards that people put together, and the links under which others may look at one for a while."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from monitoring.widgets import Widget, parse


class DashboardQuerySet(TenantQuerySet["Dashboard"]):
    def present(self) -> Self:
        return self.filter(removed_at=None)


class Dashboard(TenantModel):
    """One page of widgets about one customer's assets. `widgets` is what `monitoring.widgets` reads and checks."""

    name = models.CharField(_("name"), max_length=100)
    owner = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", verbose_name=_("owner"))
    widgets = models.JSONField(_("widgets"), default=list, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1, help_text=_("Grows with every saved change."))
    created_at = models.DateTimeField(_("created at"))
    changed_at = models.DateTimeField(_("changed at"))
    removed_at = models.DateTimeField(_("removed at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(DashboardQuerySet)()
    history = HistoricalRecords(related_name="past")

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("dashboard")
        verbose_name_plural = _("dashboards")
        indexes = (models.Index(fields=("customer", "name"), name="dashboard_by_customer"),)

    def __str__(self) -> str:
        return self.name

    @property
    def parsed(self) -> tuple[Widget, ...]:
        return parse(self.widgets)

    def widget(self, widget_id: str) -> Widget | None:
        return next((one for one in self.parsed if one.id == widget_id), None)


class DashboardShareQuerySet(TenantQuerySet["DashboardShare"]):
    def valid(self, now: datetime) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=now, dashboard__removed_at=None)


class DashboardShare(TenantModel):
    """A link that shows one dashboard to whoever holds it. Only a digest of its secret is kept."""

    dashboard = models.ForeignKey(Dashboard, on_delete=models.PROTECT, related_name="shares")
    purpose = models.CharField(_("for whom"), max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    opened_at = models.DateTimeField(_("last opened"), null=True, blank=True)
    opened_count = models.PositiveIntegerField(_("opened, times"), default=0)

    objects: ClassVar = ScopedManager.from_queryset(DashboardShareQuerySet)()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = _("shared link")
        verbose_name_plural = _("shared links")
        constraints = (models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="share_expires"),)

    def __str__(self) -> str:
        return self.purpose

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at
