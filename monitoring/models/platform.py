"""How the platform itself does: figures of the last days, and what is late or failing. Not any customer's affair."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class PlatformFigure(models.Model):
    """One figure of the platform at one moment, once a minute."""

    at = models.DateTimeField()
    name = models.CharField(max_length=80)
    value = models.FloatField()

    objects: ClassVar = models.Manager()

    class Meta:
        verbose_name = _("figure of the platform")
        verbose_name_plural = _("figures of the platform")
        constraints = (models.UniqueConstraint(fields=("name", "at"), name="platform_figure_once"),)

    def __str__(self) -> str:
        return f"{self.name} {self.at}"


class PlatformTrouble(models.Model):
    """A part of the platform that is late or failing, from when until when."""

    class Level(models.TextChoices):
        LATE = "late", _("Late")
        FAILING = "failing", _("Failing")

    part = models.CharField(max_length=80)
    level = models.CharField(max_length=10, choices=Level)
    detail = models.CharField(max_length=300, blank=True)
    since = models.DateTimeField()
    told_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    over_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = models.Manager()

    class Meta:
        ordering = ("-since",)
        verbose_name = _("trouble of the platform")
        verbose_name_plural = _("troubles of the platform")
        constraints = (
            models.UniqueConstraint(fields=("part",), condition=Q(over_at=None), name="platform_trouble_open_once"),
        )

    def __str__(self) -> str:
        return f"{self.part} {self.level}"
