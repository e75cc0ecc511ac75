"""What silence is whose: the agent's, a product's, ours; and what is said when an alert ends without good figures."""

import pytest

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset
from monitoring.models import NO_DATA, Alert, RemoteSource, Target
from monitoring.rules import RULES
from monitoring.services import history, overrides, silence
from monitoring.services.overrides import Wish
from notify.models import Delivery
from notify.services.channels import Details, create
from tests.monitoring.samples import START, alerts, feed, minute, server
from tests.monitoring.test_no_data import agent_of

CPU = "host.cpu.util"


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def sweep(customer: Customer, at: float) -> None:
    with scope.customer(customer):
        silence.sweep(customer=customer, now=minute(at))


def product_of(asset: Asset, slug: str, problem: str = "refused") -> Target:
    with scope.customer(asset.customer_id):
        return Target.objects.create(
            customer_id=asset.customer_id, asset=asset, kind="product", name=slug, key=f"{slug}-{asset.pk}",
            config={"product": slug}, next_due_at=START, problem_code=problem, failures=5, created_at=START,
            changed_at=START,
        )  # fmt: skip


def sender_of(asset: Asset, at: float, name: str = "10.1.2.3:9100") -> RemoteSource:
    """Remote write has brought a page of the host's exporter, the last one at a minute."""
    with scope.customer(asset.customer_id):
        row: RemoteSource = RemoteSource.objects.create(
            customer_id=asset.customer_id, asset=asset, name=name, first_at=START, last_at=minute(at),
            state={"read": round(minute(at).timestamp() * 1000), "counters": {}, "size": 9},
        )  # fmt: skip
        return row


def test_a_sender_that_stopped_is_missed_and_is_back_when_it_sends_again(jia: Customer, web: Asset) -> None:
    feed(jia, web, CPU, [5, 5, 5])
    row = sender_of(web, 2)
    sweep(jia, 11)
    assert alerts(jia) == [], "our own door may have been shut so long"
    sweep(jia, 12)
    sweep(jia, 13)
    (alert,) = alerts(jia)
    assert (alert.rule_id, alert.first_breach_at, alert.is_open) == (NO_DATA, minute(2), True)
    feed(jia, web, CPU, [5], start=14)
    with scope.customer(jia):
        RemoteSource.objects.filter(pk=row.pk).update(state={"read": round(minute(14).timestamp() * 1000)})
    sweep(jia, 14)
    assert alerts(jia)[0].ending == Alert.Ending.DATA_BACK


def test_a_sender_of_a_host_that_is_asked_says_nothing_of_its_agent(jia: Customer, web: Asset) -> None:
    feed(jia, web, CPU, [5, 5, 5])
    sender_of(web, 2)
    agent_of(web, problem="auth")
    sweep(jia, 60)
    assert alerts(jia) == [], "the agent refuses us: that is ours to mend"


def test_who_sent_something_else_or_stopped_long_ago_is_not_missed(jia: Customer, web: Asset) -> None:
    feed(jia, web, CPU, [5, 5, 5])
    sender_of(web, 1)  # the last figures came by another way
    sweep(jia, 60)
    other = server(jia, "web-02")
    feed(jia, other, CPU, [5, 5, 5])
    sender_of(other, 2, "10.1.2.4:9100")
    sweep(jia, 3 + 1440)
    assert alerts(jia) == []


def test_the_alert_of_a_sender_ends_when_its_source_is_that_asset_no_more(
    jia: Customer, web: Asset, chen: User
) -> None:
    feed(jia, web, CPU, [5, 5, 5])
    row = sender_of(web, 2)
    sweep(jia, 20)
    assert alerts(jia)[0].is_open
    with scope.customer(jia):
        history.bind(source=row, asset=None, actor=chen, now=minute(21))
    sweep(jia, 21)
    assert alerts(jia)[0].ending == Alert.Ending.RULE_OFF


def test_a_product_whose_status_cannot_be_read_is_missed_though_the_agent_speaks(jia: Customer, web: Asset) -> None:
    feed(jia, web, "zookeeper.outstanding", [0, 0, 0])
    feed(jia, web, CPU, [5] * 30)
    product_of(web, "zookeeper")
    sweep(jia, 29)
    (alert,) = alerts(jia)
    assert (alert.rule_id, alert.labels) == (NO_DATA, 'product="zookeeper"')
    feed(jia, web, "zookeeper.outstanding", [0], start=30)
    sweep(jia, 30)
    assert alerts(jia)[0].ending == Alert.Ending.DATA_BACK


