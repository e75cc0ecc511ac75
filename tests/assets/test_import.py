"""CSV files: what comes out goes in again, and what does not fit is said line by line before anything happens."""

from collections.abc import Iterator

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets import sheets
from assets.facts import Facts
from assets.models import Asset, CloudAccount
from assets.services import importing, inventory
from assets.services.importing import Action
from assets.sheets import SheetError
from tests.assets.conftest import sync
from tests.conftest import NOW


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def bring(jia: Customer, actor: User, text: str) -> importing.Plan:
    return importing.apply(customer=jia, sheet=sheets.read(text), actor=actor, now=NOW)


def look(jia: Customer, actor: User, text: str) -> importing.Plan:
    return importing.plan(customer=jia, sheet=sheets.read(text), actor=actor)


FILE = """类型,名称,主机,端口,网址,操作系统,产品,环境,负责人,标签
server,erp-01,10.0.0.8,,,linux,,production,王工,rack=A1; floor=2
database,erp-db,10.0.0.9,,,,mysql,production,,
url,官网,,,https://www.jiahe.example,,,,,
port,ssh,10.0.0.8,22.0,,,,,,
"""


def test_a_chinese_file_makes_assets(jia: Customer, chen: User) -> None:
    plan = bring(jia, chen, FILE)

    assert (plan.created, plan.updated, plan.failed) == (4, 0, 0)
    server = Asset.objects.get(name="erp-01")
    assert (server.kind, server.owner_name, server.tags) == ("server", "王工", {"rack": "A1", "floor": "2"})
    assert Asset.objects.get(name="erp-db").port == 3306
    assert Asset.objects.get(name="ssh").port == 22


def test_bringing_the_same_file_again_changes_nothing(jia: Customer, chen: User) -> None:
    bring(jia, chen, FILE)

    assert {step.action for step in look(jia, chen, FILE).steps} == {Action.NOTHING}


def test_the_preview_touches_nothing(jia: Customer, chen: User) -> None:
    look(jia, chen, FILE)

    assert not Asset.objects.exists()


def test_errors_are_named_by_line_and_nothing_is_imported(jia: Customer, chen: User) -> None:
    wrong = [
        "server,bad,999.1.1.1,,,linux,,,,",
        "port,p,10.0.0.1,http,,,,,,",
        "router,r,10.0.0.1,,,,,,,",
        "server,erp-01,10.0.0.8,,,linux,,,,",
    ]
    text = FILE + "\n".join(wrong)

    plan = look(jia, chen, text)

    assert {step.number for step in plan.steps if step.action is Action.ERROR} == {6, 7, 8, 9}
    with pytest.raises(DomainError):
        bring(jia, chen, text)
    assert not Asset.objects.exists()


def test_an_exported_formula_comes_back_as_the_text_it_was(jia: Customer, chen: User) -> None:
    plan = bring(jia, chen, "kind,name,host,os,owner_contact,notes\nserver,erp,10.0.0.8,linux,'+86 138,'=1+1\n")

    asset = Asset.objects.get()
    assert plan.created == 1
    assert (asset.owner_contact, asset.notes) == ("+86 138", "=1+1")


def test_an_apostrophe_that_guards_nothing_stays(jia: Customer, chen: User) -> None:
    bring(jia, chen, "kind,name,host,os\nserver,'quoted,10.0.0.8,linux\n")

    assert Asset.objects.get().name == "'quoted"


def test_of_a_cloud_asset_only_the_owner_is_taken(account: CloudAccount, jia: Customer, chen: User) -> None:
    sync(account)
    asset = Asset.objects.get(name="mall-web-01")

    plan = bring(jia, chen, f"ID,Name,Owner,Environment\n{asset.pk},renamed,王工,Test\n")

    asset.refresh_from_db()
    assert plan.updated == 1
    assert (asset.name, asset.owner_name, asset.environment) == ("mall-web-01", "王工", "test")


def test_a_cloud_asset_is_found_by_its_instance_id(account: CloudAccount, jia: Customer, chen: User) -> None:
    sync(account)
    asset = Asset.objects.get(name="mall-web-01")

    bring(jia, chen, f"kind,name,provider_id,owner_name\necs,x,{asset.provider_id},王工\n")

    asset.refresh_from_db()
    assert asset.owner_name == "王工"


def test_a_line_cannot_reach_another_customers_asset(jia: Customer, yi: Customer, chen: User, root: User) -> None:
    with scope.customer(yi):
        facts = Facts(kind="server", name="theirs", host="10.1.1.1", os="linux")
        foreign = inventory.create_manual(customer=yi, facts=facts, actor=root, now=NOW)

    with scope.user(root):
        plan = look(jia, root, f"id,name,owner_name\n{foreign.pk},theirs,me\n")

    assert plan.has_errors


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_files_of_excel_and_wps_are_read_in_their_encodings(encoding: str) -> None:
    sheet = sheets.read(sheets.decode("名称,类型,负责人\n商城,server,王工\n".encode(encoding)))

    assert sheet.lines[0].values == {"name": "商城", "kind": "server", "owner_name": "王工"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_usual_delimiter_is_read(delimiter: str) -> None:
    sheet = sheets.read(delimiter.join(["name", "kind"]) + "\r\n" + delimiter.join(["a", "server"]) + "\r\n")

    assert sheet.lines[0].values == {"name": "a", "kind": "server"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"x" * 1_000_001, "too_large"),
        (b"\xff\xff\xff", "encoding"),
        (b"PK\x03\x04\x00\x00", "encoding"),
        (b"", "empty"),
        (b"colour,size\n1,2\n", "header"),
        (b"name,kind,Name\na,b,c\n", "duplicate"),
        (b"name,kind\n" + b"a,b\n" * 2001, "too_long"),
    ],
)
def test_a_file_that_is_no_list_is_refused_as_a_whole(content: bytes, code: str) -> None:
    with pytest.raises(SheetError) as refused:
        sheets.read(sheets.decode(content))

    assert refused.value.code == code


def test_unknown_columns_are_named_and_ignored(jia: Customer, chen: User) -> None:
    plan = look(jia, chen, "kind,name,host,os,colour\nserver,a,10.0.0.1,linux,red\n")

    assert (plan.unknown, plan.created) == (("colour",), 1)
