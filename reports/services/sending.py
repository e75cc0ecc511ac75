"""Sending a signed issue to people of the customer, and their receipt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts import audit, scope
from accounts.errors import DomainError
from accounts.models import Contact, User
from accounts.permissions import require_write
from notify import live
from notify import services as notify
from notify.models import Delivery, Topic
from reports import states
from reports.models import AccidentFile, AccidentIssue, AccidentRecipient, AccidentReport
from reports.permissions import rank_of
from reports.services.accidents import key_of
from reports.states import State, Verb
from timers import services as timers

SALT: Final = "reports.accident"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A recipient with what the mail server said."""

    recipient: AccidentRecipient
    mail: str


def candidates(report: AccidentReport) -> list[User]:
    """Who can get it: the active people of the customer, its contacts first."""
    people = User.objects.filter(customer=report.customer, is_active=True)
    contacts = set(Contact.objects.filter(customer=report.customer).values_list("user_id", flat=True))
    return sorted(people, key=lambda person: (person.pk not in contacts, person.name))


def usual(report: AccidentReport) -> set[int]:
    """Who gets it unless somebody chooses otherwise: the contacts, and whoever raised the incident."""
    contacts = set(Contact.objects.filter(customer=report.customer).values_list("user_id", flat=True))
    raised_by = report.incident.raised_by
    return contacts | ({raised_by.pk} if raised_by and raised_by.customer_id == report.customer_id else set())


@transaction.atomic
def send(*, report: AccidentReport, people: Sequence[User], actor: User, now: datetime) -> list[AccidentRecipient]:
    """Give the latest issue to these people, by inbox and mail; to the same person again it is sent again."""
    audit.hold(report.customer_id)
    held = AccidentReport.objects.select_for_update(no_key=True, of=("self",))
    report = held.select_related("customer", "incident").get(pk=report.pk)
    if not states.may_ever(Verb.SEND, rank_of(actor)):
        raise PermissionDenied
    if states.find(Verb.SEND, report.stage, rank_of(actor)) is None:
        raise DomainError(_("Only what has been signed can be sent."), code="wrong_state")
    issue = AccidentIssue.objects.select_related("file").filter(report=report).latest("number")
    if not issue.file.is_ready:
        raise DomainError(
            _("The document is still being made. Nothing was sent: try again in a moment."), code="not_made"
        )
    theirs = {person.pk for person in candidates(report)}
    chosen = {person.pk: person for person in people}
    if not chosen or chosen.keys() - theirs:
        raise DomainError(_("Please choose at least one person of the customer."), code="nobody")
    sent = [_give(report, issue, person, actor, now) for person in chosen.values()]
    if issue.file.sent_at is None:
        AccidentFile.objects.filter(pk=issue.file.pk).update(sent_at=now)
    report.state = State.SENT
    report.sent_at = report.sent_at or now
    report.changed_at = now
    report.save()
    timers.cancel(prefix=key_of(report))
    detail = {"issue": issue.number, "to": sorted(chosen), "late": report.sent_at > report.due_at}
    audit.record(action="accident.send", actor=actor, customer=report.customer, obj=report, detail=detail, now=now)
    live.publish(customer_id=report.customer_id, topic="reports", object_id=report.pk)
    return sent


@transaction.atomic
def take_receipt(
    *, recipient: AccidentRecipient, way: AccidentRecipient.Way, now: datetime, address: str | None = None
) -> AccidentRecipient:
    """Write down that it arrived, once: the first time counts."""
    audit.hold(recipient.customer_id)
    recipient = (
        AccidentRecipient.objects.select_for_update(of=("self",))
        .select_related("user", "customer", "issue", "issue__report")
        .get(pk=recipient.pk)
    )
    if recipient.received_at is None:
        recipient.received_at, recipient.received_by, recipient.received_from = now, way, address
        recipient.save()
        report = recipient.issue.report
        detail = {"issue": recipient.issue.number, "way": way.value}
        audit.record(
            action="accident.receive", actor=recipient.user, customer=recipient.customer, obj=report, detail=detail,
            now=now,
        )  # fmt: skip
        live.publish(customer_id=recipient.customer_id, topic="reports", object_id=report.pk)
    return recipient


