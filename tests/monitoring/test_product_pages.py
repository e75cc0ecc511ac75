"""Bringing a product under monitoring: choose, prepare, test, save, change; who may, and what is kept secret."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from django.test import Client
from django.utils import timezone

from accounts import scope
from accounts.models import AuditEntry, Contract, Customer, Secret, User
from assets.models import Asset
from monitoring.collectors.config import Kind
from monitoring.collectors.config.machines import ProductConfig
from monitoring.collectors.products import PRODUCTS, checked
from monitoring.models import Target
from monitoring.problems import PROBLEMS
from monitoring.product_forms import ProductForm
from monitoring.services import targets
from tests.conftest import ClientFor
from tests.monitoring.samples import server

pytestmark = pytest.mark.django_db
PAGE = b"Active connections: 1\nserver accepts handled requests\n 1 1 1\nReading: 0 Writing: 1 Waiting: 0\n"


class Nginx(BaseHTTPRequestHandler):
    """Says what stub_status says, to whom it may."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@contextlib.contextmanager
def status_page() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Nginx) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening.server_address[1]
        listening.shutdown()


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, name="shop nginx", host="10.1.2.3", kind="middleware")


def english(browser: Client) -> Client:
    browser.cookies["django_language"] = "en"
    return browser


def stored(asset: Asset) -> list[Target]:
    with scope.customer(asset.customer_id):
        return list(Target.objects.filter(asset=asset).order_by("pk"))


def mysql(**more: object) -> dict[str, object]:
    return {
        "host": "10.1.2.3", "port": 3306, "user": "rdmp", "token": "s3cret-pass", "period_s": 60, "timeout_s": 10,
        "option_long_query_s": 30, "verify_tls": "on", **more,
    }  # fmt: skip


def test_what_suits_the_asset_comes_first_and_everything_is_there(
    web: Asset, chen: User, client_for: ClientFor
) -> None:
    text = english(client_for(chen)).get(f"/monitoring/targets/new/{web.pk}/").content.decode()
    assert text.index("Suits this asset") < text.index("/product/nginx/") < text.index("/product/mysql/")
    assert all(f"/product/{slug}/" in text for slug in PRODUCTS)


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("slug", sorted(PRODUCTS))
def test_every_product_shows_its_prerequisites_and_a_form_of_its_own(
    web: Asset, chen: User, client_for: ClientFor, slug: str, language: str
) -> None:
    browser = client_for(chen)
    browser.cookies["django_language"] = language
    response = browser.get(f"/monitoring/targets/new/{web.pk}/product/{slug}/")
    text = response.content.decode()
    product = PRODUCTS[slug]
    assert response.status_code == 200
    first = product.prerequisites[0]
    assert (first.zh if language == "zh-hans" else first.en)[:12] in text.replace("&#x27;", "'").replace("&quot;", '"')
    assert ('name="user"' in text) == ("user" in product.asks)
    assert ('name="token"' in text) == ("password" in product.asks)
    assert 'value="10.1.2.3"' in text


