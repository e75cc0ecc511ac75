"""The contract's promise for one severity, frozen on the incident when the severity is set (R61)."""

from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Self

from django.utils import timezone

from accounts import scope
from accounts.calendars import ALWAYS, Calendar
from accounts.models import CalendarVersion, Customer, Severity, SlaTerm
from accounts.services import calendars, customers
from incidents.models import Clock, Incident

FIRST_SHARES = (67,)
"""Of incidents that were opened before the contract named the shares."""


@dataclass(frozen=True, slots=True)
class Terms:
    minutes: int | None
    calendar_version_id: int | None


@dataclass(frozen=True, slots=True)
class Policy:
    """One row of SOW table 1 as agreed with one customer, and the calendar version it is counted on."""

    severity: int
    contract: str
    response_minutes: int
    monitoring_response_minutes: int
    notice_minutes: int
    handling_calendar: str
    handling_minutes: int | None
    calendar_version_id: int | None
    # What incidents of the first version did not have yet.
    customer_reply_minutes: int | None = None
    reply_version_id: int | None = None
    report_minutes: int | None = None
    warning_shares: tuple[int, ...] = FIRST_SHARES

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, frozen: dict[str, object]) -> Self:
        shares = frozen.get("warning_shares", FIRST_SHARES)
        return cls(**{**frozen, "warning_shares": tuple(shares)})  # type: ignore[arg-type]  # what as_json() wrote

    def terms(self, kind: Clock.Kind, source: str) -> Terms:
        """How long a clock of this kind may take, and on which calendar version that is counted."""
        match kind:
            case Clock.Kind.NOTICE:
                return Terms(self.notice_minutes, None)
            case Clock.Kind.RESPONSE:
                return Terms(self.response_target(source), None)
            case Clock.Kind.HANDLING:
                return Terms(self.handling_minutes, self.calendar_version_id)
            case Clock.Kind.STAGE_REPORT:
                return Terms(self.report_minutes, self.calendar_version_id)
            case Clock.Kind.CUSTOMER_REPLY:
                return Terms(self.customer_reply_minutes, self.reply_version_id)

    def reminders_version(self, clock: Clock) -> int | None:
        """On which calendar people are reminded of a clock (T7): the provider is at work whenever the clock runs; the
        customer's people are left in peace out of hours, unless the severity keeps everybody awake."""
        return clock.calendar_version_id if clock.is_of_provider else self.calendar_version_id

    def response_target(self, source: str) -> int:
        """Minutes to respond: 15 for whatever a customer submits, the table's own for an alert (R54, R55, Q3)."""
        return self.monitoring_response_minutes if source == Incident.Source.MONITORING else self.response_minutes

    @property
    def hours(self) -> str:
        """The hours of handling as people read them: 7 × 24 or 5 × 8."""
        return str(SlaTerm.HandlingCalendar(self.handling_calendar).label)


def freeze(*, customer: Customer, severity: Severity, now: datetime) -> Policy:
    """What the customer's contract promises today; the SOW's own table when there is no contract yet."""
    contract = customers.contract_in_force(customer, timezone.localdate(now))
    term = None if contract is None else contract.sla_terms.filter(severity=severity).first()
    if term is None:
        term = _sow_term(severity)
    hours = (term.handling_calendar, term.customer_reply_calendar)
    version = calendars.current_version(customer) if SlaTerm.HandlingCalendar.BUSINESS in hours else None
    handling, reply = (None if of == SlaTerm.HandlingCalendar.ALWAYS else version for of in hours)
    return Policy(
        severity=severity.value,
        contract="" if contract is None else contract.number,
        response_minutes=term.response_minutes,
        monitoring_response_minutes=term.monitoring_response_minutes,
        notice_minutes=term.notice_minutes,
        handling_calendar=term.handling_calendar,
        handling_minutes=term.handling_minutes,
        calendar_version_id=None if handling is None else handling.pk,
        customer_reply_minutes=term.customer_reply_minutes,
        reply_version_id=None if reply is None else reply.pk,
        report_minutes=term.report_minutes,
        warning_shares=tuple(term.warning_shares),
    )


def _sow_term(severity: Severity) -> SlaTerm:
    """The row of SOW table 1, unsaved."""
    term = customers.default_terms()[severity.value - 1]
    return SlaTerm(
        severity=severity,
        response_minutes=term["response_minutes"],
        monitoring_response_minutes=term["monitoring_response_minutes"],
        notice_minutes=term["notice_minutes"],
        handling_calendar=term["handling_calendar"],
        customer_reply_minutes=term["customer_reply_minutes"],
        customer_reply_calendar=term["customer_reply_calendar"],
        report_minutes=term["report_minutes"],
        warning_shares=list(term["warning_shares"]),
    )


def calendar_of(clock: Clock) -> Calendar:
    """The calendar that the clock was started on; an edit since then made another version (T12)."""
    return calendar_at(clock.calendar_version_id)


def calendar_at(version_id: int | None) -> Calendar:
    """One version of a calendar; none is around the clock."""
    return ALWAYS if version_id is None else calendar_version(version_id)


@lru_cache(maxsize=256)
def calendar_version(version_id: int) -> Calendar:
    """A version as clocks count with it. Versions never change, so each is read once."""
    with scope.platform("business calendars are read for whoever's clock it is"):
        return calendars.load(CalendarVersion.objects.select_related("calendar").get(pk=version_id))
