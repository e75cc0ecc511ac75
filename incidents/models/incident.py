"""Incidents, what they touch, and the timeline that both sides read. Their clocks: `incidents.models.clock`."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, OuterRef, Q, Value
from django.db.models.functions import Coalesce, Concat, Lower
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts import scope
from accounts.models import Severity
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.models import Asset
from incidents.models.clock import Clock
from incidents.states import UNSOLVED, Phase, State

UNSOLVED_STATES = sorted(UNSOLVED)


class IncidentState(models.TextChoices):
    """The states of `incidents.states` with the words that people read."""

    OPEN = State.OPEN, _("Open")
    ACKNOWLEDGED = State.ACKNOWLEDGED, _("Acknowledged")
    WAITING_CUSTOMER = State.WAITING_CUSTOMER, _("Waiting for customer")
    RESOLVED = State.RESOLVED, _("Resolved")
    CLOSED = State.CLOSED, _("Closed")


class IncidentKind(models.TextChoices):
    """An internal one is the provider's own about this customer: no person of the customer sees it."""

    INCIDENT = "incident", _("Incident")
    REQUEST = "request", _("Service request")
    INTERNAL = "internal", _("Internal")


class RequestPhase(models.TextChoices):
    """The phases of a service request (`incidents.states`) with the words that people read."""

    RECEIVED = Phase.RECEIVED, pgettext_lazy("phase", "Received")
    REVIEW = Phase.REVIEW, _("In review")
    ACCEPTED = Phase.ACCEPTED, _("Accepted")
    IN_WORK = Phase.IN_WORK, _("In work")
    DONE = Phase.DONE, pgettext_lazy("phase", "Done")
    CONFIRMED = Phase.CONFIRMED, _("Confirmed")
    REFUSED = Phase.REFUSED, pgettext_lazy("phase", "Refused")
    WITHDRAWN = Phase.WITHDRAWN, _("Withdrawn")


class IncidentManager(ScopedManager["Incident"]):
    """Incidents in scope; those that the provider keeps to itself only where the scope reaches them."""

    def get_queryset(self) -> "models.QuerySet[Incident]":
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.exclude(kind=IncidentKind.INTERNAL)


class IncidentQuerySet(TenantQuerySet["Incident"]):
    def unsolved(self) -> Self:
        """Those on which the provider still owes work."""
        return self.filter(state__in=UNSOLVED_STATES)

    def for_both_sides(self) -> Self:
        """Without those that the provider keeps to itself, whoever looks."""
        return self.exclude(kind=IncidentKind.INTERNAL)

    def by_urgency(self) -> Self:
        """Nearest deadline first; those whose clocks carry no deadline now come last, the worst of them first."""
        return self.order_by(F("next_due_at").asc(nulls_last=True), "severity", "opened_at", "pk")

    def breaching(self, now: datetime) -> Self:
        """Unsolved, with a running clock that is past its deadline."""
        return self.unsolved().filter(next_due_at__lt=now)

    def touching(self, asset_id: int) -> Self:
        return self.filter(pk__in=IncidentAsset.objects.filter(asset_id=asset_id).values("incident_id"))

    def standing_alone(self) -> Self:
        """Without those that are grouped under another, which speaks for them."""
        return self.filter(parent=None)

    def with_children(self) -> Self:
        """Each with `child_count`."""
        children = Incident.objects.filter(parent=OuterRef("pk")).order_by().values("parent")
        counted = children.annotate(how_many=models.Count("pk")).values("how_many")
        return self.annotate(child_count=Coalesce(models.Subquery(counted), 0))

    def for_cards(self) -> Self:
        """With what a card or row shows, which of assets is their names alone."""
        return self.select_related("customer", "assignee", "satisfaction").prefetch_related(
            "clocks", models.Prefetch("assets", Asset.objects.only("name")), "pauses", "alerts"
        )

    def for_lists(self) -> Self:
        """With all that is written out of each, in a constant number of queries."""
        return self.select_related("customer", "assignee", "satisfaction").prefetch_related(
            "clocks", "assets", "pauses", "alerts"
        )


