"""Rules that a customer has beyond the contract's table: on a script's figures, or on any other (R33)."""

from __future__ import annotations

from typing import ClassVar, Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.models import Severity
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from monitoring.collectors import labels_text, parse_labels
from monitoring.rules import METRICS, Comparator, Condition, Form, Kind, NoData, Rule, Sow

PREFIX: Final = "custom-"
PRODUCT: Final = "自定义"
OPPOSITE: Final = {
    Comparator.GT: Comparator.LE,
    Comparator.GE: Comparator.LT,
    Comparator.LT: Comparator.GE,
    Comparator.LE: Comparator.GT,
    Comparator.EQ: Comparator.NE,
    Comparator.NE: Comparator.EQ,
}


class CustomRuleQuerySet(TenantQuerySet["CustomRule"]):
    """Few rows for each customer, read whole."""


class CustomRule(TenantModel):
    """One figure against one threshold. It is judged, told, silenced and recovered from like the rules that ship."""

    class Compare(models.TextChoices):
        GE = ">=", "≥"
        GT = ">", ">"
        LE = "<=", "≤"
        LT = "<", "<"
        EQ = "=", "="
        NE = "!=", "≠"

    class Silence(models.TextChoices):
        KEEP = NoData.KEEP, _("an open alert stays, marked as without data")
        PROBLEM = NoData.PROBLEM, _("silence counts as a failure while the source still speaks")
        RESOLVE = NoData.RESOLVE, _("the alert ends when the object is gone while the source still speaks")

    name = models.CharField(_("name"), max_length=80)
    asset = models.ForeignKey(
        "assets.Asset",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("asset"),
        help_text=_("Empty: all assets that have the figure."),
    )
    metric = models.CharField(_("metric"), max_length=100)
    labels = models.CharField(
        _("labels"),
        max_length=500,
        blank=True,
        help_text=_('Only the series with these labels, such as keyword="ERROR". Empty: each series by itself.'),
    )
    comparator = models.CharField(_("comparison"), max_length=2, choices=Compare, default=Compare.GE)
    threshold = models.FloatField(_("threshold"))
    recovery_threshold = models.FloatField(
        _("good again at"),
        null=True,
        blank=True,
        help_text=_("Empty: as soon as the threshold is no longer crossed."),
    )
    times = models.PositiveSmallIntegerField(
        _("times in a row"), default=3, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    period_s = models.PositiveIntegerField(
        _("period, seconds"), default=60, validators=[MinValueValidator(10), MaxValueValidator(86400)]
    )
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity, default=Severity.AVERAGE)
    no_data = models.CharField(_("without data"), max_length=10, choices=Silence, default=Silence.KEEP)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    reason = models.CharField(_("reason"), max_length=300)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))

    history = HistoricalRecords(related_name="past")
    objects: ClassVar = ScopedManager.from_queryset(CustomRuleQuerySet)()

    class Meta:
        ordering = ("metric", "name", "pk")
        verbose_name = _("custom rule")
        verbose_name_plural = _("custom rules")
        constraints = (
            models.UniqueConstraint(fields=("customer", "name"), name="custom_rule_named_once"),
            models.CheckConstraint(condition=Q(times__gte=1), name="custom_rule_times_positive"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def rule_id(self) -> str:
        return f"{PREFIX}{self.pk}"

    @property
    def condition(self) -> Condition:
        return self._condition(Comparator(self.comparator), self.threshold)

    @property
    def recovery(self) -> Condition:
        """The opposite of the condition, further away when a threshold of its own is given."""
        limit = self.threshold if self.recovery_threshold is None else self.recovery_threshold
        return self._condition(OPPOSITE[Comparator(self.comparator)], limit)

    def as_rule(self) -> Rule:
        """This rule as those that ship are written."""
        return Rule(
            id=self.rule_id,
            product=PRODUCT,
            name_zh=self.name,
            name_en=self.name,
            severity=Severity(self.severity).name.lower(),
            sow=Sow("", self.period_s, self.times, ()),
            kind=Kind.THRESHOLD,
            conditions=(self.condition,),
            times=self.times,
            recovery=(self.recovery,),
            recovery_times=self.times,
            recovery_after_s=0,
            scope=frozenset(),
            no_data=NoData(self.no_data),
            enabled=self.is_enabled,
            reason_zh="",
            reason_en="",
            only_asset=self.asset_id,
            only_labels=frozenset(labels_text({name: text}) for name, text in parse_labels(self.labels).items()),
        )

    def _condition(self, comparator: Comparator, limit: float) -> Condition:
        metric = METRICS[self.metric]
        return Condition(Form.VALUE, (self.metric,), comparator, limit, metric.unit)


def custom_rules(customer_id: int | None = None) -> dict[str, Rule]:
    """The rules of one customer, or of the one in scope, by id."""
    rows = CustomRule.objects.all() if customer_id is None else CustomRule.objects.filter(customer_id=customer_id)
    return {row.rule_id: row.as_rule() for row in rows}


def custom_rule(rule_id: str) -> Rule | None:
    """One of them by its id; None for any other id."""
    number = rule_id.removeprefix(PREFIX)
    if not rule_id.startswith(PREFIX) or not number.isdecimal():
        return None
    row = CustomRule.objects.filter(pk=int(number)).first()
    return row.as_rule() if row else None
