"""Every CloudMonitor rule of the contract, from DescribeMetricList answers over the collector to alerts, and back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from accounts import scope
from accounts.models import Customer
from assets.models import CloudAccount
from demo.aliyun import JIA_UID, CloudServer, demo_cloud
from demo.aliyun.metrics import CATALOGUE, series_of
from monitoring.collectors.config.cloud import NAMESPACES
from monitoring.models import Alert, Series, Target
from monitoring.rules import METRICS, SOW_RULES, Comparator, Condition, Rule
from monitoring.services import claims, poll, targets
from tests.assets.conftest import register, sync

pytestmark = pytest.mark.django_db

RULES = {rule.id: rule for rule in SOW_RULES.values() if METRICS[rule.metrics[0]].source == "cms"}
IN_THE_CONTRACT = 35
Found = dict[str, set[str]]
"""Of each rule, the instances of the cloud."""


def step_of(condition: Condition) -> float:
    """The smallest difference that the cloud tells: it rounds averages, and counts whole servers and collections."""
    metric = METRICS[condition.metrics[0]]
    return 1.0 if metric.kind == "state" or metric.unit == "count" else 0.01


def just_within(condition: Condition) -> float:
    """The value nearest to the limit that satisfies a condition."""
    step = step_of(condition)
    return {
        Comparator.GE: condition.limit,
        Comparator.LE: condition.limit,
        Comparator.EQ: condition.limit,
        Comparator.GT: condition.limit + step,
        Comparator.LT: condition.limit - step,
    }[condition.comparator]


def course(rule: Rule) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """What the cloud says while it is bad, and when it is good again: the first figure alone is enough for that."""
    bad = tuple(just_within(condition) for condition in rule.conditions)
    good = (just_within(rule.recovery[0]), *bad[1:])
    return [bad] * rule.times, [good] * rule.recovery_times


class Story:
    """The simulated cloud says of every rule's figures what belongs to a stage; all of it is then collected."""

    def __init__(self, server: CloudServer, account: CloudAccount) -> None:
        self.server, self.account = server, account
        self.estate = server.cloud.estate(JIA_UID)
        now = datetime.now(UTC)
        self.start = datetime.fromtimestamp(now.timestamp() // 300 * 300, UTC)
        server.cloud.metrics.lag = -timedelta(hours=1)  # minutes that are still to come can be read already

    def tell(self, counts: dict[str, int]) -> None:
        """So many points of each rule's course, one per period; no instance says anything else of these metrics."""
        self.server.cloud.metrics.clear()
        for rule in RULES.values():
            bad, good = course(rule)
            points = [*bad, *good][: counts[rule.id]]
            for place, name in enumerate(rule.metrics):
                at = {
                    self.start + timedelta(seconds=number * rule.period_s): values[place]
                    for number, values in enumerate(points)
                }
                for spelling in METRICS[name].cms_metrics:
                    self.server.cloud.metrics.set_series(METRICS[name].cms_namespace, spelling, at)

    def collect(self, minutes: float) -> None:
        now = self.start + timedelta(minutes=minutes)
        with scope.customer(self.account.customer_id):
            Target.objects.filter(cloud_account=self.account).update(next_due_at=now, lease_until=None)
        with scope.platform("test"):
            works = claims.claim(now=now)
        for work in works:
            with scope.customer(work.customer_id):
                poll.collect(work, clock=lambda: now)
        with scope.customer(self.account.customer_id):
            problems = dict(Target.objects.exclude(problem_code="").values_list("name", "problem_detail"))
        assert problems == {}

    def alerts(self, **where: object) -> Found:
        with scope.customer(self.account.customer_id):
            rows = Alert.objects.filter(rule_id__in=RULES, **where).values_list("rule_id", "asset__provider_id")
            found: Found = {rule_id: set() for rule_id in RULES}
            for rule_id, instance in rows:
                found[rule_id].add(instance)
            return found

    def expected(self) -> Found:
        """The instances that report a rule's figure to CloudMonitor, under whatever name their edition has for it."""
        found: Found = {}
        for rule in RULES.values():
            metric = METRICS[rule.metrics[0]]
            spellings = [CATALOGUE.get((metric.cms_namespace, name)) for name in metric.cms_metrics]
            series = [one for spelling in spellings if spelling for one in series_of(spelling, self.estate)]
            found[rule.id] = {
                one.get("instanceId") or one.get("clusterId") or one.get("BucketName", "") for one in series
            }
        return found


@pytest.fixture
def story(jia: Customer) -> Iterator[Story]:
    with CloudServer(demo_cloud()) as running, scope.customer(jia):
        account = register(jia, running)
        sync(account, datetime.now(UTC))
        targets.create_for_account(account=account, actor=None, now=datetime.now(UTC))
        yield Story(running, account)


def differences(found: Found, wanted: Found) -> dict[str, tuple[set[str], set[str]]]:
    """Of each rule where they differ: the instances that are missing, and those that are too many."""
    return {
        rule_id: (wanted[rule_id] - found[rule_id], found[rule_id] - wanted[rule_id])
        for rule_id in wanted
        if wanted[rule_id] != found[rule_id]
    }


def test_every_rule_fires_at_its_count_on_every_instance_that_tells_its_figure_and_recovers(story: Story) -> None:
    assert len(RULES) == IN_THE_CONTRACT
    expected, nobody = story.expected(), {rule_id: set[str]() for rule_id in RULES}
    assert all(expected.values()), "the simulated cloud has each figure"
    kinds = {space: kind for kind, space in NAMESPACES.items()}

    story.tell({rule.id: rule.times - 1 for rule in RULES.values()})
    story.collect(5)
    assert differences(story.alerts(), nobody) == {}

    story.tell({rule.id: rule.times for rule in RULES.values()})
    story.collect(6)
    assert differences(story.alerts(), expected) == {}
    with scope.customer(story.account.customer_id):
        where = {(rule_id, kind) for rule_id, kind in Alert.objects.values_list("rule_id", "asset__kind")}
    assert {(rule.id, kinds[METRICS[rule.metrics[0]].cms_namespace]) for rule in RULES.values()} <= where

    story.tell({rule.id: rule.times + rule.recovery_times - 1 for rule in RULES.values()})
    story.collect(10)
    assert differences(story.alerts(recovered_at=None), expected) == {}

    story.tell({rule.id: rule.times + rule.recovery_times for rule in RULES.values()})
    story.collect(11)
    assert differences(story.alerts(recovered_at=None), nobody) == {}
    assert differences(story.alerts(ending=Alert.Ending.RECOVERED), expected) == {}


def test_figures_just_within_bounds_raise_nothing(story: Story) -> None:
    """The same course, with the figures that are only nearly bad."""
    space = story.server.cloud.metrics
    for rule in RULES.values():
        first = rule.conditions[0]
        fine = {
            Comparator.GE: first.limit - step_of(first),
            Comparator.LT: first.limit,
            Comparator.GT: first.limit,
        }[first.comparator]
        for spelling in METRICS[rule.metrics[0]].cms_metrics:
            space.set_value(METRICS[rule.metrics[0]].cms_namespace, spelling, fine)
    story.collect(5)
    story.collect(11)
    assert differences(story.alerts(), {rule_id: set() for rule_id in RULES}) == {}
    with scope.customer(story.account.customer_id):
        read = set(Series.objects.values_list("metric", flat=True))
    assert {name for rule in RULES.values() for name in rule.metrics} <= read
