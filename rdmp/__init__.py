"""Wiring only: settings, URLs, ASGI, Celery, embedded services. Nobody imports it."""

from rdmp.celery import app as celery_app

__all__ = ["celery_app"]
