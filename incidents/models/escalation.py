"""Escalation policies, version by version, and the steps of every incident that waited for somebody."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Severity, SlaTerm
from accounts.tenancy import ScopedManager, SharedModel, TenantModel, TenantQuerySet
from incidents import escalation
from incidents.escalation import Who
from incidents.models.incident import Incident


class Target(models.TextChoices):
    """`escalation.Who` with the words that people read."""

    FIRST = Who.FIRST, _("First responder")
    SECOND = Who.SECOND, _("Second responder")
    MANAGER = Who.MANAGER, _("Manager or acting manager")
    PEOPLE = Who.PEOPLE, _("Named people")
    CUSTOMER_PM = Who.CUSTOMER_PM, _("Customer's project manager in charge")
    CUSTOMER_PRIMARY = Who.CUSTOMER_PRIMARY, _("Customer's primary contact")
    CUSTOMER_SECONDARY = Who.CUSTOMER_SECONDARY, _("Customer's secondary contacts")


class EscalationPolicy(SharedModel):
    """One version of what happens while nobody takes an incident: of one customer or, with none, of all of them.

    Versions never change; the one with the highest number is in force. A customer's version that is not `is_own` ends
    what it had of its own.
    """

    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity)
    number = models.PositiveIntegerField(_("version"))
    is_own = models.BooleanField(_("of its own"), default=True)
    hours = models.CharField(
        _("time is counted"), max_length=4, choices=SlaTerm.HandlingCalendar, default=SlaTerm.HandlingCalendar.ALWAYS
    )
    rounds = models.PositiveSmallIntegerField(_("rounds"), default=1)
    round_minutes = models.PositiveIntegerField(_("a round every, minutes"), default=60)
    steps = models.JSONField(_("steps"), default=list)
    reason = models.CharField(_("reason of the change"), max_length=200)
    created_at = models.DateTimeField(_("created at"))
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        ordering = ("customer", "severity", "-number")
        verbose_name = _("escalation policy")
        verbose_name_plural = _("escalation policies")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "severity", "number"), name="escalation_version_once", nulls_distinct=False
            ),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="escalation_severity_is_known"),
        )

    def __str__(self) -> str:
        return f"{Severity(self.severity).label} v{self.number}"

    def as_policy(self) -> escalation.Policy:
        return escalation.policy_of(
            {
                "steps": self.steps,
                "hours": self.hours,
                "rounds": self.rounds,
                "round_minutes": self.round_minutes,
            }
        )


class EscalationStepQuerySet(TenantQuerySet["EscalationStep"]):
    def pending(self) -> Self:
        return self.filter(state=EscalationStep.State.PENDING)


class EscalationStep(TenantModel):
    """One call that will be made, was made, or was not needed. The row is the snapshot: policies may change, it stays.

    It is done when `done_at` is set, in the transaction that wrote its messages; the key makes it one.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Waiting")
        DONE = "done", _("Done")
        CANCELLED = "cancelled", pgettext_lazy("escalation", "Not needed")

    class Because(models.TextChoices):
        """Why the steps that were left are not needed."""

        ACKNOWLEDGED = "acknowledged", _("acknowledged")
        RESOLVED = "resolved", _("resolved")
        MERGED = "merged", _("merged into another incident")
        GROUPED = "grouped", _("grouped under another incident")
        SEVERITY = "severity", _("the severity changed")
        AGAIN = "again", _("begun again")

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="escalation_steps")
    run = models.PositiveSmallIntegerField(_("run"), help_text=_("A worse severity or a reopening begins another one."))
    round = models.PositiveSmallIntegerField(_("round"))
    number = models.PositiveSmallIntegerField(_("step"))
    key = models.CharField(max_length=80, unique=True)
    policy = models.ForeignKey(
        EscalationPolicy,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text=_("Empty: as the platform brings it."),
    )
    who = models.CharField(_("who"), max_length=20, choices=Target)
    people = models.JSONField(_("people"), default=list, blank=True)
    media = models.JSONField(_("how"), default=list)
    due_at = models.DateTimeField(_("due at"))
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.PENDING)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    done_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    is_late = models.BooleanField(_("late"), default=False)
    cancelled_at = models.DateTimeField(_("not needed since"), null=True, blank=True)
    cancelled_because = models.CharField(max_length=20, choices=Because, blank=True)
    outcome = models.JSONField(_("outcome"), default=dict, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(EscalationStepQuerySet)()

    class Meta:
        ordering = ("run", "due_at", "round", "number")
        verbose_name = _("escalation step")
        verbose_name_plural = _("escalation steps")
        constraints = (
            models.UniqueConstraint(fields=("incident", "run", "round", "number"), name="escalation_step_once"),
            models.CheckConstraint(
                condition=Q(state="done", done_at__isnull=False, cancelled_at=None)
                | Q(state="cancelled", done_at=None, cancelled_at__isnull=False)
                | Q(state="pending", done_at=None, cancelled_at=None),
                name="escalation_step_says_when",
            ),
        )
        indexes = (models.Index(fields=("due_at",), condition=Q(state="pending"), name="escalation_step_pending"),)

    def __str__(self) -> str:
        return self.key

    @property
    def message_key(self) -> str:
        """The key of its messages in the outbox."""
        return f"incident:{self.incident_id}:step:{self.run}.{self.round}.{self.number}"

    def late_by(self, now: datetime) -> float:
        """Seconds past its time."""
        return max(0.0, (now - self.due_at).total_seconds())
