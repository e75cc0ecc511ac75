"""Comments, internal notes and attachments."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from incidents import locks, mentions, messages, timeline, uploads
from incidents.models import Attachment, Incident, TimelineEntry
from incidents.people import mentionable
from incidents.permissions import may
from incidents.services.handling import take_reply
from incidents.services.marks import allowed
from incidents.states import Verb
from notify import live

log = logging.getLogger(__name__)
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


def keep_files(
    incident: Incident, entry: TimelineEntry, files: Sequence[UploadedFile[Any]], *, actor: User | None, now: datetime
) -> None:
    """Judge all files, then store them under names of our own. One that is refused refuses all, and says which."""
    if len(files) > uploads.MAX_FILES:
        raise DomainError(_("At most %(count)d files at once. Nothing was saved.") % {"count": uploads.MAX_FILES})
    verdicts = [_judge(file) for file in files]
    stored: list[str] = []
    try:
        for file, verdict in zip(files, verdicts, strict=True):
            name = default_storage.save(f"incidents/{incident.customer_id}/{uuid4().hex}", file)
            stored.append(name)
            Attachment.objects.create(
                customer_id=incident.customer_id,
                incident=incident,
                entry=entry,
                is_internal=entry.is_internal,
                name=verdict.name,
                content_type=verdict.content_type,
                size=file.size or 0,
                sha256=_digest(file),
                stored_name=name,
                uploaded_by=actor,
                uploaded_at=now,
            )
    except OSError as problem:
        _discard(stored)
        log.exception("an attachment could not be stored")
        raise DomainError(
            _("The file could not be stored. Nothing was saved: please try again, or send it by e-mail."),
            code="not_stored",
        ) from problem
    except BaseException:  # whatever went wrong, no byte stays behind without its row
        _discard(stored)
        raise


def _judge(file: UploadedFile[Any]) -> uploads.Verdict:
    name = uploads.safe_name(file.name or "")
    if (file.size or 0) > uploads.MAX_BYTES:
        limit = uploads.MAX_BYTES // (1024 * 1024)
        raise DomainError(
            _("“%(name)s” is larger than %(limit)d MB. Nothing was saved.") % {"name": name, "limit": limit},
            code="too_large",
        )
    head = file.read(uploads.HEAD_BYTES)
    file.seek(0)
    try:
        return uploads.judge(file.name or "", head)
    except uploads.UnwelcomeFileError as refusal:
        raise DomainError(_complaint(refusal.reason) % {"name": name}, code=f"file_{refusal.reason}") from None


def _complaint(reason: str) -> str:
    if reason == "empty":
        return _("“%(name)s” is empty. Nothing was saved.")
    if reason in ("active", "program"):
        return _("“%(name)s” could run when opened, so it is not accepted. Nothing was saved: put it into a ZIP file.")
    return _("“%(name)s” is of an unknown kind. Nothing was saved: put it into a ZIP file.")


def _digest(file: UploadedFile[Any]) -> str:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return digest.hexdigest()


def _discard(names: Iterable[str]) -> None:
    for name in names:
        default_storage.delete(name)
