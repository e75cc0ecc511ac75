"""Who is on duty: shifts by hand and by rotation, swaps, and the addresses that calendars read (R62, R186)."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.models.people import User
from accounts.tenancy import SharedManager, SharedModel, TenantOrProviderModel, TenantQuerySet


class RosterShiftQuerySet(TenantQuerySet["RosterShift"]):
    def at(self, moment: datetime) -> Self:
        """Shifts running at a moment; the end belongs to the next shift."""
        return self.filter(starts_at__lte=moment, ends_at__gt=moment)

    def serving(self, customer_id: int | None) -> Self:
        """Shifts of one customer and those that serve every customer."""
        return self.filter(Q(customer_id=customer_id) | Q(customer_id__isnull=True))


class RosterShift(SharedModel):
    """One person on one duty for a time; without a customer the shift serves all of them.

    What a person put in goes before what a rotation has laid out.
    """

    class Duty(models.TextChoices):
        FIRST = "first", _("First responder")
        SECOND = "second", _("Second responder")
        MANAGER = "manager", _("Manager")
        ACTING_MANAGER = "acting_manager", _("Acting manager")

    duty = models.CharField(_("duty"), max_length=20, choices=Duty)
    rotation = models.ForeignKey(
        "accounts.Rotation", on_delete=models.PROTECT, related_name="shifts", null=True, blank=True
    )
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="shifts")
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(_("ends at"))
    history = HistoricalRecords()

    objects: ClassVar = SharedManager.from_queryset(RosterShiftQuerySet)()

    class Meta:
        ordering = ("starts_at", "duty")
        verbose_name = _("shift")
        verbose_name_plural = _("shifts")
        constraints = (
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="shift_ends_after_it_starts"),
        )
        indexes = (models.Index(fields=("starts_at", "ends_at"), name="shift_span"),)

    def __str__(self) -> str:
        return f"{self.get_duty_display()}: {self.user}"


class Rotation(SharedModel):
    """Who takes turns on a duty, from which day on; its shifts are laid out ahead as rows of the roster.

    With `rest_people` it is they who take the days that the business calendar does not work.
    """

    name = models.CharField(_("name"), max_length=80)
    duty = models.CharField(_("duty"), max_length=20, choices=RosterShift.Duty)
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"), null=True, blank=True)
    handover = models.TimeField(_("handover at"))
    slots = models.JSONField(
        _("shifts of a day"), default=list, blank=True, help_text=_("Empty: one shift from handover to handover.")
    )
    days_per_turn = models.PositiveSmallIntegerField(_("days of a turn"), default=7)
    people = models.JSONField(_("people in turn"), default=list)
    rest_people = models.JSONField(_("people of days off"), default=list, blank=True)
    created_at = models.DateTimeField(_("created at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ("duty", "name", "pk")
        verbose_name = _("rotation")
        verbose_name_plural = _("rotations")
        constraints = (models.CheckConstraint(condition=Q(days_per_turn__gte=1), name="rotation_turns_have_a_length"),)

    def __str__(self) -> str:
        return self.name


class ShiftSwap(SharedModel):
    """An engineer asks a colleague to take a stretch of duty, perhaps for one of theirs in return."""

    class State(models.TextChoices):
        ASKED = "asked", _("Asked")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    duty = models.CharField(_("duty"), max_length=20, choices=RosterShift.Duty)
    asker = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    colleague = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(_("ends at"))
    return_duty = models.CharField(_("duty in return"), max_length=20, choices=RosterShift.Duty, blank=True)
    return_starts_at = models.DateTimeField(_("in return from"), null=True, blank=True)
    return_ends_at = models.DateTimeField(_("in return until"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=200, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.ASKED)
    asked_at = models.DateTimeField(_("asked at"))
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)

    class Meta:
        ordering = ("-asked_at", "-pk")
        verbose_name = _("swap of a shift")
        verbose_name_plural = _("swaps of shifts")
        constraints = (
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="swap_ends_after_it_starts"),
            models.CheckConstraint(
                condition=Q(return_starts_at=None, return_ends_at=None)
                | Q(return_ends_at__gt=F("return_starts_at"), return_starts_at__isnull=False),
                name="swap_return_is_whole",
            ),
        )

    def __str__(self) -> str:
        return f"{self.asker} → {self.colleague}"


class RosterFeed(TenantOrProviderModel):
    """A secret address under which a calendar program reads the roster. Only the hash of its token is kept."""

    class What(models.TextChoices):
        PERSON = "person", _("My own shifts")
        TEAM = "team", _("The whole team")

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="roster_feeds")
    what = models.CharField(_("what"), max_length=10, choices=What)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(_("created at"))
    last_read_at = models.DateTimeField(_("last read at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("calendar address")
        verbose_name_plural = _("calendar addresses")

    def __str__(self) -> str:
        return str(self.get_what_display())
