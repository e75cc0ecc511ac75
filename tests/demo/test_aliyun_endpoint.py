"""The simulated Alibaba Cloud is as strict as the real one: what it lets through would be let through there."""

import http.client
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from demo.aliyun import (
    BLIND,
    JIA_UID,
    OPERATIONS,
    READ_ONLY,
    REVOKED,
    CloudServer,
    Credentials,
    SimulatedCloud,
    demo_cloud,
    signature,
)


@pytest.fixture
def server() -> Iterator[CloudServer]:
    with CloudServer(demo_cloud()) as running:
        yield running


def common(action: str, version: str, key: Credentials = READ_ONLY) -> dict[str, str]:
    return {
        "Action": action,
        "Version": version,
        "Format": "JSON",
        "AccessKeyId": key.access_key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def ask(server: CloudServer, params: dict[str, str], key: Credentials = READ_ONLY) -> tuple[int, dict[str, Any]]:
    """Signs unless the parameters bring a signature of their own. An empty value stands for one that is left out."""
    params = {name: value for name, value in params.items() if value}
    params.setdefault("Signature", signature.rpc_signature(key.access_key_secret, "POST", params))
    return fetch(server, "POST", "/?" + urlencode(params))


def fetch(
    server: CloudServer, method: str, target: str, headers: dict[str, str] | None = None, body: str | None = None
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    connection.request(method, target, body=body, headers=headers or {})
    response = connection.getresponse()
    content = response.read().decode()
    connection.close()
    return response.status, json.loads(content) if content.startswith("{") else {"text": content}


def test_the_signature_of_the_documentation_is_reproduced() -> None:
    """The worked example of "RPC API: signature method" in Alibaba Cloud's ECS documentation."""
    params = {
        "Timestamp": "2016-02-23T12:46:24Z",
        "Format": "XML",
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "Version": "2014-05-26",
        "SignatureVersion": "1.0",
    }
    assert signature.rpc_signature("testsecret", "GET", params) == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_a_well_signed_call_is_answered_and_marked_as_simulated(server: CloudServer) -> None:
    status, body = ask(server, common("GetCallerIdentity", "2015-04-01"))

    assert status == 200
    assert body["IdentityType"] == "RAMUser"
    assert body["RequestId"].startswith("SIMULATED-")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"Signature": "bm90IGl0"}, 400, "SignatureDoesNotMatch"),
        ({"AccessKeyId": "LTAIUNKNOWN"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"AccessKeyId": ""}, 400, "MissingParameter"),
        ({"SignatureNonce": ""}, 400, "MissingParameter"),
        ({"Timestamp": "yesterday"}, 400, "InvalidTimeStamp.Format"),
        ({"Action": ""}, 400, "MissingParameter"),
        ({"Action": "DeleteEverything"}, 404, "InvalidAction.NotFound"),
        ({"Version": "1999-01-01"}, 404, "NoSuchVersion"),
    ],
)
def test_what_the_real_one_refuses_is_refused(
    server: CloudServer, change: dict[str, str], status: int, code: str
) -> None:
    answer = ask(server, common("GetCallerIdentity", "2015-04-01") | change)

    assert (answer[0], answer[1]["Code"]) == (status, code)


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_wrong_by_a_quarter_of_an_hour_is_refused(server: CloudServer, minutes: int) -> None:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    params = common("GetCallerIdentity", "2015-04-01") | {"Timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}

    assert ask(server, params)[1]["Code"] == "InvalidTimeStamp.Expired"


def test_a_nonce_is_used_once(server: CloudServer) -> None:
    params = common("GetCallerIdentity", "2015-04-01")

    assert ask(server, dict(params))[0] == 200
    assert ask(server, dict(params))[1]["Code"] == "SignatureNonceUsed"


def test_a_signed_request_cannot_be_changed_afterwards(server: CloudServer) -> None:
    params = common("DescribeInstances", "2014-05-26") | {"RegionId": "cn-hangzhou"}
    params["Signature"] = signature.rpc_signature(READ_ONLY.access_key_secret, "POST", params)

    assert ask(server, params | {"RegionId": "cn-shanghai"})[1]["Code"] == "SignatureDoesNotMatch"


def test_parameters_in_the_body_are_signed_too(server: CloudServer) -> None:
    params = common("DescribeInstances", "2014-05-26")
    signed = params | {"RegionId": "cn-hangzhou"}
    params["Signature"] = signature.rpc_signature(READ_ONLY.access_key_secret, "POST", signed)
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert fetch(server, "POST", "/?" + urlencode(params), form, "RegionId=cn-hangzhou")[0] == 200


def test_a_disabled_key_and_a_key_without_the_right_are_told_apart(server: CloudServer) -> None:
    revoked = ask(server, common("GetCallerIdentity", "2015-04-01", REVOKED), REVOKED)
    blind = ask(server, common("DescribeInstances", "2014-05-26", BLIND) | {"RegionId": "cn-hangzhou"}, BLIND)

    assert revoked[1]["Code"] == "InvalidAccessKeyId.Inactive"
    assert (blind[0], blind[1]["Code"]) == (403, "Forbidden.RAM")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"RegionId": ""}, "MissingParameter"),
        ({"RegionId": "mars-1"}, "InvalidRegionId.NotFound"),
        ({"RegionId": "cn-hangzhou", "PageSize": "101"}, "InvalidParameter"),
        ({"RegionId": "cn-hangzhou", "MaxResults": "0"}, "InvalidParameter"),
        ({"RegionId": "cn-hangzhou", "NextToken": "made-up"}, "InvalidParameter"),
    ],
)
def test_limits_of_the_api_are_kept(server: CloudServer, params: dict[str, str], code: str) -> None:
    assert ask(server, common("DescribeInstances", "2014-05-26") | params)[1]["Code"] == code


