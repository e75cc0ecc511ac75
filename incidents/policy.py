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

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, frozen: dict[str, object]) -> Self:
        return cls(**frozen)  # type: ignore[arg-type]  # what as_json() wrote

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
    runs_always = term.handling_calendar == SlaTerm.HandlingCalendar.ALWAYS
    version = None if runs_always else calendars.current_version(customer)
    return Policy(
        severity=severity.value,
        contract="" if contract is None else contract.number,
        response_minutes=term.response_minutes,
        monitoring_response_minutes=term.monitoring_response_minutes,
        notice_minutes=term.notice_minutes,
        handling_calendar=term.handling_calendar,
        handling_minutes=term.handling_minutes,
        calendar_version_id=None if version is None else version.pk,
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
    )


def calendar_of(clock: Clock) -> Calendar:
    """The calendar that the clock was started on; an edit since then made another version (T12)."""
    return ALWAYS if clock.calendar_version_id is None else calendar_version(clock.calendar_version_id)


@lru_cache(maxsize=256)
def calendar_version(version_id: int) -> Calendar:
    """A version as clocks count with it. Versions never change, so each is read once."""
    with scope.platform("business calendars are read for whoever's clock it is"):
        return calendars.load(CalendarVersion.objects.select_related("calendar").get(pk=version_id))
