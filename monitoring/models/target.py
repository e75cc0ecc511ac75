"""Targets: what is collected from where, how often, and how that goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Final, Self

from django.conf import settings
from django.db import models
from django.db.models import ExpressionWrapper, F, Q, Value
from django.db.models.functions import Greatest
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.models import Asset
from monitoring.collectors.config import Config, Kind, config_of
from monitoring.collectors.config.cloud import NAMESPACES, PERFORMANCE
from monitoring.collectors.products import PRODUCTS, Product

LATE_AFTER_PERIODS = 3
UNHURRIED = frozenset({Kind.CMS, Kind.DOMAIN})
"""Collectors that ask somebody who counts the questions."""
ALWAYS_IN_TIME = timedelta(seconds=15)


class CollectorKind(models.TextChoices):
    """The collectors, with the words that people read."""

    PROMETHEUS = Kind.PROMETHEUS, _("Host agent or exporter")
    TCP = Kind.TCP, _("TCP port")
    HTTP = Kind.HTTP, _("URL")
    PING = Kind.PING, _("Ping")
    CMS = Kind.CMS, _("CloudMonitor")
    FLOW = Kind.FLOW, _("Steps (API, sign-in and query)")
    DNS = Kind.DNS, _("DNS record")
    TLS = Kind.TLS, _("TLS certificate")
    DOMAIN = Kind.DOMAIN, _("Domain expiry")
    PRODUCT = Kind.PRODUCT, _("Product status")
    STATE = Kind.STATE, _("Host state and scripts")


ICONS: Final[Mapping[str, str]] = {
    Kind.PROMETHEUS: "server-bolt",
    Kind.TCP: "plug-connected",
    Kind.HTTP: "world",
    Kind.PING: "radar-2",
    Kind.FLOW: "list-check",
    Kind.DNS: "address-book",
    Kind.TLS: "certificate",
    Kind.DOMAIN: "calendar-time",
    Kind.STATE: "list-search",
    Kind.CMS: "cloud",
}


class Health(models.TextChoices):
    """How collecting goes. It says nothing about the customer's system."""

    OK = "ok", _("Collecting")
    LATE = "late", _("Collecting late")
    FAILING = "failing", _("Collecting fails")
    WAITING = "waiting", _("Waiting for the first result")
    DISABLED = "disabled", _("Switched off")


class Through(models.TextChoices):
    """Who asks. From a node an address means what it means in the customer's network."""

    DIRECT = "direct", _("From the platform")
    NODE = "node", _("Through a node in the customer's network")


class TargetQuerySet(TenantQuerySet["Target"]):
    def enabled(self) -> Self:
        return self.filter(is_enabled=True)

    def claimable(self, now: datetime) -> Self:
        """Due, held by no living worker, and asked from here."""
        due = self.enabled().filter(through=Through.DIRECT, next_due_at__lte=now)
        return due.filter(Q(lease_until=None) | Q(lease_until__lte=now))

    def carried(self) -> Self:
        """Asked by a node of their customer's."""
        return self.enabled().filter(through=Through.NODE)

    def failing(self) -> Self:
        return self.enabled().exclude(problem_code="")

    def late(self, now: datetime) -> Self:
        """Without a result for longer than a few periods, and without a reason given."""
        several = timedelta(seconds=LATE_AFTER_PERIODS)
        patience = ExpressionWrapper(F("period_s") * Value(several), output_field=models.DurationField())
        silent_since = Greatest("last_ok_at", "changed_at")
        quiet = self.enabled().filter(problem_code="").annotate(silent_since=silent_since, patience=patience)
        return quiet.filter(silent_since__lt=Value(now - ALWAYS_IN_TIME) - F("patience"))

    def watching(self, asset: Asset) -> Self:
        """The targets that bring figures of an asset: its own, and its account's namespace for its kind."""
        namespace = NAMESPACES.get(asset.kind, "")
        spaces = (namespace, PERFORMANCE) if asset.kind == "rds" else (namespace,)
        of_account = Q(cloud_account=asset.cloud_account_id, config__namespace__in=spaces)
        return self.filter(Q(asset=asset) | of_account if asset.cloud_account_id and namespace else Q(asset=asset))

    def for_lists(self) -> Self:
        """With what a row shows, without the collector's memory."""
        return self.select_related("customer", "asset", "cloud_account").defer("state")


