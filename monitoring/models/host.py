"""The last reading of a host's state, for comparing the next one with and for showing."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet


class HostReadingQuerySet(TenantQuerySet["HostReading"]):
    """Read by asset only."""


class HostReading(TenantModel):
    """One row per asset that tells its state. What changed between readings are events (R36)."""

    asset = models.OneToOneField("assets.Asset", on_delete=models.PROTECT, related_name="+", verbose_name=_("asset"))
    facts = models.JSONField(_("facts"), default=dict)
    texts = models.BinaryField(_("texts of files, by digest"), default=bytes)
    version = models.PositiveBigIntegerField(_("how many readings differed"), default=0)
    read_at = models.DateTimeField(_("read at"))
    changed_at = models.DateTimeField(_("last change at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(HostReadingQuerySet)()

    class Meta:
        verbose_name = _("host reading")
        verbose_name_plural = _("host readings")

    def __str__(self) -> str:
        return f"{self.asset_id} ({self.version})"

    def kept_texts(self) -> dict[str, str]:
        """The masked texts of the files of this reading, by digest."""
        found: dict[str, str] = json.loads(zlib.decompress(bytes(self.texts))) if self.texts else {}
        return found

    def keep_texts(self, texts: Mapping[str, str]) -> None:
        self.texts = zlib.compress(json.dumps(dict(texts), ensure_ascii=False).encode()) if texts else b""
