"""What people are told about cost: the customer by its own policy, its groups, and the engineers who serve it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Customer, Severity, User
from costs.models import BillReading, CostAnomaly, SavingProposal
from incidents import duty
from notify import services as notify
from notify.services import policies

TOPIC: Final = "alert"
SEVERITY: Final = Severity.WARNING
MEDIA: Final = ("inbox", "email")
MOVERS_SAID: Final = 3
Text = Callable[[], tuple[str, str]]


def unusual(anomaly: CostAnomaly, *, now: datetime) -> None:
    """Once for each anomaly: the key makes it one."""

    def text() -> tuple[str, str]:
        names = {
            "what": anomaly.what,
            "day": anomaly.first_day.isoformat(),
            "amount": f"{anomaly.amount:,.2f}",
            "usual": f"{anomaly.usual:,.2f}",
        }
        subject = _("Unusual cost: %(what)s, %(amount)s yuan on %(day)s, usually %(usual)s") % names
        lines = [
            _("%(name)s: %(amount)s yuan, usually %(usual)s")
            % {"name": one["name"], "amount": f"{one['amount']:,.2f}", "usual": f"{one['usual']:,.2f}"}
            for one in anomaly.movers[:MOVERS_SAID]
        ]
        lines.append(_("Please say what it was, or that it is expected."))
        return subject, "\n".join(lines)

    url, key = f"/costs/anomalies/{anomaly.pk}/", f"cost-anomaly:{anomaly.pk}"
    customer = anomaly.customer
    with translation.override(customer.language):
        message = _message(text(), url)
    notify.broadcast(customer=customer, key=key, message=message, now=now)
    _tell(customer, _Told(key, url, text), [*_contacts(customer), *_engineers(customer, now)], now)


def denied(reading: BillReading, *, now: datetime) -> None:
    """The AccessKey may not read bills. A finding for those who serve the customer, not an outage."""

    def text() -> tuple[str, str]:
        names = {"account": reading.cloud_account.name, "customer": reading.customer}
        subject = _("Bills of %(account)s (%(customer)s) may not be read") % names
        return subject, _(
            "The AccessKey lacks the permission bss:DescribeInstanceBill. Grant AliyunBSSReadOnlyAccess to its RAM "
            "user; what is missed meanwhile is read afterwards."
        )

    url = f"/assets/cloud-accounts/{reading.cloud_account_id}/"
    key = f"bills-denied:{reading.pk}:{now:%Y%m%d%H%M}"
    customer = reading.cloud_account.customer
    _tell(customer, _Told(key, url, text), _engineers(customer, now), now)


def decided(proposal: SavingProposal, *, now: datetime) -> None:
    """The engineers hear what the customer decided."""

    def text() -> tuple[str, str]:
        names = {"title": proposal.headline, "name": proposal.decided_by.name if proposal.decided_by else ""}
        accepted = proposal.state == "accepted"
        subject = _("%(name)s accepts: %(title)s") % names if accepted else _("%(name)s rejects: %(title)s") % names
        return subject, proposal.reason

    customer = proposal.customer
    key = f"saving:{proposal.pk}:{proposal.state}:{now.timestamp():.0f}"
    _tell(customer, _Told(key, f"/costs/proposals/{proposal.pk}/", text), _engineers(customer, now), now)


def proposed(customer: Customer, proposals: list[SavingProposal], *, now: datetime) -> None:
    """New proposals of one look: one message for all of them."""

    def text() -> tuple[str, str]:
        count = len(proposals)
        subject = ngettext("%(count)s new proposal to save cost", "%(count)s new proposals to save cost", count) % {
            "count": count
        }
        lines = [f"{one.number} {one.headline}" for one in proposals[:10]]
        return subject, "\n".join(lines)

    people = [*_contacts(customer), *_engineers(customer, now)]
    told = _Told(f"savings:{customer.pk}:{proposals[0].pk}", f"/costs/proposals/?customer={customer.pk}", text)
    _tell(customer, told, people, now)


def _contacts(customer: Customer) -> list[User]:
    """The customer's contacts for warnings, as its notification policy names them."""
    plan = policies.plans_of(customer)[SEVERITY]
    return [one.user for one in policies.recipients(customer, plan)] if plan.messages else []


def _engineers(customer: Customer, now: datetime) -> list[User]:
    return duty.first_to_know(customer_id=customer.pk, assignee=None, at=now)


@dataclass(frozen=True, slots=True)
class _Told:
    """A message before it is in anybody's language."""

    key: str
    url: str
    text: Text


def _tell(customer: Customer, told: _Told, people: Iterable[User], now: datetime) -> None:
    plan = policies.plans_of(customer)[SEVERITY]
    held = policies.held_until(customer, plan, now=now)
    notes = []
    for person in {person.pk: person for person in people}.values():
        with translation.override(person.language):
            message = _message(told.text(), told.url)
        media = MEDIA if person.is_provider else plan.messages
        waits = None if person.is_provider else held
        stand_in = "" if person.is_provider else "email"
        note = notify.Note(person, f"{told.key}:{person.pk}", message, media, not_before=waits, without_device=stand_in)
        notes.append(note)
    notify.tell_many(customer=customer, notes=notes, now=now)


def _message(text: tuple[str, str], url: str) -> notify.Message:
    subject, body = text
    return notify.Message(topic=TOPIC, subject=subject[:200], text=body, url=url, severity=SEVERITY)
