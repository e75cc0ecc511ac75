"""What a cloud lets through to a server's log-in port: judged by its rules, read with the account's own key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from bastion.hardening import groups
from bastion.hardening.findings import Finding, Said, Standard
from bastion.hardening.output import sections
from bastion.hardening.rules import Rule, Seen
from bastion.models import HardeningResult
from bastion.services.hardening import clouds, policies, runs
from bastion.services.hardening.policies import Terms
from demo.aliyun import JIA_UID, CloudServer, demo_cloud
from tests.assets.conftest import register, sync
from tests.changes.hosts import KeyHost, give_way
from tests.conftest import NOW
from tests.incidents.conftest import make_asset

BASTION = ("10.0.0.5", "192.0.2.0/28")
EVERYBODY, OURS, OTHER = "0.0.0.0/0", "10.0.0.5", "203.0.113.0/24"


SSHD = "#begin sshd\n permitrootlogin no\n\n#end sshd 0\n"


def rule(source: str, ports: str = "22/22", *, protocol: str = "tcp", drops: bool = False, priority: int = 1) -> Rule:
    return Rule("sg-1", protocol, ports, source, not drops, priority)


def judged(
    *rules: Rule, bastions: tuple[str, ...] = BASTION, ports: tuple[int, ...] = (22,), is_read: bool = True
) -> Finding:
    standard = Standard(now=NOW, bastions=bastions, login_ports=frozenset(ports), cloud=Seen(rules))
    return groups.login_port(Said(sections(SSHD if is_read else "")), standard)


@pytest.mark.parametrize(
    ("rules", "open_to"),
    [
        ((), ()),
        ((rule(OURS), rule("192.0.2.7")), ()),
        ((rule(EVERYBODY, "443/443"), rule(EVERYBODY, "1/21"), rule(EVERYBODY, protocol="udp")), ()),
        ((rule(EVERYBODY, "-1/-1", protocol="icmp"), rule(EVERYBODY, protocol="gre")), ()),
        ((rule(EVERYBODY),), (EVERYBODY,)),
        ((rule("::/0"),), ("::/0",)),
        ((rule(EVERYBODY, "1/65535"),), (EVERYBODY,)),
        ((rule(EVERYBODY, "-1/-1"),), (EVERYBODY,)),
        ((rule(EVERYBODY, "-1/-1", protocol="all"),), (EVERYBODY,)),
        ((rule("sg-2"), rule("pl-3"), rule("")), ("sg-2", "pl-3", "")),
        ((rule("192.0.2.0/24"),), ("192.0.2.0/24",)),
        ((rule(EVERYBODY, priority=5), rule(EVERYBODY, drops=True, priority=4)), ()),
        ((rule(EVERYBODY), rule(EVERYBODY, drops=True)), ()),
        ((rule(EVERYBODY, priority=4), rule(EVERYBODY, drops=True, priority=5)), (EVERYBODY,)),
        ((rule(EVERYBODY, priority=5), rule(OTHER, drops=True)), (EVERYBODY,)),
        ((rule(OTHER, priority=5), rule(EVERYBODY, drops=True)), ()),
        ((rule("sg-2", priority=5), rule(EVERYBODY, drops=True)), ("sg-2",)),
        ((rule("::/0", priority=5), rule(EVERYBODY, drops=True)), ("::/0",)),
        ((rule(EVERYBODY, priority=5), rule(EVERYBODY, "80/80", drops=True)), (EVERYBODY,)),
    ],
)
def test_who_beside_the_bastion_gets_to_the_port(rules: tuple[Rule, ...], open_to: tuple[str, ...]) -> None:
    found = judged(*rules)
    assert (found.code, found.names) == (("group_open", open_to) if open_to else ("group_shut", ()))


def test_it_is_about_the_port_that_is_listened_on() -> None:
    assert judged(rule(EVERYBODY), ports=(2222,)).code == "group_shut"
    assert judged(rule(EVERYBODY, "2222/2222"), ports=(22, 2222)).code == "group_open"


def test_what_nobody_knows_is_not_called_shut() -> None:
    assert judged(ports=()).code == "sshd_wrong"
    assert judged(bastions=()).code == "no_bastion_address"
    assert judged(is_read=False).outcome == "not_checked", "it may listen elsewhere"
    assert judged(rule(EVERYBODY), is_read=False).code == "group_open"
    for seen, code in ((None, "no_security_group"), (Seen(is_of_cloud=False), "no_security_group"),
                       (Seen(problem="Forbidden.RAM"), "cloud_unread")):  # fmt: skip
        found = groups.login_port(Said(), Standard(now=NOW, bastions=BASTION, login_ports=frozenset({22}), cloud=seen))
        assert (found.code, found.outcome) == (code, "not_checked")


@given(st.lists(st.builds(rule, st.text(max_size=20), st.text(max_size=12), protocol=st.sampled_from(["tcp", "all"]))))
def test_whatever_a_cloud_says_is_judged(rules: list[Rule]) -> None:
    assert judged(*rules).code in ("group_open", "group_shut")


# --- read from a cloud ------------------------------------------------------------------------------------------------


@pytest.fixture
def cloud() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


@pytest.fixture
def account(jia: Customer, cloud: CloudServer) -> Iterator[CloudAccount]:
    with scope.customer(jia):
        made = register(jia, cloud)
        sync(made)
        yield made


def server_of(account: CloudAccount, name: str = "mall-web-01") -> Asset:
    return Asset.objects.get(cloud_account=account, name=name)


def rules_in(cloud: CloudServer) -> list[dict[str, object]]:
    """Those of the group in which all servers of the demo stand, to be changed."""
    [rules] = cloud.cloud.estate(JIA_UID).work.rules.values()
    return rules


def test_rules_are_read_once_for_each_group(account: CloudAccount, cloud: CloudServer) -> None:
    assets = list(Asset.objects.filter(cloud_account=account, kind="ecs", region="cn-hangzhou"))
    assert len(assets) > 2
    seen = clouds.look(assets, now=NOW)
    assert {(one.problem, len(one.rules)) for one in seen.values()} == {("", 2)}
    assert cloud.cloud.calls(action="DescribeSecurityGroupAttribute") == 1
    group = seen[assets[0].pk].rules[0].group
    assert f"{group} 1 accept tcp 22/22 0.0.0.0/0" in [str(one) for one in seen[assets[0].pk].rules]


def test_a_cloud_that_does_not_answer_is_said(account: CloudAccount, cloud: CloudServer, jia: Customer) -> None:
    cloud.cloud.fail("unavailable", 99, action="DescribeSecurityGroupAttribute")
    by_hand = make_asset(jia, "db-9")
    seen = clouds.look([server_of(account), by_hand], now=NOW)
    assert seen[server_of(account).pk].problem == "ServiceUnavailable"
    assert not seen[by_hand.pk].is_of_cloud


def test_a_run_finds_the_port_open_and_then_shut(
    jia: Customer, account: CloudAccount, cloud: CloudServer, chen: User, root: User, tmp_path: Path
) -> None:
    with KeyHost(tmp_path).running() as host:
        asset = server_of(account)
        give_way(asset, host)
        host.stand_in("id", '[ "$1" = -u ] && echo 0 && exit; echo root')
        host.stand_in("sshd", "echo port 22; echo permitrootlogin no")
        policies.save(customer=jia, terms=Terms(bastions=("127.0.0.1", "10.0.0.0/24")), actor=root, now=NOW)

        def look() -> HardeningResult:
            run = runs.begin(customer=jia, assets=[asset], actor=chen, now=NOW)
            while run.state == "running":
                runs.advance(run_id=run.pk, clock=lambda: NOW)
                run.refresh_from_db()
            return HardeningResult.objects.get(check_of__run=run, item="security-group")

        found = look()
        assert (found.outcome, found.reason, found.names) == ("failed", "group_open", ["0.0.0.0/0"])
        assert "tcp 22/22 0.0.0.0/0" in found.evidence
        https, ssh = rules_in(cloud)
        ssh["SourceCidrIp"] = "10.0.0.5/32"
        assert (look().outcome, look().reason) == ("passed", "group_shut")
        rules_in(cloud).append({**https, "PortRange": f"{host.port}/{host.port}"})
        assert look().reason == "group_open", "the port by which the platform reaches it counts as well"
