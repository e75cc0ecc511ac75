"""Who is on duty: first responder, second responder, manager or acting manager (R62, R186)."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.models.people import User
from accounts.tenancy import SharedManager, SharedModel, TenantQuerySet


class RosterShiftQuerySet(TenantQuerySet["RosterShift"]):
    def at(self, moment: datetime) -> Self:
        """Shifts running at a moment; the end belongs to the next shift."""
        return self.filter(starts_at__lte=moment, ends_at__gt=moment)

    def serving(self, customer_id: int | None) -> Self:
        """Shifts of one customer and those that serve every customer."""
        return self.filter(Q(customer_id=customer_id) | Q(customer_id__isnull=True))


class RosterShift(SharedModel):
    """One person on one duty for a time; without a customer the shift serves all of them."""

    class Duty(models.TextChoices):
        FIRST = "first", _("First responder")
        SECOND = "second", _("Second responder")
        MANAGER = "manager", _("Manager")
        ACTING_MANAGER = "acting_manager", _("Acting manager")

    duty = models.CharField(_("duty"), max_length=20, choices=Duty)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="shifts")
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(_("ends at"))
    history = HistoricalRecords()

    objects: ClassVar = SharedManager.from_queryset(RosterShiftQuerySet)()

    class Meta:
        ordering = ("starts_at", "duty")
        verbose_name = _("shift")
        verbose_name_plural = _("shifts")
        constraints = (
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="shift_ends_after_it_starts"),
        )
        indexes = (models.Index(fields=("starts_at", "ends_at"), name="shift_span"),)

    def __str__(self) -> str:
        return f"{self.get_duty_display()}: {self.user}"
