"""What a customer has been told of the provider's responders, and the notices of every change of it (R183)."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet


class ResponderNoticeQuerySet(TenantQuerySet["ResponderNotice"]):
    def open(self) -> Self:
        return self.filter(given_at=None)


class ResponderNotice(TenantModel):
    """The contact data of the responders changed: the customer is told formally within two working days.

    `card` is the data as it is now, `told` what the customer had been told before; the newest notice that was given
    says what the customer knows. Changes that come while a notice is open are in it.
    """

    class How(models.TextChoices):
        EMAIL = "email", _("E-mail of the platform")
        LETTER = "letter", _("Letter")
        MEETING = "meeting", _("Meeting with minutes")
        CHAT = "chat", _("Working group")

    told = models.JSONField(_("told before"), default=list)
    card = models.JSONField(_("contact data"), default=list)
    changed_at = models.DateTimeField(_("changed at"))
    send_at = models.DateTimeField(_("is sent at"))
    due_at = models.DateTimeField(_("due at"))
    subject = models.CharField(_("subject"), max_length=200)
    text = models.TextField(_("text"))
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    warned_at = models.DateTimeField(_("warned at"), null=True, blank=True)
    overdue_at = models.DateTimeField(_("overdue since"), null=True, blank=True)
    given_at = models.DateTimeField(_("given at"), null=True, blank=True)
    how = models.CharField(_("how"), max_length=20, choices=How, blank=True)
    given_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    evidence = models.CharField(_("evidence"), max_length=300, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(ResponderNoticeQuerySet)()

    class Meta:
        ordering = ("-changed_at", "-pk")
        verbose_name = _("notice of changed responders")
        verbose_name_plural = _("notices of changed responders")
        constraints = (
            models.UniqueConstraint(fields=("customer",), condition=Q(given_at=None), name="one_open_responder_notice"),
            models.CheckConstraint(
                condition=Q(given_at=None, how="") | (Q(given_at__isnull=False) & ~Q(how="")), name="given_says_how"
            ),
        )

    def __str__(self) -> str:
        return self.subject

    @property
    def message_key(self) -> str:
        return f"responders:{self.pk}"

    def is_overdue(self, now: datetime) -> bool:
        return (self.given_at or now) > self.due_at
