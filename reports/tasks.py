"""What rhythm, timers and the signature wake: thin entries."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from reports.services import accidents, rendering, sweeping


@shared_task(name="reports.sweep", queue="default")
def sweep() -> None:
    """Open what outages ask for, and hand out documents that wait."""
    now = timezone.now()
    sweeping.open_what_is_owed(now=now)
    with scope.platform("documents of every customer"):
        for file_id in sweeping.documents_waiting(now=now):
            render.delay(file_id)


@shared_task(name="reports.render", queue="reports")
def render(file_id: int) -> None:
    with scope.platform("make a document"):
        rendering.render(file_id=file_id)


@shared_task(name=accidents.REMIND_TASK, queue="default")
def remind_of_accident(*, due_at: datetime, now: datetime, report_id: int) -> None:
    accidents.remind(report_id=report_id, now=now)


@shared_task(name=accidents.MISS_TASK, queue="default")
def miss_accident(*, due_at: datetime, now: datetime, report_id: int) -> None:
    accidents.miss(report_id=report_id, now=now)
