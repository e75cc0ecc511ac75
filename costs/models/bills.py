"""Bills as they were read: one ledger row per account and day, one line per resource, day and kind of charge."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import ClassVar, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from accounts.tenancy import ScopedManager, TenantModel, TenantQuerySet
from assets.words import say
from costs import settling
from incidents.months import Month

LEFT_READ_FOR = timedelta(days=100)
"""So long the days of a customer that has left are read, until its last month is final and was checked."""


class Charge(models.TextChoices):
    USAGE = "usage", _("Use")
    SUBSCRIPTION = "subscription", _("Subscription")
    REFUND = "refund", _("Refund")
    ADJUSTMENT = "adjustment", _("Adjustment")


class BillReadingQuerySet(TenantQuerySet["BillReading"]):
    def claimable(self, now: datetime) -> Self:
        """Due and in nobody's hands. Who has left is read on until its last month is final, so that it is issued."""
        there = self.filter(cloud_account__retired_at=None, cloud_account__is_enabled=True)
        open_days = BillDay.objects.filter(cloud_account=OuterRef("cloud_account"), next_due_at__isnull=False)
        is_final = ~Exists(open_days.filter(day__gt=settling.today(now) - LEFT_READ_FOR))
        there = there.exclude(is_final, customer__status=Customer.Status.LEFT)
        return there.filter(Q(lease_until=None) | Q(lease_until__lte=now), next_due_at__lte=now)


class BillReading(TenantModel):
    """The reading of one account's bills. Which days are read stands in `BillDay`."""

    cloud_account = models.OneToOneField("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    began_at = models.DateTimeField(_("read since"))
    next_due_at = models.DateTimeField(_("next due at"))
    lease_until = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(_("last read"), null=True, blank=True)
    looked_at = models.DateTimeField(_("looked for savings at"), null=True, blank=True)
    unjudged = models.JSONField(_("without figures to judge by"), default=list)
    stopped = models.JSONField(_("found stopped, and since when"), default=dict)
    problem_code = models.CharField(max_length=80, blank=True)
    problem_detail = models.CharField(_("what Alibaba Cloud said"), max_length=400, blank=True)
    problem_since = models.DateTimeField(_("problem since"), null=True, blank=True)
    denied_since = models.DateTimeField(_("without permission since"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(BillReadingQuerySet)()

    class Meta:
        verbose_name = _("reading of bills")
        verbose_name_plural = _("reading of bills")
        indexes = (models.Index(fields=("next_due_at",), name="bill_reading_due"),)

    def __str__(self) -> str:
        return f"bills of account {self.cloud_account_id}"

    @property
    def is_denied(self) -> bool:
        """The AccessKey may not read bills: nothing is broken, somebody has to allow it. It lasts until bills are read
        again, whatever other trouble comes between."""
        return self.denied_since is not None

    @property
    def problem(self) -> str:
        return say(self.problem_code, self.problem_detail) if self.problem_code else ""


class BillDayQuerySet(TenantQuerySet["BillDay"]):
    def due(self, now: datetime) -> Self:
        """News first, then what is read again, then the past from its end."""
        return self.filter(next_due_at__lte=now).order_by("-day")

    def read(self) -> Self:
        return self.exclude(read_at=None)

    def served(self) -> Self:
        """Of accounts whose bills are still to come: an account that is retired or switched off, or whose AccessKey
        may not read bills, is waited for by nobody."""
        there = self.filter(cloud_account__retired_at=None, cloud_account__is_enabled=True)
        return there.exclude(cloud_account__in=BillReading.objects.exclude(denied_since=None).values("cloud_account"))

    def awaited(self) -> Self:
        """Not read yet, and to come."""
        return self.served().filter(read_at=None)

    def of_month(self, month: Month) -> Self:
        """The days of a month."""
        first, end = settling.ends(month)
        return self.filter(day__gte=first, day__lt=end)


class BillDay(TenantModel):
    """A day of an account: a day that has no reading is unknown, and never free of charge."""

    cloud_account = models.ForeignKey("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    day = models.DateField(_("day"))
    read_at = models.DateTimeField(_("read at"), null=True, blank=True)
    next_due_at = models.DateTimeField(_("read again at"), null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(BillDayQuerySet)()

    class Meta:
        ordering = ("-day", "pk")
        verbose_name = _("day of a bill")
        verbose_name_plural = _("days of bills")
        constraints = (models.UniqueConstraint(fields=("cloud_account", "day"), name="bill_day_once"),)
        indexes = (models.Index(fields=("customer", "day"), name="bill_day_by_customer"),)

    def __str__(self) -> str:
        return f"{self.cloud_account_id} {self.day}"


class BillLineQuerySet(TenantQuerySet["BillLine"]):
    def between(self, first: date, end: date) -> Self:
        """From one day to the day before another."""
        return self.filter(day__gte=first, day__lt=end)

    def usage(self) -> Self:
        return self.filter(charge=Charge.USAGE)


class BillLine(TenantModel):
    """What a resource cost on a day. Once its month is issued the database refuses every change (R6)."""

    cloud_account = models.ForeignKey("assets.CloudAccount", on_delete=models.PROTECT, related_name="+")
    day = models.DateField(_("day"))
    product_code = models.CharField(_("product code"), max_length=60)
    product_name = models.CharField(_("product"), max_length=120)
    instance_id = models.CharField(_("instance ID"), max_length=128, blank=True)
    charge = models.CharField(_("charge"), max_length=12, choices=Charge)
    name = models.CharField(_("name"), max_length=200, blank=True)
    region = models.CharField(_("region"), max_length=60, blank=True)
    spec = models.CharField(_("specification"), max_length=120, blank=True)
    amount = models.DecimalField(_("payable, CNY"), max_digits=16, decimal_places=6)
    gross = models.DecimalField(_("by the price list, CNY"), max_digits=16, decimal_places=6)
    items = models.JSONField(_("items"), default=dict)
    asset = models.ForeignKey("assets.Asset", on_delete=models.PROTECT, related_name="+", null=True, blank=True)

    objects: ClassVar = ScopedManager.from_queryset(BillLineQuerySet)()

    class Meta:
        ordering = ("-day", "product_code", "instance_id", "pk")
        verbose_name = _("line of a bill")
        verbose_name_plural = _("lines of bills")
        constraints = (
            models.UniqueConstraint(
                fields=("cloud_account", "day", "product_code", "instance_id", "charge"), name="bill_line_once"
            ),
            models.CheckConstraint(condition=Q(charge__in=Charge.values), name="bill_charge_is_known"),
        )
        indexes = (
            models.Index(fields=("customer", "day"), name="bill_line_by_customer"),
            models.Index(fields=("asset", "day"), condition=Q(asset__isnull=False), name="bill_line_by_asset"),
            models.Index(fields=("customer", "instance_id", "day"), name="bill_line_by_resource"),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.product_code} {self.instance_id}"

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.product_code, self.instance_id, self.charge)
