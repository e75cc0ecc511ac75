"""The demo's accident: an outage three days ago, its report, what follows from it, and some articles."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import F
from django.utils import timezone

from accounts.models import Customer, Role, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import Article, Incident
from incidents.services import following_up, knowledge
from notify.models import Delivery
from reports.models import AccidentIssue, AccidentRecipient, AccidentReport
from reports.services import accidents, rendering, sending, writing

FILE = Path(__file__).parent / "data" / "accident.json"
AGO = timedelta(days=3)
HEARD = timedelta(hours=1)


@dataclass(frozen=True)
class Cast:
    """Who plays: the engineer, the manager, and the customer's project manager."""

    engineer: User
    manager: User
    customer: User


def write(*, customer: Customer, engineer: User, manager: User, now: datetime) -> AccidentReport:
    """Play the accident through; needs a platform scope. It ends with the customer's receipt."""
    script = json.loads(FILE.read_text(encoding="utf-8"))
    person = User.objects.filter(customer=customer, role=Role.CUSTOMER_PM).order_by("pk")[0]
    cast = Cast(engineer, manager, person)
    incident = _incident(script, customer, cast, now - AGO)
    report = _sent(_report(script, incident, cast, now - AGO), cast, now - AGO)
    _follow_ups(script, incident, cast, now)
    _articles(script, incident, cast, now)
    leave_in_the_past(now=now)
    return report


def leave_in_the_past(*, now: datetime) -> None:
    """What was said three days ago was heard three days ago: nobody's robot repeats it today."""
    past = Delivery.objects.filter(state="pending", created_at__lt=now)
    past.update(state="delivered", settled_at=F("created_at"), next_attempt_at=None)
    Delivery.objects.filter(medium="inbox", created_at__lt=now - HEARD).update(read_at=now - HEARD)


def _incident(script: dict[str, Any], customer: Customer, cast: Cast, began: datetime) -> Incident:
    """One incident gathers both alarms: the second is that of the load balancer in front."""
    opened: list[tuple[Incident, dict[str, Any]]] = []
    for alarm in script["alarms"]:
        at = _at(began, alarm["minute"])
        asset = Asset.objects.filter(customer=customer, name=alarm["asset"]).first()
        if asset is None:
            continue
        incident = services.open_from_alert(
            customer=customer, asset=asset, severity=Severity.HIGH, title=alarm["title"], text=alarm["text"],
            alert_key=f"demo:{asset.pk}", occurred_at=at, now=at,
        )  # fmt: skip
        opened.append((incident, {**alarm, "key": f"demo:{asset.pk}"}))
    for incident, _alarm in opened:
        services.acknowledge(incident=incident, actor=cast.engineer, now=_at(began, 3))
    main = opened[0][0]
    for said in script["comments"]:
        actor = cast.customer if said.get("by") == "customer" else cast.engineer
        services.comment(incident=main, body=said["text"], actor=actor, now=_at(began, said["minute"]))
    for incident, alarm in opened:
        at = _at(began, alarm["recovered"])
        services.record_recovery(
            incident_id=incident.pk, alert_key=alarm["key"], text="连续 3 次正常", occurred_at=at, now=at
        )
    for number, (incident, _alarm) in enumerate(opened):
        services.resolve(
            incident=incident, resolution=script["resolution"], cause=Incident.Cause.CUSTOMER_APPLICATION,
            proof=script["proof"], actor=cast.engineer, now=_at(began, 60 + number),
        )  # fmt: skip
        services.close(incident=incident, actor=cast.customer, now=_at(began, 190 + number))
    return Incident.objects.select_related("customer", "assignee").get(pk=main.pk)


def _report(script: dict[str, Any], incident: Incident, cast: Cast, began: datetime) -> AccidentReport:
    """Opened by the outage and signed within the day; that of the second incident is withdrawn by the manager."""
    report = accidents.open_for_outage(incident=incident, now=_at(began, 62))
    assert report is not None  # noqa: S101 - it was out for more than half an hour
    ended = report.outage_ended_at or _at(began, 60)
    names = {
        "from": f"{timezone.localtime(report.outage_started_at):%Y-%m-%d %H:%M}",
        "until": f"{timezone.localtime(ended):%H:%M}",
        "minutes": str(int((ended - report.outage_started_at).total_seconds() // 60)),
    }
    for part in report.parts.all():
        if part.name in script["parts"]:
            text = script["parts"][part.name]
            for name, value in names.items():
                text = text.replace(f"{{{name}}}", value)
            writing.edit(part=part, text=text, revision=None, actor=cast.engineer, now=_at(began, 240))
    writing.submit(report=report, actor=cast.engineer, now=_at(began, 250))
    writing.sign(report=report, actor=cast.manager, now=_at(began, 300))
    for other in Incident.objects.filter(customer=incident.customer, severity__lte=2).exclude(pk=incident.pk):
        also = accidents.open_for_outage(incident=other, now=_at(began, 63))
        if also is not None:
            reason = f"同一次中断，见 {report.number}。"
            writing.withdraw(report=also, reason=reason, actor=cast.manager, now=_at(began, 301))
    report.refresh_from_db()
    return report


def _sent(report: AccidentReport, cast: Cast, began: datetime) -> AccidentReport:
    """Sent and received, where this machine can make the document at once; else it waits, signed, for a worker."""
    issue = AccidentIssue.objects.select_related("file").get(report=report)
    if rendering.render(family="accidents", file_id=issue.file.pk, clock=lambda: _at(began, 301)):
        [recipient] = sending.send(report=report, people=[cast.customer], actor=cast.engineer, now=_at(began, 310))
        sending.take_receipt(recipient=recipient, way=AccidentRecipient.Way.PORTAL, now=_at(began, 400))
        report.refresh_from_db()
    return report


def _follow_ups(script: dict[str, Any], incident: Incident, cast: Cast, now: datetime) -> None:
    today = timezone.localdate(now)
    for task in script["follow_ups"]:
        following_up.plan(
            customer=incident.customer, incident=incident, title=task["title"], detail=task["detail"],
            owner=cast.customer if task["owner"] == "customer" else cast.engineer,
            due_on=today + timedelta(days=task["days"]), actor=cast.engineer, now=now - timedelta(hours=1),
        )  # fmt: skip


def _articles(script: dict[str, Any], incident: Incident, cast: Cast, now: datetime) -> None:
    for number, text in enumerate(script["articles"]):
        at = now - timedelta(days=2 + number)
        visibility = Article.Visibility.CUSTOMERS if text["customers"] else Article.Visibility.INTERNAL
        draft = knowledge.Draft(text["title"], text["body"], visibility, None, text["tags"], text["products"])
        article = knowledge.write(draft=draft, incident=None if number else incident, actor=cast.manager, now=at)
        knowledge.publish(article=article, actor=cast.manager, now=at)
        knowledge.vote(article=article, is_helpful=True, actor=cast.engineer, now=at)


def _at(began: datetime, minutes: float) -> datetime:
    return began + timedelta(minutes=minutes)
