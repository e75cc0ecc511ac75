"""Grants: who is let to what, and requests for one."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from accounts.windows import from_json
from assets.models import Asset
from bastion.access import OWN, Protocol, Terms
from bastion.gateway.contract import Action
from bastion.models.groups import ResourceGroup

ANSWER_LIFE = timedelta(hours=4)
"""A request that nobody has answered by then is of no use any more."""


class GrantQuerySet(TenantQuerySet["Grant"]):
    def in_force(self, now: datetime) -> Self:
        """Those that may hold at this moment, their windows apart."""
        return self.filter(Q(until=None) | Q(until__gt=now), ended_at=None)

    def leading_to(self, asset: Asset) -> Self:
        """By name, or by a group that is in use and has it."""
        by_group = Q(group__retired_at=None, group__members__asset=asset)
        return self.filter(pk__in=self.model._default_manager.filter(Q(asset=asset) | by_group).values("pk"))

    def in_group_of(self, person: User) -> Self:
        """For the groups that somebody was named for."""
        return self.filter(group__administrators__person=person, group__retired_at=None)

    def joined(self) -> Self:
        return self.select_related("customer", "person", "asset", "group", "granted_by", "ended_by")


class Grant(TenantModel):
    """One person may do this, on one asset or all of one group. It is never changed: it ends, and another is made."""

    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    group = models.ForeignKey(ResourceGroup, on_delete=models.PROTECT, related_name="grants", null=True, blank=True)
    accounts = models.JSONField(_("accounts"), default=list, blank=True, help_text=_("Empty: any."))
    protocols = models.JSONField(_("protocols"), default=list)
    actions = models.JSONField(_("actions"), default=list)
    forwards = models.JSONField(
        _("destinations of port forwarding"), default=list, blank=True, help_text="host:port, network/bits:port, *:port"
    )
    since = models.DateTimeField(_("from"), null=True, blank=True)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    windows = models.JSONField(_("weekly windows"), default=list, blank=True)
    timezone = models.CharField(_("time zone"), max_length=40, default="Asia/Shanghai")
    needs_consent = models.BooleanField(
        _("somebody lets each session in"), default=False, help_text=_("Whoever administers the resource or its group.")
    )
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    granted_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    granted_at = models.DateTimeField(_("granted at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(GrantQuerySet)()

    class Meta:
        ordering = ("-granted_at", "-pk")
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        constraints = (
            models.CheckConstraint(
                condition=Q(asset=None, group__isnull=False) | Q(asset__isnull=False, group=None),
                name="grant_is_for_an_asset_or_a_group",
            ),
            models.CheckConstraint(
                condition=Q(since=None) | Q(until=None) | Q(until__gt=models.F("since")),
                name="grant_ends_after_it_begins",
            ),
        )
        indexes = (models.Index(fields=("person",), condition=Q(ended_at=None), name="grant_by_person"),)

    def __str__(self) -> str:
        return f"{self.person} → {self.asset or self.group}"

    @property
    def terms(self) -> Terms:
        """As it is judged. Raises ValueError on a row that nobody can read."""
        return Terms(
            actions=frozenset(Action(action) for action in self.actions),
            protocols=frozenset(Protocol(protocol) for protocol in self.protocols),
            accounts=frozenset(self.accounts),
            since=self.since,
            until=self.until,
            windows=tuple(from_json(self.windows, self.timezone)),
            forwards=frozenset(self.forwards),
            allows_own=OWN in self.accounts,
            needs_consent=self.needs_consent,
        )

    @property
    def place(self) -> Asset | ResourceGroup:
        """What it is for: one of the two is there."""
        found = self.asset or self.group
        assert found is not None  # noqa: S101 - a constraint of the table
        return found

    def is_in_force(self, now: datetime) -> bool:
        return self.ended_at is None and (self.until is None or self.until > now)


class AccessRequestQuerySet(TenantQuerySet["AccessRequest"]):
    def waiting(self) -> Self:
        return self.filter(state="waiting")

    def joined(self) -> Self:
        return self.select_related("customer", "person__customer", "asset__customer", "decided_by", "grant")


class AccessRequest(TenantModel):
    """Somebody needs to get in now, for some hours: whoever decides makes a grant of it, or refuses."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        GRANTED = "granted", _("Granted")
        REFUSED = "refused", _("Refused")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        LAPSED = "lapsed", _("Nobody answered")

    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    account = models.CharField(_("account"), max_length=128)
    protocols = models.JSONField(_("protocols"), default=list)
    actions = models.JSONField(_("actions"), default=list)
    minutes = models.PositiveIntegerField(_("for how many minutes"))
    reason = models.CharField(_("reason"), max_length=300)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    asked_at = models.DateTimeField(_("asked at"))
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    words = models.CharField(_("remark"), max_length=300, blank=True)
    grant = models.OneToOneField(Grant, on_delete=models.PROTECT, related_name="request", null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(AccessRequestQuerySet)()

    class Meta:
        ordering = ("-asked_at", "-pk")
        verbose_name = _("request for access")
        verbose_name_plural = _("requests for access")
        indexes = (models.Index(fields=("asked_at",), condition=Q(state="waiting"), name="access_request_waiting"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(minutes__gte=5, minutes__lte=1440), name="access_is_asked_for_a_day_at_most"
            ),
            models.CheckConstraint(
                condition=Q(state="granted", grant__isnull=False) | ~Q(state="granted") & Q(grant=None),
                name="granted_request_has_its_grant",
            ),
        )

    def __str__(self) -> str:
        return f"{self.person} → {self.account}@{self.asset}"

    @property
    def is_waiting(self) -> bool:
        return self.state == self.State.WAITING

    @property
    def lapses_at(self) -> datetime:
        return self.asked_at + ANSWER_LIFE