@pytest.mark.parametrize("problem", ["auth", "blocked"])
def test_a_product_that_refuses_us_is_no_alert_of_the_customer(jia: Customer, web: Asset, problem: str) -> None:
    feed(jia, web, "zookeeper.outstanding", [0, 0, 0])
    product_of(web, "zookeeper", problem)
    sweep(jia, 60)
    assert alerts(jia) == []


def test_one_products_trouble_is_not_anothers(jia: Customer, web: Asset) -> None:
    feed(jia, web, "zookeeper.outstanding", [0, 0, 0])
    product_of(web, "kafka")
    sweep(jia, 60)
    assert alerts(jia) == []


def test_a_failing_health_check_is_not_made_up_from_another_sources_figures(jia: Customer, web: Asset) -> None:
    feed(jia, web, "rabbitmq.health", [0, 0, 0])
    feed(jia, web, CPU, [5] * 30)
    sweep(jia, 29)
    assert alerts(jia) == []


def test_no_data_does_not_end_because_a_rule_was_switched_off_or_counts_otherwise(
    jia: Customer, web: Asset, chen: User
) -> None:
    feed(jia, web, CPU, [5, 5, 5])
    agent_of(web)
    sweep(jia, 10)
    for wish in (Wish(period_s=86_400), Wish(enabled=False)):
        with scope.customer(jia):
            overrides.override(
                customer=jia, rule=RULES["host-cpu-util"], wish=wish, reason="x", actor=chen, now=minute(11)
            )
        sweep(jia, 12)
        assert alerts(jia)[0].is_open


def test_what_ends_without_good_figures_is_not_called_recovered(jia: Customer, web: Asset, chen: User) -> None:
    with scope.platform("a channel"):
        create(
            customer=jia, kind="email", details=Details("ops", recipients=["ops@jia.example"]), values={}, actor=None,
            now=START,
        )  # fmt: skip
    feed(jia, web, CPU, [95, 95, 95])
    with scope.customer(jia):
        overrides.override(
            customer=jia, rule=RULES["host-cpu-util"], wish=Wish(enabled=False), reason="x", actor=chen, now=minute(3)
        )
    sweep(jia, 4)
    with scope.platform("look"):
        (told,) = Delivery.objects.filter(customer=jia, key__contains=":recovery:")
    assert "规则" in told.subject or "rule" in told.subject.lower()
    assert not told.subject.startswith(("Recovered", "已恢复", "恢复"))


def test_a_product_that_no_rule_looks_at_is_missed_too(jia: Customer, web: Asset) -> None:
    target = product_of(web, "haproxy")
    with scope.customer(jia):
        Target.objects.update(last_ok_at=None)
    sweep(jia, 5)
    assert alerts(jia) == [], "it never answered: that is a matter of setting it up"
    with scope.customer(jia):
        Target.objects.update(last_ok_at=minute(3), failures=2)
    sweep(jia, 5)
    assert alerts(jia) == []
    with scope.customer(jia):
        Target.objects.update(failures=3)
    sweep(jia, 6)
    sweep(jia, 7)
    (alert,) = alerts(jia)
    assert (alert.rule_id, alert.labels, alert.first_breach_at) == (NO_DATA, 'product="haproxy"', minute(3))
    assert "HAProxy" in alert.title
    with scope.customer(jia):
        Target.objects.filter(pk=target.pk).update(problem_code="", failures=0, last_ok_at=minute(8))
    sweep(jia, 8)
    assert alerts(jia)[0].ending == Alert.Ending.DATA_BACK


@pytest.mark.parametrize("problem", ["auth", "blocked"])
def test_a_product_without_a_rule_that_refuses_us_is_ours_to_mend(jia: Customer, web: Asset, problem: str) -> None:
    product_of(web, "haproxy", problem)
    with scope.customer(jia):
        Target.objects.update(last_ok_at=minute(3))
    sweep(jia, 60)
    assert alerts(jia) == []
