"""The SLA page (R14, R79): what is stored, grouped and shown to both sides, and to nobody else."""

import csv
import io
from datetime import datetime, timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import Customer, Severity, SlaTerm, User
from incidents import results, services
from incidents.models import Clock, Incident, IncidentKind, RequestPhase
from incidents.months import Month
from incidents.services import third_parties
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import raise_incident
from tests.incidents.test_deadlines import sweep

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MARCH = Month(2026, 3)


def solved(
    customer: Customer,
    actor: User,
    engineer: User,
    *,
    response: int,
    hours: int,
    cause: str = "system",
    severity: Severity = Severity.HIGH,
    now: datetime = NOW,
) -> Incident:
    """An incident that was answered after so many minutes and solved after so many hours."""
    incident = raise_incident(actor, customer=customer, severity=severity, now=now)
    with scope.customer(customer):
        services.acknowledge(incident=incident, actor=engineer, now=now + response * MINUTE)
        return services.resolve(
            incident=incident, resolution="Done", cause=cause, actor=engineer, now=now + hours * HOUR, proof="The log"
        )


@pytest.fixture
def march(jia: Customer, alice: User, chen: User) -> Customer:
    """Five High incidents; two of them answered late, one of those through no fault of ours."""
    with scope.customer(jia):
        SlaTerm.objects.update(report_minutes=None)
    for number, (response, cause) in enumerate(
        [(5, "system"), (5, "unknown"), (10, "aliyun"), (20, "customer_application"), (30, "system")]
    ):
        solved(jia, alice, chen, response=response, hours=1 + number, cause=cause)
    return jia


def line(result: results.Result, kind: Clock.Kind, severity: Severity = Severity.HIGH) -> results.Line:
    return next(one for one in result.lines if (one.kind, one.severity) == (kind, severity))


def test_a_month_counts_promises_and_those_kept(march: Customer) -> None:
    with scope.customer(march):
        result = results.of_month(MARCH, customer=march)
    response = line(result, Clock.Kind.RESPONSE)
    assert (response.tally.count, response.tally.met, response.tally.missed) == (5, 3, 2)
    assert response.tally.share == 60
    # without what Alibaba Cloud and the customer's application caused: two of three
    assert response.tally.own_share == pytest.approx(66.667, abs=0.001)
    assert response.mean_s == (5 + 5 + 10 + 20 + 30) * 60 / 5
    assert response.p90_s == pytest.approx(26 * 60)
    assert (result.incidents, result.missed) == (5, 2)


