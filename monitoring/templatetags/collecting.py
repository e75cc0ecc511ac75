"""Names of panels, problems and suggestions for templates, in the language of the page."""

from django import template
from django.utils.translation import get_language

from monitoring.models import CollectorKind, Target
from monitoring.panels import Panel
from monitoring.problems import Text, problem_text
from monitoring.services.targets import Suggestion

register = template.Library()


@register.simple_tag
def panel_name(panel: Panel) -> str:
    return panel.name(get_language() or "zh-hans")


@register.filter
def problem(target: Target) -> Text:
    """Why collecting fails, in words; empty while it works."""
    return problem_text(target.problem_code) if target.problem_code else ""


@register.simple_tag
def suggestion_name(suggestion: Suggestion) -> str:
    """ "TCP port 10.0.0.5:3306" """
    where = Target(kind=suggestion.kind, config=dict(suggestion.config)).where
    return f"{CollectorKind(suggestion.kind).label} {where}"
