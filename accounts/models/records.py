"""The audit log and the vault: rows that are only ever added, and values that are only ever sealed."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantOrProviderModel


class AuditEntry(TenantOrProviderModel):
    """One thing that somebody did, chained by hash to the one before it; entries without customer are the platform's.

    The database refuses UPDATE and DELETE (trigger and missing grant); `manage.py audit verify` finds what is changed,
    missing or out of order.
    """

    APPEND_ONLY: ClassVar[bool] = True

    sequence = models.PositiveBigIntegerField(_("number"))
    at = models.DateTimeField(_("at"))
    actor = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    actor_name = models.CharField(_("who"), max_length=120)
    action = models.CharField(_("action"), max_length=80)
    object_type = models.CharField(_("kind of object"), max_length=80, blank=True)
    object_id = models.CharField(_("object"), max_length=40, blank=True)
    object_name = models.CharField(_("name of object"), max_length=200, blank=True)
    detail = models.JSONField(_("detail"), default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ("-at", "-sequence")
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        constraints = (
            models.UniqueConstraint(fields=("customer", "sequence"), name="audit_sequence_once", nulls_distinct=False),
        )
        indexes = (
            models.Index(fields=("customer", "-at"), name="audit_by_time"),
            models.Index(fields=("object_type", "object_id"), name="audit_by_object"),
        )

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.actor_name} {self.action}"


class Secret(TenantOrProviderModel):
    """One sealed value of one field of one object (`accounts.secrets`)."""

    object_type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=40)
    field = models.CharField(max_length=60)
    key_id = models.CharField(_("key"), max_length=32)
    sealed = models.BinaryField()
    set_at = models.DateTimeField(_("set at"))
    set_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        verbose_name = _("secret")
        verbose_name_plural = _("secrets")
        constraints = (
            models.UniqueConstraint(fields=("object_type", "object_id", "field"), name="secret_once_per_field"),
        )

    def __str__(self) -> str:
        return f"{self.object_type}#{self.object_id}.{self.field}"
