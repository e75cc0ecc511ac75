"""What "test now" found, as the page shows it."""

from __future__ import annotations

from typing import Any

from django.utils.translation import get_language

from monitoring.collectors import Outcome
from monitoring.models import metric_name
from monitoring.problems import problem_text, step_text
from monitoring.rules import METRICS
from monitoring.services.rounds import locations
from monitoring.services.sites import place_title, waterfall
from monitoring.units import shown
from monitoring.wording import labels_shown

VERDICTS = frozenset(
    {
        "port.result_code",
        "url.result_code",
        "ping.result_code",
        "dns.result_code",
        "tls.result_code",
        "domain.result_code",
    }
)
"""Metrics that say whether what is checked works: 0 is good."""


def trial(outcome: Outcome) -> dict[str, Any]:
    """The context of ``monitoring/_trial.html``."""
    language = get_language() or "zh-hans"
    known = locations()
    return {
        "problem": problem_text(outcome.problem.code) if outcome.problem else "",
        "detail": outcome.problem.detail if outcome.problem else "",
        "steps": [(step_text(step.name), step.text, step.ok) for step in outcome.steps],
        "falls": [
            (place_title(known.get(answer.point), answer.point), waterfall(answer.as_json()))
            for answer in getattr(outcome, "answers", ())
            if answer.phases or answer.steps
        ],
        "figures": [
            {
                "name": metric_name(metric),
                "labels": labels_shown(labels),
                "value": shown(value, METRICS[metric].unit, metric=metric, language=language),
            }
            for (_customer, _asset, metric, labels), value in zip(outcome.keys, outcome.value, strict=True)
        ],
        "took_ms": outcome.took_ms,
        "is_bad": any(key[2] in VERDICTS and value for key, value in zip(outcome.keys, outcome.value, strict=True)),
    }
