"""What proves that a gate is passed: tests, backups, looks at the checklist, and files."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import TenantModel
from changes.models.change import Change


class TestRecord(TenantModel):
    """A test on an asset that is not production (R85)."""

    __test__: ClassVar[bool] = False  # no case for pytest
    APPEND_ONLY: ClassVar[bool] = True

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="tests")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", verbose_name=_("tested on"))
    has_passed = models.BooleanField(_("passed"))
    what = models.TextField(_("what was tested, and what came of it"))
    revision = models.PositiveIntegerField()
    at = models.DateTimeField(_("tested at"))
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("at", "pk")
        verbose_name = _("test")
        verbose_name_plural = _("tests")

    def __str__(self) -> str:
        return f"{self.change_id} {self.asset_id}"


class BackupRecord(TenantModel):
    """A backup of one asset, or of what a change of no asset changes, taken for this change (R87)."""

    APPEND_ONLY: ClassVar[bool] = True

    class Method(models.TextChoices):
        SNAPSHOT = "snapshot", _("Disk snapshot")
        DATABASE = "database", _("Database backup set")
        FILE = "file", _("Configuration file")

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="backups")
    asset = models.ForeignKey(
        "assets.Asset", on_delete=models.PROTECT, related_name="+", verbose_name=_("asset"), null=True, blank=True
    )
    method = models.CharField(_("how"), max_length=12, choices=Method)
    reference = models.CharField(_("snapshot ID, backup ID or file path"), max_length=500)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    taken_at = models.DateTimeField(_("taken at"))
    recorded_at = models.DateTimeField(_("recorded at"))
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("taken_at", "pk")
        verbose_name = _("backup")
        verbose_name_plural = _("backups")
        constraints = (
            models.CheckConstraint(condition=~Q(method="file") | ~Q(sha256=""), name="backed_up_file_has_its_sum"),
            models.CheckConstraint(condition=~Q(reference=""), name="backup_says_where_it_is"),
            models.CheckConstraint(
                condition=Q(asset__isnull=False) | Q(method="file"), name="backup_of_no_asset_is_a_file"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_method_display()} {self.reference}"


class CheckRecord(TenantModel):
    """A point of the checklist that somebody looked at, with what shows it. The newest of a point counts."""

    APPEND_ONLY: ClassVar[bool] = True

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="checks")
    code = models.CharField(max_length=40)
    at = models.DateTimeField()
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    words = models.CharField(_("remark"), max_length=500, blank=True)
    evidence: Any = models.JSONField(_("evidence"), default=dict, blank=True)

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.change_id} {self.code}"


class ChangeFile(TenantModel):
    """A document that belongs to a change; stored outside the web root, served as a download."""

    APPEND_ONLY: ClassVar[bool] = True

    class Purpose(models.TextChoices):
        SOP = "sop", _("Customer's procedure (SOP)")
        PLAN = "plan", _("Plan")
        EVIDENCE = "evidence", _("Evidence")
        OTHER = "other", _("Other")

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="files")
    purpose = models.CharField(_("what it is"), max_length=12, choices=Purpose)
    name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    stored_name = models.CharField(max_length=80)
    at = models.DateTimeField()
    by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("at", "pk")
        verbose_name = _("file")
        verbose_name_plural = _("files")

    def __str__(self) -> str:
        return self.name