def test_saving_keeps_the_password_in_the_vault_and_nowhere_else(web: Asset, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    response = browser.post(f"/monitoring/targets/new/{web.pk}/product/mysql/", mysql(checks_port="on"))
    assert response.status_code == 302
    product, port = stored(web)
    assert (product.kind, port.kind, port.config["port"]) == (Kind.PRODUCT, Kind.TCP, 3306)
    assert product.config["options"] == {"long_query_s": 30, "slow_sql_s": 1}
    assert "s3cret-pass" not in str(product.config)
    with scope.platform("test"):
        assert Secret.objects.count() == 1
        assert "s3cret-pass" not in "".join(str(entry.detail) for entry in AuditEntry.objects.all())
    for path in ("", "edit/"):
        assert "s3cret-pass" not in browser.get(f"/monitoring/targets/{product.pk}/{path}").content.decode()


def test_the_form_says_what_is_wrong_and_keeps_what_was_entered(web: Asset, chen: User, client_for: ClientFor) -> None:
    response = client_for(chen).post(f"/monitoring/targets/new/{web.pk}/product/nginx/", {
        "host": "a b", "port": 80, "path": "no-slash", "period_s": 60, "timeout_s": 10,
    })  # fmt: skip
    assert response.status_code == 422
    assert "a b" in response.content.decode()
    assert not stored(web)


def test_what_is_tested_before_saving_is_not_kept(web: Asset, chen: User, client_for: ClientFor) -> None:
    """An engineer may not look into the platform's own network by a form either."""
    with status_page() as port:
        response = english(client_for(chen)).post(
            f"/monitoring/targets/new/{web.pk}/product/nginx/test/",
            {"host": "127.0.0.1", "port": port, "path": "/nginx_status", "period_s": 60, "timeout_s": 5},
        )
    assert "lies inside the platform" in response.content.decode()
    assert not stored(web)


def test_a_saved_target_that_may_look_inside_is_tested_with_what_the_form_holds(
    web: Asset, chen: User, root: User, client_for: ClientFor
) -> None:
    with status_page() as port, scope.customer(web.customer_id):
        config = {"product": "nginx", "host": "127.0.0.1", "port": port, "path": "/nginx_status"}
        target = targets.create_product(asset=web, config=config, actor=root, now=timezone.now(), allow_internal=True)
        browser = english(client_for(chen))
        entered = {"host": "127.0.0.1", "port": port, "path": "/nginx_status", "period_s": 60, "timeout_s": 5}
        good = browser.post(f"/monitoring/targets/{target.pk}/try/", entered).content.decode()
        elsewhere = browser.post(f"/monitoring/targets/{target.pk}/try/", entered | {"host": "127.0.0.2"})
    assert "The collector works: 7 figures" in good
    assert "lies inside the platform" in elsewhere.content.decode()


def test_the_stored_password_does_not_follow_a_target_that_is_pointed_elsewhere(
    web: Asset, root: User, chen: User, client_for: ClientFor
) -> None:
    """Else whoever may edit a target could send its password to a server of his own."""
    with status_page() as port, status_page() as other, scope.customer(web.customer_id):
        config = {"product": "haproxy", "host": "127.0.0.1", "port": port, "path": "/stats", "user": "rdmp"}
        target = targets.create_product(
            asset=web, config=config, token="s3cret-pass", actor=root, now=timezone.now(), allow_internal=True
        )
        checked_config = {**config, "port": other}
        Nginx.seen.clear()
        targets.try_before_saving(
            asset=web, kind=Kind.PRODUCT, config=config, actor=root, now=timezone.now(), target=target
        )
        assert Nginx.seen[-1].startswith("Basic ")
        Nginx.seen.clear()
        outcome = targets.try_before_saving(
            asset=web, kind=Kind.PRODUCT, config=checked_config, actor=root, now=timezone.now(), target=target
        )
        assert outcome.problem is not None
        assert outcome.problem.code == "blocked"
        assert Nginx.seen == []


def test_a_change_keeps_the_stored_password_and_the_options(web: Asset, chen: User, client_for: ClientFor) -> None:
    browser = client_for(chen)
    browser.post(f"/monitoring/targets/new/{web.pk}/product/mysql/", mysql())
    [target] = stored(web)
    page = browser.get(f"/monitoring/targets/{target.pk}/edit/").content.decode()
    assert 'value="30"' in page
    response = browser.post(f"/monitoring/targets/{target.pk}/edit/", mysql(token="", user="other", period_s=30))
    assert response.status_code == 302
    [changed] = stored(web)
    assert (changed.config["user"], changed.period_s, changed.config["options"]) == (
        "other",
        30,
        {"long_query_s": 30, "slow_sql_s": 1},
    )
    assert changed.token_set_at == target.token_set_at


def test_an_unfinished_form_is_not_tested(web: Asset, chen: User, client_for: ClientFor) -> None:
    response = english(client_for(chen)).post(f"/monitoring/targets/new/{web.pk}/product/nginx/test/", {"host": ""})
    assert "Complete the form first" in response.content.decode()


@pytest.mark.parametrize("path", ["", "product/nginx/", "product/nginx/test/"])
def test_customers_do_not_set_up_what_is_collected(web: Asset, alice: User, client_for: ClientFor, path: str) -> None:
    browser = client_for(alice)
    send = browser.post if path.endswith("test/") else browser.get
    assert send(f"/monitoring/targets/new/{web.pk}/{path}").status_code == 403


def test_the_list_and_the_page_name_the_product_and_its_version(web: Asset, vera: User, client_for: ClientFor) -> None:
    with scope.customer(web.customer_id):
        config = {"product": "nginx", "host": "10.1.2.3", "port": 8099}
        target = targets.create_product(asset=web, config=config, actor=None, now=timezone.now())
        Target.objects.filter(pk=target.pk).update(state={"facts": {"version": "nginx 1.22.1"}})
    browser = english(client_for(vera))
    assert "Nginx" in browser.get("/monitoring/targets/").content.decode()
    assert "nginx 1.22.1" in browser.get(f"/monitoring/targets/{target.pk}/").content.decode()


def test_middleware_is_counted_by_instance_and_more_than_the_contract_is_said(jia: Customer) -> None:
    with scope.customer(jia):
        Contract.objects.update(middleware_quota=3)
        for number in range(4):
            asset = server(jia, name=f"app-{number}")
            config = {"product": "tomcat", "host": f"10.0.0.{number + 1}", "port": 8080}
            targets.create_product(asset=asset, config=config, actor=None, now=timezone.now())
        assert targets.middleware_instances(jia) == 4
        [said] = targets.quota_warnings(jia, now=timezone.now())
        assert "4" in said
        assert "3" in said
        assert Target.objects.filter(kind=Kind.PRODUCT, is_enabled=True).count() == 4


@pytest.mark.parametrize("slug", sorted(PRODUCTS))
def test_a_products_own_defaults_make_a_valid_configuration(slug: str) -> None:
    product = PRODUCTS[slug]
    form = ProductForm({**defaults(slug), "host": "10.0.0.1", "period_s": 60, "timeout_s": 10}, product=product)
    assert form.is_valid(), form.errors
    assert checked(ProductConfig(**form.config)).product == slug


def defaults(slug: str) -> dict[str, Any]:
    form = ProductForm(product=PRODUCTS[slug])
    return {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}


def test_every_problem_a_product_can_have_has_words() -> None:
    codes = {
        "sign_in", "forbidden", "path_missing", "server_error", "wrong_page", "privilege", "disabled", "version",
        "wrong_product", "too_large", "dns", "refused", "timeout", "tls", "blocked", "reset", "unreachable", "local",
    }  # fmt: skip
    assert codes <= set(PROBLEMS)
