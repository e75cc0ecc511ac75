"""The 90 rules: as the SOW writes them, as they are evaluated, and files that are refused."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.rules import DATA, METRICS, CatalogueError, Kind, as_json, load_metrics, load_rules
from monitoring.rules import SOW_RULES as RULES

ROOT = Path(__file__).resolve().parent.parent.parent


def test_there_are_ninety_rules_of_twenty_six_products() -> None:
    assert len(RULES) == 90
    assert len({rule.product for rule in RULES.values()}) == 26


def test_the_kinds_are_as_the_sow_needs_them() -> None:
    counts = {kind: sum(rule.kind is kind for rule in RULES.values()) for kind in Kind}
    assert counts == {
        Kind.THRESHOLD: 64,
        Kind.STATE: 15,
        Kind.EVENT: 6,
        Kind.COMPOUND: 2,
        Kind.DERIVED: 2,
        Kind.COUNTER: 1,
    }


def test_periods_and_counts_are_the_sows() -> None:
    assert {rule.sow.period_s for rule in RULES.values() if rule.product == "RDS"} == {300}
    assert {rule.sow.times for rule in RULES.values() if rule.product == "RDS"} == {1}
    five = [rule.name_zh for rule in RULES.values() if rule.sow.times == 5]
    assert five == ["FullGc 次数异常", "快照状态失败"]
    assert {rule.sow.period_s for rule in RULES.values() if rule.product != "RDS"} == {60}


def test_compound_rules_keep_both_conditions_of_the_sow() -> None:
    sow = as_json(RULES["host-fs-free-5"])["sow"]
    assert isinstance(sow, dict)
    assert sow["conditions"] == [
        {"comparator": "<", "threshold": 5, "unit": "%"},
        {"comparator": "<", "threshold": 5, "unit": "G"},
    ]


def test_every_text_of_the_sow_agrees_with_its_figures() -> None:
    counts = {"一": 1, "三": 3, "五": 5}
    for rule in RULES.values():
        found = re.search("连续(.)次", rule.sow.text)
        assert found is not None
        assert counts[found[1]] == rule.sow.times
        assert ("每五分钟" in rule.sow.text) == (rule.sow.period_s == 300)


def test_what_deviates_from_the_letter_says_why_in_both_languages() -> None:
    deviating = [rule for rule in RULES.values() if rule.deviates]
    assert len(deviating) >= 10
    assert all(rule.reason_zh and rule.reason_en for rule in deviating)


def test_restart_rules_are_events_that_fire_at_once_and_pass_after_ten_minutes() -> None:
    events = [rule for rule in RULES.values() if rule.kind is Kind.EVENT]
    assert {(rule.times, rule.recovery_after_s, rule.recovery) for rule in events} == {(1, 600, ())}


def test_every_rule_recovers_after_as_many_good_points_as_it_needs_bad_ones() -> None:
    assert all(rule.times == rule.recovery_times for rule in RULES.values())


def test_every_metric_of_a_rule_is_in_the_catalogue_and_cloud_metrics_say_where_from() -> None:
    for rule in RULES.values():
        for name in rule.metrics:
            metric = METRICS[name]
            assert metric.source != "cms" or (metric.cms_namespace.startswith("acs_") and metric.cms_statistic)


def test_the_command_prints_the_rules_without_a_database() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DATABASE", "REDIS", "RDMP"))}
    environment["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    done = subprocess.run(
        [sys.executable, "manage.py", "rules", "--json"], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    rules = json.loads(done.stdout)
    assert len(rules) == 90
    assert set(rules[0]) == {"id", "product", "name_zh", "name_en", "severity", "sow", "effective"}
    assert {rule["severity"] for rule in rules} <= {"disaster", "high", "average", "warning"}


def broken(tmp_path: Path, old: str, new: str) -> Path:
    text = (DATA / "rules.csv").read_text()
    assert old in text
    path = tmp_path / "rules.csv"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (">= 90 %,3,ecs.cpu", ">= ninety %,3,ecs.cpu", "line 2: 'ecs.cpu.util >= ninety %' is not a condition"),
        ("ecs.cpu.util >= 90 %", "ecs.cpu.utilisation >= 90 %", "line 2: metric 'ecs.cpu.utilisation'"),
        ("ecs.cpu.util >= 90 %", "ecs.cpu.util >= 90 MiB", "line 2: ecs.cpu.util is in '%', not in 'MiB'"),
        ("ecs.cpu.util >= 90 %", "ecs.cpu.util >= 95 %", "line 2: ecs-cpu-util deviates from the SOW without a reason"),
        (",average,", ",terrible,", "line 2: severity 'terrible' is none of"),
        ("threshold,ecs.cpu.util", "event,ecs.cpu.util", "line 2: a rule of kind event cannot be written as"),
        ("ecs-disk-util,", "ecs-cpu-util,", "line 3: ecs-cpu-util is there twice"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(CatalogueError) as refused:
        load_rules(broken(tmp_path, old, new), METRICS)
    assert complaint in str(refused.value)


def test_a_metric_from_the_cloud_without_its_source_is_refused(tmp_path: Path) -> None:
    text = (DATA / "metrics.csv").read_text().replace(",cms,acs_ecs_dashboard,CPUUtilization|cpu_total", ",cms,,", 1)
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(CatalogueError, match=r"metrics\.csv line \d+: ecs\.cpu\.util comes from CMS"):
        load_metrics(path)
