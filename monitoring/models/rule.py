"""What a customer wants otherwise than the catalogue, and the memory of rules that are breaching or firing."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.models import Severity
from accounts.tenancy import TenantModel
from monitoring.rules import RULES, Rule


class RuleOverride(TenantModel):
    """One rule as one customer, a group of its assets, an asset, or one part of it wants it (R35).

    An empty field keeps the wider value. A threshold is a number in the unit of its condition, or the name of a macro.
    """

    rule_id = models.CharField(_("rule"), max_length=60)
    asset = models.ForeignKey(
        "assets.Asset",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("asset"),
        help_text=_("Empty: all assets of the customer."),
    )
    group = models.ForeignKey(
        "monitoring.AssetGroup",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("group"),
    )
    labels = models.CharField(
        _("part"), max_length=1000, blank=True, help_text=_("One series of the asset: a mount point, a listener.")
    )
    enabled = models.BooleanField(_("enabled"), null=True, blank=True)
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity, null=True, blank=True)
    times = models.PositiveSmallIntegerField(
        _("times in a row"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    period_s = models.PositiveIntegerField(
        _("period, seconds"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(86400)]
    )
    thresholds = models.JSONField(_("thresholds"), null=True, blank=True)
    recovery = models.JSONField(_("recovery thresholds"), null=True, blank=True)
    recovery_times = models.PositiveSmallIntegerField(
        _("good times in a row"), null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    schedule = models.ForeignKey(
        "monitoring.RuleSchedule",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("schedule"),
    )
    round_the_clock = models.BooleanField(_("round the clock, whatever the wider level says"), default=False)
    channels = models.JSONField(_("told to"), null=True, blank=True)
    flap_changes = models.PositiveSmallIntegerField(
        _("flapping: changes"), null=True, blank=True, validators=[MinValueValidator(2), MaxValueValidator(200)]
    )
    flap_window_s = models.PositiveIntegerField(
        _("flapping: within, seconds"), null=True, blank=True,
        validators=[MinValueValidator(60), MaxValueValidator(86_400)],
    )  # fmt: skip
    reason = models.CharField(_("reason"), max_length=300)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))

    history = HistoricalRecords(related_name="past")

    class Meta:
        verbose_name = _("rule override")
        verbose_name_plural = _("rule overrides")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "rule_id", "group", "asset", "labels"),
                nulls_distinct=False,
                name="rule_override_once",
            ),
            models.CheckConstraint(
                condition=Q(group=None, asset=None, labels="")
                | Q(group__isnull=False, asset=None, labels="")
                | Q(group=None, asset__isnull=False),
                name="rule_override_of_one_level",
            ),
            models.CheckConstraint(
                condition=Q(round_the_clock=False) | Q(schedule=None), name="rule_override_scheduled_or_always"
            ),
            models.CheckConstraint(condition=Q(times=None) | Q(times__gte=1), name="rule_override_times_positive"),
        )

    def __str__(self) -> str:
        return f"{self.rule_id} ({self.customer_id}, {self.group_id or self.asset_id or '*'})"

    @property
    def rule(self) -> Rule:
        return RULES[self.rule_id]


class RuleState(TenantModel):
    """A rule on a series that is breaching or firing. What is fine has no row. Moments are Unix milliseconds."""

    series = models.ForeignKey("monitoring.Series", on_delete=models.PROTECT, related_name="+", db_index=False)
    rule_id = models.CharField(max_length=60)
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")
    bad = models.IntegerField(default=0)
    good = models.IntegerField(default=0)
    firing = models.BooleanField(default=False)
    first_ts = models.BigIntegerField()
    counted_ts = models.BigIntegerField()
    last_bad_ts = models.BigIntegerField()
    last_ts = models.BigIntegerField()

    class Meta:
        verbose_name = _("rule state")
        verbose_name_plural = _("rule states")
        constraints = (models.UniqueConstraint(fields=("series", "rule_id"), name="rule_state_once"),)

    def __str__(self) -> str:
        return f"{self.rule_id} {self.series_id}: {self.bad}"
