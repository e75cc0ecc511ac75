"""Names of panels, problems and suggestions for templates, in the language of the page."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from monitoring.models import CollectorKind, Target, metric_name
from monitoring.overview import Condition
from monitoring.panels import Panel, panel
from monitoring.problems import Text, problem_text
from monitoring.services import platform
from monitoring.services.dashboards import kind_label
from monitoring.services.targets import Suggestion
from monitoring.widgets import Widget, WidgetKind

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


@register.simple_tag
def condition_name(condition: str) -> str:
    """How an asset is, in the language of the page."""
    return {
        Condition.DISASTER: _("Disaster"),
        Condition.HIGH: _("High"),
        Condition.AVERAGE: _("Average"),
        Condition.WARNING: _("Warning"),
        Condition.QUIET: _("Silenced"),
        Condition.BLIND: _("Not seen now"),
        Condition.OK: _("Fine"),
        Condition.UNWATCHED: _("Not monitored"),
    }[Condition(condition)]


@register.simple_tag
def widget_kind_name(kind: str) -> str:
    return kind_label(WidgetKind(kind))


@register.simple_tag
def widget_title(widget: Widget) -> str:
    """The title that people gave, or what the box shows."""
    if widget.title or widget.kind is WidgetKind.NOTE:
        return widget.title
    if widget.panel and (found := panel(widget.panel)) is not None:
        return found.name(get_language() or "zh-hans")
    return metric_name(widget.metric) if widget.metric else kind_label(widget.kind)


@register.simple_tag
def monitoring_delay() -> datetime | None:
    """Since when figures are older than usual because the platform is behind; None while it keeps up."""
    return platform.delayed_since(now=timezone.now())
