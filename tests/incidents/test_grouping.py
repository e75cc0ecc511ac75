"""Alarms of one host are one incident with children; people put incidents together and take them apart."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, Severity, User
from assets.models import Asset
from incidents import services
from incidents.models import Clock, Incident, IncidentAlert, IncidentState, TimelineEntry
from incidents.services import Alarm, Recovery
from incidents.timeline import sentence
from notify.models import Channel, Delivery
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import alarm, make_asset, raise_incident
from timers.models import Timer

MINUTE = timedelta(minutes=1)
DISASTER, HIGH, WARNING = Severity.DISASTER, Severity.HIGH, Severity.WARNING
TOLD = [IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED, IncidentState.CLOSED]


@pytest.fixture
def host(jia: Customer) -> Asset:
    return on_host(jia, "host-01", kind="server")


@pytest.fixture
def database(jia: Customer) -> Asset:
    return on_host(jia, "orders-db", kind="database")


@pytest.fixture
def proxy(jia: Customer) -> Asset:
    return on_host(jia, "nginx", kind="middleware")


def on_host(customer: Customer, name: str, *, kind: str, address: str = "10.0.0.7") -> Asset:
    asset = make_asset(customer, name)
    with scope.customer(customer):
        Asset.objects.filter(pk=asset.pk).update(kind=kind, host=address)
        asset.refresh_from_db()
    return asset


def storm(customer: Customer, *of: tuple[Asset, Severity, str]) -> list[Incident]:
    with scope.customer(customer):
        alarms = [Alarm(asset, severity, f"Alert {key}", "text", key, NOW) for asset, severity, key in of]
        return services.open_from_alerts(customer=customer, alarms=alarms, now=NOW)


def kinds(incident: Incident) -> list[str]:
    return list(TimelineEntry.objects.filter(incident=incident).values_list("kind", flat=True))


# --- by itself -------------------------------------------------------------------------------------------------------


def test_what_runs_on_a_host_hangs_under_the_hosts_incident(
    in_jia: Customer, host: Asset, database: Asset, proxy: Asset, chen: User
) -> None:
    root = alarm(host, severity=HIGH, key="h")
    child = alarm(database, severity=HIGH, key="d", now=NOW + MINUTE)
    stranger = alarm(make_asset(in_jia, "elsewhere"), key="e")
    assert (child.parent, stranger.parent) == (root, None)
    assert not Clock.objects.filter(incident=child).exists()
    assert not Timer.objects.filter(key__startswith=f"incidents:{child.pk}:").exists()
    assert kinds(child)[-1] == kinds(root)[-1] == "grouped"
    assert AuditEntry.objects.filter(action="incident.group", object_id=str(child.pk)).count() == 1


def test_the_root_alone_calls_people_and_the_channel_hears_of_the_child_as_part_of_it(
    in_jia: Customer, host: Asset, database: Asset, chen: User
) -> None:
    Channel.objects.create(customer=in_jia, kind="webhook", name="all", created_at=NOW)
    root = alarm(host, key="h")
    before = Delivery.objects.filter(user=chen).count()
    child = alarm(database, key="d", now=NOW + MINUTE)
    assert Delivery.objects.filter(user=chen).count() == before
    latest = Delivery.objects.filter(user=None).order_by("-pk")[0]
    assert root.number in latest.text
    assert child.number not in latest.text


def test_what_is_worse_on_a_child_makes_the_root_worse_and_asks_for_a_response_again(
    in_jia: Customer, host: Asset, database: Asset, chen: User
) -> None:
    root = alarm(host, severity=WARNING, key="h")
    services.acknowledge(incident=root, actor=chen, now=NOW + MINUTE)
    child = alarm(database, severity=DISASTER, key="d", now=NOW + 2 * MINUTE)
    root.refresh_from_db()
    assert (root.severity, root.state) == (DISASTER, IncidentState.OPEN)
    assert root.response is not None
    assert (root.response.round, root.response.started_at) == (2, NOW + 2 * MINUTE)
    alarm(make_asset(in_jia, "other"), severity=DISASTER, key="o")
    assert child.severity == DISASTER
    assert not child.clocks.exists()


def test_a_second_worse_alert_on_a_child_reaches_the_root(
    in_jia: Customer, host: Asset, database: Asset, chen: User
) -> None:
    root = alarm(host, severity=WARNING, key="h")
    child = alarm(database, severity=WARNING, key="d")
    assert alarm(database, severity=HIGH, key="d2", now=NOW + MINUTE).pk == child.pk
    root.refresh_from_db()
    child.refresh_from_db()
    assert (root.severity, child.severity) == (HIGH, HIGH)
    assert not Clock.objects.filter(incident=child).exists()


def test_a_child_that_came_shortly_before_its_root_is_taken_in_with_its_earlier_start(
    in_jia: Customer, host: Asset, database: Asset, proxy: Asset, chen: User
) -> None:
    early = alarm(database, severity=HIGH, key="d", now=NOW - 5 * MINUTE)
    in_hand = alarm(proxy, severity=HIGH, key="p", now=NOW - 5 * MINUTE)
    services.acknowledge(incident=in_hand, actor=chen, now=NOW - 4 * MINUTE)
    root = alarm(host, severity=HIGH, key="h")
    for one in (early, in_hand, root):
        one.refresh_from_db()
    assert (early.parent, in_hand.parent) == (root, None)
    assert early.next_due_at is None
    assert all(not clock.is_running for clock in early.clocks.all())
    assert root.clock_started_at == NOW - 5 * MINUTE
    assert root.response is not None
    assert root.response.due_at == NOW + 10 * MINUTE
    assert root.next_due_at == NOW + 10 * MINUTE


def test_one_that_came_long_before_stays_by_itself(in_jia: Customer, host: Asset, database: Asset, chen: User) -> None:
    old = alarm(database, key="d", now=NOW - 11 * MINUTE)
    alarm(host, key="h")
    old.refresh_from_db()
    assert old.parent is None


def test_in_one_storm_the_order_of_the_alarms_does_not_matter(
    jia: Customer, host: Asset, database: Asset, proxy: Asset, chen: User
) -> None:
    found = storm(jia, (database, DISASTER, "d"), (host, WARNING, "h"), (proxy, HIGH, "p"), (database, HIGH, "d2"))
    child, root, other, again = found
    assert (child.pk, child.parent_id, other.parent_id) == (again.pk, root.pk, root.pk)
    with scope.customer(jia):
        root.refresh_from_db()
        assert root.severity == DISASTER
        assert list(IncidentAlert.objects.order_by("pk").values_list("alert_key", flat=True)) == ["h", "d", "p", "d2"]


def test_two_hosts_with_one_address_say_nothing_about_what_runs_where(
    jia: Customer, host: Asset, database: Asset, chen: User
) -> None:
    on_host(jia, "twin", kind="ecs")
    assert storm(jia, (host, HIGH, "h"), (database, HIGH, "d"))[1].parent is None


def test_statements_do_not_grow_with_roots_and_children(jia: Customer, chen: User) -> None:
    def statements(offset: int, many: int) -> int:
        of = []
        for number in range(offset, offset + many):
            address = f"10.1.{number}.1"
            of.append((on_host(jia, f"db-{number}", kind="database", address=address), DISASTER, f"d{number}"))
            of.append((on_host(jia, f"host-{number}", kind="server", address=address), HIGH, f"h{number}"))
        with CaptureQueriesContext(connection) as captured:
            found = storm(jia, *of)
        assert all(one.parent_id for one in found[::2])
        return len(captured)

    statements(0, 1)
    assert statements(10, 2) == statements(20, 12)


def test_another_customers_host_with_the_same_address_is_no_root(
    jia: Customer, yi: Customer, database: Asset, chen: User
) -> None:
    theirs = on_host(yi, "host-yi", kind="server")
    storm(yi, (theirs, HIGH, "h"))
    assert storm(jia, (database, HIGH, "d"))[0].parent is None


# --- children follow -------------------------------------------------------------------------------------------------


def test_children_go_where_their_root_goes(
    in_jia: Customer, host: Asset, database: Asset, proxy: Asset, alice: User, chen: User
) -> None:
    root, child, other = storm(in_jia, (host, HIGH, "h"), (database, HIGH, "d"), (proxy, HIGH, "p"))
    seen = []
    services.acknowledge(incident=root, actor=chen, now=NOW + MINUTE)
    seen.append(state_of(child))
    services.resolve(incident=other, resolution="restarted", cause="system", actor=chen, now=NOW + MINUTE)
    services.resolve(incident=root, resolution="power is back", cause="third_party", actor=chen, now=NOW + 2 * MINUTE)
    seen.append(state_of(child))
    services.close(incident=root, actor=alice, now=NOW + 3 * MINUTE)
    seen.append(state_of(child))
    assert seen == TOLD
    child.refresh_from_db()
    other.refresh_from_db()
    assert (child.resolution, child.cause, child.acknowledged_by) == ("power is back", "third_party", chen)
    assert other.resolution == "restarted"
    assert kinds(child)[-3:] == ["acknowledged", "resolved", "closed"]


def state_of(incident: Incident) -> str:
    incident.refresh_from_db()
    return incident.state


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_grouping_by_hand_keeps_the_earliest_start_and_the_worst_severity(
    in_jia: Customer, alice: User, chen: User
) -> None:
    child = raise_incident(alice, customer=in_jia, severity=DISASTER, now=NOW)
    root = raise_incident(alice, customer=in_jia, severity=WARNING, now=NOW + 5 * MINUTE)
    services.group(incident=child, parent=root, actor=chen, now=NOW + 6 * MINUTE)
    for one in (child, root):
        one.refresh_from_db()
    assert (child.parent, child.next_due_at) == (root, None)
    assert (root.severity, root.clock_started_at, root.next_due_at) == (DISASTER, NOW, NOW + 15 * MINUTE)
    assert not Timer.objects.filter(key__startswith=f"incidents:{child.pk}:").exists()


def test_one_that_is_let_go_counts_from_its_own_start_as_if_it_had_never_stood_still(
    in_jia: Customer, alice: User, chen: User
) -> None:
    child = raise_incident(alice, customer=in_jia, now=NOW)
    root = raise_incident(alice, customer=in_jia, now=NOW)
    services.group(incident=child, parent=root, actor=chen, now=NOW + MINUTE)
    services.detach(incident=reloaded(child), actor=chen, now=NOW + 9 * MINUTE)
    child.refresh_from_db()
    assert (child.parent, child.next_due_at) == (None, NOW + 15 * MINUTE)
    assert Delivery.objects.filter(key__contains=":alone:").exists()


def test_one_that_opened_as_a_child_gets_its_clocks_when_it_stands_alone(
    in_jia: Customer, host: Asset, database: Asset, chen: User
) -> None:
    root, child = storm(in_jia, (host, HIGH, "h"), (database, HIGH, "d"))
    services.acknowledge(incident=root, actor=chen, now=NOW + MINUTE)
    services.detach(incident=reloaded(child), actor=chen, now=NOW + 20 * MINUTE)
    child.refresh_from_db()
    assert child.response is not None
    assert (child.response.stopped_at, child.response.is_breached) == (NOW + MINUTE, False)
    assert child.handling is not None
    assert child.handling.is_running


def reloaded(incident: Incident) -> Incident:
    return Incident.objects.get(pk=incident.pk)


@pytest.mark.parametrize("wrong", ["itself", "a child", "a solved one", "another customer's", "an internal one"])
def test_what_cannot_belong_together_is_refused(wrong: str, jia: Customer, alice: User, eve: User, chen: User) -> None:
    with scope.platform("test"):
        child = raise_incident(alice, customer=jia)
        root = raise_incident(alice, customer=jia)
        other = {
            "itself": lambda: child,
            "a child": lambda: services.group(
                incident=raise_incident(alice, customer=jia), parent=root, actor=chen, now=NOW
            ),
            "a solved one": lambda: services.resolve(
                incident=root, resolution="x", cause="system", actor=chen, now=NOW
            ),
            "another customer's": lambda: raise_incident(eve, customer=eve.customer or jia),
            "an internal one": lambda: internal(root),
        }[wrong]()
        with pytest.raises(DomainError):
            services.group(incident=child, parent=other, actor=chen, now=NOW)
        child.refresh_from_db()
        assert child.parent is None


def internal(incident: Incident) -> Incident:
    Incident.objects.filter(pk=incident.pk).update(kind="internal")
    return reloaded(incident)


def test_whatever_hung_under_a_child_moves_along(in_jia: Customer, alice: User, chen: User) -> None:
    top, middle, low = (raise_incident(alice, customer=in_jia) for _ in range(3))
    services.group(incident=low, parent=middle, actor=chen, now=NOW)
    services.group(incident=middle, parent=top, actor=chen, now=NOW)
    low.refresh_from_db()
    assert low.parent == top


def test_the_customer_puts_nothing_together(in_jia: Customer, alice: User) -> None:
    one, other = (raise_incident(alice, customer=in_jia) for _ in range(2))
    for act in (
        lambda: services.group(incident=one, parent=other, actor=alice, now=NOW),
        lambda: services.merge(duplicate=one, into=other, reason="", actor=alice, now=NOW),
        lambda: services.split(incident=one, alerts=[], title="", actor=alice, now=NOW),
    ):
        with pytest.raises(PermissionDenied):
            act()


# --- duplicates ------------------------------------------------------------------------------------------------------


def test_a_duplicate_is_closed_and_everything_of_it_goes_on_in_the_other(
    in_jia: Customer, web: Asset, alice: User, bob: User, chen: User
) -> None:
    gone = alarm(web, key="a", severity=HIGH, now=NOW)
    kept = raise_incident(bob, customer=in_jia, severity=WARNING, now=NOW + MINUTE)
    services.merge(duplicate=gone, into=kept, reason="same outage", actor=chen, now=NOW + 2 * MINUTE)
    for one in (gone, kept):
        one.refresh_from_db()
    assert (gone.state, gone.duplicate_of, gone.next_due_at) == (IncidentState.CLOSED, kept, None)
    assert [alert.alert_key for alert in kept.alerts.all()] == ["a"]
    assert list(kept.assets.all()) == [web]
    assert (kept.severity, kept.clock_started_at) == (HIGH, NOW)
    assert kinds(gone)[-1] == kinds(kept)[-1] == "merged"


def test_later_alarms_and_recoveries_of_a_merged_one_find_the_other(
    in_jia: Customer, web: Asset, alice: User, chen: User
) -> None:
    gone = alarm(web, key="a")
    kept = raise_incident(alice, customer=in_jia)
    services.merge(duplicate=gone, into=kept, reason="", actor=chen, now=NOW)
    assert alarm(web, key="b", now=NOW + MINUTE).pk == kept.pk
    recovery = Recovery(gone.pk, "a", "good", NOW + 2 * MINUTE)
    services.record_recoveries(customer=in_jia, recoveries=[recovery], now=NOW + 2 * MINUTE)
    assert IncidentAlert.objects.get(alert_key="a").recovered_at == NOW + 2 * MINUTE
    assert kinds(kept)[-1] == "recovery"


def test_whoever_raised_the_duplicate_hears_how_it_goes_on(
    in_jia: Customer, alice: User, bob: User, chen: User
) -> None:
    gone, kept = raise_incident(bob, customer=in_jia), raise_incident(alice, customer=in_jia)
    services.merge(duplicate=gone, into=kept, reason="", actor=chen, now=NOW)
    services.resolve(incident=kept, resolution="done", cause="system", actor=chen, now=NOW)
    keys = Delivery.objects.filter(user=bob).values_list("key", flat=True)
    assert [key for key in keys if ":merged:" in key]
    assert [key for key in keys if ":resolved:" in key]


def test_a_merge_is_undone_within_a_week_and_leaves_both_as_they_were(
    in_jia: Customer, web: Asset, alice: User, chen: User
) -> None:
    gone = alarm(web, key="a", severity=HIGH, now=NOW)
    due = gone.next_due_at
    kept = raise_incident(alice, customer=in_jia, severity=HIGH, now=NOW + 2 * MINUTE)
    services.merge(duplicate=gone, into=kept, reason="", actor=chen, now=NOW + 3 * MINUTE)
    services.unmerge(incident=reloaded(gone), actor=chen, now=NOW + 4 * MINUTE)
    for one in (gone, kept):
        one.refresh_from_db()
    assert (gone.state, gone.duplicate_of, gone.next_due_at) == (IncidentState.OPEN, None, due)
    assert [alert.alert_key for alert in gone.alerts.all()] == ["a"]
    assert not kept.alerts.exists()
    assert not kept.assets.exists()
    assert kept.clock_started_at == NOW + 2 * MINUTE
    with pytest.raises(DomainError):
        services.unmerge(incident=gone, actor=chen, now=NOW + 4 * MINUTE)


def test_undoing_gives_the_severity_back_that_the_duplicate_had_lent(
    in_jia: Customer, web: Asset, alice: User, chen: User
) -> None:
    gone = alarm(web, key="a", severity=HIGH, now=NOW)
    kept = raise_incident(alice, customer=in_jia, severity=Severity.WARNING, now=NOW)
    due = kept.next_due_at
    services.merge(duplicate=gone, into=kept, reason="", actor=chen, now=NOW + MINUTE)
    assert reloaded(kept).severity == HIGH
    services.unmerge(incident=reloaded(gone), actor=chen, now=NOW + 2 * MINUTE)
    kept = reloaded(kept)
    assert (kept.severity, kept.policy["severity"], kept.next_due_at) == (Severity.WARNING, Severity.WARNING, due)
    told = TimelineEntry.objects.filter(incident=kept, kind="severity").latest("pk")
    with translation.override("en"):
        assert sentence(told).startswith("A worse incident was taken out")


def test_undoing_keeps_a_severity_that_a_person_gave_meanwhile(
    in_jia: Customer, web: Asset, alice: User, chen: User
) -> None:
    gone = alarm(web, key="a", severity=HIGH, now=NOW)
    kept = raise_incident(alice, customer=in_jia, severity=Severity.WARNING, now=NOW)
    services.merge(duplicate=gone, into=kept, reason="", actor=chen, now=NOW + MINUTE)
    disaster = Severity.DISASTER
    services.change_severity(
        incident=reloaded(kept), severity=disaster, reason="All is down", actor=chen, now=NOW + 2 * MINUTE
    )
    services.unmerge(incident=reloaded(gone), actor=chen, now=NOW + 3 * MINUTE)
    assert reloaded(kept).severity == disaster


def test_after_a_week_a_merge_stays(in_jia: Customer, alice: User, chen: User) -> None:
    gone, kept = raise_incident(alice, customer=in_jia), raise_incident(alice, customer=in_jia)
    services.merge(duplicate=gone, into=kept, reason="", actor=chen, now=NOW)
    with pytest.raises(DomainError):
        services.unmerge(incident=reloaded(gone), actor=chen, now=NOW + timedelta(days=7, minutes=1))


def test_a_duplicate_is_not_reopened_by_itself(in_jia: Customer, alice: User, chen: User) -> None:
    gone, kept = raise_incident(alice, customer=in_jia), raise_incident(alice, customer=in_jia)
    services.merge(duplicate=gone, into=kept, reason="", actor=chen, now=NOW)
    with pytest.raises(DomainError) as refusal:
        services.reopen(incident=gone, reason="still", actor=alice, now=NOW)
    assert refusal.value.code == "is_duplicate"


# --- splitting -------------------------------------------------------------------------------------------------------


def test_alerts_split_off_keep_what_was_promised_for_them(in_jia: Customer, web: Asset, chen: User) -> None:
    old = alarm(web, key="a", severity=WARNING, now=NOW)
    alarm(web, key="b", severity=HIGH, title="Disk is full", now=NOW + MINUTE)
    services.acknowledge(incident=reloaded(old), actor=chen, now=NOW + 2 * MINUTE)
    chosen = list(IncidentAlert.objects.filter(alert_key="b"))
    new = services.split(incident=old, alerts=chosen, title="", actor=chen, now=NOW + 30 * MINUTE)
    new.refresh_from_db()
    assert (new.title, new.severity, new.clock_started_at) == ("Disk is full", HIGH, NOW)
    assert (new.state, new.acknowledged_by) == (IncidentState.ACKNOWLEDGED, chen)
    assert new.response is not None
    assert not new.response.is_breached
    assert [alert.alert_key for alert in new.alerts.all()] == ["b"]
    assert list(new.assets.all()) == list(old.assets.all()) == [web]
    with pytest.raises(DomainError):
        services.split(incident=old, alerts=list(old.alerts.all()), title="", actor=chen, now=NOW)


# --- pages and API ---------------------------------------------------------------------------------------------------


def test_the_board_shows_the_root_with_its_count_and_not_the_children(
    in_jia: Customer, host: Asset, database: Asset, chen: User, client_for: ClientFor
) -> None:
    storm(in_jia, (host, HIGH, "h"), (database, HIGH, "d"))
    page = client_for(chen).get("/board/").content.decode()
    assert "Alert h" in page
    assert "Alert d" not in page
    assert "ti-hierarchy" in page
    listed = client_for(chen).get("/incidents/?grouped=child").content.decode()
    assert "Alert d" in listed
    assert "Alert h" not in listed


def test_an_engineer_groups_merges_and_undoes_on_the_page(
    in_jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    one, other = (raise_incident(alice, customer=in_jia, title=title) for title in ("First", "Second"))
    browser = client_for(chen)
    assert "Second" in browser.get(f"/incidents/{one.pk}/group/").content.decode()
    browser.post(f"/incidents/{one.pk}/group/", {"parent": other.pk})
    assert reloaded(one).parent == other
    assert one.number in browser.get(f"/incidents/{other.pk}/").content.decode()
    browser.post(f"/incidents/{one.pk}/detach/")
    browser.post(f"/incidents/{one.pk}/merge/", {"into": other.pk, "reason": "same"})
    assert reloaded(one).duplicate_of == other
    page = client_for(alice).get(f"/incidents/{one.pk}/").content.decode()
    assert other.number in page
    assert "/unmerge/" not in page
    browser.post(f"/incidents/{one.pk}/unmerge/")
    assert reloaded(one).duplicate_of is None
    assert client_for(alice).post(f"/incidents/{one.pk}/merge/", {"into": other.pk}).status_code == 403


def test_the_api_groups_and_splits(
    in_jia: Customer, web: Asset, alice: User, chen: User, client_for: ClientFor
) -> None:
    root, child = raise_incident(alice, customer=in_jia), alarm(web, key="a")
    alarm(web, key="b", title="Another")
    browser = client_for(chen)
    base = f"/api/v1/incidents/{child.pk}"
    answer = browser.post(f"{base}/split/", {"alerts": ["b"]}, content_type="application/json")
    assert (answer.status_code, answer.json()["title"]) == (201, "Another")
    answer = browser.post(f"{base}/group/", {"under": root.pk}, content_type="application/json")
    assert answer.json()["parent"] == root.pk
    assert browser.get(f"/api/v1/incidents/?parent={root.pk}").json()["results"][0]["id"] == child.pk
    answer = browser.post(f"{base}/merge/", {"into": 999999}, content_type="application/json")
    assert answer.status_code == 400
    assert client_for(alice).post(f"{base}/detach/").status_code == 403
