"""The RAM users and groups of a cloud account as they were last seen, and what speaks against them."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from assets.models.cloud import CloudAccount


class RamUser(TenantModel):
    """One RAM user; groups, policies and AccessKeys as RAM lists them, keys with shortened ids."""

    account = models.ForeignKey(CloudAccount, on_delete=models.CASCADE, related_name="ram_users")
    name = models.CharField(_("name"), max_length=64)
    display_name = models.CharField(_("display name"), max_length=128, blank=True)
    created_at = models.DateTimeField(_("created at"), null=True)
    last_login_at = models.DateTimeField(_("last sign-in"), null=True)
    can_sign_in = models.BooleanField(_("may sign in to the console"), null=True)
    has_mfa = models.BooleanField(_("second factor"), null=True)
    groups = models.JSONField(_("groups"), default=list)
    policies = models.JSONField(_("policies"), default=list)
    keys = models.JSONField(_("AccessKeys"), default=list)
    seen_at = models.DateTimeField(_("last seen at"))

    class Meta:
        ordering = ("name",)
        verbose_name = _("RAM user")
        verbose_name_plural = _("RAM users")
        constraints = (models.UniqueConstraint(fields=("account", "name"), name="ram_user_once_per_account"),)

    def __str__(self) -> str:
        return self.name


class RamGroup(TenantModel):
    """One RAM group with its policies and the names of its users; also one that nobody is in."""

    account = models.ForeignKey(CloudAccount, on_delete=models.CASCADE, related_name="ram_groups")
    name = models.CharField(_("name"), max_length=64)
    comments = models.CharField(_("comment"), max_length=128, blank=True)
    created_at = models.DateTimeField(_("created at"), null=True)
    members = models.JSONField(_("members"), default=list)
    policies = models.JSONField(_("policies"), default=list)
    seen_at = models.DateTimeField(_("last seen at"))

    class Meta:
        ordering = ("name",)
        verbose_name = _("RAM group")
        verbose_name_plural = _("RAM groups")
        constraints = (models.UniqueConstraint(fields=("account", "name"), name="ram_group_once_per_account"),)

    def __str__(self) -> str:
        return self.name


class RamFinding(TenantModel):
    """Something wrong with a RAM user or group, from the first pass that saw it to the first that no longer did."""

    class Flaw(models.TextChoices):
        NO_MFA = "no_mfa", _("Signs in without a second factor")
        OLD_KEY = "old_key", _("AccessKey older than 90 days")
        UNUSED_KEY = "unused_key", _("AccessKey not used for 90 days")
        ADMINISTRATOR_PERSON = "administrator_person", _("A person with AdministratorAccess")
        READING_KEY_WRITES = "reading_key_writes", _("The read-only AccessKey can write")
        EMPTY_GROUP = "empty_group", _("A group without members has rights")

    account = models.ForeignKey(CloudAccount, on_delete=models.CASCADE, related_name="ram_findings")
    flaw = models.CharField(_("finding"), max_length=24, choices=Flaw)
    user = models.CharField(_("RAM user or group"), max_length=64)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    found_at = models.DateTimeField(_("found at"))
    gone_at = models.DateTimeField(_("gone since"), null=True)

    OPEN: ClassVar[Q] = Q(gone_at=None)
    OF_GROUPS: ClassVar[tuple[str, ...]] = (Flaw.EMPTY_GROUP,)

    class Meta:
        ordering = ("flaw", "user", "pk")
        verbose_name = _("finding in RAM")
        verbose_name_plural = _("findings in RAM")
        constraints = (
            models.UniqueConstraint(
                fields=("account", "flaw", "user", "detail"), condition=Q(gone_at=None), name="ram_finding_open_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_flaw_display()}: {self.user}"
