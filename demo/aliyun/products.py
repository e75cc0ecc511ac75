"""What each API of the simulated cloud answers: one function per product and action.

Page sizes, defaults and names of the paging parameters are those of each product's API reference.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from demo.aliyun import acting_ecs, acting_other, bills, kms, metrics, ram, security, trail
from demo.aliyun.account import Policy
from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.estate import REGIONS, Json, seconds
from demo.aliyun.happenings import ACTIONS


def public(row: Json) -> Json:
    """Without the fields that only this simulation knows (they start with an underscore)."""
    return {key: value for key, value in row.items() if not key.startswith("_")}


def cut(rows: Sequence[Json], number: int, size: int) -> list[Json]:
    return [public(row) for row in rows[(number - 1) * size : number * size]]


def caller_identity(call: Call) -> Json:
    user, uid = call.user, call.uid.uid
    kind, arn = ("Account", f"acs:ram::{uid}:root") if user.is_root else ("RAMUser", f"acs:ram::{uid}:user/{user.name}")
    return {"IdentityType": kind, "AccountId": uid, "PrincipalId": user.user_id, "UserId": user.user_id, "Arn": arn}


def _policy_rows(policies: Sequence[Policy]) -> Json:
    rows = [
        {"PolicyName": one.name, "PolicyType": one.kind, "DefaultVersion": "v1", "Description": ""} for one in policies
    ]
    return {"Policies": {"Policy": rows}}


def policies_for_user(call: Call) -> Json:
    return _policy_rows(ram.user_of(call).policies)


def groups_for_user(call: Call) -> Json:
    return {"Groups": {"Group": [{"GroupName": name, "Comments": ""} for name in ram.user_of(call).groups]}}


def policies_for_group(call: Call) -> Json:
    name, groups = call.need("GroupName"), call.uid.groups()
    if name not in groups:
        raise ApiError(404, "EntityNotExist.Group", "The group does not exist.")
    return _policy_rows(groups[name])


def policy_version(call: Call) -> Json:
    name, kind = call.need("PolicyName"), call.need("PolicyType")
    for policy in (policy for user in call.uid.users for policy in user.held_policies()):
        if (policy.name, policy.kind) == (name, kind):
            version = {"VersionId": "v1", "IsDefaultVersion": True, "PolicyDocument": policy.document}
            return {"PolicyVersion": version}
    raise ApiError(404, "EntityNotExist.Policy", "The policy does not exist.")


def access_keys(call: Call) -> Json:
    rows = [
        {
            "AccessKeyId": key.id,
            "Status": "Active" if key.active else "Inactive",
            "CreateDate": seconds(key.created_at),
        }
        for key in ram.user_of(call).keys
    ]
    return {"AccessKeys": {"AccessKey": rows}}


def access_key_last_used(call: Call) -> Json:
    found = call.uid.find_key(call.need("UserAccessKeyId"))
    if found is None:
        raise ApiError(404, "EntityNotExist.User.AccessKey", "The access key does not exist.")
    used = found[1].last_used_at
    return {"AccessKeyLastUsed": {"LastUsedDate": seconds(used) if used else "", "ServiceName": found[1].last_service}}


def ecs_regions(_: Call) -> Json:
    rows = [
        {"RegionId": region, "LocalName": name, "RegionEndpoint": f"ecs.{region}.aliyuncs.com"}
        for region, name in REGIONS.items()
    ]
    return {"Regions": {"Region": rows}}


def ecs_instances(call: Call) -> Json:
    rows = acting_ecs.some_instances(call, call.here("ecs"))
    if "MaxResults" in call.params or "NextToken" in call.params:
        size = call.number("MaxResults", 10, top=100)
        start = _token(call)
        token = metrics.make_token(start + size) if start + size < len(rows) else ""
        page = [public(row) for row in rows[start : start + size]]
        return {"Instances": {"Instance": page}, "NextToken": token, "TotalCount": 0, "PageSize": size}
    number, size = call.number("PageNumber", 1), call.number("PageSize", 10, top=100)
    page = cut(rows, number, size)
    return {"Instances": {"Instance": page}, "TotalCount": len(rows), "PageNumber": number, "PageSize": size}


def _token(call: Call) -> int:
    text = call.params.get("NextToken", "")
    try:
        return metrics.read_token(text) if text else 0
    except ValueError as error:
        raise invalid("NextToken") from error


def rds_instances(call: Call) -> Json:
    rows = call.here("rds")
    number, size = call.number("PageNumber", 1), call.number("PageSize", 30, top=100)
    page = cut(rows, number, size)
    return {
        "Items": {"DBInstance": page},
        "PageNumber": number,
        "PageRecordCount": len(page),
        "TotalRecordCount": len(rows),
    }


def rds_attribute(call: Call) -> Json:
    wanted = call.need("DBInstanceId").split(",")
    if len(wanted) > 30:
        raise invalid("DBInstanceId")
    found = [row for row in call.estate.rows["rds"] if row["DBInstanceId"] in wanted]
    if not found:
        raise ApiError(404, "InvalidDBInstanceId.NotFound", "The specified DB instance does not exist.")
    rows = [
        {
            "DBInstanceId": row["DBInstanceId"],
            "DBInstanceStatus": row["DBInstanceStatus"],
            "Engine": row["Engine"],
            "EngineVersion": row["EngineVersion"],
            "DBInstanceStorageType": row["DBInstanceStorageType"],
            "ConnectionString": row["ConnectionString"],
            "Port": row["_Port"],
            "DBInstanceCPU": "4",
            "DBInstanceMemory": 8192,
            "DBInstanceStorage": 200,
            "MaxConnections": 4000,
            "MaxIOPS": 16800,
        }
        for row in found
    ]
    return {"Items": {"DBInstanceAttribute": rows}}


def rds_tags(call: Call) -> Json:
    call.need("RegionId")
    wanted = [value for name, value in call.params.items() if name.startswith("ResourceId.")]
    if len(wanted) > 50:
        raise invalid("ResourceId")
    rows = [
        {"ResourceType": "INSTANCE", "ResourceId": name, "TagKey": key, "TagValue": value}
        for name in wanted
        for key, value in call.estate.tags.get(name, {}).items()
    ]
    return {"TagResources": {"TagResource": rows}, "NextToken": ""}


def slb_balancers(call: Call) -> Json:
    rows = call.here("slb")
    number, size = call.number("PageNumber", 1), call.number("PageSize", 50, top=100)
    page = cut(rows, number, size)
    return {"LoadBalancers": {"LoadBalancer": page}, "TotalCount": len(rows), "PageNumber": number, "PageSize": size}


def slb_attribute(call: Call) -> Json:
    wanted = call.need("LoadBalancerId")
    for row in call.estate.rows["slb"]:
        if row["LoadBalancerId"] == wanted:
            facts = {"EndTime": row["_EndTime"], "ListenerPorts": {"ListenerPort": row["_Ports"]}}
            return {**public(row), **facts, "BackendServers": {"BackendServer": acting_other.backends_of(call, wanted)}}
    raise ApiError(404, "InvalidLoadBalancerId.NotFound", "The specified LoadBalancerId does not exist.")


def slb_server_groups(call: Call) -> Json:
    groups = call.estate.work.server_groups.get(call.need("LoadBalancerId"), {})
    return {"VServerGroups": {"VServerGroup": [{"VServerGroupId": name, "VServerGroupName": name} for name in groups]}}


def slb_server_group(call: Call) -> Json:
    wanted = call.need("VServerGroupId")
    for groups in call.estate.work.server_groups.values():
        if wanted in groups:
            servers = [{"ServerId": name, "Port": 80, "Weight": 100, "Type": "ecs"} for name in groups[wanted]]
            return {"VServerGroupId": wanted, "BackendServers": {"BackendServer": servers}}
    raise ApiError(400, "VServerGroupProcessing", "The specified VServerGroup does not exist.")


def redis_instances(call: Call) -> Json:
    kind = call.params.get("InstanceType", "") or "Redis"
    rows = [row for row in call.here("redis") if row["InstanceType"] == kind]
    number, size = call.number("PageNumber", 1), call.number("PageSize", 30, top=50)
    page = cut(rows, number, size)
    return {"Instances": {"KVStoreInstance": page}, "TotalCount": len(rows), "PageNumber": number, "PageSize": size}


def mongodb_instances(call: Call) -> Json:
    """Without DBInstanceType only replica sets are listed: sharded clusters must be asked for."""
    kind = call.params.get("DBInstanceType", "") or "replicate"
    rows = [row for row in call.here("mongodb") if row["DBInstanceType"] == kind]
    number, size = call.number("PageNumber", 1), call.number("PageSize", 30, top=100)
    page = cut(rows, number, size)
    return {"DBInstances": {"DBInstance": page}, "TotalCount": len(rows), "PageNumber": number, "PageSize": size}


def drds_instances(call: Call) -> Json:
    rows = call.here("drds")
    number, size = call.number("PageNumber", 1), call.number("PageSize", 30, top=100)
    page = cut(rows, number, size)
    listed: Json = {"Instances": {"Instance": page}, "Total": len(rows), "PageNumber": number, "PageSize": size}
    return {**listed, "Success": True}


def polardbx_instances(call: Call) -> Json:
    rows = call.here("polardbx")
    number, size = call.number("PageNumber", 1), call.number("PageSize", 30, top=1000)
    return {"DBInstances": cut(rows, number, size), "TotalNumber": len(rows), "PageNumber": number, "PageSize": size}


def cdn_domains(call: Call) -> Json:
    rows = call.estate.rows["cdn"]
    number, size = call.number("PageNumber", 1), call.number("PageSize", 20, top=500)
    page = cut(rows, number, size)
    return {"Domains": {"PageData": page}, "TotalCount": len(rows), "PageNumber": number, "PageSize": size}


def elasticsearch_instances(call: Call) -> Json:
    rows = call.here("elasticsearch", "_RegionId")
    number, size = call.number("page", 1), call.number("size", 10, top=100)
    return {"Result": cut(rows, number, size), "Headers": {"X-Total-Count": len(rows)}}


def oss_buckets(call: Call) -> str:
    """The XML of ListBuckets (GET Service). OSS lists the buckets of all regions from any endpoint."""
    size = call.number("max-keys", 100, top=1000)
    marker = call.params.get("marker", "")
    rows = sorted(
        (row for row in call.estate.rows["oss"] if str(row["Name"]) > marker), key=lambda row: str(row["Name"])
    )
    page = rows[:size]
    fields = "".join(
        "<Bucket>" + "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in public(row).items()) + "</Bucket>"
        for row in page
    )
    more = f"<NextMarker>{escape(str(page[-1]['Name']))}</NextMarker>" if len(rows) > size else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult>'
        f"<Owner><ID>{call.uid.uid}</ID><DisplayName>{call.uid.uid}</DisplayName></Owner>"
        f"<Prefix></Prefix><Marker>{escape(marker)}</Marker><MaxKeys>{size}</MaxKeys>"
        f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{more}<Buckets>{fields}</Buckets>"
        "</ListAllMyBucketsResult>"
    )


def _metric(call: Call) -> metrics.Metric:
    namespace, name = call.need("Namespace"), call.need("MetricName")
    metric = metrics.CATALOGUE.get((namespace, name))
    if metric is None or (namespace, name) in call.store.gone:
        raise ApiError(404, "ResourceNotFound", f"The specified metric {namespace}/{name} does not exist.")
    return metric


def _wanted(call: Call) -> list[dict[str, str]]:
    try:
        wanted = metrics.parse_dimensions(call.params.get("Dimensions", ""))
    except (ValueError, TypeError) as error:
        raise invalid("Dimensions") from error
    if len(wanted) > 50:
        raise ApiError(400, "ParameterInvalid", "The number of resources in Dimensions exceeds 50.")
    return wanted


def _window(call: Call, default_s: int) -> tuple[int, int]:
    now_ms = int(call.now.timestamp() * 1000)
    try:
        until = metrics.parse_time(call.params.get("EndTime", "") or str(now_ms))
        after = metrics.parse_time(call.params.get("StartTime", "") or str(until - default_s * 1000))
    except ValueError as error:
        raise invalid("StartTime") from error
    if after > until:
        raise ApiError(400, "ParameterInvalid", "StartTime is later than EndTime.")
    return after, until


def _read(call: Call, *, default_window_s: int) -> tuple[int, list[Json]]:
    metric, (after, until) = _metric(call), _window(call, default_window_s)
    period = call.number("Period", metric.period_s)
    if period % metric.period_s:
        raise invalid("Period")
    found = call.store.points(
        metric,
        call.estate,
        uid=call.uid.uid,
        period_s=period,
        after_ms=after,
        until_ms=until,
        wanted=_wanted(call),
        now=call.now,
    )
    return period, found


def _metric_page(call: Call, period: int, found: Sequence[Json]) -> Json:
    size, start = call.number("Length", 1000, top=1440), _token(call)
    page = found[start : start + size]
    answer: Json = {"Success": True, "Code": "200", "Period": str(period), "Datapoints": json.dumps(page)}
    if start + size < len(found):
        answer["NextToken"] = metrics.make_token(start + size)
    return answer


def metric_list(call: Call) -> Json:
    return _metric_page(call, *_read(call, default_window_s=3600))


def metric_last(call: Call) -> Json:
    period, found = _read(call, default_window_s=1800)
    newest: dict[str, Json] = {}
    for point in found:
        identity = {k: v for k, v in point.items() if isinstance(v, str)}
        newest[json.dumps(identity, sort_keys=True)] = point
    return _metric_page(call, period, list(newest.values()))


def metric_meta(call: Call) -> Json:
    namespace, name = call.params.get("Namespace", ""), call.params.get("MetricName", "")
    rows = [
        {
            "Namespace": metric.namespace,
            "MetricName": metric.name,
            "Unit": metric.unit,
            "Periods": f"{metric.period_s},300,900",
            "Statistics": "Average,Minimum,Maximum" if metric.statistics == "Average" else metric.statistics,
            "Dimensions": "userId,instanceId",
            "Description": metric.name,
            "Labels": "[]",
        }
        for metric in metrics.CATALOGUE.values()
        if namespace in ("", metric.namespace)
        and name in ("", metric.name)
        and (metric.namespace, metric.name) not in call.store.gone
    ]
    number, size = call.number("PageNumber", 1), call.number("PageSize", 30, top=10000)
    page = rows[(number - 1) * size : number * size]
    return {"Success": True, "Code": 200, "TotalCount": str(len(rows)), "Resources": {"Resource": page}}


@dataclass(frozen=True)
class Product:
    name: str
    version: str
    grant: str  # the prefix of its actions in RAM policies
    actions: Mapping[str, Callable[[Call], Json]]


PRODUCTS = {
    product.version: product
    for product in (
        Product("Sts", "2015-04-01", "sts", {"GetCallerIdentity": caller_identity}),
        Product(
            "Ram",
            "2015-05-01",
            "ram",
            {
                **ram.ACTIONS,
                "ListPoliciesForUser": policies_for_user,
                "ListGroupsForUser": groups_for_user,
                "ListPoliciesForGroup": policies_for_group,
                "GetPolicyVersion": policy_version,
                "ListAccessKeys": access_keys,
                "GetAccessKeyLastUsed": access_key_last_used,
            },
        ),
        Product(
            "Ecs",
            "2014-05-26",
            "ecs",
            {
                "DescribeRegions": ecs_regions,
                "DescribeInstances": ecs_instances,
                **ACTIONS["Ecs"],
                **acting_ecs.READS,
                **acting_ecs.WRITES,
            },
        ),
        Product("BssOpenApi", "2017-12-14", "bss", {**ACTIONS["BssOpenApi"], **bills.ACTIONS}),
        Product("Vpc", "2016-04-28", "vpc", {"DescribeEipAddresses": bills.eip_addresses}),
        Product("Kms", "2016-01-20", "kms", kms.ACTIONS),
        Product("Sas", "2018-12-03", "yundun-sas", security.ACTIONS),
        Product("Actiontrail", "2020-07-06", "actiontrail", trail.ACTIONS),
        Product(
            "Rds",
            "2014-08-15",
            "rds",
            {
                "DescribeDBInstances": rds_instances,
                "DescribeDBInstanceAttribute": rds_attribute,
                "ListTagResources": rds_tags,
                **ACTIONS["Rds"],
                **acting_other.READS["Rds"],
                **acting_other.WRITES["Rds"],
            },
        ),
        Product(
            "Slb",
            "2014-05-15",
            "slb",
            {
                "DescribeLoadBalancers": slb_balancers,
                "DescribeLoadBalancerAttribute": slb_attribute,
                "DescribeVServerGroups": slb_server_groups,
                "DescribeVServerGroupAttribute": slb_server_group,
                **acting_other.WRITES["Slb"],
            },
        ),
        Product("Alidns", "2015-01-09", "alidns", {**acting_other.READS["Alidns"], **acting_other.WRITES["Alidns"]}),
        Product("R-kvstore", "2015-01-01", "kvstore", {"DescribeInstances": redis_instances}),
        Product("Dds", "2015-12-01", "dds", {"DescribeDBInstances": mongodb_instances}),
        Product("Drds", "2019-01-23", "drds", {"DescribeDrdsInstances": drds_instances}),
        Product("polardbx", "2020-02-02", "polardbx", {"DescribeDBInstances": polardbx_instances}),
        Product("Cdn", "2018-05-10", "cdn", {"DescribeUserDomains": cdn_domains}),
        Product(
            "Cms",
            "2019-01-01",
            "cms",
            {
                "DescribeMetricList": metric_list,
                "DescribeMetricLast": metric_last,
                "DescribeMetricMetaList": metric_meta,
                **ACTIONS["Cms"],
            },
        ),
    )
}
ELASTICSEARCH = Product("elasticsearch", "2017-06-13", "elasticsearch", {"ListInstance": elasticsearch_instances})
