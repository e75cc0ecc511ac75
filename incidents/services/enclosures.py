"""The files that came with a message: those that are welcome, and the names of those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.utils.translation import gettext as _

from incidents import uploads
from incidents.models import InboundKind, InboundMessage
from notify.inbound import mail
from notify.inbound.mail import Enclosure
from notify.inbound.reading import BadInputError


def sort(enclosures: Sequence[Enclosure]) -> tuple[list[UploadedFile[Any]], list[str]]:
    """Files to keep, and the names of those that are not kept, judged as if somebody had uploaded them."""
    welcome: list[UploadedFile[Any]] = []
    refused: list[str] = []
    for enclosure in enclosures:
        name = uploads.safe_name(enclosure.name)
        if len(welcome) >= uploads.MAX_FILES or len(enclosure.content) > uploads.MAX_BYTES:
            refused.append(name)
            continue
        try:
            verdict = uploads.judge(name, enclosure.content[: uploads.HEAD_BYTES])
        except uploads.UnwelcomeFileError:
            refused.append(name)
            continue
        welcome.append(SimpleUploadedFile(verdict.name, enclosure.content, verdict.content_type))
    return welcome, refused


def files_of(message: InboundMessage) -> tuple[list[UploadedFile[Any]], list[str]]:
    """The same for a stored message; only mails bring files, and only while their bytes are kept."""
    if message.source.kind != InboundKind.EMAIL or not message.raw:
        return [], []
    try:
        return sort(mail.read(bytes(message.raw)).enclosures)
    except BadInputError:
        return [], []


def with_refused(text: str, refused: Sequence[str]) -> str:
    """The text with a line that names what was not kept, in the language that is active."""
    if not refused:
        return text
    names = ", ".join(refused[:20])
    line = _("Not kept, because it could run when opened, is of an unknown kind or too large: %(names)s")
    return f"{text}\n\n{line % {'names': names}}".strip()
