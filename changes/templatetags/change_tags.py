"""How changes read on a page."""

from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext

from accounts.windows import Once
from assets import words as asset_words
from assets.models import AccountPurpose
from assets.relations import Tie
from changes.backup_words import days_text, difference_text
from changes.catalogue import Operation, Risk, Type, Words, operations
from changes.forms import WEEKDAYS
from changes.matching import Verdict
from changes.models import (
    AutomationIdea,
    BackupPolicy,
    Change,
    ChangeRisk,
    ChangeWindow,
    DutyOccurrence,
    HostState,
    OperationRun,
    OwnershipTransfer,
    RunLine,
    RunState,
    ScriptLine,
    ScriptRunState,
    StepState,
    TemporaryInstance,
)
from changes.run_words import line_text, problem_text
from changes.script_words import line_text as script_line_text
from changes.script_words import problem_text as script_problem_text
from changes.script_words import type_text
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


VERDICT_TONES = {
    Verdict.CHANGE: "green",
    Verdict.AUTOMATION: "cyan",
    Verdict.KNOWN: "blue",
    Verdict.REFUSED: "secondary",
    Verdict.HARMLESS: "green",
    Verdict.SUSPICIOUS: "red",
    Verdict.UNMATCHED: "yellow",
}
RUN_TONES = {
    RunState.PLANNED: "secondary",
    RunState.RUNNING: "blue",
    RunState.SETTLED: "azure",
    RunState.VERIFIED: "green",
    RunState.FAILED: "red",
    RunState.UNKNOWN: "orange",
    RunState.CANCELLED: "secondary",
    RunState.UNDONE: "purple",
}
STEP_ICONS = {
    StepState.PLANNED: "circle text-secondary",
    StepState.SENDING: "send text-blue",
    StepState.ACCEPTED: "loader text-blue",
    StepState.SETTLED: "circle-check text-success",
    StepState.FAILED: "circle-x text-danger",
    StepState.SKIPPED: "circle-minus text-secondary",
}

SCRIPT_RUN_TONES = {
    ScriptRunState.PLANNED: "secondary",
    ScriptRunState.RUNNING: "blue",
    ScriptRunState.PAUSED: "orange",
    ScriptRunState.DONE: "green",
    ScriptRunState.STOPPED: "secondary",
}
HOST_TONES = {
    HostState.PLANNED: "secondary",
    HostState.RUNNING: "blue",
    HostState.DONE: "green",
    HostState.FAILED: "red",
    HostState.UNKNOWN: "orange",
    HostState.SKIPPED: "secondary",
}

TEMPORARY_TONES = {
    TemporaryInstance.State.IN_USE: "blue",
    TemporaryInstance.State.EXPIRED: "orange",
    TemporaryInstance.State.RELEASED: "green",
}


TRANSFER_TONES = {
    OwnershipTransfer.State.DRAFT: "secondary",
    OwnershipTransfer.State.AUTHORISING: "orange",
    OwnershipTransfer.State.UNDER_WAY: "blue",
    OwnershipTransfer.State.ACCEPTING: "orange",
    OwnershipTransfer.State.ACCEPTED: "green",
    OwnershipTransfer.State.ERASED: "green",
    OwnershipTransfer.State.CANCELLED: "secondary",
}

IDEA_TONES = {
    AutomationIdea.State.PROPOSED: "blue",
    AutomationIdea.State.ACCEPTED: "green",
    AutomationIdea.State.REJECTED: "secondary",
}

BACKUP_TONES = {
    BackupPolicy.State.UNCHECKED: "secondary",
    BackupPolicy.State.AS_AGREED: "green",
    BackupPolicy.State.DIFFERS: "red",
    BackupPolicy.State.UNKNOWN: "orange",
    BackupPolicy.State.BY_HAND: "blue",
}


@register.filter
def idea_tone(state: str) -> str:
    return IDEA_TONES[AutomationIdea.State(state)]


@register.filter
def tie_text(tie: Tie) -> str:
    """What one asset is to another."""
    return asset_words.tie_text(tie)


@register.filter
def backup_tone(policy: BackupPolicy) -> str:
    return BACKUP_TONES[BackupPolicy.State(policy.state)]


@register.filter
def backup_days(days: list[int]) -> str:
    return days_text(days)


@register.filter
def backup_difference(code: str) -> str:
    return difference_text(code)


@register.filter
def verdict_tone(verdict: str) -> str:
    return VERDICT_TONES[Verdict(verdict)]


@register.filter
def run_name(run: OperationRun) -> str:
    """What it does, in the reader's language."""
    return in_words(run.words)


@register.filter
def run_tone(run: OperationRun) -> str:
    return RUN_TONES[RunState(run.state)]


@register.filter
def run_problem(run: OperationRun) -> str:
    return problem_text(run.problem_code, run.problem)


@register.filter
def run_line(line: RunLine) -> str:
    return line_text(line)


@register.filter
def script_run_tone(state: str) -> str:
    return SCRIPT_RUN_TONES[ScriptRunState(state)]


@register.filter
def parameter_type(kind: Type) -> str:
    return type_text(kind)


@register.filter
def host_tone(state: str) -> str:
    return HOST_TONES[HostState(state)]


@register.filter
def script_problem(code: str) -> str:
    return script_problem_text(code)


@register.filter
def script_line(line: ScriptLine) -> str:
    return script_line_text(line)


@register.filter
def account_purpose(code: str) -> str:
    """Whose work an account is for, in the reader's language."""
    return str(AccountPurpose(code).label) if code in AccountPurpose.values else code


@register.filter
def temporary_tone(state: str) -> str:
    return TEMPORARY_TONES[TemporaryInstance.State(state)]


@register.filter
def transfer_tone(state: str) -> str:
    return TRANSFER_TONES[OwnershipTransfer.State(state)]


@register.filter
def result_tone(result: str) -> str:
    return "green" if result == DutyOccurrence.Result.PASSED else "red"


@register.filter
def step_icon(state: str) -> str:
    return STEP_ICONS[StepState(state)]


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
    return " ".join(_window_ends(change.starts_at, change.ends_at))


@register.filter
def window_spans(change: Change) -> str:
    """The same for a narrow place: a line may break between the ends, never within one."""
    if change.starts_at is None or change.ends_at is None:
        return ""
    ends = _window_ends(change.starts_at, change.ends_at)
    return format_html_join(" ", '<span class="text-nowrap">{}</span>', ((end,) for end in ends))


def _window_ends(start: datetime, end: datetime) -> tuple[str, str]:
    starts, ends = timezone.localtime(start), timezone.localtime(end)
    last = f"{ends:%H:%M}" if starts.date() == ends.date() else f"{ends:%m-%d %H:%M}"
    return f"{starts:%Y-%m-%d %H:%M} –", last


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
