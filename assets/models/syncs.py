"""Passes over a cloud account, each with its steps."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from assets.models.cloud import CloudAccount
from assets.models.inventory import Kind
from assets.words import say


class SyncRun(TenantModel):
    """One pass over a cloud account, with a step per kind of resource."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        PARTIAL = "partial", _("Partly done")
        FAILED = "failed", _("Failed")

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", _("By schedule")
        PERSON = "person", _("By hand")

    account = models.ForeignKey(CloudAccount, on_delete=models.PROTECT, related_name="runs")
    trigger = models.CharField(_("started"), max_length=10, choices=Trigger)
    actor = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    queued_at = models.DateTimeField(_("asked for at"))
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    error_code = models.CharField(max_length=80, blank=True)
    error = models.CharField(_("error"), max_length=400, blank=True)

    OPEN: ClassVar[tuple[str, ...]] = (State.WAITING, State.RUNNING)

    class Meta:
        ordering = ("-queued_at", "-pk")
        verbose_name = _("synchronisation")
        verbose_name_plural = _("synchronisations")
        constraints = (
            models.UniqueConstraint(
                fields=("account",), condition=Q(state__in=("waiting", "running")), name="one_open_sync_per_account"
            ),
        )

    def __str__(self) -> str:
        return f"{self.account} {self.queued_at:%Y-%m-%d %H:%M}"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def problem(self) -> str:
        return say(self.error_code, self.error) if self.error_code else ""


class SyncStep(TenantModel):
    """What one pass did with one kind of resource, or with the users of RAM."""

    RAM = "ram"

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="steps")
    kind = models.CharField(_("kind"), max_length=20, choices=[*Kind.choices, (RAM, _("RAM users"))])
    state = models.CharField(_("state"), max_length=10, choices=SyncRun.State, default=SyncRun.State.WAITING)
    position = models.PositiveSmallIntegerField(default=0)
    found = models.PositiveIntegerField(_("found"), default=0)
    created = models.PositiveIntegerField(_("new"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    retired = models.PositiveIntegerField(_("gone"), default=0)
    returned = models.PositiveIntegerField(_("back"), default=0)
    error_code = models.CharField(max_length=80, blank=True)
    error = models.CharField(_("error"), max_length=400, blank=True)
    request_id = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ("run", "position")
        verbose_name = _("step of a synchronisation")
        verbose_name_plural = _("steps of a synchronisation")
        constraints = (models.UniqueConstraint(fields=("run", "kind"), name="one_step_per_kind"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_state_display()}"

    @property
    def is_open(self) -> bool:
        return self.state in SyncRun.OPEN

    @property
    def problem(self) -> str:
        return say(self.error_code, self.error, self.request_id) if self.error_code else ""
