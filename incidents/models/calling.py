"""Telephoning a customer's contacts about an incident until one of them is reached (SOW 附件一 §4)."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel


class ContactCall(TenantModel):
    """One thing that the contacts must hear by telephone: primary first, then secondary, round after round."""

    class State(models.TextChoices):
        SEEKING = "seeking", _("Calling")
        REACHED = "reached", _("Reached")
        UNREACHED = "unreached", _("Not reached")
        SUPERSEDED = "superseded", _("Replaced by newer news")

    incident = models.ForeignKey("incidents.Incident", on_delete=models.CASCADE, related_name="contact_calls")
    what = models.CharField(max_length=60)
    subject = models.CharField(_("subject"), max_length=300)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.SEEKING)
    people = models.JSONField(default=list)  # [[user, number], …] in the order in which they are called
    until_reached = models.BooleanField(default=True)
    repeat_minutes = models.PositiveSmallIntegerField(default=15)
    round = models.PositiveSmallIntegerField(_("round"), default=1)
    place = models.PositiveSmallIntegerField(default=0)  # whose turn it is in this round
    started_at = models.DateTimeField(_("started at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    reached = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("call to contacts")
        verbose_name_plural = _("calls to contacts")
        constraints = (
            models.UniqueConstraint(fields=("incident", "what"), name="contacts_are_called_once_about_each_thing"),
            models.UniqueConstraint(
                fields=("incident",), condition=Q(state="seeking"), name="one_call_to_contacts_at_a_time"
            ),
        )

    def __str__(self) -> str:
        return f"{self.what} {self.get_state_display()}"
