"""What each probe point last found of each target, and the rounds that are not over yet."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet


class PointQuerySet(TenantQuerySet["ProbePoint"]):
    def failing(self) -> Self:
        """Those that asked and were not content. A place that could not ask has no result."""
        return self.exclude(code=None).exclude(code=0)


class ProbePoint(TenantModel):
    """The last answer of one place about one target. The history is in the samples."""

    target = models.ForeignKey("monitoring.Target", on_delete=models.CASCADE, related_name="probes")
    point = models.CharField(_("probe point"), max_length=30)
    asked_at = models.DateTimeField(_("asked at"))
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    code = models.PositiveSmallIntegerField(_("result"), null=True, blank=True)
    answer = models.JSONField(_("answer"), default=dict)
    since = models.DateTimeField(_("since"), help_text=_("When it began to pass, to fail or to be missing."))
    bad_rounds = models.PositiveIntegerField(default=0)
    good_rounds = models.PositiveIntegerField(default=0)
    missing_rounds = models.PositiveIntegerField(default=0)

    objects: ClassVar = ScopedManager.from_queryset(PointQuerySet)()

    class Meta:
        ordering = ("point",)
        verbose_name = _("probe point")
        verbose_name_plural = _("probe points")
        constraints = (models.UniqueConstraint(fields=("target", "point"), name="probe_point_once"),)

    def __str__(self) -> str:
        return self.point


class RoundQuerySet(TenantQuerySet["ProbeRound"]):
    def overdue(self, now: datetime) -> Self:
        return self.filter(is_open=True, due_at__lte=now)


class ProbeRound(TenantModel):
    """One question put to several places. It ends when all have answered, or at its due moment with those that have."""

    target = models.OneToOneField("monitoring.Target", on_delete=models.CASCADE, related_name="round")
    asked_at = models.DateTimeField()
    lease = models.DateTimeField(help_text=_("The lease under which the target was claimed."))
    due_at = models.DateTimeField()
    points = models.JSONField(default=list)
    is_open = models.BooleanField(default=True)

    objects: ClassVar = ScopedManager.from_queryset(RoundQuerySet)()

    class Meta:
        verbose_name = _("round of probes")
        verbose_name_plural = _("rounds of probes")
        indexes = (models.Index(fields=("due_at",), condition=Q(is_open=True), name="probe_round_open"),)

    def __str__(self) -> str:
        return f"{self.target_id} {self.asked_at}"