def confirm(*, issue: AccidentIssue, actor: User, now: datetime, address: str | None = None) -> AccidentRecipient:
    """Somebody to whom it was sent confirms in the portal that they have it."""
    require_write(actor)
    recipient = AccidentRecipient.objects.filter(issue=issue, user=actor).first()
    if recipient is None:
        raise PermissionDenied
    return take_receipt(recipient=recipient, way=AccidentRecipient.Way.PORTAL, now=now, address=address)


def token_for(recipient: AccidentRecipient) -> str:
    """The secret of the mail's link. It is worth something until `link_ends_at`, and only for this person's issue."""
    return signing.dumps([recipient.pk, recipient.user_id], salt=SALT)


def by_token(token: str, *, now: datetime) -> AccidentRecipient | None:
    """The recipient whose link this is, while it works. Opens the platform's scope to look, and closes it again."""
    try:
        recipient_id, user_id = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    with scope.platform("the link of a mail"):
        rows = AccidentRecipient.objects.select_related("customer", "user", "issue", "issue__report", "issue__file")
        return rows.filter(pk=recipient_id, user_id=user_id, user__is_active=True, link_ends_at__gt=now).first()


def receipts(issue: AccidentIssue) -> list[Receipt]:
    """To whom it went, and what became of the mails."""
    recipients = list(AccidentRecipient.objects.filter(issue=issue).select_related("user", "sent_by"))
    keys = {_key(recipient): recipient.pk for recipient in recipients}
    mails = Delivery.objects.filter(key__in=keys, medium=Delivery.Medium.EMAIL)
    said = {keys[mail.key]: str(mail.get_state_display()) for mail in mails}
    return [Receipt(recipient, said.get(recipient.pk, "")) for recipient in recipients]


def _give(report: AccidentReport, issue: AccidentIssue, person: User, actor: User, now: datetime) -> AccidentRecipient:
    ends_at = now + timedelta(days=settings.REPORT_LINK_DAYS)
    recipient, created = AccidentRecipient.objects.get_or_create(
        issue=issue,
        user=person,
        customer_id=report.customer_id,
        defaults={"email": person.email, "sent_by": actor, "sent_at": now, "link_ends_at": ends_at},
    )
    if not created:
        recipient.times += 1
        recipient.link_ends_at = ends_at
        recipient.save(update_fields=["times", "link_ends_at"])
    _tell(report, issue, recipient, person, now)
    return recipient


def _tell(
    report: AccidentReport, issue: AccidentIssue, recipient: AccidentRecipient, person: User, now: datetime
) -> None:
    link = settings.PUBLIC_URL + reverse("reports:accident-open", args=[token_for(recipient)])
    names = {
        "number": report.number,
        "title": report.incident.title.replace("[", "【").replace("]", "】"),
        "link": link,
        "day": f"{timezone.localtime(recipient.link_ends_at):%Y-%m-%d}",
        "name": issue.signed_name,
    }
    with translation.override(person.language):
        subject = _("Accident report %(number)s: %(title)s") % names
        if issue.number > 1:
            subject = _("Accident report %(number)s, issued again: %(title)s") % names
        lines = [_("Signed by %(name)s.") % names]
        if issue.reason:
            lines.append(_("Why it is issued again: %(reason)s") % {"reason": issue.reason[:500]})
        inbox = notify.Message(Topic.ACCOUNT, subject, "\n\n".join(lines), f"/reports/accidents/{report.pk}/")
        lines.append(_("[Open the report as PDF](%(link)s) (the link works until %(day)s)") % names)
        mail = notify.Message(Topic.ACCOUNT, subject, "\n\n".join(lines), f"/reports/accidents/{report.pk}/")
    key = _key(recipient)
    notes = [notify.Note(person, key, inbox, ("inbox",)), notify.Note(person, key, mail, ("email",))]
    notify.tell_many(customer=report.customer, notes=notes, now=now)


def _key(recipient: AccidentRecipient) -> str:
    return f"accident:issue:{recipient.issue_id}:{recipient.user_id}:{recipient.times}"
