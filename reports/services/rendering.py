"""Making the PDF of a signed issue: claimed under a lease, made outside any transaction, put in place whole or not."""

import hashlib
import logging
import os
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from accounts import audit
from reports import pdf
from reports.models import MadeState, WrittenFile
from reports.services import families, leases

log = logging.getLogger(__name__)


def render(*, family: str, file_id: int, clock: Callable[[], datetime] = timezone.now) -> bool:
    """Make one document. False when it is made already, in somebody's hands, or given up. Needs a platform scope."""
    rows = families.FAMILIES[family].file.objects.select_related("issue", "issue__report")
    file: WrittenFile | None = leases.claim(rows, file_id, clock())
    if file is None:
        return False
    try:
        content = pdf.make(families.FAMILIES[family].html(file.issue), on_progress=partial(leases.show, file))
        return _settle(file, _write_beside(file, content), content, clock())
    except Exception as problem:
        log.exception("document %s could not be made", file.pk)
        leases.give_up_or_try_again(file, problem)
        return False


def _place(file: WrittenFile) -> str:
    return f"reports/{file.customer_id}/{file.issue.report.number}-v{file.issue.number}-{file.issue.pk}.pdf"


def _write_beside(file: WrittenFile, content: bytes) -> Path:
    """Written beside its place; `_settle` moves it there in one step: there is never half a document under its name."""
    place = Path(default_storage.path(_place(file)))
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_suffix(f".{file.tries}.part")
    with beside.open("wb") as half:
        half.write(content)
        half.flush()
        os.fsync(half.fileno())
    return beside


@transaction.atomic
def _settle(file: WrittenFile, beside: Path, content: bytes, now: datetime) -> bool:
    mine = type(file).objects.select_for_update().get(pk=file.pk)
    if not leases.is_mine(mine, file):
        beside.unlink(missing_ok=True)
        return False
    name = _place(file)
    beside.replace(default_storage.path(name))
    for left_over in beside.parent.glob(f"{Path(name).stem}.*.part"):  # of workers that were killed
        left_over.unlink(missing_ok=True)
    mine.state, mine.progress, mine.leased_until, mine.error = MadeState.READY, 100, None, ""
    mine.stored_name, mine.size, mine.made_at = name, len(content), now
    mine.sha256 = hashlib.sha256(content).hexdigest()
    mine.save()
    detail = {"issue": file.issue.number, "sha256": mine.sha256, "size": mine.size}
    audit.record(
        action=f"{file.issue.report.NOUN}.document",
        actor=None,
        customer=mine.customer,
        obj=file.issue.report,
        detail=detail,
        now=now,
    )
    leases.tell(file)
    return True
