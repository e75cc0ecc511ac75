"""Accident reports: the report of an incident, its five parts, what was issued of it and to whom it went."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantQuerySet
from reports.models.written import (
    MadeQuerySet,
    SentFileManager,
    SentIssueManager,
    SentToReadersManager,
    WrittenComment,
    WrittenFile,
    WrittenIssue,
    WrittenPart,
    WrittenRecipient,
    WrittenReport,
)
from reports.parts import Part


class PartName(models.TextChoices):
    """The five parts of SOW 附件 7 in the words that people read."""

    FAULT = Part.FAULT, _("Fault description")
    SYSTEM = Part.SYSTEM, _("System and database information")
    ANALYSIS = Part.ANALYSIS, _("Analysis and approach")
    PROCESS = Part.PROCESS, _("Process of handling")
    ADVICE = Part.ADVICE, _("Advice")


class AccidentReportQuerySet(TenantQuerySet["AccidentReport"]):
    def for_lists(self) -> Self:
        return self.select_related("customer", "incident", "author")


class AccidentReport(WrittenReport):
    """One per incident; what is issued of it, once or several times, stands in `AccidentIssue` (R115..R119)."""

    FAMILY = "accidents"
    NOUN = "accident"

    class Trigger(models.TextChoices):
        OUTAGE = "outage", _("Outage over 30 minutes")
        BY_HAND = "by_hand", _("By hand")

    incident = models.OneToOneField(
        "incidents.Incident", on_delete=models.PROTECT, related_name="accident_report", verbose_name=_("incident")
    )
    trigger = models.CharField(_("opened"), max_length=20, choices=Trigger)
    outage_started_at = models.DateTimeField(_("outage from"))
    outage_ended_at = models.DateTimeField(_("outage until"), null=True, blank=True)

    objects: ClassVar = SentToReadersManager.from_queryset(AccidentReportQuerySet)()

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

    @property
    def number(self) -> str:
        return f"ACC-{self.pk:06d}" if self.pk else "ACC-"

    @property
    def title(self) -> str:
        return self.incident.title

    @property
    def about(self) -> str:
        return f"{self.incident.number} {self.incident.title}"


class AccidentPart(WrittenPart):
    """One of the five parts."""

    report = models.ForeignKey(AccidentReport, on_delete=models.CASCADE, related_name="parts")
    name = models.CharField(_("part"), max_length=20, choices=PartName)

    class Meta:
        ordering = ("report", "pk")
        verbose_name = _("part of an accident report")
        verbose_name_plural = _("parts of accident reports")
        constraints = (models.UniqueConstraint(fields=("report", "name"), name="accident_part_once"),)

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        return str(PartName(self.name).label)

    @property
    def part(self) -> Part:
        return Part(self.name)


class AccidentComment(WrittenComment):
    part = models.ForeignKey(AccidentPart, on_delete=models.CASCADE, related_name="comments")

    class Meta:
        ordering = ("made_at", "pk")
        verbose_name = _("comment on a report")
        verbose_name_plural = _("comments on reports")


class AccidentIssue(WrittenIssue):
    report = models.ForeignKey(AccidentReport, on_delete=models.PROTECT, related_name="issues")

    objects: ClassVar = SentIssueManager.from_queryset(TenantQuerySet)()

    class Meta:
        ordering = ("-number",)
        verbose_name = _("issue of an accident report")
        verbose_name_plural = _("issues of accident reports")
        constraints = (models.UniqueConstraint(fields=("report", "number"), name="accident_issue_once"),)


class AccidentFile(WrittenFile):
    issue = models.OneToOneField(AccidentIssue, on_delete=models.PROTECT, related_name="file")

    objects: ClassVar = SentFileManager.from_queryset(MadeQuerySet)()

    class Meta:
        ordering = ("pk",)
        verbose_name = _("document of a report")
        verbose_name_plural = _("documents of reports")
        indexes = (
            models.Index(fields=("id",), condition=Q(state__in=("waiting", "rendering")), name="accident_file_to_make"),
        )


class AccidentRecipient(WrittenRecipient):
    issue = models.ForeignKey(AccidentIssue, on_delete=models.PROTECT, related_name="recipients")

    class Meta:
        ordering = ("sent_at", "pk")
        verbose_name = _("recipient of a report")
        verbose_name_plural = _("recipients of reports")
        constraints = (models.UniqueConstraint(fields=("issue", "user"), name="accident_recipient_once"),)
