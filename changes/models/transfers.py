"""The transfer of ownership and access at the end of an agreement, and the steps that show that it was done."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from changes import ownership
from incidents.models import Attestation


class TransferMethod(models.TextChoices):
    """`ownership.Method` with the words that people read."""

    ACCOUNT = ownership.Method.ACCOUNT, _("a) The customer takes over the accounts")
    DATA = ownership.Method.DATA, _("b) The data moves to the customer's network")
    DELETION = ownership.Method.DELETION, _("c) The listed resources are deleted")
    OTHER = ownership.Method.OTHER, _("d) Another way, set down in writing")


class TransferTrigger(models.TextChoices):
    """`ownership.Trigger` with the words that people read."""

    ENDED = ownership.Trigger.ENDED, _("The agreement ends")
    SUSPENDED = ownership.Trigger.SUSPENDED, _("The customer's licence is suspended by an act or omission of ours")


class OwnershipTransferQuerySet(TenantQuerySet["OwnershipTransfer"]):
    def unfinished(self) -> Self:
        return self.exclude(state__in=(OwnershipTransfer.State.ERASED, OwnershipTransfer.State.CANCELLED))

    def for_lists(self) -> Self:
        people = ("created_by", "transferred_by", "erased_by")
        return self.select_related("customer", "authorisation__answer", "acceptance__answer", *people)


class OwnershipTransfer(TenantModel):
    """Begun by a signature of the customer's named service contact, ended by a second one and the erasure after it."""

    class State(models.TextChoices):
        DRAFT = "draft", pgettext_lazy("transfer", "Draft")
        AUTHORISING = "authorising", _("Waits for the authorisation")
        UNDER_WAY = "under_way", pgettext_lazy("transfer", "Under way")
        ACCEPTING = "accepting", _("Waits for the acceptance")
        ACCEPTED = "accepted", _("Accepted, to be erased")
        ERASED = "erased", pgettext_lazy("transfer", "Erased")
        CANCELLED = "cancelled", pgettext_lazy("transfer", "Cancelled")

    method = models.CharField(_("way"), max_length=10, choices=TransferMethod)
    trigger = models.CharField(_("why"), max_length=10, choices=TransferTrigger, default=TransferTrigger.ENDED)
    recipient_name = models.CharField(_("taken over by"), max_length=120)
    recipient_email = models.EmailField(_("their e-mail"))
    agreed_with = models.CharField(_("agreed with"), max_length=120, help_text=_("The customer's project manager."))
    details = models.TextField(_("what exactly"))
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.DRAFT)
    authorisation = models.ForeignKey(Attestation, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    acceptance = models.ForeignKey(Attestation, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("created at"))
    transferred_at = models.DateTimeField(_("transferred at"), null=True, blank=True)
    transferred_by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    accepted_at = models.DateTimeField(_("accepted at"), null=True, blank=True)
    erase_by = models.DateField(_("kept until"), null=True, blank=True)
    erased_at = models.DateTimeField(_("erased at"), null=True, blank=True)
    erased_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    erased_words = models.TextField(_("what was erased, and how one saw it"), blank=True)
    cancelled_because = models.CharField(_("why it was cancelled"), max_length=300, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(OwnershipTransferQuerySet)()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = _("transfer of ownership")
        verbose_name_plural = _("transfers of ownership")
        constraints = (
            models.UniqueConstraint(
                fields=("customer",),
                condition=~Q(state__in=("erased", "cancelled")),
                name="one_transfer_at_a_time",
                violation_error_message=_("A transfer of this customer is under way already."),
            ),
            models.CheckConstraint(
                condition=Q(state__in=("draft", "authorising", "under_way", "cancelled"))
                | Q(transferred_at__isnull=False, erase_by__isnull=False),
                name="transfer_that_is_done_has_its_day",
            ),
            models.CheckConstraint(
                condition=~Q(state="erased") | Q(accepted_at__isnull=False) & ~Q(erased_words=""),
                name="erasure_follows_the_acceptance",
            ),
        )

    def __str__(self) -> str:
        return f"{self.number} {self.customer}"

    @property
    def number(self) -> str:
        return f"TRF-{self.pk:06d}" if self.pk else "TRF-"

    def days_left(self, today: date) -> int | None:
        """Until the erasure; negative when it is overdue."""
        if self.erase_by is None or self.state == self.State.ERASED:
            return None
        return (self.erase_by - today).days


class TransferStep(TenantModel):
    """A step that was done, with what shows it. Another word on the same step is another row; the last one counts."""

    APPEND_ONLY: ClassVar[bool] = True

    transfer = models.ForeignKey(OwnershipTransfer, on_delete=models.PROTECT, related_name="steps")
    code = models.CharField(max_length=20)
    evidence = models.TextField(_("what shows it"))
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(_("at"))

    class Meta:
        ordering = ("at", "pk")
        verbose_name = _("step of a transfer")
        verbose_name_plural = _("steps of transfers")

    def __str__(self) -> str:
        return f"{self.transfer_id} {self.code}"
