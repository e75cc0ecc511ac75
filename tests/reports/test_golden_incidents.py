"""The part on incidents, number by number; and the overview's charts and summary of the same month."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import scope
from accounts.models import Contract, Customer, RosterShift, Severity, User
from assets.models import Asset
from bastion.models import Node
from changes.models import BackupRecord, Change, DutyOccurrence, RecurringDuty
from incidents.models import Clock, Incident, IncidentAsset, Satisfaction
from incidents.months import Month
from monitoring.models import Alert
from reports import blocks, cells, service_document
from reports.blocks import Part, Table
from reports.kinds import earlier
from reports.kinds.asking import Asked
from reports.kinds.monthly import incidents, overview
from reports.models import ServiceIssue, ServiceReport
from tests.bastion.conftest import node  # noqa: F401 - fixture
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import make_asset, raise_incident
from tests.reports import paper
from tests.reports.everywhere import shown_everywhere
from tests.reports.golden import MARCH, asset_of, chart, day, figure, read, rows, said, table, wide_rows, write
from tests.reports.test_golden_security import session

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
LAST = day(32) - timedelta(seconds=1)
DISASTER, HIGH, AVERAGE, WARNING = (str(one.label) for one in Severity)


def incident(
    person: User, at: datetime, severity: Severity, *, took: timedelta | None = None, late: bool = False, **fields: Any
) -> Incident:
    """Opened then and solved after so long; its response came after ten minutes, or `late` after twenty."""
    customer = person.customer
    assert customer is not None
    made = raise_incident(person, customer=customer, severity=severity, now=NOW)
    with scope.customer(customer):
        solved = None if took is None else at + took
        state = "open" if solved is None else "resolved"
        Incident.objects.filter(pk=made.pk).update(
            opened_at=at, detected_at=at, clock_started_at=at, resolved_at=solved, state=state, **fields
        )
        Clock.objects.filter(incident=made).exclude(kind__in=("response", "handling")).delete()
        answered = at + timedelta(minutes=20 if late else 10)
        Clock.objects.filter(incident=made, kind="response").update(
            started_at=at, stopped_at=answered, elapsed_seconds=1200 if late else 600, paused_seconds=0,
            breached_at=at + timedelta(minutes=15) if late else None, target_minutes=15,
        )  # fmt: skip
        seconds = None if took is None else took.total_seconds()
        Clock.objects.filter(incident=made, kind="handling").update(
            started_at=at, stopped_at=solved, elapsed_seconds=seconds, paused_seconds=None if took is None else 300
        )
        return Incident.objects.get(pk=made.pk)


def alert(asset: Asset, key: str, at: datetime, *, told: bool, flaps: bool = False) -> None:
    Alert.objects.create(
        customer=asset.customer, asset=asset, rule_id="x", open_key=key, severity=Severity.AVERAGE, title=key,
        first_breach_at=at, opened_at=at, detected_at=at, notified_at=at if told else None,
        flaps=[at.isoformat()] if flaps else [],
    )  # fmt: skip


@pytest.fixture
def month(jia: Customer, yi: Customer, alice: User, eve: User) -> list[Incident]:
    """Six incidents of the month, others at its edges, of other kinds, carried by another one, and of somebody else."""
    web, db = make_asset(jia, "web"), make_asset(jia, "db")
    found = [
        incident(alice, day(1), Severity.DISASTER, took=3 * HOUR, late=True, category="system", cause="system"),
        incident(alice, day(3), Severity.HIGH, took=HOUR, category="system", cause="aliyun"),
        incident(alice, day(3), Severity.HIGH, took=2 * HOUR, category="application", cause="system"),
        incident(alice, day(9), Severity.AVERAGE, took=20 * HOUR, category="aliyun", cause=""),
        incident(alice, day(9), Severity.WARNING, late=True, category="other"),
        incident(
            alice, day(32) - timedelta(seconds=1), Severity.HIGH, took=5 * HOUR, category="system", cause="system"
        ),
    ]
    incident(alice, day(1) - timedelta(seconds=1), Severity.HIGH, took=HOUR)
    incident(alice, day(32), Severity.HIGH, took=HOUR)
    carried = incident(alice, day(4), Severity.HIGH, took=HOUR)
    request = incident(alice, day(5), Severity.WARNING, took=HOUR)
    incident(eve, day(6), Severity.DISASTER, took=HOUR)
    with scope.customer(jia):
        Incident.objects.filter(pk=carried.pk).update(parent=found[1])
        Incident.objects.filter(pk=request.pk).update(kind="request", phase="done")
        for one, assets in ((found[0], [web]), (found[1], [web, db]), (found[2], [web]), (found[3], [db])):
            IncidentAsset.objects.bulk_create(IncidentAsset(customer=jia, incident=one, asset=each) for each in assets)
        for number in range(5):
            alert(web, f"a:{number}", day(2 + number), told=number < 3, flaps=number == 0)
        alert(web, "before", day(1) - HOUR, told=True)
        Satisfaction.objects.bulk_create(
            Satisfaction(customer=jia, incident=one, score=score, given_by=alice, given_at=day(20))
            for one, score in ((found[0], 5), (found[1], 4))
        )
        return found


@pytest.fixture
def part(jia: Customer, month: list[Incident]) -> Part:
    return read(jia, incidents.read)


def test_the_numbers(part: Part) -> None:
    wanted = {
        "count": 6, "requests": 1, "unsolved": 2, "response": pytest.approx(400 / 6), "missed": 2,
        "content": 4.5, "alerts": 5, "noise": pytest.approx(40.0),
    }  # fmt: skip
    assert {one.key: one.value for one in part.figures()} == wanted


def test_by_severity_and_way_in(part: Part) -> None:
    found = rows(part, "by_severity")
    assert {name: cells[0] for name, cells in found.items()} == {DISASTER: 1, HIGH: 3, AVERAGE: 1, WARNING: 1}
    assert all(sum(cells[1:]) == cells[0] for cells in found.values())


def test_clocks_against_what_was_promised(part: Part) -> None:
    response, handling = str(Clock.Kind.RESPONSE.label), str(Clock.Kind.HANDLING.label)
    found = wide_rows(part, "promises")
    minutes, unlimited = cells.length(15 * 60), _("no limit")
    assert found[DISASTER, response] == (minutes, 1, 0.0, 0.0, 1, 1200.0, 1200.0, 0)
    assert found[HIGH, response][:5] == (minutes, 3, 100.0, 100.0, 0)
    assert found[DISASTER, handling] == (unlimited, 1, None, None, 0, 10_800.0, 10_800.0, 300)
    target, count, share, _own, missed, mean, p90, paused = found[HIGH, handling]
    assert (target, count, share, missed, mean, paused) == (unlimited, 3, None, 0, pytest.approx(8 * 3600 / 3), 900)
    assert p90 == pytest.approx(2 * 3600 + 0.8 * 3 * 3600)
    assert found[WARNING, handling][1:3] == (1, None)
    assert table(part, "promises").note
    assert [row[2] for row in table(part, "breaches").rows] == [
        (day(1) + timedelta(minutes=15)).isoformat(), (day(9) + timedelta(minutes=15)).isoformat(),
    ]  # fmt: skip


def test_where_the_contract_sets_a_limit_handling_has_a_share(jia: Customer, month: list[Incident]) -> None:
    with scope.customer(jia):
        high = Clock.objects.filter(kind="handling", incident__severity=Severity.HIGH)
        high.update(target_minutes=240)
        Clock.objects.filter(kind="handling", incident=month[2]).update(target_minutes=120)
        Clock.objects.filter(kind="handling", incident=month[5]).update(breached_at=day(32))
    handling = str(Clock.Kind.HANDLING.label)
    target, count, share = wide_rows(read(jia, incidents.read), "promises")[HIGH, handling][:3]
    assert (count, share) == (3, pytest.approx(200 / 3))
    assert target == f"{cells.length(7200)} – {cells.length(14_400)}"
    found = rows(read(jia, overview.read), "sla")
    assert found[HIGH] == (3, cells.length(900), 100.0, target, pytest.approx(200 / 3))
    assert found[DISASTER][3:] == (_("no limit"), None)
    assert table(read(jia, overview.read), "sla").note


def test_by_day_class_and_cause(part: Part) -> None:
    days = chart(part, "by_day")
    assert {name: sum(value or 0 for value in values.values()) for name, values in days.items()} == {
        DISASTER: 1, HIGH: 3, AVERAGE: 1, WARNING: 1,
    }  # fmt: skip
    assert (days[HIGH]["03-03"], days[HIGH]["03-31"], days[HIGH]["03-04"]) == (2, 1, 0)
    classes, causes = rows(part, "by_class"), rows(part, "by_cause")
    assert sorted(cells[0] for cells in classes.values()) == [1, 1, 1, 3]
    assert classes[str(Incident.Category.SYSTEM.label)] == (3, 50.0)
    assert causes[str(Incident.Cause.SYSTEM.label)] == (3, 50.0)
    assert causes[_("not known yet")] == (2, pytest.approx(100 / 3))


def test_who_came_again_and_what_took_longest(part: Part, month: list[Incident]) -> None:
    assert rows(part, "repeats") == {"web": (3,), "db": (2,)}
    assert [(row[0], row[3]) for row in table(part, "longest").rows] == [
        (month[number].number, hours * 3600) for number, hours in ((3, 20), (5, 5), (0, 3), (2, 2), (1, 1))
    ]
    assert [row[0] for row in table(part, "list").rows] == [one.number for one in reversed(month)]
    assert "web" in said(part, "bad")


def test_whose_time_it_was(part: Part) -> None:
    sides = rows(part, "sides")
    own, theirs = sides[str(Incident.Cause.SYSTEM.label)], sides[str(Incident.Cause.ALIYUN.label)]
    assert own[:2] == (4, (3 + 2 + 20 + 5) * 3600)
    assert theirs[:2] == (1, 3600)


# --- the overview of the same month -----------------------------------------------------------------------------------


def test_this_month_stands_beside_the_one_before(jia: Customer, month: list[Incident]) -> None:
    bars = chart(read(jia, overview.read), "severities")
    assert bars["2026-03"] == {DISASTER: 1, HIGH: 3, AVERAGE: 1, WARNING: 1}
    assert set(bars["2026-02"].values()) == {None}, "the customer came in March"
    with scope.platform("test"):
        Customer.objects.filter(pk=jia.pk).update(created_at=day(-40))
        jia.refresh_from_db()
    assert chart(read(jia, overview.read), "severities")["2026-02"] == {DISASTER: 0, HIGH: 1, AVERAGE: 0, WARNING: 0}


def test_the_health_is_the_weighted_mean_of_what_is_known(jia: Customer, month: list[Incident]) -> None:
    part = read(jia, overview.read)
    sides = {one.key: one.value for one in part.figures() if one.key.startswith("health_")}
    assert sides == {
        "health_availability": None, "health_service_levels": pytest.approx(400 / 6), "health_alerts": 100.0,
        "health_hardening": None, "health_care": None,
    }  # fmt: skip
    assert figure(part, "health") is None, "sides of a weight of 40 are too few"
    write(asset_of(jia, "shop", "url"), "url.result_code", 0, url="https://shop.example/")
    assert figure(read(jia, overview.read), "health") == pytest.approx((30 * 100 + 25 * 400 / 6 + 15 * 100) / 70)


def kept(customer: Customer, month: Month, health: float | None, issued: float | None = None) -> None:
    """An earlier report, whose draft says so, and whose issue, when there is one, says something else."""

    def content(value: float | None) -> dict[str, Any]:
        source = blocks.Source("x")
        figures = blocks.Figures((blocks.Figure("health", "x", value, source),))
        return {"parts": blocks.written([Part("overview", "x", (blocks.Remark("x"), figures))])}

    with scope.customer(customer):
        report = ServiceReport.objects.create(
            customer=customer, kind="monthly", trigger="plan", period=str(month), starts_at=month.starts_at,
            ends_at=month.ends_at, language="zh-hans", opened_at=NOW, changed_at=NOW, due_at=month.freezes_at,
            figures=content(health), figures_at=NOW,
        )  # fmt: skip
        if issued is not None:
            signer = User.objects.get(name="Lin")
            for number, value in ((1, 1.0), (2, issued)):
                ServiceIssue.objects.create(
                    customer=customer, report=report, number=number, content=content(value), sha256="x",
                    signed_by=signer, signed_name="Lin", signed_at=NOW,
                )  # fmt: skip


def test_the_health_over_the_months_is_what_the_reports_said(jia: Customer, yi: Customer, lin: User) -> None:
    kept(jia, Month(2025, 4), 40)
    kept(jia, Month(2025, 3), 41)  # thirteen months ago
    kept(jia, Month(2026, 1), 70, issued=80.5)
    kept(jia, Month(2026, 2), None)
    kept(yi, Month(2025, 12), 12)
    part = read(jia, overview.read)
    [curve] = chart(part, "health_by_month").values()
    assert list(curve)[::11] == ["2025-04", "2026-03"]
    assert {month: value for month, value in curve.items() if value is not None and month != "2026-03"} == {
        "2025-04": 40.0, "2026-01": 80.5,
    }  # fmt: skip
    assert curve["2026-03"] == figure(part, "health")


def down_for(steps: int) -> Callable[[Any], Any]:
    return lambda at: np.where(at < steps, 1.0, 0.0)


def test_the_worst_businesses_are_bars_whose_axis_is_told(jia: Customer) -> None:
    for number in range(10):
        shop = asset_of(jia, f"shop-{number}", "url")
        write(shop, "url.result_code", down_for(100 * number), url=f"https://{number}.example/")
    part = read(jia, overview.read)
    [bars] = chart(part, "availability_bars").values()
    assert list(bars) == [f"shop-{number}" for number in range(9, 1, -1)]
    assert bars["shop-9"] == pytest.approx(100 * (1 - 900 / 8928))
    found = next(one for one in part.blocks if isinstance(one, blocks.Chart) and one.key == "availability_bars")
    assert (found.lowest, found.highest) == (50.0, 100)
    assert "50 %" in found.title


@pytest.mark.parametrize(
    ("worst", "lowest"), [(100, 99), (99.2, 99), (99.05, 95), (95.2, 90), (91, 90), (60, 50), (54, 0), (0, 0)]
)
def test_the_lowest_bar_is_always_one(worst: float, lowest: float) -> None:
    assert overview._floor(worst) == lowest


def test_without_a_url_there_are_no_bars(jia: Customer) -> None:
    charts = [one.key for one in read(jia, overview.read).blocks if isinstance(one, blocks.Chart)]
    assert "severities" in charts
    assert "availability_bars" not in charts


def test_what_was_done_in_the_month_and_the_sentences_of_it(
    jia: Customer,
    yi: Customer,
    alice: User,
    eve: User,
    chen: User,
    node: Node,  # noqa: F811
    month: list[Incident],
) -> None:
    web = asset_of(jia, "host")
    before = day(1) - timedelta(seconds=1)
    with scope.customer(jia):
        for operation, ended_at, fields in (
            ("linux-patch", day(1), {"patch": "CVE-1"}), ("linux-patch", before, {"patch": "CVE-2"}),
            ("snapshot-create", LAST, {}), ("snapshot-create", day(32), {}),
        ):  # fmt: skip
            change = Change.objects.create(
                customer=jia, title=operation, operation=operation, fields=fields, risk="low", requester=chen,
                state="closed", created_at=before, changed_at=before, begun_at=before, ended_at=ended_at,
            )  # fmt: skip
            BackupRecord.objects.create(
                customer=jia, change=change, asset=web, method="snapshot", reference="s-1", taken_at=ended_at,
                recorded_at=ended_at, by=chen,
            )  # fmt: skip
        for kind, done_at in (("restore_drill", day(4)), ("other", day(4)), ("restore_drill", day(32))):
            recurring = RecurringDuty.objects.create(
                customer=jia, kind=kind, name_zh="x", name_en="x", rhythm="monthly", first_due_on=day(4).date(),
                created_at=NOW,
            )  # fmt: skip
            DutyOccurrence.objects.create(
                customer=jia, duty=recurring, due_on=day(4).date(), opened_at=day(1), done_at=done_at, done_by=chen,
                minutes="x",
            )  # fmt: skip
        for at in (day(3), day(4), day(32)):
            session(web, node, chen, at)
    with scope.platform("test"):
        for customer, duty, start, end in (
            (None, "first", before - HOUR, day(1) + 8 * HOUR),
            (None, "first", day(1) + 7 * HOUR, day(2)),  # an hour of both counts once
            (jia, "first", day(31), day(34)),
            (yi, "first", day(10), day(20)),
            (None, "second", day(2), day(30)),
        ):
            RosterShift.objects.create(customer=customer, duty=duty, user=chen, starts_at=start, ends_at=end)
    part = read(jia, overview.read)
    done = {one.key: one.value for one in part.figures() if one.key.startswith("done_") or one.key == "changes"}
    assert done == {
        # one of those opened in the month was solved after it, one of the month before within
        "done_incidents": 5, "done_requests": 1, "changes": 2, "done_patches": 1, "done_backups": 2, "done_drills": 1,
        "done_reports": 0, "done_duty": 48.0, "done_sessions": 2,
    }  # fmt: skip
    sentences = said(part, "done").splitlines()
    assert len(sentences) == 7
    assert any("5" in text for text in sentences)


def test_without_a_roster_nobody_knows_the_hours(jia: Customer) -> None:
    part = read(jia, overview.read)
    [duty] = [one for one in part.figures() if one.key == "done_duty"]
    assert duty.value is None
    assert duty.note
    assert said(part, "done") == ""


def test_curves_over_months_ask_two_queries_however_many_there_are(
    jia: Customer, lin: User, django_assert_num_queries: Any
) -> None:
    for number in range(1, 12):
        kept(jia, MARCH.shifted(-number), 50, issued=60)
    asked = Asked(jia, MARCH, MARCH.starts_at, MARCH.ends_at, day(34), {})
    with scope.customer(jia), django_assert_num_queries(2):
        found = earlier.by_month(asked, "overview", {"health": 1.0, "nothing": None})
    assert found["health"] == (*(60.0,) * 11, 1.0)
    assert found["nothing"] == (None,) * 12


# --- the same numbers wherever they stand -----------------------------------------------------------------------------


def test_json_page_and_document_say_the_same_numbers(
    jia: Customer, chen: User, month: list[Incident], client_for: ClientFor
) -> None:
    write(asset_of(jia, "shop", "url"), "url.result_code", 0, url="https://shop.example/")
    with scope.platform("test"):
        Contract.objects.update(starts_on="2026-01-01", ends_on="2026-12-31")
    found = shown_everywhere(jia, chen, client_for(chen))
    kept, page, printed = list(found.parts.values()), found.page, found.paper
    numbers = {one.key: one for part in kept for one in part.figures()}
    golden = {"count": "6", "requests": "1", "unsolved": "2", "response": "66.67 %", "missed": "2", "content": "4.50",
              "alerts": "5", "noise": "40 %", "health": "88.10", "done_incidents": "5"}  # fmt: skip
    for key, text in golden.items():
        label = numbers[key].label
        assert paper.packed(label + text) in printed, key
        assert re.search(rf"{re.escape(label)}<i [^>]*></i></span><span [^>]*>{re.escape(text)}</span>", page), key
    shown = service_document.sections(kept)
    tables = {block.block.key: block for part in shown for block in part.blocks if isinstance(block.block, Table)}
    with translation.override("zh-hans"):
        for key in ("by_severity", "promises", "by_class", "longest", "sides", "sla"):
            for row in tables[key].rows:
                texts = [text for text, _side in row]
                assert paper.packed("".join(texts)) in printed, (key, texts)
                cells = r"\s*".join(rf"<td [^>]*>{re.escape(text)}</td>" for text in texts)
                assert re.search(cells, page), (key, texts)
