"""What people are told about an incident, each in their own language, and who is told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Customer, Severity, User
from incidents import contacting, contacts, duty
from incidents.models import (
    Clock,
    EscalationStep,
    Incident,
    IncidentAlert,
    IncidentKind,
    Satisfaction,
    TimelineEntry,
)
from incidents.states import State
from incidents.timeline import sentence
from notify import services as notify
from notify.services import Message

Text = Callable[[], tuple[str, str]]
"""Subject and text, written when called, in the language that is then active."""

EXCERPT = 300
ACKNOWLEDGE = "acknowledge"  # what a message asks of the provider's people (`incidents.services.answering`)
FIRST_HEARS = ("inbox", "push")
"""Whoever has to know first is pushed at once; calls and SMS are the escalation's."""
BAD_SCORE = 2
INBOX = ("inbox",)
INBOX_AND_EMAIL = ("inbox", "email")


class Post:
    """What is to be said about incidents of one customer: gathered, then written into the outbox all at once."""

    def __init__(self, customer: Customer, *, now: datetime) -> None:
        self.customer = customer
        self.now = now
        self._notices: list[notify.Notice] = []
        self._notes: list[notify.Note] = []
        self._calls: list[contacting.Wanted] = []
        self._wishes = contacting.Wishes(customer)
        self._first: dict[int | None, list[User]] = {}

    def broadcast(
        self,
        incident: Incident,
        what: str,
        topic: str,
        text: Text,
        *,
        severity: int | None = None,
        channels: Sequence[int] = (),
        asks: str = "",
    ) -> None:
        """To the customer's channels, or only to those named, in its language."""
        with translation.override(self.customer.language):
            message = _message(incident, topic, text(), severity, asks=asks)
        is_internal = incident.kind == IncidentKind.INTERNAL
        key = f"incident:{incident.pk}:{what}"
        self._notices.append(notify.Notice(key, message, tuple(channels), is_internal))

    def inform(
        self, incident: Incident, what: str, text: Text, *, topic: str = "incident", is_progress: bool = True
    ) -> None:
        """To the customer's contacts, as agreed for the severity: messages, and a call until somebody is reached."""
        told = contacting.news(incident, what, text, self._wishes, topic=topic, is_progress=is_progress, now=self.now)
        self._notes.extend(told.notes)
        if told.call is not None:
            self._calls.append(told.call)

    def tell(
        self,
        incident: Incident,
        what: str,
        people: Iterable[User],
        text: Text,
        *,
        topic: str = "incident",
        channels: tuple[str, ...] = ("inbox",),
        key: str = "",
        asks: str = "",
        numbers: Mapping[int, str] | None = None,
    ) -> None:
        """To people, each in their own language. With a `key` of its own the message can be withdrawn by it.

        `numbers` are called and texted instead of people's own.
        """
        messages: dict[str, Message] = {}
        for person in people:
            if incident.kind == IncidentKind.INTERNAL and not person.is_provider:
                continue
            if person.language not in messages:
                with translation.override(person.language):
                    messages[person.language] = _message(incident, topic, text(), None, asks=asks)
            own = key or f"incident:{incident.pk}:{what}:{person.pk}"
            number = (numbers or {}).get(person.pk, "")
            self._notes.append(notify.Note(person, own, messages[person.language], channels, number))

    def first(self, incident: Incident) -> list[User]:
        """Whoever has to know of the incident first."""
        if incident.assignee_id not in self._first:
            self._first[incident.assignee_id] = _first(incident, self.now)
        return self._first[incident.assignee_id]

    def send(self) -> None:
        notify.broadcast_many(customer=self.customer, notices=self._notices, now=self.now)
        notify.tell_many(customer=self.customer, notes=self._notes, now=self.now)
        contacting.start_together(self._calls, now=self.now)
        self._notices, self._notes, self._calls = [], [], []


def opened(incident: Incident, *, now: datetime) -> None:
    post = Post(incident.customer, now=now)
    post_opened(post, incident)
    post.send()


