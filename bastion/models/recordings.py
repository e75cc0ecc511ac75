"""What is kept of sessions: the pieces of their recordings, the keys that sign them, how long they stay."""

import hashlib
from typing import ClassVar, Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import SharedModel, TenantModel
from bastion.models.sessions import BastionSession

SHORTEST_DAYS: Final = 184
"""Six months: what the Cybersecurity Law asks of logs (Article 21, 3)."""
LONGEST_DAYS: Final = 3650
USUAL_DAYS: Final = 365
LARGEST_COPY_MB: Final = 512


class PortalKey(SharedModel):
    """A key with which the portal signs what has arrived (ed25519); its private half lies in the vault.

    Everybody may know the public half: with it recordings are checked elsewhere, without the portal.
    """

    public_key = models.CharField(_("public key"), max_length=64, unique=True)
    made_at = models.DateTimeField(_("made at"))
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)

    class Meta:
        ordering = ("-made_at", "-pk")
        verbose_name = _("key of the portal")
        verbose_name_plural = _("keys of the portal")
        constraints = (
            models.UniqueConstraint(
                fields=("customer",), condition=Q(retired_at=None), nulls_distinct=False, name="one_portal_key_signs"
            ),
        )

    def __str__(self) -> str:
        return self.fingerprint

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.public_key.encode()).hexdigest()[:16]


class RecordingPiece(TenantModel):
    """A closed piece of a recording: its line of the chain, the node's signature, and the portal's upon arrival."""

    APPEND_ONLY: ClassVar[bool] = True

    session = models.ForeignKey(BastionSession, on_delete=models.PROTECT, related_name="pieces")
    number = models.PositiveIntegerField(_("number"))
    file = models.CharField(_("file"), max_length=200)
    link = models.JSONField(_("line of the chain"), default=dict)
    signature = models.CharField(_("signature of the node"), max_length=128)
    node_key = models.CharField(_("public key of the node"), max_length=64, blank=True)
    countersignature = models.CharField(_("signature of the portal"), max_length=128)
    portal_key = models.ForeignKey(PortalKey, on_delete=models.PROTECT, related_name="+", null=True)
    first_s = models.FloatField(_("begins at"))
    last_s = models.FloatField(_("ends at"))
    offset = models.BigIntegerField(_("begins at byte"), default=0)
    plain_bytes = models.BigIntegerField(_("bytes of text"), default=0)
    has_keyframe = models.BooleanField(_("begins with the whole screen"), default=False)
    size = models.BigIntegerField(_("bytes"))
    arrived_at = models.DateTimeField(_("arrived at"))

    class Meta:
        ordering = ("session", "number")
        verbose_name = _("piece of a recording")
        verbose_name_plural = _("pieces of recordings")
        constraints = (models.UniqueConstraint(fields=("session", "number"), name="recording_piece_once"),)

    def __str__(self) -> str:
        return f"{self.session} {self.number}"

    @property
    def bound_to(self) -> str:
        """The place in which alone its bytes open."""
        return f"recording|{self.session.uid}|{self.number}"


class FileCopyPart(TenantModel):
    """A part of the copy of a file that passed: `FileTransfer.kept_as` is the number of the copy."""

    APPEND_ONLY: ClassVar[bool] = True

    session = models.ForeignKey(BastionSession, on_delete=models.PROTECT, related_name="copies")
    copy = models.PositiveIntegerField(_("copy"))
    number = models.PositiveIntegerField(_("number"))
    file = models.CharField(_("file"), max_length=200)
    size = models.PositiveIntegerField(_("bytes"))
    arrived_at = models.DateTimeField(_("arrived at"))

    class Meta:
        ordering = ("session", "copy", "number")
        verbose_name = _("part of a copied file")
        verbose_name_plural = _("parts of copied files")
        constraints = (models.UniqueConstraint(fields=("session", "copy", "number"), name="file_copy_part_once"),)

    def __str__(self) -> str:
        return f"{self.session} {self.copy}.{self.number}"

    @property
    def bound_to(self) -> str:
        return f"copy|{self.session.uid}|{self.copy}|{self.number}"


class RecordingPolicy(TenantModel):
    """How long a customer's recordings stay, and whether people are told that somebody looks on."""

    keep_days = models.PositiveSmallIntegerField(
        _("days that recordings are kept"),
        default=USUAL_DAYS,
        validators=[MinValueValidator(SHORTEST_DAYS), MaxValueValidator(LONGEST_DAYS)],
    )
    tells_watched = models.BooleanField(
        _("tell people that somebody looks on"),
        default=True,
        help_text=_("A line on their screen names whoever begins to watch."),
    )
    copies_mb = models.PositiveSmallIntegerField(
        _("copies of files up to"),
        default=0,
        validators=[MaxValueValidator(LARGEST_COPY_MB)],
        help_text=_("Megabytes. 0: no copies are kept."),
    )
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(_("changed at"))

    class Meta:
        verbose_name = _("rule for recordings")
        verbose_name_plural = _("rules for recordings")
        constraints = (
            models.UniqueConstraint(fields=("customer",), name="recording_policy_once"),
            models.CheckConstraint(condition=Q(keep_days__gte=SHORTEST_DAYS), name="recordings_stay_six_months"),
        )

    def __str__(self) -> str:
        return f"{self.customer} {self.keep_days}"


class RecordingHold(TenantModel):
    """Somebody has asked that this recording stay, whatever its age (legal hold)."""

    session = models.ForeignKey(BastionSession, on_delete=models.PROTECT, related_name="holds")
    reason = models.CharField(_("reason"), max_length=300)
    placed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    placed_at = models.DateTimeField(_("placed at"))
    lifted_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    lifted_at = models.DateTimeField(_("lifted at"), null=True, blank=True)

    class Meta:
        ordering = ("-placed_at", "-pk")
        verbose_name = _("legal hold")
        verbose_name_plural = _("legal holds")
        constraints = (
            models.UniqueConstraint(fields=("session",), condition=Q(lifted_at=None), name="held_once"),
            models.CheckConstraint(
                condition=Q(lifted_at=None, lifted_by=None) | Q(lifted_at__isnull=False, lifted_by__isnull=False),
                name="lifted_hold_says_by_whom",
            ),
        )

    def __str__(self) -> str:
        return self.reason[:80]


class RecordingPurge(TenantModel):
    """The bytes of a recording are gone; its chain stays, so that what went can still be named."""

    APPEND_ONLY: ClassVar[bool] = True

    session = models.OneToOneField(BastionSession, on_delete=models.PROTECT, related_name="purge")
    keep_days = models.PositiveSmallIntegerField(_("days that it was kept"))
    pieces = models.PositiveIntegerField(_("pieces"))
    size = models.BigIntegerField(_("bytes"))
    purged_at = models.DateTimeField(_("purged at"))

    class Meta:
        verbose_name = _("purged recording")
        verbose_name_plural = _("purged recordings")

    def __str__(self) -> str:
        return f"{self.session} {self.purged_at:%F}"
