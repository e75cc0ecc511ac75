"""When changes may be made, and when they may not (R92)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import SharedManager, SharedModel, TenantQuerySet
from accounts.windows import Window, from_json


class ChangeWindowQuerySet(TenantQuerySet["ChangeWindow"]):
    def standing(self, now: datetime) -> Self:
        return self.filter(ended_at=None).filter(Q(over_at=None) | Q(over_at__gt=now))

    def of(self, customer_id: int) -> Self:
        """A customer's own and those of everybody."""
        return self.filter(Q(customer=customer_id) | Q(customer=None))


class ChangeWindow(SharedModel):
    """Of one customer or, with none, of all of them."""

    class Kind(models.TextChoices):
        FREEZE = "freeze", _("Freeze: nothing is changed")
        MAINTENANCE = "maintenance", _("Maintenance window")

    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    name = models.CharField(_("name"), max_length=120)
    windows = models.JSONField(_("windows"), default=list, blank=True)
    holidays = models.BooleanField(
        _("on public holidays"), default=False, help_text=_("By the customer's business calendar.")
    )
    timezone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    over_at = models.DateTimeField(_("over at"), null=True, blank=True)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("created at"))
    ended_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects: ClassVar = SharedManager.from_queryset(ChangeWindowQuerySet)()

    class Meta:
        ordering = ("kind", "name", "pk")
        verbose_name = _("change window")
        verbose_name_plural = _("change windows")
        constraints = (models.CheckConstraint(condition=~Q(name=""), name="change_window_has_a_name"),)

    def __str__(self) -> str:
        return self.name

    def spans(self) -> Sequence[Window]:
        return from_json(self.windows, self.timezone)