def post_opened(post: Post, incident: Incident, *, channels: Sequence[int] = ()) -> None:
    """To the customer's groups and to whoever is on duty. `channels`: those that the rule of its alarm names."""

    def text() -> tuple[str, str]:
        subject = _("%(severity)s: %(title)s") % {"severity": _severity(incident), "title": incident.title}
        return subject, _lines(
            f"**{incident.number}** {incident.customer}",
            incident.description[:EXCERPT],
            _("Opened at %(time)s") % {"time": _time(incident.opened_at)},
            _response_line(incident),
        )

    topic = "alert" if incident.source == Incident.Source.MONITORING else "incident"
    post.broadcast(incident, "opened", topic, text, channels=channels, asks=ACKNOWLEDGE)
    post.tell(incident, "opened", post.first(incident), text, channels=FIRST_HEARS, asks=ACKNOWLEDGE)
    post.inform(incident, "opened", text, topic=topic, is_progress=False)


def post_alert_joined(post: Post, incident: Incident, alert: IncidentAlert, body: str) -> None:
    def text() -> tuple[str, str]:
        subject = _("%(severity)s: %(title)s") % {"severity": Severity(alert.severity).label, "title": alert.title}
        where = _("Part of %(number)s %(title)s") % {"number": incident.number, "title": incident.title}
        return subject, _lines(where, body[:EXCERPT], _("Since %(time)s") % {"time": _time(alert.occurred_at)})

    post.broadcast(incident, f"alert:{alert.pk}", "alert", text, severity=alert.severity, channels=alert.channels)


def post_reminded(post: Post, incident: Incident, alert: IncidentAlert, body: str, *, flaps: bool) -> None:
    """Still so: after a silence, after an acknowledgement that ran out, while it comes and goes."""

    def text() -> tuple[str, str]:
        name = {"title": alert.title}
        subject = _("Flapping: %(title)s") % name if flaps else _("Still firing: %(title)s") % name
        return subject, _lines(f"**{incident.number}** {incident.title}", body[:EXCERPT])

    key = f"alert:{alert.pk}:{post.now:%Y%m%d%H%M%S}"
    post.broadcast(incident, key, "alert", text, severity=alert.severity, channels=alert.channels)


def post_recovered(
    post: Post, incident: Incident, alert: IncidentAlert, body: str, at: datetime, *, how: str = ""
) -> None:
    """`how`: it ended, but no figure said that it is good; nobody is told that it has recovered."""

    def text() -> tuple[str, str]:
        name = {"title": alert.title, "how": how}
        subject = _("Ended (%(how)s): %(title)s") % name if how else _("Recovered: %(title)s") % name
        ended = {"time": _time(at)}
        return subject, _lines(
            f"**{incident.number}** {incident.title}",
            body[:EXCERPT],
            _("Ended at %(time)s") % ended if how else _("Recovered at %(time)s") % ended,
        )

    post.broadcast(incident, f"recovery:{alert.pk}", "alert", text, severity=alert.severity, channels=alert.channels)


def post_escalated(post: Post, incident: Incident) -> None:
    """A worse alarm asks for a response again."""

    def text() -> tuple[str, str]:
        subject = _("%(number)s is now %(severity)s") % {"number": incident.number, "severity": _severity(incident)}
        return subject, _lines(incident.title, _response_line(incident))

    key = f"escalated:{incident.version}"
    post.tell(incident, key, post.first(incident), text, channels=FIRST_HEARS, asks=ACKNOWLEDGE)


def stands_alone(incident: Incident, *, now: datetime) -> None:
    """It was grouped under another, which called people for it; now they hear of it by itself."""

    def text() -> tuple[str, str]:
        subject = _("%(number)s stands alone: %(title)s") % {"number": incident.number, "title": incident.title}
        return subject, _lines(f"{incident.customer}", incident.description[:EXCERPT], _response_line(incident))

    _tell(incident, f"alone:{incident.version}", _first(incident, now), text, now=now)


def merged(duplicate: Incident, kept: Incident, actor: User, *, now: datetime) -> None:
    """Whoever raised the duplicate learns where it goes on, and hears of that one from now on."""

    def text() -> tuple[str, str]:
        names = {"number": duplicate.number, "kept": kept.number}
        return _("%(number)s goes on as %(kept)s") % names, _lines(kept.title, _("Both are the same trouble."))

    _tell(kept, f"merged:{duplicate.pk}", _raiser(duplicate, but=actor), text, now=now)


