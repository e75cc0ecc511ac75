"""What the customer was told when the cause lay in their own application (R69): proof, delivery, their answer."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts import scope
from accounts.tenancy import ScopedManager, TenantModel
from incidents.models.incident import Incident, IncidentKind, TimelineEntry


class CauseNoticeManager(ScopedManager["CauseNotice"]):
    def get_queryset(self) -> "models.QuerySet[CauseNotice]":
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.exclude(incident__kind=IncidentKind.INTERNAL)


class CauseNotice(TenantModel):
    """One notice to the customer's contacts; its files hang on the timeline entry. A reopened incident may get more."""

    class Answer(models.TextChoices):
        ACKNOWLEDGED = "acknowledged", pgettext_lazy("answer", "Acknowledged")
        DISPUTED = "disputed", _("Disputed")

    objects: ClassVar = CauseNoticeManager()

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="cause_notices")
    entry = models.ForeignKey(TimelineEntry, on_delete=models.PROTECT, related_name="+")
    proof = models.TextField(_("proof"))
    told = models.JSONField(_("told"), default=list, help_text=_("Names and addresses as they were."))
    sent_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    sent_at = models.DateTimeField(_("sent at"))
    answer = models.CharField(_("answer"), max_length=20, choices=Answer, blank=True)
    answered_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    words = models.TextField(_("words"), blank=True)

    class Meta:
        ordering = ("-sent_at", "-pk")
        verbose_name = _("notice of a cause")
        verbose_name_plural = _("notices of causes")
        constraints = (
            models.CheckConstraint(
                condition=Q(answer="", answered_at=None, answered_by=None)
                | (~Q(answer="") & Q(answered_at__isnull=False, answered_by__isnull=False)),
                name="cause_notice_is_answered_by_somebody",
            ),
        )

    def __str__(self) -> str:
        return f"{self.incident}"
