"""Accident reports while they are being written: the report, its five parts, and what reviewers say about them."""

from datetime import datetime
from typing import ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import scope
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from reports.parts import Part
from reports.states import State

M = TypeVar("M", bound=models.Model)


class PartName(models.TextChoices):
    """The five parts of SOW 附件 7 in the words that people read."""

    FAULT = Part.FAULT, _("Fault description")
    SYSTEM = Part.SYSTEM, _("System and database information")
    ANALYSIS = Part.ANALYSIS, _("Analysis and approach")
    PROCESS = Part.PROCESS, _("Process of handling")
    ADVICE = Part.ADVICE, _("Advice")


class AccidentReportQuerySet(TenantQuerySet["AccidentReport"]):
    def owed(self) -> Self:
        """Not sent yet, and not withdrawn."""
        return self.filter(sent_at=None).exclude(state=State.WITHDRAWN)

    def overdue(self, now: datetime) -> Self:
        return self.owed().filter(due_at__lt=now)

    def for_lists(self) -> Self:
        return self.select_related("customer", "incident", "author")


class AccidentReportManager(ScopedManager["AccidentReport"]):
    """Reports in scope; a customer's people find one when it has been sent to them for the first time."""

    def get_queryset(self) -> models.QuerySet["AccidentReport"]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.exclude(sent_at=None)


class AccidentReport(TenantModel):
    """One per incident; what is issued of it, once or several times, stands in `AccidentIssue` (R115..R119)."""

    class Trigger(models.TextChoices):
        OUTAGE = "outage", _("Outage over 30 minutes")
        BY_HAND = "by_hand", _("By hand")

    class States(models.TextChoices):
        DRAFT = State.DRAFT, _("Draft")
        REVIEW = State.REVIEW, _("In review")
        SIGNED = State.SIGNED, _("Signed")
        SENT = State.SENT, _("Sent")
        WITHDRAWN = State.WITHDRAWN, _("Not needed")

    incident = models.OneToOneField(
        "incidents.Incident", on_delete=models.PROTECT, related_name="accident_report", verbose_name=_("incident")
    )
    trigger = models.CharField(_("opened"), max_length=20, choices=Trigger)
    state = models.CharField(_("state"), max_length=20, choices=States, default=State.DRAFT)
    language = models.CharField(_("language"), max_length=10)
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    outage_started_at = models.DateTimeField(_("outage from"))
    outage_ended_at = models.DateTimeField(_("outage until"), null=True, blank=True)
    opened_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    opened_at = models.DateTimeField(_("opened at"))
    due_at = models.DateTimeField(_("due at"))
    missed_at = models.DateTimeField(_("missed at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("first sent at"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True, help_text=_("Why it was returned or withdrawn."))
    reissue_reason = models.TextField(_("why it was issued again"), blank=True)
    changed_at = models.DateTimeField(_("changed at"))

    objects: ClassVar = AccidentReportManager.from_queryset(AccidentReportQuerySet)()

    class Meta:
        ordering = ("-opened_at", "-pk")
        verbose_name = _("accident report")
        verbose_name_plural = _("accident reports")
        constraints = (
            models.CheckConstraint(
                condition=Q(state__in=("draft", "review", "signed", "sent", "withdrawn")),
                name="accident_state_is_known",
            ),
            models.CheckConstraint(
                condition=Q(outage_ended_at=None) | Q(outage_ended_at__gte=models.F("outage_started_at")),
                name="outage_ends_after_it_starts",
            ),
        )
        indexes = (models.Index(fields=("customer", "-opened_at"), name="accident_by_customer"),)

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"ACC-{self.pk:06d}" if self.pk else "ACC-"

    @property
    def stage(self) -> State:
        return State(self.state)

    @property
    def is_owed(self) -> bool:
        return self.sent_at is None and self.stage is not State.WITHDRAWN

    def is_late(self, now: datetime) -> bool:
        """Sent too late, or not sent although it is due."""
        if self.stage is State.WITHDRAWN:
            return False
        return (self.sent_at or now) > self.due_at


class ProviderOnlyManager(ScopedManager[M]):
    """Nothing where the scope does not reach what the provider keeps to itself."""

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.none()


class AccidentPart(TenantModel):
    """One of the five parts as it is being written. `facts` is what the platform knew when it was last asked."""

    report = models.ForeignKey(AccidentReport, on_delete=models.CASCADE, related_name="parts")
    name = models.CharField(_("part"), max_length=20, choices=PartName)
    text = models.TextField(_("text"), blank=True)
    facts = models.TextField(blank=True)
    has_news = models.BooleanField(
        default=False, help_text=_("The facts changed after somebody had edited the text: both are shown.")
    )
    revision = models.PositiveIntegerField(default=0)
    edited_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    edited_at = models.DateTimeField(_("edited at"), null=True, blank=True)

    objects: ClassVar = ProviderOnlyManager()

    class Meta:
        ordering = ("report", "pk")
        verbose_name = _("part of an accident report")
        verbose_name_plural = _("parts of accident reports")
        constraints = (models.UniqueConstraint(fields=("report", "name"), name="accident_part_once"),)

    def __str__(self) -> str:
        return self.get_name_display()

    @property
    def part(self) -> Part:
        return Part(self.name)

    @property
    def is_edited(self) -> bool:
        """Somebody changed what the facts had said."""
        return self.text != self.facts


class AccidentComment(TenantModel):
    """What a reviewer says about one part."""

    part = models.ForeignKey(AccidentPart, on_delete=models.CASCADE, related_name="comments")
    body = models.TextField(_("comment"))
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(_("made at"))
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)

    objects: ClassVar = ProviderOnlyManager()

    class Meta:
        ordering = ("made_at", "pk")
        verbose_name = _("comment on a report")
        verbose_name_plural = _("comments on reports")

    def __str__(self) -> str:
        return self.body[:60]
