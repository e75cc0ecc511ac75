"""Temporary instances that a restore brought up: each has a day on which it is to go, and goes under a change only."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from changes.models.change import Change


class TemporaryInstanceQuerySet(TenantQuerySet["TemporaryInstance"]):
    def standing(self) -> Self:
        return self.exclude(state=TemporaryInstance.State.RELEASED)

    def for_lists(self) -> Self:
        return self.select_related("customer", "change", "source", "release", "recorded_by", "released_by")


class TemporaryInstance(TenantModel):
    """R159: made from a backup set or a point in time, for some days."""

    RELEASED_BY: ClassVar[str] = "temporary-release"
    """The operation of the catalogue that releases it."""

    class State(models.TextChoices):
        IN_USE = "in_use", _("In use")
        EXPIRED = "expired", _("To be released")
        RELEASED = "released", _("Released")

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="temporary_instances")
    source = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", verbose_name=_("restored"))
    name = models.CharField(_("temporary instance"), max_length=120)
    address = models.CharField(_("address"), max_length=253, blank=True)
    restore_minutes = models.PositiveIntegerField(_("restored within, minutes"), null=True, blank=True)
    ready_at = models.DateTimeField(_("ready at"))
    expires_at = models.DateTimeField(_("expires at"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.IN_USE)
    recorded_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    release = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="releases", null=True, blank=True)
    released_at = models.DateTimeField(_("released at"), null=True, blank=True)
    released_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    released_words = models.CharField(_("how one saw that it is gone"), max_length=300, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(TemporaryInstanceQuerySet)()

    class Meta:
        ordering = ("expires_at", "pk")
        verbose_name = _("temporary instance")
        verbose_name_plural = _("temporary instances")
        constraints = (
            models.UniqueConstraint(fields=("change", "name"), name="temporary_instance_once"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("ready_at")), name="temporary_instance_lives"),
            models.CheckConstraint(
                condition=~Q(state="released") | Q(release__isnull=False, released_at__isnull=False),
                name="temporary_instance_goes_under_a_change",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def is_overdue(self, now: datetime) -> bool:
        return self.state != self.State.RELEASED and self.expires_at <= now


class TemporaryExtension(TenantModel):
    """It is needed for longer. Never changed, never removed."""

    APPEND_ONLY: ClassVar[bool] = True

    instance = models.ForeignKey(TemporaryInstance, on_delete=models.CASCADE, related_name="extensions")
    before = models.DateTimeField(_("until then"))
    until = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=300)
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.instance_id} → {self.until:%Y-%m-%d}"
