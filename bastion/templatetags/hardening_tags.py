"""How hardening looks."""

from __future__ import annotations

from typing import Final

from django import template

from bastion.hardening_words import item_name, problem_text
from bastion.models import DirectLogin, HardeningCheck, HardeningException, HardeningResult, HardeningRun

register = template.Library()
register.filter("item_name", item_name)
register.filter("hardening_problem", problem_text)
GOOD: Final = 90
FAIR: Final = 70
OUTCOME_TONES: Final = {"passed": "success", "failed": "danger", "not_checked": "warning"}
CHECK_TONES: Final = {"done": "success", "failed": "danger", "running": "info", "skipped": "secondary"}
RUN_TONES: Final = {"running": "info", "done": "success", "cancelled": "secondary"}
EXCEPTION_TONES: Final = {"asked": "warning", "accepted": "info", "declined": "danger"}
SEVERITY_TONES: Final = {"high": "danger", "medium": "warning", "low": "secondary"}


@register.filter
def found_in_words(sources: str) -> str:
    """The records that were read, as `HardenedServer.logins_from` has them."""
    words = dict(DirectLogin.FoundIn.choices)
    return ", ".join(str(words.get(source, source)) for source in sources.split(", "))


@register.filter
def score_tone(score: int | None) -> str:
    if score is None:
        return "secondary"
    return "success" if score >= GOOD else "warning" if score >= FAIR else "danger"


@register.filter
def outcome_tone(result: HardeningResult) -> str:
    return OUTCOME_TONES.get(result.outcome, "secondary")


@register.filter
def check_tone(check: HardeningCheck) -> str:
    return CHECK_TONES.get(check.state, "secondary")


@register.filter
def run_tone(run: HardeningRun) -> str:
    return RUN_TONES.get(run.state, "secondary")


@register.filter
def exception_tone(exception: HardeningException) -> str:
    return EXCEPTION_TONES.get(exception.state, "secondary")


@register.filter
def severity_tone(severity: str) -> str:
    return SEVERITY_TONES.get(severity, "secondary")
