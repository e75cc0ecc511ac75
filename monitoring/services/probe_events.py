"""What comes of certificate, domain and DNS checks besides figures: an alert when a check fails three times in a row,
and the notices of R41 before something expires: 30, 15, 7, 3 and 1 days, once for each rung.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.models import Severity
from monitoring.collectors import Outcome
from monitoring.collectors.config import Kind
from monitoring.collectors.places import Answer
from monitoring.models import Alert, ExpiryLadder, ProbePoint, Target
from monitoring.rules import CODES
from monitoring.services import alerts, events, rounds

KINDS: Final = frozenset({Kind.DNS, Kind.TLS, Kind.DOMAIN, Kind.HTTP, Kind.FLOW})
FAILED_AFTER: Final = 3
RUNGS: Final = (30, 15, 7, 3, 1)
VERDICTS: Final = {Kind.DNS: "dns.result_code", Kind.TLS: "tls.result_code", Kind.DOMAIN: "domain.result_code"}
RULES: Final = {Kind.DNS: "dns-failed", Kind.TLS: "tls-failed", Kind.DOMAIN: "domain-failed"}
FIGURES: Final = {
    Kind.TLS: "probe.tls.days_left",
    Kind.DOMAIN: "probe.domain.days_left",
    Kind.HTTP: "url.cert_days_left",
    Kind.FLOW: "url.cert_days_left",
}
EXPIRY: Final = {
    Kind.TLS: "tls-expiry",
    Kind.HTTP: "tls-expiry",
    Kind.FLOW: "tls-expiry",
    Kind.DOMAIN: "domain-expiry",
}
HERE: Final = "here"


@dataclass(frozen=True, slots=True)
class Ending:
    """Something of a target that ends: a certificate, a domain."""

    target: Target
    rule_id: str
    days_left: float
    ends_at: datetime


def watch(
    targets: Sequence[Target], outcomes: Sequence[Outcome], *, now: datetime, asked_at: datetime | None = None
) -> None:
    """Alerts and notices of a batch, which was asked now or at `asked_at`. Needs the customer's scope."""
    asked_at = asked_at or now
    found: list[Ending] = []
    for target, outcome in zip(targets, outcomes, strict=True):
        if target.asset_id is not None:
            _judge(target, outcome, asked_at, now)
            found += endings(target, outcome, now=asked_at)
    if found:
        ladder = ExpiryLadder.objects.filter(customer=targets[0].customer_id).first()
        rungs = ladder.rungs if ladder else RUNGS
        open_here = Alert.objects.filter(asset__in={one.target.asset_id for one in found}).open()
        told = set(open_here.values_list("rule_id", flat=True))
        for ending in found:
            if rung_of(ending.days_left, rungs) is not None or ending.rule_id in told:
                climb(ending, rungs, now=now)


def endings(target: Target, outcome: Outcome, *, now: datetime) -> list[Ending]:
    """What this look says will end, and when."""
    kind = Kind(target.kind)
    found = [
        value for (_customer, _asset, metric, _labels), value in zip(outcome.keys, outcome.value, strict=True)
        if metric == FIGURES.get(kind)
    ]  # fmt: skip
    return [Ending(target, EXPIRY[kind], days, now + timedelta(days=days)) for days in found]


def rung_of(days_left: float, rungs: Sequence[int]) -> int | None:
    """The lowest rung that has been reached: 12 days left stand on the rung of 15."""
    return min((rung for rung in rungs if days_left <= rung), default=None)


def climb(ending: Ending, rungs: Sequence[int], *, now: datetime) -> bool:
    """Tell of the rung that has been reached, once for each end and rung; true when it was told now. What has been
    renewed is well again."""
    target = ending.target
    rung = rung_of(ending.days_left, rungs)
    key = f"{ending.rule_id}:{target.pk}"
    if rung is None:
        alerts.close_event(customer=target.customer, key=key, now=now)
        return False
    day = ending.ends_at.astimezone(UTC).date()
    titles = {code: _title(code, ending) for code in ("zh", "en")}
    event = events.record(
        customer=target.customer,
        key=f"{key}:{day}:{rung}",
        source="expiry",
        kind=ending.rule_id,
        title_zh=titles["zh"],
        title_en=titles["en"],
        occurred_at=now,
        now=now,
        asset=target.asset,
        detail={"days_left": round(ending.days_left, 1), "rung": rung, "target": target.pk},
        ends_at=ending.ends_at,
    )
    if event is None or target.asset is None:
        return False
    alerts.close_event(customer=target.customer, key=key, now=now)  # each rung is an alert of its own
    alerts.open_event(
        customer=target.customer,
        asset=target.asset,
        rule_id=ending.rule_id,
        severity=_severity(ending.days_left),
        title=titles["zh"],
        text=f"{target.where} · {timezone.localtime(ending.ends_at):%Y-%m-%d %H:%M}",
        key=key,
        occurred_at=now,
        now=now,
        titles=titles,
    )
    return True


def _severity(days_left: float) -> Severity:
    if days_left <= 1:
        return Severity.HIGH
    return Severity.AVERAGE if days_left <= 7 else Severity.WARNING


def _title(code: str, ending: Ending) -> str:
    values = {"name": ending.target.name, "days": max(0, int(ending.days_left))}
    with translation.override("zh-hans" if code == "zh" else "en"):
        if ending.days_left <= 0:
            return (
                _("The domain of %(name)s has expired") if ending.rule_id == "domain-expiry"
                else _("The certificate of %(name)s has expired")
            ) % values  # fmt: skip
        if ending.rule_id == "domain-expiry":
            return _("The domain of %(name)s expires in %(days)d days") % values
        return _("The certificate of %(name)s expires in %(days)d days") % values


def _judge(target: Target, outcome: Outcome, asked_at: datetime, now: datetime) -> None:
    """Open an alert when the check has failed three times in a row, and end it when it has passed as often."""
    kind = Kind(target.kind)
    code = _code(outcome, VERDICTS.get(kind, ""))
    if code is None or target.asset is None:
        return
    answer = Answer(HERE, code, outcome.took_ms, detail=next((step.text for step in outcome.steps if not step.ok), ""))
    rounds.keep([target], {target.pk: [answer]}, asked_at=asked_at, now=now)
    row = ProbePoint.objects.get(target=target, point=HERE)
    key = f"{RULES[kind]}:{target.pk}"
    if row.bad_rounds == FAILED_AFTER:
        titles = {code_: _failed_title(code_, target, code) for code_ in ("zh", "en")}
        alerts.open_event(
            customer=target.customer,
            asset=target.asset,
            rule_id=RULES[kind],
            severity=Severity.HIGH if kind is Kind.TLS else Severity.AVERAGE,
            title=titles["zh"],
            text=f"{target.where} {answer.detail}".strip(),
            key=key,
            occurred_at=row.since,
            now=now,
            titles=titles,
        )
    elif row.good_rounds == FAILED_AFTER:
        alerts.close_event(customer=target.customer, key=key, now=now)


def _code(outcome: Outcome, metric: str) -> int | None:
    for key, value in zip(outcome.keys, outcome.value, strict=True):
        if key[2] == metric:
            return int(value)
    return None


def _failed_title(language: str, target: Target, code: int) -> str:
    words: Mapping[int, Any] = CODES.get(VERDICTS[Kind(target.kind)], {})
    reason = words.get(code, ("", ""))[0 if language == "zh" else 1]
    return f"{target.name}: {reason}"