def test_without_a_type_mongodb_lists_replica_sets_only(server: CloudServer) -> None:
    params = common("DescribeDBInstances", "2015-12-01") | {"RegionId": "cn-hangzhou"}

    assert ask(server, params)[1]["TotalCount"] == 1


def metric(server: CloudServer, **more: str) -> dict[str, Any]:
    wanted = {"Namespace": "acs_rds_dashboard", "MetricName": "CpuUsage", **more}
    return ask(server, common("DescribeMetricList", "2019-01-01") | wanted)[1]


def test_datapoints_are_json_within_json_from_after_the_start_to_the_end(server: CloudServer) -> None:
    end = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=5)
    start = end - timedelta(minutes=3)
    window = {"StartTime": str(int(start.timestamp() * 1000)), "EndTime": end.strftime("%Y-%m-%dT%H:%M:%SZ")}

    body = metric(server, **window)

    points = json.loads(body["Datapoints"])
    times = sorted({point["timestamp"] for point in points})
    assert times == [int((start + timedelta(minutes=n)).timestamp() * 1000) for n in (1, 2, 3)]
    assert (body["Code"], len(points)) == ("200", 18)
    assert set(points[0]) == {"timestamp", "userId", "instanceId", "Average", "Minimum", "Maximum"}


def test_more_than_fifty_resources_in_one_question_are_refused(server: CloudServer) -> None:
    dimensions = json.dumps([{"instanceId": f"rm-{number}"} for number in range(51)])

    assert metric(server, Dimensions=dimensions)["Code"] == "ParameterInvalid"


def test_an_unknown_metric_and_a_missing_name_are_refused(server: CloudServer) -> None:
    assert metric(server, MetricName="Nonsense")["Code"] == "ResourceNotFound"
    assert metric(server, MetricName="")["Code"] == "MissingParameter"


def test_a_test_sets_what_a_metric_says(server: CloudServer) -> None:
    cloud: SimulatedCloud = server.cloud
    at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
    cloud.metrics.set_series("acs_rds_dashboard", "CpuUsage", {at: 97.5, at + timedelta(minutes=1): 98.0})

    points = json.loads(metric(server)["Datapoints"])

    assert [point["Average"] for point in points[:1]] == [97.5]
    assert {point["timestamp"] for point in points} == {
        int((at + timedelta(minutes=n)).timestamp() * 1000) for n in (0, 1)
    }


def test_a_value_is_the_same_whenever_it_is_read(server: CloudServer) -> None:
    end = str(int((datetime.now(UTC) - timedelta(minutes=3)).timestamp() * 1000))

    assert metric(server, EndTime=end)["Datapoints"] == metric(server, EndTime=end)["Datapoints"]


