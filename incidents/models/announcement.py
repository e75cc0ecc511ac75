"""What the provider announces to customers (R132, R133), each customer's copy of it, and who has read it."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.tenancy import ScopedManager, TenantModel, TenantOrProviderModel, TenantQuerySet


class AnnouncementKind(models.TextChoices):
    MAINTENANCE = "maintenance", _("Alibaba Cloud maintenance")
    UPGRADE = "upgrade", _("Alibaba Cloud upgrade or downgrade")
    SHUTDOWN = "shutdown", _("Alibaba Cloud shutdown of a product")
    NEW_SERVICE = "new_service", _("New Alibaba Cloud service")
    PRICE_CUT = "price_cut", _("Alibaba Cloud price cut")
    PLATFORM = "platform", _("Notice of the service platform")


WITH_RECOMMENDATION = (AnnouncementKind.NEW_SERVICE, AnnouncementKind.PRICE_CUT)


class Announcement(TenantOrProviderModel):
    """The provider's own row; no customer reaches it, each has a copy."""

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        SCHEDULED = "scheduled", _("Scheduled")
        PUBLISHED = "published", _("Published")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    kind = models.CharField(_("kind"), max_length=20, choices=AnnouncementKind)
    title = models.CharField(_("title"), max_length=200)
    body = models.TextField(_("text"))
    recommendation = models.TextField(_("recommended change"), blank=True)
    customers = models.JSONField(_("customers"), default=list, blank=True)
    roles = models.JSONField(_("roles"), default=list)
    products = models.JSONField(_("products"), default=list, blank=True)
    to_channels = models.BooleanField(_("to groups and robots, too"), default=True)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT)
    publish_at = models.DateTimeField(_("publish at"), null=True, blank=True)
    ends_at = models.DateTimeField(_("on pages until"))
    published_at = models.DateTimeField(_("published at"), null=True, blank=True)
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))
    history = HistoricalRecords()

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("announcement")
        verbose_name_plural = _("announcements")
        constraints = (
            models.CheckConstraint(
                condition=~Q(state="scheduled") | Q(publish_at__isnull=False), name="scheduled_announcement_has_a_time"
            ),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def is_editable(self) -> bool:
        return self.state in (self.State.DRAFT, self.State.SCHEDULED)


class AnnouncementCopyQuerySet(TenantQuerySet["AnnouncementCopy"]):
    def standing(self, now: datetime) -> Self:
        """Those that pages show: neither withdrawn nor over."""
        return self.filter(withdrawn_at=None, ends_at__gt=now)


class AnnouncementCopy(TenantModel):
    """What one customer was told, as it was then."""

    announcement = models.ForeignKey(Announcement, on_delete=models.PROTECT, related_name="copies")
    kind = models.CharField(_("kind"), max_length=20, choices=AnnouncementKind)
    title = models.CharField(_("title"), max_length=200)
    body = models.TextField(_("text"))
    recommendation = models.TextField(_("recommended change"), blank=True)
    published_at = models.DateTimeField(_("published at"))
    ends_at = models.DateTimeField(_("on pages until"))
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(AnnouncementCopyQuerySet)()

    class Meta:
        ordering = ("-published_at", "-pk")
        verbose_name = _("announcement")
        verbose_name_plural = _("announcements")
        constraints = (
            models.UniqueConstraint(fields=("customer", "announcement"), name="one_copy_of_an_announcement"),
        )

    def __str__(self) -> str:
        return self.title


class AnnouncementReading(TenantModel):
    """A person whom an announcement was for, and when they read it."""

    copy = models.ForeignKey(AnnouncementCopy, on_delete=models.CASCADE, related_name="readings")
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)

    class Meta:
        ordering = (F("read_at").asc(nulls_last=True), "pk")
        verbose_name = _("reader")
        verbose_name_plural = _("readers")
        constraints = (models.UniqueConstraint(fields=("copy", "user"), name="reader_once"),)

    def __str__(self) -> str:
        return f"{self.user_id} {self.read_at or '—'}"
