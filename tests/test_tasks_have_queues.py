"""Every task of ours says which queue it waits in, and everything that is woken by a rhythm exists."""

from typing import Any

from celery import Task
from django.apps import apps
from django.conf import settings

from rdmp.celery import app

app.autodiscover_tasks(force=True)
OWN_APPS = {config.label for config in apps.get_app_configs() if "site-packages" not in config.path}
TASKS: dict[str, "Task[..., object]"] = {
    name: task for name, task in app.tasks.items() if task.__module__.partition(".")[0] in OWN_APPS
}


def test_each_task_names_a_queue_that_a_worker_listens_to() -> None:
    assert TASKS
    queues = {name: getattr(task, "queue", None) for name, task in TASKS.items()}
    assert {name: queue for name, queue in queues.items() if queue not in settings.CELERY_TASK_QUEUES} == {}


def test_each_task_is_named_after_its_app() -> None:
    assert [name for name, task in TASKS.items() if name.partition(".")[0] != task.__module__.partition(".")[0]] == []


def test_each_rhythm_wakes_a_task_that_exists_and_forgets_the_beats_that_nobody_took() -> None:
    entries: list[dict[str, Any]] = list(settings.CELERY_BEAT_SCHEDULE.values())
    assert {entry["task"] for entry in entries} <= set(TASKS)
    assert all(entry["options"]["expires"] > 0 for entry in entries)


def test_no_task_is_delayed_by_the_queue_because_timers_are_rows() -> None:
    """`eta=` and `countdown=` live in Redis only and are lost with it (design: never)."""
    sources = [path for label in OWN_APPS for path in settings.BASE_DIR.joinpath(label).rglob("*.py")]
    assert sources
    said = [
        path.name for path in sources for word in ("eta=", "countdown=") if word in path.read_text(encoding="utf-8")
    ]
    assert said == []


def test_the_procfile_and_the_settings_name_the_same_queues() -> None:
    procfile = settings.BASE_DIR.joinpath("Procfile").read_text(encoding="utf-8")
    heard = {queue for part in procfile.split("--queues ")[1:] for queue in part.split()[0].split(",")}
    assert heard == set(settings.CELERY_TASK_QUEUES)
