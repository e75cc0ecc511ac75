"""What holds for every product: it tells what to prepare, and its figures and graphs are in the catalogues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitoring.collectors import Problem, products
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.machines import ProductConfig
from monitoring.collectors.products import PRODUCTS
from monitoring.collectors.products.document import as_markdown
from monitoring.collectors.products.frame import Product, numbers
from monitoring.models.target import ICONS
from tests.monitoring.probes import GUARD, job_for
from tests.monitoring.products.visits import closed_port, look

DOCUMENT = Path(__file__).parents[3] / "docs" / "products.md"
CONTRACT = {"apache", "tomcat", "nginx", "mysql", "mongodb", "redis", "zookeeper", "php-fpm"}
"""The products whose preparation the contract names (R28)."""
ALL = sorted(PRODUCTS.values(), key=lambda product: product.slug)


def test_the_contracts_products_are_there() -> None:
    assert set(PRODUCTS) >= CONTRACT


@pytest.mark.parametrize("product", ALL, ids=lambda product: product.slug)
def test_a_product_says_in_both_languages_what_to_prepare_and_how_to_verify_it(product: Product) -> None:
    assert product.prerequisites
    for step in product.prerequisites:
        assert any("一" <= letter <= "鿿" for letter in step.zh)
        assert not any("一" <= letter <= "鿿" for letter in step.en)
    assert any(step.code for step in product.prerequisites)
    assert product.needs


@pytest.mark.parametrize(
    ("slug", "words"),
    [
        ("apache", "<Location /server-status>"),
        ("apache", "apachectl restart"),
        ("tomcat", "CATALINA_OPTS"),
        ("nginx", "stub_status"),
        ("nginx", "systemctl restart nginx"),
        ("mysql", "GRANT PROCESS, REPLICATION CLIENT"),
        ("mysql", "extended-status"),
        ("mongodb", "clusterMonitor"),
        ("redis", "+info"),
        ("zookeeper", "clientPort=2181"),
        ("php-fpm", "pm.status_path"),
    ],
)
def test_the_contracts_preparations_are_among_them(slug: str, words: str) -> None:
    assert any(words in step.code for step in PRODUCTS[slug].prerequisites)


@pytest.mark.parametrize("slug", sorted(set(PRODUCTS)))
async def test_every_product_tells_a_closed_port_and_a_forbidden_address(slug: str) -> None:
    values: dict[str, Any] = {"user": "x"} if "user" in PRODUCTS[slug].asks else {}
    refused = (await look(slug, closed_port(), **values)).problem
    assert refused is not None
    assert refused.code == "refused"
    blocked = (await look(slug, closed_port(), trusted=False, **values)).problem
    assert blocked is not None
    assert blocked.code == "blocked"


def test_every_icon_is_among_those_that_are_shipped() -> None:
    [sheet] = (Path(__file__).parents[3] / "static" / "vendor" / "tabler-icons").rglob("tabler-icons.min.css")
    shipped = sheet.read_text(encoding="utf-8")
    wanted_icons = {product.icon for product in PRODUCTS.values()} | set(ICONS.values())
    assert [icon for icon in wanted_icons if f".ti-{icon}:before" not in shipped] == []


def test_an_unknown_product_and_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError) as product:
        products.checked(ProductConfig("no-such", "10.0.0.1", 80))
    assert product.value.field == "product"
    for options in ({"no_such": 1}, {"long_query_s": "soon"}, {"long_query_s": True}):
        with pytest.raises(ConfigError):
            products.checked(ProductConfig("mysql", "10.0.0.1", 3306, options=options))


async def test_a_target_whose_product_is_gone_says_so_and_spoils_no_batch() -> None:
    gone = job_for(ProductConfig("no-such", "127.0.0.1", 80), target_id=1)
    there = job_for(ProductConfig("nginx", "127.0.0.1", closed_port()), target_id=2)
    first, second = await products.collect([gone, there], guard=GUARD)
    assert first.problem == Problem("config", "no-such")
    assert second.problem == Problem("refused")


@pytest.mark.parametrize(
    ("text", "found"),
    [("10.11.19-MariaDB", (10, 11, 19)), ("v3.8", (3, 8)), ("9.0.0-M1", (9, 0, 0)), ("", ()), ("beta", ())],
)
def test_versions_are_compared_by_their_numbers(text: str, found: tuple[int, ...]) -> None:
    assert numbers(text) == found


def test_the_document_says_the_same() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == as_markdown(PRODUCTS.values())
