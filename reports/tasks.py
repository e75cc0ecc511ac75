"""What rhythm, timers and the signature wake: thin entries."""

from datetime import datetime

from celery import shared_task
from django.utils import timezone

from accounts import scope
from reports.services import accident_deadlines, accidents, rendering, service_deadlines, service_reports, sweeping


@shared_task(name="reports.sweep", queue="default")
def sweep() -> None:
    """Open what outages and plans ask for; hand out figures and documents that wait."""
    now = timezone.now()
    sweeping.open_what_is_owed(now=now)
    sweeping.open_months(now=now)
    sweeping.look_after_months(now=now)
    sweeping.look_after_sent(now=now)
    with scope.platform("figures and documents of every customer"):
        for reading_id in sweeping.figures_waiting(now=now):
            read_figures.delay(reading_id)
        for family, file_id in sweeping.documents_waiting(now=now):
            render.delay(family, file_id)


@shared_task(name="reports.read_figures", queue="reports")
def read_figures(reading_id: int) -> None:
    with scope.platform("read the figures of a report"):
        service_reports.read_figures(reading_id=reading_id)


@shared_task(name="reports.render", queue="reports")
def render(family: str, file_id: int) -> None:
    with scope.platform("make a document"):
        rendering.render(family=family, file_id=file_id)


@shared_task(name=service_deadlines.TASK, queue="default")
def service_deadline(*, due_at: datetime, now: datetime, report_id: int, what: str) -> None:
    service_reports.meet_deadline(report_id=report_id, what=what, now=now)


@shared_task(name=accident_deadlines.REMIND_TASK, queue="default")
def remind_of_accident(*, due_at: datetime, now: datetime, report_id: int) -> None:
    accidents.remind(report_id=report_id, now=now)


@shared_task(name=accident_deadlines.MISS_TASK, queue="default")
def miss_accident(*, due_at: datetime, now: datetime, report_id: int) -> None:
    accidents.miss(report_id=report_id, now=now)
