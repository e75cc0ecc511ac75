"""What the provider looks after: found in cloud accounts, or written down by people."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.models.cloud import CloudAccount

EXPIRY_WARNING = timedelta(days=30)


class Kind(models.TextChoices):
    """What an asset is: first what Alibaba Cloud lists, then what people write down (R17–R19)."""

    ECS = "ecs", _("ECS")
    RDS = "rds", _("RDS")
    SLB = "slb", _("SLB")
    REDIS = "redis", _("Cloud Redis")
    MEMCACHE = "memcache", _("Cloud Memcache")
    MONGODB = "mongodb", _("Cloud MongoDB")
    OSS = "oss", _("OSS bucket")
    CDN = "cdn", _("CDN domain")
    DRDS = "drds", _("DRDS / PolarDB-X")
    ELASTICSEARCH = "elasticsearch", _("Cloud Elasticsearch")
    SERVER = "server", _("Server")
    DATABASE = "database", _("Self-built database")
    MIDDLEWARE = "middleware", _("Middleware")
    URL = "url", _("URL")
    PORT = "port", _("Port")
    LOAD_BALANCER = "load_balancer", _("Load balancer")


CLOUD_KINDS = (
    Kind.ECS, Kind.RDS, Kind.SLB, Kind.REDIS, Kind.MEMCACHE, Kind.MONGODB, Kind.OSS, Kind.CDN, Kind.DRDS,
    Kind.ELASTICSEARCH,
)  # fmt: skip
MANUAL_KINDS = (Kind.SERVER, Kind.DATABASE, Kind.MIDDLEWARE, Kind.URL, Kind.PORT, Kind.LOAD_BALANCER)


class Environment(models.TextChoices):
    PRODUCTION = "production", _("Production")
    TEST = "test", _("Test")
    DEVELOPMENT = "development", _("Development")
    UNKNOWN = "unknown", _("Not known")


class AssetQuerySet(TenantQuerySet["Asset"]):
    def active(self) -> Self:
        return self.filter(retired_at=None)

    def retired(self) -> Self:
        return self.exclude(retired_at=None)

    def cloud(self) -> Self:
        return self.exclude(cloud_account=None)

    def manual(self) -> Self:
        return self.filter(cloud_account=None)

    def incomplete(self) -> Self:
        """Something that the customer should have told us is missing (R16)."""
        return self.filter(
            Q(owner_name="") | Q(owner_contact="") | Q(role_text="") | Q(environment=Environment.UNKNOWN)
        )

    def expiring(self, now: datetime, within: timedelta = EXPIRY_WARNING) -> Self:
        return self.active().filter(expires_at__lte=now + within)


class Asset(TenantModel):
    """A thing that the provider looks after: a cloud resource, or what somebody wrote down."""

    class Os(models.TextChoices):
        NONE = "", "—"
        LINUX = "linux", "Linux"
        WINDOWS = "windows", "Windows"

    class Status(models.TextChoices):
        """What the provider of the resource says of it; manual assets stay unknown, monitoring knows better."""

        RUNNING = "running", _("Running")
        PENDING = "pending", _("Changing")
        STOPPED = "stopped", _("Stopped")
        LOCKED = "locked", _("Locked")
        UNKNOWN = "unknown", _("Not known")

    cloud_account = models.ForeignKey(
        CloudAccount,
        on_delete=models.PROTECT,
        related_name="assets",
        null=True,
        blank=True,
        verbose_name=_("cloud account"),
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    provider_id = models.CharField(_("instance ID"), max_length=128, blank=True)
    name = models.CharField(_("name"), max_length=200)
    region = models.CharField(_("region"), max_length=40, blank=True)
    zone = models.CharField(_("zone"), max_length=60, blank=True)
    spec = models.CharField(_("specification"), max_length=120, blank=True)
    private_ip = models.GenericIPAddressField(_("private address"), null=True, blank=True)
    public_ip = models.GenericIPAddressField(_("public address"), null=True, blank=True)
    host = models.CharField(_("host"), max_length=253, blank=True)
    port = models.PositiveIntegerField(_("port"), null=True, blank=True)
    url = models.CharField(_("URL"), max_length=500, blank=True)
    os = models.CharField(_("operating system"), max_length=10, choices=Os, blank=True, default="")
    engine = models.CharField(_("engine and version"), max_length=80, blank=True)
    product = models.CharField(_("product"), max_length=40, blank=True, help_text=_("nginx, tomcat, mysql …"))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.UNKNOWN)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    tags = models.JSONField(_("tags"), default=dict, blank=True)
    details = models.JSONField(_("details"), default=dict, blank=True)
    environment = models.CharField(_("environment"), max_length=12, choices=Environment, default=Environment.UNKNOWN)
    owner_name = models.CharField(_("owner"), max_length=80, blank=True)
    owner_contact = models.CharField(_("owner's phone or e-mail"), max_length=120, blank=True)
    role_text = models.CharField(
        _("business role"), max_length=200, blank=True, help_text=_("What it does for the business.")
    )
    notes = models.TextField(_("notes"), blank=True)
    hardware_by_customer = models.BooleanField(
        _("hardware by customer"),
        default=False,
        help_text=_(
            "In the customer's own server room: racking, power and replacement parts are the customer's (SOW 假设 5)."
        ),
    )
    hardened_at = models.DateTimeField(_("hardened at"), null=True, blank=True)
    monitored_at = models.DateTimeField(_("monitoring deployed at"), null=True, blank=True)
    managed_at = models.DateTimeField(
        _("managed since"), null=True, blank=True, help_text=_("Once it is both hardened and monitored (R20).")
    )
    simulated = models.BooleanField(_("simulated"), default=False)
    created_at = models.DateTimeField(_("created at"))
    changed_at = models.DateTimeField(_("changed at"))
    seen_at = models.DateTimeField(_("last seen at"), null=True, blank=True)
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)

    OWNER_FIELDS: ClassVar[tuple[str, ...]] = ("owner_name", "owner_contact", "role_text", "environment", "notes")

    objects: ClassVar = ScopedManager.from_queryset(AssetQuerySet)()

    class Meta:
        ordering = ("kind", "name", "pk")
        verbose_name = _("asset")
        verbose_name_plural = _("assets")
        indexes = (
            models.Index(fields=("customer", "kind"), name="asset_customer_kind"),
            models.Index(fields=("expires_at",), condition=Q(retired_at=None), name="asset_expiry"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "cloud_account", "kind", "provider_id"),
                condition=Q(cloud_account__isnull=False),
                name="cloud_asset_once",
            ),
            models.UniqueConstraint(
                fields=("customer", "kind", "name"),
                condition=Q(cloud_account=None, retired_at=None),
                name="manual_asset_named_once",
                violation_error_message=_("There is an asset of this kind with this name already."),
            ),
            models.CheckConstraint(
                condition=Q(cloud_account=None) | ~Q(provider_id=""), name="cloud_asset_has_its_provider_id"
            ),
            models.CheckConstraint(
                condition=Q(port=None) | Q(port__gte=1, port__lte=65535), name="asset_port_is_a_port"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_manual(self) -> bool:
        return self.cloud_account_id is None

    @property
    def address(self) -> str:
        """Where it answers, in the form people recognise."""
        if self.url:
            return self.url
        host = self.host or self.public_ip or self.private_ip or ""
        return f"{host}:{self.port}" if host and self.port else host

    @property
    def missing_facts(self) -> list[str]:
        """Labels of what the completeness list still wants (R16)."""
        wanted = {
            _("owner"): self.owner_name,
            _("owner's phone or e-mail"): self.owner_contact,
            _("business role"): self.role_text,
            _("environment"): "" if self.environment == Environment.UNKNOWN else self.environment,
        }
        return [str(label) for label, value in wanted.items() if not value]

    def expires_soon(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now + EXPIRY_WARNING


class Subscription(TenantModel):
    """Something prepaid, as the billing of Alibaba Cloud lists it: every product, also what is no asset (R41)."""

    class Renewal(models.TextChoices):
        AUTO = "auto", _("Renewed automatically")
        MANUAL = "manual", _("Renewed by hand")
        NONE = "none", _("Not to be renewed")
        UNKNOWN = "unknown", _("Not known")

    cloud_account = models.ForeignKey(CloudAccount, on_delete=models.PROTECT, related_name="subscriptions")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+", null=True)
    product = models.CharField(_("product"), max_length=60)
    instance_id = models.CharField(_("instance ID"), max_length=128)
    region = models.CharField(_("region"), max_length=40, blank=True)
    ends_at = models.DateTimeField(_("expires at"))
    renewal = models.CharField(_("renewal"), max_length=10, choices=Renewal, default=Renewal.UNKNOWN)
    status = models.CharField(_("status"), max_length=30, blank=True)
    seen_at = models.DateTimeField(_("last seen at"))
    gone_at = models.DateTimeField(_("gone since"), null=True)

    class Meta:
        ordering = ("ends_at", "pk")
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = (
            models.UniqueConstraint(fields=("cloud_account", "instance_id"), name="subscription_once_per_account"),
        )
        indexes = (models.Index(fields=("ends_at",), condition=Q(gone_at=None), name="subscription_expiry"),)

    def __str__(self) -> str:
        return f"{self.product} {self.instance_id}"
