"""What the adapter reads beside lists and figures, from the simulated Alibaba Cloud over HTTP."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from assets.aliyun import AliyunError
from assets.aliyun.happenings import agent_states, maintenance, paid, performance, slow_sql, system_events
from demo.aliyun import JIA_UID, READ_ONLY, CloudServer, FaultKind, SimulatedCloud
from demo.aliyun.happenings import add_event, plan_maintenance, slow_row
from tests.assets.conftest import ClientOf


def now() -> datetime:
    return datetime.now(UTC)


def test_events_of_every_page_come_with_their_resource(server: CloudServer, client_of: ClientOf) -> None:
    estate = server.cloud.estate(JIA_UID)
    begin = now() - timedelta(hours=5)
    for number in range(130):
        at = begin + timedelta(minutes=number)
        add_event(estate, product="ECS", name="Disk:Stalled:Executing", level="CRITICAL", resource_id="i-1", at=at)
    found = list(system_events(client_of(), begin - timedelta(minutes=1), now()))
    mine = [event for event in found if event.resource_id == "i-1"]
    assert len(mine) == 130
    assert len({event.event_id for event in mine}) == 130
    assert mine[0].occurred_at > mine[-1].occurred_at
    assert mine[0].content == {"instanceId": "i-1"}


def test_a_lost_page_of_a_counted_list_is_an_error(cloud: SimulatedCloud, client_of: ClientOf) -> None:
    cloud.fail(FaultKind.LOST_PAGE, 9, product="BssOpenApi")
    with pytest.raises(AliyunError, match="IncompleteListing"):
        paid(client_of())


def test_maintenance_of_a_region_tells_when_and_how_far_it_is(server: CloudServer, client_of: ClientOf) -> None:
    estate = server.cloud.estate(JIA_UID)
    instance = str(estate.find("bi-etl-01")["InstanceId"])
    begins = (now() + timedelta(days=3)).replace(microsecond=0)
    plan_maintenance(estate, instance_id=instance, published=now(), not_before=begins, status="Inquiring")
    found = [event for event in maintenance(client_of(), "cn-shanghai") if event.instance_id == instance]
    assert [(event.kind, event.status, event.not_before) for event in found] == [
        ("SystemMaintenance.Reboot", "Inquiring", begins)
    ]
    assert not found[0].is_over
    assert all(event.instance_id != instance for event in maintenance(client_of(), "cn-hangzhou"))


def test_agents_are_asked_ten_at_a_time(server: CloudServer, client_of: ClientOf) -> None:
    names = [str(row["InstanceId"]) for row in server.cloud.estate(JIA_UID).rows["ecs"]]
    found = agent_states(client_of(), [*names, "i-unknown"])
    assert len(names) > 10
    assert server.cloud.calls(action="DescribeMonitoringAgentStatuses") == math.ceil((len(names) + 1) / 10)
    assert found["i-unknown"] == "not_installed"
    assert sorted(set(found.values())) == ["not_installed", "running"]


def test_performance_values_come_apart_into_their_fields(server: CloudServer, client_of: ClientOf) -> None:
    row = server.cloud.estate(JIA_UID).find("mall-order")
    keys = ["MySQL_MyISAMKeyReadWrites", "MySQL_IOPS", "NoSuchKey"]
    end = now()
    found = performance(client_of(), str(row["DBInstanceId"]), keys, end - timedelta(minutes=10), end)
    assert [each.key for each in found] == ["MySQL_MyISAMKeyReadWrites", "MySQL_IOPS"]
    assert found[0].fields == ("myisam_keyr_r", "myisam_keyr_w", "myisam_keyr", "myisam_keyw")
    assert 8 <= len(found[0].points) <= 11
    assert all(len(values) == 4 for _ts, values in found[0].points)
    assert all(ts % 60_000 == 0 for ts, _values in found[0].points)


def test_slow_sql_of_every_page_is_read_and_told_by_day(server: CloudServer, client_of: ClientOf) -> None:
    estate = server.cloud.estate(JIA_UID)
    instance = str(estate.find("mall-order")["DBInstanceId"])
    first = date(2026, 3, 1)
    estate.work.slow_sql[instance] = [
        slow_row(
            f"select {number}", day=first + timedelta(days=number % 31), count=2, total_s=9, longest_s=6, examined=5
        )
        for number in range(130)
    ]
    found = slow_sql(client_of(), instance, first, date(2026, 3, 31))
    assert len({one.key for one in found}) == 130
    assert server.cloud.calls(action="DescribeSlowLogs") == 2
    shown = next(one for one in found if one.text == "select 7")
    assert (shown.day, shown.database) == (date(2026, 3, 8), "shop")
    assert (shown.count, shown.total_s, shown.longest_s, shown.rows_examined) == (2, 9.0, 6.0, 5)
    assert slow_sql(client_of(), instance, first, first)[0].day == first
    with pytest.raises(AliyunError, match=r"InvalidEndTime\.Mismatch"):
        slow_sql(client_of(), instance, first, date(2026, 4, 2))


def test_slow_sql_wants_a_right_signature_and_an_engine_that_tells(server: CloudServer, client_of: ClientOf) -> None:
    estate, day = server.cloud.estate(JIA_UID), date(2026, 3, 1)
    wrong = replace(READ_ONLY, access_key_secret="x" * 30)
    instance = str(estate.find("mall-order")["DBInstanceId"])
    with pytest.raises(AliyunError, match="SignatureDoesNotMatch"):
        slow_sql(client_of(wrong), instance, day, day)
    assert slow_sql(client_of(), instance, day, day), "every shop has some"
    with pytest.raises(AliyunError, match="IncorrectEngine"):
        slow_sql(client_of(), str(estate.find("bi-warehouse")["DBInstanceId"]), day, day)


def test_subscriptions_of_every_product_are_one_list(server: CloudServer, client_of: ClientOf) -> None:
    found = {one.instance_id: one for one in paid(client_of())}
    estate = server.cloud.estate(JIA_UID)
    web = found[str(estate.find("mall-web-01")["InstanceId"])]
    assert (web.product, web.renewal) == ("ecs", "AutoRenewal")
    assert found["jiahe.example"].product == "domain"
    assert str(estate.find("mall-job-01")["InstanceId"]) not in found, "pay-as-you-go has no end"
    assert all(one.ends_at.year < 2099 for one in found.values())


def test_more_than_fifty_calls_a_second_are_throttled(cloud: SimulatedCloud, client_of: ClientOf) -> None:
    """The clock stands still: all calls fall into one second."""
    at = now()
    cloud.clock = lambda: at
    client = client_of()
    window = (at - timedelta(minutes=3), at)
    for _ in range(50):
        list(client.metric_list("acs_drds", "CPUUtilization", *window, 60))
    with pytest.raises(AliyunError) as refusal:
        list(client.metric_list("acs_drds", "CPUUtilization", *window, 60))
    assert refusal.value.is_throttling
    list(client.metric_last("acs_drds", "CPUUtilization", 60))


def test_a_spent_quota_is_not_asked_again(cloud: SimulatedCloud, client_of: ClientOf) -> None:
    cloud.quota[JIA_UID] = 1
    client = client_of()
    list(client.metric_last("acs_drds", "CPUUtilization", 60))
    before = cloud.calls(action="DescribeMetricLast")
    with pytest.raises(AliyunError) as refusal:
        list(client.metric_last("acs_drds", "CPUUtilization", 60))
    assert refusal.value.is_quota_exhausted
    assert not refusal.value.is_throttling
    assert cloud.calls(action="DescribeMetricLast") == before + 1, "no repetition helps"
    assert client.metric_meta("acs_drds"), "lists of names are not counted"


def test_a_renamed_metric_is_gone_from_list_and_data(cloud: SimulatedCloud, client_of: ClientOf) -> None:
    cloud.metrics.gone.add(("acs_drds", "LogicRT"))
    client = client_of(READ_ONLY)
    assert "LogicRT" not in {meta.name for meta in client.metric_meta("acs_drds")}
    with pytest.raises(AliyunError, match="ResourceNotFound"):
        list(client.metric_last("acs_drds", "LogicRT", 60))
