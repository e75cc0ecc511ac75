"""Reports on demand (R79, R117, R118): each kind is read, printed and taken as a workbook."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import openpyxl
import pytest
from django.utils.html import escape

from accounts import scope
from accounts.models import Contract, Customer, Severity, User
from assets.models import Asset
from incidents import services as incidents
from incidents.models import Incident
from incidents.months import Month
from reports import blocks, pdf, service_document
from reports.kinds.registry import KINDS
from reports.models import ReportKind, ServiceFigures, ServicePart, ServiceReport
from reports.promises import catalogue
from reports.services import service_reports, writing
from tests.conftest import ClientFor
from tests.incidents.conftest import alarm, make_asset

NOW = datetime(2026, 4, 2, 2, tzinfo=UTC)
MONTH = Month(2026, 3)


@pytest.fixture
def database(jia: Customer) -> Asset:
    with scope.platform("test"):
        Contract.objects.update(starts_on="2026-01-01", ends_on="2026-12-31")
    asset = make_asset(jia, "orders-db")
    make_asset(jia, "web-01")
    with scope.platform("test"):
        Asset.objects.filter(customer=jia).update(created_at=datetime(2026, 2, 1, tzinfo=UTC))
        Asset.objects.filter(pk=asset.pk).update(kind="rds", engine="MySQL 8.0")
    return asset


def asked(client_for: ClientFor, chen: User, jia: Customer, kind: str, **more: str) -> ServiceReport:
    form = {
        "customer": jia.pk,
        "kind": kind,
        "month": "2026-03",
        "subject": "",
        "resources": "",
        "incident": "",
        **more,
    }
    answer = client_for(chen).post("/reports/new/", form)
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    with scope.platform("test"):
        report = ServiceReport.objects.latest("pk")
        reading = ServiceFigures.objects.get(report=report)
        assert service_reports.read_figures(reading_id=reading.pk, clock=lambda: NOW)
        return ServiceReport.objects.select_related("customer", "author").get(pk=report.pk)


def tables(report: ServiceReport) -> dict[str, blocks.Table]:
    return {table.key: table for part in blocks.read(report.figures["parts"]) for table in part.tables()}


@pytest.mark.parametrize("kind", [kind for kind in ReportKind if kind != ReportKind.MONTHLY])
def test_each_kind_is_read_printed_and_a_workbook(
    database: Asset, jia: Customer, chen: User, client_for: ClientFor, kind: ReportKind
) -> None:
    report = asked(client_for, chen, jia, kind)
    assert [part["name"] for part in report.figures["parts"]] == [part.name for part in KINDS[kind]]
    with scope.platform("test"):
        content = writing.content_of(report, 1)
    assert pdf.make(service_document.preview(content)).startswith(b"%PDF-")
    page = client_for(chen)
    book = openpyxl.load_workbook(io.BytesIO(page.get(f"/reports/service/{report.pk}/workbook/").content))
    assert book.sheetnames
    assert page.get(f"/reports/service/{report.pk}/").status_code == 200


def test_a_fault_is_told_with_its_databases_and_its_timeline(
    database: Asset, jia: Customer, chen: User, client_for: ClientFor
) -> None:
    incident = alarm(database, severity=Severity.HIGH, title="Replication has stopped")
    with scope.customer(jia):
        incidents.comment(incident=incident, body="restarted *the*\nreplica", actor=chen, now=NOW)
        incidents.comment(incident=incident, body="secret", is_internal=True, actor=chen, now=NOW)
    report = asked(client_for, chen, jia, "database_fault", incident=incident.number)
    found = tables(report)
    assert [row[0] for row in found["resources"].rows] == ["orders-db"]
    assert found["incident"].rows[0][1] == f"{incident.number} Replication has stopped"
    told = [row[2] for row in found["process"].rows]
    assert any("restarted *the* replica" in str(text) for text in told), "what a person wrote is what was done"
    assert not any("secret" in str(text) for text in told)
    with scope.platform("test"):
        names = list(ServicePart.objects.filter(report=report).values_list("name", flat=True))
    assert names == ["fault", "cause", "solution", "avoidance"]


def test_without_an_incident_a_fault_analysis_is_about_the_databases_or_what_was_named(
    database: Asset, jia: Customer, chen: User, client_for: ClientFor
) -> None:
    found = tables(asked(client_for, chen, jia, "database_fault"))
    assert [row[0] for row in found["resources"].rows] == ["orders-db"]
    found = tables(asked(client_for, chen, jia, "database_fault", resources="web-01"))
    assert [row[0] for row in found["resources"].rows] == ["web-01"]


def test_a_report_about_some_resources_is_about_no_other(
    database: Asset, jia: Customer, chen: User, client_for: ClientFor
) -> None:
    assert len(tables(asked(client_for, chen, jia, "inventory"))["resources"].rows) == 2
    some = asked(client_for, chen, jia, "inventory", resources="orders-db")
    assert [row[0] for row in tables(some)["resources"].rows] == ["orders-db"]


def test_a_name_means_what_had_it_before_as_well(
    database: Asset, jia: Customer, chen: User, client_for: ClientFor
) -> None:
    again = make_asset(jia, "orders-db-new")
    with scope.platform("test"):
        Asset.objects.filter(pk=database.pk).update(retired_at=MONTH.starts_at + timedelta(days=9))
        Asset.objects.filter(pk=again.pk).update(name="orders-db", created_at=MONTH.starts_at + timedelta(days=9))
    report = asked(client_for, chen, jia, "performance", resources="orders-db")
    assert sorted(report.wishes["assets"]) == [database.pk, again.pk]


@pytest.mark.parametrize("kind", ["sla", "costs"])
def test_what_is_about_everything_takes_no_resources(
    database: Asset, jia: Customer, chen: User, client_for: ClientFor, kind: str
) -> None:
    form = {"customer": jia.pk, "kind": kind, "month": "2026-03", "resources": "orders-db"}
    answer = client_for(chen).post("/reports/new/", form)
    assert answer.status_code == 422
    assert answer.context["form"].errors.keys() == {"resources"}


def test_service_levels_come_with_the_promises_of_the_contract(
    database: Asset, jia: Customer, chen: User, client_for: ClientFor
) -> None:
    found = tables(asked(client_for, chen, jia, "sla"))
    assert len(found["promises_kept"].rows) == len(catalogue())


def test_another_customers_resource_or_incident_is_unknown(
    database: Asset, jia: Customer, yi: Customer, chen: User, client_for: ClientFor
) -> None:
    theirs = alarm(make_asset(yi, "secret-host"))
    form = {"customer": jia.pk, "kind": "inventory", "month": "2026-03"}
    page = client_for(chen)
    assert page.post("/reports/new/", {**form, "resources": "secret-host"}).status_code == 422
    assert page.post("/reports/new/", {**form, "kind": "database_fault", "incident": theirs.number}).status_code == 422
    with scope.platform("test"):
        assert not ServiceReport.objects.exists()
        assert Incident.objects.filter(pk=theirs.pk).exists()


@pytest.mark.parametrize("kind", list(ReportKind))
def test_every_number_leads_to_the_query_behind_it(
    database: Asset, jia: Customer, chen: User, client_for: ClientFor, kind: ReportKind
) -> None:
    """Where the figures are a page's rows, to that page as well: of what only the cloud has, there is none."""
    more = {}
    if kind == ReportKind.DATABASE_FAULT:
        more["incident"] = alarm(database, severity=Severity.HIGH).number
    report = asked(client_for, chen, jia, kind, **more)
    parts = blocks.read(report.figures["parts"])
    sources = {figure.key: figure.source for part in parts for figure in part.figures()}
    for part in parts:
        sources |= {b.key: b.source for b in part.blocks if isinstance(b, blocks.Table | blocks.Chart)}
    assert sources or kind == ReportKind.INSTALLATION
    assert [key for key, source in sources.items() if not source.how or not source.query] == []
    pathless = {key for key, source in sources.items() if not source.path}
    assert pathless <= {
        "health", "vulnerabilities", "urgent", "found", "fixed", "events", "serious", "unsettled",
        "vulnerabilities_by_kind", "vulnerabilities_by_priority", "security_events",
    }  # fmt: skip
    page = client_for(chen)
    assert {
        source.path for source in sources.values() if source.path and page.get(source.path).status_code != 200
    } == set()
    shown = page.get(f"/reports/service/{report.pk}/").content.decode()
    assert {source.query for source in sources.values() if escape(source.query) not in shown} == set()
