"""The adapter against a real endpoint that checks signatures: it gets through or says why not, and leaks nothing."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from assets.aliyun import AliyunError, Client, Patience
from assets.aliyun.listings import CLOUD_KINDS
from demo.aliyun import BLIND, GROUPED, JIA_UID, READ_ONLY, REVOKED, ROOT, Credentials, SimulatedCloud
from tests.assets.conftest import REGIONS, ClientOf

KINDS = ["throttle", "unavailable", "error", "timeout", "half", "garbage", "reset"]


def test_a_key_learns_whose_it_is(client_of: ClientOf) -> None:
    who = client_of().identity()

    assert (who.account_uid, who.user_name, who.is_root) == (JIA_UID, "rdmp-readonly", False)
    assert client_of(ROOT).identity().is_root


def test_policies_come_with_those_of_the_groups(client_of: ClientOf) -> None:
    assert [(p.name, p.group) for p in client_of(GROUPED).policies("rdmp-grouped")] == [("ReadOnlyAccess", "readers")]


def test_the_age_of_a_key_is_known(client_of: ClientOf) -> None:
    facts = client_of().key_facts("rdmp-readonly")

    assert facts is not None
    assert facts.created_at is not None
    assert datetime.now(UTC) - facts.created_at < timedelta(days=13)


@pytest.mark.parametrize("kind", CLOUD_KINDS)
def test_every_kind_is_listed_with_name_and_id(client_of: ClientOf, kind: str) -> None:
    found = client_of().resources(kind, REGIONS)

    assert found
    assert all(resource.kind == kind and resource.provider_id and resource.name for resource in found)


def test_lists_are_read_to_the_last_page(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    estate = cloud.estate(JIA_UID)
    for number in range(250):
        estate.add_ecs(f"many-{number}")
        estate.add_rds(f"many-{number}")
        estate.add_redis(f"many-{number}")
    for number in range(1200):
        estate.add_bucket(f"many-{number:04}")
    client = client_of()

    counts = {kind: len(client.resources(kind, REGIONS)) for kind in ("ecs", "rds", "redis", "oss")}

    assert counts == {"ecs": 264, "rds": 256, "redis": 253, "oss": 1203}
    assert cloud.calls(product="Ecs", action="DescribeInstances") == 5  # three pages, and one for each other region
    assert cloud.calls(product="Oss") == 2


@pytest.mark.parametrize("product", ["Sts", "Oss", "elasticsearch"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_passing_fault_is_survived(client_of: ClientOf, cloud: SimulatedCloud, kind: str, product: str) -> None:
    client = client_of(read_timeout_s=0.3)
    cloud.fail(kind, 2, product=product, seconds=1)

    ask(client, product)

    assert cloud.calls(product=product) == 3


@pytest.mark.parametrize("product", ["Sts", "Oss", "elasticsearch"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lasting_fault_ends_in_an_error_that_may_be_tried_again(
    client_of: ClientOf, cloud: SimulatedCloud, kind: str, product: str
) -> None:
    client = client_of(read_timeout_s=0.2)
    cloud.fail(kind, 99, product=product, seconds=1)

    with pytest.raises(AliyunError) as failed:
        ask(client, product)

    assert failed.value.retryable
    assert cloud.calls(product=product) == 3


def ask(client: Client, product: str) -> None:
    if product == "Sts":
        client.identity()
    else:
        client.resources("oss" if product == "Oss" else product, ["cn-hangzhou"])


def test_patience_is_bounded_in_time_as_well(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    patience = Patience(attempts=100, total_s=1.0, base_s=0.4, longest_s=0.8)
    cloud.fail("throttle", 99)

    with pytest.raises(AliyunError):
        client_of(patience=patience, sleep=sleep).identity()

    assert sum(slept) <= 1.0
    assert 1 <= len(slept) <= 5


def test_waits_grow_and_differ() -> None:
    patience = Patience(base_s=1, longest_s=8)
    waits = [[patience.delay_s(attempt) for _ in range(50)] for attempt in range(1, 7)]

    assert [max(some) <= ceiling for some, ceiling in zip(waits, [1, 2, 4, 8, 8, 8], strict=True)] == [True] * 6
    assert [min(some) >= floor for some, floor in zip(waits, [0.5, 1, 2, 4, 4, 4], strict=True)] == [True] * 6
    assert len(set(waits[0])) > 40


@pytest.mark.parametrize("product", ["Sts", "Oss", "elasticsearch"])
@pytest.mark.parametrize(
    "key", [REVOKED, Credentials("LTAINOBODYKNOWSTHIS", "x"), Credentials(READ_ONLY.access_key_id, "x")]
)
def test_a_bad_key_is_recognised_and_not_tried_again(client_of: ClientOf, key: Credentials, product: str) -> None:
    with pytest.raises(AliyunError) as refused:
        ask(client_of(key), product)

    assert refused.value.is_credential_problem
    assert not refused.value.retryable


def test_a_missing_right_is_recognised(client_of: ClientOf) -> None:
    for kind in ("ecs", "oss"):
        with pytest.raises(AliyunError) as refused:
            client_of(BLIND).resources(kind, ["cn-hangzhou"])
        assert refused.value.is_permission_problem


def test_a_wrong_clock_is_named(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    cloud.clock = lambda: datetime(2030, 1, 1, tzinfo=UTC)

    with pytest.raises(AliyunError) as refused:
        client_of().identity()

    assert refused.value.code == "InvalidTimeStamp.Expired"


def test_no_error_and_no_log_line_holds_a_secret_or_a_signed_address(
    client_of: ClientOf, cloud: SimulatedCloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = Credentials(READ_ONLY.access_key_id, "the-wrong-secret")
    said: list[str] = []
    for kind in (*KINDS, ""):
        for product in ("Sts", "Oss", "elasticsearch"):
            cloud.heal()
            if kind:
                cloud.fail(kind, 99, product=product, seconds=1)
            with pytest.raises(AliyunError) as failed:
                ask(client_of(wrong, read_timeout_s=0.2), product)
            error: BaseException | None = failed.value
            while error is not None:
                said.append(f"{error!r} {error} {vars(error)}")
                error = error.__cause__ or error.__context__

    assert "http://" not in " ".join(said)
    secrets = [wrong.access_key_secret, READ_ONLY.access_key_secret, READ_ONLY.access_key_id, "Signature="]
    assert [secret for secret in secrets if secret in " ".join([*said, caplog.text])] == []


def test_proxies_of_the_environment_are_not_used_for_this_machine(
    client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    client = client_of()
    assert client.identity().account_uid == JIA_UID
    assert client.resources("oss", [])


def test_with_endpoints_set_no_other_address_is_ever_asked(client_of: ClientOf) -> None:
    client = client_of(endpoints={"Sts": "http://127.0.0.1:9"}, patience=Patience(attempts=1))

    with pytest.raises(AliyunError) as unknown:
        client.resources("ecs", ["cn-hangzhou"])
    with pytest.raises(AliyunError) as unreachable:
        client.identity()

    assert (unknown.value.code, unreachable.value.code) == ("EndpointMissing", "Unreachable")


def test_a_list_that_shifts_while_it_is_read_is_read_again(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    cloud.fail("lost-page", 1, product="Rds", action="DescribeDBInstances")

    assert len(client_of().resources("rds", ["cn-hangzhou"])) == 4


def test_a_list_that_stays_short_is_an_error_and_no_list(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    cloud.fail("lost-page", 99, product="Rds", action="DescribeDBInstances")

    with pytest.raises(AliyunError) as failed:
        client_of().resources("rds", ["cn-hangzhou"])

    assert failed.value.code == "IncompleteListing"


def test_a_region_that_a_product_does_not_have_is_empty(client_of: ClientOf) -> None:
    assert client_of().resources("drds", ["mars-1"]) == ()


def test_metrics_are_read_page_by_page_without_gap_or_overlap(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    end = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    middle, start = end - timedelta(hours=1), end - timedelta(hours=3)
    client = client_of()

    def read(after: datetime, until: datetime) -> list[tuple[int, str]]:
        pages = client.metric_list("acs_ecs_dashboard", "CPUUtilization", after, until, 60)
        return [(p.timestamp_ms, p.dimensions["instanceId"]) for page in pages for p in page.datapoints]

    first, second = read(start, middle), read(middle, end)

    assert cloud.calls(product="Cms") == 3  # 1,560 and 780 points, a thousand a page
    assert sorted(first + second) == sorted(read(start, end))
    assert len(set(first + second)) == len(first + second) == 3 * 60 * 13


def test_more_than_fifty_resources_are_asked_for_in_portions(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    names = [{"instanceId": cloud.estate(JIA_UID).add_ecs(f"many-{number}")} for number in range(120)]
    end = datetime.now(UTC) - timedelta(minutes=5)

    pages = list(client_of().metric_list("acs_ecs_dashboard", "cpu_total", end - timedelta(minutes=2), end, 60, names))

    assert cloud.calls(product="Cms") == 3
    assert len({point.dimensions["instanceId"] for page in pages for point in page.datapoints}) == 120


def test_the_last_point_of_each_series_and_the_names_of_metrics(client_of: ClientOf) -> None:
    client = client_of()
    points = [p for page in client.metric_last("acs_elasticsearch", "ClusterStatus", 60) for p in page.datapoints]

    assert [point.values for point in points] == [{"Value": 0.0}, {"Value": 0.0}]
    assert "DataDelay" in {meta.name for meta in client.metric_meta("acs_rds_dashboard")}


def test_threads_share_one_client(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    client, failures = client_of(read_timeout_s=5), []

    def work() -> None:
        try:
            for _ in range(10):
                client.identity()
                client.resources("oss", [])
        except AliyunError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert cloud.calls(product="Sts") == 80


@time_machine.travel(datetime(2026, 3, 2, 2, 0, tzinfo=UTC))
def test_the_client_signs_with_the_current_time(client_of: ClientOf, cloud: SimulatedCloud) -> None:
    cloud.clock = lambda: datetime(2026, 3, 2, 2, 5, tzinfo=UTC)

    assert client_of().identity().account_uid == JIA_UID


def test_a_client_shows_no_more_than_the_ends_of_its_key(client_of: ClientOf) -> None:
    assert repr(client_of()) == "<Client LTAISI****ONLY cn-hangzhou>"
