"""Making the PDF of a signed issue: claimed under a lease, made outside any transaction, put in place whole or not."""

import hashlib
import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from accounts import audit
from notify import live
from reports import pdf
from reports.models import MadeState, WrittenFile
from reports.services import families

log = logging.getLogger(__name__)
LEASE: Final = timedelta(minutes=5)
"""Longer than a task may run (`CELERY_TASK_TIME_LIMIT`)."""
MOST_TRIES: Final = 3


def render(*, family: str, file_id: int, clock: Callable[[], datetime] = timezone.now) -> bool:
    """Make one document. False when it is made already, in somebody's hands, or given up. Needs a platform scope."""
    file = _claim(family, file_id, clock())
    if file is None:
        return False

    def show(percent: int) -> None:
        type(file).objects.filter(pk=file.pk, progress__lt=percent).update(progress=percent)
        live.publish(customer_id=file.customer_id, topic="reports", object_id=file.issue.report_id)

    try:
        content = pdf.make(families.FAMILIES[family].html(file.issue), on_progress=show)
        beside = _write_beside(file, content)
    except (pdf.PdfError, OSError) as problem:
        log.exception("document %s could not be made", file.pk)
        _give_up_or_try_again(file, problem)
        return False
    return _settle(file, beside, content, clock())


@transaction.atomic
def _claim(family: str, file_id: int, now: datetime) -> WrittenFile | None:
    rows = families.FAMILIES[family].file.objects.waiting(now).select_for_update(skip_locked=True, of=("self",))
    file: WrittenFile | None = rows.select_related("issue", "issue__report").filter(pk=file_id).first()
    if file is None:
        return None
    file.state, file.leased_until = MadeState.RENDERING, now + LEASE
    file.tries += 1
    file.progress = 0
    file.save(update_fields=["state", "leased_until", "tries", "progress"])
    return file


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
    if mine.state != MadeState.RENDERING or mine.tries != file.tries:
        beside.unlink(missing_ok=True)
        return False  # the lease ran out and somebody else has it
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
    live.publish(customer_id=mine.customer_id, topic="reports", object_id=file.issue.report_id)
    return True


def _give_up_or_try_again(file: WrittenFile, problem: Exception) -> None:
    state = MadeState.FAILED if file.tries >= MOST_TRIES else MadeState.WAITING
    error = f"{type(problem).__name__}: {problem}"[:400]
    type(file).objects.filter(pk=file.pk, tries=file.tries).update(state=state, leased_until=None, error=error)
    live.publish(customer_id=file.customer_id, topic="reports", object_id=file.issue.report_id)
