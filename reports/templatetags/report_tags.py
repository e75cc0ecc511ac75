"""How reports read on a page."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from django import template
from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.html import conditional_escape, escape, format_html, json_script
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language_info

from accounts.permissions import is_provider, person_of
from incidents.templatetags.incident_tags import span
from reports import columns, service_document
from reports.blocks import Chart, Figure
from reports.models import AccidentReport, WrittenReport

register = template.Library()

PROVIDERS_PAGES = frozenset({
    "accounts:roster", "assets:credentials", "assets:cloud_accounts", "bastion:reviews", "incidents:responder-notices",
})  # fmt: skip
"""Sources of figures that are no page of the customer's."""
BREAKS = re.compile(r"[!-~][-/?|][!-~]")
"""Where a line may end within a word."""
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
def late(report: WrittenReport, now: datetime) -> bool:
    return report.is_late(now)


@register.filter
def first_day(start: datetime) -> str:
    return f"{timezone.localtime(start):%Y-%m-%d}"


@register.filter
def last_day(end: datetime) -> str:
    """The last day of a stretch whose end is its first moment after."""
    return f"{timezone.localtime(end - timedelta(seconds=1)):%Y-%m-%d}"


@register.filter
def get(found: Mapping[str, object] | None, name: str) -> object:
    """None where a family has no such thing at all."""
    return found.get(name) if found else None


@register.filter
def language_name(code: str) -> str:
    return str(get_language_info(code)["name_local"])


@register.simple_tag(takes_context=True)
def rows_behind(context: Mapping[str, object], path: str) -> str:
    """The address of a source's rows for who reads it; empty where that person may not open them."""
    request = context.get("request")
    if not path or (isinstance(request, HttpRequest) and is_provider(person_of(request))):
        return path
    try:
        name = resolve(path.partition("?")[0]).view_name
    except Resolver404:
        return ""
    return "" if name in PROVIDERS_PAGES else path


@register.filter
def whole_words(text: str) -> SafeString:
    """A text of a printed table in which no word is broken at a hyphen or a stroke; `reports.columns` keeps room."""
    if columns.is_short(text) or not BREAKS.search(text):
        return conditional_escape(text)
    return mark_safe(columns.WORDS.sub(_whole, text))  # noqa: S308 - every piece is escaped


@register.filter
def whole_head(label: str) -> SafeString:
    """The same of a heading; a short Chinese one stays on one line."""
    return format_html('<span class="word">{}</span>', label) if columns.is_whole_head(label) else whole_words(label)


def _whole(word: re.Match[str]) -> str:
    said = escape(word[0])
    return f'<span class="word">{said}</span>' if len(word[0]) <= columns.WORD and BREAKS.search(word[0]) else said


@register.simple_tag
def number(figure: Figure) -> service_document.Number:
    """A figure in words, with what it was before."""
    return service_document.number(figure)


@register.simple_tag
def chart_json(chart: Chart) -> SafeString:
    """What the page's script draws."""
    drawn = {"shape": chart.shape, "unit": chart.unit, "lowest": chart.lowest, "highest": chart.highest}
    return json_script({**drawn, "labels": chart.labels, "curves": msgspec.to_builtins(chart.curves)})
