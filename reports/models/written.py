"""What every report is while it is written and after it was issued: the fields that all kinds share."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import scope
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from reports.states import State

M = TypeVar("M", bound=models.Model)


class ReportState(models.TextChoices):
    """`states.State` with the words that people read."""

    DRAFT = State.DRAFT, _("Draft")
    REVIEW = State.REVIEW, _("In review")
    SIGNED = State.SIGNED, _("Signed")
    SENT = State.SENT, _("Sent")
    WITHDRAWN = State.WITHDRAWN, _("Not needed")


class SentToReadersManager(ScopedManager[M]):
    """Reports in scope; a customer's people find one when it has been sent to them for the first time."""

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.exclude(sent_at=None)


class ProviderOnlyManager(ScopedManager[M]):
    """Nothing where the scope does not reach what the provider keeps to itself."""

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.none()


class SentIssueManager(ScopedManager[M]):
    """Issues in scope; for a customer's people only those that have been sent."""

    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.filter(file__sent_at__isnull=False)


OWED = Q(sent_at=None) & ~Q(state=State.WITHDRAWN)
"""Reports that are not sent yet, and not withdrawn."""


HAS_NOTHING = Q(failed_at__isnull=False, read_at=None, received_at=None)
"""Recipients whose mail was lost, and who have not read it elsewhere either."""


def overdue(now: datetime) -> Q:
    return OWED & Q(due_at__lt=now)


class WrittenReport(TenantModel):
    """A report that people write in parts, review, sign and send; what is issued of it stands in its issues."""

    FAMILY: ClassVar[str]
    """What addresses call this family."""
    NOUN: ClassVar[str]
    """What the audit's actions and the keys of timers and messages begin with."""

    state = models.CharField(_("state"), max_length=20, choices=ReportState, default=State.DRAFT)
    language = models.CharField(_("language"), max_length=10)
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    opened_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    opened_at = models.DateTimeField(_("opened at"))
    due_at = models.DateTimeField(_("due at"))
    missed_at = models.DateTimeField(_("missed at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("first sent at"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True, help_text=_("Why it was returned or withdrawn."))
    reissue_reason = models.TextField(_("why it was issued again"), blank=True)
    changed_at = models.DateTimeField(_("changed at"))

    if TYPE_CHECKING:
        parts: Any
        issues: Any

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        raise NotImplementedError

    @property
    def title(self) -> str:
        """What it is about, as lists and mails name it."""
        raise NotImplementedError

    @property
    def about(self) -> str:
        """The same with the number of what it is about."""
        return self.title

    @property
    def key(self) -> str:
        """What its timers' names begin with."""
        return f"{self.NOUN}-report:{self.pk}:"

    @property
    def stage(self) -> State:
        return State(self.state)

    @property
    def is_owed(self) -> bool:
        return self.sent_at is None and self.stage is not State.WITHDRAWN

    def is_late(self, now: datetime) -> bool:
        """Sent too late, or not sent although it is due."""
        if self.stage is State.WITHDRAWN:
            return False
        return (self.sent_at or now) > self.due_at


class WrittenPart(TenantModel):
    """A part as it is being written. `facts` is what the platform said when it was last asked."""

    text = models.TextField(_("text"), blank=True)
    facts = models.TextField(blank=True)
    has_news = models.BooleanField(
        default=False, help_text=_("The facts changed after somebody had edited the text: both are shown.")
    )
    revision = models.PositiveIntegerField(default=0)
    edited_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    edited_at = models.DateTimeField(_("edited at"), null=True, blank=True)

    objects: ClassVar = ProviderOnlyManager()

    if TYPE_CHECKING:
        name: Any
        report: Any
        comments: Any

    class Meta:
        abstract = True

    @property
    def is_edited(self) -> bool:
        """Somebody changed what the facts had said."""
        return self.text != self.facts


class WrittenComment(TenantModel):
    """What a reviewer says about one part."""

    body = models.TextField(_("comment"))
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(_("made at"))
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)

    objects: ClassVar = ProviderOnlyManager()

    if TYPE_CHECKING:
        part: Any

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.body[:60]


class WrittenIssue(TenantModel):
    """One signed version. The signature is the name, the time, the address, and the SHA-256 of the content."""

    APPEND_ONLY: ClassVar[bool] = True

    number = models.PositiveIntegerField(_("issue"))
    content = models.JSONField(_("content"))
    sha256 = models.CharField(_("SHA-256 of the content"), max_length=64)
    reason = models.TextField(_("why it was issued again"), blank=True)
    signed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    signed_name = models.CharField(_("signed by"), max_length=120)
    signed_at = models.DateTimeField(_("signed at"))
    signed_from = models.GenericIPAddressField(_("signed from"), null=True, blank=True)

    if TYPE_CHECKING:
        report: Any
        file: Any

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.report} v{self.number}"


class MadeQuerySet(TenantQuerySet[M]):
    def waiting(self, now: datetime) -> Self:
        """To be made, and in nobody's hands: a worker that died left its lease behind."""
        lost = Q(state=MadeState.RENDERING, leased_until__lt=now)
        return self.filter(Q(state=MadeState.WAITING) | lost)


class SentFileManager(ScopedManager[M]):
    def get_queryset(self) -> models.QuerySet[M]:
        rows = super().get_queryset()
        return rows if scope.required().sees_internal else rows.exclude(sent_at=None)


class MadeState(models.TextChoices):
    """How far a worker is with something that takes a while."""

    WAITING = "waiting", _("Waiting to be made")
    RENDERING = "rendering", _("Being made")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Could not be made")


class Made(TenantModel):
    """Something that a worker makes under a lease."""

    state = models.CharField(_("state"), max_length=20, choices=MadeState, default=MadeState.WAITING)
    progress = models.PositiveSmallIntegerField(_("progress, percent"), default=0)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    error = models.CharField(_("error"), max_length=400, blank=True)
    made_at = models.DateTimeField(_("made at"), null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def is_ready(self) -> bool:
        return self.state == MadeState.READY

    @property
    def is_open(self) -> bool:
        return self.state in (MadeState.WAITING, MadeState.RENDERING)


class WrittenFile(Made):
    """The PDF of an issue: waiting, being made, or there with its own hash; from then on its bytes stay the same."""

    stored_name = models.CharField(max_length=120, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0)
    sent_at = models.DateTimeField(_("first sent at"), null=True, blank=True)

    if TYPE_CHECKING:
        issue: Any

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.stored_name


class WrittenRecipient(TenantModel):
    """One person to whom an issue went, until when the link of the mail opens it, and when they took receipt."""

    class Way(models.TextChoices):
        LINK = "link", _("by the link of the mail")
        PORTAL = "portal", _("in the portal")

    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    email = models.EmailField(_("e-mail"))
    sent_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    sent_at = models.DateTimeField(_("sent at"))
    times = models.PositiveSmallIntegerField(_("times sent"), default=1)
    link_ends_at = models.DateTimeField(_("link works until"))
    read_at = models.DateTimeField(_("first read at"), null=True, blank=True)
    received_at = models.DateTimeField(_("received at"), null=True, blank=True)
    received_by = models.CharField(_("received"), max_length=10, choices=Way, blank=True)
    received_from = models.GenericIPAddressField(null=True, blank=True)
    failed_at = models.DateTimeField(_("found lost at"), null=True, blank=True)
    failure = models.CharField(_("why the mail was lost"), max_length=340, blank=True)

    if TYPE_CHECKING:
        issue: Any

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.email
