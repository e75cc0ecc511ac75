"""The demo's service requests, one in each phase: played from a script through the services that people use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from django.utils import timezone

from accounts.models import Customer, Role, User
from assets.models import Asset
from changes.catalogue import operations
from changes.models import RequestTarget
from changes.services import targets
from incidents import services, sla
from incidents.models import Incident
from incidents.policy import Policy, calendar_at
from incidents.services import attestations, quotes, requests

FILE: Final = Path(__file__).parent / "data" / "requests.json"


@dataclass(frozen=True)
class Turn:
    """One step of the script: who does what with the request, and when."""

    incident: Incident
    actor: User
    now: datetime
    line: Mapping[str, Any]

    @property
    def words(self) -> str:
        return str(self.line.get("words", ""))


def write(*, engineer: User, now: datetime) -> list[Incident]:
    """Raise every request of the script and take it as far as the script goes. Needs a platform scope."""
    return [_play(entry, engineer, now) for entry in json.loads(FILE.read_text(encoding="utf-8"))]


def _play(entry: Mapping[str, Any], engineer: User, now: datetime) -> Incident:
    customer = Customer.objects.get(code=entry["customer"])
    asker = User.objects.get(email=entry["by"])
    manager = User.objects.filter(customer=customer, role=Role.CUSTOMER_PM).order_by("pk")[0]
    began = now - timedelta(hours=entry["hours_ago"])
    assets = Asset.objects.active().filter(customer=customer, name=entry["asset"])[:1]
    asked = {"customer": customer, "title": entry["title"], "description": entry["text"], "assets": assets}
    if "operation" in entry:
        incident = targets.ask(
            **asked,
            operation=operations()[entry["operation"]],
            fields=entry["fields"],
            wished_at=None,
            actor=asker,
            now=began,
        )
    else:
        incident = requests.raise_request(**asked, actor=asker, now=began)
    for line in entry["steps"]:
        actor = manager if line.get("by") == "customer" else engineer
        at = _moment(incident, line, now)
        fresh = Incident.objects.select_related("customer").get(pk=incident.pk)
        DOES[line["do"]](Turn(fresh, actor, at, line))
    target = RequestTarget.objects.filter(incident=incident, due_at__lte=now).first()
    if target is not None:
        targets.watch(target_id=target.pk, now=target.due_at)
    return incident


def _moment(incident: Incident, line: Mapping[str, Any], now: datetime) -> datetime:
    """`minute` after it was asked, or `worked` hours of working time after it: so late is late on any day."""
    if "minute" in line:
        return incident.clock_started_at + timedelta(minutes=line["minute"])
    calendar = calendar_at(Policy.from_json(incident.policy).calendar_version_id)
    worked = sla.add(incident.clock_started_at, timedelta(hours=line["worked"]), calendar, ())
    return min(worked, now - timedelta(minutes=1))


def _acknowledge(turn: Turn) -> None:
    services.acknowledge(incident=turn.incident, actor=turn.actor, now=turn.now)


def _judge(turn: Turn) -> None:
    request = turn.incident.request
    requests.judge(
        incident=turn.incident,
        risk=turn.line.get("risk", request.risk),
        billing=turn.line.get("billing", request.billing),
        is_out_of_scope=turn.line.get("is_out_of_scope", False),
        actor=turn.actor,
        now=turn.now,
    )


def _warn(turn: Turn) -> None:
    requests.warn(incident=turn.incident, text=turn.words, actor=turn.actor, now=turn.now)


def _quote(turn: Turn) -> None:
    lines = [quotes.Line(text, Decimal(count), Decimal(price)) for text, count, price in turn.line["lines"]]
    until = timezone.localdate(turn.now) + timedelta(days=turn.line["days"])
    quotes.offer(
        incident=turn.incident, lines=lines, valid_until=until, note=turn.words, actor=turn.actor, now=turn.now
    )


def _sign(turn: Turn) -> None:
    asked = turn.incident.attestations.unanswered().get()
    attestations.sign(attestation=asked, actor=turn.actor, ip="192.0.2.10", words=turn.words, now=turn.now)


def _accept(turn: Turn) -> None:
    requests.accept(incident=turn.incident, words=turn.words, actor=turn.actor, now=turn.now)


def _refuse(turn: Turn) -> None:
    requests.refuse(incident=turn.incident, reason=turn.words, actor=turn.actor, now=turn.now)


def _begin(turn: Turn) -> None:
    requests.begin(incident=turn.incident, actor=turn.actor, now=turn.now)


def _report(turn: Turn) -> None:
    services.report_stage(incident=turn.incident, stage=None, body=turn.words, actor=turn.actor, now=turn.now)


def _finish(turn: Turn) -> None:
    requests.finish(incident=turn.incident, words=turn.words, actor=turn.actor, now=turn.now)


def _confirm(turn: Turn) -> None:
    services.confirm(
        incident=turn.incident, remark=turn.words, score=turn.line["score"], actor=turn.actor, now=turn.now
    )


DOES: Final[Mapping[str, Callable[[Turn], None]]] = {
    "acknowledge": _acknowledge,
    "judge": _judge,
    "warn": _warn,
    "quote": _quote,
    "sign": _sign,
    "accept": _accept,
    "refuse": _refuse,
    "begin": _begin,
    "report": _report,
    "finish": _finish,
    "confirm": _confirm,
}