def test_faults_come_as_often_as_asked_and_where_asked(server: CloudServer) -> None:
    server.cloud.fail("throttle", 1, product="Sts", skip=1)
    codes = [ask(server, common("GetCallerIdentity", "2015-04-01"))[0] for _ in range(3)]

    assert codes == [200, 400, 200]
    assert server.cloud.calls(product="Sts", action="GetCallerIdentity") == 3


def test_it_is_steered_over_http_only_with_a_header_that_no_web_page_can_send(server: CloudServer) -> None:
    header = {"X-Simulated-Control": "1"}
    fault = json.dumps({"kind": "unavailable", "count": 1})

    assert fetch(server, "POST", "/__control__/faults", {}, fault)[0] == 403
    assert fetch(server, "POST", "/__control__/faults", header, fault)[0] == 200
    assert ask(server, common("GetCallerIdentity", "2015-04-01"))[0] == 503
    assert fetch(server, "GET", "/__control__/calls", header)[0] == 200
    assert fetch(server, "POST", "/__control__/faults", header, '{"kind": "nonsense"}')[0] == 400
    assert fetch(server, "POST", "/__control__/elsewhere", header)[0] == 404


def order(server: CloudServer, spec: str, **more: str) -> str:
    """The code with which the order of another type for a subscription is refused; empty: it was taken."""
    row = server.cloud.estate(JIA_UID).find("mall-web-01")
    params = {"RegionId": "cn-hangzhou", "InstanceId": str(row["InstanceId"]), "InstanceType": spec, **more}
    status, answer = ask(server, {**common("ModifyPrepayInstanceSpec", "2014-05-26", OPERATIONS), **params}, OPERATIONS)
    return "" if status == 200 else str(answer["Code"])


def test_a_subscription_is_changed_as_the_documentation_has_it(server: CloudServer) -> None:
    estate = server.cloud.estate(JIA_UID)
    row, estate.work.takes = estate.find("mall-web-01"), timedelta()
    assert order(server, "ecs.c7.2xlarge") == "IncorrectInstanceStatus", "it runs"
    row["Status"] = "Stopped"
    assert order(server, "ecs.c7.large") == "InvalidAction", "an upgrade, unless the call says otherwise"
    assert order(server, "ecs.c7.2xlarge", OperatorType="downgrade") == "InvalidAction"
    assert order(server, "ecs.c7.large", OperatorType="sideways") == "InvalidParameter"
    assert order(server, "ecs.none.large") == "InvalidInstanceType.ValueNotSupported"
    assert order(server, "ecs.c7.2xlarge", OperatorType="upgrade") == ""
    for spec in ("ecs.c7.xlarge", "ecs.c7.large", "ecs.c6.large"):
        assert order(server, spec, OperatorType="downgrade", ClientToken=spec) == ""
        assert order(server, spec, OperatorType="downgrade", ClientToken=spec) == "", "the same call, answered again"
    assert (row["InstanceType"], row["Cpu"], row["Memory"]) == ("ecs.c6.large", 2, 4096)
    assert order(server, "ecs.c7.large", OperatorType="downgrade") == "InstanceDowngrade.QuotaExceed"
    assert order(server, "ecs.c7.xlarge", AutoPay="false") == "", "an order that nobody has paid"
    assert order(server, "ecs.c7.xlarge") == "InvalidInstance.UnpaidOrder"
    assert row["InstanceType"] == "ecs.c6.large"


@pytest.mark.parametrize(
    ("name", "engine", "method", "status"),
    [
        ("erp", "SQLServer", "Snapshot", 200),
        ("erp", "SQLServer", "Physical", 400),
        ("erp", "SQLServer", "", 400),
        ("erp", "SQLServer", "Logical", 400),
        ("mall-member", "MariaDB", "Snapshot", 400),
        ("mall-member", "MySQL", "", 200),
    ],
)
def test_a_database_is_backed_up_only_as_it_can_be(
    server: CloudServer, name: str, engine: str, method: str, status: int
) -> None:
    row = server.cloud.estate(JIA_UID).find(name)
    row["Engine"] = engine
    params = {"RegionId": "cn-hangzhou", "DBInstanceId": str(row["DBInstanceId"]), "BackupMethod": method}
    answered, body = ask(server, {**common("CreateBackup", "2014-08-15", OPERATIONS), **params}, OPERATIONS)
    assert answered == status
    assert body.get("Code", "") in ("", "InvalidBackupMethod.ValueNotSupport")
