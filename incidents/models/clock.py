"""The clocks of an incident, and the stretches in which they stand still."""

from datetime import timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from incidents import sla


class Pause(TenantModel):
    """A stretch in which the incident's clocks stand still. It belongs to the incident, not to a target (T2)."""

    class Reason(models.TextChoices):
        WAITING_CUSTOMER = "waiting_customer", _("Waiting for customer")
        RESOLVED = "resolved", _("Resolved, later reopened")
        CONFIRMATION = "confirmation", _("Waiting for a signature")
        QUOTE = "quote", _("Waiting for an accepted quote")

    incident = models.ForeignKey("incidents.Incident", on_delete=models.CASCADE, related_name="pauses")
    reason = models.CharField(_("reason"), max_length=20, choices=Reason)
    started_at = models.DateTimeField(_("from"))
    ended_at = models.DateTimeField(_("until"), null=True, blank=True)

    class Meta:
        ordering = ("started_at", "pk")
        constraints = (
            models.UniqueConstraint(fields=("incident",), condition=Q(ended_at=None), name="one_open_pause"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("started_at")), name="pause_ends_after_it_starts"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_reason_display()} {self.started_at:%F %T}"

    def as_interval(self) -> sla.Pause:
        return sla.Pause(self.started_at, self.ended_at)


class ClockQuerySet(TenantQuerySet["Clock"]):
    def of_provider(self) -> Self:
        """What the provider promised; the customer's reply is the customer's."""
        return self.exclude(kind=Clock.Kind.CUSTOMER_REPLY)

    def missed(self) -> Self:
        return self.exclude(breached_at=None)

    def unexplained(self) -> Self:
        """Deadlines of the provider's that were missed and have no reason yet."""
        return self.of_provider().missed().filter(breach_code="")


class Clock(TenantModel):
    """One promise that is being timed. Reports read what is stored here, never a recomputation (T12)."""

    class Kind(models.TextChoices):
        NOTICE = "notice", _("Notice")
        RESPONSE = "response", _("Response")
        HANDLING = "handling", _("Handling")
        STAGE_REPORT = "stage_report", _("Stage report")
        CUSTOMER_REPLY = "customer_reply", _("Customer's reply")

    class BreachCode(models.TextChoices):
        """Why a deadline of the provider's was missed (R79)."""

        UNNOTICED = "unnoticed", _("Noticed too late")
        WORKLOAD = "workload", _("Several incidents at once")
        HANDOVER = "handover", _("Lost at a handover")
        DIFFICULT = "difficult", _("A difficult fault")
        ACCESS = "access", _("Access was missing")
        ALIYUN = "aliyun", _("Waited for Alibaba Cloud")
        CUSTOMER = "customer", _("Waited for the customer")
        THIRD_PARTY = "third_party", _("Waited for a third party")
        RECORD = "record", _("Done in time, recorded late")
        OTHER = "other", _("Other")

    objects: ClassVar = ScopedManager.from_queryset(ClockQuerySet)()

    incident = models.ForeignKey("incidents.Incident", on_delete=models.CASCADE, related_name="clocks")
    kind = models.CharField(_("clock"), max_length=20, choices=Kind)
    round = models.PositiveSmallIntegerField(
        _("round"), default=1, help_text=_("Reopening, a worse alert, the next question or report begin another one.")
    )
    started_at = models.DateTimeField(_("started at"))
    target_minutes = models.PositiveIntegerField(_("target, minutes"), null=True, blank=True)
    calendar_version = models.ForeignKey(
        "accounts.CalendarVersion",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text=_("Empty: around the clock."),
    )
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    stopped_at = models.DateTimeField(_("stopped at"), null=True, blank=True)
    warned_at = models.DateTimeField(_("warned at"), null=True, blank=True)
    warned_share = models.PositiveSmallIntegerField(
        _("warned at, % of the time"), default=0, help_text=_("The last of the shares at which somebody was warned.")
    )
    breached_at = models.DateTimeField(_("breached at"), null=True, blank=True)
    breach_code = models.CharField(_("reason"), max_length=20, choices=BreachCode, blank=True)
    breach_note = models.TextField(_("explanation"), blank=True)
    explained_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    explained_at = models.DateTimeField(_("explained at"), null=True, blank=True)
    elapsed_seconds = models.PositiveBigIntegerField(
        _("time used, seconds"), null=True, blank=True, help_text=_("Filled when the clock stops.")
    )
    paused_seconds = models.PositiveBigIntegerField(
        _("time paused, seconds"),
        null=True,
        blank=True,
        help_text=_("Filled when the clock stops: counted on its calendar."),
    )
    is_provisional = models.BooleanField(
        _("provisional"), default=False, help_text=_("Counted on a year whose holidays were not known.")
    )

    class Meta:
        ordering = ("kind", "round")
        verbose_name = _("clock")
        verbose_name_plural = _("clocks")
        constraints = (
            models.UniqueConstraint(fields=("incident", "kind", "round"), name="incident_clock_once"),
            models.CheckConstraint(
                condition=Q(breach_code="") | Q(breached_at__isnull=False), name="only_a_miss_has_a_reason"
            ),
        )
        indexes = (
            models.Index(fields=("customer", "kind", "started_at"), name="clock_for_reports"),
            models.Index(
                fields=("incident",),
                include=("customer", "kind"),
                condition=Q(breached_at__isnull=False),
                name="clock_missed_of_incident",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.round}"

    @property
    def is_running(self) -> bool:
        return self.stopped_at is None

    @property
    def is_breached(self) -> bool:
        return self.breached_at is not None

    @property
    def is_of_provider(self) -> bool:
        return self.kind != Clock.Kind.CUSTOMER_REPLY

    @property
    def target(self) -> timedelta | None:
        return None if self.target_minutes is None else timedelta(minutes=self.target_minutes)
