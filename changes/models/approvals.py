"""Levels of approval with their votes, and who speaks for whom while somebody is away."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.tenancy import ScopedManager, TenantModel, TenantOrProviderModel, TenantQuerySet
from changes.catalogue import Duty, Needs
from changes.models.change import Change


class ApprovalDuty(models.TextChoices):
    """`catalogue.Duty` with the words that people read."""

    OWNER = Duty.OWNER, _("Project owner")
    SECURITY = Duty.SECURITY, _("Security")
    CUSTOMER = Duty.CUSTOMER, _("Customer's project manager")
    MANAGER = Duty.MANAGER, _("Service manager")


class ApprovalNeeds(models.TextChoices):
    ANY = Needs.ANY, _("any one of them")
    ALL = Needs.ALL, _("all of them")


class ApprovalLevelQuerySet(TenantQuerySet["ApprovalLevel"]):
    def current(self) -> Self:
        """Of the round that counts: what was said in an older one counts no more."""
        return self.filter(round=F("change__approval_round"))


class ApprovalLevel(TenantModel):
    """One level of one round. `deciders` are frozen when it is asked; others are added when nobody answers."""

    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="levels")
    round = models.PositiveIntegerField(_("round"))
    position = models.PositiveSmallIntegerField()
    duty = models.CharField(_("level"), max_length=12, choices=ApprovalDuty)
    needs = models.CharField(_("needs"), max_length=4, choices=ApprovalNeeds)
    deciders = models.JSONField(_("who decides"), default=list)
    asked_at = models.DateTimeField(_("asked at"), null=True, blank=True)
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    reminded_at = models.DateTimeField(_("reminded at"), null=True, blank=True)
    lapsed_at = models.DateTimeField(_("lapsed at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(ApprovalLevelQuerySet)()

    class Meta:
        ordering = ("change", "round", "position")
        verbose_name = _("level of approval")
        verbose_name_plural = _("levels of approval")
        constraints = (models.UniqueConstraint(fields=("change", "round", "position"), name="approval_level_once"),)

    def __str__(self) -> str:
        return f"{self.change_id} {self.get_duty_display()}"


class ApprovalVote(TenantModel):
    """One word, once given never taken back. `voter`: whose word it is, when a delegate gave it."""

    APPEND_ONLY: ClassVar[bool] = True

    class Channel(models.TextChoices):
        PORTAL = "portal", _("In the portal")
        LINK = "link", _("By a link")
        API = "api", _("API")

    level = models.ForeignKey(ApprovalLevel, on_delete=models.CASCADE, related_name="votes")
    voter = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    is_yes = models.BooleanField(_("approved"))
    words = models.TextField(_("remark"), blank=True)
    at = models.DateTimeField(_("decided at"))
    channel = models.CharField(_("way"), max_length=8, choices=Channel, default=Channel.PORTAL)
    ip = models.GenericIPAddressField(_("address"), null=True, blank=True)

    class Meta:
        ordering = ("at", "pk")
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        constraints = (
            models.UniqueConstraint(fields=("level", "voter"), name="one_word_per_level"),
            models.CheckConstraint(condition=Q(is_yes=True) | ~Q(words=""), name="refusal_has_its_reason"),
        )

    def __str__(self) -> str:
        return f"{self.level_id} {self.voter_id}"


class DelegationQuerySet(TenantQuerySet["Delegation"]):
    def on(self, day: date) -> Self:
        return self.filter(begins_on__lte=day).not_over(day)

    def not_over(self, day: date) -> Self:
        return self.filter(ends_on__gte=day, ended_at=None)


class Delegation(TenantOrProviderModel):
    """Somebody decides for somebody else of the same side, on some days."""

    principal = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", verbose_name=_("of"))
    delegate = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", verbose_name=_("to"))
    begins_on = models.DateField(_("from"))
    ends_on = models.DateField(_("until"))
    made_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(_("made at"))
    ended_at = models.DateTimeField(_("taken back at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(DelegationQuerySet)()

    class Meta:
        ordering = ("-begins_on", "-pk")
        verbose_name = _("delegation")
        verbose_name_plural = _("delegations")
        constraints = (
            models.CheckConstraint(condition=Q(ends_on__gte=F("begins_on")), name="delegation_ends_after_it_begins"),
        )

    def __str__(self) -> str:
        return f"{self.principal} → {self.delegate}"
