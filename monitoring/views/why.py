"""Why a rule did, or did not, raise an alert: the page behind graphs, alerts and assets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.permissions import is_provider, person_of
from monitoring import wording
from monitoring.models import Alert, AssetGroup, Series
from monitoring.models.custom import custom_rules
from monitoring.replay import Step, Verdict, Why
from monitoring.rule_forms import WhyForm
from monitoring.rules import METRICS
from monitoring.services import why as service
from monitoring.units import shown
from monitoring.views.levels import macros_used, origins_of
from monitoring.views.rules import rule_of

WHY_WORDS: Final[dict[Why, str | Promise]] = {
    Why.OPENS: _("counted, and it is enough: the alert opens"),
    Why.CLOSES: _("counted, and it is enough: the alert recovers"),
    Why.COUNTED: _("bad, counted"),
    Why.MENDS: _("good, counted"),
    Why.TOO_SOON: _("not counted: it came sooner than the rule's period after the last one that counted"),
    Why.OPEN_ALREADY: _("bad; the alert is open already"),
    Why.ASLEEP: _("bad often enough, but outside the rule's schedule: nothing opens"),
    Why.ENDS_RUN: _("not bad: the run of bad points ends, counting begins anew"),
    Why.FINE: _("not bad"),
    Why.HOLDS: _("neither bad nor good enough to recover: everything stays"),
    Why.WAITS: _("good; the alert waits until its time is over"),
    Why.BEGINS_ANEW: _("bad, counted as the first: the gap before it was too long"),
    Why.NOT_JUDGED: _("not judged: the point before it, or the other figure of the pair, is missing"),
}
REASON_WORDS: Final[dict[str, str | Promise]] = {
    "retired": _("The asset is retired."),
    "off": _("The rule is switched off here."),
    "ecs": _("The rule is for hosts that are not ECS: cloud servers have rules of their own."),
    "os": _("The rule is for another operating system."),
    "half": _("The second figure of the rule has never been seen here."),
}
COLORS: Final = {Verdict.BAD: "red", Verdict.GOOD: "green", Verdict.BETWEEN: "yellow", Verdict.NONE: "secondary"}
VERDICT_WORDS: Final = {
    Verdict.BAD: _("bad"),
    Verdict.GOOD: _("good"),
    Verdict.BETWEEN: _("in between"),
    Verdict.NONE: "—",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A point in words."""

    at: datetime
    value: str
    verdict: str
    color: str
    text: str
    counts: str
    gap: str
    is_marked: bool


@require_safe
def of_series(request: HttpRequest, series_id: int) -> HttpResponse:
    """Which rules look at a series; with only one, straight to it."""
    series = get_object_or_404(Series.objects.select_related("asset", "customer"), pk=series_id)
    rules = service.rules_on(series)
    if len(rules) == 1:
        return redirect(f"{reverse('monitoring:why', args=[series.pk, rules[0].id])}?{request.GET.urlencode()}")
    names = [(rule, rule.name(get_language() or "zh-hans")) for rule in rules]
    return render(request, "monitoring/why_rules.html", {"series": series, "rules": names, "query": request.GET})


@require_safe
def show(request: HttpRequest, series_id: int, rule_id: str) -> HttpResponse:
    """Every point around a moment, and what became of it."""
    series = get_object_or_404(Series.objects.select_related("asset", "customer"), pk=series_id)
    rule = custom_rules(series.customer_id).get(rule_id) or rule_of(rule_id)
    if rule.metrics[0] != series.metric:
        raise Http404
    now = timezone.now()
    answer = service.ask(series=series, rule=rule, at=_moment(request, now), now=now)
    names = dict(AssetGroup.objects.filter(customer=series.customer).values_list("pk", "name"))
    context: dict[str, Any] = {
        "answer": answer,
        "series": series,
        "rule": rule,
        "name": rule.name(get_language() or "zh-hans"),
        "part": wording.labels_shown(series.labels),
        "conditions": wording.conditions_text(answer.effective.conditions),
        "recovery": wording.conditions_text(answer.effective.recovery, any_of=True),
        "often": wording.how_often(answer.effective),
        "origins": origins_of(tuple(answer.chain), names, macros_used(answer.known)),
        "reasons": [REASON_WORDS[code] for code in answer.reasons],
        "lines": [_line(step, answer) for step in reversed(answer.highlights)],
        "others": [one for one in service.rules_on(series) if one.id != rule.id],
        "may_change": is_provider(person_of(request)),
    }
    return render(request, "monitoring/why.html", context)


@require_safe
def of_alert(request: HttpRequest, pk: int) -> HttpResponse:
    """From an alert to the points that made it."""
    alert = get_object_or_404(Alert.objects, pk=pk)
    if alert.series_id is None or alert.rule is None:
        raise Http404
    at = round(alert.opened_at.timestamp() * 1000)
    return redirect(f"{reverse('monitoring:why', args=[alert.series_id, alert.rule_id])}?at={at}")


def _moment(request: HttpRequest, now: datetime) -> datetime:
    form = WhyForm(request.GET)
    form.is_valid()
    at: int | None = form.cleaned_data.get("at")
    when: datetime | None = form.cleaned_data.get("when")
    if when is not None:
        return min(when, now)
    if at is None:
        return now
    return min(datetime.fromtimestamp(min(at, 4_102_444_800_000) / 1000, UTC), now)


def _line(step: Step, answer: service.Answer) -> Line:
    effective, current = answer.effective, answer.at_moment
    metric = METRICS[answer.series.metric]
    if step.verdict is Verdict.NONE:
        value = shown(step.value, metric.unit, metric=metric.name, language=get_language() or "zh")
    else:
        value = wording.value_text(step.value, effective)
    counts = f"{step.good}/{effective.recovery_times}" if step.firing else f"{step.bad}/{effective.times}"
    return Line(
        at=datetime.fromtimestamp(step.ts / 1000, UTC),
        value=value,
        verdict=str(VERDICT_WORDS[step.verdict]),
        color=COLORS[step.verdict],
        text=str(WHY_WORDS[step.why]),
        counts=counts,
        gap=wording.duration(timedelta(milliseconds=step.gap_ms)) if step.gap_ms else "",
        is_marked=current is not None and step.ts == current.ts,
    )
