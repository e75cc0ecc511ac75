"""Dashboards: who sees and changes them, undo, links that end, and what stands in the boxes."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.models import Dashboard, DashboardShare
from monitoring.services import dashboards
from monitoring.widgets import Widget, WidgetKind
from tests.conftest import NOW, ClientFor
from tests.monitoring.samples import feed, minute, server

WEEK = timedelta(days=7)

pytestmark = pytest.mark.django_db


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


@pytest.fixture
def board(jia: Customer, alice: User) -> Dashboard:
    with scope.customer(jia):
        return dashboards.create(customer=jia, name="商城", actor=alice, now=NOW)


def added(board: Dashboard, actor: User, widget: Widget) -> Dashboard:
    with scope.customer(board.customer_id):
        return dashboards.add_widget(dashboard=board, widget=widget, actor=actor, now=NOW)


def value_of(asset: Asset) -> Widget:
    return Widget("new0", WidgetKind.VALUE, 0, 0, 1, 1, assets=(asset.pk,), metric="host.cpu.util")


def places(board: Dashboard) -> list[dict[str, object]]:
    return [{"id": one.id, "x": one.x, "y": one.y, "w": one.w, "h": one.h} for one in board.parsed]


def url(name: str, *args: object) -> str:
    return reverse(f"monitoring:{name}", args=args)


# --- arranging -----------------------------------------------------------------------------------------------------


def test_boxes_are_moved_and_taken_away_and_undo_brings_them_back(board: Dashboard, alice: User) -> None:
    before = board.parsed
    with scope.customer(board.customer_id):
        moved = dashboards.arrange(
            dashboard=board,
            places=[{"id": before[0].id, "x": 3, "y": 2, "w": 4, "h": 5}],
            version=1,
            actor=alice,
            now=NOW,
        )
        assert [(one.id, one.x, one.y) for one in moved.parsed] == [(before[0].id, 3, 2)]
        assert dashboards.undo(dashboard=moved, actor=alice, now=NOW).parsed == before
        again = dashboards.undo(dashboard=moved, actor=alice, now=NOW)
    assert len(again.parsed) == 1


def test_somebody_elses_change_is_not_overwritten(board: Dashboard, alice: User, chen: User) -> None:
    with scope.customer(board.customer_id):
        dashboards.rename(dashboard=board, name="商城大促", actor=chen, now=NOW)
        with pytest.raises(DomainError, match=r"Somebody else|其他人"):
            dashboards.arrange(dashboard=board, places=places(board), version=1, actor=alice, now=NOW)
        kept = Dashboard.objects.get(pk=board.pk)
    assert (kept.name, kept.version) == ("商城大促", 2)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"version": 1}', b'{"version": "x", "places": []}', b"\xff"])
def test_an_arrangement_that_cannot_be_read_changes_nothing(
    board: Dashboard, alice: User, client_for: ClientFor, body: bytes
) -> None:
    answer = client_for(alice).post(
        url("dashboard-arrange", board.pk), body, content_type="application/json", headers={"HX-Request": "true"}
    )
    assert answer.status_code == 422
    with scope.customer(board.customer_id):
        assert Dashboard.objects.get(pk=board.pk).version == 1


def test_the_browser_arranges(board: Dashboard, alice: User, client_for: ClientFor) -> None:
    body = json.dumps({"version": 1, "places": [{**places(board)[0], "x": 2, "w": 5}]})
    answer = client_for(alice).post(url("dashboard-arrange", board.pk), body, content_type="application/json")
    assert answer.json() == {"version": 2}


def test_an_asset_of_another_customer_cannot_be_put_on_it(
    board: Dashboard, alice: User, yi: Customer, client_for: ClientFor
) -> None:
    foreign = server(yi, "secret-db")
    with scope.platform("test"), pytest.raises(DomainError):
        dashboards.add_widget(dashboard=board, widget=value_of(foreign), actor=alice, now=NOW)
    answer = client_for(alice).post(url("dashboard-add", board.pk, "graph"), {"assets": foreign.pk, "panel": "cpu"})
    assert answer.status_code == 422
    assert "secret-db" not in answer.content.decode()


def test_who_made_it_project_managers_and_the_service_team_may_change_it(
    board: Dashboard, jia: Customer, alice: User, bob: User, vera: User, chen: User, eve: User
) -> None:
    assert [dashboards.may_edit(person, board) for person in (alice, bob, vera, chen)] == [True, False, False, True]
    with scope.customer(jia):
        own = dashboards.create(customer=jia, name="bob", actor=bob, now=NOW)
        assert dashboards.may_edit(bob, own)
        with pytest.raises(DomainError):
            dashboards.rename(dashboard=board, name="x", actor=bob, now=NOW)
        with pytest.raises(DomainError):
            dashboards.create(customer=jia, name="x", actor=vera, now=NOW)
        copied = dashboards.copy(dashboard=board, actor=bob, now=NOW)
    assert copied.owner == bob
    assert copied.parsed == board.parsed


def test_a_removed_dashboard_can_be_brought_back(board: Dashboard, alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    removed = browser.post(url("dashboard-remove", board.pk))
    assert url("dashboard-bring-back", board.pk) in removed.content.decode()
    assert browser.get(url("dashboard", board.pk)).status_code == 404
    browser.post(url("dashboard-bring-back", board.pk))
    assert browser.get(url("dashboard", board.pk)).status_code == 200


# --- boxes ---------------------------------------------------------------------------------------------------------


def test_boxes_show_the_newest_values_the_greatest_first(
    board: Dashboard, jia: Customer, web: Asset, alice: User, client_for: ClientFor
) -> None:
    busy, other = server(jia, "busy-01"), server(jia, "retired-01", retired_at=minute(0))
    for asset, value in ((web, 12), (busy, 91.5), (other, 99)):
        feed(jia, asset, "host.cpu.util", [value])
    top = Widget("new0", WidgetKind.TOP, 0, 0, 1, 1, metric="host.cpu.util")
    widget = added(board, alice, top).parsed[-1]
    text = client_for(alice).get(url("dashboard-box", board.pk, widget.id)).content.decode()
    assert text.index("busy-01") < text.index("web-01")
    assert "91.5 %" in text
    assert "retired-01" not in text


def test_a_comparison_has_one_curve_for_each_asset(
    board: Dashboard, jia: Customer, web: Asset, alice: User, client_for: ClientFor
) -> None:
    second = server(jia, "web-02")
    for asset in (web, second):
        feed(jia, asset, "host.cpu.util", [10, 20, 30])
    both = Widget("new0", WidgetKind.COMPARE, 0, 0, 1, 1, assets=(second.pk, web.pk), metric="host.cpu.util")
    widget = added(board, alice, both).parsed[-1]
    window = {"start": int(minute(0).timestamp() * 1000), "end": int(minute(10).timestamp() * 1000)}
    found = client_for(alice).get(url("dashboard-data", board.pk, widget.id), window).json()
    assert [(one["name"], one["v"]) for one in found["series"]] == [("web-02", [10, 20, 30]), ("web-01", [10, 20, 30])]


def test_what_people_write_is_shown_as_text(board: Dashboard, alice: User, client_for: ClientFor) -> None:
    added(board, alice, Widget("new0", WidgetKind.NOTE, 0, 0, 1, 1, title="<i>t</i>", text="<script>alert(1)</script>"))
    page = client_for(alice).get(url("dashboard", board.pk)).content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<i>t</i>" not in page


@pytest.mark.parametrize("kind", [*WidgetKind])
def test_every_kind_of_box_is_made_with_its_form_and_shown(
    board: Dashboard, jia: Customer, web: Asset, alice: User, client_for: ClientFor, kind: WidgetKind
) -> None:
    feed(jia, web, "host.cpu.util", [10])
    browser = client_for(alice)
    assert browser.get(url("dashboard-add", board.pk, kind)).status_code == 200
    made = browser.post(
        url("dashboard-add", board.pk, kind),
        {"title": "T", "assets": web.pk, "panel": "cpu", "metric": "host.cpu.util", "text": "N"},
    )
    assert made.status_code == 302
    with scope.customer(jia):
        widget = Dashboard.objects.get(pk=board.pk).parsed[-1]
    assert widget.kind is kind
    is_graph = kind in (WidgetKind.GRAPH, WidgetKind.COMPARE)
    asked = {
        route: browser.get(url(route, board.pk, widget.id)).status_code for route in ("dashboard-data", "dashboard-box")
    }
    in_page = kind is WidgetKind.NOTE
    assert asked == {"dashboard-data": 200 if is_graph else 404, "dashboard-box": 404 if is_graph or in_page else 200}
    assert browser.get(url("dashboard", board.pk)).status_code == 200


# --- links ---------------------------------------------------------------------------------------------------------


def shared(board: Dashboard, alice: User, *, lasts: timedelta = WEEK) -> tuple[DashboardShare, str]:
    with scope.customer(board.customer_id):
        return dashboards.share(dashboard=board, purpose="大屏", lasts=lasts, actor=alice, now=timezone.now())


def knock(browser: Client, secret: str) -> int:
    return browser.post(url("shared-knock"), {"secret": secret}).status_code


def test_a_link_shows_its_dashboard_to_a_stranger_and_nothing_else(
    board: Dashboard, jia: Customer, web: Asset, alice: User
) -> None:
    feed(jia, web, "host.cpu.util", [42])
    widget = added(board, alice, value_of(web)).parsed[-1]
    share, secret = shared(board, alice)
    stranger = Client()
    assert stranger.get(url("shared", share.pk)).status_code == 404
    assert knock(stranger, secret) == 302
    page = stranger.get(url("shared", share.pk)).content.decode()
    assert "商城" in page
    assert url("shared-box", share.pk, widget.id) in page
    box = stranger.get(url("shared-box", share.pk, widget.id)).content.decode()
    assert "42 %" in box
    assert "href=" not in box
    assert stranger.get(url("dashboard", board.pk)).status_code == 302
    assert stranger.get("/assets/").status_code == 302


def test_the_secret_stands_in_no_address_that_a_browser_sends(
    board: Dashboard, alice: User, client_for: ClientFor
) -> None:
    page = client_for(alice).post(url("dashboard-shares", board.pk), {"purpose": "x", "days": 7}).content.decode()
    [link] = re.findall(r'value="(http[^"]+)"', page)
    path, _, secret = link.partition("#")
    assert len(secret) >= 40
    with scope.platform("test"):
        share = DashboardShare.objects.get()
    assert path.endswith(url("shared-entrance"))
    assert secret.startswith(f"{share.pk}.")
    assert secret.partition(".")[2] not in share.digest
    assert secret not in client_for(alice).get(url("dashboard-shares", board.pk)).content.decode()


def test_a_wrong_secret_opens_nothing_and_is_soon_held_up(board: Dashboard, alice: User) -> None:
    share, _ = shared(board, alice)
    stranger = Client()
    answers = [knock(stranger, f"{share.pk}.guess{number}") for number in range(40)]
    assert answers[0] == 404
    assert answers[-1] == 429
    assert 302 not in answers


def test_a_withdrawn_a_past_and_a_removed_link_show_nothing(board: Dashboard, alice: User) -> None:
    for end in ("withdrawn", "past", "removed"):
        share, secret = shared(board, alice)
        stranger = Client()
        assert knock(stranger, secret) == 302
        with scope.customer(board.customer_id):
            if end == "withdrawn":
                dashboards.revoke(share=share, actor=alice, now=timezone.now())
            elif end == "past":
                earlier = timezone.now() - timedelta(days=9)
                DashboardShare.objects.filter(pk=share.pk).update(created_at=earlier, expires_at=earlier + WEEK)
            else:
                dashboards.remove(dashboard=board, actor=alice, now=timezone.now())
        assert stranger.get(url("shared", share.pk)).status_code == 404, end
        assert knock(Client(), secret) == 404, end


def test_the_cookie_of_one_link_does_not_open_another(board: Dashboard, alice: User, yi: Customer, eve: User) -> None:
    with scope.customer(yi):
        foreign = dashboards.create(customer=yi, name="乙方机密", actor=eve, now=NOW)
    theirs, _ = shared(foreign, eve)
    ours, secret = shared(board, alice)
    stranger = Client()
    knock(stranger, secret)
    stranger.cookies[f"shared-{theirs.pk}"] = stranger.cookies[f"shared-{ours.pk}"].value
    answer = stranger.get(url("shared", theirs.pk))
    assert answer.status_code == 404
    assert "乙方机密" not in answer.content.decode()


def test_a_link_lasts_at_most_ninety_days(board: Dashboard, alice: User) -> None:
    with pytest.raises(DomainError):
        shared(board, alice, lasts=timedelta(days=91))


# --- the wall and the screen -----------------------------------------------------------------------------------------


def test_the_wall_shows_a_customer_its_own_assets_and_engineers_all_of_theirs(
    jia: Customer, yi: Customer, web: Asset, eve: User, alice: User, chen: User, client_for: ClientFor
) -> None:
    server(yi, "yi-db-01")
    feed(jia, web, "host.mem.util", [99] * 5)
    mine = client_for(alice).get(url("wall")).content.decode()
    assert "web-01" in mine
    assert "yi-db-01" not in mine
    assert client_for(alice).get(url("wall-customer", yi.pk)).status_code == 404
    table = client_for(chen).get(url("wall")).content.decode()
    assert url("wall-customer", jia.pk) in table
    assert url("wall-customer", yi.pk) in table
    assert "yi-db-01" in client_for(chen).get(url("wall-customer", yi.pk)).content.decode()


def test_the_wall_asks_the_same_number_of_questions_however_many_assets_there_are(
    jia: Customer, chen: User, client_for: ClientFor
) -> None:
    browser = client_for(chen)
    counts = []
    for number in range(2):
        for place in range(1 + 20 * number):
            server(jia, f"n-{number}-{place}")
        browser.get(url("wall"))
        with CaptureQueriesContext(connection) as asked:
            browser.get(url("wall"))
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_a_screen_shows_only_what_its_person_may_see(
    board: Dashboard, yi: Customer, eve: User, alice: User, client_for: ClientFor
) -> None:
    asked = {"show": ["wall", f"dashboard-{board.pk}", f"wall-{yi.pk}"], "every": "10"}
    mine = client_for(alice).get(url("tv"), asked).content.decode()
    assert url("dashboard", board.pk) in mine
    theirs = client_for(eve).get(url("tv"), asked).content.decode()
    assert url("dashboard", board.pk) not in theirs
    assert 'data-every="10"' in mine
    assert 'data-every="30"' in client_for(alice).get(url("tv"), {"every": "0"}).content.decode()
