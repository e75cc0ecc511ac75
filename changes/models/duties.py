"""Recurring duties of a customer's contract, each time they come round, and the evidence that they were done."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Self

from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from changes import duties, recurrence
from changes.catalogue import Words
from changes.models.change import Change


class DutyKind(models.TextChoices):
    """`duties.Kind` with the words that people read."""

    METRIC_REVIEW = duties.Kind.METRIC_REVIEW, _("Review of metrics")
    PATCH_REVIEW = duties.Kind.PATCH_REVIEW, _("Patch review")
    RESTORE_DRILL = duties.Kind.RESTORE_DRILL, _("Restore drill")
    MONTHLY_REPORT = duties.Kind.MONTHLY_REPORT, _("Monthly report")
    ANNOUNCEMENT = duties.Kind.ANNOUNCEMENT, _("Announcements")
    OTHER = duties.Kind.OTHER, pgettext_lazy("duty", "Something else")


class DutyRhythm(models.TextChoices):
    """`recurrence.Rhythm` with the words that people read."""

    WEEKLY = recurrence.Rhythm.WEEKLY, _("every week")
    MONTHLY = recurrence.Rhythm.MONTHLY, _("every month")
    QUARTERLY = recurrence.Rhythm.QUARTERLY, _("every quarter")
    HALF_YEARLY = recurrence.Rhythm.HALF_YEARLY, _("every half year")
    YEARLY = recurrence.Rhythm.YEARLY, _("every year")


class RecurringDutyQuerySet(TenantQuerySet["RecurringDuty"]):
    def with_last_due(self) -> Self:
        """`last_due_on`: the last day that was opened."""
        days = DutyOccurrence.objects.filter(duty=OuterRef("pk")).order_by("-due_on").values("due_on")
        return self.annotate(last_due_on=Subquery(days[:1]))


class RecurringDuty(TenantModel):
    """What is owed again and again, from a first day, and how many days ahead one begins."""

    class Owner(models.TextChoices):
        ENGINEER = "engineer", _("Engineers")
        MANAGER = "manager", _("Service managers")

    code = models.CharField(max_length=40, blank=True, help_text=_("Of the contract's own set."))
    kind = models.CharField(_("kind"), max_length=16, choices=DutyKind)
    name_zh = models.CharField(_("name in Chinese"), max_length=120)
    name_en = models.CharField(_("name in English"), max_length=120)
    rhythm = models.CharField(_("rhythm"), max_length=12, choices=DutyRhythm)
    first_due_on = models.DateField(_("due first on"))
    lead_days = models.PositiveSmallIntegerField(_("begun so many days before"), default=7)
    owner_role = models.CharField(_("who does it"), max_length=10, choices=Owner, default=Owner.ENGINEER)
    tells_customer = models.BooleanField(_("the customer is told before"), default=False)
    agenda = models.TextField(_("agenda, content and requirements"), blank=True)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    ended_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    last_due_on: date | None
    """Of a row of `with_last_due` alone."""

    objects: ClassVar = ScopedManager.from_queryset(RecurringDutyQuerySet)()

    class Meta:
        ordering = ("kind", "pk")
        verbose_name = _("recurring duty")
        verbose_name_plural = _("recurring duties")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "code"), condition=~Q(code=""), name="standard_duty_once_per_customer"
            ),
            models.CheckConstraint(condition=Q(lead_days__lte=90), name="duty_lead_is_one"),
        )

    def __str__(self) -> str:
        return self.name_zh

    @property
    def words(self) -> Words:
        return Words(self.name_en, self.name_zh)


class DutyOccurrenceQuerySet(TenantQuerySet["DutyOccurrence"]):
    def open(self) -> Self:
        return self.filter(done_at=None, dropped_at=None)

    def overdue(self, today: date) -> Self:
        return self.open().filter(due_on__lt=today)

    def for_lists(self) -> Self:
        return self.select_related("customer", "duty", "done_by", "told_by", "change", "dropped_by")


class DutyOccurrence(TenantModel):
    """One time that it came round. Whether it is overdue is read off the day."""

    class Result(models.TextChoices):
        PASSED = "passed", pgettext_lazy("drill", "Passed")
        FAILED = "failed", pgettext_lazy("drill", "Failed")

    duty = models.ForeignKey(RecurringDuty, on_delete=models.PROTECT, related_name="occurrences")
    due_on = models.DateField(_("due on"))
    opened_at = models.DateTimeField(_("opened at"))
    agenda = models.TextField(_("agenda, content and requirements"), blank=True)
    told_at = models.DateTimeField(_("told at"), null=True, blank=True)
    told_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    minutes = models.TextField(_("minutes"), blank=True)
    result = models.CharField(_("result"), max_length=10, choices=Result, blank=True)
    backup = models.CharField(_("backup that was proven"), max_length=300, blank=True)
    restore_minutes = models.PositiveIntegerField(_("restored within, minutes"), null=True, blank=True)
    link = models.URLField(_("address of the document"), max_length=500, blank=True)
    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="duties", null=True, blank=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    done_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    dropped_at = models.DateTimeField(_("dropped at"), null=True, blank=True)
    dropped_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    dropped_because = models.CharField(_("why it was dropped"), max_length=300, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(DutyOccurrenceQuerySet)()

    class Meta:
        ordering = ("due_on", "pk")
        verbose_name = _("duty")
        verbose_name_plural = _("duties")
        constraints = (
            models.UniqueConstraint(fields=("duty", "due_on"), name="duty_once_per_day"),
            models.CheckConstraint(condition=Q(done_at=None) | Q(dropped_at=None), name="duty_done_or_dropped"),
        )
        indexes = (models.Index(fields=("due_on",), condition=Q(done_at=None), name="duty_open_by_day"),)

    def __str__(self) -> str:
        return f"{self.duty} {self.due_on:%Y-%m-%d}"

    @property
    def is_open(self) -> bool:
        return self.done_at is None and self.dropped_at is None

    def is_overdue(self, today: date) -> bool:
        return self.is_open and self.due_on < today


class DutyFile(TenantModel):
    """A document that shows it: minutes, a report, a protocol. Never changed, never removed."""

    APPEND_ONLY: ClassVar[bool] = True

    occurrence = models.ForeignKey(DutyOccurrence, on_delete=models.PROTECT, related_name="files")
    name = models.CharField(_("file name"), max_length=200)
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField(_("size"))
    sha256 = models.CharField("SHA-256", max_length=64)
    stored_name = models.CharField(max_length=200)
    at = models.DateTimeField()
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return self.name
