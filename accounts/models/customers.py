"""The customer (甲方), the contract that says what was promised, and the contacts of both sides."""

from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from simple_history.models import HistoricalRecords

from accounts import reach, scope
from accounts.tenancy import TenantModel


class Severity(models.IntegerChoices):
    """The four severities of SOW table 1 (R53); a smaller number is worse."""

    DISASTER = 1, _("Disaster")
    HIGH = 2, _("High")
    AVERAGE = 3, _("Average")
    WARNING = 4, _("Warning")


class CustomerQuerySet(models.QuerySet["Customer"]):
    def in_service(self) -> Self:
        return self.filter(status=Customer.Status.IN_SERVICE)


class CustomerManager(models.Manager["Customer"]):
    """Customers within the current scope; raises `scope.ScopeRequired` when there is none."""

    def get_queryset(self) -> CustomerQuerySet:
        current = scope.required()
        rows = CustomerQuerySet(self.model, using=self._db)
        return rows if current.customer_ids is None else rows.filter(reach.within(current.setting, "pk"))

    def none(self) -> CustomerQuerySet:
        """Nobody, which needs no scope: forms and serializers ask for it before there is one."""
        return CustomerQuerySet(self.model, using=self._db).none()


class Customer(models.Model):
    """One isolated tenant, the customer's "RDMP 企业账号" (R1)."""

    class Status(models.TextChoices):
        ONBOARDING = "onboarding", _("Onboarding")
        IN_SERVICE = "in_service", _("In service")
        LEAVING = "leaving", _("Leaving")
        LEFT = "left", _("Left")

    name = models.CharField(_("name"), max_length=200, unique=True)
    short_name = models.CharField(_("short name"), max_length=40)
    code = models.SlugField(_("code"), max_length=40, unique=True)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ONBOARDING)
    language = models.CharField(_("language"), max_length=10, default="zh-hans")
    notes = models.TextField(_("notes"), blank=True)
    created_at = models.DateTimeField(_("created at"))

    objects = CustomerManager()

    class Meta:
        ordering = ("name",)
        verbose_name = _("customer")
        verbose_name_plural = _("customers")

    def __str__(self) -> str:
        return self.short_name or self.name


class Contract(TenantModel):
    """What was agreed with a customer: term, governing document, quotas (R1, R2, R7, R8)."""

    number = models.CharField(_("contract number"), max_length=60)
    provider_name = models.CharField(_("provider"), max_length=200)
    customer_party = models.CharField(_("customer party"), max_length=200)
    signed_on = models.DateField(_("signed on"))
    starts_on = models.DateField(_("starts on"))
    ends_on = models.DateField(_("ends on"))
    sow_version = models.CharField(_("SOW version"), max_length=60)
    governing_document = models.CharField(
        _("governing document"),
        max_length=200,
        help_text=_("The statement of work prevails over the contract where the two differ (SOW §1)."),
    )
    middleware_quota = models.PositiveIntegerField(
        _("middleware instances"), default=50, help_text=_("Counted per instance: Tomcat on 5 hosts is 5.")
    )
    url_quota = models.PositiveIntegerField(_("monitored URLs"), default=5)
    probe_points_per_url = models.PositiveSmallIntegerField(_("probe points per URL"), default=3)
    port_quota = models.PositiveIntegerField(
        _("monitored ports"), null=True, blank=True, help_text=_("Empty means unlimited.")
    )
    closing_days = models.PositiveSmallIntegerField(
        _("closing, working days"),
        null=True,
        blank=True,
        help_text=_(
            "A resolved incident closes by itself after so many working days without an answer. "
            "Empty: as the platform is set; 0: never."
        ),
    )
    history = HistoricalRecords()

    class Meta:
        ordering = ("-starts_on", "-pk")
        verbose_name = _("contract")
        verbose_name_plural = _("contracts")
        constraints = (
            models.UniqueConstraint(fields=("customer", "number"), name="contract_number_once_per_customer"),
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="contract_ends_after_it_starts"),
        )

    def __str__(self) -> str:
        return self.number


MOST_WARNINGS = 5


def default_warning_shares() -> list[int]:
    return [50, 80]


def validate_shares(shares: object) -> None:
    """A rising list of a few whole percentages, each once."""
    fits = (
        isinstance(shares, list)
        and len(shares) <= MOST_WARNINGS
        and all(type(share) is int and 0 < share < 100 for share in shares)
        and shares == sorted(set(shares))
    )
    if not fits:
        raise ValidationError(_("Please give up to five rising percentages between 1 and 99, such as 50, 80."))


