"""What most tests of reports begin with: an incident that was out for 50 minutes and is solved."""

from datetime import datetime, timedelta

import pytest

from accounts import scope
from accounts.models import Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import Incident
from reports.models import AccidentIssue, AccidentPart, AccidentReport
from reports.services import rendering, sweeping, writing
from tests.conftest import NOW
from tests.incidents.conftest import (  # noqa: F401 - fixtures
    _business_calendar,
    alarm,
    make_asset,
    raise_incident,
    web,
)
from tests.portal import browser, portal, visit  # noqa: F401 - fixtures

WORDS = {"analysis": "The pool was too small: 200 of 200 in use.", "advice": "- Raise it to 500\n- Watch it"}


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def sweep(now: datetime) -> int:
    return sweeping.open_what_is_owed(now=now)


def recover(incident: Incident, *, key: str = "a:1", now: datetime) -> None:
    with scope.customer(incident.customer_id):
        services.record_recovery(incident_id=incident.pk, alert_key=key, text="good", occurred_at=now, now=now)


def reports_of(incident: Incident) -> list[AccidentReport]:
    with scope.platform("test"):
        return list(AccidentReport.objects.filter(incident=incident).select_related("customer", "incident"))


def part_of(report: AccidentReport, name: str) -> AccidentPart:
    with scope.platform("test"):
        return AccidentPart.objects.select_related("report").get(report=report, name=name)


def write(report: AccidentReport, actor: User, *, now: datetime, **texts: str) -> None:
    with scope.user(actor):
        for name, text in {**WORDS, **texts}.items():
            writing.edit(part=part_of(report, name), text=text, revision=None, actor=actor, now=now)


def issue_of(report: AccidentReport, chen: User, lin: User, *, now: datetime, **texts: str) -> AccidentIssue:
    """Written, submitted and signed."""
    write(report, chen, now=now, **texts)
    with scope.user(chen):
        writing.submit(report=report, actor=chen, now=now)
    with scope.user(lin):
        issue: AccidentIssue = writing.sign(report=report, actor=lin, now=now, address="192.0.2.7")
        return issue


def made(issue: AccidentIssue, *, now: datetime) -> AccidentIssue:
    with scope.platform("test"):
        rendering.render(family="accidents", file_id=issue.file.pk, clock=lambda: now)
        return AccidentIssue.objects.select_related("file", "report", "report__customer").get(pk=issue.pk)


@pytest.fixture
def outage(jia: Customer, web: Asset, chen: User) -> Incident:  # noqa: F811 - the fixture
    """Alarm at 0, taken at 5, good at 50, solved at 55."""
    with scope.platform("test"):
        Asset.objects.filter(pk=web.pk).update(spec="ecs.g7.large", os="linux", role_text="Shop", private_ip="10.0.0.8")
    incident = alarm(web, severity=Severity.HIGH)
    with scope.customer(jia):
        services.acknowledge(incident=incident, actor=chen, now=at(5))
        services.comment(incident=incident, body="Restarting *nginx*", actor=chen, now=at(20))
        services.comment(incident=incident, body="secret thought", is_internal=True, actor=chen, now=at(21))
    recover(incident, now=at(50))
    with scope.customer(jia):
        services.resolve(incident=incident, resolution="Restarted", cause="system", actor=chen, now=at(55))
    with scope.platform("test"):
        return Incident.objects.select_related("customer").get(pk=incident.pk)


@pytest.fixture
def report(outage: Incident) -> AccidentReport:
    assert sweep(at(60)) == 1
    return reports_of(outage)[0]
