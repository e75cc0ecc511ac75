"""How reports read on a page."""

from datetime import datetime

from django import template

from incidents.templatetags.incident_tags import span
from reports.models import AccidentReport

register = template.Library()

INKS = {"bad": "#a3271b", "good": "#1f7a3f", "work": "#0b5fa5", "plain": "#57606a"}


@register.filter
def outage_length(report: AccidentReport) -> str:
    if report.outage_ended_at is None:
        return ""
    return span(report.outage_ended_at - report.outage_started_at)


@register.filter
def ink(tone: str) -> str:
    """The colour of a needle on paper; on a page the style sheet has its own."""
    return INKS.get(tone, INKS["plain"])


@register.simple_tag
def late(report: AccidentReport, now: datetime) -> bool:
    return report.is_late(now)