class SlaTerm(TenantModel):
    """One row of SOW table 1 as agreed with one customer; the defaults come from `accounts/data/sla.json`."""

    class HandlingCalendar(models.TextChoices):
        ALWAYS = "7x24", _("7 × 24")
        BUSINESS = "5x8", _("5 × 8")

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="sla_terms")
    severity = models.PositiveSmallIntegerField(_("severity"), choices=Severity)
    definition = models.TextField(_("definition"))
    customer_duty = models.TextField(_("customer's duty"))
    response_minutes = models.PositiveIntegerField(
        _("response, minutes"), help_text=_("For incidents that a customer raises (SOW table 1, note).")
    )
    monitoring_response_minutes = models.PositiveIntegerField(
        _("response to monitoring, minutes"), help_text=_("For incidents born from an alert.")
    )
    notice_minutes = models.PositiveIntegerField(
        _("notice, minutes"), help_text=_("Within this time the alert must have been sent to the customer.")
    )
    handling_calendar = models.CharField(_("handling hours"), max_length=4, choices=HandlingCalendar)
    handling_minutes = models.PositiveIntegerField(
        _("handling target, minutes"),
        null=True,
        blank=True,
        help_text=_("Empty: the statement of work promises the hours of work, not a limit."),
    )
    customer_reply_minutes = models.PositiveIntegerField(_("customer's reply, minutes"))
    customer_reply_calendar = models.CharField(
        _("hours of the customer's reply"),
        max_length=4,
        choices=HandlingCalendar,
        default=HandlingCalendar.ALWAYS,
        help_text=_("7 × 24: the 48 hours of the statement of work are hours of the clock on the wall (Q4)."),
    )
    report_minutes = models.PositiveIntegerField(
        _("stage report, minutes"),
        null=True,
        blank=True,
        help_text=_("While an incident is unsolved, the customer hears of its stage this often. Empty: no limit."),
    )
    warning_shares = models.JSONField(
        _("warnings, % of the time"),
        default=default_warning_shares,
        validators=[validate_shares],
        help_text=_("Whoever has to act is warned when so much of a clock's time is used up."),
    )
    history = HistoricalRecords()

    class Meta:
        ordering = ("contract", "severity")
        verbose_name = _("SLA term")
        verbose_name_plural = _("SLA terms")
        constraints = (
            models.UniqueConstraint(fields=("contract", "severity"), name="one_sla_term_per_severity"),
            models.CheckConstraint(
                condition=Q(response_minutes__gt=0) & Q(monitoring_response_minutes__gt=0), name="sla_response_positive"
            ),
            models.CheckConstraint(
                condition=Q(report_minutes=None) | Q(report_minutes__gt=0), name="sla_report_positive"
            ),
        )

    def __str__(self) -> str:
        return str(Severity(self.severity).label)


class Contact(TenantModel):
    """A person whom the customer named (R180, R181, R184). They belong to the customer's enterprise account."""

    class Kind(models.TextChoices):
        FIRST_PM = "first_pm", _("First project manager")
        SECOND_PM = "second_pm", _("Second project manager")
        PRIMARY = "primary", _("Primary service contact")
        SECONDARY = "secondary", _("Secondary service contact")

    kind = models.CharField(_("duty"), max_length=20, choices=Kind)
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="contact_duties")
    phone = models.CharField(_("phone"), max_length=40)
    email = models.EmailField(_("e-mail"))
    is_away = models.BooleanField(_("away"), default=False)
    history = HistoricalRecords()

    class Meta:
        ordering = ("kind", "pk")
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        constraints = (
            models.UniqueConstraint(
                fields=("customer", "kind"),
                condition=~Q(kind="secondary"),
                name="one_contact_per_duty",
                violation_error_message=_("This duty is taken: change the person who has it."),
            ),
            models.UniqueConstraint(fields=("customer", "kind", "user"), name="contact_has_a_duty_once"),
            models.CheckConstraint(condition=~Q(phone="") & ~Q(email=""), name="contact_can_be_reached"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.user}"


class ProviderContact(TenantModel):
    """A person of the provider (乙方) named to a customer (R182)."""

    class Kind(models.TextChoices):
        PROJECT_OWNER = "project_owner", _("Project owner")
        OPERATIONS = "operations", _("Operations engineer")
        MANAGER = "manager", _("Service manager")
        SECURITY = "security", _("Security officer")

    kind = models.CharField(_("duty"), max_length=20, choices=Kind)
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="provider_duties")
    history = HistoricalRecords()

    class Meta:
        ordering = ("kind", "pk")
        verbose_name = _("provider contact")
        verbose_name_plural = _("provider contacts")
        constraints = (
            models.UniqueConstraint(fields=("customer", "kind", "user"), name="provider_contact_has_a_duty_once"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.user}"
