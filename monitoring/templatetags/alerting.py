"""Alerts in templates: titles in the language of whoever reads."""

from django import template

from assets.words import security_status
from monitoring import wording
from monitoring.models import Alert

register = template.Library()


@register.filter
def titled(alert: Alert) -> str:
    """The title; the alert's asset should have been fetched with it."""
    return wording.alert_title(alert)


@register.filter
def security_state(status: int) -> str:
    """What has become of an event of Security Center."""
    return security_status(status)
