"""Control nodes (管控节点): the programs through which every connection goes."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import SharedManager, SharedModel, TenantModel, TenantQuerySet

SILENT_AFTER = timedelta(seconds=30)
"""Three missed heartbeats."""


class NodeQuerySet(TenantQuerySet["Node"]):
    def silent(self, since: datetime) -> Self:
        """Enrolled, and not heard of since then."""
        return self.filter(state=Node.State.ENROLLED, seen_at__lt=since)

    def heard(self, since: datetime) -> Self:
        """Enrolled, and heard of since then."""
        return self.filter(state=Node.State.ENROLLED, seen_at__gte=since)


class Node(SharedModel):
    """One node program. Without a customer it stands beside the portal and serves all of them, who may all read it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting for its enrolment")
        ENROLLED = "enrolled", _("Enrolled")
        REVOKED = "revoked", _("Revoked")

    name = models.CharField(_("name"), max_length=80)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    enrolment_digest = models.CharField(max_length=64, blank=True)
    enrolment_until = models.DateTimeField(_("enrolment until"), null=True, blank=True)
    is_own = models.BooleanField(
        _("the platform's own"), default=False, help_text=_("It stands beside the platform and enrols by itself.")
    )
    public_key = models.CharField(_("public key"), max_length=64, blank=True)
    version = models.CharField(_("version"), max_length=40, blank=True)
    ssh_host = models.CharField(_("address for SSH clients"), max_length=253, blank=True)
    ssh_port = models.PositiveIntegerField(_("port that it listens on"), default=2222)
    clients_port = models.PositiveIntegerField(
        _("port for SSH clients"), null=True, blank=True, help_text=_("Where a router forwards another one to it.")
    )
    host_keys = models.JSONField(_("host keys"), default=list, blank=True)
    is_draining = models.BooleanField(
        _("draining"), default=False, help_text=_("Running sessions go on, new ones are refused.")
    )
    drains_itself = models.BooleanField(default=False, help_text="It asked for it, before an upgrade, and may end it.")
    seen_at = models.DateTimeField(_("last contact"), null=True, blank=True)
    load = models.JSONField(
        _("load"),
        default=dict,
        blank=True,
        help_text="cpu and memory in percent, disk_free in bytes, sessions, spooled",
    )
    silence_told_at = models.DateTimeField(null=True, blank=True)
    silence_incident = models.ForeignKey(
        "incidents.Incident", on_delete=models.SET_NULL, related_name="+", null=True, blank=True
    )
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(_("created at"))
    enrolled_at = models.DateTimeField(_("enrolled at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    objects: ClassVar = SharedManager.from_queryset(NodeQuerySet)()

    class Meta:
        ordering = ("customer", "name")
        verbose_name = _("node")
        verbose_name_plural = _("nodes")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name"),
                condition=Q(revoked_at=None),
                nulls_distinct=False,
                name="node_named_once",
            ),
            models.UniqueConstraint(
                fields=("is_own",), condition=Q(is_own=True) & ~Q(state="revoked"), name="one_node_beside_the_platform"
            ),
            models.UniqueConstraint(fields=("public_key",), condition=~Q(public_key=""), name="node_key_once"),
            models.CheckConstraint(
                condition=~Q(state="enrolled") | (~Q(public_key="") & Q(enrolled_at__isnull=False)),
                name="enrolled_node_has_a_key",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def public_port(self) -> int:
        return self.clients_port or self.ssh_port

    @property
    def is_full(self) -> bool:
        """It takes no session: less is free on its disk than it wants."""
        return bool(self.load.get("disk_free", 0) < self.load.get("disk_least", 0))

    def is_silent(self, now: datetime) -> bool:
        return self.seen_at is None or now - self.seen_at > SILENT_AFTER


class NodeLoad(SharedModel):
    """A node's load at a moment, for the plot of its page: as it was told, `cpu` and `memory` in percent."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="loads")
    at = models.DateTimeField(_("at"))
    cpu = models.FloatField(default=0)
    memory = models.FloatField(default=0)
    disk_free = models.FloatField(default=0)
    sessions = models.FloatField(default=0)
    spooled = models.FloatField(default=0)

    class Meta:
        ordering = ("node", "at")
        verbose_name = _("load of a node")
        verbose_name_plural = _("load of nodes")
        constraints = (models.UniqueConstraint(fields=("node", "at"), name="node_load_once"),)

    def __str__(self) -> str:
        return f"{self.node} {self.at}"


class NodeErrand(TenantModel):
    """How far the answers of a customer's node to one kind of errand were taken: each once, in order."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="errands")
    kind = models.CharField(max_length=20)
    taken = models.BigIntegerField(_("number taken last"), default=0)
    taken_at = models.DateTimeField(_("taken last at"), null=True, blank=True)
    refused = models.PositiveIntegerField(_("could not be read"), default=0)

    class Meta:
        ordering = ("node", "kind")
        verbose_name = _("errand of a node")
        verbose_name_plural = _("errands of nodes")
        constraints = (models.UniqueConstraint(fields=("node", "kind"), name="node_errand_once"),)

    def __str__(self) -> str:
        return f"{self.node} {self.kind}"
