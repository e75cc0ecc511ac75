"""What stands or falls with what, as the inventory tells it."""

from __future__ import annotations

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from assets.relations import Thing, Tie, around, behind, ties
from assets.services.relations import ties_of
from demo.aliyun import JIA_UID, SimulatedCloud
from tests.assets.conftest import REGIONS, ClientOf, sync
from tests.conftest import ClientFor
from tests.incidents.conftest import make_asset

HOST = Thing(1, "ecs", "web-01", "i-1", 7, frozenset({"10.0.0.1"}))
TWIN = Thing(2, "ecs", "web-02", "i-2", 7, frozenset({"10.0.0.2"}))
DATABASE = Thing(3, "database", "orders", addresses=frozenset({"10.0.0.1"}))
NGINX = Thing(4, "middleware", "nginx", addresses=frozenset({"10.0.0.1"}))
BALANCER = Thing(5, "slb", "public", "lb-1", 7, frozenset({"47.0.0.5"}), backends=frozenset({"i-1", "i-2"}))
SITE = Thing(6, "url", "shop", addresses=frozenset({"47.0.0.5"}))
PRIMARY = Thing(7, "rds", "orders-rds", "rm-1", 7)
COPY = Thing(8, "rds", "orders-ro", "rr-1", 7, primary="rm-1")
SECOND = Thing(9, "rds", "orders-ro2", "rr-2", 7, primary="rm-1")
FOREIGN = Thing(10, "rds", "elsewhere", "rr-3", 8, primary="rm-1")
ALL = (HOST, TWIN, DATABASE, NGINX, BALANCER, SITE, PRIMARY, COPY, SECOND, FOREIGN)


@pytest.mark.parametrize(
    ("one", "other", "tie"),
    [
        (HOST, DATABASE, Tie.HOST),
        (DATABASE, NGINX, Tie.SAME_HOST),
        (BALANCER, HOST, Tie.BALANCER),
        (HOST, TWIN, Tie.SAME_BALANCER),
        (BALANCER, SITE, Tie.ADDRESS),
        (PRIMARY, COPY, Tie.REPLICA),
        (COPY, SECOND, Tie.SAME_PRIMARY),
        (PRIMARY, FOREIGN, None),
        (HOST, PRIMARY, None),
        (TWIN, DATABASE, None),
    ],
)
def test_two_assets_have_to_do_with_each_other_both_ways(one: Thing, other: Thing, tie: Tie | None) -> None:
    found = ties(ALL)
    assert found.of(one.id).get(other.id) == tie
    assert found.of(other.id).get(one.id) == tie


def test_around_a_thing_is_also_what_has_to_do_with_its_host() -> None:
    near = around([DATABASE.id], ties(ALL))
    assert near == {
        HOST.id: (DATABASE.id, Tie.HOST),
        NGINX.id: (DATABASE.id, Tie.HOST),
        BALANCER.id: (DATABASE.id, Tie.BALANCER),
        TWIN.id: (DATABASE.id, Tie.SAME_BALANCER),
    }
    assert around([HOST.id], ties(ALL)) == {
        DATABASE.id: (HOST.id, Tie.HOST),
        NGINX.id: (HOST.id, Tie.HOST),
        BALANCER.id: (HOST.id, Tie.BALANCER),
        TWIN.id: (HOST.id, Tie.SAME_BALANCER),
    }
    assert around([], ties(ALL)) == {}
    assert set(around([one.id for one in ALL], ties(ALL))) == set(), "what is changed itself is no neighbour"


def test_what_is_nearest_counts_where_two_assets_have_more_than_one_tie() -> None:
    proxy = Thing(30, "load_balancer", "nginx", addresses=frozenset({"10.0.0.1"}), backends=frozenset({"i-1"}))
    assert ties([HOST, proxy]).of(HOST.id) == {proxy.id: Tie.HOST}
    itself = Thing(31, "slb", "loop", "lb-9", 7, backends=frozenset({"lb-9"}))
    assert ties([itself]).of(itself.id) == {}


def test_an_address_that_two_services_have_says_nothing() -> None:
    other = Thing(20, "slb", "private", "lb-2", 7, frozenset({"47.0.0.5"}))
    assert ties([BALANCER, other, SITE]).of(SITE.id) == {}


def test_a_tag_says_what_stands_behind_a_balancer() -> None:
    tagged = Thing(21, "server", "web-03", balancer="public")
    assert behind(BALANCER, [*ALL, tagged]) == {HOST.id, TWIN.id, tagged.id}
    assert behind(HOST, [tagged]) == frozenset()
    nameless = Thing(22, "slb")
    assert behind(nameless, [Thing(23, "server"), tagged]) == frozenset(), "what has no name is nothing's balancer"


def test_a_balancer_is_read_with_its_servers_of_every_group(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    estate = cloud.estate(JIA_UID)
    public, third = str(estate.find("mall-public")["LoadBalancerId"]), str(estate.find("mall-web-03")["InstanceId"])
    estate.work.server_groups[public] = {"rsp-1": [third], "rsp-2": []}
    [found] = [one for one in client_of().resources("slb", REGIONS) if one.name == "mall-public"]
    backends = found.details["backends"]
    assert isinstance(backends, list)
    assert third in backends
    assert len(backends) == 3, "and the two of its default group"


def test_a_pass_over_the_cloud_says_what_stands_behind_what(account: CloudAccount, jia: Customer) -> None:
    with scope.customer(jia):
        sync(account)
        by_name = {asset.name: asset.pk for asset in Asset.objects.active()}
        found = ties_of(jia.pk)
        behind_it = {other for other, tie in found.of(by_name["mall-public"]).items() if tie is Tie.BALANCER}
        names = set(Asset.objects.filter(pk__in=behind_it).values_list("kind", flat=True))
    assert len(behind_it) == 2
    assert names == {"ecs"}


def test_the_page_of_an_asset_says_what_it_stands_or_falls_with(
    jia: Customer, alice: User, eve: User, client_for: ClientFor
) -> None:
    web, database = make_asset(jia, "web-01"), make_asset(jia, "orders-db")
    with scope.customer(jia):
        Asset.objects.filter(pk=web.pk).update(host="10.0.0.7")
        Asset.objects.filter(pk=database.pk).update(kind="database", host="10.0.0.7")
    page = client_for(alice).get(f"/assets/{web.pk}/").content.decode()
    assert f'href="/assets/{database.pk}/"' in page
    assert "宿主" in page
    assert client_for(eve).get(f"/assets/{web.pk}/").status_code == 404
