"""Operations that the platform carries out itself: a run per asset, its calls, and what happened, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from changes.catalogue import Words
from changes.models.change import Change
from changes.operations import EXECUTABLES, Executable
from changes.operations.executable import Repeat, Step


class RunState(models.TextChoices):
    PLANNED = "planned", _("Dry run")
    RUNNING = "running", _("Running")
    SETTLED = "settled", _("Being verified")
    VERIFIED = "verified", _("Done and verified")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Not known")
    CANCELLED = "cancelled", _("Stopped")
    UNDONE = "undone", _("Undone")


class StepState(models.TextChoices):
    PLANNED = "planned", pgettext_lazy("call", "To come")
    SENDING = "sending", pgettext_lazy("call", "Being sent")
    ACCEPTED = "accepted", pgettext_lazy("call", "Accepted")
    SETTLED = "settled", pgettext_lazy("call", "Settled")
    FAILED = "failed", pgettext_lazy("call", "Failed")
    SKIPPED = "skipped", pgettext_lazy("call", "Not sent")


class OperationRunQuerySet(TenantQuerySet["OperationRun"]):
    def active(self) -> Self:
        """A worker has something to do with it."""
        return self.filter(state__in=OperationRun.ACTIVE)

    def for_lists(self) -> Self:
        return self.select_related("customer", "change", "asset", "cloud_account", "started_by")


class OperationRun(TenantModel):
    """One operation on one asset, under its change. The row says how far it came; the cloud says what is true."""

    LEASE = timedelta(minutes=2)
    """Longer than one turn takes with all its time-outs: whoever held it is dead."""
    ACTIVE: ClassVar[tuple[str, ...]] = (RunState.RUNNING, RunState.SETTLED)
    OPEN: ClassVar[tuple[str, ...]] = (RunState.PLANNED, *ACTIVE)

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="runs")
    asset = models.ForeignKey(
        "assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("asset")
    )
    cloud_account = models.ForeignKey(
        "assets.CloudAccount", on_delete=models.PROTECT, related_name="+", verbose_name=_("cloud account")
    )
    region = models.CharField(_("region"), max_length=40, blank=True)
    operation = models.CharField(_("operation"), max_length=40)
    fields: Any = models.JSONField(default=dict, blank=True)
    is_backup = models.BooleanField(
        default=False, help_text=_("Not the change's own operation, but the backup that its gate waits for.")
    )
    undoes = models.ForeignKey("self", on_delete=models.PROTECT, related_name="undoings", null=True, blank=True)
    revision = models.PositiveIntegerField(help_text=_("Of the change, when it was planned."))
    token = models.CharField(max_length=32, unique=True)
    state = models.CharField(_("state"), max_length=10, choices=RunState, default=RunState.PLANNED)
    percent = models.PositiveSmallIntegerField(_("percent"), default=0)
    problem_code = models.CharField(max_length=100, blank=True)
    problem = models.CharField(_("what went wrong"), max_length=300, blank=True)
    is_stopping = models.BooleanField(default=False, help_text=_("Somebody wants no further call to be sent."))
    planned_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    planned_at = models.DateTimeField(_("planned at"))
    started_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(OperationRunQuerySet)()

    class Meta:
        ordering = ("-planned_at", "-pk")
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = (
            models.CheckConstraint(condition=Q(state__in=RunState.values), name="run_state_is_known"),
            models.CheckConstraint(condition=Q(percent__lte=100), name="run_percent_is_one"),
            models.UniqueConstraint(
                fields=("asset",),
                condition=Q(state__in=("running", "settled", "unknown"), asset__isnull=False),
                name="one_run_at_a_time_per_asset",
            ),
            models.UniqueConstraint(
                fields=("cloud_account", "operation"),
                condition=Q(state__in=("running", "settled", "unknown"), asset=None),
                name="one_run_at_a_time_per_account",
            ),
        )
        indexes = (models.Index(fields=("state", "-planned_at"), name="run_by_state"),)

    def __str__(self) -> str:
        return f"{self.operation} {self.target}"

    @property
    def target(self) -> str:
        return str(self.asset or self.cloud_account)

    @property
    def executable(self) -> Executable:
        """Raises KeyError of an operation that the platform has no more."""
        return EXECUTABLES[self.operation]

    @property
    def words(self) -> Words:
        known = EXECUTABLES.get(self.operation)
        return Words(self.operation, self.operation) if known is None else known.words

    @property
    def is_active(self) -> bool:
        return self.state in self.ACTIVE

    @property
    def may_be_undone(self) -> bool:
        """There is a way back, and something was done that has not been taken back or is being taken back."""
        if self.undoes_id is not None or self.state not in (RunState.VERIFIED, RunState.FAILED, RunState.CANCELLED):
            return False
        return bool(way_back(self))


class RunStep(TenantModel):
    """One call of a run. `SENDING` is written before it is sent: whoever finds that asks the cloud first."""

    run = models.ForeignKey(OperationRun, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    product = models.CharField(max_length=20)
    action = models.CharField(max_length=60)
    params: Any = models.JSONField(default=dict)
    repeat = models.CharField(max_length=10, choices=[(one.value, one.value) for one in Repeat])
    keeps: Any = models.JSONField(default=list)
    before: Any = models.JSONField(default=dict)
    result: Any = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=StepState, default=StepState.PLANNED)
    percent = models.PositiveSmallIntegerField(default=0)
    status = models.CharField(max_length=60, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    looks = models.PositiveIntegerField(default=0)
    request_ids: Any = models.JSONField(default=list)
    sent_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("run", "position")
        constraints = (models.UniqueConstraint(fields=("run", "position"), name="run_step_once"),)

    def __str__(self) -> str:
        return f"{self.product} {self.action}"

    def as_step(self) -> Step:
        return Step(
            self.product, self.action, self.params, Repeat(self.repeat), tuple(self.keeps), self.before, self.result
        )


class RunLine(TenantModel):
    """One line of a run's log. Never changed, never removed."""

    APPEND_ONLY: ClassVar[bool] = True

    class Kind(models.TextChoices):
        PLANNED = "planned", _("Planned")
        STARTED = "started", _("Started")
        SENT = "sent", _("Sent")
        ACCEPTED = "accepted", _("Accepted")
        THROTTLED = "throttled", _("Throttled")
        UNSURE = "unsure", _("No answer")
        FOUND = "found", _("Found out")
        NOT_FOUND = "not_found", _("Not found")
        SETTLED = "settled", _("Settled")
        VERIFIED = "verified", _("Verified")
        RESTORING = "restoring", _("Being restored")
        FAILED = "failed", _("Failed")
        UNKNOWN = "unknown", _("Not known")
        STOPPING = "stopping", _("To be stopped")
        STOPPED = "stopped", _("Stopped")
        UNDOING = "undoing", _("Being undone")
        UNDONE = "undone", _("Undone")
        BACKED_UP = "backed_up", _("Backup recorded")
        AGAIN = "again", _("Looked again")

    run = models.ForeignKey(OperationRun, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField()
    kind = models.CharField(max_length=12, choices=Kind)
    actor = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    data: Any = models.JSONField(default=dict)

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.run_id} {self.kind}"


def settled_steps(run: OperationRun) -> Sequence[Step]:
    return [step.as_step() for step in run.steps.all() if step.state == StepState.SETTLED]


def way_back(run: OperationRun) -> Sequence[Step]:
    """The calls that take back what settled; none of an operation that has no way back or is known no more."""
    known, done = EXECUTABLES.get(run.operation), settled_steps(run)
    return known.undo(done) if known is not None and known.undo is not None and done else ()
