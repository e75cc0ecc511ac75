"""What went through a node: sessions, their commands and files, and the pieces of their recordings."""

import uuid
from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.models import Asset
from bastion.models.nodes import Node

LEASE = timedelta(seconds=30)
"""A node says every ten seconds which sessions it carries; what it stays silent about is not known to run."""


def _uid(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None


class BastionSessionQuerySet(TenantQuerySet["BastionSession"]):
    def online(self) -> Self:
        return self.filter(state__in=(BastionSession.State.OPEN, BastionSession.State.UNKNOWN))

    def called(self, *names: str) -> Self:
        """By what nodes and recordings call them; what is no identifier is nobody's."""
        return self.filter(uid__in=[uid for name in names if (uid := _uid(name)) is not None])

    def joined(self) -> Self:
        return self.select_related("customer", "node", "person", "asset", "incident", "change", "ended_by")


class BastionSession(TenantModel):
    """One connection of one person to one account of one resource."""

    class State(models.TextChoices):
        ALLOWED = "allowed", pgettext_lazy("session", "Allowed")
        OPEN = "open", pgettext_lazy("session", "Online")
        UNKNOWN = "unknown", pgettext_lazy("session", "Node silent")
        ENDED = "ended", pgettext_lazy("session", "Ended")

    class Ending(models.TextChoices):
        """Why it ended, as the node told (`bastion.gateway.contract.Fact`) or the portal concluded."""

        EXIT = "exit", _("the command or shell ended")
        CLIENT = "client", _("the person went")
        IDLE = "idle", _("nothing was done for too long")
        TOTAL = "total", _("it lasted too long")
        WINDOW = "window", _("the time of the grant was over")
        REVOKED = "revoked", _("the grant was taken back")
        KILLED = "killed", _("somebody disconnected it")
        LOST = "lost", _("the server went away")
        RECORDING = "recording", _("it could not be recorded")
        GRACE = "grace", _("the portal was away for too long")
        NODE = "node", _("the node stopped")
        SILENT = "silent", _("the node was never heard of again")
        UNUSED = "unused", _("it was allowed and never begun")
        REFUSED = "refused", _("nobody let it in")

    uid = models.UUIDField(
        _("identifier"),
        unique=True,
        default=uuid.uuid4,
        editable=False,
        help_text=_("What nodes and recordings call it."),
    )
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    account = models.CharField(_("account"), max_length=128)
    protocol = models.CharField(_("protocol"), max_length=8)
    front = models.CharField(_("came by"), max_length=8)
    client_address = models.GenericIPAddressField(_("client address"))
    client_software = models.CharField(_("client program"), max_length=120, blank=True)
    key_fingerprint = models.CharField(_("SSH key"), max_length=80, blank=True)
    sign_in_epoch = models.PositiveIntegerField(default=0, editable=False)
    actions = models.JSONField(_("actions"), default=list)
    incident = models.ForeignKey(
        "incidents.Incident", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    change = models.ForeignKey("changes.Change", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.ALLOWED)
    allowed_at = models.DateTimeField(_("allowed at"))
    opened_at = models.DateTimeField(_("begun at"), null=True, blank=True)
    leased_until = models.DateTimeField(_("known to run until"), null=True, blank=True)
    ends_at = models.DateTimeField(_("may run until"), null=True, blank=True)
    forwards = models.JSONField(default=list, editable=False)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ending = models.CharField(_("why it ended"), max_length=10, choices=Ending, blank=True)
    ended_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    exit_status = models.IntegerField(_("exit status"), null=True, blank=True)
    sent = models.BigIntegerField(_("bytes sent"), default=0)
    received = models.BigIntegerField(_("bytes received"), default=0)
    last_fact = models.PositiveIntegerField(_("facts received"), default=0)

    objects: ClassVar = ScopedManager.from_queryset(BastionSessionQuerySet)()

    class Meta:
        ordering = ("-allowed_at", "-pk")
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        indexes = (
            models.Index(fields=("customer", "-allowed_at"), name="bastion_session_by_time"),
            models.Index(fields=("asset", "-allowed_at"), name="bastion_session_by_asset"),
            models.Index(fields=("person", "-allowed_at"), name="bastion_session_by_person"),
            models.Index(fields=("leased_until",), condition=~Q(state="ended"), name="bastion_session_online"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(state="ended", ended_at__isnull=False) & ~Q(ending="")
                | ~Q(state="ended") & Q(ended_at=None, ending=""),
                name="ended_bastion_session_says_why",
            ),
        )

    def __str__(self) -> str:
        return f"{self.account}@{self.asset} {timezone.localtime(self.allowed_at):%F %T}"

    @property
    def work(self) -> str:
        """What it was for."""
        if self.incident is not None:
            return self.incident.number
        return self.change.number if self.change is not None else self.reason

    def is_known_to_run(self, now: datetime) -> bool:
        return self.state == self.State.OPEN and self.leased_until is not None and self.leased_until > now


class SessionRow(TenantModel):
    """Something that happened in a session; the node numbers it, so that nothing arrives twice."""

    session = models.ForeignKey(BastionSession, on_delete=models.PROTECT, related_name="%(class)ss")
    number = models.PositiveIntegerField(_("number"))
    at = models.DateTimeField(_("at"))

    class Meta:
        abstract = True
        ordering = ("session", "number")


class SessionFact(SessionRow):
    """What is neither a command nor a file: forwards, host keys, refusals."""

    APPEND_ONLY: ClassVar[bool] = True

    kind = models.CharField(_("kind"), max_length=20)
    data = models.JSONField(_("data"), default=dict)

    class Meta(SessionRow.Meta):
        verbose_name = _("event of a session")
        verbose_name_plural = _("events of sessions")
        constraints = (models.UniqueConstraint(fields=("session", "number"), name="session_fact_once"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%F %T}"


class SessionCommand(SessionRow):
    """A command that was entered, in full, with the moment of the recording at which it was."""

    APPEND_ONLY: ClassVar[bool] = True

    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    text = models.TextField(_("command"))
    trigrams = ArrayField(models.CharField(max_length=3), default=list, editable=False)
    at_s = models.FloatField(_("seconds into the recording"))
    verdict = models.CharField(_("verdict"), max_length=8)
    rule = models.IntegerField(_("rule"), null=True, blank=True)
    exit_status = models.IntegerField(_("exit status"), null=True, blank=True)

    class Meta(SessionRow.Meta):
        verbose_name = _("command")
        verbose_name_plural = _("commands")
        constraints = (models.UniqueConstraint(fields=("session", "number"), name="session_command_once"),)
        indexes = (
            GinIndex(fields=("trigrams",), name="session_command_by_text"),
            models.Index(fields=("customer", "-at"), name="session_command_by_time"),
            models.Index(fields=("-at",), name="session_command_latest"),
        )

    def __str__(self) -> str:
        return self.text[:80]


class FileTransfer(SessionRow):
    """A file that went up or down; also one that was removed or renamed, so that a search for a path finds its end."""

    APPEND_ONLY: ClassVar[bool] = True

    path = models.TextField(_("path"))
    trigrams = ArrayField(models.CharField(max_length=3), default=list, editable=False)
    direction = models.CharField(_("direction"), max_length=10)
    tool = models.CharField(_("tool"), max_length=8)
    size = models.BigIntegerField(_("bytes"))
    size_back = models.BigIntegerField(
        _("bytes the other way"), null=True, blank=True, help_text=_("Of rsync, whose bytes are those on the wire.")
    )
    exit_status = models.IntegerField(_("exit status"), null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    result = models.CharField(_("result"), max_length=8)
    kept_as = models.CharField(_("kept copy"), max_length=100, blank=True)

    class Meta(SessionRow.Meta):
        verbose_name = _("file transfer")
        verbose_name_plural = _("file transfers")
        constraints = (models.UniqueConstraint(fields=("session", "number"), name="session_transfer_once"),)
        indexes = (
            GinIndex(fields=("trigrams",), name="session_transfer_by_path"),
            models.Index(fields=("customer", "-at"), name="session_transfer_by_time"),
            models.Index(fields=("-at",), name="session_transfer_latest"),
            models.Index(fields=("sha256",), condition=~Q(sha256=""), name="session_transfer_by_sha256"),
        )

    def __str__(self) -> str:
        return f"{self.direction} {self.path[:80]}"
