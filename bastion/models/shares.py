"""Invitations to somebody else's running web terminal."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from bastion.models.sessions import BastionSession


class SessionShareQuerySet(TenantQuerySet["SessionShare"]):
    def in_force(self) -> "SessionShareQuerySet":
        return self.filter(revoked_at=None).exclude(session__state=BastionSession.State.ENDED)


class SessionShare(TenantModel):
    """One colleague may look on, or type as well, until it is taken back or the session ends."""

    session = models.ForeignKey(BastionSession, on_delete=models.PROTECT, related_name="shares")
    guest = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    may_type = models.BooleanField(_("may type"), default=False)
    invited_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    invited_at = models.DateTimeField(_("invited at"))
    joined_at = models.DateTimeField(_("first joined at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("taken back at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(SessionShareQuerySet)()

    class Meta:
        ordering = ("-invited_at", "-pk")
        verbose_name = _("invitation to a session")
        verbose_name_plural = _("invitations to sessions")
        constraints = (
            models.UniqueConstraint(
                fields=("session", "guest"), condition=Q(revoked_at=None), name="session_shared_once_with_a_guest"
            ),
        )

    def __str__(self) -> str:
        return f"{self.session} → {self.guest}"