class Incident(TenantModel):
    """An abnormality that one side wants the provider to look at (事件; SOW table 1, note)."""

    class Category(models.TextChoices):
        """The classes of SOW §2.2.2 (R52)."""

        SYSTEM = "system", _("System")
        APPLICATION = "application", _("Application")
        ALIYUN = "aliyun", _("Alibaba Cloud")
        OTHER = "other", _("Other")

    class Source(models.TextChoices):
        MONITORING = "monitoring", _("Monitoring")
        PORTAL = "portal", _("Portal")
        API = "api", _("API")
        PHONE = "phone", _("Phone")
        EMAIL = "email", pgettext_lazy("way", "E-mail")
        DINGTALK = "dingtalk", _("DingTalk")
        WECOM = "wecom", _("WeCom")

    class Cause(models.TextChoices):
        """Whose side the cause was on: time that is not the provider's is shown apart (R14, R69)."""

        SYSTEM = "system", _("Managed system")
        CUSTOMER_APPLICATION = "customer_application", _("Customer's application")
        ALIYUN = "aliyun", _("Alibaba Cloud")
        THIRD_PARTY = "third_party", _("Third party")
        UNKNOWN = "unknown", _("Not known")

    objects: ClassVar = IncidentManager.from_queryset(IncidentQuerySet)()

    kind = models.CharField(_("kind"), max_length=20, choices=IncidentKind, default=IncidentKind.INCIDENT)
    title = models.CharField(_("title"), max_length=200)
    description = models.TextField(_("description"), blank=True)
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity)
    category = models.CharField(_("class"), max_length=20, choices=Category, default=Category.SYSTEM)
    source = models.CharField(_("source"), max_length=20, choices=Source)
    state = models.CharField(_("state"), max_length=20, choices=IncidentState, default=IncidentState.OPEN)
    phase = models.CharField(_("phase"), max_length=20, choices=RequestPhase, blank=True, default="")
    assignee = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    raised_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    storm_asset = models.ForeignKey(
        "assets.Asset",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text=_("The asset whose alarms gather here while the incident is unsolved."),
    )
    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        related_name="children",
        null=True,
        blank=True,
        verbose_name=_("grouped under"),
        help_text=_("The incident of the root resource: it alone calls people, and its clocks count."),
    )
    duplicate_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        related_name="duplicates",
        null=True,
        blank=True,
        verbose_name=_("duplicate of"),
    )
    assets: "models.ManyToManyField[Asset, IncidentAsset]" = models.ManyToManyField(
        "assets.Asset", through="IncidentAsset", through_fields=("incident", "asset"), related_name="+"
    )
    cause = models.CharField(_("cause"), max_length=30, choices=Cause, blank=True)
    resolution = models.TextField(_("resolution"), blank=True)
    policy = models.JSONField(
        _("SLA terms"), default=dict, help_text=_("The contract's row as it was when the severity was set (R61).")
    )
    detected_at = models.DateTimeField(_("noticed at"), help_text=_("The alert's own time, or the time of the call."))
    opened_at = models.DateTimeField(_("opened at"))
    clock_started_at = models.DateTimeField(_("clock started at"))
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True, blank=True)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed at"))
    next_due_at = models.DateTimeField(
        _("next deadline"), null=True, blank=True, help_text=_("The nearest deadline of a running clock of ours.")
    )
    closes_at = models.DateTimeField(
        _("closes at"), null=True, blank=True, help_text=_("Resolved: closes by itself then, unless somebody answers.")
    )
    version = models.PositiveIntegerField(default=0)
    searched = models.GeneratedField(
        expression=Lower(Concat("title", Value("\n"), "description", output_field=models.TextField())),
        output_field=models.TextField(),
        db_persist=True,
    )
    """What a search looks into: to change the case of every row takes longer than to compare it."""

    class Meta:
        ordering = ("-opened_at", "-pk")
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        constraints = (
            models.UniqueConstraint(
                fields=("storm_asset",),
                condition=Q(state__in=UNSOLVED_STATES),
                name="one_unsolved_incident_per_alarming_asset",
            ),
            models.CheckConstraint(condition=Q(severity__in=Severity.values), name="incident_severity_is_known"),
            models.CheckConstraint(condition=Q(kind__in=IncidentKind.values), name="incident_kind_is_known"),
            models.CheckConstraint(condition=Q(state__in=IncidentState.values), name="incident_state_is_known"),
            models.CheckConstraint(condition=~Q(title=""), name="incident_has_a_title"),
            models.CheckConstraint(
                condition=Q(kind=IncidentKind.REQUEST, phase__in=RequestPhase.values)
                | (~Q(kind=IncidentKind.REQUEST) & Q(phase="")),
                name="request_alone_has_a_phase",
            ),
            models.CheckConstraint(
                condition=Q(parent=None) | ~Q(parent=F("id")), name="incident_is_not_grouped_under_itself"
            ),
            models.CheckConstraint(
                condition=Q(duplicate_of=None) | Q(state=IncidentState.CLOSED), name="duplicate_incident_is_closed"
            ),
        )
        indexes = (
            models.Index(
                F("next_due_at").asc(nulls_last=True),
                "severity",
                "opened_at",
                condition=Q(state__in=UNSOLVED_STATES),
                name="incident_board",
            ),
            models.Index(fields=("customer", "-opened_at"), name="incident_by_customer"),
            models.Index(fields=("-opened_at", "-id"), name="incident_by_time"),
            # The orders of the list that cross all customers; a missing deadline comes last either way.
            models.Index(F("next_due_at").asc(nulls_last=True), "severity", "id", name="incident_by_due"),
            models.Index(
                F("next_due_at").desc(nulls_last=True),
                F("severity").desc(),
                F("id").desc(),
                name="incident_by_due_down",
            ),
            models.Index(fields=("severity", "-opened_at", "id"), name="incident_by_severity"),
            models.Index(fields=("state", "-opened_at", "id"), name="incident_by_state"),
            models.Index(fields=("title", "id"), name="incident_by_title"),
            models.Index(fields=("-resolved_at",), condition=Q(severity__lte=2), name="incident_bad_and_solved"),
            # What reports ask of many incidents, without a look at their rows, which are long.
            models.Index(
                fields=("id",),
                include=("customer", "kind", "severity", "cause", "parent", "duplicate_of"),
                name="incident_for_reports",
            ),
        )

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        """What people call it; one sequence for the whole platform."""
        return f"INC-{self.pk:06d}" if self.pk else "INC-"

    @property
    def stage(self) -> State:
        return State(self.state)

    @property
    def state_label(self) -> str:
        """What `get_state_display` says, which compares all choices anew for each row of a list."""
        return str(IncidentState(self.state).label)

    @property
    def step(self) -> Phase | None:
        """How far a service request is; None for all others."""
        return Phase(self.phase) if self.phase else None

    @property
    def is_request(self) -> bool:
        return self.kind == IncidentKind.REQUEST

    @property
    def is_unsolved(self) -> bool:
        return self.stage in UNSOLVED

    @property
    def has_recovered(self) -> bool:
        """Every alert on it is good again; whether that solved it is for people to say."""
        alerts = self.alerts.all()
        return bool(alerts) and all(alert.recovered_at is not None for alert in alerts)

    @property
    def level(self) -> Severity:
        return Severity(self.severity)

    @property
    def is_child(self) -> bool:
        return self.parent_id is not None

    def clock(self, kind: Clock.Kind) -> Clock | None:
        """The latest clock of a kind; reads prefetched rows when they are there."""
        return max((each for each in self.clocks.all() if each.kind == kind), key=lambda each: each.round, default=None)

    @property
    def response(self) -> Clock | None:
        return self.clock(Clock.Kind.RESPONSE)

    @property
    def handling(self) -> Clock | None:
        return self.clock(Clock.Kind.HANDLING)


