"""Events: what happened to an asset or an account at a moment, told by somebody else than a threshold."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.models import Severity
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet

LONGEST_MAINTENANCE = timedelta(hours=12)


class EventQuerySet(TenantQuerySet["Event"]):
    def during(self, start: datetime, end: datetime) -> Self:
        """What happened in a span, or reached into it."""
        inside = Q(occurred_at__gte=start, occurred_at__lte=end)
        return self.filter(inside | Q(occurred_at__lt=start, ends_at__gte=start))

    def upcoming(self, now: datetime) -> Self:
        """Maintenance that is announced or under way, the next first. What should have begun long ago and was never
        said to be over is not expected any more."""
        open_ended = Q(ends_at=None, occurred_at__gte=now - LONGEST_MAINTENANCE)
        coming = self.filter(Q(ends_at__gte=now) | open_ended, cancelled_at=None)
        return coming.filter(source=Event.Source.MAINTENANCE).order_by("occurred_at", "pk")


class Event(TenantModel):
    """Something that happened, or that is announced to happen, once per `key` and customer."""

    class Source(models.TextChoices):
        CLOUD = "cloud", _("Alibaba Cloud")
        MAINTENANCE = "maintenance", _("Planned maintenance")
        EXPIRY = "expiry", _("Expiry")
        HOST = "host", _("Host")
        PLATFORM = "platform", _("Platform")
        SECURITY = "security", _("Security Center")

    asset = models.ForeignKey(
        "assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("asset")
    )
    cloud_account = models.ForeignKey(
        "assets.CloudAccount",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("cloud account"),
    )
    source = models.CharField(_("source"), max_length=12, choices=Source)
    kind = models.SlugField(_("kind"), max_length=80)
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity, null=True, blank=True)
    title_zh = models.CharField(_("title, Chinese"), max_length=300)
    title_en = models.CharField(_("title, English"), max_length=300)
    detail = models.JSONField(_("details"), default=dict)
    occurred_at = models.DateTimeField(_("happened at"))
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)
    cancelled_at = models.DateTimeField(_("called off at"), null=True, blank=True)
    recorded_at = models.DateTimeField(_("recorded at"))
    incident = models.ForeignKey(
        "incidents.Incident",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text=_("Of what happened to no asset; otherwise the alert leads to its incident."),
    )
    key = models.CharField(max_length=300, help_text=_("What makes it the same event when it is told again."))

    objects: ClassVar = ScopedManager.from_queryset(EventQuerySet)()

    class Meta:
        ordering = ("-occurred_at", "-pk")
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = (
            models.UniqueConstraint(fields=("customer", "key"), name="event_once"),
            models.CheckConstraint(
                condition=Q(severity=None) | Q(severity__in=Severity.values), name="event_severity_is_known"
            ),
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gte=models.F("occurred_at")), name="event_ends_after_it_began"
            ),
        )
        indexes = (
            models.Index(fields=("customer", "-occurred_at"), name="event_by_customer"),
            models.Index(fields=("asset", "-occurred_at"), name="event_by_asset"),
            models.Index(fields=("-occurred_at", "-id"), name="event_by_time"),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        return self.title_zh if (get_language() or "zh").startswith("zh") else self.title_en

    def is_running(self, now: datetime) -> bool:
        return self.cancelled_at is None and self.occurred_at <= now and self.ends_at is not None and self.ends_at > now

    def is_ahead(self, now: datetime) -> bool:
        return self.cancelled_at is None and self.occurred_at > now

    @property
    def level(self) -> Severity | None:
        return None if self.severity is None else Severity(self.severity)
