"""Assets that people write down: what each kind must say, and who may touch what."""

from collections.abc import Iterator

import pytest
from django.core.exceptions import PermissionDenied

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, Customer, User
from assets.facts import Facts
from assets.models import Asset, CloudAccount
from assets.services import inventory, quota_use
from assets.services.inventory import InvalidFacts, Ownership
from tests.assets.conftest import sync
from tests.conftest import NOW


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def write(jia: Customer, actor: User, **facts: object) -> Asset:
    return inventory.create_manual(
        customer=jia,
        facts=Facts(**{"kind": "server", "name": "erp", "host": "10.0.0.8", "os": "linux", **facts}),  # type: ignore[arg-type]  # a test's shorthand
        actor=actor,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"kind": "server", "os": ""}, "os"),
        ({"kind": "server", "host": ""}, "host"),
        ({"kind": "database", "product": ""}, "product"),
        ({"kind": "database", "product": "informix"}, "port"),
        ({"kind": "middleware", "product": "nginx", "host": ""}, "host"),
        ({"kind": "url", "url": ""}, "url"),
        ({"kind": "url", "url": "ftp://files.example/"}, "url"),
        ({"kind": "url", "url": "https://user:secret@shop.example/"}, "url"),
        ({"kind": "port", "port": None}, "port"),
        ({"kind": "port", "port": 70000}, "port"),
        ({"kind": "load_balancer", "host": ""}, "host"),
        ({"kind": "url", "url": "https://shop.example/", "hardware_by_customer": True}, "hardware_by_customer"),
        ({"kind": "ecs"}, "kind"),
        ({"host": "169.254.169.254"}, "host"),
        ({"host": "100.100.100.200"}, "host"),
        ({"host": "127.0.0.1"}, "host"),
        ({"host": "localhost"}, "host"),
        ({"host": "2130706433"}, "host"),
        ({"host": "not a host"}, "host"),
        ({"private_ip": "::ffff:169.254.169.254"}, "private_ip"),
        ({"name": " "}, "name"),
    ],
)  # fmt: skip
def test_an_asset_that_cannot_be_is_refused(jia: Customer, chen: User, facts: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidFacts) as refused:
        write(jia, chen, **facts)

    assert field in refused.value.message_dict
    assert not Asset.objects.exists()


@pytest.mark.parametrize(
    "facts",
    [
        {"kind": "server", "host": "", "private_ip": "10.0.0.8", "hardware_by_customer": True},
        {"kind": "database", "product": "MySQL "},
        {"kind": "middleware", "product": "nginx"},
        {"kind": "url", "host": "", "os": "", "url": "https://商城.example/health"},
        {"kind": "port", "port": 22},
        {"kind": "load_balancer", "host": "lb.example"},
    ],
)
def test_every_manual_kind_can_be_written_down(jia: Customer, chen: User, facts: dict[str, object]) -> None:
    asset = write(jia, chen, **facts)

    assert Asset.objects.get() == asset
    assert AuditEntry.objects.filter(action="asset.create", object_id=str(asset.pk)).exists()


def test_a_known_product_brings_its_port(jia: Customer, chen: User) -> None:
    assert write(jia, chen, kind="database", product="PostgreSQL").port == 5432


def test_only_an_administrator_may_name_the_platforms_own_machine(jia: Customer, root: User) -> None:
    assert write(jia, root, host="127.0.0.1").host == "127.0.0.1"


def test_a_name_is_used_once_per_kind_and_free_again_after_retirement(jia: Customer, chen: User) -> None:
    first = write(jia, chen)
    with pytest.raises(InvalidFacts):
        write(jia, chen)
    inventory.retire_manual(asset=first, actor=chen, now=NOW)

    write(jia, chen)
    with pytest.raises(DomainError):
        inventory.restore_manual(asset=first, actor=chen, now=NOW)


