"""The pages of assets: who sees and does what, and that what is shown is true."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts import scope
from accounts.models import AuditEntry, Customer, User
from assets.facts import Facts
from assets.models import MANUAL_KINDS, Asset, CloudAccount
from assets.services import inventory
from tests.assets.conftest import sync
from tests.conftest import NOW, ClientFor


def text_of(browser: Client, url: str) -> str:
    response = browser.get(url)
    assert response.status_code == 200, url
    return response.content.decode()


@pytest.fixture
def server_asset(jia: Customer) -> Asset:
    with scope.customer(jia):
        facts = Facts(kind="server", name="erp-01", host="10.0.0.8", os="linux", owner_name="王工")
        return inventory.create_manual(customer=jia, facts=facts, actor=None, now=NOW)


@pytest.fixture
def synced(account: CloudAccount, jia: Customer) -> CloudAccount:
    with scope.customer(jia):
        sync(account)
    return account


def test_both_sides_see_the_assets_of_their_customers(
    server_asset: Asset, alice: User, vera: User, chen: User, client_for: ClientFor
) -> None:
    for person in (alice, vera, chen):
        assert "erp-01" in text_of(client_for(person), "/assets/")


def test_a_foreign_asset_does_not_exist(server_asset: Asset, eve: User, client_for: ClientFor) -> None:
    browser = client_for(eve)

    assert "erp-01" not in text_of(browser, "/assets/")
    for path in ("", "edit/", "owner/"):
        assert browser.get(f"/assets/{server_asset.pk}/{path}").status_code in (403, 404)
    assert browser.get(f"/assets/{server_asset.pk}/").status_code == 404


def test_simulated_assets_say_so_wherever_they_show(synced: CloudAccount, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    with scope.customer(synced.customer_id):
        web = Asset.objects.get(name="mall-web-01")

    for url in (
        "/assets/?q=mall-web-01",
        f"/assets/{web.pk}/",
        "/assets/cloud-accounts/",
        "/assets/search/?q=mall-web-01",
    ):
        assert "ti-flask" in text_of(browser, url), url


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("kind=rds", "mall-order", "mall-web-01"),
        ("region=cn-shanghai", "bi-etl-01", "mall-web-01"),
        ("status=stopped", "mall-test-02", "mall-test-01"),
        ("environment=test", "mall-test-01", "mall-web-01"),
        ("show=expiring", "mall-web-04", "mall-web-01"),
        ("q=172.16.1.11", "mall-web-01", "mall-web-02"),
        ("show=missing", "mall-web-01", "no-such"),
        ("show=retired", "Nothing fits", "mall-web-01"),
        ("kind=nonsense&region=%00&sort=x&page=99", "mall", "no-such"),
    ],
)
def test_the_list_filters_and_searches(
    synced: CloudAccount, lin: User, client_for: ClientFor, query: str, shown: str, hidden: str
) -> None:
    page = client_for(lin).get(f"/assets/?{query}", headers={"Accept-Language": "en"}).content.decode()

    assert shown in page or ("Nothing fits" in shown and "filter-off" in page)
    assert hidden not in page.replace("mall-test-01 (", "")


def test_the_list_costs_the_same_for_many_assets(
    synced: CloudAccount, jia: Customer, lin: User, client_for: ClientFor, django_assert_max_num_queries: object
) -> None:
    browser = client_for(lin)
    browser.get("/assets/")
    with django_assert_max_num_queries(16):  # type: ignore[operator]  # pytest-django's fixture
        browser.get("/assets/")


def test_an_export_goes_in_again_unchanged(
    synced: CloudAccount, server_asset: Asset, chen: User, jia: Customer, client_for: ClientFor
) -> None:
    browser = client_for(chen)
    exported = browser.get("/assets/?export=csv").content
    assert exported.startswith(b"\xef\xbb\xbf")

    plan = browser.post("/assets/import/", {"customer": jia.pk, "file": _file(exported)}).context["plan"]

    assert (len(plan.steps), plan.created, plan.updated, plan.failed, plan.unknown) == (40, 0, 0, 0, ())


def _file(content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("assets.csv", content)


def test_an_import_is_previewed_and_then_done(jia: Customer, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    csv = "类型,名称,主机,操作系统\nserver,erp-09,10.0.0.9,linux\n".encode("gb18030")
    preview = browser.post("/assets/import/", {"customer": jia.pk, "file": _file(csv)}).content.decode()
    payload = re.search(r'name="payload" value="([^"]+)"', preview)
    assert payload
    with scope.customer(jia):
        assert not Asset.objects.exists()

    done = browser.post("/assets/import/apply/", {"payload": payload[1]})

    assert done.status_code == 302
    with scope.customer(jia):
        assert Asset.objects.get().name == "erp-09"


def test_a_preview_that_was_tampered_with_imports_nothing(jia: Customer, chen: User, client_for: ClientFor) -> None:
    response = client_for(chen).post("/assets/import/apply/", {"payload": "made up"})

    assert response.status_code == 302
    with scope.customer(jia):
        assert not Asset.objects.exists()


@pytest.mark.parametrize("kind", MANUAL_KINDS)
def test_there_is_a_form_for_every_manual_kind(jia: Customer, chen: User, client_for: ClientFor, kind: str) -> None:
    assert "<form" in text_of(client_for(chen), f"/assets/new/?kind={kind}")


def test_a_form_says_what_is_wrong_beside_the_field(jia: Customer, chen: User, client_for: ClientFor) -> None:
    given = {"customer": jia.pk, "name": "meta", "host": "169.254.169.254", "port": 80, "environment": "unknown"}

    page = client_for(chen).post("/assets/new/?kind=port", given).content.decode()

    assert "id_host_error" in page
    with scope.customer(jia):
        assert not Asset.objects.exists()


def test_an_asset_is_added_edited_and_retired(jia: Customer, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    given = {"customer": jia.pk, "name": "ssh", "host": "10.0.0.8", "port": 22, "environment": "production"}
    created = browser.post("/assets/new/?kind=port", given)
    with scope.customer(jia):
        asset = Asset.objects.get()
    assert created.headers["Location"] == f"/assets/{asset.pk}/"

    browser.post(f"/assets/{asset.pk}/edit/", {**given, "port": 2222, "tags": "team=ops"})
    browser.post(f"/assets/{asset.pk}/care/", {"hardened": "on", "monitored": "on"})
    browser.post(f"/assets/{asset.pk}/retire/")

    with scope.customer(jia):
        asset.refresh_from_db()
    assert (asset.port, asset.tags) == (2222, {"team": "ops"})
    assert asset.managed_at is not None
    assert asset.retired_at is not None


@pytest.mark.parametrize(
    ("name", "expected"), [("alice", (302, 403)), ("bob", (403, 403)), ("vera", (403, 403)), ("chen", (302, 302))]
)
def test_who_may_change_what(
    server_asset: Asset,
    client_for: ClientFor,
    request: pytest.FixtureRequest,
    name: str,
    expected: tuple[int, int],
) -> None:
    browser = client_for(request.getfixturevalue(name))

    owner = browser.post(f"/assets/{server_asset.pk}/owner/", {"owner_name": "x", "environment": "test"})
    care = browser.post(f"/assets/{server_asset.pk}/care/", {"hardened": "on"})

    assert (owner.status_code, care.status_code) == expected


def test_a_pm_gives_owners_to_many_at_once(synced: CloudAccount, alice: User, client_for: ClientFor) -> None:
    browser = client_for(alice)
    with scope.customer(synced.customer_id):
        chosen = list(Asset.objects.filter(kind="ecs").values_list("pk", flat=True))

    response = browser.post(
        "/assets/missing/",
        {"asset": chosen, "owner_name": "王工", "owner_contact": "13800000000", "role_text": "商城", "environment": ""},
    )

    assert response.status_code == 302
    with scope.customer(synced.customer_id):
        owned = Asset.objects.filter(owner_name="王工")
        assert owned.count() == 14
        assert not owned.filter(environment="unknown").filter(name="mall-web-01").exists()
        assert AuditEntry.objects.filter(action="asset.change").count() == 14


def test_a_bulk_edit_cannot_reach_foreign_assets(server_asset: Asset, eve: User, client_for: ClientFor) -> None:
    client_for(eve).post("/assets/missing/", {"asset": [server_asset.pk], "owner_name": "eve"})

    with scope.customer(server_asset.customer_id):
        server_asset.refresh_from_db()
    assert server_asset.owner_name == "王工"


def test_the_contract_page_is_told_how_much_of_the_quotas_is_used(
    server_asset: Asset, jia: Customer, alice: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(jia):
        for number in range(6):
            facts = Facts(kind="url", name=f"url-{number}", url=f"https://shop{number}.example/")
            inventory.create_manual(customer=jia, facts=facts, actor=None, now=NOW)

    fragment = text_of(client_for(alice), f"/assets/quota/{jia.pk}/")

    assert "<strong>6</strong> / 5" in fragment
    assert "bar-danger" in fragment
    assert client_for(eve).get(f"/assets/quota/{jia.pk}/").status_code == 404


def test_the_search_fragment_is_empty_when_nothing_fits(jia: Customer, chen: User, client_for: ClientFor) -> None:
    assert not text_of(client_for(chen), "/assets/search/?q=nothing-like-this").strip()
    assert not text_of(client_for(chen), "/assets/search/?q=").strip()


def test_an_asset_page_asks_the_upper_floors_by_address(
    server_asset: Asset, alice: User, client_for: ClientFor
) -> None:
    page = text_of(client_for(alice), f"/assets/{server_asset.pk}/")

    assert f'hx-get="/incidents/for-asset/{server_asset.pk}/"' in page
    for place in (
        "monitoring", "changes", "changes/backups", "changes/restores", "changes/script-runs", "bastion", "reports",
    ):  # fmt: skip
        assert f'hx-get="/{place}/for-asset/{server_asset.pk}/"' in page
