"""Channels, the outbox (a message is a row), its attempts, and what people chose to hear."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from simple_history.models import HistoricalRecords

from accounts.models import Role, Severity, User
from accounts.tenancy import SharedManager, SharedModel, TenantQuerySet
from notify import markdown
from notify.states import State


class Topic(models.TextChoices):
    INCIDENT = "incident", _("Incidents")
    ALERT = "alert", _("Alerts")
    SLA = "sla", _("SLA warnings")
    CHANGE = "change", _("Changes")
    ACCOUNT = "account", _("Accounts and contract")
    TEST = "test", _("Test messages")


CHOSEN_TOPICS = (Topic.INCIDENT, Topic.ALERT, Topic.SLA, Topic.CHANGE, Topic.ACCOUNT)


def all_topics() -> list[str]:
    return [topic.value for topic in CHOSEN_TOPICS]


class ChannelQuerySet(TenantQuerySet["Channel"]):
    def shown_to(self, person: User) -> Self:
        """Those in scope; the provider's own channels only to its managers."""
        rows = self.existing()
        return rows if person.role in (Role.MANAGER, Role.ADMIN) else rows.exclude(customer=None)

    def existing(self) -> Self:
        return self.filter(retired_at=None)

    def active(self) -> Self:
        """Those that hear messages by themselves; those kept only as a fallback are left out."""
        return self.existing().filter(is_active=True, is_standby=False)


class Channel(SharedModel):
    """A place outside that hears messages: a group robot, a list of addresses, a webhook (R128, R129).

    Of one customer, or, with none, of the provider: then it hears about every customer. Tokens, keys and the address
    of a webhook are secrets of the vault and stand in no column here.
    """

    class Kind(models.TextChoices):
        DINGTALK = "dingtalk", _("DingTalk robot")
        WECOM = "wecom", _("WeCom robot")
        EMAIL = "email", pgettext_lazy("way", "E-mail")
        WEBHOOK = "webhook", _("Webhook")

    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    name = models.CharField(_("name"), max_length=80)
    purpose = models.CharField(_("purpose"), max_length=200, blank=True)
    topics = models.JSONField(_("topics"), default=all_topics)
    min_severity = models.PositiveSmallIntegerField(_("from severity"), choices=Severity, null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_standby = models.BooleanField(_("only as a fallback"), default=False)
    fallback = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("next channel")
    )
    keyword = models.CharField(_("keyword"), max_length=40, blank=True)
    mentions_all = models.BooleanField(_("mention everybody at a Disaster"), default=False)
    recipients = models.JSONField(_("recipients"), default=list, blank=True)
    host = models.CharField(_("host"), max_length=255, blank=True, editable=False)
    robot = models.CharField(max_length=32, blank=True, editable=False)  # fingerprint of the token: whose budget it is
    muted_until = models.DateTimeField(_("muted until"), null=True, blank=True, editable=False)
    muted_code = models.CharField(max_length=40, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"))
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True, editable=False)
    history = HistoricalRecords(excluded_fields=["muted_until", "muted_code"])

    objects: ClassVar = SharedManager.from_queryset(ChannelQuerySet)()

    class Meta:
        ordering = ("customer", "name", "pk")
        verbose_name = _("channel")
        verbose_name_plural = _("channels")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "robot"),
                condition=~Q(robot="") & Q(retired_at=None),
                name="robot_once_per_customer",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=Q(retired_at=None) | Q(is_active=False), name="retired_is_not_active"),
        )

    def __str__(self) -> str:
        return self.name

    def is_muted(self, now: datetime) -> bool:
        return self.muted_until is not None and now < self.muted_until

    def listens_to(self, topic: str, severity: int | None) -> bool:
        """Whether an active channel takes this topic at this severity."""
        if topic not in self.topics:
            return False
        return severity is None or self.min_severity is None or severity <= self.min_severity

    @property
    def hears_everything(self) -> bool:
        return set(all_topics()) <= set(self.topics)

    @property
    def topic_labels(self) -> list[str]:
        return [str(topic.label) for topic in CHOSEN_TOPICS if topic.value in self.topics]


