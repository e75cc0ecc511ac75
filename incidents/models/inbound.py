"""The ways in from outside, what came by each of them, and which sender in a chat is whom."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts.models import Severity
from accounts.tenancy import (
    ScopedManager,
    SharedManager,
    SharedModel,
    TenantModel,
    TenantOrProviderModel,
    TenantQuerySet,
)
from incidents.models.incident import Incident


class InboundKind(models.TextChoices):
    EMAIL = "email", _("Mailbox")
    DINGTALK = "dingtalk", _("DingTalk robot that listens")
    WECOM = "wecom", _("WeCom application")
    ALERTMANAGER = "alertmanager", _("Alertmanager")
    GRAFANA = "grafana", _("Grafana alerting")
    CMS = "cms", _("Alibaba Cloud CloudMonitor")
    ZABBIX = "zabbix", _("Zabbix")
    GENERIC = "generic", _("Any JSON")


ALARM_KINDS = frozenset(
    {InboundKind.ALERTMANAGER, InboundKind.GRAFANA, InboundKind.CMS, InboundKind.ZABBIX, InboundKind.GENERIC}
)
CHAT_KINDS = frozenset({InboundKind.DINGTALK, InboundKind.WECOM})


class InboundSourceQuerySet(TenantQuerySet["InboundSource"]):
    def existing(self) -> Self:
        return self.filter(retired_at=None)

    def active(self) -> Self:
        return self.existing().filter(is_active=True)


class InboundSource(SharedModel):
    """One way in (R50, R128, R134): of one customer, or of the provider, then it may bring news of every customer.

    Of its address only hashes are kept, the one before it for a day after it was replaced; passwords and keys lie in
    the vault.
    """

    kind = models.CharField(_("kind"), max_length=20, choices=InboundKind)
    name = models.CharField(_("name"), max_length=80)
    config = models.JSONField(_("settings"), default=dict, blank=True)
    default_severity = models.PositiveSmallIntegerField(
        _("severity when nothing is said"), choices=Severity, default=Severity.AVERAGE
    )
    is_active = models.BooleanField(_("active"), default=True)
    token_hash = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    old_token_hash = models.CharField(max_length=64, blank=True, editable=False)
    old_token_until = models.DateTimeField(null=True, blank=True, editable=False)
    token_set_at = models.DateTimeField(_("address made at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"))
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True, editable=False)
    # what the platform notes while it listens
    received_at = models.DateTimeField(_("last message"), null=True, blank=True, editable=False)
    checked_at = models.DateTimeField(_("last looked"), null=True, blank=True, editable=False)
    failing_since = models.DateTimeField(_("failing since"), null=True, blank=True, editable=False)
    problem = models.CharField(max_length=300, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    uid_validity = models.PositiveBigIntegerField(default=0, editable=False)
    uid_mark = models.PositiveBigIntegerField(default=0, editable=False)
    history = HistoricalRecords(
        excluded_fields=[
            "received_at", "checked_at", "failing_since", "problem", "lease_until", "uid_validity", "uid_mark",
        ]
    )  # fmt: skip

    objects: ClassVar = SharedManager.from_queryset(InboundSourceQuerySet)()

    class Meta:
        ordering = ("customer", "name", "pk")
        verbose_name = _("way in")
        verbose_name_plural = _("ways in")
        indexes = (models.Index(fields=("old_token_hash",), name="inbound_old_address"),)
        constraints = (
            models.CheckConstraint(condition=Q(retired_at=None) | Q(is_active=False), name="retired_way_in_is_shut"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_alarm(self) -> bool:
        return self.kind in ALARM_KINDS

    @property
    def is_chat(self) -> bool:
        return self.kind in CHAT_KINDS


class InboundMessageQuerySet(TenantQuerySet["InboundMessage"]):
    def for_lists(self) -> Self:
        return self.defer("raw", "text", "reply").select_related("source", "customer", "incident", "handled_by")

    def held(self) -> Self:
        """Those that wait for a person to say whose they are."""
        return self.filter(verdict=InboundMessage.Verdict.HELD)


class InboundMessage(TenantOrProviderModel):
    """One thing that came in, once, with what was made of it; without a customer until somebody knows whose it is."""

    class Verdict(models.TextChoices):
        STORED = "stored", _("Waiting to be read")
        OPENED = "opened", _("Opened an incident")
        JOINED = "joined", _("Went to an incident")
        ALARMS = "alarms", _("Alarms taken in")
        ANSWERED = "answered", _("Command answered")
        HELD = "held", _("Waits for a person")
        IGNORED = "ignored", _("Nothing to do")
        REJECTED = "rejected", _("Rejected")
        FAILED = "failed", _("Could not be read")

    class Reason(models.TextChoices):
        NONE = "", "—"
        AUTOMATIC = "automatic", _("an automatic answer")
        BOUNCE = "bounce", _("a mail that could not be delivered")
        MAILING_LIST = "mailing_list", _("from a mailing list")
        OWN = "own", _("our own mail")
        UNKNOWN_SENDER = "unknown_sender", _("the sender is not known")
        UNPROVEN_SENDER = "unproven_sender", _("nothing proves that the sender is who they say")
        AMBIGUOUS_SENDER = "ambiguous_sender", _("the address belongs to several people")
        READ_ONLY = "read_only", _("the sender may only read")
        NO_CUSTOMER = "no_customer", _("it does not say which customer")
        FOREIGN_MARK = "foreign_mark", _("it bore the mark of another customer's incident")
        TOO_LARGE = "too_large", _("too large to be kept whole")

    source = models.ForeignKey(InboundSource, on_delete=models.PROTECT, related_name="messages")
    dedupe_key = models.CharField(max_length=128)
    received_at = models.DateTimeField(_("received at"))
    due_at = models.DateTimeField(_("response due at"), null=True, blank=True)
    content_type = models.CharField(max_length=120, blank=True)
    raw = models.BinaryField(_("as it came"), default=b"")
    size = models.PositiveIntegerField(_("size"), default=0)
    sender = models.CharField(_("sender"), max_length=200, blank=True)
    sender_id = models.CharField(max_length=200, blank=True)
    conversation = models.CharField(max_length=200, blank=True)
    subject = models.CharField(_("subject"), max_length=300, blank=True)
    text = models.TextField(_("text"), blank=True)
    verdict = models.CharField(_("what became of it"), max_length=20, choices=Verdict, default=Verdict.STORED)
    reason = models.CharField(_("why"), max_length=20, choices=Reason, blank=True)
    data = models.JSONField(default=dict, blank=True)
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="inbound", null=True, blank=True)
    error = models.CharField(_("error"), max_length=400, blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    handled_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    handled_at = models.DateTimeField(_("handled at"), null=True, blank=True)
    reply = models.TextField(_("our answer"), blank=True)
    reply_until = models.DateTimeField(null=True, blank=True)
    replied_at = models.DateTimeField(_("answered at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(InboundMessageQuerySet)()

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("received message")
        verbose_name_plural = _("received messages")
        constraints = (models.UniqueConstraint(fields=("source", "dedupe_key"), name="inbound_message_once"),)
        indexes = (
            models.Index(fields=("customer", "-received_at"), name="inbound_by_customer"),
            models.Index(fields=("source", "sender_id", "-id"), name="inbound_of_sender"),
            models.Index(fields=("source", "conversation", "-id"), name="inbound_of_conversation"),
            models.Index(fields=("received_at",), name="inbound_by_time"),
            models.Index(fields=("received_at",), condition=Q(verdict="held"), name="inbound_held"),
            models.Index(fields=("received_at",), condition=Q(verdict="stored"), name="inbound_unread"),
            models.Index(
                fields=("reply_until",), condition=Q(replied_at=None) & ~Q(reply=""), name="inbound_to_be_answered"
            ),
            models.Index(fields=("incident",), name="inbound_of_incident"),
        )

    def __str__(self) -> str:
        return self.subject or self.sender or f"#{self.pk}"

    @property
    def is_settled(self) -> bool:
        return self.verdict not in (self.Verdict.STORED, self.Verdict.FAILED)

    @property
    def may_be_read_again(self) -> bool:
        return self.verdict in (self.Verdict.FAILED, self.Verdict.STORED, self.Verdict.IGNORED)


class StandIn(TenantModel):
    """The asset that stands for a way in, where its alarms gather whose own asset is not known."""

    source = models.ForeignKey(InboundSource, on_delete=models.CASCADE, related_name="stand_ins")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("source", "customer"), name="stand_in_once"),)

    def __str__(self) -> str:
        return f"{self.source_id} → {self.asset_id}"


class ChatIdentity(TenantOrProviderModel):
    """A sender of one chat robot, bound to a person by a code of theirs (R49). The row is the way in's customer's."""

    source = models.ForeignKey(InboundSource, on_delete=models.CASCADE, related_name="identities")
    sender_id = models.CharField(max_length=200)
    name = models.CharField(_("name in the chat"), max_length=120, blank=True)
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="chat_identities")
    bound_at = models.DateTimeField(_("bound at"))

    class Meta:
        ordering = ("-bound_at", "-pk")
        verbose_name = _("chat account")
        verbose_name_plural = _("chat accounts")
        constraints = (models.UniqueConstraint(fields=("source", "sender_id"), name="sender_is_one_person"),)

    def __str__(self) -> str:
        return f"{self.name} = {self.user}"


class ChatCode(TenantOrProviderModel):
    """A code that binds once, for some minutes. Only its keyed hash is kept."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    code_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("binding code")
        verbose_name_plural = _("binding codes")

    def __str__(self) -> str:
        return f"{self.user_id} {self.expires_at:%F %T}"

    def is_open(self, now: datetime) -> bool:
        return self.used_at is None and now < self.expires_at
