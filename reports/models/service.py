"""Service reports: of a month or another stretch of time, with figures that were read once; their plan per customer."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from incidents.months import Month
from reports.models.written import (
    Made,
    MadeQuerySet,
    ProviderOnlyManager,
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

ACCENT = "#0b5fa5"


class ReportKind(models.TextChoices):
    """What a service report is about; what each consists of: `reports.kinds`."""

    MONTHLY = "monthly", _("Monthly report")
    SLA = "sla", _("Service level report")
    PERFORMANCE = "performance", _("Performance analysis")
    DATABASE_FAULT = "database_fault", _("Database fault analysis")
    INSTALLATION = "installation", _("Installation report")
    SLOW_SQL = "slow_sql", _("Slow SQL list")
    SESSIONS = "sessions", _("Session audit report")
    INVENTORY = "inventory", _("Inventory")
    COSTS = "costs", _("Cost report")


class ServiceReportQuerySet(TenantQuerySet["ServiceReport"]):
    def monthly(self) -> Self:
        return self.filter(kind=ReportKind.MONTHLY)

    def for_lists(self) -> Self:
        return self.select_related("customer", "author").defer("figures")


class ServiceReport(WrittenReport):
    """A report of one kind about one stretch of time of one customer (R109..R114, R118)."""

    FAMILY = "service"
    NOUN = "service"

    class Trigger(models.TextChoices):
        PLAN = "plan", pgettext_lazy("report", "By the plan")
        BY_HAND = "by_hand", _("By hand")

    kind = models.CharField(_("kind"), max_length=20, choices=ReportKind)
    trigger = models.CharField(_("opened"), max_length=20, choices=Trigger)
    period = models.CharField(_("month"), max_length=7)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    subject = models.CharField(_("about"), max_length=200, blank=True)
    wishes = models.JSONField(_("what was asked for"), default=dict, blank=True)
    layout = models.JSONField(_("format"), default=dict, blank=True)
    figures = models.JSONField(_("figures"), default=dict, blank=True)
    figures_at = models.DateTimeField(_("figures read at"), null=True, blank=True)
    alarmed_at = models.DateTimeField(_("alarm raised at"), null=True, blank=True)
    alarm = models.ForeignKey("incidents.Incident", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    objects: ClassVar = SentToReadersManager.from_queryset(ServiceReportQuerySet)()

    class Meta:
        ordering = ("-period", "-opened_at", "-pk")
        verbose_name = _("service report")
        verbose_name_plural = _("service reports")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "period"), condition=Q(kind="monthly"), name="one_monthly_report_per_month"
            ),
            models.CheckConstraint(
                condition=Q(state__in=("draft", "review", "signed", "sent", "withdrawn")),
                name="service_report_state_is_known",
            ),
            models.CheckConstraint(condition=Q(ends_at__gt=models.F("starts_at")), name="service_report_has_a_length"),
        )
        indexes = (models.Index(fields=("customer", "kind", "-period"), name="service_report_by_customer"),)

    @property
    def number(self) -> str:
        return f"REP-{self.pk:06d}" if self.pk else "REP-"

    @property
    def title(self) -> str:
        subject = f" · {self.subject}" if self.subject else ""
        return f"{self.get_kind_display()} {self.period}{subject}"

    @property
    def month(self) -> Month:
        return Month.parse(self.period)


class ServiceFigures(Made):
    """The reading of a report's figures, by a worker of its own."""

    report = models.OneToOneField(ServiceReport, on_delete=models.CASCADE, related_name="reading")
    asked_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    asked_at = models.DateTimeField(_("asked at"))

    objects: ClassVar = ProviderOnlyManager.from_queryset(MadeQuerySet)()

    class Meta:
        verbose_name = _("reading of figures")
        verbose_name_plural = _("readings of figures")
        indexes = (
            models.Index(
                fields=("id",), condition=Q(state__in=("waiting", "rendering")), name="service_figures_to_read"
            ),
        )

    def __str__(self) -> str:
        return f"{self.report_id}"


class ServicePart(WrittenPart):
    """A part of a service report: what is written above its figures."""

    report = models.ForeignKey(ServiceReport, on_delete=models.CASCADE, related_name="parts")
    name = models.CharField(_("part"), max_length=40)
    title = models.CharField(_("title"), max_length=120)
    place = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("report", "place", "pk")
        verbose_name = _("part of a service report")
        verbose_name_plural = _("parts of service reports")
        constraints = (models.UniqueConstraint(fields=("report", "name"), name="service_part_once"),)

    def __str__(self) -> str:
        return self.title


