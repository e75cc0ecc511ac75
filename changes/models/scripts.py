"""Runs of scripts on hosts, host by host."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from changes.models.change import Change
from changes.models.script_versions import ScriptVersion


class ScriptRunState(models.TextChoices):
    PLANNED = "planned", _("Dry run")
    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")
    DONE = "done", pgettext_lazy("script", "Done")
    STOPPED = "stopped", _("Stopped")


class HostState(models.TextChoices):
    PLANNED = "planned", pgettext_lazy("host", "To come")
    RUNNING = "running", _("Running")
    DONE = "done", pgettext_lazy("script", "Done")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Unknown, look")
    SKIPPED = "skipped", pgettext_lazy("host", "Left out")


class ScriptRunQuerySet(TenantQuerySet["ScriptRun"]):
    def for_lists(self) -> Self:
        return self.select_related("customer", "change", "version", "started_by", "planned_by")


class ScriptRun(TenantModel):
    """One version with its values on some hosts: a canary first, then batches."""

    SLACK: ClassVar[timedelta] = timedelta(seconds=150)
    """What logging in, asking sudo and writing down take at most beside the script's own time-out, each wait of
    `assets.ssh` at its longest: whoever held a run longer is dead."""
    OPEN: ClassVar[tuple[str, ...]] = (ScriptRunState.RUNNING, ScriptRunState.PAUSED)

    version = models.ForeignKey(ScriptVersion, on_delete=models.PROTECT, related_name="runs")
    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="script_runs", null=True, blank=True)
    revision = models.PositiveIntegerField(default=0, help_text=_("Of the change, when it was planned."))
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    values: Any = models.JSONField(_("parameters"), default=dict, blank=True)
    batch_size = models.PositiveSmallIntegerField(_("hosts at a time"), default=5)
    max_failures = models.PositiveSmallIntegerField(_("failures allowed"), default=0)
    waits_after_canary = models.BooleanField(_("wait after the canary"), default=True)
    state = models.CharField(_("state"), max_length=10, choices=ScriptRunState, default=ScriptRunState.PLANNED)
    problem_code = models.CharField(max_length=40, blank=True)
    wants_pause = models.BooleanField(default=False)
    wants_stop = models.BooleanField(default=False)
    forgiven = models.PositiveIntegerField(default=0, help_text=_("Failures that somebody has looked at and went on."))
    planned_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    planned_at = models.DateTimeField(_("planned at"))
    started_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(ScriptRunQuerySet)()

    class Meta:
        ordering = ("-planned_at", "-pk")
        verbose_name = _("script run")
        verbose_name_plural = _("script runs")
        constraints = (
            models.CheckConstraint(condition=Q(state__in=ScriptRunState.values), name="script_run_state_is_known"),
            models.CheckConstraint(condition=Q(batch_size__gte=1), name="script_run_batch_is_one"),
            models.CheckConstraint(condition=Q(change__isnull=False) | ~Q(reason=""), name="script_run_says_what_for"),
        )
        indexes = (models.Index(fields=("state", "-planned_at"), name="script_run_by_state"),)

    def __str__(self) -> str:
        return f"{self.version} #{self.pk}"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.version.timeout_s) + self.SLACK


class ScriptHost(TenantModel):
    """One host of a run. RUNNING is written before the host hears of it: who finds that later does not repeat it."""

    run = models.ForeignKey(ScriptRun, on_delete=models.CASCADE, related_name="hosts")
    position = models.PositiveIntegerField()
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")
    credential = models.ForeignKey(
        "assets.Credential", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    address = models.CharField(_("address"), max_length=300, blank=True)
    command = models.TextField(_("command"), blank=True)
    state = models.CharField(_("state"), max_length=10, choices=HostState, default=HostState.PLANNED)
    problem_code = models.CharField(max_length=40, blank=True)
    exit_status = models.IntegerField(_("exit status"), null=True, blank=True)
    stdout = models.TextField(blank=True)
    stderr = models.TextField(blank=True)
    stdout_is_cut = models.BooleanField(default=False)
    stderr_is_cut = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        ordering = ("run", "position")
        constraints = (
            models.UniqueConstraint(fields=("run", "position"), name="script_host_place_once"),
            models.UniqueConstraint(fields=("run", "asset"), name="script_host_once"),
            models.UniqueConstraint(
                fields=("asset",), condition=Q(state="running"), name="one_script_at_a_time_per_host"
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.asset}"

    @property
    def is_canary(self) -> bool:
        return self.position == 1


class ScriptLine(TenantModel):
    """What somebody did with a run, or what the platform decided. Never changed, never removed."""

    APPEND_ONLY: ClassVar[bool] = True

    class Kind(models.TextChoices):
        PLANNED = "planned", _("Planned")
        STARTED = "started", _("Started")
        BATCH = "batch", _("Batch")
        PAUSING = "pausing", _("To be paused")
        PAUSED = "paused", _("Paused")
        WENT_ON = "went_on", _("Went on")
        STOPPING = "stopping", _("To be stopped")
        STOPPED = "stopped", _("Stopped")
        DONE = "done", pgettext_lazy("script", "Done")
        JUDGED = "judged", _("Judged by a person")
        AGAIN = "again", _("Once more")

    run = models.ForeignKey(ScriptRun, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=Kind)
    actor = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    data: Any = models.JSONField(default=dict)

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.run_id} {self.kind}"
