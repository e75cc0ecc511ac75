"""Each operation against the simulated cloud, over HTTP with signatures: done, verified, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from changes import operations
from changes.catalogue import operations as catalogue
from changes.models import BackupRecord, Change, ChangeState, OperationRun, RunState
from changes.operations import dns_record
from changes.services import runs
from demo.aliyun import JIA_UID, CloudServer
from demo.aliyun.estate import minutes
from incidents.models import Incident
from tests.changes.conftest import draft
from tests.changes.runs import Driver, carry_out, log_of, own, set_to, undo, workings
from tests.conftest import NOW

DATA_DISK = "d-d"


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


@pytest.fixture
def driver() -> Driver:
    return Driver()


Make = Callable[..., Change]


@pytest.fixture
def make(incident: Incident, chen: User) -> Make:
    """A change that is being carried out."""

    def changed(operation: str, fields: dict[str, object], *assets: Asset) -> Change:
        return set_to(draft(incident, chen, *assets, operation=operation, fields=fields), ChangeState.EXECUTING)

    return changed


def row_of(server: CloudServer, name: str) -> dict[str, Any]:
    return server.cloud.estate(JIA_UID).find(name)


def test_each_serves_operations_of_the_catalogue_and_reads_fields_that_they_have() -> None:
    for one in operations.EXECUTABLES.values():
        entries = [catalogue()[code] for code in one.serves]
        assert set(one.reads) <= {field.name for entry in entries for field in entry.fields}
        assert all(not one.kinds or not entry.kinds or one.kinds & entry.kinds for entry in entries)


@pytest.mark.parametrize(
    ("action", "name", "ends"), [("stop", "mall-web-01", "Stopped"), ("start", "mall-test-02", "Running")]
)
def test_power_and_back(
    make: Make,
    account: CloudAccount,
    server: CloudServer,
    chen: User,
    driver: Driver,
    action: str,
    name: str,
    ends: str,
) -> None:
    before = row_of(server, name)["Status"]
    run = carry_out(make("ecs-power", {"action": action}, own(account, server, name)), chen, driver)
    assert (run.state, run.percent, row_of(server, name)["Status"]) == (RunState.VERIFIED, 100, ends)
    back = undo(run, chen, driver)
    assert (back.state, run.state, row_of(server, name)["Status"]) == (RunState.VERIFIED, RunState.UNDONE, before)


def test_restart(make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver) -> None:
    since = row_of(server, "mall-web-01")["StartTime"]
    run = carry_out(make("ecs-power", {"action": "restart"}, own(account, server, "mall-web-01")), chen, driver)
    assert run.state == RunState.VERIFIED
    assert row_of(server, "mall-web-01")["StartTime"] != since
    with pytest.raises(DomainError) as refusal:
        runs.undo(run=run, actor=chen, now=NOW)
    assert refusal.value.code == "no_way_back"


def test_a_second_restart_within_the_minute_is_done_although_nothing_shows_it(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    web, row = own(account, server, "mall-web-01"), row_of(server, "mall-web-01")
    change = make("ecs-power", {"action": "restart"}, web)
    now = datetime.now(UTC)
    row["StartTime"] = minutes(now)
    server.cloud.clock = lambda: now  # the minute does not end
    run = carry_out(change, chen, driver)
    assert (run.state, row["StartTime"]) == (RunState.VERIFIED, run.steps.get().before["StartTime"])
    assert server.cloud.calls(uid=JIA_UID, action="RebootInstance") == 1
    step = run.steps.get()
    assert step.sent_at is not None
    assert step.settled_at is not None
    assert step.settled_at - step.sent_at >= timedelta(minutes=2), "not before the cloud had its time"


def test_image_and_back(make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver) -> None:
    run = carry_out(
        make("image-create", {"name": "before-the-move"}, own(account, server, "mall-web-01")), chen, driver
    )
    assert run.state == RunState.VERIFIED
    assert [image["ImageName"] for image in workings(server).images] == ["before-the-move"]
    assert undo(run, chen, driver).state == RunState.VERIFIED
    assert workings(server).images == []


def test_a_new_disk_is_made_attached_and_taken_off(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    web = own(account, server, "mall-web-01")
    fields = {"size_gb": 100, "category": "cloud_essd", "mount_point": "/data", "filesystem": "xfs"}
    run = carry_out(make("disk-add", fields, web), chen, driver)
    assert run.state == RunState.VERIFIED
    made = next(disk for disk in workings(server).disks if disk["DiskName"])
    assert (made["InstanceId"], made["Size"]) == (web.provider_id, 100)
    assert [step.params["DiskId"] for step in run.steps.filter(action="AttachDisk")] == [made["DiskId"]]
    undo(run, chen, driver)
    assert (made["Status"], run.state) == ("Available", RunState.UNDONE)
    again = make("volume", {"action": "attach", "disk_id": made["DiskId"]}, web)
    assert carry_out(again, chen, driver).state == RunState.VERIFIED


def test_a_disk_grows_and_never_shrinks(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    web = own(account, server, "mall-web-01")
    disk = f"d-d{web.provider_id.removeprefix('i-')[1:]}"
    assert carry_out(make("disk-grow", {"disk_id": disk, "size_gb": 300}, web), chen, driver).state == RunState.VERIFIED
    assert next(one for one in workings(server).disks if one["DiskId"] == disk)["Size"] == 300
    with pytest.raises(DomainError) as smaller:
        runs.plan(change=make("disk-grow", {"disk_id": disk, "size_gb": 250}, web), actor=chen, now=NOW)
    assert smaller.value.code == "refused_not_larger"


def test_a_disk_of_another_instance_is_refused(
    make: Make, account: CloudAccount, server: CloudServer, chen: User
) -> None:
    web, other = own(account, server, "mall-web-01"), own(account, server, "mall-web-02")
    disk = f"d-d{other.provider_id.removeprefix('i-')[1:]}"
    with pytest.raises(DomainError) as refusal:
        runs.plan(change=make("disk-grow", {"disk_id": disk, "size_gb": 300}, web), actor=chen, now=NOW)
    assert refusal.value.code == "refused_not_its_disk"


def test_another_instance_type_and_back(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    web, old = own(account, server, "mall-web-01"), row_of(server, "mall-web-01")["InstanceType"]
    with pytest.raises(DomainError) as refusal:
        runs.plan(change=make("ecs-resize", {"spec": "ecs.g7.2xlarge"}, web), actor=chen, now=NOW)
    assert refusal.value.code == "refused_must_stop"
    run = carry_out(make("ecs-resize", {"spec": "ecs.g7.2xlarge", "may_restart": True}, web), chen, driver)
    row = row_of(server, "mall-web-01")
    assert [step.action for step in run.steps.all()] == ["StopInstance", "ModifyPrepayInstanceSpec", "StartInstance"]
    assert (run.state, row["InstanceType"], row["Status"]) == (RunState.VERIFIED, "ecs.g7.2xlarge", "Running")
    assert order_of(run) == ("upgrade", "true"), "the price is paid at once"
    back = undo(run, chen, driver)
    assert (run.state, row["InstanceType"], row["Status"]) == (RunState.UNDONE, old, "Running")
    assert order_of(back) == ("downgrade", None), "nothing to pay"


def order_of(run: OperationRun) -> tuple[object, object]:
    params = run.steps.get(action__startswith="Modify").params
    return params.get("OperatorType"), params.get("AutoPay")


def resize(make: Make, asset: Asset, spec: str) -> Change:
    return make("ecs-resize", {"spec": spec, "may_restart": True}, asset)


@pytest.mark.parametrize(
    ("spec", "there", "back"),
    [
        ("ecs.c7.large", ("downgrade", None), ("upgrade", "true")),
        ("ecs.r7.large", (None, None), (None, None)),  # half the vCPUs, twice the memory
        ("ecs.c6.xlarge", (None, None), (None, None)),  # as large: the price says it
    ],
)
def test_a_subscription_is_told_whether_it_becomes_larger_or_smaller(
    make: Make,
    account: CloudAccount,
    server: CloudServer,
    chen: User,
    driver: Driver,
    spec: str,
    there: tuple[object, object],
    back: tuple[object, object],
) -> None:
    web = own(account, server, "mall-web-01")
    run = carry_out(resize(make, web, spec), chen, driver)
    assert (run.state, order_of(run), row_of(server, "mall-web-01")["InstanceType"]) == (RunState.VERIFIED, there, spec)
    way_back = undo(run, chen, driver)
    assert (run.state, order_of(way_back)) == (RunState.UNDONE, back)
    assert row_of(server, "mall-web-01")["InstanceType"] == "ecs.c7.xlarge"


def test_pay_as_you_go_is_no_order(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    run = carry_out(resize(make, own(account, server, "mall-job-01"), "ecs.c7.large"), chen, driver)
    assert run.state == RunState.VERIFIED
    assert run.steps.get(position=2).action == "ModifyInstanceSpec"
    assert order_of(run) == (None, None)
    undo(run, chen, driver)
    assert (run.state, row_of(server, "mall-job-01")["InstanceType"]) == (RunState.UNDONE, "ecs.c7.xlarge")


@pytest.mark.parametrize(
    ("spec", "code"),
    [("ecs.c7.huge", "refused_no_spec"), ("", "refused_no_spec"), ("ecs.g7.large", "refused_sold_out")],
)
def test_nothing_is_stopped_for_a_type_that_cannot_be_had(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver, spec: str, code: str
) -> None:
    workings(server).sold_out = {"ecs.g7.large"}
    change = resize(make, own(account, server, "mall-web-01"), spec)
    with pytest.raises(DomainError) as refusal:
        runs.plan(change=change, actor=chen, now=driver.moment)
    assert refusal.value.code == code


def test_nothing_is_stopped_for_a_way_back_that_cannot_be_gone(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    run = carry_out(resize(make, own(account, server, "mall-web-01"), "ecs.g7.2xlarge"), chen, driver)
    workings(server).sold_out = {"ecs.c7.xlarge"}
    with pytest.raises(DomainError) as refusal:
        runs.undo(run=run, actor=chen, now=driver.moment)
    assert refusal.value.code == "refused_sold_out"
    workings(server).sold_out = set()
    back = runs.undo(run=run, actor=chen, now=driver.moment)
    runs.start(run=back, actor=chen, now=driver.moment)
    workings(server).sold_out = {"ecs.c7.xlarge"}
    back.refresh_from_db()
    driver.to_end(back)
    run.refresh_from_db()
    assert (back.state, back.problem_code, run.state) == (RunState.FAILED, "sold_out", RunState.VERIFIED)
    assert server.cloud.calls(uid=JIA_UID, action="StopInstance") == 1
    assert row_of(server, "mall-web-01")["Status"] == "Running"


@pytest.mark.parametrize("goes_back", [False, True])
def test_what_was_stopped_in_vain_runs_again(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver, *, goes_back: bool
) -> None:
    web, row = own(account, server, "mall-web-01"), row_of(server, "mall-web-01")
    upgrade = carry_out(resize(make, web, "ecs.g7.2xlarge"), chen, driver)
    row["_downgrades"] = 3  # as often as Alibaba refunds; nobody can ask for it beforehand
    run = undo(upgrade, chen, driver) if goes_back else carry_out(resize(make, web, "ecs.c7.large"), chen, driver)
    assert (run.state, run.problem_code) == (RunState.FAILED, "InstanceDowngrade.QuotaExceed")
    assert [step.state for step in run.steps.all()] == ["settled", "failed", "settled"]
    assert (row["Status"], row["InstanceType"]) == ("Running", "ecs.g7.2xlarge")
    assert {"restoring", "failed"} <= set(log_of(run))
    assert upgrade.state == RunState.VERIFIED
    assert not run.may_be_undone, "nothing is left of it"


RULE = {
    "group": "sg-bp1demo000000000000001",
    "direction": "ingress",
    "protocol": "tcp",
    "ports": "8443/8443",
    "cidr": "203.0.113.0/24",
    "description": "partner",
}


def test_a_rule_comes_and_goes(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    web = own(account, server, "mall-web-01")

    def ports() -> list[object]:
        return [rule["PortRange"] for rule in workings(server).rules[str(RULE["group"])]]

    added = carry_out(make("security-group-rule", {"action": "add", **RULE}, web), chen, driver)
    assert (added.state, ports()) == (RunState.VERIFIED, ["443/443", "22/22", "8443/8443"])
    removed = carry_out(make("security-group-rule", {"action": "remove", **RULE}, web), chen, driver)
    assert (removed.state, ports()) == (RunState.VERIFIED, ["443/443", "22/22"])
    undo(removed, chen, driver)
    assert ports() == ["443/443", "22/22", "8443/8443"]
    foreign = {"action": "add", **RULE, "group": "sg-of-somebody-else"}
    with pytest.raises(DomainError) as refusal:
        runs.plan(change=make("security-group-rule", foreign, web), actor=chen, now=NOW)
    assert refusal.value.code == "refused_not_its_group"


def test_a_rule_of_another_priority_is_the_one_that_goes_and_comes_back(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    web = own(account, server, "mall-web-01")
    carry_out(make("security-group-rule", {"action": "add", **RULE}, web), chen, driver)
    rules = workings(server).rules[str(RULE["group"])]
    rules[-1]["Priority"] = "50"

    def priorities() -> list[object]:
        return [rule["Priority"] for rule in rules if rule["PortRange"] == RULE["ports"]]

    removed = carry_out(make("security-group-rule", {"action": "remove", **RULE}, web), chen, driver)
    assert (removed.state, priorities()) == (RunState.VERIFIED, [])
    undo(removed, chen, driver)
    assert (removed.state, priorities()) == (RunState.UNDONE, ["50"])


def test_each_way_back_has_client_tokens_of_its_own(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    web, order = own(account, server, "mall-web-01"), own(account, server, "mall-order", kind="rds")
    for change in (
        make("security-group-rule", {"action": "add", **RULE}, web),
        make("ecs-resize", {"spec": "ecs.g7.2xlarge", "may_restart": True}, web),
        make("database-parameter", {"name": "long_query_time", "value": "2"}, order),
    ):
        run = carry_out(change, chen, driver)
        tokens = []
        for _attempt in range(2):
            back = runs.undo(run=run, actor=chen, now=driver.moment)
            tokens += [step.params["ClientToken"] for step in back.steps.all() if "ClientToken" in step.params]
            runs.stop(run=back, actor=chen, now=driver.moment)
        assert len(set(tokens)) == 2, change.operation
        assert not set(tokens) & {step.params.get("ClientToken") for step in run.steps.all()}


def test_servers_behind_a_balancer(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    balancer = own(account, server, "mall-public", kind="slb")
    ids = [own(account, server, name).provider_id for name in ("mall-web-03", "mall-web-04")]

    def there() -> set[object]:
        return {one["ServerId"] for one in workings(server).backends[balancer.provider_id]}

    said = {"servers": "\n".join(ids), "weight": 50}
    run = carry_out(make("lb-backend-add", said, balancer), chen, driver)
    assert run.state == RunState.VERIFIED
    assert set(ids) <= there()
    out = carry_out(make("lb-backend-remove", {"servers": ids[0]}, balancer), chen, driver)
    assert out.state == RunState.VERIFIED
    assert ids[0] not in there()
    undo(out, chen, driver)
    assert ids[0] in there()
    weights = {one["ServerId"]: one["Weight"] for one in workings(server).backends[balancer.provider_id]}
    assert weights[ids[0]] == 50, "back with the weight it had"


def test_a_server_that_is_not_one_of_the_account_is_refused(
    make: Make, account: CloudAccount, server: CloudServer, chen: User
) -> None:
    balancer = own(account, server, "mall-public", kind="slb")
    with pytest.raises(DomainError) as refusal:
        runs.plan(change=make("lb-backend-add", {"servers": "i-bp1foreign"}, balancer), actor=chen, now=NOW)
    assert refusal.value.code == "refused_foreign_server"


def test_dns_records(make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver) -> None:
    said = {"domain": "jiahe.example", "rr": "api", "type": "A", "value": "203.0.113.7", "ttl": 600}

    def values(rr: str) -> list[object]:
        return [row["Value"] for row in workings(server).records["jiahe.example"] if row["RR"] == rr]

    added = carry_out(make("dns-record", {"action": "add", **said}), chen, driver)
    assert (added.state, values("api")) == (RunState.VERIFIED, ["203.0.113.7"])
    moved = carry_out(make("dns-record", {"action": "modify", **said, "value": "203.0.113.8"}), chen, driver)
    assert (moved.state, values("api")) == (RunState.VERIFIED, ["203.0.113.8"])
    undo(moved, chen, driver)
    assert values("api") == ["203.0.113.7"]
    gone = carry_out(make("dns-record", {"action": "delete", **said}), chen, driver)
    assert (gone.state, values("api")) == (RunState.VERIFIED, [])
    undo(gone, chen, driver)
    assert values("api") == ["203.0.113.7"]


def test_a_name_is_found_again_however_it_was_written(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    said = {"domain": "jiahe.example", "rr": "Shop", "type": "CNAME", "value": "Shop.CDN.example.net.", "ttl": 600}
    added = carry_out(make("dns-record", {"action": "add", **said}), chen, driver)
    assert added.state == RunState.VERIFIED
    record = next(row for row in workings(server).records["jiahe.example"] if row["Type"] == "CNAME")
    assert record["Value"] == "Shop.CDN.example.net"
    record |= {"RR": "shop", "Value": "shop.cdn.example.net"}
    with pytest.raises(DomainError) as there:
        runs.plan(change=make("dns-record", {"action": "add", **said}), actor=chen, now=NOW)
    assert there.value.code == "refused_record_there"
    with pytest.raises(DomainError) as same:
        runs.plan(change=make("dns-record", {"action": "modify", **said}), actor=chen, now=NOW)
    assert same.value.code == "refused_is_so_already"
    gone = carry_out(make("dns-record", {"action": "delete", **said}), chen, driver)
    assert gone.state == RunState.VERIFIED
    undo(gone, chen, driver)
    assert gone.state == RunState.UNDONE


@pytest.mark.parametrize(
    ("kind", "one", "other", "is_same"),
    [
        ("MX", "mx1.example.com", "MX1.example.com.", True),
        ("SRV", "0 5 5060 sip.example.com.", "0 5 5060 sip.example.com", True),
        ("AAAA", "2001:DB8:0:0::1", "2001:db8::1", True),
        ("AAAA", "2001:db8::1", "2001:db8::2", False),
        ("AAAA", "not an address", "not an address", True),
        ("TXT", "Token=A.", "token=a", False),
        ("A", "203.0.113.7", "203.0.113.8", False),
    ],
)
def test_values_that_say_the_same(kind: str, one: str, other: str, *, is_same: bool) -> None:
    assert dns_record.is_same(kind, one, other) is is_same


def test_a_mail_server_keeps_its_priority_and_its_line(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    said = {"domain": "jiahe.example", "rr": "@", "type": "MX", "value": "mx1.jiahe.example", "ttl": 600}

    def there() -> list[tuple[object, ...]]:
        rows = workings(server).records["jiahe.example"]
        return [(row["Value"], row["Priority"], row["Line"]) for row in rows if row["Type"] == "MX"]

    with pytest.raises(DomainError) as refusal:
        runs.plan(change=make("dns-record", {"action": "add", **said}), actor=chen, now=NOW)
    assert refusal.value.code == "refused_no_priority"
    carry_out(make("dns-record", {"action": "add", **said, "priority": 20}), chen, driver)
    assert there() == [("mx1.jiahe.example", 20, "default")]
    next(row for row in workings(server).records["jiahe.example"] if row["Type"] == "MX")["Line"] = "telecom"
    moved = carry_out(make("dns-record", {"action": "modify", **said, "value": "mx2.jiahe.example"}), chen, driver)
    assert (moved.state, there()) == (RunState.VERIFIED, [("mx2.jiahe.example", 20, "telecom")])
    other = carry_out(
        make("dns-record", {"action": "modify", **said, "value": "mx2.jiahe.example", "priority": 5}), chen, driver
    )
    assert (other.state, there()) == (RunState.VERIFIED, [("mx2.jiahe.example", 5, "telecom")])
    undo(other, chen, driver)
    assert there() == [("mx2.jiahe.example", 20, "telecom")]
    gone = carry_out(make("dns-record", {"action": "delete", **said, "value": "mx2.jiahe.example"}), chen, driver)
    assert (gone.state, there()) == (RunState.VERIFIED, [])
    undo(gone, chen, driver)
    assert there() == [("mx2.jiahe.example", 20, "telecom")]


def test_a_port_of_the_balancer_is_not_passed_over(
    make: Make, account: CloudAccount, server: CloudServer, chen: User
) -> None:
    balancer = own(account, server, "mall-public", kind="slb")
    name = own(account, server, "mall-web-03").provider_id
    for operation in ("lb-backend-add", "lb-backend-remove"):
        with pytest.raises(DomainError) as refusal:
            runs.plan(change=make(operation, {"servers": name, "port": 8080}, balancer), actor=chen, now=NOW)
        assert refusal.value.code == "refused_no_port"


def test_a_ram_user_is_disabled_but_never_the_platforms_own(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    uid = server.cloud.accounts[JIA_UID][0]
    run = carry_out(make("ram-user", {"action": "disable", "user": "rdmp-writer"}), chen, driver)
    writer = uid.user("rdmp-writer")
    assert writer is not None
    assert (run.state, [key.active for key in writer.keys]) == (RunState.VERIFIED, [False])
    undo(run, chen, driver)
    assert [key.active for key in writer.keys] == [True]
    signs_in = uid.user("zhangwei")
    assert signs_in is not None
    assert (
        carry_out(make("ram-user", {"action": "disable", "user": "zhangwei"}), chen, driver).state == RunState.VERIFIED
    )
    assert not signs_in.can_sign_in
    for name in ("rdmp-readonly", "rdmp-operations", "rdmp-admin", "RDMP-Admin@jiahe.onaliyun.com"):
        with pytest.raises(DomainError) as refusal:
            runs.plan(change=make("ram-user", {"action": "disable", "user": name}), actor=chen, now=NOW)
        assert refusal.value.code == "refused_own_user"


def test_an_rds_backup(make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver) -> None:
    order = own(account, server, "mall-order", kind="rds")
    run = carry_out(make("manual-backup", {"method": "physical", "keep_days": 7}, order), chen, driver)
    assert run.state == RunState.VERIFIED
    kept = workings(server).backups[0]
    assert run.steps.get().result["BackupId"] == kept["BackupId"]
    assert kept["BackupRetentionPeriod"] == "7"
    with pytest.raises(DomainError) as refusal:
        runs.plan(change=make("manual-backup", {"method": "physical", "keep_days": 6}, order), actor=chen, now=NOW)
    assert refusal.value.code == "refused_cannot_keep"


@pytest.mark.parametrize(
    ("name", "storage", "policy", "method"),
    [
        ("erp", "cloud_essd", "Snapshot", "Snapshot"),
        ("erp", "cloud_essd", "Physical", "Physical"),
        ("erp", "local_ssd", "", "Physical"),
        ("mall-order", "cloud_essd", "", "Physical"),
    ],
)
def test_the_gates_backup_is_made_as_the_database_can(
    incident: Incident,
    account: CloudAccount,
    server: CloudServer,
    chen: User,
    driver: Driver,
    name: str,
    storage: str,
    policy: str,
    method: str,
) -> None:
    asset, row = own(account, server, name, kind="rds"), row_of(server, name)
    row["DBInstanceStorageType"] = storage
    if policy:
        workings(server).backup_policies[asset.provider_id] = {"BackupMethod": policy}
    fields = {"name": "max_connections", "value": "2000"}
    change = draft(incident, chen, asset, operation="database-parameter", fields=fields)
    run = carry_out(set_to(change, ChangeState.PREPARING), chen, driver, backup=True)
    assert (run.state, run.steps.get().params["BackupMethod"]) == (RunState.VERIFIED, method)
    assert change.backups.get().reference == workings(server).backups[0]["BackupId"]


@pytest.mark.parametrize(
    ("name", "engine", "method"),
    [("erp", "SQLServer", "physical"), ("erp", "SQLServer", "logical"), ("mall-member", "MariaDB", "snapshot")],
)
def test_a_backup_that_the_database_does_not_have_is_refused(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, name: str, engine: str, method: str
) -> None:
    row_of(server, name)["Engine"] = engine
    asset = own(account, server, name, kind="rds")
    with pytest.raises(DomainError) as refusal:
        runs.plan(change=make("manual-backup", {"method": method}, asset), actor=chen, now=NOW)
    assert refusal.value.code == "refused_no_method"


def test_an_rds_parameter_and_back(
    make: Make, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    order = own(account, server, "mall-order", kind="rds")
    run = carry_out(make("database-parameter", {"name": "long_query_time", "value": "2"}, order), chen, driver)
    running = workings(server).parameters[order.provider_id]
    assert (run.state, running["long_query_time"]) == (RunState.VERIFIED, "2")
    undo(run, chen, driver)
    assert running["long_query_time"] == "1"
    needs = {"name": "innodb_buffer_pool_size", "value": "1"}
    with pytest.raises(DomainError) as refusal:
        runs.plan(change=make("database-parameter", needs, order), actor=chen, now=NOW)
    assert refusal.value.code == "refused_needs_restart"
    allowed = make("database-parameter", {**needs, "may_restart": True}, order)
    (planned,) = runs.plan(change=allowed, actor=chen, now=NOW)
    assert planned.steps.get().params["Forcerestart"] == "true"
    assert json.loads(planned.steps.get().params["Parameters"]) == {"innodb_buffer_pool_size": "1"}


def test_a_snapshot_of_each_disk_passes_the_backup_gate(
    incident: Incident, account: CloudAccount, server: CloudServer, chen: User, driver: Driver
) -> None:
    web = own(account, server, "mall-web-01")
    change = set_to(draft(incident, chen, web), ChangeState.PREPARING)
    run = carry_out(change, chen, driver, backup=True)
    assert run.state == RunState.VERIFIED
    made = {snapshot["SnapshotId"] for snapshot in workings(server).snapshots}
    kept = BackupRecord.objects.filter(change=change, asset=web, method="snapshot")
    assert {record.reference for record in kept} == made
    assert len(made) == 2