def test_what_was_changed_is_in_the_audit_log_with_before_and_after(jia: Customer, chen: User) -> None:
    asset = write(jia, chen)
    facts = Facts(kind="server", name="erp", host="10.0.0.9", os="linux")

    inventory.update_manual(asset=asset, facts=facts, actor=chen, now=NOW)

    entry = AuditEntry.objects.get(action="asset.change")
    assert entry.detail == {"changed": {"host": ["10.0.0.8", "10.0.0.9"]}}


def test_a_customer_may_not_write_assets_down_but_its_pm_names_owners(jia: Customer, chen: User, alice: User) -> None:
    asset = write(jia, chen)
    with pytest.raises(PermissionDenied):
        write(jia, alice, name="other")

    changed = inventory.set_owner(
        assets=[asset], ownership=Ownership(owner_name="王工", environment="production"), actor=alice, now=NOW
    )

    asset.refresh_from_db()
    assert (changed, asset.owner_name, asset.environment, asset.role_text) == (1, "王工", "production", "")


def test_members_and_viewers_do_not_name_owners(jia: Customer, chen: User, bob: User, vera: User) -> None:
    asset = write(jia, chen)
    for person in (bob, vera):
        with pytest.raises(PermissionDenied):
            inventory.set_owner(assets=[asset], ownership=Ownership(owner_name="x"), actor=person, now=NOW)


def test_several_assets_get_one_owner_at_once(jia: Customer, chen: User) -> None:
    assets = [write(jia, chen, name=f"erp-{number}") for number in range(3)]

    ownership = Ownership("王工", "13800000000", "ERP", "production")
    assert inventory.set_owner(assets=assets, ownership=ownership, actor=chen, now=NOW) == 3
    assert not Asset.objects.incomplete().exists()
    assert inventory.set_owner(assets=assets, ownership=ownership, actor=chen, now=NOW) == 0


def test_the_completeness_list_names_what_is_missing(jia: Customer, chen: User) -> None:
    asset = write(jia, chen, owner_name="王工")

    assert Asset.objects.incomplete().get() == asset
    assert len(asset.missing_facts) == 3


def test_an_asset_is_managed_once_it_is_hardened_and_monitored(jia: Customer, chen: User) -> None:
    asset = write(jia, chen)

    half = inventory.set_care(asset=asset, hardened=True, monitored=False, actor=chen, now=NOW)
    assert half.managed_at is None
    whole = inventory.set_care(asset=asset, hardened=True, monitored=True, actor=chen, now=NOW)
    assert whole.managed_at == NOW


def test_a_cloud_asset_is_described_by_the_cloud_alone(account: CloudAccount, chen: User) -> None:
    sync(account)
    asset = Asset.objects.filter(kind="ecs")[0]

    with pytest.raises(DomainError):
        inventory.update_manual(asset=asset, facts=inventory.facts_of(asset), actor=chen, now=NOW)
    with pytest.raises(DomainError):
        inventory.retire_manual(asset=asset, actor=chen, now=NOW)


def test_quotas_count_instances_and_self_built_databases(jia: Customer, chen: User) -> None:
    for number in range(5):
        write(jia, chen, kind="middleware", name=f"tomcat-{number}", product="tomcat", host=f"10.0.1.{number}")
    write(jia, chen, kind="database", name="mysql", product="mysql")
    write(jia, chen, kind="database", name="pg", product="postgresql")
    for number in range(6):
        write(jia, chen, kind="url", name=f"url-{number}", url=f"https://shop{number}.example/", host="", os="")
    write(jia, chen, kind="port", name="ssh", port=22)

    used = {use.code: use for use in quota_use(jia)}
    assert (used["middleware"].used, used["middleware"].limit) == (6, 50)
    assert (used["url"].used, used["url"].limit, used["url"].is_exceeded) == (6, 5, True)
    assert (used["port"].used, used["port"].limit, used["port"].is_exceeded) == (1, None, False)
