"""Changes, what they touch, and the timeline that both sides read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.models import Environment
from changes import gates, states
from changes.catalogue import Check, Operation, Risk, after_failure, operations
from changes.models.script_versions import ScriptVersion
from changes.scripts import BadScript, as_lines, parse, parse_values
from incidents.models import Attestation, AttestationAnswer, Incident

PORT_CLOSING = "port-closing"
SCRIPT_RUN = "script-run"
"""The one operation of the catalogue under which a script that changes something runs."""
NOT_PRODUCTION = (Environment.TEST, Environment.DEVELOPMENT)
"""What nobody knows counts as production."""


class ChangeState(models.TextChoices):
    """The states of `changes.states` with the words that people read."""

    DRAFT = states.State.DRAFT, _("Draft")
    PREPARING = states.State.PREPARING, _("Being prepared")
    READY = states.State.READY, pgettext_lazy("change", "Ready")
    EXECUTING = states.State.EXECUTING, _("Executing")
    CUSTOMER_TEST = states.State.CUSTOMER_TEST, _("Customer's test")
    CLOSED = states.State.CLOSED, _("Closed")
    FAILED = states.State.FAILED, _("Failed")
    ROLLED_BACK = states.State.ROLLED_BACK, _("Rolled back")
    CANCELLED = states.State.CANCELLED, _("Cancelled")


class ChangeKind(models.TextChoices):
    """`gates.Kind` with the words that people read."""

    NORMAL = gates.Kind.NORMAL, _("Normal")
    STANDARD = gates.Kind.STANDARD, _("Standard, pre-approved")
    EMERGENCY = gates.Kind.EMERGENCY, _("Emergency")


class ChangeGate(models.TextChoices):
    """`gates.Gate` with the words that people read."""

    AUTHORISED = gates.Gate.AUTHORISED, pgettext_lazy("gate", "Authorised")
    RISK_TOLD = gates.Gate.RISK_TOLD, pgettext_lazy("gate", "Risk told")
    CONFIRMED = gates.Gate.CONFIRMED, pgettext_lazy("gate", "Customer confirmed")
    TESTED = gates.Gate.TESTED, pgettext_lazy("gate", "Tested")
    PATCH_PROVEN = gates.Gate.PATCH_PROVEN, pgettext_lazy("gate", "Patch proven elsewhere")
    BACKED_UP = gates.Gate.BACKED_UP, pgettext_lazy("gate", "Backed up")
    APPROVED = gates.Gate.APPROVED, pgettext_lazy("gate", "Approved")
    SCHEDULED = gates.Gate.SCHEDULED, pgettext_lazy("gate", "Scheduled")


class ChangeRisk(models.TextChoices):
    """`catalogue.Risk` of what changes something."""

    LOW = Risk.LOW, pgettext_lazy("risk", "Low")
    MEDIUM = Risk.MEDIUM, pgettext_lazy("risk", "Medium")
    HIGH = Risk.HIGH, pgettext_lazy("risk", "High")
    DANGEROUS = Risk.DANGEROUS, pgettext_lazy("risk", "Dangerous")


def _script_of(
    operation: str, fields: Mapping[str, object], customer_id: int, told_at: datetime | None
) -> ScriptVersion | None:
    if operation != SCRIPT_RUN:
        return None
    try:
        code, number = parse(str(fields.get("script", "")))
    except BadScript:
        return None
    found: ScriptVersion | None = ScriptVersion.objects.meant(code, number, customer_id=customer_id, told_at=told_at)
    return found


class ChangeTemplate(TenantModel):
    """A standard change: described once, signed by the customer, approved by us, then used as often as needed."""

    name = models.CharField(_("name"), max_length=200)
    operation = models.CharField(_("operation"), max_length=80)
    fields: Any = models.JSONField(_("details of the operation"), default=dict, blank=True)
    plan = models.TextField(_("plan"))
    rollback = models.TextField(_("way back"))
    risk_text = models.TextField(_("risk"))
    assets = models.ManyToManyField(
        "assets.Asset", through="TemplateAsset", through_fields=("template", "asset"), related_name="+"
    )
    valid_until = models.DateField(_("valid until"))
    attestation = models.ForeignKey(Attestation, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    approved_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    approved_at = models.DateTimeField(_("approved at"), null=True, blank=True)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(_("created at"))
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("standard change")
        verbose_name_plural = _("standard changes")

    def __str__(self) -> str:
        return self.name

    @property
    def is_signed(self) -> bool:
        given = None if self.attestation is None else self.attestation.given
        return given is not None and given.outcome == given.Outcome.SIGNED

    @property
    def script(self) -> ScriptVersion | None:
        """The version of the script that it says is run."""
        return _script_of(self.operation, self.fields, self.customer_id, self.created_at)

    def is_in_force(self, now: datetime) -> bool:
        is_agreed = self.approved_at is not None and self.is_signed
        return is_agreed and self.retired_at is None and timezone.localdate(now) <= self.valid_until


class TemplateAsset(TenantModel):
    """An asset that a standard change was approved for. `environment`: what it was when that was signed."""

    template = models.ForeignKey(ChangeTemplate, on_delete=models.CASCADE, related_name="touched")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")
    environment = models.CharField(_("environment"), max_length=12, choices=Environment, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("template", "asset"), name="template_asset_once"),)

    def __str__(self) -> str:
        return f"{self.template_id} → {self.asset_id}"


REVIEW_DUE = Q(kind=ChangeKind.EMERGENCY, state__in=sorted(states.REVIEWED), reviewed_at=None)
"""Emergencies that are over and were not looked at again, as `Change.needs_review` says of one."""


class ChangeQuerySet(TenantQuerySet["Change"]):
    def pending(self) -> Self:
        return self.filter(state__in=sorted(states.PENDING))

    def unfinished(self) -> Self:
        return self.filter(state__in=sorted(states.OPEN))

    def planned(self) -> Self:
        return self.exclude(starts_at=None).exclude(state=ChangeState.CANCELLED)

    def within(self, start: datetime, end: datetime) -> Self:
        """Whose window overlaps this span."""
        return self.planned().filter(starts_at__lt=end, ends_at__gt=start)

    def touching(self, asset_ids: Iterable[int]) -> Self:
        touched = ChangeAsset.objects.filter(asset_id__in=asset_ids).values("change_id")
        return self.filter(pk__in=touched)

    def may_bring_patches(self) -> Self:
        """By their operation; of a script that is run, the change itself knows whether it brings one (`is_patch`)."""
        brought = [code for code, entry in operations().items() if entry.is_patch]
        return self.filter(operation__in=[*brought, SCRIPT_RUN])

    def for_lists(self) -> Self:
        """With all that a row shows, in a constant number of queries."""
        return self.select_related("customer", "owner", "requester", "incident", "verified_by").prefetch_related(
            "assets"
        )


class Change(TenantModel):
    """Something that is to be done to assets of a customer (变更), and all that has to be true before (附件一 5.2)."""

    class Origin(models.TextChoices):
        """Who wants it (R88)."""

        CUSTOMER = "customer", _("Customer")
        PROVIDER = "provider", _("Service provider")
        CLOUD_VENDOR = "cloud_vendor", _("Cloud vendor")
        SOFTWARE_VENDOR = "software_vendor", _("Software vendor")

    class Lead(models.TextChoices):
        """Who does the work (R90, R96)."""

        PROVIDER = "provider", _("Our engineers")
        CUSTOMER = "customer", _("The customer's people, with our help")
        VENDOR = "vendor", _("The customer's vendor, with our help")

    title = models.CharField(_("title"), max_length=200)
    kind = models.CharField(_("kind"), max_length=12, choices=ChangeKind, default=ChangeKind.NORMAL)
    origin = models.CharField(_("wanted by"), max_length=20, choices=Origin, default=Origin.CUSTOMER)
    vendor_notice = models.CharField(
        _("vendor's notice"), max_length=300, blank=True, help_text=_("Number or address of the notice, or the ticket.")
    )
    lead = models.CharField(_("done by"), max_length=12, choices=Lead, default=Lead.PROVIDER)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    template = models.ForeignKey(ChangeTemplate, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    operation = models.CharField(_("operation"), max_length=80)
    fields: Any = models.JSONField(_("details of the operation"), default=dict, blank=True)
    risk = models.CharField(_("risk class"), max_length=12, choices=ChangeRisk)
    reason = models.TextField(_("reason"), blank=True)
    plan = models.TextField(_("plan"), blank=True)
    rollback = models.TextField(_("way back"), blank=True)
    test_waiver = models.TextField(
        _("why it is not tested before"), blank=True, help_text=_("The customer signs this together with the risk.")
    )
    backup_waiver = models.TextField(
        _("why there is nothing to back up"), blank=True, help_text=_("The customer signs this together with the risk.")
    )
    assets = models.ManyToManyField(
        "assets.Asset", through="ChangeAsset", through_fields=("change", "asset"), related_name="+"
    )
    state = models.CharField(_("state"), max_length=16, choices=ChangeState, default=ChangeState.DRAFT)
    gate = models.CharField(
        _("waits at"), max_length=16, choices=ChangeGate, blank=True, help_text=_("The first gate that is not passed.")
    )
    revision = models.PositiveIntegerField(
        _("revision"), default=1, help_text=_("Whoever rewrites it asks for every word again.")
    )
    approval_round = models.PositiveIntegerField(default=1)
    risk_text = models.TextField(_("risk"), blank=True)
    risk_told_at = models.DateTimeField(_("risk told at"), null=True, blank=True)
    confirmation = models.ForeignKey(Attestation, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    heard_from = models.CharField(_("heard from"), max_length=120, blank=True)
    heard_at = models.DateTimeField(_("heard at"), null=True, blank=True)
    starts_at = models.DateTimeField(_("window begins"), null=True, blank=True)
    ends_at = models.DateTimeField(_("window ends"), null=True, blank=True)
    freeze_overruled_by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    freeze_reason = models.CharField(_("why in spite of the freeze"), max_length=300, blank=True)
    requester = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    writers: Any = models.JSONField(_("written by"), default=list, help_text=_("Who drafted it, and who rewrote it."))
    owner = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("engineer")
    )
    customer_owner = models.ForeignKey(
        "accounts.User",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("tested for the customer by"),
    )
    created_at = models.DateTimeField(_("created at"))
    changed_at = models.DateTimeField(_("changed at"))
    begun_at = models.DateTimeField(_("begun at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    result = models.TextField(_("result"), blank=True)
    failure = models.TextField(_("what went wrong"), blank=True)
    verified_by = models.ForeignKey(
        "accounts.User",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("that it is as before, verified by"),
    )
    signed_off_by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    reviewed_at = models.DateTimeField(_("reviewed at"), null=True, blank=True)
    reviewed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    review = models.TextField(_("review"), blank=True)
    unsigned_reason = models.TextField(
        _("why the spoken yes was never signed"), blank=True, help_text=_("Of an emergency, when it is reviewed.")
    )
    version = models.PositiveIntegerField(default=0)

    objects: ClassVar = ScopedManager.from_queryset(ChangeQuerySet)()

    class Meta:
        ordering = ("-created_at", "-pk")
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        constraints = (
            models.CheckConstraint(condition=Q(state__in=ChangeState.values), name="change_state_is_known"),
            models.CheckConstraint(condition=Q(kind__in=ChangeKind.values), name="change_kind_is_known"),
            models.CheckConstraint(condition=Q(risk__in=ChangeRisk.values), name="change_risk_is_known"),
            models.CheckConstraint(condition=~Q(title=""), name="change_has_a_title"),
            models.CheckConstraint(
                condition=Q(starts_at=None, ends_at=None) | Q(ends_at__gt=F("starts_at")), name="change_window_is_one"
            ),
            models.CheckConstraint(
                condition=~Q(kind="standard") | Q(template__isnull=False), name="standard_change_has_a_template"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=("executing", "customer_test", "closed")) | Q(begun_at__isnull=False),
                name="change_says_when_it_began",
            ),
        )
        indexes = (
            models.Index(fields=("customer", "-created_at"), name="change_by_customer"),
            models.Index(fields=("state", "-created_at"), name="change_by_state"),
            models.Index(fields=("starts_at", "ends_at"), name="change_by_window"),
        )

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        """What people call it; one sequence for the whole platform."""
        return f"CHG-{self.pk:06d}" if self.pk else "CHG-"

    @property
    def stage(self) -> states.State:
        return states.State(self.state)

    @property
    def sort(self) -> gates.Kind:
        return gates.Kind(self.kind)

    @property
    def catalogue_entry(self) -> Operation | None:
        """None: the operation is in the catalogue no more."""
        return operations().get(self.operation)

    @property
    def checklist(self) -> tuple[Check, ...]:
        """The operation's own."""
        entry = self.catalogue_entry
        return () if entry is None else entry.checklist

    @property
    def every_point(self) -> tuple[Check, ...]:
        """Its own and, once it has failed, what follows on that."""
        return (*self.checklist, *(after_failure() if self.stage in states.FAILING else ()))

    @property
    def points(self) -> tuple[Check, ...]:
        """What is looked at where it stands: the operation's own, or what every failure is followed by."""
        if self.stage in states.FAILING:
            return after_failure()
        return () if self.is_pending else self.checklist

    @property
    def authors(self) -> frozenset[int]:
        """Who asked for it or wrote at it, by id: none of them approves it."""
        return frozenset((self.requester_id, *self.writers))

    @property
    def is_pending(self) -> bool:
        return self.stage in states.PENDING

    @property
    def needs_review(self) -> bool:
        """An emergency is looked at again when it is over (R93)."""
        return self.kind == ChangeKind.EMERGENCY and self.stage in states.REVIEWED and self.reviewed_at is None

    @property
    def lacks_signature(self) -> bool:
        """An emergency that began on a spoken word, and the signature that follows on it is not there (R84)."""
        if self.kind != ChangeKind.EMERGENCY or self.begun_at is None:
            return False
        given = None if self.confirmation is None else self.confirmation.given
        return given is None or given.outcome != AttestationAnswer.Outcome.SIGNED

    @property
    def signature_text(self) -> str:
        """What became of the customer's signature, in the reader's language."""
        if self.confirmation is None:
            return str(pgettext_lazy("signature", "not asked for"))
        given = self.confirmation.given
        return str(pgettext_lazy("signature", "awaited")) if given is None else given.get_outcome_display()

    @property
    def may_be_asked_to_sign(self) -> bool:
        """The time to sign went by unused, or the asking was taken back; who declined has answered."""
        given = None if self.confirmation is None else self.confirmation.given
        lapsed = (AttestationAnswer.Outcome.EXPIRED, AttestationAnswer.Outcome.WITHDRAWN)
        return self.lacks_signature and given is not None and given.outcome in lapsed

    @property
    def closes_ports(self) -> bool:
        """A named contact confirms which (R145)."""
        return self.operation == PORT_CLOSING

    @property
    def told_at(self) -> datetime | None:
        """When the customer was told what is done; of a standard change that was when its template was."""
        return self.risk_told_at if self.template is None else self.template.created_at

    @property
    def script(self) -> ScriptVersion | None:
        """The version of the script that it says is run."""
        return _script_of(self.operation, self.fields, self.customer_id, self.told_at)

    @property
    def is_patch(self) -> bool:
        """By its operation or the script that it names, whatever its fields say: the gate of patches is shut for it
        (R150)."""
        entry, script = self.catalogue_entry, self.script
        return (entry is not None and entry.is_patch) or (script is not None and script.patch != "")

    @property
    def patch(self) -> str:
        """What two changes that bring the same patch have in common; "" for all others, and where it is not named.

        A script with parameters brings the same patch with the same values only.
        """
        entry, script = self.catalogue_entry, self.script
        if entry is not None and entry.is_patch:
            return " ".join(str(self.fields.get("patch", "")).upper().split())
        if script is None or not script.patch:
            return ""
        try:
            values = as_lines(parse_values(str(self.fields.get("parameters", ""))))
        except BadScript:
            return ""
        return " ".join([*script.patch.upper().split(), *values.splitlines()])


