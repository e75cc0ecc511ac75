"""The bells must be known to Celery before a timer names them."""

from tests.timers import bells

__all__ = ["bells"]
