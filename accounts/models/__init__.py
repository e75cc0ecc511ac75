"""Customers, contracts, people, rosters, calendars, the audit log and the secrets."""

from accounts.models.calendars import BusinessCalendar, CalendarDay, CalendarVersion
from accounts.models.customers import Contact, Contract, Customer, ProviderContact, Severity, SlaTerm
from accounts.models.entry import EntryRule
from accounts.models.people import ApiToken, Assignment, Invitation, Role, User
from accounts.models.records import AuditEntry, Secret
from accounts.models.roster import RosterFeed, RosterShift, Rotation, ShiftSwap

__all__ = [
    "ApiToken",
    "Assignment",
    "AuditEntry",
    "BusinessCalendar",
    "CalendarDay",
    "CalendarVersion",
    "Contact",
    "Contract",
    "Customer",
    "EntryRule",
    "Invitation",
    "ProviderContact",
    "Role",
    "RosterFeed",
    "RosterShift",
    "Rotation",
    "Secret",
    "Severity",
    "ShiftSwap",
    "SlaTerm",
    "User",
]
