"""What the form of an operation proposes out of the cloud."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from accounts import scope
from accounts.models import User
from assets.models import Asset, CloudAccount
from demo.aliyun import JIA_UID, CloudServer, FaultKind
from tests.changes.runs import own
from tests.conftest import ClientFor

ADDRESS = "/changes/catalogue/disks/"


@pytest.fixture
def mall(account: CloudAccount, server: CloudServer) -> Asset:
    with scope.customer(account.customer_id):
        return own(account, server, "mall-web-01")


def test_the_disks_of_the_ticked_servers_are_proposed_with_what_tells_them_apart(
    mall: Asset, web: Asset, alice: User, client_for: ClientFor
) -> None:
    page = client_for(alice).get(ADDRESS, {"assets": [mall.pk, web.pk]}).content.decode()
    assert page.count("<option") == 2
    assert "mall-web-01" in page
    assert "system · 40 GB" in page
    assert 'value="d-' in page


def test_a_form_that_asks_for_a_disk_says_where_to_find_them(alice: User, client_for: ClientFor) -> None:
    page = client_for(alice).get("/changes/catalogue/disk-grow/").content.decode()
    assert f'hx-get="{ADDRESS}"' in page
    assert 'list="disks-offers"' in page
    assert '<datalist id="disks-offers">' in page


def test_nothing_of_another_customer_is_proposed(mall: Asset, eve: User, client_for: ClientFor) -> None:
    answer = client_for(eve).get(ADDRESS, {"assets": [mall.pk]})
    assert answer.status_code == 200
    assert "<option" not in answer.content.decode()


@pytest.mark.parametrize("asked", ["", "x", "-1", "9" * 30, "1\x00"])
def test_what_is_no_asset_is_passed_over(asked: str, alice: User, client_for: ClientFor) -> None:
    assert client_for(alice).get(ADDRESS, {"assets": [asked]}).status_code == 200


def test_a_cloud_that_does_not_answer_leaves_a_field_to_type_in(
    mall: Asset, server: CloudServer, alice: User, client_for: ClientFor
) -> None:
    server.cloud.fail(FaultKind.ERROR, count=9, action="DescribeDisks")
    answer = client_for(alice).get(ADDRESS, {"assets": [mall.pk]})
    assert (answer.status_code, "<option" in answer.content.decode()) == (200, False)


def test_the_cloud_is_asked_once_a_minute(mall: Asset, server: CloudServer, alice: User, client_for: ClientFor) -> None:
    for _ in range(3):
        client_for(alice).get(ADDRESS, {"assets": [mall.pk]})
    assert server.cloud.calls(uid=JIA_UID, action="DescribeDisks") == 1
    assert cache.get(f"disks:{mall.pk}") is not None
