"""A customer's account at Alibaba Cloud, with the two credentials that the SOW asks for."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.words import say

KEY_AGE_LIMIT = timedelta(days=90)


class Access(models.TextChoices):
    """What a RAM user was seen to be allowed (R124)."""

    READ_ONLY = "read_only", _("Read only")
    WRITES = "writes", _("Can write")
    UNKNOWN = "unknown", _("Not known")


class CloudAccountQuerySet(TenantQuerySet["CloudAccount"]):
    def existing(self) -> Self:
        return self.filter(retired_at=None)

    def due(self, now: datetime) -> Self:
        """Accounts whose next synchronisation should have begun. A switched-off one never is."""
        there = self.existing().exclude(customer__status="left")
        return there.filter(is_enabled=True, next_sync_at__lte=now)


class CloudAccount(TenantModel):
    """An Alibaba Cloud account of a customer, with the two credentials of SOW 附件一 2.2 (R122).

    The secrets `ram_password` and `access_key_secret` lie in the vault under these names.
    """

    PASSWORD = "ram_password"  # noqa: S105 - the name of a field
    KEY_SECRET = "access_key_secret"  # noqa: S105 - the name of a field

    class State(models.TextChoices):
        WORKING = "working", _("Working")
        FAILING = "failing", _("Failing")
        REFUSED = "refused", _("Credentials refused")

    name = models.CharField(_("name"), max_length=80)
    account_uid = models.CharField(_("account UID"), max_length=40)
    regions = models.JSONField(_("regions"), default=list)
    endpoint_override = models.CharField(
        _("API address"),
        blank=True,
        max_length=200,
        help_text=_("Replaces the address of every Alibaba Cloud product. Empty: the public cloud."),
    )
    simulated = models.BooleanField(_("simulated"), default=False)

    access_key_id = models.CharField(_("AccessKey ID"), max_length=64)
    key_user = models.CharField(_("RAM user of the AccessKey"), max_length=64, blank=True)
    key_access = models.CharField(_("access of the AccessKey"), max_length=10, choices=Access, default=Access.UNKNOWN)
    key_findings = models.JSONField(_("what speaks against read-only"), default=list)
    key_created_at = models.DateTimeField(_("AccessKey created at"), null=True)
    key_accepted_by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="+", null=True, verbose_name=_("accepted by")
    )
    key_accepted_reason = models.CharField(_("reason for accepting"), max_length=300, blank=True)

    login_url = models.CharField(_("console sign-in address"), max_length=200, blank=True)
    ram_username = models.CharField(_("console user"), max_length=128, blank=True)
    console_access = models.CharField(
        _("access of the console user"), max_length=10, choices=Access, default=Access.UNKNOWN
    )

    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WORKING)
    verified_at = models.DateTimeField(_("verified at"), null=True)
    last_error_code = models.CharField(max_length=80, blank=True)
    last_error = models.CharField(_("last error"), max_length=400, blank=True)
    is_enabled = models.BooleanField(_("synchronise"), default=True)
    sync_minutes = models.PositiveIntegerField(_("synchronise every, minutes"), default=30)
    next_sync_at = models.DateTimeField(_("next synchronisation"), null=True)
    synced_at = models.DateTimeField(_("synchronised at"), null=True)
    created_at = models.DateTimeField(_("created at"))
    retired_at = models.DateTimeField(_("retired at"), null=True)

    objects: ClassVar = ScopedManager.from_queryset(CloudAccountQuerySet)()

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("cloud account")
        verbose_name_plural = _("cloud accounts")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "account_uid"),
                condition=Q(retired_at=None),
                name="cloud_account_once_per_customer",
                violation_error_message=_("This Alibaba Cloud account is registered already."),
            ),
            models.CheckConstraint(condition=Q(sync_minutes__gte=5), name="cloud_account_not_synced_too_often"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def problem(self) -> str:
        """The last error as a sentence in the reader's language."""
        return say(self.last_error_code, self.last_error) if self.last_error_code else ""

    @property
    def masked_key_id(self) -> str:
        key = self.access_key_id
        return f"{key[:6]}****{key[-4:]}" if len(key) > 12 else "****"

    def key_age(self, now: datetime) -> timedelta | None:
        return None if self.key_created_at is None else now - self.key_created_at

    def key_is_old(self, now: datetime) -> bool:
        """Older than the ninety days after which a key should be replaced (R124)."""
        age = self.key_age(now)
        return age is not None and age > KEY_AGE_LIMIT
