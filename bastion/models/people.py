"""How people sign in at a node: their SSH keys, and tickets that the portal makes for one connection."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantOrProviderModel
from assets.models import Asset

TICKET_LIFE = timedelta(minutes=5)


class SshKey(TenantOrProviderModel):
    """A person's public key. It opens the bastion's SSH door and nothing else."""

    person = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=80)
    public_key = models.TextField(_("public key"))
    fingerprint = models.CharField(_("fingerprint"), max_length=80)
    added_at = models.DateTimeField(_("added at"))
    used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    used_from = models.GenericIPAddressField(_("last used from"), null=True, blank=True)

    class Meta:
        ordering = ("person", "name")
        verbose_name = _("SSH key")
        verbose_name_plural = _("SSH keys")
        constraints = (
            models.UniqueConstraint(
                fields=("fingerprint",),
                name="ssh_key_of_one_person",
                violation_error_message=_("This key is in use already."),
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.fingerprint}"


class LoginTicket(TenantOrProviderModel):
    """Lets one person connect once, to one account of one resource, from one address. Only its digest is kept."""

    digest = models.CharField(max_length=64, unique=True)
    person = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    account = models.CharField(_("account"), max_length=128)
    work = models.CharField(_("work"), max_length=300, blank=True)
    address = models.GenericIPAddressField(_("address"))
    made_at = models.DateTimeField(_("made at"))
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)

    class Meta:
        ordering = ("-made_at",)
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        indexes = (models.Index(fields=("made_at",), condition=Q(used_at=None), name="ticket_unused"),)

    def __str__(self) -> str:
        return f"{self.person} → {self.account}@{self.asset}"

    def is_good(self, address: str, now: datetime) -> bool:
        return self.used_at is None and self.address == address and now - self.made_at < TICKET_LIFE
