"""An asset's page has the reports that speak of it (R24)."""

from __future__ import annotations

from datetime import timedelta

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from incidents.models import Incident
from reports.models import AccidentReport, ServiceReport
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import make_asset


def service_report(customer: Customer, period: str, *names: str, is_sent: bool = True) -> ServiceReport:
    with scope.customer(customer):
        return ServiceReport.objects.create(
            customer=customer, kind="monthly", trigger="plan", period=period, starts_at=NOW - timedelta(days=30),
            ends_at=NOW, language="zh-hans", opened_at=NOW, due_at=NOW, changed_at=NOW,
            state="sent" if is_sent else "draft", sent_at=NOW if is_sent else None,
            figures={"sections": [{"blocks": [{"rows": [[name, 1, None] for name in names]}]}]},
        )  # fmt: skip


def test_reports_that_name_the_asset_are_on_its_page(
    jia: Customer, alice: User, chen: User, eve: User, client_for: ClientFor
) -> None:
    web, other = make_asset(jia, 'web-"01"'), make_asset(jia, "web-02")
    named = service_report(jia, "2026-01", 'web-"01"', "web-03")
    service_report(jia, "2026-02", "web-02x")
    draft = service_report(jia, "2026-03", 'web-"01"', is_sent=False)
    address = f"/reports/for-asset/{web.pk}/"
    theirs = client_for(alice).get(address).content.decode()
    assert named.number in theirs
    assert draft.number not in theirs, "what was not sent is not the customer's to read"
    assert draft.number in client_for(chen).get(address).content.decode()
    assert client_for(alice).get(f"/reports/for-asset/{other.pk}/").content.decode().strip() == ""
    assert client_for(eve).get(address).status_code == 404


def test_the_accident_report_of_its_incident_is_on_its_page(
    outage: Incident, report: AccidentReport, web: Asset, chen: User, client_for: ClientFor
) -> None:
    page = client_for(chen).get(f"/reports/for-asset/{web.pk}/").content.decode()
    assert report.number in page