class DeliveryQuerySet(TenantQuerySet["Delivery"]):
    def shown_to(self, person: User) -> Self:
        """The log: what left the house. A customer sees what went through its own channels, and no one's mail."""
        rows = self.exclude(medium=Delivery.Medium.INBOX)
        if person.role in (Role.MANAGER, Role.ADMIN):
            return rows
        if person.is_provider:
            return rows.exclude(customer=None)
        return rows.filter(channel__customer=person.customer)

    def due(self, now: datetime) -> Self:
        return self.filter(state=State.PENDING, next_attempt_at__lte=now)

    def in_turn(self) -> Self:
        """Worst first, then oldest."""
        return self.order_by("priority", "pk")

    def lease_over(self, now: datetime) -> Self:
        return self.filter(state=State.SENDING, lease_until__lt=now)

    def inbox_of(self, person: User) -> Self:
        return self.filter(user=person, medium=Delivery.Medium.INBOX)

    def unread(self) -> Self:
        return self.filter(read_at=None)


class Delivery(SharedModel):
    """One message to one channel or one person. Written in the transaction that caused it; the key makes it one."""

    class Medium(models.TextChoices):
        DINGTALK = "dingtalk", _("DingTalk robot")
        WECOM = "wecom", _("WeCom robot")
        EMAIL = "email", pgettext_lazy("way", "E-mail")
        WEBHOOK = "webhook", _("Webhook")
        INBOX = "inbox", _("In-app message")
        PUSH = "push", _("Push message")
        SMS = "sms", _("SMS")
        VOICE = "voice", _("Phone call")

    class States(models.TextChoices):
        PENDING = State.PENDING.value, _("Waiting")
        SENDING = State.SENDING.value, _("Sending")
        ACCEPTED = State.ACCEPTED.value, _("Waits for the receipt")
        DELIVERED = State.DELIVERED.value, _("Delivered")
        UNCERTAIN = State.UNCERTAIN.value, _("Uncertain")
        FAILED = State.FAILED.value, _("Failed")
        DIGESTED = State.DIGESTED.value, _("In a digest")
        SKIPPED = State.SKIPPED.value, _("Skipped")
        WITHDRAWN = State.WITHDRAWN.value, _("Withdrawn")

    key = models.CharField(max_length=200)
    medium = models.CharField(_("medium"), max_length=20, choices=Medium)
    channel = models.ForeignKey(
        Channel, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries", verbose_name=_("channel")
    )
    user = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries", verbose_name=_("person")
    )
    address = models.CharField(_("number"), max_length=20, blank=True)  # that is called or texted
    about = models.CharField(max_length=40, blank=True)  # what it is about, for the app that said it: "incident:7"
    asks = models.CharField(max_length=20, blank=True)  # what the reader may answer by link or key: "acknowledge"
    held_until = models.DateTimeField(_("held until"), null=True, blank=True)  # quiet hours; then with others in one
    topic = models.CharField(_("topic"), max_length=20, choices=Topic)
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity, null=True, blank=True)
    priority = models.PositiveSmallIntegerField(default=5)
    subject = models.CharField(_("subject"), max_length=300)
    text = models.TextField(_("text"), blank=True)
    url = models.CharField(max_length=500, blank=True)
    reference = models.CharField(max_length=40, blank=True)  # of the affair: marks of mails are made of it
    state = models.CharField(_("state"), max_length=20, choices=States, default=State.PENDING.value)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_attempt_at = models.DateTimeField(_("next try at"), null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)
    last_code = models.CharField(_("last answer"), max_length=40, blank=True)
    last_detail = models.CharField(max_length=600, blank=True)
    digest = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="parts")
    stands_in_for = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="stand_ins")
    created_at = models.DateTimeField(_("created at"))
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    returned_at = models.DateTimeField(_("came back at"), null=True, blank=True)
    returned_because = models.CharField(_("why it came back"), max_length=340, blank=True)

    objects: ClassVar = SharedManager.from_queryset(DeliveryQuerySet)()

    class Meta:
        ordering = ("-pk",)
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = (
            models.UniqueConstraint(
                fields=("key", "channel"), condition=Q(channel__isnull=False), name="delivery_once_per_channel"
            ),
            models.UniqueConstraint(
                fields=("key", "user", "medium"), condition=Q(user__isnull=False), name="delivery_once_per_person"
            ),
            models.CheckConstraint(
                condition=Q(channel__isnull=True) ^ Q(user__isnull=True), name="delivery_to_a_channel_or_a_person"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.PENDING.value) | Q(next_attempt_at__isnull=False), name="pending_has_a_time"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.SENDING.value) | Q(lease_until__isnull=False), name="sending_has_a_lease"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.ACCEPTED.value) | Q(next_attempt_at__isnull=False),
                name="accepted_asks_for_its_receipt",
            ),
        )
        indexes = (
            models.Index(
                fields=("channel", "priority", "id"), condition=Q(state=State.PENDING.value), name="delivery_waiting"
            ),
            models.Index(fields=("lease_until",), condition=Q(state=State.SENDING.value), name="delivery_leased"),
            models.Index(
                fields=("next_attempt_at",), condition=Q(state=State.ACCEPTED.value), name="delivery_without_receipt"
            ),
            models.Index(fields=("user", "-id"), condition=Q(medium="inbox"), name="delivery_inbox"),
            models.Index(fields=("user",), condition=Q(medium="inbox", read_at=None), name="delivery_unread"),
            models.Index(fields=("customer", "-created_at"), name="delivery_by_time"),
            models.Index(fields=("channel", "-id"), name="delivery_by_channel"),
        )

    def __str__(self) -> str:
        return self.subject

    @property
    def destination(self) -> str:
        return str(self.channel or self.user)

    @property
    def excerpt(self) -> str:
        return markdown.plain(self.text)


