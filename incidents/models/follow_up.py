"""What is to be done after an incident so that it does not come again: a task with an owner and a day."""

from datetime import date
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import scope
from accounts.models import User
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from incidents.follow_up_states import OPEN, State

OPEN_STATES = sorted(OPEN)


class FollowUpState(models.TextChoices):
    PLANNED = State.PLANNED, _("Planned")
    STARTED = State.STARTED, _("In progress")
    DONE = State.DONE, _("Done")
    DROPPED = State.DROPPED, _("Dropped")


class FollowUpQuerySet(TenantQuerySet["FollowUp"]):
    def open(self) -> Self:
        return self.filter(state__in=OPEN_STATES)

    def overdue(self, today: date) -> Self:
        """Open although their day has passed."""
        return self.open().filter(due_on__lt=today)

    def owned_by(self, person: User) -> Self:
        return self.filter(owner=person)

    def for_lists(self) -> Self:
        return self.select_related("customer", "owner", "incident", "created_by", "closed_by")


class FollowUpManager(ScopedManager["FollowUp"]):
    """Follow-ups in scope; internal ones only where the scope reaches what the provider keeps to itself."""

    def get_queryset(self) -> models.QuerySet["FollowUp"]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.filter(is_internal=False)


class FollowUp(TenantModel):
    """One task. Its owner is a person of either side; what the provider keeps to itself belongs to its own people."""

    incident = models.ForeignKey(
        "incidents.Incident",
        on_delete=models.PROTECT,
        related_name="follow_ups",
        null=True,
        blank=True,
        verbose_name=_("incident"),
    )
    title = models.CharField(_("what is to be done"), max_length=200)
    detail = models.TextField(_("details"), blank=True)
    owner = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", verbose_name=_("owner"))
    due_on = models.DateField(_("due on"))
    state = models.CharField(_("state"), max_length=20, choices=FollowUpState, default=FollowUpState.PLANNED)
    is_internal = models.BooleanField(_("internal"), default=False)
    result = models.TextField(_("result"), blank=True, help_text=_("What was done, or why it was dropped."))
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("created at"))
    changed_at = models.DateTimeField(_("changed at"))
    closed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    missed_at = models.DateTimeField(
        _("missed at"), null=True, blank=True, help_text=_("Set when its day had passed and it was still open.")
    )
    version = models.PositiveIntegerField(default=0)

    objects: ClassVar = FollowUpManager.from_queryset(FollowUpQuerySet)()

    class Meta:
        ordering = ("due_on", "pk")
        verbose_name = _("follow-up")
        verbose_name_plural = _("follow-ups")
        constraints = (
            models.CheckConstraint(condition=Q(state__in=FollowUpState.values), name="follow_up_state_is_known"),
            models.CheckConstraint(condition=~Q(title=""), name="follow_up_has_a_title"),
        )
        indexes = (
            models.Index(fields=("due_on",), condition=Q(state__in=OPEN_STATES), name="follow_up_by_day"),
            models.Index(fields=("owner", "due_on"), condition=Q(state__in=OPEN_STATES), name="follow_up_by_owner"),
            models.Index(fields=("customer", "-created_at"), name="follow_up_by_customer"),
        )

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        return f"FU-{self.pk:06d}" if self.pk else "FU-"

    @property
    def stage(self) -> State:
        return State(self.state)

    @property
    def is_open(self) -> bool:
        return self.stage in OPEN

    def is_overdue(self, today: date) -> bool:
        return self.is_open and self.due_on < today
