"""Files that people send: judged by their bytes, then stored under names of our own."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _

from accounts.errors import DomainError
from accounts.models import User
from incidents import uploads
from incidents.models import Attachment, Incident, TimelineEntry

log = logging.getLogger(__name__)


def keep_files(
    incident: Incident, entry: TimelineEntry, files: Sequence[UploadedFile[Any]], *, actor: User | None, now: datetime
) -> None:
    """Judge all files, then store them under names of our own. One that is refused refuses all, and says which."""
    if len(files) > uploads.MAX_FILES:
        raise DomainError(_("At most %(count)d files at once. Nothing was saved.") % {"count": uploads.MAX_FILES})
    verdicts = [judge_file(file) for file in files]
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


def judge_file(file: UploadedFile[Any]) -> uploads.Verdict:
    """What the bytes are. Raises DomainError with the name of a file that is not kept."""
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
