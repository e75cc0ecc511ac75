"""How people sign in at a node: their SSH keys, and tickets that the portal makes for one connection."""

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel, TenantOrProviderModel
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
    sign_in_epoch = models.PositiveIntegerField(default=0, editable=False)
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)

    class Meta:
        ordering = ("-made_at",)
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        indexes = (models.Index(fields=("made_at",), condition=Q(used_at=None), name="ticket_unused"),)

    def __str__(self) -> str:
        return f"{self.person} → {self.account}@{self.asset}"

    def is_good(self, address: str, now: datetime) -> bool:
        is_from_there = plain_address(self.address) == plain_address(address)
        return self.used_at is None and is_from_there and now - self.made_at < TICKET_LIFE


class Favourite(TenantModel):
    """A resource that somebody wants at the top of their lists."""

    person = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    asset = models.ForeignKey(Asset, on_delete=models.CASCADE, related_name="+")
    starred_at = models.DateTimeField(_("starred at"))

    class Meta:
        ordering = ("person", "asset")
        verbose_name = _("favourite")
        verbose_name_plural = _("favourites")
        constraints = (models.UniqueConstraint(fields=("person", "asset"), name="favourite_once"),)

    def __str__(self) -> str:
        return f"{self.person} ★ {self.asset}"


def plain_address(text: str) -> str:
    """IPv4 in its IPv6 clothes is IPv4; what is no address stays as it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