class ServiceComment(WrittenComment):
    part = models.ForeignKey(ServicePart, on_delete=models.CASCADE, related_name="comments")

    class Meta:
        ordering = ("made_at", "pk")
        verbose_name = _("comment on a service report")
        verbose_name_plural = _("comments on service reports")


class ServiceIssue(WrittenIssue):
    report = models.ForeignKey(ServiceReport, on_delete=models.PROTECT, related_name="issues")

    objects: ClassVar = SentIssueManager.from_queryset(TenantQuerySet)()

    class Meta:
        ordering = ("-number",)
        verbose_name = _("issue of a service report")
        verbose_name_plural = _("issues of service reports")
        constraints = (models.UniqueConstraint(fields=("report", "number"), name="service_issue_once"),)


class ServiceFile(WrittenFile):
    issue = models.OneToOneField(ServiceIssue, on_delete=models.PROTECT, related_name="file")

    objects: ClassVar = SentFileManager.from_queryset(MadeQuerySet)()

    class Meta:
        ordering = ("pk",)
        verbose_name = _("document of a service report")
        verbose_name_plural = _("documents of service reports")
        indexes = (
            models.Index(fields=("id",), condition=Q(state__in=("waiting", "rendering")), name="service_file_to_make"),
        )


class ServiceRecipient(WrittenRecipient):
    issue = models.ForeignKey(ServiceIssue, on_delete=models.PROTECT, related_name="recipients")

    class Meta:
        ordering = ("sent_at", "pk")
        verbose_name = _("recipient of a service report")
        verbose_name_plural = _("recipients of service reports")
        constraints = (models.UniqueConstraint(fields=("issue", "user"), name="service_recipient_once"),)


class MonthTrouble(TenantModel):
    """A month whose report cannot be opened, or whose figures were given up, until it is over."""

    period = models.CharField(_("month"), max_length=7)
    reason = models.CharField(_("reason"), max_length=400)
    since = models.DateTimeField(_("since"))
    incident = models.ForeignKey(
        "incidents.Incident", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    over_at = models.DateTimeField(_("over at"), null=True, blank=True)

    objects: ClassVar = ProviderOnlyManager()

    class Meta:
        ordering = ("pk",)
        verbose_name = _("trouble with a monthly report")
        verbose_name_plural = _("troubles with monthly reports")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "period"), condition=Q(over_at=None), name="one_trouble_per_month"
            ),
        )

    def __str__(self) -> str:
        return f"{self.customer} {self.period}"


LAST_DAY = 4
"""Of a month on which its report may be drafted: the word about those not sent goes out on the 5th."""


class ReportPlan(TenantModel):
    """How a customer wants its monthly report: when it is drafted, in which order and looks, and who gets it (R11)."""

    day = models.PositiveSmallIntegerField(_("drafted on day"), default=1)
    hour = models.PositiveSmallIntegerField(_("drafted at hour"), default=2)
    language = models.CharField(_("language"), max_length=10, blank=True)
    order = models.JSONField(_("order of the parts"), default=list, blank=True)
    sections = models.JSONField(_("further sections"), default=list, blank=True)
    recipients = models.JSONField(_("sent to"), default=list, blank=True)
    accent = models.CharField(_("colour"), max_length=7, default=ACCENT)
    logo = models.CharField(max_length=120, blank=True)
    is_on = models.BooleanField(_("a report is made every month"), default=True)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    changed_at = models.DateTimeField(_("changed at"))

    objects: ClassVar = ScopedManager()

    class Meta:
        verbose_name = _("plan of the monthly report")
        verbose_name_plural = _("plans of monthly reports")
        constraints = (
            models.UniqueConstraint(fields=("customer",), name="one_report_plan_per_customer"),
            models.CheckConstraint(condition=Q(day__range=(1, LAST_DAY)), name="report_plan_day_leaves_time"),
            models.CheckConstraint(condition=Q(hour__lte=23), name="report_plan_hour_is_one"),
        )

    def __str__(self) -> str:
        return str(self.customer)
