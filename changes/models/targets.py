"""What the catalogue promises for an operation, frozen on the request that asked for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from incidents.models import Incident, IncidentState


class RequestTargetQuerySet(TenantQuerySet["RequestTarget"]):
    def open(self) -> Self:
        return self.filter(incident__resolved_at=None).exclude(incident__state=IncidentState.CLOSED)

    def for_lists(self) -> Self:
        return self.select_related("customer", "incident__assignee")


class RequestTarget(TenantModel):
    """R173: within which time the request is answered and the work done. What the catalogue says later changes nothing.

    Working hours are counted on the calendar that was frozen with the request, without the time in which it waited for
    the customer's signature. `due_at` moves with that waiting; `missed_at` stays.
    """

    incident = models.OneToOneField(Incident, on_delete=models.PROTECT, related_name="target")
    operation = models.CharField(_("operation"), max_length=80)
    response_minutes = models.PositiveIntegerField(_("answered within, minutes"))
    completion_hours = models.PositiveIntegerField(_("done within, working hours"))
    started_at = models.DateTimeField(_("asked at"))
    due_at = models.DateTimeField(_("to be done by"))
    missed_at = models.DateTimeField(_("missed at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(RequestTargetQuerySet)()

    class Meta:
        ordering = ("due_at", "pk")
        verbose_name = _("target of a request")
        verbose_name_plural = _("targets of requests")
        constraints = (
            models.CheckConstraint(
                condition=Q(response_minutes__gte=1, completion_hours__gte=1), name="request_target_is_a_time"
            ),
        )
        indexes = (models.Index(fields=("customer", "due_at"), name="request_target_by_day"),)

    def __str__(self) -> str:
        return f"{self.operation} {self.due_at:%Y-%m-%d %H:%M}"

    @property
    def response_due_at(self) -> datetime:
        return self.started_at + timedelta(minutes=self.response_minutes)

    @property
    def answered_late(self) -> bool:
        """It was answered, and not in time."""
        answered = self.incident.acknowledged_at
        return answered is not None and answered > self.response_due_at

    @property
    def is_open(self) -> bool:
        return self.incident.resolved_at is None and self.incident.state != IncidentState.CLOSED
