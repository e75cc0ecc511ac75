"""The REST API of assets."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts import scope
from accounts.models import Customer, User
from assets.facts import Facts
from assets.models import Asset, CloudAccount
from assets.services import inventory
from tests.assets.conftest import sync
from tests.conftest import NOW, ClientFor

URL = "/api/v1/assets/"
NEW = {"kind": "server", "name": "erp-01", "host": "10.0.0.8", "os": "linux", "tags": {"rack": "A1"}}


@pytest.fixture
def erp(jia: Customer) -> Asset:
    with scope.customer(jia):
        facts = Facts(kind="server", name="erp-01", host="10.0.0.8", os="linux")
        return inventory.create_manual(customer=jia, facts=facts, actor=None, now=NOW)


def send(browser: Client, verb: str, url: str, body: object) -> tuple[int, dict[str, object]]:
    call: Callable[..., object] = getattr(browser, verb)
    response = call(url, body, content_type="application/json")
    return response.status_code, response.json()  # type: ignore[attr-defined]  # the test client's response


def test_the_list_holds_what_the_person_may_see(erp: Asset, alice: User, eve: User, client_for: ClientFor) -> None:
    mine = client_for(alice).get(URL).json()["results"]

    assert [asset["name"] for asset in mine] == ["erp-01"]
    assert mine[0]["missing_facts"]
    assert client_for(eve).get(URL).json()["results"] == []
    assert client_for(eve).get(f"{URL}{erp.pk}/").status_code == 404


def test_nobody_gets_in_without_signing_in(erp: Asset) -> None:
    assert Client().get(URL).status_code in (401, 403)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("kind=rds", 6),
        ("kind=rds&kind=slb", 9),
        ("region=cn-shanghai&kind=ecs", 2),
        ("status=stopped", 1),
        ("q=mall-web", 4),
        ("q=172.16", 2),
        ("incomplete=false", 0),
        ("retired=true", 0),
        ("retired=false&kind=oss", 3),
        ("expires_before=2000-01-01T00:00:00Z", 0),
        ("kind=nonsense", None),
    ],
)
def test_the_list_is_filtered(
    account: CloudAccount, jia: Customer, alice: User, client_for: ClientFor, query: str, count: int | None
) -> None:
    with scope.customer(jia):
        sync(account)

    response = client_for(alice).get(f"{URL}?page_size=100&{query}")

    assert response.status_code == (400 if count is None else 200)
    if count is not None:
        assert len(response.json()["results"]) == count


def test_the_provider_writes_an_asset_down(jia: Customer, chen: User, client_for: ClientFor) -> None:
    status, body = send(client_for(chen), "post", URL, {**NEW, "customer": jia.pk})

    assert status == 201
    assert (body["name"], body["tags"], body["managed_at"]) == ("erp-01", {"rack": "A1"}, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"host": "169.254.169.254"}, "host"),
        ({"os": ""}, "os"),
        ({"kind": "ecs"}, "kind"),
        ({"customer": 999999}, "customer"),
    ],
)
def test_what_does_not_fit_is_said_by_field(
    jia: Customer, chen: User, client_for: ClientFor, change: dict[str, object], field: str
) -> None:
    status, body = send(client_for(chen), "post", URL, {**NEW, "customer": jia.pk, **change})

    assert status == 400
    assert isinstance(body["errors"], dict)
    assert field in body["errors"]


def test_nothing_is_written_into_a_foreign_customer(
    jia: Customer, yi: Customer, alice: User, client_for: ClientFor
) -> None:
    for customer in (jia, yi):
        assert send(client_for(alice), "post", URL, {**NEW, "customer": customer.pk})[0] == 403
    with scope.platform("test"):
        assert not Asset.objects.exists()


@pytest.mark.parametrize(
    ("name", "expected"), [("alice", 200), ("chen", 200), ("bob", 403), ("vera", 403), ("eve", 404)]
)
def test_who_may_name_an_owner(
    erp: Asset, client_for: ClientFor, request: pytest.FixtureRequest, name: str, expected: int
) -> None:
    browser = client_for(request.getfixturevalue(name))

    status, body = send(browser, "patch", f"{URL}{erp.pk}/", {"owner_name": "王工", "name": "renamed"})

    assert status == expected
    if expected == 200:
        assert (body["owner_name"], body["name"]) == ("王工", "erp-01")


def test_assets_are_not_deleted_or_replaced(erp: Asset, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)

    assert browser.delete(f"{URL}{erp.pk}/").status_code == 405
    assert browser.put(f"{URL}{erp.pk}/").status_code == 405


def test_the_schema_describes_reading_writing_and_filters(chen: User, client_for: ClientFor) -> None:
    schema = client_for(chen).get("/api/schema/?format=json").json()

    listing = schema["paths"][URL]["get"]
    assert {"kind", "expires_before", "incomplete"} <= {parameter["name"] for parameter in listing["parameters"]}
    assert set(schema["paths"][f"{URL}{{id}}/"]) == {"get", "patch"}
