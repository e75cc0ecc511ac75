"""What people are told about access: each in their own language, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Assignment, Customer, Role, User
from accounts.services.people import administrators
from assets.models import Asset
from bastion.models import (
    AccessRequest,
    CommandReview,
    GroupAdministrator,
    GroupAsset,
    HostKeySighting,
    SshKey,
)
from notify import services as notify
from notify.models import Topic
from notify.services import Message

Text = Callable[[], tuple[str, str]]
EXCERPT: Final = 300
INBOX, CALLING = ("inbox",), ("inbox", "push", "email")
AT_ONCE: Final = ("inbox", "push")


def request_made(request: AccessRequest, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        names = {"name": request.person.name, "asset": request.asset.name}
        how = _("%(account)s, for %(minutes)d minutes") % {"account": request.account, "minutes": request.minutes}
        return _("%(name)s asks for access to %(asset)s") % names, _lines(how, request.reason)

    people = who_decides(request.asset, but=request.person)
    _tell_of_request(request, "asked", people, text, now=now, channels=CALLING)


def request_decided(request: AccessRequest, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        if request.grant is None or request.grant.until is None:
            return _("No access to %(asset)s") % {"asset": request.asset.name}, request.words
        said = {"asset": request.asset.name, "time": f"{timezone.localtime(request.grant.until):%m-%d %H:%M}"}
        return _("You have access to %(asset)s until %(time)s") % said, request.words

    _tell_of_request(request, "decided", [request.person], text, now=now, channels=CALLING)


def request_lapsed(request: AccessRequest, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        words = _("Nobody has answered in time. Ask again, or call the service desk.")
        return _("No answer about %(asset)s") % {"asset": request.asset.name}, words

    _tell_of_request(request, "lapsed", [request.person], text, now=now)


def review_wanted(review: CommandReview, *, now: datetime) -> None:
    def text() -> tuple[str, str]:
        session = review.session
        names = {"name": session.person.name, "asset": session.asset.name}
        if review.is_login:
            how = _("%(account)s, from %(address)s") % {"account": session.account, "address": session.client_address}
            return _("%(name)s waits to be let in to %(asset)s") % names, _lines(how, review.text)
        return _("%(name)s waits to run a command on %(asset)s") % names, f"`{review.text[:EXCERPT]}`"

    session = review.session
    _tell(
        review.customer,
        f"bastion:review:{review.pk}",
        who_decides(session.asset, but=session.person),
        text,
        about=f"bastion.review:{review.pk}",
        url=f"/bastion/reviews/{review.pk}/",
        now=now,
        channels=AT_ONCE,
        topic=Topic.ALERT,
    )


def key_removed(key: SshKey, *, actor: User, now: datetime) -> None:
    """By somebody else than its owner, who is told."""
    person = key.person
    with translation.override(person.language):
        subject = _("Your SSH key %(name)s was removed") % {"name": key.name}
        words = _("%(actor)s has removed it: it opens the bastion no more. Add another one if you still need it.")
        text = _lines(words % {"actor": actor.name}, key.fingerprint)
    message = Message(topic=Topic.ACCOUNT, subject=subject, text=text, url="/bastion/keys/")
    notify.tell(
        user=person, key=f"bastion:key-removed:{key.pk}", message=message, now=now, channels=CALLING,
        customer=person.customer,
    )  # fmt: skip


def host_key_met(sighting: HostKeySighting, *, now: datetime) -> None:
    """Of a changed key everybody hears who administers the server; of one at first sight, whoever confirms it."""
    is_changed = sighting.kind == HostKeySighting.Kind.CHANGED

    def text() -> tuple[str, str]:
        place = {"asset": sighting.asset.name, "place": f"{sighting.host}:{sighting.port}"}
        if is_changed:
            before = {"key": sighting.fingerprint_before or "—"}
            return _("The host key of %(asset)s has changed: blocked") % place, _lines(
                _("Somebody may impersonate %(place)s, or the server was set up anew.") % place,
                _("Before: %(key)s") % before,
                _("Now: %(key)s") % {"key": sighting.fingerprint},
            )
        return _("The host key of %(asset)s waits to be confirmed") % place, sighting.fingerprint

    def tell(people: Iterable[User], url: str) -> None:
        _tell(
            sighting.customer,
            f"bastion:host-key:{sighting.pk}",
            people,
            text,
            about=f"bastion.host_key:{sighting.pk}",
            url=url,
            now=now,
            channels=CALLING if is_changed else INBOX,
            topic=Topic.ALERT,
            severity=2 if is_changed else None,
        )

    deciding = administrators(sighting.customer_id)
    tell(deciding, f"/bastion/host-keys/{sighting.pk}/")
    if is_changed:
        known = {person.pk for person in deciding}
        others = [person for person in group_administrators(sighting.asset) if person.pk not in known]
        tell(others, f"/bastion/connect/{sighting.asset_id}/")


def who_decides(asset: Asset, *, but: User) -> list[User]:
    """The administrators of its groups; where there is none, those of the customer and of the platform."""
    named = [person for person in group_administrators(asset) if person.pk != but.pk]
    return named or [person for person in administrators(asset.customer_id) if person.pk != but.pk]


def group_administrators(asset: Asset) -> list[User]:
    """As `permissions.looked_after`: of what somebody put in alone, they are not asked."""
    by_others = Q(added_by=None) | ~Q(added_by=OuterRef("person"))
    holds_it = Exists(GroupAsset.objects.filter(by_others, group=OuterRef("group"), asset=asset))
    rows = GroupAdministrator.objects.filter(holds_it, group__retired_at=None)
    found = rows.filter(person__is_active=True).exclude(person__role=Role.CUSTOMER_VIEWER).select_related("person")
    works_here = Assignment.objects.filter(user=OuterRef("person"), customer=asset.customer_id)
    found = found.filter(~Q(person__role=Role.ENGINEER) | Exists(works_here))
    return [*{row.person_id: row.person for row in found}.values()]


def _tell_of_request(
    request: AccessRequest,
    what: str,
    people: Iterable[User],
    text: Text,
    *,
    now: datetime,
    channels: tuple[str, ...] = INBOX,
) -> None:
    _tell(
        request.customer,
        f"bastion:request:{request.pk}:{what}",
        people,
        text,
        about=f"bastion.request:{request.pk}",
        url=f"/bastion/requests/{request.pk}/",
        now=now,
        channels=channels,
        topic=Topic.ACCOUNT,
    )


def _tell(
    customer: Customer,
    key: str,
    people: Iterable[User],
    text: Text,
    *,
    about: str,
    url: str,
    now: datetime,
    channels: tuple[str, ...],
    topic: str,
    severity: int | None = None,
) -> None:
    """`key` makes it one message for each person, however often it is told."""
    notes = []
    for person in {person.pk: person for person in people}.values():
        with translation.override(person.language):
            subject, body = text()
        message = Message(topic=topic, subject=subject, text=body, url=url, about=about, severity=severity)
        notes.append(notify.Note(person, f"{key}:{person.pk}", message, channels))
    notify.tell_many(customer=customer, notes=notes, now=now)


def _lines(*lines: str) -> str:
    return "\n\n".join(line for line in lines if line)
