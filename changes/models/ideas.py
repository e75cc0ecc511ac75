"""Chances for automation that somebody found, with what the customer decided (R139)."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from incidents.models import Incident


class AutomationIdeaQuerySet(TenantQuerySet["AutomationIdea"]):
    def for_lists(self) -> Self:
        return self.select_related("customer", "proposed_by", "decided_by", "request")


class AutomationIdea(TenantModel):
    """Hours are what it takes once, and what it saves each month. What is accepted is a request of the catalogue."""

    class State(models.TextChoices):
        PROPOSED = "proposed", _("Proposed")
        ACCEPTED = "accepted", _("Accepted")
        REJECTED = "rejected", _("Rejected")

    title = models.CharField(_("title"), max_length=200)
    what = models.TextField(_("what is to be automated"))
    found_in = models.CharField(
        _("found in"), max_length=200, help_text=_("An incident, a report, a meeting: where somebody saw it.")
    )
    tool = models.CharField(
        _("with which tool"), max_length=120, blank=True, help_text=_("A tool that the customer has a licence of.")
    )
    effort_hours = models.PositiveIntegerField(_("effort, hours"))
    saving_hours = models.PositiveIntegerField(_("saving, hours a month"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.PROPOSED)
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(_("proposed at"))
    decided_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=1000, blank=True)
    request = models.OneToOneField(Incident, on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(AutomationIdeaQuerySet)()

    class Meta:
        ordering = ("-proposed_at", "-pk")
        verbose_name = _("idea for automation")
        verbose_name_plural = _("ideas for automation")
        constraints = (
            models.CheckConstraint(
                condition=Q(state="proposed") | Q(decided_by__isnull=False, decided_at__isnull=False),
                name="automation_idea_is_decided_by_somebody",
            ),
            models.CheckConstraint(condition=~Q(state="rejected") | ~Q(reason=""), name="automation_refusal_says_why"),
            models.CheckConstraint(
                condition=~Q(state="accepted") | Q(request__isnull=False), name="accepted_automation_is_a_request"
            ),
            models.CheckConstraint(condition=Q(effort_hours__gte=1), name="automation_takes_some_time"),
        )
        indexes = (models.Index(fields=("customer", "state"), name="automation_idea_by_state"),)

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        return f"AUT-{self.pk:06d}" if self.pk else "AUT-"

    @property
    def pays_after(self) -> int | None:
        """So many months until it has saved what it took; None: it saves nothing."""
        return -(-self.effort_hours // self.saving_hours) if self.saving_hours else None
