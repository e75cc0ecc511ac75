"""Business calendars in the database: versions that never change once used, days with their provenance (R57)."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import SharedModel


class BusinessCalendar(SharedModel):
    """A named calendar; without a customer it is the provider's default for everybody."""

    name = models.CharField(_("name"), max_length=80)
    timezone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")

    class Meta:
        ordering = ("name",)
        verbose_name = _("business calendar")
        verbose_name_plural = _("business calendars")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name"), name="calendar_name_once_per_customer", nulls_distinct=False
            ),
        )

    def __str__(self) -> str:
        return self.name


class CalendarVersion(SharedModel):
    """The weekly hours at one version. Days hang on it; editing makes the next version, so history stays (T12)."""

    calendar = models.ForeignKey(BusinessCalendar, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    week = models.JSONField(
        _("weekly hours"), help_text=_('Seven lists of "HH:MM-HH:MM", Monday first; 24:00 is midnight at the end.')
    )
    workday_hours = models.JSONField(_("hours of a working weekend day"))
    known_years = models.JSONField(_("years whose holidays are known"), default=list)
    created_at = models.DateTimeField(_("created at"))
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=200)

    class Meta:
        ordering = ("calendar", "-number")
        verbose_name = _("calendar version")
        verbose_name_plural = _("calendar versions")
        constraints = (models.UniqueConstraint(fields=("calendar", "number"), name="calendar_version_once"),)

    def __str__(self) -> str:
        return f"{self.calendar} v{self.number}"


class CalendarDay(SharedModel):
    """A day that differs from the week: a holiday, or a weekend day that is worked (调休)."""

    version = models.ForeignKey(CalendarVersion, on_delete=models.CASCADE, related_name="days")
    day = models.DateField(_("day"))
    is_workday = models.BooleanField(_("worked"))
    name = models.CharField(_("name"), max_length=80, blank=True)
    source = models.CharField(_("source"), max_length=200)
    is_approved = models.BooleanField(_("in force"), default=True)

    class Meta:
        ordering = ("day",)
        verbose_name = _("calendar day")
        verbose_name_plural = _("calendar days")
        constraints = (
            models.UniqueConstraint(fields=("version", "day"), name="calendar_day_once"),
            models.CheckConstraint(condition=~Q(source=""), name="calendar_day_has_a_source"),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.name}"
