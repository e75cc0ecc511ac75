"""The Celery application: an engine that wakes up. What must happen stands in PostgreSQL."""

import gc
import os
from typing import Any, Final

from celery import Celery, bootsteps
from celery.signals import worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rdmp.settings")

app = Celery("rdmp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


class SafetyFirst(bootsteps.Step):
    """No worker takes work under settings that the web process would refuse."""

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        from rdmp.safety import refuse_to_serve_insecurely  # noqa: PLC0415 - models exist only once Django is set up

        refuse_to_serve_insecurely()


app.steps["worker"].add(SafetyFirst)


YOUNG_OBJECTS: Final = 50_000
"""A batch of a hundred hosts is done with before so many objects were made: it dies young, and costs no full sweep."""


@worker_process_init.connect
def sweep_less(**_: object) -> None:
    """What a worker has loaded stays, and what it remembers of series is much and stays too: Python's collector of
    cycles would go through all of it several times a minute, for a fifth of the time that polling hosts takes."""
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
