"""People who sign in, what they may reach, and how they come in."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts import reach, scope
from accounts.tenancy import TenantModel, TenantOrProviderModel


class Role(models.TextChoices):
    CUSTOMER_PM = "customer_pm", _("Customer project manager")
    CUSTOMER_MEMBER = "customer_member", _("Customer member")
    CUSTOMER_VIEWER = "customer_viewer", _("Customer, read only")
    ENGINEER = "engineer", _("Engineer")
    MANAGER = "manager", _("Service manager")
    ADMIN = "admin", _("Administrator")


CUSTOMER_ROLES = (Role.CUSTOMER_PM, Role.CUSTOMER_MEMBER, Role.CUSTOMER_VIEWER)
PROVIDER_ROLES = (Role.ENGINEER, Role.MANAGER, Role.ADMIN)


class UserManager(BaseUserManager["User"]):
    """People in scope: those of the customers in reach, and the provider's own."""

    def get_queryset(self) -> models.QuerySet["User"]:
        current = scope.required()
        rows = super().get_queryset()
        if current.customer_ids is None:
            return rows
        return rows.filter(Q(reach.within(current.setting, "customer_id")) | Q(customer_id__isnull=True))

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        person = self.model(email=self.normalize_email(email).lower(), **fields)
        person.set_password(password)
        person.save(using=self._db)
        return person


class User(AbstractBaseUser):
    """A person, who belongs to one customer or, with none, to the provider."""

    email = models.EmailField(_("e-mail"), unique=True)
    name = models.CharField(_("name"), max_length=80)
    phone = models.CharField(_("phone"), max_length=40, blank=True)
    role = models.CharField(_("role"), max_length=20, choices=Role)
    customer = models.ForeignKey(
        "accounts.Customer", on_delete=models.PROTECT, related_name="people", null=True, blank=True
    )
    language = models.CharField(_("language"), max_length=10, default="zh-hans")
    is_active = models.BooleanField(_("active"), default=True)
    date_joined = models.DateTimeField(_("joined at"), auto_now_add=True)
    sign_in_epoch = models.PositiveIntegerField(default=0, editable=False)
    """Whatever began under an earlier number is over: sessions at servers, and what opens more of them."""

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name", "role"]

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = (
            models.UniqueConstraint(Lower("email"), name="email_once_whatever_its_case"),
            models.CheckConstraint(
                condition=(Q(role__in=CUSTOMER_ROLES) & Q(customer__isnull=False))
                | (Q(role__in=PROVIDER_ROLES) & Q(customer__isnull=True)),
                name="role_fits_the_side",
            ),
        )

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def is_provider(self) -> bool:
        return self.role in PROVIDER_ROLES

    @property
    def is_staff(self) -> bool:
        """Django asks this before it shows its own administration, which this product does not use."""
        return False

    def reachable_customer_ids(self) -> Iterable[int] | None:
        """The customers that this person may see; None means all. Needs a platform scope."""
        if not self.is_active:
            return ()
        if self.role in (Role.MANAGER, Role.ADMIN):
            return None
        if self.role == Role.ENGINEER:
            return Assignment.objects.filter(user=self).values_list("customer_id", flat=True)
        return () if self.customer_id is None else (self.customer_id,)


class Assignment(TenantModel):
    """An engineer works for a customer, and therefore sees it."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="assignments")
    assigned_at = models.DateTimeField(_("assigned at"))

    class Meta:
        ordering = ("customer", "user")
        verbose_name = _("assignment")
        verbose_name_plural = _("assignments")
        constraints = (models.UniqueConstraint(fields=("customer", "user"), name="assigned_once"),)

    def __str__(self) -> str:
        return f"{self.user} → {self.customer}"


class Invitation(TenantOrProviderModel):
    """A door that opens once: the only way to become a user. Its token is signed, and stored nowhere."""

    email = models.EmailField(_("e-mail"))
    name = models.CharField(_("name"), max_length=80, blank=True)
    role = models.CharField(_("role"), max_length=20, choices=Role)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"))
    mailed_at = models.DateTimeField(_("mailed at"), null=True, blank=True)
    accepted_at = models.DateTimeField(_("accepted at"), null=True, blank=True)
    accepted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = (
            models.CheckConstraint(
                condition=(Q(role__in=CUSTOMER_ROLES) & Q(customer__isnull=False))
                | (Q(role__in=PROVIDER_ROLES) & Q(customer__isnull=True)),
                name="invited_role_fits_the_side",
            ),
        )

    def __str__(self) -> str:
        return self.email

    def is_open(self, now: datetime) -> bool:
        return self.accepted_at is None and self.withdrawn_at is None and now < self.expires_at


class ApiToken(TenantOrProviderModel):
    """A key for machines, with the reach of the person who made it and the scopes chosen. Only its hash is kept."""

    class Scope(models.TextChoices):
        READ = "read", _("Read")
        WRITE = "write", _("Read and write")
        METRICS = "metrics", _("Send samples, nothing else")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(max_length=12)
    token_hash = models.CharField(max_length=64, unique=True)
    scope = models.CharField(_("scope"), max_length=10, choices=Scope, default=Scope.READ)
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"))
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at
