"""How hosts are reached over SSH, and the replacing of secrets as rows that survive whatever stops them."""

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from assets.models.credentials import Credential
from assets.models.inventory import Asset
from assets.words import rotation_problem


class SshAccess(TenantModel):
    """Where a server answers SSH, and the host key that a person has confirmed: no other is accepted."""

    class Through(models.TextChoices):
        DIRECT = "direct", _("From the platform")
        NODE = "node", _("Through a node in the customer's network")

    asset = models.OneToOneField(Asset, on_delete=models.PROTECT, related_name="ssh_access")
    through = models.CharField(_("reached"), max_length=8, choices=Through, default=Through.DIRECT)
    host = models.CharField(_("host"), max_length=253)
    port = models.PositiveIntegerField(_("port"), default=22)
    host_key = models.TextField(_("host key"), blank=True)
    fingerprint = models.CharField(_("fingerprint"), max_length=80, blank=True)
    pinned_at = models.DateTimeField(_("confirmed at"))
    pinned_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    legacy_algorithms = models.BooleanField(_("old algorithms are spoken"), default=False)

    class Meta:
        verbose_name = _("SSH access")
        verbose_name_plural = _("SSH access")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Rotation(TenantModel):
    """Replacing one secret. The row says how far it came; whoever picks it up asks the host or cloud what is true."""

    LEASE = timedelta(minutes=3)
    """Longer than one run takes with all its time-outs: whoever held it is dead."""

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        GRACE = "grace", _("Waiting to end the old one")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    class Step(models.TextChoices):
        STARTED = "started", _("begun")
        SETTING = "setting", _("setting the new one")
        CREATED = "created", _("new key made")
        VERIFIED = "verified", _("new one works")
        SWITCHED = "switched", _("new one in use")
        DISABLED = "disabled", _("old one disabled")
        DELETED = "deleted", _("old one deleted")

    class Works(models.TextChoices):
        UNKNOWN = "unknown", _("not known")
        OLD = "old", _("the old one")
        NEW = "new", _("the new one")
        NEITHER = "neither", _("neither")

    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="rotations")
    actor = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.RUNNING)
    step = models.CharField(_("step"), max_length=10, choices=Step, default=Step.STARTED)
    works = models.CharField(_("worked last"), max_length=8, choices=Works, default=Works.UNKNOWN)
    problem_code = models.CharField(max_length=80, blank=True)
    old_key_id = models.CharField(max_length=64, blank=True)
    new_key_id = models.CharField(max_length=64, blank=True)
    known_key_ids = models.JSONField(null=True)
    started_at = models.DateTimeField(_("started at"))
    leased_until = models.DateTimeField(null=True)
    next_at = models.DateTimeField(_("goes on at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    OPEN: ClassVar[tuple[str, ...]] = (State.RUNNING, State.GRACE)

    class Meta:
        ordering = ("-started_at", "-pk")
        verbose_name = _("rotation")
        verbose_name_plural = _("rotations")
        constraints = (
            models.UniqueConstraint(
                fields=("credential",),
                condition=Q(state__in=("running", "grace")),
                name="one_open_rotation_per_credential",
            ),
        )

    def __str__(self) -> str:
        return f"{self.credential} {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def problem(self) -> str:
        return rotation_problem(self.problem_code) if self.problem_code else ""
