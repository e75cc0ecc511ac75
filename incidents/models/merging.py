"""What was put together by hand, kept so that it can be taken apart again."""

from datetime import datetime, timedelta
from typing import Final

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from incidents.models.incident import Incident

UNDO_WITHIN: Final = timedelta(days=7)


class Merge(TenantModel):
    """One incident was found to be the same as another: it is closed as its duplicate.

    `kept` is what both were before, for the undoing: numbers of alerts, assets and clocks, and the states.
    """

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="merges")
    duplicate = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(_("reason"), blank=True)
    merged_at = models.DateTimeField(_("merged at"))
    merged_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    kept = models.JSONField(default=dict)
    undone_at = models.DateTimeField(_("undone at"), null=True, blank=True)
    undone_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        ordering = ("merged_at", "pk")
        verbose_name = _("merge")
        verbose_name_plural = _("merges")
        constraints = (
            models.UniqueConstraint(
                fields=("duplicate",), condition=Q(undone_at=None), name="incident_is_a_duplicate_of_one"
            ),
        )

    def __str__(self) -> str:
        return f"{self.duplicate_id} → {self.incident_id}"

    def can_be_undone(self, now: datetime) -> bool:
        return self.undone_at is None and now <= self.merged_at + UNDO_WITHIN
