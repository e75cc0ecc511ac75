"""Cause and symptom, as pure questions."""

from datetime import timedelta

import pytest

from assets.hosting import address_of, hosts
from monitoring.inhibition import (
    Cause,
    Relation,
    Symptom,
    Thing,
    Topology,
    causes,
    follows,
)
from tests.monitoring.samples import START

HOST, NGINX, DATABASE, PORT, URL, LB, ELSEWHERE = 1, 2, 3, 4, 5, 6, 7
THINGS = (
    Thing(HOST, "ecs", frozenset({"10.0.0.5", "47.1.2.3"}), account_id=9),
    Thing(NGINX, "middleware", frozenset({"10.0.0.5"})),
    Thing(DATABASE, "database", frozenset({"10.0.0.5"})),
    Thing(PORT, "port", frozenset({"47.1.2.3"})),
    Thing(URL, "url", frozenset({"47.1.2.3"})),
    Thing(LB, "slb", frozenset({"8.8.4.4"}), backend_ids=frozenset({HOST})),
    Thing(ELSEWHERE, "middleware", frozenset({"10.0.0.6"})),
)
TOPOLOGY = Topology.of(THINGS)
HIGH, AVERAGE, WARNING = 2, 3, 4


def alert(alert_id: int, rule: str, asset: int, severity: int = HIGH, labels: str = "") -> Symptom:
    return Symptom(alert_id, rule, asset, labels, severity, START)


def cause_of(symptom: Symptom, *bad: Symptom, topology: Topology = TOPOLOGY) -> Cause | None:
    return causes([symptom], bad, topology).get(symptom.id)


PING_DOWN = alert(100, "ping-unreachable", HOST)
SILENT_AGENT = alert(101, "no-data", HOST, AVERAGE)


@pytest.mark.parametrize(
    ("rule", "asset"),
    [
        ("host-cpu-util", HOST),
        ("host-fs-free-5", HOST),
        ("process-not-running", HOST),
        ("no-data", HOST),
        ("port-not-running", HOST),
        ("port-not-running", PORT),
        ("website-failed", URL),
        ("nginx-restarted", NGINX),
        ("mysql-replication-thread", DATABASE),
        ("ping-unreachable", NGINX),
        ("no-data", NGINX),
    ],
)
def test_a_host_that_does_not_answer_covers_what_it_says_and_what_runs_on_it(rule: str, asset: int) -> None:
    severity = HIGH if rule != "nginx-restarted" else WARNING
    assert cause_of(alert(1, rule, asset, severity), PING_DOWN) == Cause(100, Relation.PING)


def test_the_clouds_own_figures_of_a_host_that_does_not_answer_stay_loud() -> None:
    assert cause_of(alert(1, "ecs-cpu-util", HOST, AVERAGE), PING_DOWN) is None


def test_what_runs_elsewhere_is_not_covered() -> None:
    assert cause_of(alert(1, "nginx-restarted", ELSEWHERE, WARNING), PING_DOWN) is None


def test_an_alert_is_not_its_own_cause() -> None:
    assert cause_of(PING_DOWN, PING_DOWN) is None


def test_a_cause_never_hides_what_is_worse_than_itself() -> None:
    disaster = alert(1, "website-failed", URL, 1)
    assert cause_of(disaster, PING_DOWN) is None
    assert cause_of(alert(2, "process-not-running", HOST, HIGH), SILENT_AGENT) is None


@pytest.mark.parametrize(("rule", "asset"), [("host-cpu-util", HOST), ("tomcat-heap-util", NGINX), ("no-data", NGINX)])
def test_a_silent_agent_covers_the_older_verdicts_and_the_middleware(rule: str, asset: int) -> None:
    assert cause_of(alert(1, rule, asset, AVERAGE), SILENT_AGENT) == Cause(101, Relation.AGENT)


@pytest.mark.parametrize(("rule", "asset"), [("port-not-running", PORT), ("website-failed", URL)])
def test_a_silent_agent_does_not_cover_what_is_asked_from_outside(rule: str, asset: int) -> None:
    assert cause_of(alert(1, rule, asset, WARNING), SILENT_AGENT) is None


