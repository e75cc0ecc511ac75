"""Where the audit log goes besides: receivers of a customer's or the provider's own SIEM, and how far each has it."""

from datetime import datetime
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from accounts.tenancy import TenantOrProviderModel


class AuditReceiver(TenantOrProviderModel):
    """A customer's gets the customer's chain. One of the provider's gets all of them, and the platform's."""

    class Kind(models.TextChoices):
        SYSLOG_TLS = "syslog_tls", _("Syslog over TLS")
        SYSLOG = "syslog", _("Syslog over TCP")
        WEBHOOK = "webhook", _("Webhook")

    SECRET = "key"  # noqa: S105 - the name of a field in the vault

    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.SYSLOG_TLS)
    host = models.CharField(_("host"), max_length=253, blank=True)
    port = models.PositiveIntegerField(_("port"), null=True, blank=True)
    authority = models.TextField(_("certificate authority"), blank=True)
    url = models.CharField(_("URL"), max_length=500, blank=True)
    is_on = models.BooleanField(_("in use"), default=True)
    sent = models.PositiveBigIntegerField(_("entries sent"), default=0)
    sent_at = models.DateTimeField(_("sent last at"), null=True, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))

    class Meta:
        ordering = ("customer", "name")
        verbose_name = _("receiver of the audit log")
        verbose_name_plural = _("receivers of the audit log")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name"),
                name="audit_receiver_named_once",
                nulls_distinct=False,
                violation_error_message=_("There is a receiver of this name already."),
            ),
            models.CheckConstraint(
                condition=Q(kind="webhook", port=None, host="") & ~Q(url="")
                | Q(kind__in=("syslog", "syslog_tls"), url="", port__range=(1, 65535)) & ~Q(host=""),
                name="audit_receiver_has_its_address",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """As it is shown and written down: the address of a webhook may be a secret behind its host."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}" if self.url else f"{self.host}:{self.port}"

    def is_due(self, now: datetime) -> bool:
        return self.is_on and (self.retry_at is None or self.retry_at <= now)


class AuditCursor(TenantOrProviderModel):
    """Up to which number a receiver has a chain: the chain of `chain`, or the platform's own.

    `customer` is the receiver's, whose row this is.
    """

    receiver = models.ForeignKey(AuditReceiver, on_delete=models.CASCADE, related_name="cursors")
    chain = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    sequence = models.PositiveBigIntegerField(_("number sent last"), default=0)

    class Meta:
        ordering = ("receiver", "chain")
        verbose_name = _("audit log sent so far")
        verbose_name_plural = _("audit logs sent so far")
        constraints = (
            models.UniqueConstraint(fields=("receiver", "chain"), name="audit_cursor_once", nulls_distinct=False),
        )

    def __str__(self) -> str:
        return f"{self.receiver} {self.chain or '-'} {self.sequence}"
