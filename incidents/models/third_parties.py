"""When an incident lay with Alibaba Cloud or another third party, beside our clocks (R14)."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from incidents.models.incident import Incident


class ThirdPartyTime(TenantModel):
    """One stretch with somebody else, with their ticket and their own times. It does not stop our clocks."""

    class Party(models.TextChoices):
        ALIYUN = "aliyun", _("Alibaba Cloud")
        THIRD_PARTY = "third_party", _("Third party")

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="third_party_times")
    party = models.CharField(_("with whom"), max_length=20, choices=Party)
    name = models.CharField(_("name"), max_length=120, blank=True)
    ticket = models.CharField(_("ticket number"), max_length=80, blank=True)
    started_at = models.DateTimeField(_("from"))
    ended_at = models.DateTimeField(_("until"), null=True, blank=True)
    answered_at = models.DateTimeField(_("their first answer"), null=True, blank=True)
    note = models.TextField(_("note"), blank=True)
    recorded_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("started_at", "pk")
        verbose_name = _("time with a third party")
        verbose_name_plural = _("times with third parties")
        constraints = (
            models.UniqueConstraint(
                fields=("incident", "party"), condition=Q(ended_at=None), name="one_open_stretch_per_party"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("started_at")), name="stretch_ends_after_it_starts"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_party_display()} {self.started_at:%F %T}"
