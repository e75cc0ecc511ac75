"""What people are told about reports, each in their own language."""

from collections.abc import Callable, Iterable
from datetime import datetime

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Role, User
from incidents import duty
from notify import services as notify
from notify.models import Topic
from reports.models import AccidentReport, ReportState, ServiceReport, WrittenRecipient, WrittenReport

Text = Callable[[], tuple[str, str]]
MEDIA = ("inbox", "email")


def accident_opened(report: AccidentReport, people: Iterable[User], *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        subject = _("%(number)s: an accident report is due by %(time)s") % _names(report)
        if report.trigger == AccidentReport.Trigger.OUTAGE:
            why = _("The outage has lasted for more than 30 minutes. The facts are filled in already.")
        else:
            why = _("It was opened by hand. The facts are filled in already.")
        return subject, _lines(_about(report), why)

    tell(report, "opened", people, text, now=now)


def drafted(report: ServiceReport, *, now: datetime) -> None:
    """The figures of the month are there: somebody may go on from them."""

    def text() -> tuple[str, str]:
        names = {"title": report.title}
        return _("%(title)s: the draft is there") % names, _lines(_about(report), _due(report))

    tell(report, "drafted", _writers(report, now), text, now=now)


def due_soon(report: ServiceReport, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"title": report.title}
        if report.sent_at is None:
            subject = _("%(title)s has not been sent yet") % names
        else:
            subject = _("%(title)s has reached nobody") % names
        return subject, _lines(_about(report), _state(report), _due(report))

    tell(report, f"soon:{now:%Y%m%d}", _writers(report, now), text, now=now)


def due_today(report: WrittenReport, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("%(number)s: due today, %(time)s") % _names(report), _lines(_about(report), _state(report))

    tell(report, f"due:{report.due_at:%Y%m%d}", _writers(report, now), text, now=now)


def missed(report: WrittenReport, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        if report.sent_at is None:
            subject = _("%(number)s: the report was due at %(time)s and has not been sent") % _names(report)
        else:
            subject = _("%(number)s: the report was due at %(time)s and has reached nobody") % _names(report)
        return subject, _lines(_about(report), _state(report))

    people = [*_writers(report, now), *duty.also_when_missed(customer_id=report.customer_id, at=now)]
    tell(report, f"missed:{report.due_at:%Y%m%d}", people, text, now=now)


def lost(report: WrittenReport, recipient: WrittenRecipient, why: str, *, everybody: bool, now: datetime) -> None:
    """Of each mail once; the managers hear as well when nobody has the report."""

    def text() -> tuple[str, str]:
        names = {**_names(report), "name": recipient.user.name}
        nobody = _("Nobody of the customer has it: it is owed as if it had not been sent.") if everybody else ""
        what = _("The mail to %(name)s (%(email)s) did not arrive: %(why)s") % {
            "name": recipient.user.name, "email": recipient.email, "why": why,
        }  # fmt: skip
        ways = _("Correct the address and send it again, or give it to them in another way.")
        return _("%(number)s did not reach %(name)s") % names, _lines(_about(report), what, nobody, ways)

    people = _writers(report, now)
    if everybody:
        people = [*people, *duty.also_when_missed(customer_id=report.customer_id, at=now)]
    tell(report, f"lost:{recipient.pk}:{recipient.times}", people, text, now=now)


def to_be_signed(report: WrittenReport, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {**_names(report), "name": actor.name}
        return _("%(name)s asks you to review and sign %(number)s") % names, _about(report)

    managers = duty.eligible_assignees(report.customer_id).filter(role=Role.MANAGER)
    people = [person for person in managers if person.pk != actor.pk]
    tell(report, f"review:{now:%Y%m%d%H%M%S}", people, text, now=now)


def returned(report: WrittenReport, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {**_names(report), "name": actor.name}
        return _("%(name)s returned %(number)s") % names, _lines(_about(report), report.reason[:1000])

    tell(report, f"returned:{now:%Y%m%d%H%M%S}", _writers(report, now), text, now=now)


def signed(report: WrittenReport, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {**_names(report), "name": actor.name}
        return _("%(name)s has signed %(number)s: it can be sent") % names, _about(report)

    people = [person for person in _writers(report, now) if person.pk != actor.pk]
    tell(report, f"signed:{now:%Y%m%d%H%M%S}", people, text, now=now)


def tell(report: WrittenReport, what: str, people: Iterable[User], text: Text, *, now: datetime) -> None:
    """To people by inbox and mail, in their own language. Reports are part of the contract: the mail always comes."""
    notes = []
    for person in {one.pk: one for one in people}.values():
        with translation.override(person.language):
            subject, body = text()
        message = notify.Message(Topic.ACCOUNT, subject, body, f"/reports/{report.FAMILY}/{report.pk}/")
        notes.append(notify.Note(person, f"{report.NOUN}:{report.pk}:{what}:{person.pk}", message, MEDIA))
    notify.tell_many(customer=report.customer, notes=notes, now=now)


def _writers(report: WrittenReport, now: datetime) -> list[User]:
    return duty.first_to_know(customer_id=report.customer_id, assignee=report.author, at=now)


def _names(report: WrittenReport) -> dict[str, str]:
    return {"number": report.number, "time": f"{timezone.localtime(report.due_at):%m-%d %H:%M}"}


def _about(report: WrittenReport) -> str:
    return f"**{report.customer}** {report.about}"


def _state(report: WrittenReport) -> str:
    return _("It is now “%(state)s”.") % {"state": ReportState(report.state).label}


def _due(report: WrittenReport) -> str:
    return _("It is due by %(time)s.") % _names(report)


def _lines(*lines: str) -> str:
    return "\n\n".join(line for line in lines if line)
