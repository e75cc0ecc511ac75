"""Command rules: what happens to a command that a pattern finds, and commands that wait for somebody's word."""

from datetime import datetime
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from bastion.models.groups import ResourceGroup
from bastion.models.sessions import BastionSession

LOGIN = 0
"""The number of a review that is about the session itself: whether it is let in."""


class CommandRuleQuerySet(TenantQuerySet["CommandRule"]):
    def kept(self) -> Self:
        return self.filter(retired_at=None)

    def in_force(self) -> Self:
        """Those of groups that are in use, in the order in which they are asked."""
        in_use = Q(group=None) | Q(group__retired_at=None)
        return self.kept().filter(in_use, is_on=True).order_by("position", "pk")

    def joined(self) -> Self:
        return self.select_related("customer", "group", "changed_by")


class CommandRule(TenantModel):
    """For all resources of a customer or those of one group. The first rule that fits a command decides.

    Commands name the rule that judged them by its number, so a rule is retired and never deleted.
    """

    class Verdict(models.TextChoices):
        ALLOW = "allow", pgettext_lazy("command", "Allow")
        WARN = "warn", pgettext_lazy("command", "Warn")
        DENY = "deny", pgettext_lazy("command", "Deny")
        REVIEW = "review", pgettext_lazy("command", "Hold for review")

    group = models.ForeignKey(ResourceGroup, on_delete=models.PROTECT, related_name="rules", null=True, blank=True)
    position = models.PositiveIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=120)
    pattern = models.CharField(_("pattern"), max_length=1000)
    verdict = models.CharField(_("verdict"), max_length=8, choices=Verdict)
    words = models.CharField(_("words for the person"), max_length=300, blank=True)
    is_on = models.BooleanField(_("in force"), default=True)
    shipped_as = models.CharField(_("one of the usual rules"), max_length=40, blank=True)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True)
    changed_at = models.DateTimeField(_("changed at"))
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(CommandRuleQuerySet)()

    class Meta:
        ordering = ("customer", "position", "pk")
        verbose_name = _("command rule")
        verbose_name_plural = _("command rules")
        indexes = (models.Index(fields=("customer", "position"), name="command_rule_in_order"),)
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "shipped_as"),
                condition=Q(retired_at=None) & ~Q(shipped_as=""),
                name="usual_rule_once",
            ),
        )

    def __str__(self) -> str:
        return self.name


class CommandReviewQuerySet(TenantQuerySet["CommandReview"]):
    def waiting(self) -> Self:
        return self.filter(state="waiting")

    def joined(self) -> Self:
        return self.select_related(
            "customer", "session__person", "session__asset", "session__node", "rule", "decided_by"
        )


class CommandReview(TenantModel):
    """A command that a session holds back until somebody has allowed it, or time is up; or the session itself."""

    class State(models.TextChoices):
        WAITING = "waiting", pgettext_lazy("review", "Waiting")
        ALLOWED = "allowed", pgettext_lazy("review", "Allowed")
        DENIED = "denied", pgettext_lazy("review", "Denied")
        LAPSED = "lapsed", pgettext_lazy("review", "Nobody answered")

    session = models.ForeignKey(BastionSession, on_delete=models.PROTECT, related_name="reviews")
    number = models.PositiveIntegerField(_("number"))
    text = models.TextField(_("command"))
    rule = models.ForeignKey(CommandRule, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.WAITING)
    asked_at = models.DateTimeField(_("asked at"))
    until = models.DateTimeField(_("waits until"))
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    words = models.CharField(_("remark"), max_length=300, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(CommandReviewQuerySet)()

    class Meta:
        ordering = ("-asked_at", "-pk")
        verbose_name = _("review of a command")
        verbose_name_plural = _("reviews of commands")
        indexes = (models.Index(fields=("until",), condition=Q(state="waiting"), name="command_review_waiting"),)
        constraints = (
            models.UniqueConstraint(fields=("session", "number"), name="command_review_once"),
            models.CheckConstraint(
                condition=Q(state="waiting", decided_at=None) | ~Q(state="waiting") & Q(decided_at__isnull=False),
                name="settled_review_says_when",
            ),
        )

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def is_login(self) -> bool:
        """About the session itself; `text` is what it is for."""
        return self.number == LOGIN

    def is_open(self, now: datetime) -> bool:
        return self.state == self.State.WAITING and now < self.until
