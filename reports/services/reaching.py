"""Whether a report has reached somebody: mails that were lost are told to whoever wrote it, and a report that nobody
has is owed again (R109: it reaches the customer)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts import audit
from notify import live
from notify.models import Delivery
from notify.states import State as Mail
from reports import messages
from reports.models import WrittenRecipient, WrittenReport
from reports.models.written import HAS_NOTHING
from reports.services import families

LOST = Q(state__in=(Mail.FAILED.value, Mail.SKIPPED.value)) | Q(returned_at__isnull=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """A recipient whose mail did not arrive, and why."""

    recipient: WrittenRecipient
    why: str


def key(recipient: WrittenRecipient) -> str:
    """Of the mail of this time that it was sent."""
    return f"{recipient.issue.report.NOUN}:issue:{recipient.issue.pk}:{recipient.user.pk}:{recipient.times}"


def mails(recipients: list[Any]) -> dict[int, Delivery]:
    """By the recipient's number."""
    keys = {key(recipient): recipient.pk for recipient in recipients}
    rows = Delivery.objects.filter(key__in=keys, medium=Delivery.Medium.EMAIL)
    return {keys[mail.key]: mail for mail in rows}


def lost(*, now: datetime) -> list[Lost]:
    """Mails with links that still work, which failed or came back and of which nobody was told. Needs a platform
    scope."""
    found: list[Lost] = []
    for family in families.FAMILIES.values():
        rows = family.recipient.objects.filter(failed_at=None, link_ends_at__gt=now)
        recipients = {one.pk: one for one in rows.select_related("user", "issue__report")}
        keys = {key(one): pk for pk, one in recipients.items()}
        found += [
            Lost(recipients[keys[mail.key]], mail.returned_because or mail.last_code or mail.state)
            for mail in Delivery.objects.filter(LOST, key__in=keys, medium=Delivery.Medium.EMAIL)
        ]
    return found


@transaction.atomic
def note(*, lost: Lost, now: datetime) -> bool:
    """Written down once, and told. A report that nobody has now is owed until its day as if it had not been sent.

    False: somebody was faster, or it was sent again meanwhile.
    """
    report = lost.recipient.issue.report
    audit.hold(report.customer_id)
    rows = families.of(report).recipient.objects
    mine = rows.filter(pk=lost.recipient.pk, failed_at=None, times=lost.recipient.times)
    if not mine.update(failed_at=now, failure=lost.why[:340]):
        return False
    detail = {"issue": lost.recipient.issue.number, "why": lost.why[:340]}
    audit.record(action=f"{report.NOUN}.lost", actor=None, customer=report.customer, obj=report, detail=detail, now=now)
    everybody = reached_nobody(report)
    messages.lost(report, lost.recipient, lost.why, everybody=everybody, now=now)
    if everybody:
        families.of(report).arm(report, now)
    live.publish(customer_id=report.customer_id, topic="reports", object_id=report.pk)
    return True


def reached_nobody(report: WrittenReport) -> bool:
    """It was sent, and every mail was lost; nor has anybody read it in the portal."""
    rows = families.of(report).recipient.objects.filter(issue__report=report)
    return report.sent_at is not None and rows.exists() and not rows.exclude(HAS_NOTHING).exists()


def is_owed(report: WrittenReport) -> bool:
    return report.is_owed or reached_nobody(report)


def words(report: WrittenReport) -> str:
    """What is wrong with a report that is owed."""
    if report.sent_at is None:
        return _("%(title)s has not been sent") % {"title": report.title}
    return _("%(title)s has reached nobody") % {"title": report.title}
