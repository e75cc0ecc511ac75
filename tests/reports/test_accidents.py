"""The accident report: opened by an outage, written by people from facts, reviewed, signed, issued again."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, transaction

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import Incident, IncidentKind
from notify.models import Delivery
from reports import tasks
from reports.models import AccidentComment, AccidentIssue, AccidentReport
from reports.services import accident_deadlines, accidents, writing
from tests.incidents.conftest import alarm, make_asset, raise_incident
from tests.reports.conftest import at, issue_of, part_of, recover, reports_of, sweep, write
from timers import services as timers
from timers.models import Timer


def told(person: User) -> list[str]:
    with scope.platform("test"):
        rows = Delivery.objects.filter(user=person, medium="inbox", key__startswith="accident:").order_by("pk")
        return list(rows.values_list("subject", flat=True))


def test_after_thirty_minutes_and_not_before_the_report_opens_by_itself_and_once(web: Asset, chen: User) -> None:
    incident = alarm(web, severity=Severity.HIGH)
    assert [sweep(at(minutes)) for minutes in (1, 29, 30)] == [0, 0, 0]
    assert [sweep(at(minutes)) for minutes in (30.5, 31, 600)] == [1, 0, 0]
    report = reports_of(incident)[0]
    assert (report.trigger, report.outage_started_at, report.outage_ended_at) == ("outage", at(0), None)
    assert len(told(chen)) == 1


def test_who_recovers_in_time_owes_no_report(web: Asset) -> None:
    incident = alarm(web, severity=Severity.DISASTER)
    recover(incident, now=at(29))
    assert sweep(at(90)) == 0


def test_a_platform_that_slept_finds_what_it_owes(outage: Incident) -> None:
    assert sweep(at(7 * 24 * 60)) == 1


@pytest.mark.parametrize("severity", [Severity.AVERAGE, Severity.WARNING])
def test_lesser_severities_open_none_by_themselves(web: Asset, severity: Severity) -> None:
    alarm(web, severity=severity)
    assert sweep(at(600)) == 0


def test_what_a_customer_reports_counts_from_the_time_that_was_confirmed_until_it_is_solved(
    jia: Customer, alice: User, chen: User
) -> None:
    long = raise_incident(alice, customer=jia, severity=Severity.DISASTER)
    short = raise_incident(alice, customer=jia, severity=Severity.DISASTER)
    with scope.customer(jia):
        services.resolve(incident=short, resolution="x", cause="system", actor=chen, now=at(20))
    assert sweep(at(40)) == 1
    assert [len(reports_of(incident)) for incident in (long, short)] == [1, 0]


def test_by_hand_an_engineer_opens_it_for_any_incident_and_a_second_time_finds_it(
    jia: Customer, alice: User, chen: User
) -> None:
    incident = raise_incident(alice, customer=jia, severity=Severity.WARNING)
    with scope.user(chen):
        first = accidents.open_by_hand(incident=incident, actor=chen, now=at(1))
        assert accidents.open_by_hand(incident=incident, actor=chen, now=at(2)).pk == first.pk
    assert first.trigger == "by_hand"
    with scope.user(alice), pytest.raises(PermissionDenied):
        accidents.open_by_hand(incident=incident, actor=alice, now=at(3))


def test_an_internal_incident_has_nobody_to_report_to(web: Asset, chen: User) -> None:
    incident = alarm(web)
    with scope.platform("test"):
        Incident.objects.filter(pk=incident.pk).update(kind=IncidentKind.INTERNAL)
        incident.refresh_from_db()
    assert sweep(at(600)) == 0
    with scope.user(chen), pytest.raises(DomainError):
        accidents.open_by_hand(incident=incident, actor=chen, now=at(600))


def test_the_parts_begin_with_what_the_platform_knows_and_no_internal_note_is_in_them(report: AccidentReport) -> None:
    system, process, fault = (part_of(report, name).text for name in ("system", "process", "fault"))
    assert "ecs.g7.large" in system
    assert "10.0.0.8" in system
    assert "Restarting \\*nginx\\*" in process
    assert "secret thought" not in process
    assert "50" in fault
    alert = "Port 443 does not answer"
    assert f"- 2026-03-02 10:00:00 {alert} → 已恢复 2026-03-02 10:50:00" in fault.splitlines()
    told = [line for line in process.splitlines() if alert in line]
    assert told == [f"- 2026-03-02 10:00:00 告警：{alert}（严重）", f"- 2026-03-02 10:50:00 已恢复：{alert}"]
    assert [part_of(report, name).text for name in ("analysis", "advice")] == ["", ""]


def test_databases_stand_apart_from_systems(jia: Customer, alice: User, chen: User) -> None:
    database = make_asset(jia, "orders-db")
    with scope.platform("test"):
        Asset.objects.filter(pk=database.pk).update(kind="database", engine="MySQL 8.0")
        database.refresh_from_db()
    incident = alarm(database)
    with scope.user(chen):
        report = accidents.open_by_hand(incident=incident, actor=chen, now=at(1))
    text = part_of(report, "system").text
    assert text.startswith("### 数据库")
    assert "MySQL 8.0" in text


# --- writing --------------------------------------------------------------------------------------------------------


def test_two_who_write_the_same_part_lose_nothing(report: AccidentReport, chen: User, lin: User) -> None:
    part = part_of(report, "analysis")
    with scope.user(chen):
        writing.edit(part=part, text="Chen's", revision=0, actor=chen, now=at(61))
    with scope.user(lin):
        with pytest.raises(writing.ConflictError) as conflict:
            writing.edit(part=part, text="Lin's", revision=0, actor=lin, now=at(62))
        assert conflict.value.part.text == "Chen's"
        writing.edit(part=part, text="Lin's", revision=1, actor=lin, now=at(63))
        same = writing.edit(part=part, text="Lin's", revision=0, actor=lin, now=at(64))
    assert (same.text, same.revision) == ("Lin's", 2)


def test_new_facts_follow_where_nobody_wrote_and_stand_beside_where_somebody_did(
    report: AccidentReport, chen: User, jia: Customer
) -> None:
    with scope.user(chen):
        mine = writing.edit(part=part_of(report, "system"), text="My own words", revision=0, actor=chen, now=at(61))
        with scope.platform("test"):
            Asset.objects.update(spec="ecs.g8.xlarge")
        services.comment(incident=report.incident, body="One thing more", actor=chen, now=at(62))
        kept = accidents.refresh(report=report, actor=chen, now=at(63))
    assert [part.name for part in kept] == ["system"]
    system = part_of(report, "system")
    assert (system.text, system.has_news) == ("My own words", True)
    assert "ecs.g8.xlarge" in system.facts
    assert "One thing more" in part_of(report, "process").text
    with scope.user(chen):
        writing.take_facts(part=mine, replace=False, actor=chen, now=at(64))
    assert part_of(report, "system").text.startswith("My own words\n\n### ")


def test_refreshing_twice_changes_nothing(report: AccidentReport, chen: User) -> None:
    with scope.user(chen):
        assert accidents.refresh(report=report, actor=chen, now=at(61)) == []
        before = [part.revision for part in report.parts.all()]
        accidents.refresh(report=report, actor=chen, now=at(62))
        assert [part.revision for part in report.parts.all()] == before


@pytest.mark.parametrize("empty", ["fault", "system", "analysis", "process", "advice"])
def test_with_an_empty_part_nothing_is_issued(report: AccidentReport, chen: User, empty: str) -> None:
    write(report, chen, now=at(61), **{empty: "## Heading only\n\n- \n"})
    with scope.user(chen), pytest.raises(DomainError) as refusal:
        writing.submit(report=report, actor=chen, now=at(62))
    assert refusal.value.code == "empty"


def test_while_the_outage_goes_on_nothing_is_signed(web: Asset, chen: User) -> None:
    incident = alarm(web)
    sweep(at(31))
    report = reports_of(incident)[0]
    write(report, chen, now=at(32))
    with scope.user(chen):
        with pytest.raises(DomainError) as refusal:
            writing.submit(report=report, actor=chen, now=at(33))
        assert refusal.value.code == "ongoing"
    recover(incident, now=at(40))
    with scope.user(chen):
        accidents.refresh(report=report, actor=chen, now=at(41))
        assert writing.submit(report=report, actor=chen, now=at(42)).state == "review"


# --- review and signature -------------------------------------------------------------------------------------------


def test_the_manager_comments_returns_and_signs_and_an_engineer_does_not(
    report: AccidentReport, chen: User, lin: User
) -> None:
    write(report, chen, now=at(61))
    with scope.user(chen):
        writing.submit(report=report, actor=chen, now=at(62))
        for verb in (writing.sign, writing.give_back):
            with pytest.raises(PermissionDenied):
                verb(report=report, actor=chen, now=at(63), **({} if verb is writing.sign else {"reason": "x"}))
        with pytest.raises(DomainError):
            writing.edit(part=part_of(report, "advice"), text="late", revision=None, actor=chen, now=at(63))
    with scope.user(lin):
        writing.comment(part=part_of(report, "advice"), body="By when?", actor=lin, now=at(64))
        writing.give_back(report=report, reason="Dates are missing", actor=lin, now=at(65))
    assert "Lin" in told(chen)[-1]
    with scope.user(chen):
        writing.settle(comment=AccidentComment.objects.get(), actor=chen, now=at(66))
        writing.submit(report=report, actor=chen, now=at(67))
    with scope.user(lin):
        issue = writing.sign(report=report, actor=lin, now=at(68), address="192.0.2.7")
    assert (issue.number, issue.signed_name, issue.signed_at, issue.signed_from) == (1, "Lin", at(68), "192.0.2.7")
    assert issue.sha256 == writing.digest(issue.content)


def test_what_was_signed_cannot_be_changed_even_in_the_database(report: AccidentReport, chen: User, lin: User) -> None:
    issue = issue_of(report, chen, lin, now=at(61))
    with scope.platform("test"):
        changes: list[dict[str, object]] = [{"content": {}}, {"sha256": "0" * 64}, {"signed_name": "Eve"}]
        for change in changes:
            with pytest.raises(DatabaseError), transaction.atomic():
                AccidentIssue.objects.filter(pk=issue.pk).update(**change)
        with pytest.raises(DatabaseError), transaction.atomic():
            AccidentIssue.objects.filter(pk=issue.pk).delete()


def test_a_second_issue_has_its_reason_and_the_first_stays(report: AccidentReport, chen: User, lin: User) -> None:
    first = issue_of(report, chen, lin, now=at(61))
    with scope.user(chen):
        writing.reissue(report=report, reason="The cause was another", actor=chen, now=at(70))
    second = issue_of(report, chen, lin, now=at(71), analysis="The disk was full.")
    with scope.platform("test"):
        first.refresh_from_db()
    assert (second.number, second.reason) == (2, "The cause was another")
    assert first.content["parts"]["analysis"] != second.content["parts"]["analysis"]
    assert first.sha256 == writing.digest(first.content)


def test_a_manager_says_that_none_is_needed_and_the_sweep_obeys(report: AccidentReport, chen: User, lin: User) -> None:
    with scope.user(chen), pytest.raises(PermissionDenied):
        writing.withdraw(report=report, reason="Planned work", actor=chen, now=at(61))
    with scope.user(lin):
        writing.withdraw(report=report, reason="Planned work", actor=lin, now=at(61))
    assert sweep(at(62)) == 0
    assert len(reports_of(report.incident)) == 1


# --- deadline -------------------------------------------------------------------------------------------------------


def test_it_is_due_at_the_end_of_the_third_working_day_reminded_that_morning_and_missed_after_it(
    report: AccidentReport, chen: User, lin: User
) -> None:
    assert {tasks.remind_of_accident.name, tasks.miss_accident.name} == {
        accident_deadlines.REMIND_TASK,
        accident_deadlines.MISS_TASK,
    }
    thursday = datetime(2026, 3, 5, 10, 0, tzinfo=UTC)
    assert report.due_at == thursday
    fired = []
    for moment in (thursday.replace(hour=0), thursday.replace(hour=1), thursday, thursday + timedelta(hours=1)):
        with scope.platform("test"):
            fired.append(sum(timers.fire(timer_id=pk, now=moment) for pk in timers.claim(now=moment) if _is_ours(pk)))
    assert fired == [0, 1, 1, 0]
    assert len(told(chen)) == 3
    assert len(told(lin)) == 1
    report = reports_of(report.incident)[0]
    assert report.missed_at == thursday
    assert report.is_late(thursday + timedelta(hours=1))
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action="accident.miss").count() == 1


def _is_ours(timer_id: int) -> bool:
    return Timer.objects.filter(pk=timer_id, key__startswith="accident-report:").exists()


def test_customers_see_nothing_of_it_before_it_is_sent(report: AccidentReport, alice: User) -> None:
    with scope.user(alice):
        assert not AccidentReport.objects.exists()
        assert not report.parts.exists()
        assert not AccidentIssue.objects.exists()