class IncidentAsset(TenantModel):
    """An asset that the incident touches."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="+")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("incident", "asset"), name="incident_asset_once"),)

    def __str__(self) -> str:
        return f"{self.incident_id} → {self.asset_id}"


class IncidentAlert(TenantModel):
    """An alert on its incident: while it is open it belongs to exactly one."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="alerts")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")
    alert_key = models.CharField(max_length=200)
    title = models.CharField(max_length=200)
    severity = models.PositiveSmallIntegerField(choices=Severity)
    channels = models.JSONField(default=list, blank=True)
    """Only these channels are told of the alert (R46); none: whichever listen."""
    occurred_at = models.DateTimeField()
    recovered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("occurred_at", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "alert_key"), condition=Q(recovered_at=None), name="open_alert_has_one_incident"
            ),
        )

    def __str__(self) -> str:
        return self.title


class TimelineEntry(TenantModel):
    """One thing that happened, for both sides; internal ones are the provider's own. Never changed, never removed."""

    APPEND_ONLY: ClassVar[bool] = True

    class Kind(models.TextChoices):
        OPENED = "opened", _("Opened")
        ALERT = "alert", _("Alert")
        RECOVERY = "recovery", _("Recovery")
        ACKNOWLEDGED = "acknowledged", _("Acknowledged")
        STAGE = "stage", _("Stage report")
        ASSIGNED = "assigned", _("Assigned")
        SEVERITY = "severity", _("Severity changed")
        COMMENT = "comment", _("Comment")
        NOTE = "note", _("Internal note")
        ATTACHMENT = "attachment", _("Attachment")
        WAITING = "waiting", _("Waiting for customer")
        RESUMED = "resumed", _("Work resumed")
        RESOLVED = "resolved", _("Resolved")
        CLOSED = "closed", _("Closed")
        REOPENED = "reopened", _("Reopened")
        GROUPED = "grouped", _("Grouped")
        MERGED = "merged", _("Merged")
        SPLIT = "split", _("Split")
        REQUEST = "request", _("Service request")
        ATTESTATION = "attestation", _("Confirmation")
        QUOTE = "quote", _("Quote")
        FAULT = "fault", _("Fault review")
        CAUSE = "cause", _("Cause at the customer")
        THIRD_PARTY = "third_party", _("Third party")
        RATED = "rated", _("Rated by the customer")
        WARNING = "warning", _("Deadline near")
        BREACH = "breach", _("Deadline missed")
        ESCALATION = "escalation", _("Escalation")
        CALLED = "called", _("Contact called")
        REASON = "reason", _("Reason of a missed deadline")

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField(_("at"))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    actor = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    is_internal = models.BooleanField(_("internal"), default=False)
    body = models.TextField(_("text"), blank=True)
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ("at", "pk")
        verbose_name = _("timeline entry")
        verbose_name_plural = _("timeline")
        indexes = (models.Index(fields=("incident", "at", "id"), name="timeline_of_incident"),)

    def __str__(self) -> str:
        return f"{self.at:%F %T} {self.get_kind_display()}"


class Attachment(TenantModel):
    """A file on an incident. Its bytes lie outside the web root under a name of our own; it is served as a download."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="attachments")
    entry = models.ForeignKey(TimelineEntry, on_delete=models.PROTECT, related_name="attachments")
    is_internal = models.BooleanField(_("internal"), default=False)
    name = models.CharField(_("name"), max_length=200)
    content_type = models.CharField(_("type"), max_length=100)
    size = models.PositiveBigIntegerField(_("size"))
    sha256 = models.CharField(max_length=64)
    stored_name = models.CharField(max_length=80, unique=True)
    uploaded_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    uploaded_at = models.DateTimeField(_("uploaded at"))

    class Meta:
        ordering = ("pk",)
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")

    def __str__(self) -> str:
        return self.name