class ChangeAssetQuerySet(TenantQuerySet["ChangeAsset"]):
    def production(self) -> Self:
        """What the inventory calls production, or did when the customer was told of the risk: nobody makes it something
        else for an hour."""
        return self.exclude(asset__environment__in=NOT_PRODUCTION, environment__in=("", *NOT_PRODUCTION))

    def spare(self) -> Self:
        """What was no production when the customer was told, and is none today: what was done there is a proof."""
        return self.filter(asset__environment__in=NOT_PRODUCTION, environment__in=NOT_PRODUCTION)


class ChangeAsset(TenantModel):
    """An asset that the change touches. `environment`: what it was when the risk was told; empty before that."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="touched")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")
    environment = models.CharField(_("environment"), max_length=12, choices=Environment, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(ChangeAssetQuerySet)()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("change", "asset"), name="change_asset_once"),)

    def __str__(self) -> str:
        return f"{self.change_id} → {self.asset_id}"


class ChangeEntry(TenantModel):
    """One thing that happened, for both sides. Never changed, never removed."""

    APPEND_ONLY: ClassVar[bool] = True

    class Kind(models.TextChoices):
        CREATED = "created", _("Created")
        EDITED = "edited", _("Edited")
        SUBMITTED = "submitted", _("Submitted")
        RISK_TOLD = "risk_told", _("Risk told")
        ANSWERED = "answered", _("Customer's answer")
        HEARD = "heard", _("Heard by telephone")
        TEST = "test", _("Test")
        BACKUP = "backup", _("Backup")
        FILE = "file", _("File")
        ASKED = "asked", _("Approval asked")
        DECIDED = "decided", _("Decision")
        LAPSED = "lapsed", _("Nobody decided")
        SCHEDULED = "scheduled", _("Scheduled")
        READY = "ready", _("Ready")
        BEGUN = "begun", _("Begun")
        CHECKED = "checked", _("Checked")
        FINISHED = "finished", _("Finished")
        FAILED = "failed", _("Failed")
        ROLLED_BACK = "rolled_back", _("Rolled back")
        SIGNED_OFF = "signed_off", _("Signed off")
        OBJECTED = "objected", _("Objection")
        CANCELLED = "cancelled", _("Cancelled")
        REVIEWED = "reviewed", _("Reviewed")
        COMMENT = "comment", _("Comment")
        RUN = "run", _("Carried out by the platform")
        RESTORED = "restored", _("Temporary instance")

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="entries")
    at = models.DateTimeField()
    kind = models.CharField(max_length=20, choices=Kind)
    actor = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    body = models.TextField(blank=True)
    data: Any = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("at", "pk")
        indexes = (models.Index(fields=("change", "at"), name="change_entry_by_time"),)

    def __str__(self) -> str:
        return f"{self.change_id} {self.kind}"
