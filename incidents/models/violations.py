"""Work outside the platform, recorded as a violation of one side (R76, R77; SOW 附件一 3.2)."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from incidents.models.incident import Incident


class ViolationQuerySet(TenantQuerySet["Violation"]):
    def between(self, start: datetime, end: datetime) -> Self:
        return self.filter(happened_at__gte=start, happened_at__lt=end)

    def counts(self) -> dict[str, int]:
        """How many there are by side, for lists and reports; every side is named."""
        found = dict(self.order_by().values_list("side").annotate(models.Count("pk")))
        return {side: found.get(side, 0) for side in Violation.Side.values}


class Violation(TenantModel):
    """Nobody deletes one: the other side acknowledges or disputes it."""

    class Side(models.TextChoices):
        """Who broke the rule."""

        CUSTOMER = "customer", _("Customer")
        PROVIDER = "provider", _("Provider")

    class Rule(models.TextChoices):
        NOT_REQUESTED = "not_requested", _("Major online change asked for outside RDMP and DingTalk")
        NOT_OWNER = "not_owner", _("Direct request handled by somebody who is not in charge")
        DIRECT_WORK = "direct_work", _("Work begun without an incident")
        HARDENING = "hardening", _("Hardening standard broken")
        OTHER = "other", _("Other")

    class Answer(models.TextChoices):
        ACKNOWLEDGED = "acknowledged", pgettext_lazy("answer", "Acknowledged")
        DISPUTED = "disputed", _("Disputed")

    objects: ClassVar = ScopedManager.from_queryset(ViolationQuerySet)()

    side = models.CharField(_("side"), max_length=20, choices=Side)
    rule = models.CharField(_("rule"), max_length=20, choices=Rule)
    who = models.CharField(_("who"), max_length=120)
    what = models.TextField(_("what happened"))
    happened_at = models.DateTimeField(_("happened at"))
    consequence = models.TextField(_("consequence"), blank=True)
    evidence = models.TextField(_("evidence"), blank=True)
    file_name = models.CharField(_("file"), max_length=200, blank=True)
    file_type = models.CharField(max_length=100, blank=True)
    file_size = models.PositiveBigIntegerField(default=0)
    file_sha256 = models.CharField(max_length=64, blank=True)
    stored_name = models.CharField(max_length=80, blank=True)
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    recorded_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(_("recorded at"))
    answer = models.CharField(_("answer of the other side"), max_length=20, choices=Answer, blank=True)
    answered_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    words = models.TextField(_("words"), blank=True)

    class Meta:
        ordering = ("-happened_at", "-pk")
        verbose_name = _("violation")
        verbose_name_plural = _("violations")
        constraints = (
            models.CheckConstraint(condition=Q(side__in=("customer", "provider")), name="violation_side_is_known"),
            models.CheckConstraint(
                condition=Q(answer="", answered_at=None, answered_by=None)
                | (~Q(answer="") & Q(answered_at__isnull=False, answered_by__isnull=False)),
                name="violation_is_answered_by_somebody",
            ),
        )
        indexes = (models.Index(fields=("customer", "-happened_at"), name="violation_by_time"),)

    def __str__(self) -> str:
        return f"{self.number} {self.get_rule_display()}"

    @property
    def number(self) -> str:
        return f"VIO-{self.pk:06d}" if self.pk else "VIO-"
