"""What may go wrong in a service report's life: workers die, months come out of turn, what is signed changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import translation

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Contract, Customer, User
from incidents.models import Incident, IncidentKind
from incidents.months import Month
from notify.models import Delivery
from reports import pdf
from reports.kinds.asking import Asked, PartOf
from reports.kinds.registry import KINDS
from reports.models import MadeState, ReportKind, ServiceFigures, ServiceFile, ServiceIssue, ServicePart, ServiceReport
from reports.services import accidents, leases, rendering, sending, service_reports, sweeping, writing
from tests.conftest import ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident
from tests.incidents.test_api import machine, send
from tests.reports import worker
from tests.reports.conftest import sweep
from tests.reports.test_service import FIRST, MONTH, issued, opened, read
from timers.models import Timer

ALARM = datetime(2026, 4, 8, 1, tzinfo=UTC)
API = "/api/v1/service-reports/"


@pytest.fixture(autouse=True)
def _served_all_month(jia: Customer, yi: Customer) -> None:
    with scope.platform("test"):
        Contract.objects.update(starts_on="2026-01-01", ends_on="2026-12-31")


def by_hand(
    customer: Customer, actor: User, kind: ReportKind = ReportKind.MONTHLY, *, now: datetime = FIRST, **more: Any
) -> ServiceReport:
    with scope.user(actor):
        return service_reports.open_by_hand(customer=customer, kind=kind, month=MONTH, actor=actor, now=now, **more)


def in_review(report: ServiceReport, chen: User) -> ServiceReport:
    with scope.user(chen):
        return writing.submit(report=report, actor=chen, now=FIRST)


def sent(report: ServiceReport, chen: User, lin: User, *people: User) -> ServiceIssue:
    issue = issued(report, chen, lin)
    with scope.user(chen):
        sending.send(report=issue.report, people=people, actor=chen, now=FIRST)
    return issue


# --- workers ---------------------------------------------------------------------------------------------------------


def test_whatever_stops_a_reader_it_is_given_up_after_three_tries_and_can_be_asked_again(
    jia: Customer, chen: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_slow(_asked: Asked) -> Any:
        raise SoftTimeLimitExceeded

    report = opened()[0]
    monkeypatch.setattr(service_reports, "KINDS", {ReportKind.MONTHLY: [PartOf("overview", "Overview", too_slow)]})
    with scope.platform("test"):
        reading = ServiceFigures.objects.get(report=report)
        for _attempt in range(leases.MOST_TRIES):
            assert not service_reports.read_figures(reading_id=reading.pk, clock=lambda: FIRST)
        reading.refresh_from_db()
    assert reading.state == MadeState.FAILED
    assert "SoftTimeLimitExceeded" in reading.error
    with scope.user(chen):
        assert service_reports.read_again(report=report, actor=chen, now=FIRST).state == MadeState.WAITING


def test_a_reader_that_is_killed_three_times_is_given_up(jia: Customer) -> None:
    report, now = opened()[0], FIRST
    with scope.platform("test"):
        reading = ServiceFigures.objects.get(report=report)
        rows = ServiceFigures.objects.select_related("report")
        for _killed in range(leases.MOST_TRIES):
            assert leases.claim(rows, reading.pk, now) is not None
            assert leases.claim(rows, reading.pk, now) is None  # in somebody's hands
            now += leases.LEASE + timedelta(seconds=1)
        assert leases.claim(rows, reading.pk, now) is None
        reading.refresh_from_db()
        assert (reading.state, reading.error, reading.leased_until) == (MadeState.FAILED, leases.LOST, None)
        assert reading.pk not in sweeping.figures_waiting(now=now)


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_among_the_parts_leaves_no_half_report_and_the_next_sweep_finishes_it(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    raise_incident(alice, customer=jia)
    report = by_hand(jia, chen)
    assert worker.sweep("die").returncode == -9
    with scope.platform("test"):
        reading = ServiceFigures.objects.get(report=report)
        kept = ServiceReport.objects.get(pk=report.pk)
        assert (reading.state, reading.tries, reading.progress) == (MadeState.RENDERING, 1, 35)
        assert (kept.figures, kept.figures_at) == ({}, None)
        assert not ServicePart.objects.filter(report=report).exclude(text="").exists()
        assert reading.pk not in sweeping.figures_waiting(now=datetime.now(UTC))
    page = client_for(chen)
    assert page.get(f"/reports/service/{report.pk}/").status_code == 200
    assert page.get(f"/reports/service/{report.pk}/workbook/").status_code == 404
    with scope.user(chen), pytest.raises(DomainError) as refused:
        writing.submit(report=report, actor=chen, now=datetime.now(UTC))
    assert refused.value.code == "no_figures"
    with scope.platform("test"):
        ServiceFigures.objects.filter(pk=reading.pk).update(leased_until=datetime.now(UTC) - timedelta(seconds=1))
    done = worker.sweep()
    assert done.returncode == 0, done.stderr
    with scope.platform("test"):
        reading.refresh_from_db()
        kept.refresh_from_db()
    assert (reading.state, reading.tries, reading.progress) == (MadeState.READY, 2, 100)
    assert [part["name"] for part in kept.figures["parts"]] == [part.name for part in KINDS[ReportKind.MONTHLY]]
    assert page.get(f"/reports/service/{report.pk}/workbook/").status_code == 200


def test_whatever_stops_the_making_of_a_document_it_is_given_up_after_three_tries(
    jia: Customer, chen: User, lin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = in_review(read(opened()[0]), chen)
    with scope.user(lin):
        issue = writing.sign(report=report, actor=lin, now=FIRST)

    def breaks(*_args: object, **_options: object) -> bytes:
        raise AttributeError("no such luck")

    monkeypatch.setattr(pdf, "make", breaks)
    with scope.platform("test"):
        for _attempt in range(leases.MOST_TRIES):
            assert not rendering.render(family="service", file_id=issue.file.pk, clock=lambda: FIRST)
        file = ServiceFile.objects.get(pk=issue.file.pk)
    assert (file.state, file.error) == (MadeState.FAILED, "AttributeError: no such luck")


def test_one_incidents_trouble_holds_up_no_other_report(
    jia: Customer, yi: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = alarm(make_asset(jia, "web-01"), key="a:1"), alarm(make_asset(yi, "web-02"), key="b:1")
    opens = accidents.open_for_outage

    def breaks(*, incident: Incident, now: datetime) -> Any:
        if incident.pk == first.pk:
            raise AttributeError("no such luck")
        return opens(incident=incident, now=now)

    monkeypatch.setattr(accidents, "open_for_outage", breaks)
    assert sweep(second.opened_at + timedelta(minutes=31)) == 1


def test_one_customers_trouble_holds_up_no_other_month(
    jia: Customer, yi: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = service_reports.open_by_plan

    def breaks(*, customer: Customer, month: Month, now: datetime) -> Any:
        if customer.pk == jia.pk:
            raise AttributeError("no such luck")
        return opens(customer=customer, month=month, now=now)

    monkeypatch.setattr(service_reports, "open_by_plan", breaks)
    assert [one.customer.code for one in opened()] == ["yi"]


# --- months out of turn ----------------------------------------------------------------------------------------------


def test_who_came_after_the_month_is_owed_no_report_of_it(jia: Customer, yi: Customer, chen: User) -> None:
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(created_at=ALARM)
        jia.refresh_from_db()
    assert [one.customer.code for one in opened(now=ALARM + timedelta(hours=1))] == ["yi"]
    asked_at = ALARM + timedelta(days=7)
    assert by_hand(jia, chen, now=asked_at).due_at > asked_at


def test_an_old_month_opened_late_raises_no_alarm_of_days_that_are_over(jia: Customer, chen: User) -> None:
    report = by_hand(jia, chen, now=ALARM + timedelta(hours=1))
    with scope.platform("test"):
        keys = Timer.objects.pending().filter(key__startswith=report.key).values_list("key", flat=True)
        assert list(keys) == [f"{report.key}due"]
        assert not Incident.objects.filter(kind=IncidentKind.INTERNAL).exists()


@pytest.mark.parametrize(
    ("days", "said"), [(0, {"warn", "alarm", "due"}), (6, {"warn", "alarm", "due"}), (8, {"alarm", "due"})]
)
def test_what_the_platform_itself_opens_late_is_said_at_once(jia: Customer, days: int, said: set[str]) -> None:
    now = FIRST + timedelta(days=days)
    report = opened(now=now)[0]
    with scope.platform("test"):
        rows = Timer.objects.pending().filter(key__startswith=report.key).values_list("key", "due_at")
        moments = {key.removeprefix(report.key): at for key, at in rows}
    assert moments.keys() == said
    assert [what for what, at in moments.items() if at <= now] == {0: [], 6: ["warn"], 8: ["alarm"]}[days]


def test_a_report_that_is_restored_after_the_eighth_raises_no_alarm(jia: Customer, lin: User) -> None:
    report = opened()[0]
    with scope.user(lin):
        writing.withdraw(report=report, reason="Paused", actor=lin, now=FIRST)
        writing.restore(report=report, actor=lin, now=ALARM + timedelta(hours=1))
    with scope.platform("test"):
        keys = Timer.objects.pending().filter(key__startswith=report.key).values_list("key", flat=True)
        assert list(keys) == [f"{report.key}due"]


def test_a_month_that_goes_on_has_no_monthly_report_and_the_plan_still_opens_it(
    jia: Customer, chen: User, client_for: ClientFor
) -> None:
    with pytest.raises(DomainError) as refused:
        by_hand(jia, chen, now=MONTH.ends_at - timedelta(seconds=1))
    assert refused.value.code == "not_over"
    this = str(Month.of(datetime.now(UTC).date()))
    page = client_for(chen).post("/reports/new/", {"customer": jia.pk, "kind": "monthly", "month": this})
    assert page.status_code == 422
    assert [one.trigger for one in opened()] == ["plan", "plan"]


# --- what is signed --------------------------------------------------------------------------------------------------


def test_the_signed_title_is_in_the_reports_language_and_the_mails_in_the_readers(
    jia: Customer, chen: User, lin: User, alice: User
) -> None:
    report = read(opened()[0])
    with scope.platform("test"):
        User.objects.filter(pk=alice.pk).update(language="zh-hans")
        alice.refresh_from_db()
    with translation.override("en"):
        issue = sent(report, chen, lin, alice)
    assert issue.content["title"] == "月度报告 2026-03"
    with scope.platform("test"):
        subject = Delivery.objects.get(user=alice, medium="email", key__startswith="service:issue:").subject
    assert "月度报告 2026-03" in subject
    assert "Monthly" not in subject


def test_the_page_of_the_signature_shows_the_figures_and_signs_nothing_else(
    jia: Customer, alice: User, chen: User, lin: User, client_for: ClientFor
) -> None:
    incident = raise_incident(alice, customer=jia)
    with scope.platform("test"):
        Incident.objects.filter(pk=incident.pk).update(opened_at=MONTH.starts_at, title="Cannot pay at all")
    report = in_review(read(opened()[0]), chen)
    manager, address = client_for(lin), f"/reports/service/{report.pk}/sign/"
    page = manager.get(address)
    assert "Cannot pay at all" in page.content.decode()
    shown = page.context["shown"]
    with scope.platform("test"):
        part = ServicePart.objects.get(report=report, name="overview")
        ServicePart.objects.filter(pk=part.pk).update(text="Something else altogether")
    refused = manager.post(address, {"read": "on", "shown": shown})
    assert refused.status_code == 422
    assert "Something else altogether" in refused.content.decode()
    assert manager.post(address, {"read": "on"}).status_code == 422
    with scope.platform("test"):
        assert not ServiceIssue.objects.exists()
    assert manager.post(address, {"read": "on", "shown": refused.context["shown"]}).status_code == 302
    with scope.platform("test"):
        assert ServiceIssue.objects.get().sha256 == refused.context["shown"]


@pytest.mark.parametrize("kind", [ReportKind.DATABASE_FAULT, ReportKind.INSTALLATION])
def test_what_only_people_can_say_must_be_written(jia: Customer, chen: User, kind: ReportKind) -> None:
    report = read(by_hand(jia, chen, kind))
    by_people = [part.name for part in KINDS[kind] if part.is_by_hand]
    assert len(by_people) == 3
    for missing in by_people:
        with scope.user(chen):
            with pytest.raises(DomainError) as refused:
                writing.submit(report=report, actor=chen, now=FIRST)
            assert refused.value.code == "empty"
            part = ServicePart.objects.select_related("report").get(report=report, name=missing)
            writing.edit(part=part, text="So it was.", revision=None, actor=chen, now=FIRST)
    assert in_review(report, chen).state == "review"


def test_a_further_section_of_the_customer_must_be_written(jia: Customer, chen: User) -> None:
    with scope.platform("test"):
        plan = service_reports.plan_of(jia)
        plan.sections, plan.changed_at = [{"title": "Projects", "text": ""}], FIRST
        plan.save()
    report = read(opened()[0])
    with scope.user(chen), pytest.raises(DomainError) as refused:
        writing.submit(report=report, actor=chen, now=FIRST)
    assert refused.value.code == "empty"
    assert "Projects" in refused.value.message


# --- pages -----------------------------------------------------------------------------------------------------------


def test_a_page_that_was_drawn_before_the_figures_came_hears_of_them(
    jia: Customer, chen: User, client_for: ClientFor
) -> None:
    report, page = opened()[0], client_for(chen)
    address = f"/reports/service/{report.pk}/"
    before = page.get(address)
    assert f'hx-get="{address}?figures="' in before.content.decode()
    assert "data-new-figures" not in page.get(f"{address}?figures=").content.decode()
    read(report)
    asked = page.get(f"{address}?figures=").content.decode()
    assert "data-new-figures" in asked
    assert f'hx-get="{address}?figures="' in asked  # still what the page was drawn with
    after = page.get(address)
    stamp = after.context["figures_stamp"]
    assert stamp
    assert "data-new-figures" not in page.get(f"{address}?figures={stamp}").content.decode()


def test_a_receipt_is_recorded_only_of_what_was_handed_out(jia: Customer, chen: User, lin: User, alice: User) -> None:
    report = read(opened()[0])
    now = datetime.now(UTC)
    issue = issued(report, chen, lin)
    with scope.user(chen):
        [recipient] = sending.send(report=issue.report, people=[alice], actor=chen, now=now)
    place = Path(default_storage.path(issue.file.stored_name))
    place.write_bytes(place.read_bytes() + b" ")
    with scope.platform("test"):
        link = f"/reports/open/{sending.token_for(issue.recipients.select_related('issue__report').get())}/"
    assert Client().post(link).get("Content-Type") != "application/pdf"
    with scope.platform("test"):
        recipient.refresh_from_db()
    assert recipient.received_at is None


@pytest.mark.parametrize("way", ["pdf/", "workbook/", "api-pdf", "api-issues"])
def test_a_recipient_that_takes_it_in_any_form_has_read_it(
    jia: Customer, chen: User, lin: User, alice: User, client_for: ClientFor, way: str
) -> None:
    report = read(opened()[0])
    issue = sent(report, chen, lin, alice)
    if way.startswith("api-"):
        answer = machine(alice).get(f"{API}{report.pk}/{way.removeprefix('api-')}/")
    else:
        answer = client_for(alice).get(f"/reports/service/{report.pk}/issues/{issue.pk}/{way}")
    assert answer.status_code == 200
    with scope.platform("test"):
        recipient = issue.recipients.get()
    assert recipient.read_at is not None
    assert recipient.received_at is None


def test_the_list_finds_what_is_owed_and_what_is_late(
    jia: Customer, yi: Customer, chen: User, lin: User, client_for: ClientFor
) -> None:
    ours, theirs = opened()
    with scope.user(lin):
        writing.withdraw(report=theirs, reason="Paused", actor=lin, now=FIRST)
    for wanted in ("owed", "late"):
        shown = client_for(chen).get(f"/reports/?due={wanted}").content.decode()
        assert ours.number in shown
        assert theirs.number not in shown
    with scope.platform("test"):
        ServiceReport.objects.filter(pk=ours.pk).update(due_at=datetime.now(UTC) + timedelta(days=1))
    assert ours.number not in client_for(chen).get("/reports/?due=late").content.decode()


# --- API -------------------------------------------------------------------------------------------------------------


def test_the_api_asks_for_a_report_about_something_and_reads_it_again(
    jia: Customer, yi: Customer, chen: User, alice: User
) -> None:
    database, theirs = make_asset(jia, "orders-db"), make_asset(yi, "secret-host")
    incident = alarm(database)
    said = {"customer": jia.pk, "kind": "database_fault", "period": "2026-03"}
    engineer = machine(chen)
    assert send(engineer, API, **said, resources=[theirs.pk]).status_code == 400
    assert send(engineer, API, **said, incident=alarm(theirs, key="b:1").pk).status_code == 400
    assert send(machine(alice), API, **said).status_code == 403
    assert send(engineer, API, **said | {"kind": "sla"}, resources=[database.pk]).status_code == 400
    made = send(engineer, API, **said, resources=[database.pk], incident=incident.pk)
    assert made.status_code == 201, made.content
    with scope.platform("test"):
        report = ServiceReport.objects.get(pk=made.json()["id"])
    assert report.wishes == {"assets": [database.pk], "incident": incident.pk}
    address = f"{API}{report.pk}/read-again/"
    assert send(engineer, address).status_code == 409  # it is being read already
    read(report)
    assert send(engineer, address).status_code == 202
    with scope.platform("test"):
        assert ServiceFigures.objects.get(report=report).state == MadeState.WAITING


def test_a_customers_token_sees_neither_state_nor_what_was_missed(
    jia: Customer, chen: User, lin: User, alice: User
) -> None:
    report = read(opened()[0])
    sent(report, chen, lin, alice)
    ours, theirs = machine(chen), machine(alice)
    assert {"state", "missed_at"} <= ours.get(f"{API}{report.pk}/").json().keys()
    assert not {"state", "missed_at"} & theirs.get(f"{API}{report.pk}/").json().keys()
    assert ours.get(f"{API}?state=draft&customer={jia.pk}").json()["results"] == []
    assert [one["id"] for one in theirs.get(f"{API}?state=draft").json()["results"]] == [report.pk]
    assert send(theirs, f"{API}{report.pk}/read-again/").status_code == 403
