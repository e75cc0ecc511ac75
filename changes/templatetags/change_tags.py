"""How changes read on a page."""

from django import template
from django.utils import timezone
from django.utils.translation import gettext

from accounts.windows import Once
from changes.catalogue import Operation, Risk, Words, operations
from changes.forms import WEEKDAYS
from changes.models import Change, ChangeRisk, ChangeWindow
from changes.states import State
from changes.words import said as in_words

register = template.Library()

STATE_TONES = {
    State.DRAFT: "secondary",
    State.PREPARING: "blue",
    State.READY: "cyan",
    State.EXECUTING: "orange",
    State.CUSTOMER_TEST: "yellow",
    State.CLOSED: "green",
    State.FAILED: "red",
    State.ROLLED_BACK: "purple",
    State.CANCELLED: "secondary",
}
RISK_TONES = {
    Risk.NONE: "secondary",
    Risk.LOW: "green",
    Risk.MEDIUM: "yellow",
    Risk.HIGH: "orange",
    Risk.DANGEROUS: "red",
}


@register.filter
def said(words: Words) -> str:
    """In the reader's language."""
    return in_words(words)


@register.filter
def operation_name(code: str) -> str:
    """The operation of a code; the code itself when the catalogue has it no more."""
    entry = operations().get(code)
    return code if entry is None else in_words(entry.name)


@register.filter
def state_tone(change: Change) -> str:
    return STATE_TONES[State(change.state)]


@register.filter
def risk_tone(risk: str) -> str:
    return RISK_TONES[Risk(risk)]


@register.filter
def risk_label(operation: Operation) -> str:
    return "" if operation.risk is Risk.NONE else str(ChangeRisk(operation.risk).label)


@register.filter
def window_text(change: Change) -> str:
    """Both ends in the reader's zone; one day is said once."""
    if change.starts_at is None or change.ends_at is None:
        return ""
    starts, ends = timezone.localtime(change.starts_at), timezone.localtime(change.ends_at)
    last = f"{ends:%H:%M}" if starts.date() == ends.date() else f"{ends:%m-%d %H:%M}"
    return f"{starts:%Y-%m-%d %H:%M} – {last}"


@register.filter
def window_lines(window: ChangeWindow) -> list[str]:
    """When it holds, a line for each of its windows."""
    lines = []
    for span in window.spans():
        if isinstance(span, Once):
            starts, ends = timezone.localtime(span.start), timezone.localtime(span.end)
            lines.append(f"{starts:%Y-%m-%d %H:%M} – {ends:%Y-%m-%d %H:%M}")
        else:
            days = "、".join(str(dict(WEEKDAYS)[str(day)]) for day in sorted(span.days))
            lines.append(f"{days} {span.start:%H:%M} – {span.end:%H:%M}")
    return [*lines, gettext("Public holidays")] if window.holidays else lines
