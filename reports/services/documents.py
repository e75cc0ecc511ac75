"""Documents that were made: read back as they were, and asked for again when they could not be made.

Making them is `rendering`, which only workers load.
"""

import hashlib
import logging
from datetime import datetime
from typing import TypeVar

from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.errors import DomainError
from accounts.models import User
from reports.models import MadeState, WrittenFile

F = TypeVar("F", bound=WrittenFile)
log = logging.getLogger(__name__)


@transaction.atomic
def try_again(*, file: F, actor: User, now: datetime) -> F:
    """By hand, after it was given up."""
    if not actor.is_provider:
        raise PermissionDenied
    file = type(file).objects.select_for_update().get(pk=file.pk)
    if file.state != MadeState.FAILED:
        raise DomainError(_("This document is being made, or is there already."), code="wrong_state")
    file.state, file.tries, file.error, file.progress = MadeState.WAITING, 0, "", 0
    file.save(update_fields=["state", "tries", "error", "progress"])
    audit.record(
        action=f"{file.issue.report.NOUN}.render_again", actor=actor, customer=file.customer, obj=file, now=now
    )
    return file


def read(file: WrittenFile) -> bytes:
    """The document's bytes, the same as on the first day. Raises DomainError when they are not."""
    with default_storage.open(file.stored_name) as stored:
        content: bytes = stored.read()
    if hashlib.sha256(content).hexdigest() != file.sha256:
        log.error("document %s was changed on disk", file.pk)
        raise DomainError(
            _("The stored document is not the one that was made. Nothing was handed out."), code="tampered"
        )
    return content
