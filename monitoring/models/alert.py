"""An alert: a rule that held on something, from the sample that fired it to the one that ended it."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.models import Severity
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from incidents.models import IncidentAlert
from monitoring.extra_rules import EXTRA_RULES, NO_DATA, ExtraRule
from monitoring.models.custom import custom_rule
from monitoring.rules import RULES, Rule, metric_of

__all__ = ["NO_DATA", "Alert", "AlertHold", "Held"]

KEY = "alert:"
"""What the names of our alerts begin with where others keep them."""


class Held(models.TextChoices):
    """Why an alert says nothing to anybody for the time being. It is recorded all the same."""

    SILENCED = "silenced", _("Silenced")
    INHIBITED = "inhibited", _("Inhibited")
    FLAPPING = "flapping", _("Flapping")


class AlertQuerySet(TenantQuerySet["Alert"]):
    def open(self) -> Self:
        return self.filter(recovered_at=None)

    def held(self) -> Self:
        return self.open().exclude(held="")

    def loud(self) -> Self:
        """Open, and neither silenced nor inhibited."""
        return self.open().filter(held="")

    def waiting(self) -> Self:
        """Those that nobody was told of yet although they should be: in a storm incidents come after the alerts."""
        return self.loud().filter(incident=None, is_calm=False)

    def bare(self) -> Self:
        """Those whose data points have not been copied yet."""
        return self.filter(samples__isnull=True)

    def acknowledged(self) -> Self:
        return self.filter(acknowledged_at__isnull=False, ack_expired_at=None)

    def flapping(self) -> Self:
        return self.open().exclude(flapping_since=None)

    def of_incident(self, incident_id: int) -> Self:
        """Those that are on it now: merging and splitting incidents by hand moves alerts."""
        keys = IncidentAlert.objects.filter(incident=incident_id, alert_key__startswith=KEY).values_list("alert_key")
        numbers = [key.removeprefix(KEY) for (key,) in keys]
        return self.filter(pk__in=[int(number) for number in numbers if number.isdecimal()])

    def worst_first(self) -> Self:
        return self.order_by("severity", "-opened_at", "-pk")


class Alert(TenantModel):
    """One rule on one thing, open until it recovers. `open_key` is unique among open alerts: two workers make one.

    The moments of R44: `first_breach_at` (first bad data point), `opened_at` (the point that fired), `detected_at`
    (when we knew), `notified_at` (first message handed over), `acknowledged_at`, `recovered_at`.
    """

    class Ending(models.TextChoices):
        RECOVERED = "recovered", _("Values are good again")
        PASSED = "passed", _("Ended by itself")
        GONE = "gone", _("The monitored object is gone")
        DATA_BACK = "data_back", _("Data arrives again")
        RULE_OFF = "rule_off", _("The rule no longer applies")
        RETIRED = "retired", _("The asset is retired")
        SETTLED = "settled", _("Settled in Security Center")

    asset = models.ForeignKey(
        "assets.Asset", on_delete=models.PROTECT, related_name="+", verbose_name=_("asset"), db_index=False
    )
    series = models.ForeignKey("monitoring.Series", on_delete=models.PROTECT, related_name="+", null=True)
    rule_id = models.CharField(_("rule"), max_length=60)
    labels = models.CharField(_("labels"), max_length=1000, blank=True)
    open_key = models.CharField(max_length=1200)
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity)
    title = models.CharField(_("title"), max_length=300)
    titles = models.JSONField(
        _("titles"),
        default=dict,
        blank=True,
        help_text=_("Of events, by language; rules are named when they are read."),
    )
    text = models.TextField(_("text"), blank=True)
    """What happened, in the customer's language, for messages that go out later."""
    value = models.FloatField(_("value"), null=True)
    condition = models.JSONField(_("condition"), default=dict)
    samples = models.JSONField(_("samples"), default=list, null=True)
    """The data points that fired it: [Unix milliseconds, value]. None: not copied from what is stored yet (a storm)."""
    first_breach_at = models.DateTimeField(_("first bad point"))
    opened_at = models.DateTimeField(_("opened at"))
    detected_at = models.DateTimeField(_("detected at"))
    notified_at = models.DateTimeField(_("notified at"), null=True, blank=True)
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True, blank=True)
    recovered_at = models.DateTimeField(_("recovered at"), null=True, blank=True)
    recovered_value = models.FloatField(_("value at recovery"), null=True)
    ending = models.CharField(_("how it ended"), max_length=20, choices=Ending, blank=True)
    stale_since = models.DateTimeField(_("no data since"), null=True, blank=True)
    incident = models.ForeignKey("incidents.Incident", on_delete=models.PROTECT, related_name="+", null=True)

    held = models.CharField(_("held back"), max_length=12, choices=Held, blank=True)
    cause = models.ForeignKey("self", on_delete=models.PROTECT, related_name="symptoms", null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("acknowledged by"),
    )
    ack_comment = models.CharField(_("comment"), max_length=300, blank=True)
    ack_until = models.DateTimeField(_("acknowledged until"), null=True, blank=True)
    ack_expired_at = models.DateTimeField(_("acknowledgement ran out at"), null=True, blank=True)
    flapping_since = models.DateTimeField(_("flapping since"), null=True, blank=True)
    is_calm = models.BooleanField(
        _("good at the moment"),
        default=False,
        help_text=_("While it flaps: whether the last change was for the better."),
    )
    flaps = models.JSONField(_("changes while flapping"), default=list, blank=True)
    """While it flaps: [Unix milliseconds, whether bad]."""
    reminders = models.PositiveSmallIntegerField(_("reminders sent"), default=0)

    objects: ClassVar = ScopedManager.from_queryset(AlertQuerySet)()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = (
            models.UniqueConstraint(fields=("open_key",), condition=Q(recovered_at=None), name="alert_open_once"),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="alert_severity_is_known"),
            models.CheckConstraint(
                condition=Q(recovered_at=None, ending="") | (Q(recovered_at__isnull=False) & ~Q(ending="")),
                name="alert_ends_for_a_reason",
            ),
        )
        indexes = (
            models.Index(fields=("customer", "-opened_at"), name="alert_by_customer"),
            models.Index(fields=("-opened_at", "-id"), name="alert_by_time"),
            models.Index(fields=("asset", "-opened_at"), name="alert_by_asset"),
            models.Index(fields=("customer",), condition=Q(recovered_at=None), name="alert_open"),
            models.Index(fields=("customer",), condition=Q(samples__isnull=True), name="alert_bare"),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        return self.recovered_at is None

    @property
    def is_event(self) -> bool:
        """Something that happened, and not a verdict over figures: it ends when whoever opened it says so."""
        return self.open_key.startswith("event/")

    @property
    def key(self) -> str:
        """Names this alert towards incidents and messages; never used twice."""
        return f"{KEY}{self.pk}"

    @property
    def rule(self) -> Rule | None:
        return RULES.get(self.rule_id) or custom_rule(self.rule_id)

    @property
    def level(self) -> Severity:
        return Severity(self.severity)

    @property
    def extra_rule(self) -> ExtraRule | None:
        return EXTRA_RULES.get(self.rule_id)

    @property
    def rule_name(self) -> str:
        """In the language of the page."""
        rule = self.rule or self.extra_rule
        return rule.name(get_language() or "zh") if rule else self.rule_id

    @property
    def product(self) -> str:
        rule = self.rule or self.extra_rule
        return rule.product if rule else ""

    @property
    def is_acknowledged(self) -> bool:
        return self.acknowledged_at is not None and self.ack_expired_at is None

    @property
    def unit(self) -> str:
        metric = metric_of(self.series.metric) if self.series else None
        return metric.unit if metric else ""


class AlertHold(TenantModel):
    """A stretch of time in which an alert was held back, and by what. The record behind "why did it not alert"."""

    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="holds")
    kind = models.CharField(_("kind"), max_length=12, choices=Held)
    from_at = models.DateTimeField(_("from"))
    until_at = models.DateTimeField(_("until"), null=True, blank=True)
    silence = models.ForeignKey("monitoring.Silence", on_delete=models.PROTECT, related_name="+", null=True)
    relation = models.CharField(max_length=10, blank=True)
    """Of an inhibition: `inhibition.Relation`."""
    by_alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="+", null=True)

    class Meta:
        verbose_name = _("time held back")
        verbose_name_plural = _("times held back")
        constraints = (
            models.UniqueConstraint(
                fields=("alert", "kind"), condition=Q(until_at=None), name="alert_held_once_per_kind"
            ),
        )
        indexes = (models.Index(fields=("alert", "from_at"), name="alert_hold_by_alert"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.from_at:%F %T}"