class Attempt(SharedModel):
    """One call to a provider. Written before the call, settled after it; one that stays open was lost on the way."""

    class Verdicts(models.TextChoices):
        ACCEPTED = "accepted", _("Accepted")
        REFUSED = "refused", _("Refused")
        RATE = "rate", _("Too fast")
        FAILED = "failed", _("Not delivered")
        UNCERTAIN = "uncertain", _("No answer")

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="attempts")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, null=True, blank=True, related_name="attempts")
    robot = models.CharField(max_length=32, blank=True)
    number = models.PositiveSmallIntegerField(_("try"))
    started_at = models.DateTimeField(_("started at"))
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)
    verdict = models.CharField(_("verdict"), max_length=20, choices=Verdicts, blank=True)
    code = models.CharField(_("code"), max_length=40, blank=True)
    detail = models.CharField(_("answer"), max_length=600, blank=True)
    provider_id = models.CharField(_("provider's id"), max_length=120, blank=True)
    receipt_at = models.DateTimeField(_("receipt at"), null=True, blank=True)
    receipt_code = models.CharField(_("receipt"), max_length=40, blank=True)
    receipt_detail = models.CharField(max_length=200, blank=True)
    was_reached = models.BooleanField(_("reached"), null=True, blank=True)
    key_pressed = models.CharField(_("key pressed"), max_length=8, blank=True)

    class Meta:
        ordering = ("delivery", "number")
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        constraints = (models.UniqueConstraint(fields=("delivery", "number"), name="attempt_number_once"),)
        indexes = (
            models.Index(fields=("robot", "settled_at"), condition=~Q(robot=""), name="attempt_of_robot"),
            models.Index(
                fields=("provider_id",), condition=Q(receipt_at=None) & ~Q(provider_id=""), name="attempt_by_id"
            ),
        )

    def __str__(self) -> str:
        return f"{self.delivery_id}.{self.number}"


class Preference(SharedModel):
    """What one person wants by e-mail and pushed to their devices; the inbox always gets everything."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="notification_preference")
    email_topics = models.JSONField(_("by e-mail"), default=all_topics)
    email_min_severity = models.PositiveSmallIntegerField(_("from severity"), choices=Severity, null=True, blank=True)
    push_topics = models.JSONField(_("pushed"), default=all_topics)
    push_min_severity = models.PositiveSmallIntegerField(_("from severity"), choices=Severity, null=True, blank=True)

    class Meta:
        verbose_name = _("notification preference")
        verbose_name_plural = _("notification preferences")

    def __str__(self) -> str:
        return str(self.user)

    def wants_mail(self, topic: str, severity: int | None) -> bool:
        """Messages about one's own account always come."""
        if topic == Topic.ACCOUNT:
            return True
        if topic not in self.email_topics:
            return False
        return severity is None or self.email_min_severity is None or severity <= self.email_min_severity

    def wants_push(self, topic: str, severity: int | None) -> bool:
        """A Disaster always comes: whoever is on duty cannot have overlooked a checkbox."""
        if severity == Severity.DISASTER:
            return True
        if topic not in (*self.push_topics, Topic.ACCOUNT, Topic.TEST):
            return False
        return severity is None or self.push_min_severity is None or severity <= self.push_min_severity
