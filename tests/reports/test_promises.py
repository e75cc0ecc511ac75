"""The promises of the contract: the verdict, every number from rows, the page of both sides."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.utils import timezone, translation

from accounts import scope
from accounts.models import Contract, Customer, Severity, User
from assets.models import Asset, CloudAccount
from bastion.models import BastionSession, DirectLogin, HardenedServer, Node
from changes.models import (
    BackupPolicy,
    BackupRecord,
    Change,
    ChangeAsset,
    DutyOccurrence,
    RecurringDuty,
    ScriptVersion,
    TrailEvent,
    TrailReading,
)
from incidents.models import Clock, EscalationStep, Incident, IncidentAlert, ResponderNotice
from incidents.months import Month
from monitoring.models import Event
from reports.kinds import promises as kept
from reports.kinds.asking import Asked
from reports.models import AccidentIssue, AccidentReport, ReportPlan, ServiceIssue, ServiceReport
from reports.promises import NOTHING, UNSEEN, Count, Verdict, catalogue, tally, together
from tests.bastion.conftest import node  # noqa: F401 - fixture
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident

FEBRUARY, MARCH, APRIL = Month(2026, 2), Month(2026, 3), Month(2026, 4)
START, END = MARCH.starts_at, MARCH.ends_at
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
AFTER = END + 20 * DAY


@pytest.fixture
def inside(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def counted(code: str, customer: Customer, month: Month = MARCH, *, now: datetime = AFTER) -> Count:
    with scope.platform("test"):
        return kept.read([customer], [month], now=now)[code].get((customer.pk, month), NOTHING)


# --- pure ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "verdict"),
    [
        (Count(3), Verdict.KEPT),
        (Count(3, broken=1), Verdict.BROKEN),
        (Count(3, broken=1, open=2), Verdict.BROKEN),
        (Count(3, open=1), Verdict.KEPT),
        (Count(3, open=3), Verdict.UNKNOWN),
        (Count(0), Verdict.NOT_ASKED),
        (Count(None), Verdict.UNKNOWN),
        (Count(None, broken=1), Verdict.BROKEN),
    ],
)
def test_the_verdict_is_read_off_the_counts(count: Count, verdict: Verdict) -> None:
    assert count.verdict is verdict


def test_counts_add_up_and_what_nobody_sees_stays_unknown() -> None:
    assert together([Count(3, 1, 1), Count(2, 0, 1)]) == Count(5, 1, 2)
    assert together([Count(3, 1), UNSEEN]) == Count(None, 1)
    assert together([]) == NOTHING
    assert Count(5, 1, 2).kept == 2
    assert UNSEEN.kept is None


def test_a_tally_leaves_out_what_was_not_judged() -> None:
    found = tally([Count(1), Count(1), Count(1, 1), Count(0), UNSEEN, UNSEEN])
    assert (found.kept, found.broken, found.not_asked, found.unknown) == (2, 1, 1, 2)
    assert found.share == pytest.approx(200 / 3)
    assert tally([NOTHING]).share is None


def test_every_promise_has_its_reader_its_requirement_and_a_page() -> None:
    assert {one.code for one in catalogue()} == kept.READERS.keys()
    for one in catalogue():
        assert one.requirements
        assert one.clause.en.isascii()
        assert one.words.zh != one.words.en
        assert resolve(one.evidence(1, "2026-03").partition("?")[0])


# --- number by number ------------------------------------------------------------------------------------------------


def clock(incident: Incident, kind: str, at: datetime, **said: object) -> Clock:
    number = Clock.objects.filter(incident=incident, kind=kind).count() + 1
    usual: dict[str, object] = {"target_minutes": 15, "stopped_at": at + MINUTE}
    return Clock.objects.create(
        customer=incident.customer, incident=incident, kind=kind, round=number, started_at=at, **{**usual, **said}
    )


@pytest.mark.usefixtures("inside")
def test_clocks_by_severity_and_month(jia: Customer, alice: User) -> None:
    incident = raise_incident(alice, customer=jia, severity=Severity.HIGH)
    Clock.objects.all().delete()
    clock(incident, "response", START)
    clock(incident, "response", END - SECOND, breached_at=END, stopped_at=None)
    clock(incident, "response", END - SECOND, stopped_at=None)
    clock(incident, "response", END)
    clock(incident, "response", START, target_minutes=None)
    clock(incident, "notice", START, breached_at=START)
    clock(incident, "stage_report", START)
    assert counted("notice", jia) == NOTHING, "the contract promises it of severity Warning alone"
    Incident.objects.update(severity=Severity.WARNING)
    assert counted("notice", jia).verdict is Verdict.BROKEN
    Incident.objects.update(severity=Severity.HIGH)
    assert counted("response-high", jia) == Count(3, 1, 1)
    assert counted("response-high", jia, APRIL) == Count(1)
    assert counted("response-disaster", jia) == NOTHING
    assert counted("response-raised", jia) == Count(3, 1, 1)
    assert counted("stage-report", jia) == Count(1)
    Incident.objects.update(source=Incident.Source.MONITORING)
    assert counted("response-raised", jia) == NOTHING
    Incident.objects.update(kind="internal")
    assert counted("response-high", jia) == NOTHING


@pytest.mark.usefixtures("inside")
def test_handling_by_severity_with_how_long_it_took(jia: Customer, alice: User) -> None:
    incident = raise_incident(alice, customer=jia, severity=Severity.HIGH)
    Clock.objects.all().delete()
    assert counted("handling-high", jia) == NOTHING
    usual: dict[str, object] = {"target_minutes": None}
    clock(incident, "handling", START, elapsed_seconds=600, **usual)
    clock(incident, "handling", END - SECOND, elapsed_seconds=1800, **usual)
    clock(incident, "handling", END, elapsed_seconds=9999, **usual)
    assert counted("handling-high", jia) == Count(2, mean_s=1200, longest_s=1800)
    clock(incident, "handling", START, stopped_at=None, **usual)
    assert counted("handling-high", jia) == Count(3, 0, 1, 1200, 1800), "without a limit it goes on until it is solved"
    clock(incident, "handling", START, target_minutes=60, breached_at=START + DAY, elapsed_seconds=7200)
    assert counted("handling-high", jia) == Count(4, 1, 1, 3200, 7200)
    clock(incident, "response", START)
    for code in ("handling-disaster", "handling-average", "handling-warning"):
        assert counted(code, jia) == NOTHING
    Incident.objects.update(kind="internal")
    assert counted("handling-high", jia) == NOTHING


@pytest.mark.usefixtures("inside")
def test_restoring_by_severity_counts_what_was_out(jia: Customer, alice: User) -> None:
    solved = raise_incident(alice, customer=jia, severity=Severity.HIGH, now=START + DAY)
    raise_incident(alice, customer=jia, severity=Severity.AVERAGE, now=START + DAY)
    assert counted("restore-high", jia) == Count(1, 0, 1), "still out"
    Incident.objects.filter(pk=solved.pk).update(state="resolved", resolved_at=START + DAY + 40 * MINUTE)
    assert counted("restore-high", jia) == Count(1, mean_s=2400, longest_s=2400)
    policy = {**solved.policy, "handling_minutes": 30}
    Incident.objects.filter(pk=solved.pk).update(policy=policy)
    assert counted("restore-high", jia) == Count(1, 1, mean_s=2400, longest_s=2400)
    Incident.objects.filter(pk=solved.pk).update(policy={**policy, "handling_minutes": 40})
    assert counted("restore-high", jia) == Count(1, mean_s=2400, longest_s=2400)
    waiting = raise_incident(alice, customer=jia, severity=Severity.HIGH, now=END - SECOND)
    Incident.objects.filter(pk=waiting.pk).update(policy={**waiting.policy, "handling_minutes": 30})
    assert counted("restore-high", jia, now=END + 20 * MINUTE) == Count(2, 0, 1, 2400, 2400)
    assert counted("restore-high", jia, now=END + 40 * MINUTE) == Count(2, 1, 0, 2400, 2400)
    Incident.objects.filter(pk=waiting.pk).update(parent=solved)
    assert counted("restore-high", jia) == Count(1, mean_s=2400, longest_s=2400)
    assert counted("restore-high", jia, FEBRUARY) == counted("restore-disaster", jia) == NOTHING


@pytest.mark.usefixtures("inside")
def test_an_alarms_outage_ends_with_its_alert_and_not_with_the_paper(jia: Customer) -> None:
    incident = alarm(make_asset(jia, "web"), severity=Severity.DISASTER, now=START + DAY)
    assert counted("restore-disaster", jia) == Count(1, 0, 1)
    IncidentAlert.objects.filter(incident=incident).update(recovered_at=START + DAY + 10 * MINUTE)
    Incident.objects.filter(pk=incident.pk).update(state="resolved", resolved_at=START + 2 * DAY)
    assert counted("restore-disaster", jia) == Count(1, mean_s=600, longest_s=600)


@pytest.mark.usefixtures("inside")
def test_steps_of_escalation_that_were_late_or_never_came(jia: Customer, alice: User) -> None:
    incident = raise_incident(alice, customer=jia)
    EscalationStep.objects.all().delete()
    steps: list[dict[str, object]] = [
        {"state": "done", "done_at": START},
        {"state": "done", "done_at": END, "is_late": True},
        {"state": "cancelled", "cancelled_at": START},
        {"state": "pending"},
        {"state": "pending", "due_at": AFTER - MINUTE},
    ]
    for number, said in enumerate(steps):
        usual: dict[str, object] = {"due_at": START, **said}
        EscalationStep.objects.create(
            customer=jia, incident=incident, run=1, round=1, number=number, key=f"k{number}", who="first", **usual
        )
    assert counted("escalation", jia) == Count(3, 2)
    assert counted("escalation", jia, APRIL) == Count(1, 0, 1)


def monthly(customer: Customer, month: Month, **said: object) -> ServiceReport:
    usual: dict[str, object] = {"due_at": month.freezes_at - SECOND, "opened_at": month.ends_at}
    return ServiceReport.objects.create(
        customer=customer, kind="monthly", trigger="plan", period=str(month), starts_at=month.starts_at,
        ends_at=month.ends_at, language="zh-hans", changed_at=NOW, **{**usual, **said},
    )  # fmt: skip


@pytest.mark.usefixtures("inside")
def test_last_months_report_is_owed_whether_or_not_it_was_begun(jia: Customer) -> None:
    due = MARCH.freezes_at - SECOND
    assert counted("monthly-report", jia, MARCH) == NOTHING, "the contract begins in March"
    assert counted("monthly-report", jia, APRIL, now=due) == Count(1, 0, 1)
    assert counted("monthly-report", jia, APRIL, now=due + SECOND) == Count(1, 1)
    report = monthly(jia, MARCH)
    assert counted("monthly-report", jia, APRIL, now=due + SECOND) == Count(1, 1)
    for sent_at, broken in ((due, 0), (due + SECOND, 1)):
        ServiceReport.objects.update(sent_at=sent_at)
        assert counted("monthly-report", jia, APRIL) == Count(1, broken)
    report.delete()
    ReportPlan.objects.create(customer=jia, is_on=False, changed_at=NOW)
    assert counted("monthly-report", jia, APRIL) == NOTHING


@pytest.mark.usefixtures("inside")
def test_an_issue_lacks_no_part(jia: Customer, lin: User, alice: User) -> None:
    six = [{"name": name} for name in ("databases", "overview", "extra", "incidents", "security", "web", "hosts")]
    incident = raise_incident(alice, customer=jia)
    accident = AccidentReport.objects.create(
        customer=jia, incident=incident, trigger="by_hand", outage_started_at=START, language="en", opened_at=START,
        due_at=END, changed_at=START,
    )  # fmt: skip
    five = dict.fromkeys(("fault", "system", "analysis", "process", "advice"), "x")
    signed: dict[str, object] = {"customer": jia, "sha256": "0" * 64, "signed_by": lin, "signed_name": "Lin"}
    report = monthly(jia, MARCH)
    ServiceIssue.objects.create(report=report, number=1, content={"parts": six}, signed_at=START, **signed)
    ServiceIssue.objects.create(report=report, number=2, content={"parts": six[1:]}, signed_at=START, **signed)
    AccidentIssue.objects.create(report=accident, number=1, content={"parts": five}, signed_at=START, **signed)
    AccidentIssue.objects.create(report=accident, number=2, content={"parts": {}}, signed_at=END, **signed)
    assert counted("report-parts", jia) == Count(3, 1)
    assert counted("report-parts", jia, APRIL) == Count(1, 1)


@pytest.mark.usefixtures("inside")
def test_accident_reports_are_begun_at_the_half_hour_and_sent_in_time(jia: Customer, alice: User) -> None:
    def accident(opened_after: timedelta, *, due_at: datetime = END - SECOND, **said: object) -> None:
        incident = raise_incident(alice, customer=jia)
        Incident.objects.filter(pk=incident.pk).update(opened_at=START)
        usual: dict[str, object] = {"trigger": "outage"}
        AccidentReport.objects.create(
            customer=jia, incident=incident, outage_started_at=START, language="en", opened_at=START + opened_after,
            due_at=due_at, changed_at=START, **{**usual, **said},
        )  # fmt: skip

    accident(35 * MINUTE, sent_at=END - SECOND)
    accident(36 * MINUTE, sent_at=END)
    accident(300 * MINUTE, trigger="by_hand")
    accident(31 * MINUTE, state="withdrawn")
    accident(31 * MINUTE, due_at=AFTER + DAY)
    assert counted("accident-opened", jia) == Count(4, 1)
    assert counted("accident-report", jia) == Count(3, 2)
    assert counted("accident-report", jia, APRIL) == Count(1, 0, 1)


@pytest.mark.usefixtures("inside")
def test_changes_of_our_contacts_are_told_in_two_working_days(jia: Customer) -> None:
    for due_at, given_at in ((START, START), (START + DAY, START + 2 * DAY), (END - SECOND, None)):
        ResponderNotice.objects.create(
            customer=jia, changed_at=START, send_at=START, due_at=due_at, subject="s", text="t", given_at=given_at,
            how="" if given_at is None else "email",
        )  # fmt: skip
    assert counted("contact-change", jia) == Count(3, 2)
    assert counted("contact-change", jia, now=END - DAY) == Count(3, 1, 1)


@pytest.mark.usefixtures("inside")
def test_quotas_are_counted_as_they_stood(jia: Customer) -> None:
    Contract.objects.update(url_quota=1, middleware_quota=5)
    sites = [make_asset(jia, f"site-{number}") for number in range(3)]
    Asset.objects.update(kind="url", cloud_account=None, created_at=START)
    Asset.objects.filter(pk=sites[2].pk).update(created_at=END)
    assert counted("quota", jia) == Count(2, 1)
    Asset.objects.filter(pk=sites[1].pk).update(retired_at=END - SECOND)
    assert counted("quota", jia) == Count(2)
    assert counted("quota", jia, FEBRUARY) == NOTHING


@pytest.mark.usefixtures("inside")
def test_notices_of_expiry_that_came_late(jia: Customer) -> None:
    for number, is_late in enumerate((False, False, True)):
        Event.objects.create(
            customer=jia, source="expiry", kind="expiry-30", title_zh="x", title_en="x", detail={"late": is_late},
            occurred_at=START, recorded_at=START, key=f"expiry:asset:1:20260401:{number}",
        )  # fmt: skip
    assert counted("expiry", jia) == Count(3, 1)


@pytest.mark.usefixtures("inside")
def test_duties_done_late_dropped_or_overdue_are_broken(jia: Customer, chen: User, lin: User) -> None:
    duty = RecurringDuty.objects.create(
        customer=jia, kind="restore_drill", name_zh="演练", name_en="Drill", rhythm="weekly",
        first_due_on=date(2026, 3, 1), created_at=NOW,
    )  # fmt: skip
    for day, said in (
        (1, {"done_at": datetime(2026, 3, 1, 23, 59, tzinfo=START.tzinfo), "done_by": chen}),
        (2, {"done_at": datetime(2026, 3, 3, 0, 0, tzinfo=START.tzinfo), "done_by": chen}),
        (3, {"dropped_at": START, "dropped_by": lin, "dropped_because": "no time"}),
        (4, {}),
    ):
        DutyOccurrence.objects.create(customer=jia, duty=duty, due_on=date(2026, 3, day), opened_at=START, **said)
    assert counted("restore-drill", jia) == Count(4, 3)
    on_the_day = datetime(2026, 3, 4, 12, tzinfo=START.tzinfo)
    assert counted("restore-drill", jia, now=on_the_day) == Count(4, 2, 1)
    assert counted("patch-review", jia) == NOTHING


def change(customer: Customer, by: User, asset: Asset, *, begun_at: datetime, **said: object) -> Change:
    usual: dict[str, object] = {"operation": "linux-patch", "fields": {"patch": "CVE-1"}, "state": "closed"}
    made = Change.objects.create(
        customer=customer, title="OpenSSL", risk="high", requester=by, created_at=begun_at, changed_at=begun_at,
        begun_at=begun_at, ended_at=begun_at + MINUTE, **{**usual, **said},
    )  # fmt: skip
    asset.refresh_from_db()
    ChangeAsset.objects.create(customer=customer, change=made, asset=asset, environment=asset.environment)
    return made


@pytest.mark.usefixtures("inside")
def test_patches_in_production_before_they_were_proven_and_changes_without_backup(jia: Customer, chen: User) -> None:
    web, staging = make_asset(jia, "web"), make_asset(jia, "staging")
    Asset.objects.filter(pk=web.pk).update(environment="production")
    Asset.objects.filter(pk=staging.pk).update(environment="test")
    early = change(jia, chen, web, begun_at=START)
    change(jia, chen, staging, begun_at=START + DAY, backup_waiver="nothing on it")
    change(jia, chen, web, begun_at=START + 2 * DAY)
    change(jia, chen, web, begun_at=START + 2 * DAY, fields={"patch": "CVE-2"})
    change(jia, chen, web, begun_at=START + 2 * DAY, operation="snapshot-create", fields={})
    assert counted("patch-gate", jia) == Count(3, 2)
    assert counted("change-backup", jia) == Count(5, 4)
    BackupRecord.objects.create(
        customer=jia, change=early, asset=web, method="snapshot", reference="s-1", taken_at=START, recorded_at=START,
        by=chen,
    )  # fmt: skip
    assert counted("change-backup", jia) == Count(5, 3)
    of_nothing = change(jia, chen, web, begun_at=START, operation="dns-record", fields={})
    of_nothing.touched.all().delete()
    assert counted("change-backup", jia) == Count(6, 4), "a file of the zone is missing"
    BackupRecord.objects.create(
        customer=jia, change=of_nothing, method="file", reference="/zone", sha256="0" * 64, taken_at=START,
        recorded_at=START, by=chen,
    )  # fmt: skip
    assert counted("change-backup", jia) == Count(6, 3)


@pytest.mark.usefixtures("inside")
def test_a_patch_that_a_script_brings_counts_like_any_other(jia: Customer, chen: User, lin: User) -> None:
    web = make_asset(jia, "web")
    for code, patch in (("patching", "CVE-1"), ("harmless", "")):
        ScriptVersion.objects.create(
            customer=jia, code=code, number=1, name_en=code, name_zh=code, interpreter="sh", body="true", patch=patch,
            sha256="0" * 64, proposed_by=chen, proposed_at=START, approved_by=lin, approved_at=START,
        )  # fmt: skip
        change(
            jia, chen, web, begun_at=START + DAY, operation="script-run", fields={"script": code}, risk_told_at=START
        )
    assert counted("patch-gate", jia) == Count(1, 1)


@pytest.mark.usefixtures("inside")
def test_backup_policies_are_known_for_this_month_alone(jia: Customer, chen: User) -> None:
    for name, state in (("a", "as_agreed"), ("b", "differs"), ("c", "unknown"), ("d", "by_hand")):
        BackupPolicy.objects.create(
            customer=jia,
            asset=make_asset(jia, name),
            hour=2,
            keep_days=7,
            agreed_at=START,
            recorded_by=chen,
            state=state,
        )
    assert counted("backup-policy", jia, APRIL) == Count(3, 0, 3), "not compared since it began"
    BackupPolicy.objects.update(checked_at=AFTER - DAY)
    assert counted("backup-policy", jia, APRIL) == Count(3, 1, 1)
    assert counted("backup-policy", jia, MARCH) == UNSEEN, "only the last comparison is kept"
    assert counted("backup-policy", jia, FEBRUARY) == NOTHING


@pytest.mark.usefixtures("inside")
def test_backup_policies_of_a_month_are_judged_while_its_report_is_written(jia: Customer, chen: User) -> None:
    policy = BackupPolicy.objects.create(
        customer=jia, asset=make_asset(jia, "a"), hour=2, keep_days=7, agreed_at=START, recorded_by=chen,
        state="as_agreed", checked_at=END - 2 * DAY,
    )  # fmt: skip
    assert counted("backup-policy", jia, now=END + DAY) == Count(1)
    BackupPolicy.objects.filter(pk=policy.pk).update(state="differs", checked_at=END + DAY)
    assert counted("backup-policy", jia, now=END + DAY).verdict is Verdict.BROKEN
    BackupPolicy.objects.filter(pk=policy.pk).update(state="as_agreed", checked_at=START - DAY)
    assert counted("backup-policy", jia, now=END + DAY).verdict is Verdict.UNKNOWN
    assert counted("backup-policy", jia, now=MARCH.freezes_at) == UNSEEN


@pytest.mark.usefixtures("inside")
def test_log_ins_past_the_bastion_want_an_explanation(
    jia: Customer,
    node: Node,  # noqa: F811
    chen: User,
) -> None:
    web = make_asset(jia, "web")
    BastionSession.objects.create(
        customer=jia, node=node, person=chen, asset=web, account="trops", protocol="ssh", front="ssh",
        client_address="192.0.2.7", allowed_at=START, opened_at=START,
    )  # fmt: skip
    assert counted("bastion-only", jia) == UNSEEN, "no server's own records were read"
    assert counted("bastion-only", jia, FEBRUARY) == NOTHING
    read_on = HardenedServer.objects.create(customer=jia, asset=web, logins_upto=START + DAY)
    assert counted("bastion-only", jia) == UNSEEN, "most of the month was not read"
    assert counted("bastion-only", jia, now=START + DAY) == Count(1)
    HardenedServer.objects.filter(pk=read_on.pk).update(logins_upto=END)
    assert counted("bastion-only", jia) == Count(2 - 1)
    second = make_asset(jia, "second")
    assert counted("bastion-only", jia) == UNSEEN, "one server was never read"
    HardenedServer.objects.create(customer=jia, asset=second, logins_upto=START + 2 * DAY)
    Asset.objects.filter(pk=second.pk).update(retired_at=START + 2 * DAY)
    assert counted("bastion-only", jia) == Count(1), "it was read for as long as it was there"
    login = DirectLogin.objects.create(
        customer=jia, asset=web, at=END - SECOND, account="root", found_in="journal", seen_at=END
    )
    assert counted("bastion-only", jia) == Count(2, 1)
    DirectLogin.objects.filter(pk=login.pk).update(explanation="repair", explained_by=chen, explained_at=END)
    assert counted("bastion-only", jia) == Count(2)


@pytest.mark.usefixtures("inside")
def test_a_month_of_which_no_servers_log_ins_were_read_is_not_known(jia: Customer) -> None:
    web = make_asset(jia, "web")
    assert counted("bastion-only", jia) == UNSEEN, "without a session or a log-in nobody knows either"
    HardenedServer.objects.create(customer=jia, asset=web, logins_upto=END)
    assert counted("bastion-only", jia) == NOTHING
    Asset.objects.filter(pk=web.pk).update(kind="rds")
    HardenedServer.objects.all().delete()
    assert counted("bastion-only", jia) == NOTHING, "no server, no log-in"


@pytest.mark.usefixtures("inside")
def test_the_audit_trail_counts_only_where_it_was_read(jia: Customer, chen: User, alice: User) -> None:
    account = CloudAccount.objects.create(
        customer=jia, name="Main", account_uid="1", access_key_id="LTAI", created_at=NOW
    )
    assert counted("audit-trail", jia) == UNSEEN
    TrailReading.objects.create(
        customer=jia, cloud_account=account, region="cn-hangzhou", began_at=NOW, next_due_at=END, judged_at=END,
        read_until=END, back_until=NOW, back_goal=NOW,
    )  # fmt: skip
    incident = raise_incident(alice, customer=jia)
    events: list[tuple[str, dict[str, object]]] = [
        ("known", {}),
        ("unmatched", {}),
        ("suspicious", {"rule": "x"}),
        ("suspicious", {"rule": "x", "incident": incident}),
    ]
    for number, (verdict, said) in enumerate(events):
        TrailEvent.objects.create(
            customer=jia, cloud_account=account, event_id=str(number), occurred_at=END - SECOND, seen_at=END,
            service="Ecs", action="StopInstance", verdict=verdict, **said,
        )  # fmt: skip
    assert counted("audit-trail", jia) == Count(4, 1)
    assert counted("trail-suspicious", jia) == Count(2, 1)
    other = TrailReading.objects.create(
        customer=jia, cloud_account=account, region="ap-southeast-1", began_at=NOW, next_due_at=END, judged_at=END,
        read_until=END, back_until=END, back_goal=NOW,
    )  # fmt: skip
    assert counted("audit-trail", jia) == Count(None, 1), "nobody knows what is in the other region's past"
    other.delete()
    TrailReading.objects.update(read_until=END - DAY)
    assert counted("audit-trail", jia) == Count(None, 1)
    assert counted("trail-suspicious", jia, FEBRUARY) == NOTHING


def test_no_customer_is_counted_for_another(jia: Customer, yi: Customer, alice: User, eve: User) -> None:
    raise_incident(eve, customer=yi)
    assert counted("response-raised", yi).owed == 1
    assert counted("response-raised", jia) == NOTHING


@pytest.mark.usefixtures("inside")
def test_the_report_has_them_as_a_table(jia: Customer, alice: User) -> None:
    raise_incident(alice, customer=jia)
    table = kept.block(Asked(jia, MARCH, START, END, AFTER, {}))
    assert len(table.rows) == len(catalogue())
    rows = {row[0]: row for row in table.rows}
    raised = next(one for one in catalogue() if one.code == "response-raised")
    shown = rows.get(raised.words.zh) or rows[raised.words.en]
    assert shown[1] in (raised.clause.zh, raised.clause.en), "the contract's clause, not a number of ours"
    assert shown[3] == 1
    assert table.source.path == f"/reports/promises/{jia.pk}/?month=2026-03"
    assert len(table.paths) == len(table.rows)
    handled = next(place for place, one in enumerate(catalogue()) if one.code == "handling-high")
    assert table.paths[handled] == f"/sla/{jia.pk}/clocks/?month=2026-03&clock=handling&severity=2"
    assert {column.kind for column in table.columns[-2:]} == {"length"}


# --- pages -----------------------------------------------------------------------------------------------------------


def test_both_sides_see_a_customers_month_and_strangers_nothing(
    jia: Customer, yi: Customer, alice: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    raise_incident(alice, customer=jia)
    address = f"/reports/promises/{jia.pk}/"
    assert client_for(alice).get("/reports/promises/")["Location"] == address
    assert client_for(eve).get(address).status_code == 404
    for person in (alice, chen):
        response = client_for(person).get(f"{address}?month=2026-03")
        assert response.status_code == 200
        shown = {line.promise.code: line for group in response.context["groups"] for line in group.lines}
        assert shown["response-raised"].shown.count.owed == 1
        assert [str(cell.month) for cell in shown["notice"].cells][-1] == str(Month.of(timezone.localdate()))
        assert len(shown["notice"].cells) == 12
        assert bool(shown["contact-change"].evidence) == person.is_provider
        assert 'id="response-raised"' in response.content.decode()
        assert not re.search(r"\bR\d{1,3}\b", response.content.decode()), "requirements are numbers of our own"


def test_the_page_says_how_long_handling_and_restoring_took(jia: Customer, alice: User, client_for: ClientFor) -> None:
    incident = raise_incident(alice, customer=jia, severity=Severity.DISASTER)
    with scope.customer(jia):
        Clock.objects.filter(incident=incident, kind="handling").update(
            stopped_at=NOW + 65 * MINUTE, elapsed_seconds=3900
        )
        Incident.objects.filter(pk=incident.pk).update(state="resolved", resolved_at=NOW + 70 * MINUTE)
    with translation.override("en"):
        response = client_for(alice).get(f"/reports/promises/{jia.pk}/?month=2026-03", HTTP_ACCEPT_LANGUAGE="en")
        shown = {line.promise.code: line for group in response.context["groups"] for line in group.lines}
        assert shown["handling-disaster"].took == "Mean 1 h 5 min, longest 1 h 5 min"
        assert shown["restore-disaster"].took == "Mean 1 h 10 min, longest 1 h 10 min"
        assert shown["handling-high"].took == ""
    assert shown["handling-disaster"].evidence.endswith("clock=handling&severity=1")
    assert client_for(alice).get(shown["restore-disaster"].evidence).status_code == 200


def test_the_rows_behind_a_number_are_a_page_of_whoever_is_shown_the_way(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    for person in (alice, chen):
        browser = client_for(person)
        response = browser.get(f"/reports/promises/{jia.pk}/")
        ways = {line.evidence for group in response.context["groups"] for line in group.lines if line.evidence}
        assert len(ways) > 10
        assert {way for way in ways if browser.get(way).status_code != 200} == set()


def test_the_customers_side_by_side(
    jia: Customer, yi: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.customer(jia):
        Clock.objects.filter(incident=incident, kind="response").update(breached_at=NOW)
    response = client_for(chen).get("/reports/promises/?month=2026-03")
    rows = response.context["rows"]
    assert [row.customer for row in rows] == [jia, yi]
    assert rows[0].tally.broken == 3, "by severity, as the customer's own, and the escalation that never came"
    assert rows[1].tally.broken == 0


def test_the_year_as_csv(jia: Customer, alice: User, client_for: ClientFor) -> None:
    raise_incident(alice, customer=jia, now=timezone.now())
    response = client_for(alice).get(f"/reports/promises/{jia.pk}/?export=csv")
    rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))[1:]
    assert len(rows) == 12 * len(catalogue())
    this_month = str(Month.of(timezone.localdate()))
    raised = [row for row in rows if row[2] == "表1 注" and row[3] == this_month]
    assert [row[5] for row in raised] == ["1"]


def test_the_csv_has_the_seconds(jia: Customer, alice: User, client_for: ClientFor) -> None:
    incident = raise_incident(alice, customer=jia, severity=Severity.DISASTER, now=timezone.now())
    with scope.customer(jia):
        clocks = Clock.objects.filter(incident=incident, kind="handling")
        clocks.update(stopped_at=timezone.now(), elapsed_seconds=3900)
    response = client_for(alice).get(f"/reports/promises/{jia.pk}/?export=csv")
    rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))[1:]
    assert [tuple(row[-2:]) for row in rows if any(row[-2:])] == [("3900", "3900")]


def test_a_month_in_which_nothing_fell_due(jia: Customer, alice: User, client_for: ClientFor) -> None:
    response = client_for(alice).get(f"/reports/promises/{jia.pk}/?month=2019-01")
    assert response.status_code == 200
    assert response.context["tally"].not_asked == len(catalogue())
    assert 'id="notice"' not in response.content.decode()


@pytest.mark.parametrize("asked", ["2999-01", "x", "2026-13", ""])
def test_a_month_to_come_or_none_is_this_one(jia: Customer, alice: User, client_for: ClientFor, asked: str) -> None:
    response = client_for(alice).get(f"/reports/promises/{jia.pk}/?month={asked}")
    assert response.context["month"] == Month.of(timezone.localdate())


def test_more_customers_and_rows_ask_no_more_queries(
    jia: Customer, yi: Customer, chen: User, alice: User, eve: User, client_for: ClientFor
) -> None:
    browser = client_for(chen)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get("/reports/promises/?month=2026-03").status_code == 200
        return len(captured)

    for severity in Severity:
        raise_incident(alice, customer=jia, severity=severity)
        alarm(make_asset(jia, f"host-{severity}"), key=f"s:{severity}", severity=severity)
    queries()
    few = queries()
    for _ in range(3):
        raise_incident(alice, customer=jia)
        raise_incident(eve, customer=yi)
        alarm(make_asset(jia, f"web-{_}"), key=f"k:{_}")
    assert queries() == few