class Target(TenantModel):
    """One thing to collect from: an exporter's page, a port, a URL, an address, a CloudMonitor namespace."""

    TOKEN = "token"  # noqa: S105 - the name of the field in the vault

    asset = models.ForeignKey(
        "assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True, verbose_name=_("asset")
    )
    cloud_account = models.ForeignKey(
        "assets.CloudAccount",
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        verbose_name=_("cloud account"),
    )
    kind = models.CharField(_("collector"), max_length=12, choices=CollectorKind)
    name = models.CharField(_("name"), max_length=200)
    key = models.CharField(max_length=600, help_text=_("What makes it the same target when it is created again."))
    config = models.JSONField(_("configuration"), default=dict)
    period_s = models.PositiveIntegerField(_("every, seconds"), default=60)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    allow_internal = models.BooleanField(
        _("internal address allowed"),
        default=False,
        help_text=_("May be on the platform's own machine or network. Only an administrator can allow it."),
    )
    through = models.CharField(_("way there"), max_length=8, choices=Through, default=Through.DIRECT)
    token_set_at = models.DateTimeField(_("token set at"), null=True, blank=True)

    phase = models.FloatField(default=0.0, help_text=_("Where in its period the target is due, 0 to 1."))
    next_due_at = models.DateTimeField(_("next due at"))
    lease_until = models.DateTimeField(null=True, blank=True)
    state = models.JSONField(default=dict)
    last_run_at = models.DateTimeField(_("last run at"), null=True, blank=True)
    last_ok_at = models.DateTimeField(_("last result at"), null=True, blank=True)
    last_duration_ms = models.FloatField(_("took, ms"), null=True, blank=True)
    last_samples = models.PositiveIntegerField(_("figures in the last run"), default=0)
    problem_code = models.CharField(_("problem"), max_length=40, blank=True)
    problem_detail = models.CharField(_("what the collector said"), max_length=400, blank=True)
    problem_since = models.DateTimeField(_("problem since"), null=True, blank=True)
    failures = models.PositiveIntegerField(_("failed in a row"), default=0)
    created_at = models.DateTimeField(_("created at"))
    changed_at = models.DateTimeField(_("changed at"))

    objects: ClassVar = ScopedManager.from_queryset(TargetQuerySet)()

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("target")
        verbose_name_plural = _("targets")
        indexes = (
            models.Index(fields=("next_due_at",), condition=Q(is_enabled=True), name="target_due"),
            models.Index(fields=("customer", "asset"), name="target_of_asset"),
            models.Index(fields=("lease_until",), condition=Q(lease_until__isnull=False), name="target_held"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "key"),
                name="target_once",
                violation_error_message=_("This is collected already: the same target exists."),
            ),
            models.CheckConstraint(condition=Q(period_s__gte=1), name="target_period_positive"),
            models.CheckConstraint(
                condition=Q(through="direct") | ~Q(kind__in=("cms", "domain")), name="target_that_a_node_can_ask"
            ),
            models.CheckConstraint(
                condition=Q(kind="cms", asset=None, cloud_account__isnull=False)
                | (~Q(kind="cms") & Q(asset__isnull=False, cloud_account=None)),
                name="target_of_an_asset_or_of_an_account",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def parsed_config(self) -> Config:
        """The configuration, typed. Raises ConfigError."""
        return config_of(self.kind, self.config)

    @property
    def where(self) -> str:
        """What is asked, short enough for a list."""
        config = self.config
        if self.kind == Kind.PRODUCT:
            return f"{config.get('host', '')}:{config.get('port', '')}{config.get('path', '')}"
        if self.kind == Kind.TCP:
            return f"{config.get('host', '')}:{config.get('port', '')}"
        if self.kind == Kind.FLOW:
            return str(next((step.get("url", "") for step in config.get("steps", ())), ""))
        if self.kind == Kind.TLS:
            return f"{config.get('host', '')}:{config.get('port', '')}"
        if self.kind == Kind.DNS:
            return f"{config.get('record', '')} {config.get('name', '')}"
        return str(config.get("domain") or config.get("url") or config.get("host") or config.get("namespace") or "")

    @property
    def product(self) -> Product | None:
        """The product that is read, for a target of that kind."""
        return PRODUCTS.get(str(self.config.get("product", ""))) if self.kind == Kind.PRODUCT else None

    @property
    def collector_name(self) -> str:
        """What collects, as people call it: the product, else the kind of collector."""
        product = self.product
        return product.name(get_language() or "zh-hans") if product else str(self.get_kind_display())

    @property
    def icon(self) -> str:
        """Tabler's name of what it is."""
        product = self.product
        return product.icon if product else ICONS.get(self.kind, "activity")

    @property
    def facts(self) -> Mapping[str, str]:
        """What the server said of itself at the last look: its version, its role."""
        return self.state.get("facts", {}) if isinstance(self.state, dict) else {}

    @property
    def interval(self) -> timedelta:
        """Time between two runs; the setting RDMP_CHECK_PERIOD_S shortens it for trials."""
        return timedelta(seconds=effective_period(self.kind, self.period_s))

    def health(self, now: datetime) -> Health:
        if not self.is_enabled:
            return Health.DISABLED
        if self.problem_code:
            return Health.FAILING
        silent = now - max(self.last_ok_at or self.changed_at, self.changed_at)
        if silent > self.interval * LATE_AFTER_PERIODS + ALWAYS_IN_TIME:
            return Health.LATE
        return Health.WAITING if self.last_ok_at is None else Health.OK


def effective_period(kind: str, period_s: float) -> float:
    """Seconds between two runs of a target that wants one every ``period_s``. CloudMonitor has a point a minute
    and counts the calls: asking it more often brings nothing, whatever the setting says."""
    cap = float(settings.CHECK_PERIOD_S)
    return min(float(period_s), cap) if cap and kind not in UNHURRIED else float(period_s)
