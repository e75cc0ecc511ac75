"""Comments, internal notes and attachments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from incidents import locks, mentions, messages, timeline, uploads
from incidents.models import Incident, TimelineEntry
from incidents.people import mentionable
from incidents.permissions import may
from incidents.services.handling import take_reply, take_report
from incidents.services.marks import allowed
from incidents.services.storing import keep_files
from incidents.states import Verb
from notify import live

LONGEST_COMMENT = 20_000


@transaction.atomic
def comment(
    *,
    incident: Incident,
    body: str,
    actor: User,
    now: datetime,
    is_internal: bool = False,
    files: Sequence[UploadedFile[Any]] = (),
    via: str = "",
) -> TimelineEntry:
    """Write on the incident, for both sides or, internal, for the provider alone; files may come along.

    A customer's comment on an incident that waits for them is the reply: the clocks run on.
    """
    incident = locks.hold(incident)
    allowed(Verb.NOTE if is_internal else Verb.COMMENT, incident, actor)
    body = body.strip()
    if not body and not files:
        raise DomainError(_("Please write something or attach a file."), code="text_missing")
    if len(body) > LONGEST_COMMENT:
        raise DomainError(_("This is too long. Nothing was saved: please attach it as a file."), code="too_long")
    kind = TimelineEntry.Kind.NOTE if is_internal else TimelineEntry.Kind.COMMENT
    if not body:
        kind = TimelineEntry.Kind.ATTACHMENT
    spoken_to = _mentioned(incident, body, actor, is_internal=is_internal)
    data: dict[str, object] = {}
    if files:
        data["names"] = [uploads.safe_name(file.name or "") for file in files]
    if via:
        data["via"] = via
    if spoken_to:
        data["mentions"] = [{"user": person.pk, "name": person.name} for person in spoken_to]
    entry = timeline.write(incident, kind, actor=actor, now=now, body=body, data=data, is_internal=is_internal)
    keep_files(incident, entry, files, actor=actor, now=now)
    detail = {"via": via} if via else {}
    audit.record(
        action="incident.comment", actor=actor, customer=incident.customer, obj=incident, detail=detail, now=now
    )
    messages.mentioned(incident, entry.pk, actor, body, spoken_to, now=now)
    if is_internal:
        messages.noted(incident, entry.pk, actor, body, now=now, but=spoken_to)
    else:
        messages.commented(incident, entry.pk, actor, body, now=now, but=spoken_to)
        if actor.is_provider:
            take_report(incident, now=now)
        if may(actor, Verb.REPLY, incident):
            take_reply(incident, actor=actor, now=now)
    live.publish(customer_id=incident.customer_id, topic="incidents", object_id=incident.pk)
    return entry


def _mentioned(incident: Incident, body: str, actor: User, *, is_internal: bool) -> list[User]:
    """Whoever the text speaks to, of those who may read it. Two of one name are both meant."""
    if not any(mark in body for mark in mentions.MARKS):
        return []
    people = list(mentionable(incident, actor, is_internal=is_internal))
    named = set(mentions.find(body, (person.name for person in people)))
    return [person for person in people if person.name in named]


def attach(
    *, incident: Incident, files: Sequence[UploadedFile[Any]], actor: User, now: datetime, is_internal: bool = False
) -> TimelineEntry:
    """Add files without a word."""
    return comment(incident=incident, body="", files=files, actor=actor, now=now, is_internal=is_internal)
