"""Proposals to save, with who decided and what came of it (R137)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, Self

from django.db import models
from django.db.models import F, Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from changes.models import Change
from costs import states
from incidents.models import AnnouncementCopy


class ProposalKind(models.TextChoices):
    IDLE = "idle", _("Idle")
    OVERSIZED = "oversized", _("Larger than needed")
    DISK = "disk", _("Disk that hangs on nothing")
    EIP = "eip", _("Address that hangs on nothing")
    STOPPED = "stopped", _("Stopped and still paid for")
    OTHER = "other", _("Other proposal")


HEADLINES: Final[Mapping[str, Promise]] = {
    ProposalKind.IDLE: _("Release %(name)s: idle for two weeks"),
    ProposalKind.OVERSIZED: _("One size smaller for %(name)s"),
    ProposalKind.STOPPED: _("Release %(name)s: stopped and still paid for"),
    ProposalKind.DISK: _("Delete disk %(name)s: it hangs on nothing"),
    ProposalKind.EIP: _("Release address %(name)s: it hangs on nothing"),
}
"""What the platform proposes, in the reader's language."""


class ProposalState(models.TextChoices):
    """`states.State` with the words that people read."""

    PROPOSED = states.State.PROPOSED, _("Proposed")
    ACCEPTED = states.State.ACCEPTED, _("Accepted")
    REJECTED = states.State.REJECTED, _("Rejected")
    DONE = states.State.DONE, _("Done")
    OBSOLETE = states.State.OBSOLETE, _("No longer so")


class SavingProposalQuerySet(TenantQuerySet["SavingProposal"]):
    def open(self) -> Self:
        return self.filter(state__in=states.OPEN)

    def dearest_first(self) -> Self:
        """What waits for a decision before what is accepted, and what saves most before what nobody knows."""
        return self.order_by("-state", F("monthly").desc(nulls_last=True), "-pk")

    def waiting(self) -> Self:
        """For the customer's word."""
        return self.filter(state=ProposalState.PROPOSED)

    def answered(self, rejected_since: datetime, done_since: datetime) -> Self:
        """Not to be proposed again yet."""
        rejected = Q(state=ProposalState.REJECTED, decided_at__gt=rejected_since)
        return self.filter(rejected | Q(state=ProposalState.DONE, done_at__gt=done_since))

    def for_lists(self) -> Self:
        return self.select_related("customer", "asset", "decided_by", "done_by", "change", "announcement")


class SavingProposal(TenantModel):
    """`monthly` is what it would save, None where the bills do not tell; what it did save is measured from the bills
    after it was done."""

    kind = models.CharField(_("kind"), max_length=12, choices=ProposalKind)
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    instance_id = models.CharField(_("instance ID"), max_length=128, blank=True)
    title = models.CharField(_("title"), max_length=200)
    text = models.TextField(_("what is recommended"), blank=True)
    facts = models.JSONField(_("evidence"), default=dict)
    monthly = models.DecimalField(_("saving a month, CNY"), max_digits=14, decimal_places=2, null=True, blank=True)
    baseline = models.DecimalField(_("cost a day before, CNY"), max_digits=14, decimal_places=4, null=True, blank=True)
    announcement = models.ForeignKey(
        AnnouncementCopy, on_delete=models.PROTECT, related_name="+", null=True, blank=True,
        verbose_name=_("announcement"),
    )  # fmt: skip
    state = models.CharField(_("state"), max_length=10, choices=ProposalState, default=ProposalState.PROPOSED)
    proposed_at = models.DateTimeField(_("proposed at"))
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    seen_at = models.DateTimeField(_("last found so"))
    decided_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=1000, blank=True)
    done_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    result = models.CharField(_("what was done"), max_length=1000, blank=True)
    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(SavingProposalQuerySet)()

    class Meta:
        ordering = ("-proposed_at", "-pk")
        verbose_name = _("saving proposal")
        verbose_name_plural = _("saving proposals")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "kind", "instance_id"),
                condition=Q(state__in=states.OPEN) & ~Q(kind="other"),
                name="saving_proposed_once",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("accepted", "rejected")) | Q(decided_by__isnull=False),
                name="saving_decision_has_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="rejected") | ~Q(reason=""), name="saving_rejection_has_a_reason"
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(done_by__isnull=False, done_at__isnull=False),
                name="saving_done_by_somebody",
            ),
        )
        indexes = (models.Index(fields=("customer", "state"), name="saving_by_state"),)

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def headline(self) -> str:
        """The title; of what the platform proposed in the reader's language."""
        name = self.facts.get("name")
        return str(HEADLINES[self.kind]) % {"name": name} if name and self.kind in HEADLINES else self.title

    @property
    def number(self) -> str:
        return f"SAV-{self.pk:06}"
