"""A report is with the customer when somebody has it: lost mails are told, and a report that nobody has is owed."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from accounts import scope
from accounts.models import AuditEntry, Contract, Customer, User
from changes.models import DutyOccurrence, RecurringDuty
from changes.services import recurring
from incidents.models import Incident, IncidentKind, IncidentState
from notify.models import Delivery
from reports import pdf
from reports.kinds import promises
from reports.models import ReportPlan, ServiceIssue, ServiceRecipient, ServiceReport
from reports.promises import Count
from reports.services import reaching, sending, service_reports, sweeping, writing
from tests.conftest import ClientFor
from tests.reports.test_service import FIRST, MONTH, issued, opened, read
from tests.reports.test_service_life import ALARM
from timers.models import Timer

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _served_all_month(jia: Customer, yi: Customer) -> None:
    with scope.platform("test"):
        Contract.objects.update(starts_on="2026-01-01", ends_on="2026-12-31")


@pytest.fixture
def issue(jia: Customer, chen: User, lin: User, monkeypatch: pytest.MonkeyPatch) -> ServiceIssue:
    monkeypatch.setattr(pdf, "make", lambda _html, **_options: b"%PDF-1.7")
    return issued(read(opened()[0]), chen, lin)


def send(issue: ServiceIssue, actor: User, *people: User, now: datetime = FIRST) -> None:
    with scope.user(actor):
        sending.send(report=issue.report, people=people, actor=actor, now=now)


def lose(person: User, *, now: datetime, **how: object) -> None:
    """The mail did not leave, or came back; the next sweep sees it."""
    with scope.platform("test"):
        mails = Delivery.objects.filter(user=person, medium="email", key__startswith="service:issue:")
        mails.filter(pk=mails.latest("pk").pk).update(**how)
    sweeping.look_after_sent(now=now)


def owed(issue: ServiceIssue) -> set[str]:
    with scope.platform("test"):
        keys = Timer.objects.pending().filter(key__startswith=issue.report.key).values_list("key", flat=True)
        return {key.removeprefix(issue.report.key) for key in keys}


def told(who: User) -> list[str]:
    with scope.platform("test"):
        rows = Delivery.objects.filter(user=who, medium="inbox", key__contains=":lost:").order_by("pk")
        return [row.text for row in rows]


def kept(customer: Customer, now: datetime) -> Count:
    with scope.platform("test"):
        span = promises.Span((customer,), (MONTH.shifted(1),), now)
        return promises._monthly_report(span)[customer.pk, MONTH.shifted(1)]


LOST = [{"state": "failed", "last_code": "550"}, {"returned_at": FIRST, "returned_because": "5.1.1 no such user"}]


@pytest.mark.parametrize("how", LOST)
def test_a_report_whose_only_mail_was_lost_is_told_once_and_owed_again(
    jia: Customer,
    chen: User,
    lin: User,
    alice: User,
    issue: ServiceIssue,
    how: dict[str, object],
    client_for: ClientFor,
) -> None:
    send(issue, chen, alice)
    assert owed(issue) == set()
    assert kept(jia, FIRST + 20 * DAY).kept == 1
    lose(alice, now=FIRST + DAY, **how)
    sweeping.look_after_sent(now=FIRST + DAY)
    assert len(told(chen)) == 1
    assert "alice@" in told(chen)[0]
    assert str(how.get("last_code") or how["returned_because"]) in told(chen)[0]
    assert len(told(lin)) == 1, "nobody has it: the managers hear"
    assert owed(issue) == {"warn", "alarm", "due"}
    assert kept(jia, FIRST + 20 * DAY).broken == 1
    assert "所有邮件均未送达" in client_for(chen).get(f"/reports/service/{issue.report.pk}/").content.decode()
    with scope.platform("test"):
        assert AuditEntry.objects.filter(action="service.lost").count() == 1


def test_what_nobody_has_by_its_day_was_missed(jia: Customer, chen: User, alice: User, issue: ServiceIssue) -> None:
    send(issue, chen, alice)
    lose(alice, now=FIRST + DAY, state="failed")
    with scope.platform("test"):
        due = ServiceReport.objects.get(pk=issue.report.pk).due_at
    with scope.customer(jia):
        assert service_reports.meet_deadline(report_id=issue.report.pk, what="due", now=due)
    with scope.platform("test"):
        assert ServiceReport.objects.get(pk=issue.report.pk).missed_at == due


def test_sent_again_it_is_owed_no_more_and_a_second_loss_is_told_again(
    jia: Customer, chen: User, alice: User, issue: ServiceIssue
) -> None:
    send(issue, chen, alice)
    lose(alice, now=FIRST + DAY, state="failed")
    send(issue, chen, alice, now=FIRST + 2 * DAY)
    assert owed(issue) == set()
    assert kept(jia, FIRST + 20 * DAY).kept == 1
    lose(alice, now=FIRST + 3 * DAY, state="failed")
    assert len(told(chen)) == 2


def test_one_of_two_lost_is_told_and_nothing_is_owed(
    jia: Customer, chen: User, lin: User, alice: User, bob: User, issue: ServiceIssue
) -> None:
    send(issue, chen, alice, bob)
    lose(alice, now=FIRST + DAY, state="failed")
    assert len(told(chen)) == 1
    assert told(lin) == []
    assert owed(issue) == set()


def test_whoever_read_it_in_the_portal_has_it(jia: Customer, chen: User, alice: User, issue: ServiceIssue) -> None:
    send(issue, chen, alice)
    with scope.user(alice):
        sending.note_reading(issue=issue, person=alice, now=FIRST)
    lose(alice, now=FIRST + DAY, state="failed")
    assert owed(issue) == set()
    with scope.platform("test"):
        assert not reaching.reached_nobody(issue.report)
        assert ServiceRecipient.objects.get().failed_at == FIRST + DAY


def test_a_mail_that_is_under_way_is_not_lost(chen: User, alice: User, issue: ServiceIssue) -> None:
    send(issue, chen, alice)
    for state in ("pending", "sending", "accepted", "delivered", "uncertain"):
        lose(alice, now=FIRST + DAY, state=state, lease_until=FIRST, next_attempt_at=FIRST)
    assert told(chen) == []


# --- what ends when it is sent ----------------------------------------------------------------------------------------


def test_the_alarm_of_the_eighth_ends_when_it_is_sent(
    jia: Customer, chen: User, alice: User, issue: ServiceIssue
) -> None:
    with scope.customer(jia):
        assert service_reports.meet_deadline(report_id=issue.report.pk, what="alarm", now=ALARM)
    sweeping.look_after_sent(now=ALARM)
    with scope.platform("test"):
        alarm = Incident.objects.get(kind=IncidentKind.INTERNAL)
        assert alarm.is_unsolved
        assert ServiceReport.objects.get(pk=issue.report.pk).alarm == alarm
    send(issue, chen, alice, now=ALARM)
    sweeping.look_after_sent(now=ALARM)
    with scope.platform("test"):
        assert Incident.objects.get(pk=alarm.pk).state == IncidentState.CLOSED


def test_the_alarm_ends_when_no_report_is_owed_after_all(jia: Customer, lin: User) -> None:
    report = opened()[0]
    with scope.customer(jia):
        service_reports.meet_deadline(report_id=report.pk, what="alarm", now=ALARM)
    with scope.user(lin):
        writing.withdraw(report=report, reason="Paused", actor=lin, now=ALARM)
    sweeping.look_after_sent(now=ALARM)
    with scope.platform("test"):
        assert not Incident.objects.get(kind=IncidentKind.INTERNAL).is_unsolved


def test_the_duty_of_the_month_is_done_by_sending_its_report(
    jia: Customer, chen: User, alice: User, issue: ServiceIssue
) -> None:
    with scope.platform("test"):
        contract = Contract.objects.filter(customer=jia).latest("pk")
    with scope.customer(jia):
        recurring.create_standard_set(contract=contract, now=FIRST)
        duty = RecurringDuty.objects.get(code="monthly-report")
        occurrence = DutyOccurrence.objects.create(customer=jia, duty=duty, due_on=date(2026, 4, 9), opened_at=FIRST)
        other = DutyOccurrence.objects.create(customer=jia, duty=duty, due_on=date(2026, 5, 9), opened_at=FIRST)
    sweeping.look_after_sent(now=FIRST)
    with scope.platform("test"):
        assert DutyOccurrence.objects.open().count() == 2, "nothing was sent yet"
    send(issue, chen, alice)
    sweeping.look_after_sent(now=FIRST + DAY)
    with scope.platform("test"):
        occurrence.refresh_from_db()
        other.refresh_from_db()
    assert (occurrence.done_by_id, occurrence.done_at) == (chen.pk, FIRST + DAY)
    assert occurrence.link.endswith(f"/reports/service/{issue.report.pk}/")
    assert other.done_at is None


# --- in time ----------------------------------------------------------------------------------------------------------


def test_a_plan_drafts_before_the_word_of_the_fifth(jia: Customer, chen: User, client_for: ClientFor) -> None:
    page = f"/reports/plans/{jia.pk}/"
    assert 'max="4"' in client_for(chen).get(page).content.decode()
    with scope.platform("test"):
        ReportPlan.objects.create(customer=jia, day=4, hour=23, changed_at=FIRST)
    on = datetime.fromisoformat("2026-04-04T23:00:00+08:00")
    report = next(one for one in opened(now=on) if one.customer_id == jia.pk)
    with scope.platform("test"):
        rows = Timer.objects.pending().filter(key__startswith=report.key).values_list("key", "due_at")
    assert all(moment > on for _key, moment in rows), "it is on plan: nothing is late"


def test_months_of_a_long_standstill_are_opened_the_oldest_first(jia: Customer) -> None:
    with scope.platform("test"):
        Customer.objects.update(created_at=datetime.fromisoformat("2026-02-10T00:00:00+08:00"))
        later = [
            str(month)
            for customer, month in service_reports.owed_months(now=FIRST + timedelta(days=61))
            if customer == jia
        ]
    assert later == ["2026-03", "2026-04", "2026-05"]
    with scope.platform("test"):
        found = [str(month) for customer, month in service_reports.owed_months(now=FIRST) if customer == jia]
    assert found == ["2026-02", "2026-03"], "of January, before the customer came, nothing is known"


def test_a_plan_that_is_switched_on_opens_no_months_from_before(jia: Customer) -> None:
    now = FIRST + timedelta(days=61)
    with scope.platform("test"):
        ReportPlan.objects.create(customer=jia, changed_at=now - DAY)
        found = [str(month) for customer, month in service_reports.owed_months(now=now) if customer == jia]
    assert found == ["2026-05"]


# --- words that are not true any more ---------------------------------------------------------------------------------


def test_an_edited_text_is_handed_in_only_when_somebody_has_seen_the_new_facts(
    jia: Customer, chen: User, client_for: ClientFor
) -> None:
    report = read(opened()[0])
    with scope.platform("test"):
        part = report.parts.get(name="overview")
    with scope.user(chen):
        writing.edit(part=part, text="All was well.", revision=None, actor=chen, now=FIRST)
    with scope.platform("test"):
        type(part).objects.filter(pk=part.pk).update(has_news=True)
    page, address = client_for(chen), f"/reports/service/{report.pk}/"
    page.post(f"{address}submit/")
    with scope.platform("test"):
        assert ServiceReport.objects.get(pk=report.pk).state == "draft"
    assert "我的文字不变" in page.get(address).content.decode()
    page.post(f"{address}parts/{part.pk}/facts/", {"replace": "no"})
    with scope.platform("test"):
        part.refresh_from_db()
        assert (part.text, part.has_news) == ("All was well.", False)
    page.post(f"{address}submit/")
    with scope.platform("test"):
        assert ServiceReport.objects.get(pk=report.pk).state == "review"


def test_the_page_of_the_signature_shows_what_a_reviewer_still_wants(
    jia: Customer, chen: User, lin: User, client_for: ClientFor
) -> None:
    report = read(opened()[0])
    with scope.user(chen):
        writing.submit(report=report, actor=chen, now=FIRST)
    with scope.platform("test"):
        part = report.parts.get(name="overview")
    with scope.user(lin):
        comment = writing.comment(part=part, body="Say why it was slow", actor=lin, now=FIRST)
    page = client_for(lin)
    assert "Say why it was slow" in page.get(f"/reports/service/{report.pk}/sign/").content.decode()
    with scope.user(lin):
        writing.settle(comment=comment, actor=lin, now=FIRST)
    assert "Say why it was slow" not in page.get(f"/reports/service/{report.pk}/sign/").content.decode()
