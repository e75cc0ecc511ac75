"""Sending a signed issue of any family to people of the customer; that they read it, and their receipt."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

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
from reports.models import WrittenIssue, WrittenRecipient, WrittenReport
from reports.permissions import rank_of
from reports.services import families, reaching, writing
from reports.states import State, Verb
from timers import services as timers

SALT: Final = "reports"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A recipient with what became of the mail; `returned`: why it came back."""

    recipient: WrittenRecipient
    mail: str
    returned: str = ""


def candidates(report: WrittenReport) -> list[User]:
    """Who can get it: the active people of the customer, its contacts first."""
    people = User.objects.filter(customer=report.customer, is_active=True)
    contacts = set(Contact.objects.filter(customer=report.customer).values_list("user_id", flat=True))
    return sorted(people, key=lambda person: (person.pk not in contacts, person.name))


@transaction.atomic
def send(*, report: WrittenReport, people: Sequence[User], actor: User, now: datetime) -> list[WrittenRecipient]:
    """Give the latest issue to these people, by inbox and mail; to the same person again it is sent again."""
    report = writing.hold(report)
    family = families.of(report)
    if not states.may_ever(Verb.SEND, rank_of(actor)):
        raise PermissionDenied
    if states.find(Verb.SEND, report.stage, rank_of(actor)) is None:
        raise DomainError(_("Only what has been signed can be sent."), code="wrong_state")
    issue = family.issue.objects.select_related("file").filter(report=report).latest("number")
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
        family.file.objects.filter(pk=issue.file.pk).update(sent_at=now)
    report.sent_at = report.sent_at or now
    timers.cancel(prefix=report.key)
    late = report.sent_at > report.due_at
    writing.become(report, State.SENT, "send", actor, now, issue=issue.number, to=sorted(chosen), late=late)
    return sent


@transaction.atomic
def take_receipt(
    *, recipient: WrittenRecipient, way: WrittenRecipient.Way, now: datetime, address: str | None = None
) -> WrittenRecipient:
    """Write down that it arrived, once: the first time counts."""
    audit.hold(recipient.customer_id)
    report = recipient.issue.report
    rows = families.of(report).recipient.objects.select_for_update(of=("self",))
    recipient = rows.select_related("user", "customer", "issue", "issue__report").get(pk=recipient.pk)
    if recipient.received_at is None:
        recipient.received_at, recipient.received_by, recipient.received_from = now, way, address
        recipient.read_at = recipient.read_at or now
        recipient.save()
        detail = {"issue": recipient.issue.number, "way": way.value}
        audit.record(
            action=f"{report.NOUN}.receive", actor=recipient.user, customer=recipient.customer, obj=report,
            detail=detail, now=now,
        )  # fmt: skip
        live.publish(customer_id=recipient.customer_id, topic="reports", object_id=report.pk)
    return recipient


def note_reading(*, issue: WrittenIssue, person: User, now: datetime) -> None:
    """The first time that a recipient opens it, in whatever form: the read mark."""
    rows = families.of(issue).recipient.objects.filter(issue=issue, user=person, read_at=None)
    if rows.update(read_at=now):
        live.publish(customer_id=issue.customer_id, topic="reports", object_id=issue.report.pk)


def confirm(*, issue: WrittenIssue, actor: User, now: datetime, address: str | None = None) -> WrittenRecipient:
    """Somebody to whom it was sent confirms in the portal that they have it."""
    require_write(actor)
    recipient: WrittenRecipient | None = families.of(issue).recipient.objects.filter(issue=issue, user=actor).first()
    if recipient is None:
        raise PermissionDenied
    return take_receipt(recipient=recipient, way=WrittenRecipient.Way.PORTAL, now=now, address=address)


def token_for(recipient: WrittenRecipient) -> str:
    """The secret of the mail's link. It is worth something until `link_ends_at`, and only for this person's issue."""
    report = recipient.issue.report
    return signing.dumps([report.FAMILY, recipient.pk, recipient.user_id], salt=SALT)


def by_token(token: str, *, now: datetime) -> WrittenRecipient | None:
    """The recipient whose link this is, while it works. Opens the platform's scope to look, and closes it again."""
    try:
        name, recipient_id, user_id = signing.loads(token, salt=SALT)
        family = families.FAMILIES[name]
    except (signing.BadSignature, ValueError, TypeError, KeyError):
        return None
    with scope.platform("the link of a mail"):
        rows = family.recipient.objects.select_related("customer", "user", "issue", "issue__report", "issue__file")
        found = rows.filter(pk=recipient_id, user_id=user_id, user__is_active=True, link_ends_at__gt=now).first()
    return cast("WrittenRecipient | None", found)


def receipts(issue: WrittenIssue) -> list[Receipt]:
    """To whom it went, and what became of the mails."""
    rows = families.of(issue).recipient.objects.filter(issue=issue)
    recipients = list(rows.select_related("user", "sent_by", "issue__report"))
    said = reaching.mails(recipients)
    return [_receipt(recipient, said.get(recipient.pk)) for recipient in recipients]


def _receipt(recipient: WrittenRecipient, mail: Delivery | None) -> Receipt:
    if mail is None:
        return Receipt(recipient, "")
    if mail.returned_at is not None:
        return Receipt(recipient, _("came back"), mail.returned_because or _("no reason was given"))
    return Receipt(recipient, str(mail.get_state_display()))


def _give(report: WrittenReport, issue: WrittenIssue, person: User, actor: User, now: datetime) -> WrittenRecipient:
    recipient: WrittenRecipient
    ends_at = now + timedelta(days=settings.REPORT_LINK_DAYS)
    recipient, created = families.of(report).recipient.objects.get_or_create(
        issue=issue,
        user=person,
        customer_id=report.customer_id,
        defaults={"email": person.email, "sent_by": actor, "sent_at": now, "link_ends_at": ends_at},
    )
    if not created:
        recipient.times += 1
        recipient.link_ends_at = ends_at
        recipient.failed_at, recipient.failure = None, ""
        recipient.save(update_fields=["times", "link_ends_at", "failed_at", "failure"])
    _tell(report, issue, recipient, person, now)
    return recipient


def _tell(report: WrittenReport, issue: WrittenIssue, recipient: WrittenRecipient, person: User, now: datetime) -> None:
    link = settings.PUBLIC_URL + reverse("reports:open", args=[token_for(recipient)])
    names = {
        "number": report.number,
        "link": link,
        "day": f"{timezone.localtime(recipient.link_ends_at):%Y-%m-%d}",
        "name": issue.signed_name,
    }
    with translation.override(person.language):
        names["title"] = report.title.replace("[", "【").replace("]", "】")
        subject = _("Report %(number)s: %(title)s") % names
        if issue.number > 1:
            subject = _("Report %(number)s, issued again: %(title)s") % names
        lines = [_("Signed by %(name)s.") % names]
        if issue.reason:
            lines.append(_("Why it is issued again: %(reason)s") % {"reason": issue.reason[:500]})
        inbox = notify.Message(Topic.ACCOUNT, subject, "\n\n".join(lines), f"/reports/{report.FAMILY}/{report.pk}/")
        lines.append(_("[Open the report as PDF](%(link)s) (the link works until %(day)s)") % names)
        mail = notify.Message(Topic.ACCOUNT, subject, "\n\n".join(lines), f"/reports/{report.FAMILY}/{report.pk}/")
    key = reaching.key(recipient)
    notes = [notify.Note(person, key, inbox, ("inbox",)), notify.Note(person, key, mail, ("email",))]
    notify.tell_many(customer=report.customer, notes=notes, now=now)
