"""The monitoring template of the SOW (监控模板): what a customer wants watched, and what is left to do for it."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet


class MonitoringTemplateQuerySet(TenantQuerySet["MonitoringTemplate"]):
    def newest_first(self) -> Self:
        return self.order_by("-version")


class MonitoringTemplate(TenantModel):
    """One version of the form. It is never changed: filling it in again makes the next version."""

    class State(models.TextChoices):
        SUBMITTED = "submitted", _("Waiting for the engineer")
        CONFIRMED = "confirmed", _("Set up")
        REPLACED = "replaced", _("Replaced by a newer one")

    version = models.PositiveIntegerField(_("version"))
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.SUBMITTED)
    wanted = models.BooleanField(_("monitoring is wanted"), default=True)
    basics = models.JSONField(_("basic monitoring"), default=list, blank=True)
    other_basics = models.CharField(_("other basic monitoring"), max_length=500, blank=True)
    web = models.JSONField(_("web"), default=list, blank=True)
    databases = models.JSONField(_("databases"), default=list, blank=True)
    other_products = models.CharField(_("other applications"), max_length=500, blank=True)
    ports = models.JSONField(_("ports"), default=list, blank=True)
    other_ports = models.CharField(_("other ports"), max_length=300, blank=True)
    url_kinds = models.JSONField(_("URL checks"), default=list, blank=True)
    urls = models.TextField(_("URLs"), blank=True)
    notes = models.TextField(_("notes"), blank=True)
    submitted_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(_("filled in at"))
    confirmed_by = models.ForeignKey(
        "accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True, editable=False
    )
    confirmed_at = models.DateTimeField(_("set up at"), null=True, blank=True, editable=False)

    objects: ClassVar = ScopedManager.from_queryset(MonitoringTemplateQuerySet)()

    class Meta:
        ordering = ("-version",)
        verbose_name = _("monitoring template")
        verbose_name_plural = _("monitoring templates")
        constraints = (
            models.UniqueConstraint(fields=("customer", "version"), name="monitoring_template_version_once"),
            models.UniqueConstraint(
                fields=("customer",), condition=Q(state="submitted"), name="monitoring_template_waits_once"
            ),
        )

    def __str__(self) -> str:
        return f"v{self.version}"


class TemplateTask(TenantModel):
    """What the platform could not set up by itself: an address, an account, an agent that somebody must see to."""

    template = models.ForeignKey(MonitoringTemplate, on_delete=models.CASCADE, related_name="tasks")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    code = models.CharField(max_length=40)
    subject = models.CharField(_("what"), max_length=200)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    done_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        ordering = ("done_at", "pk")
        verbose_name = _("task of a template")
        verbose_name_plural = _("tasks of templates")

    def __str__(self) -> str:
        return f"{self.code}: {self.subject}"
