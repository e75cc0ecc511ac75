"""To whom the service desk's number was forwarded, from when (R131)."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantOrProviderModel


class DeskForward(TenantOrProviderModel):
    """One change of who answers the desk's number. Nobody: no duty was taken by anybody with a telephone."""

    APPEND_ONLY: ClassVar[bool] = True

    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    number = models.CharField(_("number"), max_length=20, blank=True)
    duty = models.CharField(_("duty"), max_length=20, blank=True)
    since = models.DateTimeField(_("since"))

    class Meta:
        ordering = ("-since", "-pk")
        verbose_name = _("forwarding of the desk's number")
        verbose_name_plural = _("forwardings of the desk's number")

    def __str__(self) -> str:
        return f"{self.since:%F %T} {self.number or '—'}"
