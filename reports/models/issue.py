"""What was signed: the content as it stood, the document made of it, and to whom it went. None of it changes again."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import scope
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from reports.models.accident import AccidentReport


class IssueManager(ScopedManager["AccidentIssue"]):
    """Issues in scope; for a customer's people only those that have been sent."""

    def get_queryset(self) -> models.QuerySet["AccidentIssue"]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.filter(file__sent_at__isnull=False)


class AccidentIssue(TenantModel):
    """One signed version. The signature is the name, the time, the address, and the SHA-256 of the content."""

    APPEND_ONLY: ClassVar[bool] = True

    report = models.ForeignKey(AccidentReport, on_delete=models.PROTECT, related_name="issues")
    number = models.PositiveIntegerField(_("issue"))
    content = models.JSONField(_("content"))
    sha256 = models.CharField(_("SHA-256 of the content"), max_length=64)
    reason = models.TextField(_("why it was issued again"), blank=True)
    signed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    signed_name = models.CharField(_("signed by"), max_length=120)
    signed_at = models.DateTimeField(_("signed at"))
    signed_from = models.GenericIPAddressField(_("signed from"), null=True, blank=True)

    objects: ClassVar = IssueManager.from_queryset(TenantQuerySet)()

    class Meta:
        ordering = ("-number",)
        verbose_name = _("issue of an accident report")
        verbose_name_plural = _("issues of accident reports")
        constraints = (models.UniqueConstraint(fields=("report", "number"), name="accident_issue_once"),)

    def __str__(self) -> str:
        return f"{self.report} v{self.number}"


class AccidentFileQuerySet(TenantQuerySet["AccidentFile"]):
    def waiting(self, now: datetime) -> Self:
        """To be made, and in nobody's hands: a worker that died left its lease behind."""
        lost = Q(state=AccidentFile.State.RENDERING, leased_until__lt=now)
        return self.filter(Q(state=AccidentFile.State.WAITING) | lost)


class FileManager(ScopedManager["AccidentFile"]):
    def get_queryset(self) -> models.QuerySet["AccidentFile"]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.exclude(sent_at=None)


class AccidentFile(TenantModel):
    """The PDF of an issue: waiting, being made, or there with its own hash; from then on its bytes stay the same."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting to be made")
        RENDERING = "rendering", _("Being made")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Could not be made")

    issue = models.OneToOneField(AccidentIssue, on_delete=models.PROTECT, related_name="file")
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.WAITING)
    progress = models.PositiveSmallIntegerField(_("progress, percent"), default=0)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    error = models.CharField(_("error"), max_length=400, blank=True)
    stored_name = models.CharField(max_length=120, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0)
    made_at = models.DateTimeField(_("made at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("first sent at"), null=True, blank=True)

    objects: ClassVar = FileManager.from_queryset(AccidentFileQuerySet)()

    class Meta:
        ordering = ("pk",)
        verbose_name = _("document of a report")
        verbose_name_plural = _("documents of reports")
        indexes = (
            models.Index(fields=("id",), condition=Q(state__in=("waiting", "rendering")), name="accident_file_to_make"),
        )

    def __str__(self) -> str:
        return self.stored_name

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY

    @property
    def is_open(self) -> bool:
        return self.state in (self.State.WAITING, self.State.RENDERING)


class AccidentRecipient(TenantModel):
    """One person to whom an issue went, until when the link of the mail opens it, and when they took receipt."""

    class Way(models.TextChoices):
        LINK = "link", _("by the link of the mail")
        PORTAL = "portal", _("in the portal")

    issue = models.ForeignKey(AccidentIssue, on_delete=models.PROTECT, related_name="recipients")
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    email = models.EmailField(_("e-mail"))
    sent_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    sent_at = models.DateTimeField(_("sent at"))
    times = models.PositiveSmallIntegerField(_("times sent"), default=1)
    link_ends_at = models.DateTimeField(_("link works until"))
    received_at = models.DateTimeField(_("received at"), null=True, blank=True)
    received_by = models.CharField(_("received"), max_length=10, choices=Way, blank=True)
    received_from = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        ordering = ("sent_at", "pk")
        verbose_name = _("recipient of a report")
        verbose_name_plural = _("recipients of reports")
        constraints = (models.UniqueConstraint(fields=("issue", "user"), name="accident_recipient_once"),)

    def __str__(self) -> str:
        return self.email
