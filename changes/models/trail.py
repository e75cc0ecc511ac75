"""The audit trail of cloud accounts (R89, R91): how far it is read, what it holds, and what each event is taken for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Count, F, Max, Min, Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.words import say
from changes import matching
from changes.models.change import Change
from changes.trail_rules import Rule, rules
from incidents.models import Incident


class TrailVerdict(models.TextChoices):
    """`matching.Verdict` with the words that people read."""

    CHANGE = matching.Verdict.CHANGE, _("Belongs to a change")
    AUTOMATION = matching.Verdict.AUTOMATION, _("Done by the platform")
    KNOWN = matching.Verdict.KNOWN, _("By somebody known")
    REFUSED = matching.Verdict.REFUSED, _("Refused, nothing changed")
    HARMLESS = matching.Verdict.HARMLESS, _("Known and harmless")
    SUSPICIOUS = matching.Verdict.SUSPICIOUS, _("Suspicious")
    UNMATCHED = matching.Verdict.UNMATCHED, _("Nobody explained it")


@dataclass(frozen=True, slots=True)
class TrailReach:
    """How far the trail of an account is read: from when to when in every one of its regions, and in how many of them
    the past is still missing or reading fails."""

    since: datetime
    until: datetime
    regions: int
    behind: int
    troubled: int

    @property
    def is_complete(self) -> bool:
        return not self.behind and not self.troubled


class TrailReadingQuerySet(TenantQuerySet["TrailReading"]):
    def claimable(self, now: datetime) -> Self:
        there = self.filter(cloud_account__retired_at=None, cloud_account__is_enabled=True)
        there = there.exclude(customer__status="left")
        return there.filter(Q(lease_until=None) | Q(lease_until__lte=now), next_due_at__lte=now)

    def behind(self) -> Self:
        """Of which the 90 days before are not read yet."""
        return self.filter(back_until__gt=F("back_goal"))

    def are_complete(self) -> bool:
        """Whether there are any, and the past of all of them is read."""
        return self.exists() and not self.behind().exists()

    def by_account(self) -> dict[int, TrailReach]:
        """How far the trail of each account is read, by its id."""
        rows = self.order_by().values_list("cloud_account").annotate(
            since=Max("back_until"),
            until=Min("read_until"),
            regions=Count("pk"),
            behind=Count("pk", filter=Q(back_until__gt=F("back_goal"))),
            troubled=Count("pk", filter=~Q(problem_code="")),
        )  # fmt: skip
        return {account_id: TrailReach(*reach) for account_id, *reach in rows}


class TrailReading(TenantModel):
    """How far the trail of one account is read in one region: all of it between `back_until` and `read_until` is
    stored. An account has one of these for each region that keeps events of it.

    What is younger than `read_until` may still be listed late, and is read again each time.
    """

    cloud_account = models.ForeignKey("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    region = models.CharField(_("region"), max_length=40)
    began_at = models.DateTimeField(_("read since"))
    next_due_at = models.DateTimeField(_("next due at"))
    lease_until = models.DateTimeField(null=True, blank=True)
    read_until = models.DateTimeField(_("read until"))
    back_until = models.DateTimeField(_("read back to"))
    back_goal = models.DateTimeField(_("to be read back to"))
    judged_at = models.DateTimeField(_("changes looked at until"))
    read_at = models.DateTimeField(_("last read"), null=True, blank=True)
    problem_code = models.CharField(max_length=80, blank=True)
    problem_detail = models.CharField(_("what Alibaba Cloud said"), max_length=400, blank=True)
    problem_since = models.DateTimeField(_("problem since"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(TrailReadingQuerySet)()

    class Meta:
        verbose_name = _("reading of an audit trail")
        verbose_name_plural = _("reading of audit trails")
        constraints = (
            models.UniqueConstraint(fields=("cloud_account", "region"), name="trail_reading_once_per_region"),
        )
        indexes = (models.Index(fields=("next_due_at",), name="trail_reading_due"),)

    def __str__(self) -> str:
        return f"trail of account {self.cloud_account_id} in {self.region}"

    @property
    def is_complete(self) -> bool:
        """The 90 days before reading began are read, too."""
        return self.back_until <= self.back_goal

    @property
    def problem(self) -> str:
        return say(self.problem_code, self.problem_detail) if self.problem_code else ""


class TrailEventQuerySet(TenantQuerySet["TrailEvent"]):
    def unexplained(self) -> Self:
        """What a person has to look at (R91)."""
        return self.filter(verdict=TrailVerdict.UNMATCHED)

    def by_machine(self) -> Self:
        return self.filter(decided_by=None)

    def of_asset(self, asset_id: int) -> Self:
        return self.filter(pk__in=TrailEventAsset.objects.filter(asset_id=asset_id).values("event_id"))

    def for_lists(self) -> Self:
        """With all that a row shows, in a constant number of queries."""
        rows = self.select_related("customer", "cloud_account", "change", "incident", "decided_by")
        return rows.prefetch_related("assets").defer("raw")


class TrailEvent(TenantModel):
    """Somebody changed something on a cloud account. It has exactly one verdict."""

    class Because(models.TextChoices):
        """`matching.Because` with the words that people read."""

        WINDOW = matching.Because.WINDOW, _("on its asset, within its time, of its kind")
        RUN = matching.Because.RUN, _("a call of the platform under this change")
        ROTATION = matching.Because.ROTATION, _("the platform replaced this AccessKey")
        OURS = matching.Because.OURS, _("one of our own users, and nothing that needs a change")
        PEOPLE = matching.Because.PEOPLE, _("on the list of the customer's people")
        SERVICE = matching.Because.SERVICE, _("Alibaba Cloud itself or a service-linked role")
        RULE = matching.Because.RULE, _("a rule for what is suspicious")
        PERSON = matching.Because.PERSON, _("a person decided")
        REFUSED = matching.Because.REFUSED, _("Alibaba Cloud refused it")
        OURS_NO_CHANGE = matching.Because.OURS_NO_CHANGE, _("one of our own users, without an open change")
        NOBODY = matching.Because.NOBODY, _("no open change, and nobody known")

    cloud_account = models.ForeignKey("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    event_id = models.CharField(_("event ID"), max_length=128)
    occurred_at = models.DateTimeField(_("happened at"))
    seen_at = models.DateTimeField(_("read at"))
    service = models.CharField(_("service"), max_length=64)
    action = models.CharField(_("action"), max_length=128)
    region = models.CharField(_("region"), max_length=40, blank=True)
    actor_type = models.CharField(_("kind of user"), max_length=32, blank=True)
    actor_name = models.CharField(_("who"), max_length=200, blank=True)
    access_key_id = models.CharField(_("AccessKey ID"), max_length=80, blank=True)
    source_ip = models.CharField(_("from address"), max_length=64, blank=True)
    origin = models.CharField(_("from country or network"), max_length=64, blank=True)
    request_id = models.CharField(_("request ID"), max_length=80, blank=True)
    error_code = models.CharField(_("error"), max_length=120, blank=True)
    resources = models.JSONField(_("touched"), default=list)
    raw = models.JSONField(_("as Alibaba Cloud tells it"), default=dict)
    assets = models.ManyToManyField(
        "assets.Asset", through="TrailEventAsset", through_fields=("event", "asset"), related_name="+"
    )
    verdict = models.CharField(_("verdict"), max_length=12, choices=TrailVerdict, default=TrailVerdict.UNMATCHED)
    because = models.CharField(_("because"), max_length=16, choices=Because, default=Because.NOBODY)
    rule = models.CharField(_("rule"), max_length=40, blank=True)
    known_as = models.CharField(_("known as"), max_length=120, blank=True)
    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    decided_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=400, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(TrailEventQuerySet)()

    class Meta:
        ordering = ("-occurred_at", "-pk")
        verbose_name = _("event of an audit trail")
        verbose_name_plural = _("events of audit trails")
        constraints = (
            models.UniqueConstraint(fields=("cloud_account", "event_id"), name="trail_event_once_per_account"),
            models.CheckConstraint(condition=Q(verdict__in=TrailVerdict.values), name="trail_verdict_is_known"),
            models.CheckConstraint(
                condition=(Q(verdict="change", change__isnull=False) | ~Q(verdict="change"))
                & (Q(verdict__in=("change", "automation")) | Q(change=None)),
                name="trail_change_is_of_its_verdict",
            ),
            models.CheckConstraint(
                condition=~Q(verdict="harmless") | (~Q(reason="") & Q(decided_by__isnull=False)),
                name="trail_harmless_says_who_and_why",
            ),
            models.CheckConstraint(
                condition=~Q(verdict="suspicious") | ~Q(rule="") | Q(decided_by__isnull=False),
                name="trail_suspicion_has_a_reason",
            ),
        )
        indexes = (
            models.Index(fields=("customer", "-occurred_at"), name="trail_by_customer"),
            models.Index(fields=("verdict", "-occurred_at"), name="trail_by_verdict"),
            models.Index(fields=("cloud_account", "actor_name", "occurred_at"), name="trail_by_actor"),
        )

    def __str__(self) -> str:
        return f"{self.service} {self.action} {self.event_id}"

    @property
    def broken(self) -> Rule | None:
        """The rule that it broke; None: none, or one that the file has no more."""
        return rules().get(self.rule)

    @property
    def who(self) -> str:
        return self.actor_name or self.actor_type or "—"


class TrailEventAsset(TenantModel):
    """An asset of ours that an event touched."""

    event = models.ForeignKey(TrailEvent, on_delete=models.CASCADE, related_name="touched")
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("event", "asset"), name="trail_event_asset_once"),)

    def __str__(self) -> str:
        return f"{self.event_id} → {self.asset_id}"


class TrailActorQuerySet(TenantQuerySet["TrailActor"]):
    def known(self) -> Self:
        return self.filter(ended_at=None)


class TrailActor(TenantModel):
    """A RAM user or role of the customer's own people: what they do on their cloud is theirs to decide (R90)."""

    name = models.CharField(
        _("RAM user or role"), max_length=128, help_text=_("As the audit trail writes it, without the part after @.")
    )
    person = models.CharField(_("who that is"), max_length=120)
    created_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(_("created at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(TrailActorQuerySet)()

    class Meta:
        ordering = ("name", "pk")
        verbose_name = _("known person on the cloud")
        verbose_name_plural = _("known people on the cloud")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "name"), condition=Q(ended_at=None), name="trail_actor_once_per_customer"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.person})"
