"""RAM's users are read with the synchronisation, page by page, and what speaks against them comes and goes."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Access, CloudAccount, RamFinding, RamGroup, RamUser, SyncRun, SyncStep
from assets.ram_findings import Flaw, Found, Group, Key, Person, find
from demo.aliyun import JIA_UID, SimulatedCloud
from demo.aliyun.account import ECS_FULL_ACCESS, MONITOR_READ_ONLY
from demo.aliyun.account import RamUser as SimulatedUser
from tests.assets.conftest import later, sync
from tests.conftest import NOW, ClientFor

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def judge(person: Person, console_user: str = "ops") -> list[Flaw]:
    found = find([person], [], console_user=console_user, key_user="reader", key_writes=(), now=NOW)
    return [one.flaw for one in found]


@pytest.mark.parametrize(
    ("person", "flaws"),
    [
        (Person("li", True, True, (), ()), []),
        (Person("li", True, False, (), ()), [Flaw.NO_MFA]),
        (Person("li", False, False, (), ()), []),
        (Person("li", True, None, (), ()), []),
        (Person("li", True, True, ("AdministratorAccess",), ()), [Flaw.ADMINISTRATOR_PERSON]),
        (Person("machine", False, None, ("AdministratorAccess",), ()), []),
        (Person("ops", True, True, ("AdministratorAccess",), ()), []),
        (Person("m", False, None, (), (Key("k", True, NOW - 90 * DAY, NOW),)), []),
        (Person("m", False, None, (), (Key("k", True, NOW - 91 * DAY, NOW),)), [Flaw.OLD_KEY]),
        (Person("m", False, None, (), (Key("k", True, NOW - 91 * DAY, None),)), [Flaw.OLD_KEY, Flaw.UNUSED_KEY]),
        (Person("m", False, None, (), (Key("k", False, NOW - 300 * DAY, None),)), []),
    ],
)
def test_what_speaks_against_a_user(person: Person, flaws: list[Flaw]) -> None:
    assert judge(person) == flaws


def test_a_reading_key_that_can_write_is_found() -> None:
    found = find([], [], console_user="", key_user="reader", key_writes=("AliyunECSFullAccess",), now=NOW)
    assert found == (Found(Flaw.READING_KEY_WRITES, "reader", "AliyunECSFullAccess"),)


@pytest.mark.parametrize(
    ("group", "found"),
    [
        (Group("ops", ["li"], ["AdministratorAccess"]), []),
        (Group("guests", [], []), []),
        (Group("old", [], ["AdministratorAccess", "X"]), [Found(Flaw.EMPTY_GROUP, "old", "AdministratorAccess, X")]),
    ],
)
def test_a_group_that_nobody_is_in_has_no_rights(group: Group, found: list[Found]) -> None:
    assert list(find([], [group], console_user="ops", key_user="reader", key_writes=(), now=NOW)) == found


def open_findings() -> set[tuple[str, str]]:
    return set(RamFinding.objects.filter(RamFinding.OPEN).values_list("flaw", "user"))


def test_a_synchronisation_reads_ram_and_keeps_findings(account: CloudAccount) -> None:
    run = sync(account, later())

    step = run.steps.get(kind=SyncStep.RAM)
    assert (step.state, step.found) == (SyncRun.State.DONE, RamUser.objects.count())
    zhang = RamUser.objects.get(name="zhangwei")
    assert (zhang.can_sign_in, zhang.has_mfa, zhang.display_name) == (True, False, "张伟")
    liu = RamUser.objects.get(name="liuyang")
    assert (liu.groups, liu.policies[0]["group"]) == (["developers"], "developers")
    assert not RamUser.objects.filter(name="root").exists()
    found = open_findings()
    assert {("no_mfa", "zhangwei"), ("administrator_person", "zhangwei"), ("old_key", "rdmp-old")} <= found
    assert not {one for one in found if one[1] == "rdmp-admin"}
    assert "LTAISIMULATEDREADONLY" not in str(list(RamUser.objects.values_list("keys", flat=True)))


def test_what_was_put_right_is_gone_and_what_came_up_is_new(account: CloudAccount, cloud: SimulatedCloud) -> None:
    sync(account, later())
    users = cloud.accounts[JIA_UID][0]
    zhang, reader = users.user("zhangwei"), users.user("rdmp-readonly")
    assert zhang is not None
    assert reader is not None
    zhang.has_mfa = True
    reader.policies.append(ECS_FULL_ACCESS)

    sync(account, later())

    assert RamFinding.objects.get(flaw="no_mfa", user="zhangwei").gone_at is not None
    assert ("reading_key_writes", "rdmp-readonly") in open_findings()
    account.refresh_from_db()
    assert account.key_access == Access.WRITES


def test_every_page_of_users_is_read(account: CloudAccount, cloud: SimulatedCloud) -> None:
    users = cloud.accounts[JIA_UID][0].users
    users += [SimulatedUser(f"u{number:03}", f"9{number}", later()) for number in range(120)]
    sync(account, later())
    assert RamUser.objects.filter(name__startswith="u").count() == 120
    assert cloud.calls(action="ListUsers") == 2


def test_groups_are_read_with_members_and_rights_also_when_nobody_is_in_them(
    account: CloudAccount, cloud: SimulatedCloud
) -> None:
    sync(account, later())
    groups = {group.name: group for group in RamGroup.objects.all()}
    assert set(groups) == {"developers", "readers", "former-operations", "guests"}
    assert groups["developers"].members == ["liuyang"]
    assert [policy["name"] for policy in groups["former-operations"].policies] == ["AdministratorAccess"]
    assert {one for one in open_findings() if one[0] == "empty_group"} == {("empty_group", "former-operations")}

    del cloud.accounts[JIA_UID][0].empty_groups["former-operations"]
    sync(account, later())

    assert not RamGroup.objects.filter(name="former-operations").exists()
    assert not {one for one in open_findings() if one[0] == "empty_group"}


def test_every_page_of_groups_and_members_is_read(account: CloudAccount, cloud: SimulatedCloud) -> None:
    users = cloud.accounts[JIA_UID][0]
    users.empty_groups |= {f"g{number:03}": [] for number in range(120)}
    users.users += [
        SimulatedUser(f"u{number:03}", f"9{number}", later(), groups={"many": [MONITOR_READ_ONLY]})
        for number in range(120)
    ]
    sync(account, later())
    assert RamGroup.objects.filter(name__startswith="g0").count() == 100
    assert len(RamGroup.objects.get(name="many").members) == 120
    assert RamUser.objects.get(name="u119").groups == ["many"]
    assert cloud.calls(action="ListGroups") == 2


@pytest.mark.parametrize("action", ["ListGroups", "ListUsersForGroup"])
def test_half_of_the_groups_is_not_taken_for_all(account: CloudAccount, cloud: SimulatedCloud, action: str) -> None:
    sync(account, later())
    known = RamGroup.objects.count()
    cloud.fail("error", 99, action=action)
    assert sync(account, later()).steps.get(kind=SyncStep.RAM).state == SyncRun.State.FAILED
    assert RamGroup.objects.count() == known


def test_the_page_shows_groups_and_what_speaks_against_them(
    account: CloudAccount, chen: User, client_for: ClientFor
) -> None:
    sync(account, later())
    page = client_for(chen).get(f"/assets/cloud-accounts/{account.pk}/ram/").content.decode()
    assert "former-operations" in page
    assert "guests" in page
    assert "没有成员的用户组仍有权限" in page


def test_half_of_the_users_is_not_taken_for_all(account: CloudAccount, cloud: SimulatedCloud) -> None:
    sync(account, later())
    known = RamUser.objects.count()
    cloud.fail("error", 99, action="GetUserMFAInfo")

    run = sync(account, later())

    assert run.steps.get(kind=SyncStep.RAM).state == SyncRun.State.FAILED
    assert run.state == SyncRun.State.PARTIAL
    assert RamUser.objects.count() == known


def test_a_key_that_may_not_read_ram_says_so(account: CloudAccount, cloud: SimulatedCloud) -> None:
    reader = cloud.accounts[JIA_UID][0].user("rdmp-readonly")
    assert reader is not None
    reader.policies = [MONITOR_READ_ONLY]
    step = sync(account, later()).steps.get(kind=SyncStep.RAM)
    assert step.state == SyncRun.State.FAILED
    assert step.problem


def test_the_page_shows_and_exports(account: CloudAccount, chen: User, client_for: ClientFor) -> None:
    sync(account, later())
    browser, url = client_for(chen), f"/assets/cloud-accounts/{account.pk}/ram/"

    page = browser.get(url).content.decode()
    assert "zhangwei" in page
    assert "rdmp-admin" not in browser.get(f"{url}?mfa=False&signs_in=True").content.decode()
    sheet = browser.get(f"{url}?export=csv").content.decode("utf-8-sig")
    assert "张伟" in sheet
    assert "AdministratorAccess" in sheet


@pytest.mark.parametrize(("name", "status"), [("alice", 403), ("vera", 403), ("eve", 404)])
def test_customers_do_not_see_it(
    account: CloudAccount, client_for: ClientFor, name: str, status: int, request: pytest.FixtureRequest
) -> None:
    browser = client_for(request.getfixturevalue(name))
    assert browser.get(f"/assets/cloud-accounts/{account.pk}/ram/").status_code == status
