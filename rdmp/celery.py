"""The Celery application: an engine that wakes up. What must happen stands in PostgreSQL."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rdmp.settings")

app = Celery("rdmp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
