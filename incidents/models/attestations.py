"""Attestations: a text that a named person of the customer signs, once, and nobody else (R74, R75, R185).

Two tables that are only ever added to: what is to be signed, and the one answer that it got. Changes, hardening,
patches and the transfer of ownership use the same: they name their own object by `subject`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Contact
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from incidents.models.incident import Incident, IncidentKind


class Purpose(models.TextChoices):
    RISK = "risk", _("Dangerous work against advice")
    REFUSAL = "refusal", _("Advised work refused")
    QUOTE = "quote", _("Quote for extra work")
    CHANGE = "change", _("Risk of a change")
    PORT_CLOSING = "port_closing", _("Closing of ports")
    PATCH = "patch", _("Patch accepted")
    TRANSFER = "transfer", _("Transfer of ownership")


_SERVICE: Final = frozenset({Contact.Kind.PRIMARY, Contact.Kind.SECONDARY})
_MANAGERS: Final = frozenset({Contact.Kind.FIRST_PM, Contact.Kind.SECOND_PM})

SIGNERS: Final[Mapping[Purpose, frozenset[Contact.Kind]]] = {
    Purpose.RISK: _SERVICE,  # 附件一 3.4: "甲方的服务联系人"
    Purpose.REFUSAL: _SERVICE,
    Purpose.QUOTE: _MANAGERS,  # 假设 4.1: a change of the contract
    Purpose.CHANGE: _SERVICE | _MANAGERS,
    Purpose.PORT_CLOSING: _SERVICE | _MANAGERS,
    Purpose.PATCH: _MANAGERS,  # 安全运维 2: "客户管理部门"
    Purpose.TRANSFER: _SERVICE,
}
"""Which named contacts may sign what."""


class AttestationQuerySet(TenantQuerySet["Attestation"]):
    def unanswered(self) -> Self:
        return self.filter(answer=None)

    def signed(self) -> Self:
        return self.filter(answer__outcome=AttestationAnswer.Outcome.SIGNED)

    def about(self, subject: str) -> Self:
        return self.filter(subject=subject)


class AttestationManager(ScopedManager["Attestation"]):
    """Those of incidents that the provider keeps to itself are out of a customer's reach like the incidents."""

    def get_queryset(self) -> "models.QuerySet[Attestation]":
        rows = super().get_queryset()
        return rows.exclude(incident__kind=IncidentKind.INTERNAL)


class Attestation(TenantModel):
    """A text put before the customer's named contacts."""

    APPEND_ONLY: ClassVar[bool] = True
    objects: ClassVar = AttestationManager.from_queryset(AttestationQuerySet)()

    purpose = models.CharField(_("purpose"), max_length=20, choices=Purpose)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="attestations", null=True, blank=True)
    subject = models.CharField(_("subject"), max_length=80, help_text=_("Kind and number: incident:7."))
    subject_name = models.CharField(_("about"), max_length=250)
    subject_url = models.CharField(max_length=200)
    text = models.TextField(_("text"))
    text_sha256 = models.CharField("SHA-256", max_length=64)
    asked_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(_("asked at"))
    expires_at = models.DateTimeField(_("expires at"))
    on_answer = models.CharField(
        max_length=80, blank=True, default="", help_text=_("The task that whoever asked wants woken by the answer.")
    )

    class Meta:
        ordering = ("-asked_at", "-pk")
        verbose_name = _("attestation")
        verbose_name_plural = _("attestations")
        constraints = (
            models.CheckConstraint(condition=Q(purpose__in=Purpose.values), name="attestation_purpose_is_known"),
            models.CheckConstraint(condition=~Q(text=""), name="attestation_has_a_text"),
        )
        indexes = (
            models.Index(fields=("customer", "subject"), name="attestation_by_subject"),
            models.Index(fields=("customer", "-asked_at"), name="attestation_by_time"),
        )

    def __str__(self) -> str:
        return f"{self.number} {self.subject_name}"

    @property
    def number(self) -> str:
        return f"ATT-{self.pk:06d}" if self.pk else "ATT-"

    @property
    def signer_kinds(self) -> frozenset[Contact.Kind]:
        return SIGNERS[Purpose(self.purpose)]

    @property
    def given(self) -> "AttestationAnswer | None":
        """The answer, if there is one."""
        return getattr(self, "answer", None)

    def is_open(self, now: datetime) -> bool:
        return self.given is None and now < self.expires_at


class AttestationAnswer(TenantModel):
    """The one answer. `recorded_by`: an engineer put in what the contact signed on paper or wrote by e-mail."""

    APPEND_ONLY: ClassVar[bool] = True

    class Outcome(models.TextChoices):
        SIGNED = "signed", _("Signed")
        DECLINED = "declined", _("Declined")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        EXPIRED = "expired", _("Expired")

    class Channel(models.TextChoices):
        PORTAL = "portal", _("In the portal")
        LINK = "link", _("By the link in the e-mail")
        EMAIL = "email", _("By e-mail")
        PAPER = "paper", _("On paper")
        PLATFORM = "platform", _("By the platform")

    attestation = models.OneToOneField(Attestation, on_delete=models.PROTECT, related_name="answer")
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome)
    at = models.DateTimeField(_("at"))
    received_at = models.DateTimeField(_("received at"))
    channel = models.CharField(_("way"), max_length=20, choices=Channel)
    signer = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    signer_name = models.CharField(_("signer"), max_length=80, blank=True)
    signer_duty = models.CharField(_("duty"), max_length=20, choices=Contact.Kind, blank=True)
    signer_email = models.EmailField(_("e-mail"), blank=True)
    recorded_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    ip = models.GenericIPAddressField(_("address"), null=True, blank=True)
    words = models.TextField(_("remark"), blank=True)
    text_sha256 = models.CharField("SHA-256", max_length=64)
    file_name = models.CharField(_("file"), max_length=200, blank=True)
    file_type = models.CharField(max_length=100, blank=True)
    file_size = models.PositiveBigIntegerField(default=0)
    file_sha256 = models.CharField(max_length=64, blank=True)
    stored_name = models.CharField(max_length=80, blank=True)

    class Meta:
        verbose_name = _("answer to an attestation")
        verbose_name_plural = _("answers to attestations")
        constraints = (
            models.CheckConstraint(
                condition=~Q(outcome__in=("signed", "declined")) | (Q(signer__isnull=False) & ~Q(signer_duty="")),
                name="attestation_is_answered_by_a_contact",
            ),
            models.CheckConstraint(
                condition=~Q(outcome="signed", channel__in=("paper", "email")) | ~Q(file_sha256=""),
                name="attestation_on_paper_has_its_file",
            ),
        )

    def __str__(self) -> str:
        return f"{self.attestation_id} {self.get_outcome_display()}"