def test_time_is_shown_by_whose_it_was(march: Customer, alice: User, chen: User) -> None:
    incident = raise_incident(alice, customer=march)
    with scope.customer(march):
        services.acknowledge(incident=incident, actor=chen, now=NOW)
        services.wait_for_customer(incident=incident, question="?", actor=chen, now=NOW)
        services.comment(incident=incident, body="!", actor=alice, now=NOW + 3 * HOUR)
        services.resolve(incident=incident, resolution="x", cause="third_party", actor=chen, now=NOW + 4 * HOUR)
        result = results.of_month(MARCH, customer=march)
    sides = {side.cause: (side.incidents, side.handling_s // 3600) for side in result.sides}
    assert sides == {"system": (3, 1 + 2 + 5), "customer_application": (1, 4), "aliyun": (1, 3), "third_party": (1, 1)}
    assert (result.waited.count, result.waited.missed, result.waited_s) == (1, 1, 3 * 3600)
    assert line(result, Clock.Kind.HANDLING).paused_s == 3 * 3600


def test_what_lay_with_others_by_their_tickets_stands_beside_whatever_the_cause(
    march: Customer, alice: User, chen: User
) -> None:
    incident = raise_incident(alice, customer=march)
    with scope.customer(march):
        for party, began in (("aliyun", NOW), ("third_party", NOW + HOUR)):
            third_parties.hand_over(
                incident=incident, party=party, ticket="T1", started_at=began, actor=chen, now=began
            )
        assert {side.held_s for side in results.of_month(MARCH, customer=march).sides} == {0}, "they are still at it"
        services.resolve(incident=incident, resolution="x", cause="system", actor=chen, now=NOW + 4 * HOUR)
        sides = {side.cause: side.held_s // 3600 for side in results.of_month(MARCH, customer=march).sides}
    assert sides == {"system": 0, "customer_application": 0, "aliyun": 4, "third_party": 3}


def test_a_running_clock_is_not_judged_until_it_is_late(jia: Customer, alice: User) -> None:
    raise_incident(alice, customer=jia)
    with scope.customer(jia):
        tally = line(results.of_month(MARCH, customer=jia), Clock.Kind.RESPONSE).tally
        assert (tally.running, tally.share) == (1, None)
    sweep(NOW + 15 * MINUTE)
    with scope.customer(jia):
        tally = line(results.of_month(MARCH, customer=jia), Clock.Kind.RESPONSE).tally
        assert (tally.running, tally.missed, tally.share) == (1, 1, 0)


def test_a_month_begins_at_midnight_in_china(jia: Customer, alice: User, chen: User) -> None:
    midnight = datetime.fromisoformat("2026-03-01T00:00+08:00")
    solved(jia, alice, chen, response=1, hours=1, now=midnight)
    solved(jia, alice, chen, response=1, hours=1, now=midnight - timedelta(seconds=1))
    with scope.customer(jia):
        months = {str(point.month): point.incidents for point in results.trend(MARCH, customer=jia)}
        assert results.of_month(MARCH, customer=jia).incidents == 1
    assert (months["2026-03"], months["2026-02"], len(months)) == (1, 1, 12)


def test_stored_results_are_read_and_none_is_counted_anew(march: Customer) -> None:
    """T12: other terms and another target change nothing of what was."""
    with scope.customer(march):
        before = results.of_month(MARCH, customer=march)
        SlaTerm.objects.update(response_minutes=1, handling_minutes=1)
        assert results.of_month(MARCH, customer=march) == before
        Clock.objects.filter(kind="response").update(elapsed_seconds=7)
        assert line(results.of_month(MARCH, customer=march), Clock.Kind.RESPONSE).mean_s == 7


def test_internal_incidents_are_on_no_page_and_requests_on_their_own(march: Customer, chen: User) -> None:
    with scope.customer(march):
        first, second = Incident.objects.order_by("pk")[:2]
        Incident.objects.filter(pk=first.pk).update(kind=IncidentKind.INTERNAL)
        Incident.objects.filter(pk=second.pk).update(kind=IncidentKind.REQUEST, phase=RequestPhase.DONE)
        assert results.of_month(MARCH, customer=march).incidents == 3
        assert results.of_month(MARCH, customer=march, kind=IncidentKind.REQUEST).incidents == 1
        assert results.of_month(MARCH, customer=march, kind=IncidentKind.INTERNAL).incidents == 0
        assert results.trend(MARCH, customer=march)[-1].incidents == 3


def test_satisfaction_counts_in_the_month_in_which_it_was_given(march: Customer, alice: User) -> None:
    with scope.customer(march):
        for score, incident in zip((5, 4, 2), Incident.objects.order_by("pk"), strict=False):
            services.confirm(incident=incident, actor=alice, now=NOW + timedelta(days=2), score=score)
        content = results.of_month(MARCH, customer=march).content
        assert content.scores == 3
        assert content.mean == pytest.approx(11 / 3)
        assert results.trend(MARCH, customer=march)[-1].content == pytest.approx(11 / 3)
        assert results.of_month(MARCH.shifted(1), customer=march).content.scores == 0


# --- pages and API ---------------------------------------------------------------------------------------------------


def test_both_sides_read_the_same_figures(march: Customer, alice: User, chen: User, client_for: ClientFor) -> None:
    with scope.customer(march):
        clock = Clock.objects.select_related("incident").filter(breached_at__isnull=False).first()
        assert clock is not None
        services.explain(clock=clock, code="workload", note="Five at <once>", actor=chen, now=NOW + HOUR)
    for person in (alice, chen):
        page = client_for(person).get(f"/sla/{march.pk}/?month=2026-03").content.decode()
        assert "60.0 %" in page
        assert "Five at &lt;once&gt;" in page
        assert "sla-trend-data" in page
    assert client_for(alice).get("/sla/").headers["Location"] == f"/sla/{march.pk}/"
    assert "66.7 %" not in client_for(chen).get("/sla/?month=2026-02").content.decode()


def test_another_customers_month_is_not_found(march: Customer, eve: User, client_for: ClientFor) -> None:
    browser = client_for(eve)
    for address in (f"/sla/{march.pk}/", f"/sla/{march.pk}/clocks/", f"/api/v1/sla/{march.pk}/"):
        assert browser.get(address).status_code == 404
    assert [row["customer"] for row in browser.get("/api/v1/sla/").json()] == [eve.customer_id]


def test_the_provider_sees_the_customers_side_by_side(
    march: Customer, yi: Customer, chen: User, client_for: ClientFor
) -> None:
    browser = client_for(chen)
    page = browser.get("/sla/?month=2026-03").content.decode()
    assert page.index("甲方") < page.index("乙酉")
    assert f"/sla/{march.pk}/clocks/?month=2026-03&amp;verdict=unexplained" in page
    rows = {row["name"]: row for row in browser.get("/api/v1/sla/?month=2026-03").json()}
    assert rows[march.name]["response"]["share"] == 60
    assert (rows[march.name]["unexplained"], rows[yi.name]["incidents"]) == (2, 0)


def test_the_api_says_what_the_page_says(march: Customer, alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    answer = browser.get(f"/api/v1/sla/{march.pk}/?month=2026-03").json()
    (response,) = [one for one in answer["lines"] if one["kind"] == "response"]
    assert (response["severity"], response["tally"]["missed"], response["tally"]["share"]) == (2, 2, 60)
    assert browser.get(f"/api/v1/sla/{march.pk}/?month=march").status_code == 400


@pytest.mark.parametrize("month", ["", "2026-13", "%00", "0000-00", "²⁰²⁶-03", "2026-03' OR 1=1"])
def test_whatever_stands_in_the_address_is_harmless(
    march: Customer, chen: User, client_for: ClientFor, month: str
) -> None:
    browser = client_for(chen)
    for address in ("/sla/", f"/sla/{march.pk}/", f"/sla/{march.pk}/clocks/"):
        assert browser.get(f"{address}?month={month}&of=x&verdict=x&clock=x&severity=x&page=x").status_code == 200


def test_a_figure_leads_to_its_clocks(march: Customer, alice: User, client_for: ClientFor) -> None:
    address = f"/sla/{march.pk}/clocks/?month=2026-03&clock=response&severity=2&verdict=missed"
    page = client_for(alice).get(address)
    assert len(page.context["page"].rows) == 2
    assert client_for(alice).get(address.replace("2026-03", "2026-02")).context["page"].total == 0
    assert client_for(alice).get(address + "&cause=system").context["page"].total == 1


def test_the_trend_over_customers_is_kept_for_those_who_reach_the_same(
    march: Customer, yi: Customer, alice: User, chen: User, lin: User, client_for: ClientFor
) -> None:
    def shown(person: User) -> int:
        page = client_for(person).get("/sla/?month=2026-03")
        return int(page.context["trend"]["incidents"]["values"][-1])

    assert shown(chen) == shown(lin)
    with scope.platform("test"):
        chen.assignments.filter(customer=march).delete()
    mine = shown(chen)
    assert mine < shown(lin)
    with scope.platform("test"):
        Clock.objects.filter(customer=march).delete()
    assert shown(lin) > mine
    cache.clear()
    assert shown(lin) == mine


def test_everything_goes_into_csv(march: Customer, alice: User, chen: User, client_for: ClientFor) -> None:
    def table(address: str, person: User) -> list[list[str]]:
        text = client_for(person).get(address).content.decode("utf-8-sig")
        return list(csv.reader(io.StringIO(text)))

    head, *rows = table(f"/sla/{march.pk}/?month=2026-03&export=csv", alice)
    (response,) = [row for row in rows if row[3] in {"Response", "响应"}]
    assert response[4:8] == ["5", "3", "2", "0"]
    assert len(head) == len(response)
    assert len(table(f"/sla/{march.pk}/clocks/?month=2026-03&clock=response&export=csv", alice)) == 6
    assert len(table("/sla/?month=2026-03&export=csv", chen)) == 3


def test_the_pages_ask_a_constant_number_of_queries(
    march: Customer, yi: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    browser = client_for(chen)
    addresses = ["/sla/?month=2026-03", f"/sla/{march.pk}/?month=2026-03", f"/sla/{march.pk}/clocks/?month=2026-03"]

    def asked() -> list[int]:
        counts = []
        for address in addresses:
            browser.get(address)
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(address).status_code == 200
            counts.append(len(captured))
        return counts

    few = asked()
    for severity in Severity:
        solved(march, alice, chen, response=20, hours=2, severity=severity)
    assert asked() == few
    assert max(few) < 25
