"""How reading an Alibaba Cloud account goes: the piece for the account's page, and "test now"."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.http import require_POST, require_safe

from accounts.permissions import is_provider, person_of, require
from assets.models import Asset, CloudAccount
from monitoring import gaps, governor
from monitoring.collectors.config import Kind
from monitoring.collectors.config.cloud import PERFORMANCE
from monitoring.models import CloudReading, Health, Target
from monitoring.problems import problem_text
from monitoring.rules import METRICS
from monitoring.services import cloud, targets

PLOT_WIDTH: Final = 620
PLOT_HEIGHT: Final = 120


@dataclass(frozen=True, slots=True)
class Row:
    """One namespace: its target, how it goes, how often it is read, and what a run of it costs."""

    target: Target
    health: Health
    namespace: str
    base_s: int
    calls: float
    a_day: int
    behind_s: int
    is_counted: bool


@dataclass(frozen=True, slots=True)
class Plot:
    """Calls of the month: used so far as a line, the forecast dashed, the limit across."""

    width: int
    height: int
    used: str
    ahead: str
    limit_y: float
    now_x: float
    days: tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """Figures of a namespace that are missing for good; `is_open` while the outage goes on and the gap grows."""

    namespace: str
    since: datetime
    until: datetime
    is_open: bool


@require_safe
@require(is_provider)
def for_account(request: HttpRequest, account_id: int) -> HttpResponse:
    account = get_object_or_404(CloudAccount.objects.select_related("customer"), pk=account_id)
    return render(request, "monitoring/_for_account.html", _context(account, timezone.now()))


@require_POST
@require(is_provider)
def try_account(request: HttpRequest, account_id: int) -> HttpResponse:
    """Run every namespace once, now: nothing is stored and no alarm comes of it."""
    account = get_object_or_404(CloudAccount.objects.select_related("customer"), pk=account_id)
    now = timezone.now()
    trials = [
        (target, targets.test_now(target=target, actor=person_of(request), now=now))
        for target in Target.objects.filter(cloud_account=account, kind=Kind.CMS).enabled().order_by("name")
    ]
    context = {"trials": [(target, outcome, _why(outcome.problem)) for target, outcome in trials]}
    return render(request, "monitoring/_account_trial.html", _context(account, now) | context)


def _why(problem: object) -> str:
    code = getattr(problem, "code", "")
    return str(problem_text(code)) if code else ""


def _context(account: CloudAccount, now: datetime) -> dict[str, object]:
    reading = CloudReading.objects.filter(cloud_account=account).first()
    found = cloud.budget(account, now)
    used = cloud.used(account, now)
    return {
        "account": account,
        "reading": reading,
        "problem": problem_text(reading.problem_code) if reading and reading.problem_code else "",
        "rows": _rows(account, now),
        "gaps": _gaps(account, now),
        "budget": found,
        "stretch": reading.stretch if reading else 1.0,
        "figures": {name: f"{getattr(found, name):,}" for name in ("used", "forecast", "limit")},
        "forecast_share": round(100 * found.forecast / found.limit),
        "plot": _plot(used, found, now),
        "missing": _missing(reading),
        "denied": _denied(reading),
        "agents": _agents(reading),
        "is_resting": bool(reading and reading.exhausted_until and reading.exhausted_until > now),
        "now": now,
    }


def _rows(account: CloudAccount, now: datetime) -> list[Row]:
    found = []
    for target in Target.objects.filter(cloud_account=account, kind=Kind.CMS).order_by("name"):
        namespace = str(target.config.get("namespace", ""))
        calls = float(target.state.get("calls", 0.0))
        found.append(
            Row(
                target,
                target.health(now),
                namespace,
                governor.BASE_PERIODS_S.get(namespace, governor.USUAL_PERIOD_S),
                calls,
                round(calls * 86_400 / max(1, target.period_s)),
                int(target.state.get("behind_s", 0)),
                namespace != PERFORMANCE,
            )
        )
    return found


def _gaps(account: CloudAccount, now: datetime) -> list[Gap]:
    """The gaps of all namespaces, the newest first."""
    found = []
    now_ms = round(now.timestamp() * 1000)
    for target in Target.objects.filter(cloud_account=account, kind=Kind.CMS).enabled():
        namespace = str(target.config.get("namespace", ""))
        spans = [(low, high, False) for low, high in target.state.get("gaps", ())]
        read_at = int(target.state.get("read_at", 0))
        back = gaps.PERFORMANCE_BACK_MS if namespace == PERFORMANCE else gaps.LONGEST_BACK_MS
        if lost := gaps.lost_by(read_at, now_ms, back):
            spans.append((read_at, lost, True))
        found += [Gap(namespace, _of_ms(low), _of_ms(high), is_open) for low, high, is_open in spans]
    return sorted(found, key=lambda gap: (gap.until, gap.namespace), reverse=True)


def _of_ms(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1000, tz=UTC)


def _missing(reading: CloudReading | None) -> list[tuple[str, str]]:
    language = get_language() or "zh"
    metrics = [METRICS[name] for name in (reading.missing if reading else ()) if name in METRICS]
    return [
        (metric.name_zh if language.startswith("zh") else metric.name_en, " / ".join(metric.cms_metrics))
        for metric in metrics
    ]


def _denied(reading: CloudReading | None) -> list[tuple[str, str, datetime | None]]:
    rows = sorted((reading.denied if reading else {}).items())
    return [(action, cloud.POLICIES.get(action, "ReadOnlyAccess"), _moment(since)) for action, since in rows]


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _agents(reading: CloudReading | None) -> list[tuple[Asset, str]]:
    if reading is None or not reading.agents:
        return []
    rows = Asset.objects.filter(cloud_account=reading.cloud_account_id, provider_id__in=list(reading.agents)).active()
    return [(asset, reading.agents[asset.provider_id]) for asset in rows[:50]]


def _plot(used: list[cloud.Day], found: governor.Budget, now: datetime) -> Plot:
    local = now.astimezone(governor.BEIJING)
    length = calendar.monthrange(local.year, local.month)[1]
    top = max(found.limit * 1.2, found.forecast * 1.05, 1)

    def x(day: float) -> float:
        return round(PLOT_WIDTH * day / length, 1)

    def y(calls: float) -> float:
        return round(PLOT_HEIGHT * (1 - calls / top), 1)

    elapsed = local.day - 1 + (local.hour * 60 + local.minute) / 1440
    line, total = [(x(0), y(0))], 0
    for day in used:
        line.append((x(day.day - 1), y(total)))
        total += day.calls
        line.append((x(min(day.day, elapsed)), y(total)))
    ahead = [(x(elapsed), y(total)), (x(length), y(found.forecast))]
    return Plot(
        PLOT_WIDTH,
        PLOT_HEIGHT,
        " ".join(f"{left},{top_}" for left, top_ in line),
        " ".join(f"{left},{top_}" for left, top_ in ahead),
        y(found.limit),
        x(elapsed),
        tuple((x(day - 0.5), day) for day in (1, 5, 10, 15, 20, 25, length)),
    )
