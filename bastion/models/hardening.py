"""How hardened servers are (SOW §2.2.4-1): what is asked, runs of the checks, exceptions, direct log-ins."""

from datetime import datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.models import Asset


class HardeningPolicy(TenantModel):
    """What is asked of a customer's servers; with an asset, what more that one may have."""

    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    ports = models.JSONField(_("agreed ports"), default=list, blank=True)
    bastions = models.JSONField(_("addresses of the bastion"), default=list, blank=True)
    images = models.JSONField(_("hardened images"), default=list, blank=True)
    password_days = models.PositiveSmallIntegerField(_("passwords end after days"), default=90)
    allows_passwords = models.BooleanField(_("passwords for SSH were agreed"), default=False)
    is_weekly = models.BooleanField(_("checked every week"), default=True)
    reads_logins = models.BooleanField(_("look for direct log-ins"), default=True)
    note = models.CharField(_("remark"), max_length=300, blank=True)
    changed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    changed_at = models.DateTimeField(_("changed at"))

    class Meta:
        verbose_name = _("hardening standard")
        verbose_name_plural = _("hardening standards")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "asset"), nulls_distinct=False, name="one_hardening_policy_per_place"
            ),
        )

    def __str__(self) -> str:
        return str(self.asset or self.customer)


class HardeningRun(TenantModel):
    """One look at some servers. It only reads, so that a worker who died is replaced and the server is asked again."""

    class Why(models.TextChoices):
        ASKED = "asked", _("Asked for")
        WEEKLY = "weekly", _("Every week")
        REMEDY = "remedy", _("After a change")

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        DONE = "done", pgettext_lazy("checks", "Done")
        CANCELLED = "cancelled", pgettext_lazy("checks", "Cancelled")

    LEASE: ClassVar[timedelta] = timedelta(minutes=5)
    """Longer than a batch takes with all its time-outs: whoever held it is dead."""

    why = models.CharField(_("why"), max_length=8, choices=Why, default=Why.ASKED)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.RUNNING)
    wants_stop = models.BooleanField(default=False)
    started_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    started_at = models.DateTimeField(_("started at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-started_at", "-pk")
        verbose_name = _("run of hardening checks")
        verbose_name_plural = _("runs of hardening checks")
        indexes = (models.Index(fields=("customer", "-started_at"), name="hardening_run_by_time"),)

    def __str__(self) -> str:
        return f"#{self.pk} {timezone.localtime(self.started_at):%F %H:%M}"


class HardeningCheck(TenantModel):
    """One server in a run, and what came of it in figures."""

    class State(models.TextChoices):
        PLANNED = "planned", pgettext_lazy("host", "To come")
        RUNNING = "running", _("Running")
        DONE = "done", pgettext_lazy("checks", "Done")
        FAILED = "failed", _("Not reached")
        SKIPPED = "skipped", pgettext_lazy("host", "Left out")

    run = models.ForeignKey(HardeningRun, on_delete=models.CASCADE, related_name="checks")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="hardening_checks")
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.PLANNED)
    problem_code = models.CharField(max_length=40, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    is_root = models.BooleanField(_("with root's rights"), default=False)
    system = models.CharField(_("operating system"), max_length=120, blank=True)
    score = models.PositiveSmallIntegerField(_("score"), null=True, blank=True)
    passed = models.PositiveSmallIntegerField(_("fulfilled"), default=0)
    failed = models.PositiveSmallIntegerField(_("not fulfilled"), default=0)
    unknown = models.PositiveSmallIntegerField(_("not checked"), default=0)
    excepted = models.PositiveSmallIntegerField(_("accepted"), default=0)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        ordering = ("run", "pk")
        verbose_name = _("hardening check")
        verbose_name_plural = _("hardening checks")
        constraints = (models.UniqueConstraint(fields=("run", "asset"), name="hardening_check_once"),)
        indexes = (
            models.Index(fields=("asset", "-ended_at"), condition=Q(state="done"), name="hardening_check_history"),
        )

    def __str__(self) -> str:
        return f"{self.asset} {self.run_id}"


class HardeningResult(TenantModel):
    """What one item was found to be. Never changed: the next look has rows of its own."""

    APPEND_ONLY: ClassVar[bool] = True

    class Outcome(models.TextChoices):
        PASSED = "passed", pgettext_lazy("item", "Fulfilled")
        FAILED = "failed", pgettext_lazy("item", "Not fulfilled")
        NOT_CHECKED = "not_checked", pgettext_lazy("item", "Not checked")

    check_of = models.ForeignKey(HardeningCheck, on_delete=models.CASCADE, related_name="results")
    item = models.CharField(_("item"), max_length=40)
    outcome = models.CharField(_("result"), max_length=12, choices=Outcome)
    reason = models.CharField(_("reason"), max_length=40)
    names = models.JSONField(default=list, blank=True)
    evidence = models.TextField(_("evidence"), blank=True)
    is_excepted = models.BooleanField(_("accepted by the customer"), default=False)

    class Meta:
        ordering = ("check_of", "pk")
        verbose_name = _("hardening result")
        verbose_name_plural = _("hardening results")
        constraints = (models.UniqueConstraint(fields=("check_of", "item"), name="hardening_result_once"),)

    def __str__(self) -> str:
        return f"{self.item}: {self.outcome}"


class HardenedServer(TenantModel):
    """What stands on a server now: its last look, and how far its log-ins have been read."""

    asset = models.OneToOneField(Asset, on_delete=models.PROTECT, related_name="hardening")
    latest = models.ForeignKey(HardeningCheck, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    score = models.PositiveSmallIntegerField(_("score"), null=True, blank=True)
    failed = models.PositiveSmallIntegerField(_("not fulfilled"), default=0)
    unknown = models.PositiveSmallIntegerField(_("not checked"), default=0)
    excepted = models.PositiveSmallIntegerField(_("accepted"), default=0)
    failing = models.JSONField(_("items not fulfilled"), default=list, blank=True)
    checked_at = models.DateTimeField(_("checked at"), null=True, blank=True)
    problem_code = models.CharField(max_length=40, blank=True)
    tried_at = models.DateTimeField(_("last tried"), null=True, blank=True)
    platform = models.JSONField(
        _("addresses of the platform"), default=list, blank=True, help_text=_("As the server sees them.")
    )
    logins_upto = models.DateTimeField(_("log-ins read up to"), null=True, blank=True)
    logins_read_at = models.DateTimeField(_("log-ins read at"), null=True, blank=True)
    logins_due_at = models.DateTimeField(_("log-ins read next"), null=True, blank=True)
    logins_problem = models.CharField(max_length=40, blank=True)
    logins_from = models.CharField(_("log-ins read from"), max_length=40, blank=True)
    logins_gap_at = models.DateTimeField(_("records were missing before"), null=True, blank=True)
    skew_s = models.FloatField(_("clock ahead by seconds"), null=True, blank=True)

    class Meta:
        verbose_name = _("hardened server")
        verbose_name_plural = _("hardened servers")
        indexes = (models.Index(fields=("logins_due_at",), name="hardened_server_logins_due"),)

    def __str__(self) -> str:
        return str(self.asset)


class HardeningExceptionQuerySet(TenantQuerySet["HardeningException"]):
    def in_force(self, now: datetime) -> Self:
        return self.filter(state=HardeningException.State.ACCEPTED, until__gt=now)

    def open(self) -> Self:
        return self.filter(state__in=(HardeningException.State.ASKED, HardeningException.State.ACCEPTED))


class HardeningException(TenantModel):
    """An item that a server does not fulfil, for a reason and until a day: the customer answers for it (R154)."""

    class State(models.TextChoices):
        ASKED = "asked", pgettext_lazy("exception", "Waits for the customer")
        ACCEPTED = "accepted", pgettext_lazy("exception", "Accepted")
        DECLINED = "declined", pgettext_lazy("exception", "Not accepted")
        ENDED = "ended", pgettext_lazy("exception", "Ended")
        LAPSED = "lapsed", pgettext_lazy("exception", "Lapsed")

    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    item = models.CharField(_("item"), max_length=40)
    reason = models.CharField(_("reason"), max_length=500)
    until = models.DateTimeField(_("until"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ASKED)
    asked_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(_("asked at"))
    attestation = models.ForeignKey(
        "incidents.Attestation", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(HardeningExceptionQuerySet)()

    class Meta:
        ordering = ("-asked_at", "-pk")
        verbose_name = _("hardening exception")
        verbose_name_plural = _("hardening exceptions")
        constraints = (
            models.UniqueConstraint(
                fields=("asset", "item"),
                condition=Q(state__in=("asked", "accepted")),
                name="one_open_hardening_exception",
            ),
        )

    def __str__(self) -> str:
        return f"{self.asset}: {self.item}"


class HardeningRemedy(TenantModel):
    """A change that is to make an item right on a server; once it has run there, the server is looked at again."""

    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    item = models.CharField(_("item"), max_length=40)
    change = models.ForeignKey("changes.Change", on_delete=models.PROTECT, related_name="+")
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(_("proposed at"))
    run = models.ForeignKey(HardeningRun, on_delete=models.SET_NULL, related_name="+", null=True, blank=True)
    settled_at = models.DateTimeField(_("settled at"), null=True, blank=True)

    class Meta:
        ordering = ("-proposed_at", "-pk")
        verbose_name = _("hardening remedy")
        verbose_name_plural = _("hardening remedies")
        constraints = (
            models.UniqueConstraint(
                fields=("asset", "item"), condition=Q(settled_at=None), name="one_open_hardening_remedy"
            ),
        )

    def __str__(self) -> str:
        return f"{self.asset}: {self.item}"


class DirectLogin(TenantModel):
    """Somebody logged in to a server and did not come through the bastion."""

    class FoundIn(models.TextChoices):
        JOURNAL = "journal", _("Journal")
        FILE = "file", _("Log file")
        WTMP = "wtmp", _("Log-in records (wtmp)")

    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(_("at"))
    account = models.CharField(_("account"), max_length=128)
    source = models.GenericIPAddressField(_("from"), null=True, blank=True, help_text=_("Empty: the console."))
    port = models.PositiveIntegerField(_("port"), default=0)
    method = models.CharField(_("method"), max_length=40, blank=True)
    key = models.CharField(_("key"), max_length=160, blank=True)
    found_in = models.CharField(_("found in"), max_length=8, choices=FoundIn)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    seen_at = models.DateTimeField(_("found at"))
    incident = models.ForeignKey(
        "incidents.Incident", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    explanation = models.CharField(_("explanation"), max_length=500, blank=True)
    explained_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    explained_at = models.DateTimeField(_("explained at"), null=True, blank=True)

    class Meta:
        ordering = ("-at", "-pk")
        verbose_name = _("direct log-in")
        verbose_name_plural = _("direct log-ins")
        constraints = (
            models.CheckConstraint(
                condition=Q(explained_at=None, explanation="")
                | Q(explained_at__isnull=False, explained_by__isnull=False) & ~Q(explanation=""),
                name="explained_login_says_how",
            ),
        )
        indexes = (
            models.Index(fields=("customer", "-at"), name="direct_login_by_time"),
            models.Index(fields=("asset", "-at"), name="direct_login_by_asset"),
            models.Index(fields=("customer",), condition=Q(explained_at=None), name="direct_login_unexplained"),
        )

    def __str__(self) -> str:
        return f"{self.account}@{self.asset} {timezone.localtime(self.at):%F %T}"
