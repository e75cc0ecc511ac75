"""Resource groups, what is in them, and who administers them (SOW 附件一 1.2)."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import TenantModel
from assets.models import Asset
from bastion.models.recordings import LARGEST_COPY_MB

SHORTEST_IDLE, LONGEST_IDLE = 1, 480
SHORTEST_TOTAL, LONGEST_TOTAL = 5, 7 * 24 * 60
"""Minutes that a group may say."""


class ResourceGroup(TenantModel):
    """A set of resources that people are let to together. A network's group takes in whatever joins that network."""

    class Kind(models.TextChoices):
        NORMAL = "normal", pgettext_lazy("resource group", "Normal")
        NETWORK = "network", _("Default of a network")

    kind = models.CharField(_("kind"), max_length=8, choices=Kind, default=Kind.NORMAL)
    name = models.CharField(_("name"), max_length=80)
    network = models.CharField(_("network"), max_length=128, blank=True, help_text=_("The ID of the VPC."))
    ranges = models.JSONField(
        _("address ranges"),
        default=list,
        blank=True,
        help_text=_("Of a network that no cloud describes: what has an address there joins by itself."),
    )
    description = models.CharField(_("description"), max_length=300, blank=True)
    trusts_first_sight = models.BooleanField(
        _("accept host keys at first sight"),
        default=False,
        help_text=_("Otherwise nobody gets in before an administrator has confirmed the server's key."),
    )
    idle_minutes = models.PositiveSmallIntegerField(_("minutes without a key"), null=True, blank=True)
    total_minutes = models.PositiveSmallIntegerField(_("minutes in all"), null=True, blank=True)
    copies_mb = models.PositiveIntegerField(_("copies of files up to, in megabytes"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)

    class Meta:
        ordering = ("customer", "name")
        verbose_name = _("resource group")
        verbose_name_plural = _("resource groups")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name"),
                condition=Q(retired_at=None),
                name="group_named_once",
                violation_error_message=_("There is a group of this name already."),
            ),
            models.UniqueConstraint(
                fields=("customer", "network"),
                condition=Q(kind="network", retired_at=None),
                name="one_group_per_network",
            ),
            models.CheckConstraint(
                condition=Q(kind="network") & ~Q(network="") | Q(kind="normal", network=""),
                name="network_group_names_its_network",
            ),
            models.CheckConstraint(
                condition=Q(retired_at=None) | Q(kind="normal") | Q(network__contains="/"),
                name="group_of_a_vpc_stays",
            ),
            models.CheckConstraint(
                condition=(Q(idle_minutes=None) | Q(idle_minutes__range=(SHORTEST_IDLE, LONGEST_IDLE)))
                & (Q(total_minutes=None) | Q(total_minutes__range=(SHORTEST_TOTAL, LONGEST_TOTAL)))
                & (Q(copies_mb=None) | Q(copies_mb__lte=LARGEST_COPY_MB)),
                name="group_limits_are_in_reason",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_local(self) -> bool:
        """A network that no cloud describes: it is called by its first range."""
        return "/" in self.network


class GroupAsset(TenantModel):
    """A resource in a group."""

    group = models.ForeignKey(ResourceGroup, on_delete=models.CASCADE, related_name="members")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    added_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    added_at = models.DateTimeField(_("added at"))

    class Meta:
        ordering = ("group", "asset")
        verbose_name = _("resource of a group")
        verbose_name_plural = _("resources of groups")
        constraints = (models.UniqueConstraint(fields=("group", "asset"), name="in_a_group_once"),)

    def __str__(self) -> str:
        return f"{self.group} / {self.asset}"


class GroupAdministrator(TenantModel):
    """Puts resources into the group and takes them out, watches and ends its sessions, judges its commands."""

    group = models.ForeignKey(ResourceGroup, on_delete=models.CASCADE, related_name="administrators")
    person = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    named_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    named_at = models.DateTimeField(_("named at"))

    class Meta:
        ordering = ("group", "person")
        verbose_name = _("group administrator")
        verbose_name_plural = _("group administrators")
        constraints = (models.UniqueConstraint(fields=("group", "person"), name="administers_once"),)

    def __str__(self) -> str:
        return f"{self.group} / {self.person}"
