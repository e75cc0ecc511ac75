"""Accounts on hosts, in databases and in the cloud, and key pairs: rows without their secret, which is in the vault."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.models.cloud import CloudAccount
from assets.models.inventory import Asset


class CredentialKind(models.TextChoices):
    HOST = "host", _("Host account")
    DATABASE = "database", _("Database account")
    KEY_PAIR = "key_pair", _("SSH key pair")
    CONSOLE = "console", _("Console sign-in")
    ACCESS_KEY = "access_key", _("AccessKey")


class AccountPurpose(models.TextChoices):
    """Whose work an account is for (SOW 附件一 2.1 and 2.2)."""

    OPERATIONS = "operations", _("Operations by the provider")
    CUSTOMER = "customer", _("Daily work of the customer")
    APPLICATION = "application", _("Runs the application")
    READING = "reading", _("Reports and monitoring, read only")
    OTHER = "other", _("Something else")


class Check(models.TextChoices):
    """How the last look at whether a credential works ended."""

    NEVER = "never", _("Not checked yet")
    WORKS = "works", _("Works")
    REFUSED = "refused", _("Refused")
    UNREACHABLE = "unreachable", _("Not reachable")


class CredentialQuerySet(TenantQuerySet["Credential"]):
    def in_use(self) -> Self:
        return self.filter(retired_at=None)

    def rotation_due(self, now: datetime) -> Self:
        return self.in_use().filter(rotation_due_at__lte=now)

    def unverified(self) -> Self:
        return self.in_use().exclude(check_state=Check.WORKS)

    def joined(self) -> Self:
        return self.select_related("customer", "asset", "cloud_account")


class Credential(TenantModel):
    """One account or key. Its secret lies in the vault under `place`, and is read by services alone."""

    SECRET = "secret"  # noqa: S105 - the name of a field
    PENDING = "pending"

    kind = models.CharField(_("kind"), max_length=12, choices=CredentialKind)
    purpose = models.CharField(
        _("purpose"), max_length=12, choices=AccountPurpose, default=AccountPurpose.OTHER, blank=True
    )
    asset = models.ForeignKey(
        Asset, on_delete=models.PROTECT, related_name="credentials", null=True, blank=True, verbose_name=_("asset")
    )
    cloud_account = models.ForeignKey(
        CloudAccount,
        on_delete=models.PROTECT,
        related_name="credentials",
        null=True,
        blank=True,
        verbose_name=_("cloud account"),
    )
    username = models.CharField(_("account name"), max_length=128)
    access_key_id = models.CharField(_("AccessKey ID"), max_length=64, blank=True)
    public_key = models.TextField(_("public key"), blank=True)
    fingerprint = models.CharField(_("fingerprint"), max_length=80, blank=True)
    has_sudo = models.BooleanField(_("may use sudo"), null=True, blank=True)
    is_privileged = models.BooleanField(
        _("administrator login"), default=False, help_text=_("A second person must agree before its secret is shown.")
    )
    note = models.CharField(_("note"), max_length=300, blank=True)
    secret_set_at = models.DateTimeField(_("secret since"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    check_state = models.CharField(_("last check"), max_length=12, choices=Check, default=Check.NEVER)
    check_words = models.CharField(_("what the check said"), max_length=300, blank=True)
    checked_at = models.DateTimeField(_("checked at"), null=True, blank=True)
    rotation_due_at = models.DateTimeField(_("rotation due"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(CredentialQuerySet)()

    class Meta:
        ordering = ("kind", "username", "pk")
        verbose_name = _("credential")
        verbose_name_plural = _("credentials")
        constraints = (
            models.UniqueConstraint(
                fields=("asset", "kind", "username"),
                condition=Q(retired_at=None, asset__isnull=False),
                name="account_once_per_asset",
            ),
            models.UniqueConstraint(
                fields=("cloud_account", "kind", "purpose"),
                condition=Q(retired_at=None, cloud_account__isnull=False),
                name="credential_once_per_cloud_account",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=("host", "database", "key_pair"), asset__isnull=False, cloud_account=None)
                | Q(kind__in=("console", "access_key"), cloud_account__isnull=False, asset=None),
                name="credential_is_of_its_place",
            ),
        )
        indexes = (
            models.Index(fields=("rotation_due_at",), condition=Q(retired_at=None), name="credential_by_rotation"),
        )

    def __str__(self) -> str:
        return f"{self.username} @ {self.where}"

    @property
    def where(self) -> Asset | CloudAccount:
        place = self.asset or self.cloud_account
        assert place is not None  # noqa: S101 - the constraint `credential_is_of_its_place`
        return place

    @property
    def place(self) -> tuple[models.Model, str]:
        """The object and field under which the vault holds the secret: a cloud account keeps its own two."""
        if self.cloud_account is not None and self.kind == CredentialKind.CONSOLE:
            return self.cloud_account, CloudAccount.PASSWORD
        if self.cloud_account is not None and self.is_reading_key:
            return self.cloud_account, CloudAccount.KEY_SECRET
        return self, self.SECRET

    @property
    def is_reading_key(self) -> bool:
        return self.kind == CredentialKind.ACCESS_KEY and self.purpose == AccountPurpose.READING

    @property
    def masked_key_id(self) -> str:
        key = self.access_key_id
        return f"{key[:6]}****{key[-4:]}" if len(key) > 12 else "****" if key else ""

    @property
    def may_be_revealed(self) -> bool:
        """The secret of an AccessKey is never shown again after it was entered (R123)."""
        return self.kind != CredentialKind.ACCESS_KEY

    @property
    def needs_second_person(self) -> bool:
        return self.is_privileged

    def age(self, now: datetime) -> timedelta | None:
        return None if self.secret_set_at is None else now - self.secret_set_at

    def is_due(self, now: datetime) -> bool:
        return self.rotation_due_at is not None and self.rotation_due_at <= now


class RevealRequest(TenantModel):
    """Somebody asks what needs a second person: to see an administrator's secret, once, or that it be shown without one
    from now on; another person answers."""

    LIFE = timedelta(hours=24)
    WINDOW = timedelta(minutes=15)

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting for a second person")
        APPROVED = "approved", _("Approved")
        REFUSED = "refused", _("Refused")
        USED = "used", _("Shown")

    class Kind(models.TextChoices):
        SHOW = "show", _("See the secret")
        UNMARK = "unmark", _("No longer an administrator login")

    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="reveal_requests")
    kind = models.CharField(_("what for"), max_length=10, choices=Kind, default=Kind.SHOW)
    asked_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(_("reason"), max_length=300)
    asked_at = models.DateTimeField(_("asked at"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    decided_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    decided_at = models.DateTimeField(_("decided at"), null=True)
    ends_at = models.DateTimeField(_("ends at"))
    shown_at = models.DateTimeField(_("shown at"), null=True)

    class Meta:
        ordering = ("-asked_at", "-pk")
        verbose_name = _("request to see a secret")
        verbose_name_plural = _("requests to see a secret")
        constraints = (
            models.CheckConstraint(condition=~Q(decided_by=models.F("asked_by")), name="reveal_by_two_persons"),
        )

    def __str__(self) -> str:
        return f"{self.credential}: {self.asked_by}"

    def is_open(self, now: datetime) -> bool:
        return self.state in (self.State.WAITING, self.State.APPROVED) and now < self.ends_at
