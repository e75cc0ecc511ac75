"""Host keys that nodes have met and nobody had confirmed, or that are others than those confirmed."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.models import Asset
from bastion.models.sessions import BastionSession


class HostKeySightingQuerySet(TenantQuerySet["HostKeySighting"]):
    def waiting(self) -> Self:
        return self.filter(state="waiting")

    def alarming(self) -> Self:
        """Keys other than the confirmed one that an incident tells of: nobody has confirmed them, and the server has
        not answered with the confirmed one since."""
        return self.exclude(incident=None).filter(state__in=("waiting", "rejected"), alarm_over_at=None)

    def joined(self) -> Self:
        return self.select_related("customer", "asset", "session__person", "session__node", "decided_by", "incident")


class HostKeySighting(TenantModel):
    """A key with which a server answered at one place. What is confirmed is pinned for that server and place alone."""

    class Kind(models.TextChoices):
        FIRST = "first", pgettext_lazy("host key", "First sight")
        CHANGED = "changed", pgettext_lazy("host key", "Changed")

    class State(models.TextChoices):
        WAITING = "waiting", pgettext_lazy("host key", "Not confirmed")
        CONFIRMED = "confirmed", pgettext_lazy("host key", "Confirmed")
        REJECTED = "rejected", pgettext_lazy("host key", "Rejected")
        REPLACED = "replaced", pgettext_lazy("host key", "Another was confirmed")

    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    host = models.CharField(_("host"), max_length=253)
    port = models.PositiveIntegerField(_("port"))
    key = models.TextField(_("host key"))
    fingerprint = models.CharField(_("fingerprint"), max_length=80)
    fingerprint_before = models.CharField(_("fingerprint before"), max_length=80, blank=True)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    incident = models.ForeignKey(
        "incidents.Incident", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    alarm_over_at = models.DateTimeField(
        _("known key again at"),
        null=True,
        blank=True,
        help_text=_("When the server answered with the confirmed key again."),
    )
    session = models.ForeignKey(BastionSession, on_delete=models.PROTECT, related_name="+", null=True)
    times = models.PositiveIntegerField(_("times seen"), default=1)
    seen_at = models.DateTimeField(_("first seen at"))
    last_seen_at = models.DateTimeField(_("last seen at"))
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    words = models.CharField(_("remark"), max_length=300, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(HostKeySightingQuerySet)()

    class Meta:
        ordering = ("-last_seen_at", "-pk")
        verbose_name = _("host key met")
        verbose_name_plural = _("host keys met")
        indexes = (models.Index(fields=("asset",), condition=Q(state="waiting"), name="host_key_waiting"),)
        constraints = (
            models.UniqueConstraint(
                fields=("asset", "host", "port", "fingerprint"),
                condition=Q(state__in=("waiting", "rejected")),
                name="host_key_met_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.asset} {self.fingerprint}"
