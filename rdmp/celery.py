"""The Celery application: an engine that wakes up. What must happen stands in PostgreSQL."""

import os
from typing import Any

from celery import Celery, bootsteps
from celery.signals import worker_process_init

from rdmp.memory import sweep_less

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


@worker_process_init.connect
def settle(**_: object) -> None:
    sweep_less()