def test_ping_is_nearer_to_the_root_than_the_agent() -> None:
    found = cause_of(alert(1, "host-cpu-util", HOST, AVERAGE), SILENT_AGENT, PING_DOWN)
    assert found == Cause(100, Relation.PING)


def test_the_restart_of_a_host_covers_the_restarts_on_it() -> None:
    restarted = alert(100, "host-restarted", HOST, WARNING)
    assert cause_of(alert(1, "nginx-restarted", NGINX, WARNING), restarted) == Cause(100, Relation.RESTART)
    assert cause_of(alert(2, "process-not-running", HOST, WARNING), restarted) is None


@pytest.mark.parametrize(
    ("mild", "worse"),
    [
        ("host-fs-free-10", "host-fs-free-5"),
        ("es-cluster-yellow", "es-cluster-red"),
        ("cloud-es-cluster-yellow", "cloud-es-cluster-status"),
    ],
)
def test_the_worse_of_two_rules_covers_the_milder_on_the_same_thing_only(mild: str, worse: str) -> None:
    red = alert(100, worse, NGINX, AVERAGE, 'mountpoint="/data"')
    assert cause_of(alert(1, mild, NGINX, WARNING, 'mountpoint="/data"'), red) == Cause(100, Relation.WORSE)
    assert cause_of(alert(2, mild, NGINX, WARNING, 'mountpoint="/"'), red) is None
    assert cause_of(alert(3, mild, ELSEWHERE, WARNING, 'mountpoint="/data"'), red) is None
    assert cause_of(red, alert(4, mild, NGINX, WARNING, 'mountpoint="/data"')) is None


def test_a_dead_backend_covers_the_balancers_count_of_unhealthy_ones() -> None:
    assert cause_of(alert(1, "slb-unhealthy-servers", LB), PING_DOWN) == Cause(100, Relation.BACKEND)
    assert cause_of(alert(2, "slb-max-conn-util", LB), PING_DOWN) is None
    alone = Topology.of([THINGS[0], Thing(LB, "slb")])
    assert cause_of(alert(1, "slb-unhealthy-servers", LB), PING_DOWN, topology=alone) is None


def test_an_account_that_refuses_us_covers_the_missing_figures_of_its_resources() -> None:
    refused = Topology.of(THINGS, refused_accounts=[9])
    assert cause_of(alert(1, "cms-no-data", HOST, AVERAGE), topology=refused) == Cause(None, Relation.ACCOUNT)
    assert cause_of(alert(1, "cms-no-data", HOST, AVERAGE)) is None
    assert cause_of(alert(2, "ecs-cpu-util", HOST, AVERAGE), topology=refused) is None


def test_an_address_that_two_hosts_have_says_nothing() -> None:
    twins = [Thing(1, "ecs", frozenset({"10.0.0.5"})), Thing(2, "server", frozenset({"10.0.0.5"})), THINGS[1]]
    twins[2] = Thing(3, "middleware", frozenset({"10.0.0.5"}))
    assert hosts(twins) == {}


def test_what_is_on_a_host_includes_the_balancer_before_it() -> None:
    assert TOPOLOGY.on([HOST]) == {HOST, NGINX, DATABASE, PORT, URL, LB}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://Shop.Example.com:8443/a?b", "shop.example.com"),
        ("10.0.0.5", "10.0.0.5"),
        ("[fe80::1]", "fe80::1"),
        ("http://[2001:db8::1]:80/", "2001:db8::1"),
        (" web-01. ", "web-01"),
        ("", ""),
    ],
)
def test_an_address_is_read_in_one_form(text: str, address: str) -> None:
    assert address_of(text) == address


def test_a_symptom_told_long_before_is_a_trouble_of_its_own() -> None:
    early = Symptom(1, "port-not-running", HOST, "", HIGH, START - timedelta(minutes=11))
    assert not follows(early, PING_DOWN)
    assert follows(alert(2, "port-not-running", HOST), PING_DOWN)
