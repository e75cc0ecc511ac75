"""Groups of a customer's assets, to which rules, macros and silences may be said at once."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet


class AssetGroupQuerySet(TenantQuerySet["AssetGroup"]):
    pass


class AssetGroup(TenantModel):
    """Assets named one by one, and those that carry a tag or are of a kind. Both filters given: both must hold.

    An asset may be in several groups. Where what they say contradicts, the group with the smaller rank has the last
    word; ranks are unique, so there is always one.
    """

    name = models.CharField(_("name"), max_length=80)
    description = models.CharField(_("description"), max_length=300, blank=True)
    rank = models.PositiveIntegerField(
        _("rank"), help_text=_("Where two groups contradict each other, the smaller number has the last word.")
    )
    tag = models.CharField(
        _("tag"), max_length=200, blank=True, help_text=_('"name=value", or a name alone for any value.')
    )
    kinds = models.JSONField(_("kinds"), default=list, blank=True)
    changed_at = models.DateTimeField(_("changed at"))
    history = HistoricalRecords(related_name="past")

    objects: ClassVar = ScopedManager.from_queryset(AssetGroupQuerySet)()

    class Meta:
        ordering = ("rank", "pk")
        verbose_name = _("asset group")
        verbose_name_plural = _("asset groups")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name"),
                name="asset_group_named_once",
                violation_error_message=_("There is a group with this name already."),
            ),
            models.UniqueConstraint(
                fields=("customer", "rank"), name="asset_group_ranked_once", deferrable=models.Deferrable.DEFERRED
            ),
        )

    def __str__(self) -> str:
        return self.name


class AssetGroupMember(TenantModel):
    """An asset that was put into a group by hand."""

    group = models.ForeignKey(AssetGroup, on_delete=models.CASCADE, related_name="members")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("member of a group")
        verbose_name_plural = _("members of groups")
        constraints = (models.UniqueConstraint(fields=("group", "asset"), name="asset_in_a_group_once"),)

    def __str__(self) -> str:
        return f"{self.group_id}: {self.asset_id}"


class RuleMacro(TenantModel):
    """A named value for thresholds: of the customer, or, narrower, of a group or of one asset."""

    name = models.CharField(_("name"), max_length=60)
    value = models.FloatField(_("value"))
    unit = models.CharField(_("unit"), max_length=12, blank=True)
    group = models.ForeignKey(
        AssetGroup, on_delete=models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("group")
    )
    asset = models.ForeignKey(
        "assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("asset")
    )
    reason = models.CharField(_("reason"), max_length=300)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))
    history = HistoricalRecords(related_name="past")

    class Meta:
        ordering = ("name", F("group").asc(nulls_first=True), "asset", "pk")
        verbose_name = _("macro")
        verbose_name_plural = _("macros")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name", "group", "asset"),
                nulls_distinct=False,
                name="macro_once_per_place",
                violation_error_message=_("This macro has a value there already."),
            ),
            models.CheckConstraint(condition=Q(group=None) | Q(asset=None), name="macro_of_a_group_or_an_asset"),
        )

    def __str__(self) -> str:
        return self.name


def a_week() -> list[list[str]]:
    return [["09:00-18:00"] if day < 5 else [] for day in range(7)]


class RuleSchedule(TenantModel):
    """When rules hold: windows of the week, or the customer's business calendar, or all but that."""

    class Basis(models.TextChoices):
        WEEK = "week", _("Hours of the week")
        BUSINESS = "business", _("Business hours (holidays off)")
        OFF_HOURS = "off_hours", _("Outside business hours")

    name = models.CharField(_("name"), max_length=80)
    basis = models.CharField(_("holds in"), max_length=12, choices=Basis, default=Basis.WEEK)
    week = models.JSONField(_("hours of the week"), default=a_week)
    timezone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))
    history = HistoricalRecords(related_name="past")

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("rule schedule")
        verbose_name_plural = _("rule schedules")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name"),
                name="rule_schedule_named_once",
                violation_error_message=_("There is a schedule with this name already."),
            ),
        )

    def __str__(self) -> str:
        return self.name


class ExpectedProcess(TenantModel):
    """How many processes of a name should run on an asset (SOW: 进程没有正常运行). No maximum: as many as may be."""

    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", verbose_name=_("asset"))
    name = models.CharField(
        _("name"), max_length=80, help_text=_("As the agent reports it: the name of the watched group.")
    )
    pattern = models.CharField(
        _("pattern"),
        max_length=300,
        blank=True,
        help_text=_("A regular expression over the whole command line. Empty: the process of exactly this name."),
    )
    minimum = models.PositiveIntegerField(_("at least"), default=1)
    maximum = models.PositiveIntegerField(_("at most"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))
    history = HistoricalRecords(related_name="past")

    class Meta:
        ordering = ("asset", "name")
        verbose_name = _("expected process")
        verbose_name_plural = _("expected processes")
        constraints = (
            models.UniqueConstraint(
                fields=("asset", "name"),
                name="process_expected_once",
                violation_error_message=_("This process is expected there already."),
            ),
            models.CheckConstraint(
                condition=Q(maximum=None) | Q(maximum__gte=F("minimum")), name="process_maximum_not_below_minimum"
            ),
        )

    def __str__(self) -> str:
        return self.name