def acknowledged(incident: Incident, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": incident.number, "name": actor.name}
        return _("%(name)s has taken %(number)s") % names, incident.title

    _broadcast(incident, f"acknowledged:{incident.version}", "incident", text, now=now, informs=True)
    _tell(incident, f"acknowledged:{incident.version}", _raiser(incident, but=actor), text, now=now)


def assigned(incident: Incident, assignee: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("%(number)s is yours") % {"number": incident.number}, _lines(incident.title, _response_line(incident))

    _tell(incident, f"assigned:{incident.version}", [assignee], text, now=now)


def mentioned(
    incident: Incident, entry_id: int, actor: User, body: str, people: Iterable[User], *, now: datetime
) -> None:
    """To everybody whom the text names, by mail as well where they want mail."""

    def text() -> tuple[str, str]:
        names = {"name": actor.name, "number": incident.number}
        return _("%(name)s mentioned you on %(number)s") % names, _lines(incident.title, body[:EXCERPT])

    _tell(incident, f"mention:{entry_id}", people, text, now=now, channels=("inbox", "email"))


def commented(
    incident: Incident, entry_id: int, actor: User, body: str, *, now: datetime, but: Iterable[User] = ()
) -> None:
    """A customer's word goes to whoever has the incident in hand, the provider's to whoever raised it.

    `but`: those who hear of it anyway.
    """

    def text() -> tuple[str, str]:
        names = {"name": actor.name, "number": incident.number}
        return _("%(name)s wrote on %(number)s") % names, _lines(incident.title, body[:EXCERPT])

    people = _raiser(incident, but=actor) if actor.is_provider else _first(incident, now)
    informed = {person.pk for person in but}
    people = [person for person in people if person.pk not in informed]
    _tell(incident, f"comment:{entry_id}", people, text, now=now)


def heard(incident: Incident, entry_id: int, sender: str, body: str, *, now: datetime) -> None:
    """What somebody wrote who is not proven to be anybody goes to whoever has the incident in hand."""

    def text() -> tuple[str, str]:
        names = {"name": sender, "number": incident.number}
        return _("%(name)s wrote on %(number)s") % names, _lines(incident.title, body[:EXCERPT])

    _tell(incident, f"comment:{entry_id}", _first(incident, now), text, now=now)


def noted(
    incident: Incident, entry_id: int, actor: User, body: str, *, now: datetime, but: Iterable[User] = ()
) -> None:
    """An internal note, to the assignee only."""

    def text() -> tuple[str, str]:
        names = {"name": actor.name, "number": incident.number}
        return _("%(name)s left a note on %(number)s") % names, _lines(incident.title, body[:EXCERPT])

    assignee = incident.assignee
    if assignee is not None and assignee.pk not in {actor.pk, *(person.pk for person in but)}:
        _tell(incident, f"note:{entry_id}", [assignee], text, now=now)


def waiting(incident: Incident, actor: User, question: str, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": incident.number}
        return _("%(number)s waits for your reply") % names, _lines(incident.title, question[:EXCERPT])

    _broadcast(incident, f"waiting:{incident.version}", "incident", text, now=now, informs=True)
    people = {person.pk: person for person in [*_raiser(incident, but=actor), *contacts.to_ask(incident)]}
    _tell(incident, f"waiting:{incident.version}", people.values(), text, now=now)


def resolved(incident: Incident, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        subject = _("%(number)s is resolved") % {"number": incident.number}
        ask = _("Please confirm the solution, or reopen the incident if it is not solved.")
        return subject, _lines(incident.title, incident.resolution[:EXCERPT], ask)

    _broadcast(incident, f"resolved:{incident.version}", "incident", text, now=now, informs=True)
    _tell(incident, f"resolved:{incident.version}", _raiser(incident, but=actor), text, now=now)


def reopened(incident: Incident, actor: User, reason: str, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"name": actor.name, "number": incident.number}
        return _("%(name)s reopened %(number)s") % names, _lines(incident.title, reason[:EXCERPT])

    _broadcast(incident, f"reopened:{incident.version}", "incident", text, now=now, informs=actor.is_provider)
    people = _raiser(incident, but=actor) if actor.is_provider else _first(incident, now)
    _tell(incident, f"reopened:{incident.version}", people, text, now=now)


def stage_reported(incident: Incident, entry: TimelineEntry, actor: User, *, now: datetime) -> None:
    """To the customer's channels, whoever raised it and whoever the customer named (R80)."""

    def text() -> tuple[str, str]:
        names = {"number": incident.number}
        return _("Progress of %(number)s") % names, _lines(incident.title, sentence(entry), entry.body[:EXCERPT])

    _broadcast(incident, f"stage:{entry.pk}", "incident", text, now=now, informs=True)
    people = {person.pk: person for person in [*_raiser(incident, but=actor), *contacts.to_ask(incident)]}
    _tell(incident, f"stage:{entry.pk}", people.values(), text, now=now)


def deadline_near(incident: Incident, clock: Clock, *, now: datetime) -> None:
    """To whoever has to act: of a reply that is the customer's project manager (R59)."""

    def text() -> tuple[str, str]:
        names = {"number": incident.number, "clock": clock.get_kind_display(), "time": _time(clock.due_at)}
        return _("%(number)s: %(clock)s is due at %(time)s") % names, _lines(f"{incident.customer}", incident.title)

    people = _first(incident, now) if clock.is_of_provider else contacts.to_remind(incident)
    channels = INBOX if clock.is_of_provider else INBOX_AND_EMAIL
    what = f"near:{clock.pk}:{clock.warned_share}"
    _tell(incident, what, people, text, now=now, topic="sla", channels=channels)


def deadline_missed(incident: Incident, clock: Clock, *, now: datetime) -> None:
    """By e-mail too: of a reply to the customer's managers, of a report to whoever owes it, else to the second
    responder and the manager as well. A miss of ours asks for its reason."""

    def text() -> tuple[str, str]:
        names = {"number": incident.number, "clock": clock.get_kind_display(), "time": _time(clock.due_at)}
        subject = _("%(number)s: %(clock)s was due at %(time)s and has been missed") % names
        reason = _("Please write the reason on the incident.") if clock.is_of_provider else ""
        return subject, _lines(f"{incident.customer}", incident.title, reason)

    if not clock.is_of_provider:
        people = contacts.when_late(incident)
    elif clock.kind == Clock.Kind.STAGE_REPORT:
        people = _first(incident, now)
    else:
        people = [*_first(incident, now), *duty.also_when_missed(customer_id=incident.customer_id, at=now)]
    once = {person.pk: person for person in people}
    _tell(incident, f"missed:{clock.pk}", once.values(), text, now=now, topic="sla", channels=INBOX_AND_EMAIL)


def report_still_missing(incident: Incident, clock: Clock, *, now: datetime) -> None:
    """To the second responder and the manager."""

    def text() -> tuple[str, str]:
        names = {"number": incident.number, "time": _time(clock.due_at)}
        subject = _("%(number)s: the customer has heard nothing; the stage report was due at %(time)s") % names
        return subject, _lines(f"{incident.customer}", incident.title)

    people = duty.also_when_missed(customer_id=incident.customer_id, at=now)
    _tell(incident, f"chased:{clock.pk}", people, text, now=now, topic="sla", channels=INBOX_AND_EMAIL)


def closing_soon(incident: Incident, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": incident.number, "time": _time(incident.closes_at)}
        subject = _("%(number)s closes by itself at %(time)s") % names
        ask = _("Please confirm the solution, or reopen the incident if it is not solved.")
        return subject, _lines(incident.title, incident.resolution[:EXCERPT], ask)

    _tell(incident, f"closing:{incident.version}", _answering(incident), text, now=now, channels=INBOX_AND_EMAIL)


def closed_unanswered(incident: Incident, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": incident.number}
        undo = _("Nobody answered in time. If it is not solved, reopen it; and please tell us how content you are.")
        return _("%(number)s is closed") % names, _lines(incident.title, undo)

    _tell(incident, f"closed:{incident.version}", _answering(incident), text, now=now)


def rated(incident: Incident, given: Satisfaction, *, now: datetime) -> None:
    """To whoever solved it; a bad score to the manager as well."""

    def text() -> tuple[str, str]:
        names = {"number": incident.number, "score": given.score}
        return _("%(number)s: %(score)d of 5 stars") % names, _lines(incident.title, given.words[:EXCERPT])

    managers = duty.also_when_missed(customer_id=incident.customer_id, at=now) if given.score <= BAD_SCORE else []
    people = {person.pk: person for person in [*_first(incident, now), *managers]}
    _tell(incident, f"rated:{incident.version}:{given.score}:{now:%Y%m%d%H%M%S}", people.values(), text, now=now)


def escalation(
    incident: Incident,
    step: EscalationStep,
    people: Sequence[User],
    media: tuple[str, ...],
    *,
    now: datetime,
    numbers: Mapping[int, str],
) -> None:
    """Nobody has taken the incident: the people of a step are called. The key is the step's, to withdraw them by."""

    def text() -> tuple[str, str]:
        names = {"severity": _severity(incident), "number": incident.number, "title": incident.title}
        subject = _("%(severity)s waits: %(number)s %(title)s") % names
        return subject, _lines(
            _("Nobody has acknowledged it yet. You are called as: %(duty)s.") % {"duty": step.get_who_display()},
            f"{incident.customer}",
            incident.description[:EXCERPT],
            _("Opened at %(time)s") % {"time": _time(incident.opened_at)},
            _response_line(incident),
        )

    post = Post(incident.customer, now=now)
    asks = "" if step.who in duty.CUSTOMERS else "acknowledge"
    post.tell(incident, "", people, text, channels=media, key=step.message_key, asks=asks, numbers=numbers)
    post.send()


# --- how it is sent --------------------------------------------------------------------------------------------------


def _broadcast(incident: Incident, what: str, topic: str, text: Text, *, now: datetime, informs: bool = False) -> None:
    """`informs`: the customer's contacts hear of it in person, too."""
    post = Post(incident.customer, now=now)
    post.broadcast(incident, what, topic, text)
    if informs:
        post.inform(incident, what, text, topic=topic)
    post.send()


def _tell(
    incident: Incident,
    what: str,
    people: Iterable[User],
    text: Text,
    *,
    now: datetime,
    topic: str = "incident",
    channels: tuple[str, ...] = ("inbox",),
) -> None:
    post = Post(incident.customer, now=now)
    post.tell(incident, what, people, text, topic=topic, channels=channels)
    post.send()


def _message(incident: Incident, topic: str, text: tuple[str, str], severity: int | None, *, asks: str = "") -> Message:
    subject, body = text
    return Message(
        topic=topic,
        subject=subject,
        text=body,
        url=f"/incidents/{incident.pk}/",
        severity=severity or incident.severity,
        about=f"incident:{incident.pk}",
        asks=asks,
        reference=incident.number,
    )


def _first(incident: Incident, now: datetime) -> list[User]:
    return duty.first_to_know(customer_id=incident.customer_id, assignee=incident.assignee, at=now)


def _answering(incident: Incident) -> list[User]:
    """Who may confirm: the customer's person who raised it, else the project manager in charge."""
    raiser = incident.raised_by
    return [raiser] if raiser is not None and not raiser.is_provider else contacts.to_remind(incident)


def _raiser(incident: Incident, *, but: User) -> list[User]:
    """Whoever raised it or one of its duplicates."""
    people = {incident.raised_by_id: incident.raised_by}
    people |= {one.raised_by_id: one.raised_by for one in incident.duplicates.select_related("raised_by")}
    return [person for person in people.values() if person is not None and person.pk != but.pk]


def _severity(incident: Incident) -> str:
    return str(incident.level.label)


def _response_line(incident: Incident) -> str:
    """While nobody has it in hand, the nearest deadline is that of the response."""
    if incident.stage is not State.OPEN or incident.next_due_at is None:
        return ""
    return _("Response due at %(time)s") % {"time": _time(incident.next_due_at)}


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{timezone.localtime(moment):%m-%d %H:%M}"


def _lines(*lines: str) -> str:
    return "\n\n".join(line for line in lines if line)
