"""What people are told about a change, each in their own language, and who is told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.permissions import is_customer_pm
from changes.links import token_of
from changes.models import ApprovalLevel, Change, ChangeEntry, Delegation, OperationRun
from changes.run_words import problem_text
from changes.telling import BY_MAIL, INBOX, TOPIC, Text, contacts_here, tell
from incidents import duty
from notify import services as notify
from notify.services import Message

EXCERPT = 300
CALLING = ("inbox", "push", "email")


def decision_wanted(change: Change, level: ApprovalLevel, *, now: datetime) -> None:
    """To each who may decide, with a link that is theirs alone; a customer's people also on their channels' phones."""
    for person in User.objects.filter(pk__in=level.deciders, is_active=True):
        url = reverse("changes:decide-by-link", args=[token_of(level.pk, person.pk)])
        key = f"change:{change.pk}:decide:{level.pk}:{person.pk}:{now:%Y%m%d%H%M%S}"
        _tell(change, key, [person], lambda: _decision(change), now=now, channels=CALLING, url=url)


def _decision(change: Change) -> tuple[str, str]:
    names = {"number": change.number, "title": change.title}
    window = "" if change.starts_at is None else _("Window: %(span)s") % {"span": _span(change)}
    risk = _("Risk: %(risk)s") % {"risk": change.get_risk_display()}
    return _("Please decide: %(number)s %(title)s") % names, _lines(
        f"{change.customer}", change.reason[:EXCERPT], risk, window
    )


def ready(change: Change, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("%(number)s is ready") % {"number": change.number}, _lines(change.title, _span(change))

    _tell(change, _key(change, "ready"), _ours(change, now), text, now=now)


def begun(change: Change, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": change.number, "name": actor.name}
        return _("%(name)s has begun %(number)s") % names, _lines(change.title, _span(change))

    _tell(change, _key(change, "begun"), _theirs(change), text, now=now)


def finished(change: Change, actor: User, *, now: datetime) -> None:
    """The customer is asked to test."""

    def text() -> tuple[str, str]:
        ask = _("Please test it, and sign it off or say what is not right.")
        return _("%(number)s is done: please test it") % {"number": change.number}, _lines(
            change.title, change.result[:EXCERPT], ask
        )

    _tell(change, _key(change, "finished"), _theirs(change), text, now=now, channels=CALLING)


def failed(change: Change, actor: User, reason: str, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("%(number)s has failed") % {"number": change.number}, _lines(change.title, reason[:EXCERPT])

    people = [*_theirs(change), *_ours(change, now), *duty.also_when_missed(customer_id=change.customer_id, at=now)]
    _tell(change, _key(change, "failed"), _but(people, actor), text, now=now, channels=BY_MAIL)


def run_needs_person(change: Change, run: OperationRun, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": change.number, "target": run.target, "state": run.get_state_display()}
        return _("%(number)s, %(target)s: %(state)s") % names, _lines(
            change.title, problem_text(run.problem_code, run.problem)[:EXCERPT]
        )

    _tell(change, f"change:{change.pk}:run:{run.pk}:{now:%Y%m%d%H%M%S}", _ours(change, now), text, now=now)


def rolled_back(change: Change, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("%(number)s is rolled back") % {"number": change.number}, _lines(change.title, change.result[:EXCERPT])

    _tell(change, _key(change, "back"), _but([*_theirs(change), *_ours(change, now)], actor), text, now=now)


def signed_off(change: Change, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": change.number, "name": actor.name}
        return _("%(name)s has signed %(number)s off") % names, change.title

    _tell(change, _key(change, "signed"), _ours(change, now), text, now=now)


def refused(change: Change, actor: User, words: str, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": change.number, "name": actor.name}
        return _("%(name)s has refused %(number)s") % names, _lines(change.title, words[:EXCERPT])

    people = [change.requester, *_ours(change, now)]
    _tell(change, _key(change, "refused"), _but(people, actor), text, now=now, channels=BY_MAIL)


def lapsed(change: Change, level: ApprovalLevel, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": change.number, "level": level.get_duty_display()}
        return _("%(number)s: nobody has decided as %(level)s") % names, _lines(
            change.title, _("Ask again, or give it up.")
        )

    _tell(change, _key(change, "lapsed"), _ours(change, now), text, now=now, channels=BY_MAIL)


def cancelled(change: Change, actor: User, reason: str, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("%(number)s is cancelled") % {"number": change.number}, _lines(change.title, reason[:EXCERPT])

    people = [change.requester, *_theirs(change), *_ours(change, now)]
    _tell(change, _key(change, "cancelled"), _but(people, actor), text, now=now)


def commented(change: Change, entry: ChangeEntry, actor: User, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"number": change.number, "name": actor.name}
        return _("%(name)s wrote on %(number)s") % names, _lines(change.title, entry.body[:EXCERPT])

    people = _theirs(change) if actor.is_provider else _ours(change, now)
    _tell(change, f"change:{change.pk}:comment:{entry.pk}", _but(people, actor), text, now=now)


def overran(change: Change, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        ask = _("Move the end of the window, finish, or roll back: its alarms are heard again.")
        return _("%(number)s is past its window") % {"number": change.number}, _lines(change.title, ask)

    people = [*_ours(change, now), *duty.also_when_missed(customer_id=change.customer_id, at=now)]
    _tell(change, _key(change, "overran"), people, text, now=now, channels=BY_MAIL)


def missed_window(change: Change, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        return _("%(number)s has missed its window") % {"number": change.number}, _lines(
            change.title, _("Nothing was done. Give it another window, or give it up.")
        )

    _tell(change, _key(change, "missed"), _ours(change, now), text, now=now)


def review_wanted(change: Change, managers: Iterable[int], *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        unsigned = _("The customer's spoken yes is not signed: %(state)s.") % {"state": change.signature_text}
        return _("%(number)s was an emergency: please review it") % {"number": change.number}, _lines(
            f"{change.customer}", change.title, unsigned if change.lacks_signature else "", change.result[:EXCERPT]
        )

    people = User.objects.filter(pk__in=list(managers))
    _tell(change, f"change:{change.pk}:review:{now:%Y%m%d%H%M}", people, text, now=now, channels=BY_MAIL)


def delegated(delegation: Delegation, *, now: datetime) -> None:
    """To whose word was given to somebody else by a third person: they hear of it, and may take it back."""
    person = delegation.principal
    names = {
        "name": delegation.made_by.name,
        "delegate": delegation.delegate.name,
        "from": f"{delegation.begins_on:%Y-%m-%d}",
        "until": f"{delegation.ends_on:%Y-%m-%d}",
    }
    with translation.override(person.language):
        message = Message(
            topic=TOPIC,
            subject=_("%(delegate)s decides on changes for you") % names,
            text=_(
                "%(name)s has let %(delegate)s decide for you, from %(from)s until %(until)s. You may take it back "
                "under “Approvals”."
            )
            % names,
            url=reverse("changes:approvals"),
        )
    notify.tell(
        user=person, key=f"delegation:{delegation.pk}", message=message, now=now, channels=BY_MAIL,
        customer=delegation.customer,
    )  # fmt: skip


def _ours(change: Change, now: datetime) -> list[User]:
    return duty.first_to_know(customer_id=change.customer_id, assignee=change.owner, at=now)


def _theirs(change: Change) -> list[User]:
    """Whoever tests for the customer and whoever asked for it; else its project managers."""
    named = [one for one in (change.customer_owner, change.requester) if one is not None and not one.is_provider]
    if any(is_customer_pm(person) for person in named):
        return named
    return [*named, *contacts_here(change.customer_id)]


def _but(people: Iterable[User], actor: User) -> list[User]:
    return [person for person in people if person.pk != actor.pk]


def _key(change: Change, what: str) -> str:
    return f"change:{change.pk}:{what}:{change.version}"


def _tell(
    change: Change,
    key: str,
    people: Iterable[User],
    text: Text,
    *,
    now: datetime,
    channels: tuple[str, ...] = INBOX,
    url: str = "",
) -> None:
    tell(
        change.customer,
        key,
        people,
        text,
        about=f"change:{change.pk}",
        url=url or f"/changes/{change.pk}/",
        now=now,
        channels=channels,
        reference=change.number,
    )


def _span(change: Change) -> str:
    if change.starts_at is None or change.ends_at is None:
        return ""
    starts, ends = timezone.localtime(change.starts_at), timezone.localtime(change.ends_at)
    return f"{starts:%m-%d %H:%M} – {ends:%m-%d %H:%M}"


def _lines(*lines: str) -> str:
    return "\n\n".join(line for line in lines if line)
