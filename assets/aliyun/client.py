"""What the platform asks Alibaba Cloud: who a key belongs to and what it may do, what exists, and its metrics."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import alibabacloud_oss_v2 as oss

from assets.aliyun.codes import is_unknown_region_code
from assets.aliyun.listings import LISTINGS, Listing
from assets.aliyun.resources import Resource, Row, number, parse_time, rows, text
from assets.aliyun.resources import oss as read_bucket
from assets.aliyun.transport import AliyunError, Connection
from assets.grants import Policy

MAX_PAGES = 1000
LISTING_TRIES = 3  # a list that shifted while it was read is read again
DIMENSIONS_PER_CALL = 50  # CMS API reference, DescribeMetricList


@dataclass(frozen=True)
class Identity:
    account_uid: str
    user_name: str  # empty for the main account and for roles
    is_root: bool
    arn: str
    request_id: str


@dataclass(frozen=True)
class KeyFacts:
    access_key_id: str
    is_active: bool
    created_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class Region:
    region_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Datapoint:
    """`values` by statistic: Average, Minimum, Maximum, Value …"""

    timestamp_ms: int
    dimensions: Mapping[str, str]
    values: Mapping[str, float]


@dataclass(frozen=True)
class MetricPage:
    period_s: int
    datapoints: tuple[Datapoint, ...]


@dataclass(frozen=True)
class MetricMeta:
    namespace: str
    name: str
    unit: str
    periods_s: tuple[int, ...]
    statistics: tuple[str, ...]
    dimensions: tuple[str, ...]


@dataclass(frozen=True)
class SecurityRule:
    """A way into a security group. `source`: a network, another group or a list of prefixes; small priorities win."""

    protocol: str
    ports: str
    source: str
    is_accepting: bool
    priority: int


class Client(Connection):
    """Reads one account; shared by threads. See `Connection` for the arguments."""

    # who we are

    def identity(self) -> Identity:
        found = self.call("Sts", "2015-04-01", "GetCallerIdentity")
        arn = text(found, "Arn")
        user = arn.partition(":user/")[2]
        return Identity(
            text(found, "AccountId"), user, text(found, "IdentityType") == "Account", arn, text(found, "RequestId")
        )

    def policies(self, user_name: str) -> tuple[Policy, ...]:
        """Everything granted to a RAM user, directly and through its groups, with the documents that matter."""
        found = self._granted("ListPoliciesForUser", {"UserName": user_name})
        groups = self.call("Ram", "2015-05-01", "ListGroupsForUser", {"UserName": user_name})
        for group in rows(groups, "Groups", "Group"):
            name = text(group, "GroupName")
            found += self._granted("ListPoliciesForGroup", {"GroupName": name}, group=name)
        return tuple(found)

    def _granted(self, action: str, params: Mapping[str, str], group: str = "") -> list[Policy]:
        listed = self.call("Ram", "2015-05-01", action, params)
        granted = []
        for row in rows(listed, "Policies", "Policy"):
            policy = Policy(text(row, "PolicyName"), text(row, "PolicyType") == "System", group=group)
            granted.append(self._with_document(policy, row) if policy.needs_document else policy)
        return granted

    def _with_document(self, policy: Policy, row: Row) -> Policy:
        wanted = {
            "PolicyName": policy.name,
            "PolicyType": text(row, "PolicyType"),
            "VersionId": text(row, "DefaultVersion"),
        }
        try:
            found = self.call("Ram", "2015-05-01", "GetPolicyVersion", wanted)
        except AliyunError as error:
            if not error.is_permission_problem:
                raise
            return policy
        return replace(policy, document=text(found, "PolicyVersion", "PolicyDocument") or None)

    def key_facts(self, user_name: str) -> KeyFacts | None:
        """Age and state of the AccessKey in use, as RAM knows it."""
        mine = self._key[0]
        listed = self.call("Ram", "2015-05-01", "ListAccessKeys", {"UserName": user_name})
        for row in rows(listed, "AccessKeys", "AccessKey"):
            if text(row, "AccessKeyId") == mine:
                wanted = {"UserName": user_name, "UserAccessKeyId": mine}
                used = self.call("Ram", "2015-05-01", "GetAccessKeyLastUsed", wanted)
                return KeyFacts(
                    mine,
                    text(row, "Status") == "Active",
                    parse_time(text(row, "CreateDate")),
                    parse_time(text(used, "AccessKeyLastUsed", "LastUsedDate")),
                )
        return None

    # what there is

    def regions(self) -> tuple[Region, ...]:
        found = self.call("Ecs", "2014-05-26", "DescribeRegions")
        return tuple(Region(text(row, "RegionId"), text(row, "LocalName")) for row in rows(found, "Regions", "Region"))

    def resources(self, kind: str, regions: Sequence[str]) -> tuple[Resource, ...]:
        """Every resource of a kind in these regions, to the last page. Raises AliyunError rather than return less."""
        if kind == "oss":
            return self._buckets()
        found: dict[str, Resource] = {}
        for listing in LISTINGS[kind]:
            for region in [self.region] if listing.is_global else regions:
                listed = self._listed(listing, region)
                for resource in map(listing.read, self._joined(kind, region, listed)):
                    found[resource.provider_id] = resource
        return tuple(found.values())

    def security_rules(self, region: str, group: str) -> tuple[SecurityRule, ...]:
        """What a security group says of who gets in."""
        asked = {"RegionId": region, "SecurityGroupId": group, "Direction": "ingress"}
        found = self.call("Ecs", "2014-05-26", "DescribeSecurityGroupAttribute", asked, region=region)
        return tuple(_security_rule(row) for row in rows(found, "Permissions", "Permission"))

    def _joined(self, kind: str, region: str, listed: list[Row]) -> list[Row]:
        """Rows completed by the facts that a product keeps in a second API."""
        if kind == "rds":
            return self._rds_joined(region, listed)
        if kind == "slb":
            return [self._slb_joined(region, row) for row in listed]
        return [{**row, "RegionId": region} for row in listed] if kind == "elasticsearch" else listed

    def _rds_joined(self, region: str, listed: list[Row]) -> list[Row]:
        facts: dict[str, dict[str, object]] = {text(row, "DBInstanceId"): dict(row) for row in listed}
        names = list(facts)
        for start in range(0, len(names), 30):  # DescribeDBInstanceAttribute takes up to 30 ids
            some = names[start : start + 30]
            wanted = {"DBInstanceId": ",".join(some)}
            found = self.call("Rds", "2014-08-15", "DescribeDBInstanceAttribute", wanted, region=region)
            for row in rows(found, "Items", "DBInstanceAttribute"):
                facts.get(text(row, "DBInstanceId"), {}).update(row)
            asked = {"ResourceType": "INSTANCE", **{f"ResourceId.{i}": name for i, name in enumerate(some, 1)}}
            found = self.call("Rds", "2014-08-15", "ListTagResources", asked, region=region)
            for row in rows(found, "TagResources", "TagResource"):
                own = facts.get(text(row, "ResourceId"), {}).setdefault("Tags", {"Tag": []})
                own["Tag"].append(row)  # type: ignore[index]  # set in the line above
        return list(facts.values())

    def _slb_joined(self, region: str, row: Row) -> Row:
        wanted = {"LoadBalancerId": text(row, "LoadBalancerId")}
        found = self.call("Slb", "2014-05-15", "DescribeLoadBalancerAttribute", wanted, region=region)
        prepaid = text(row, "PayType") == "PrePay"
        ports = found.get("ListenerPorts")
        listed = ports.get("ListenerPort") if isinstance(ports, Mapping) else None
        listeners = ",".join(map(str, listed)) if isinstance(listed, list) else ""
        return {
            **row,
            "EndTime": text(found, "EndTime") if prepaid else "",
            "Listeners": listeners,
            "Backends": self._slb_backends(region, wanted, found),
        }

    def _slb_backends(self, region: str, balancer: Mapping[str, str], attribute: Row) -> list[str]:
        """The servers behind a balancer: of its default group and of its virtual server groups."""
        held = [attribute]
        groups = self.call("Slb", "2014-05-15", "DescribeVServerGroups", balancer, region=region)
        for group in rows(groups, "VServerGroups", "VServerGroup"):
            wanted = {"VServerGroupId": text(group, "VServerGroupId")}
            held.append(self.call("Slb", "2014-05-15", "DescribeVServerGroupAttribute", wanted, region=region))
        servers = (row for one in held for row in rows(one, "BackendServers", "BackendServer"))
        return sorted({name for row in servers if (name := text(row, "ServerId"))})

    def _listed(self, listing: Listing, region: str) -> list[Row]:
        """All rows of a region; none where the product does not exist."""
        try:
            return [row for variant in listing.variants for row in self._rows(listing, region, variant)]
        except AliyunError as error:
            if is_unknown_region_code(error.code):
                return []
            raise

    def _rows(self, listing: Listing, region: str, variant: Mapping[str, str]) -> list[Row]:
        pages = self._by_token if listing.by_token else self._by_number
        for _ in range(LISTING_TRIES - 1):
            try:
                return [row for page in pages(listing, region, variant) for row in page]
            except AliyunError as error:
                if error.code != "IncompleteListing":
                    raise
        return [row for page in pages(listing, region, variant) for row in page]

    def _by_number(self, listing: Listing, region: str, variant: Mapping[str, str]) -> Iterator[list[Row]]:
        """What is created or released meanwhile shifts the pages: then rows are missing, and that is said."""
        seen = 0
        for page in range(1, MAX_PAGES + 1):
            names = dict(zip(listing.page_names, (str(page), str(listing.page_size)), strict=True))
            if listing.path:
                found = self.get(listing.product, listing.version, listing.path, {**variant, **names}, region=region)
            else:
                wanted = {**variant, **names}
                found = self.call(listing.product, listing.version, listing.action, wanted, region=region)
            some, total = rows(found, *listing.items), number(found, *listing.total)
            if total is None:
                raise AliyunError("InvalidResponse", f"{listing.action} did not say how many there are.")
            yield some
            seen += len(some)
            if seen >= total:
                return
            if not some:
                break
        raise AliyunError("IncompleteListing", f"{listing.product} {listing.action} listed fewer than it counted.")

    def _by_token(self, listing: Listing, region: str, variant: Mapping[str, str]) -> Iterator[list[Row]]:
        token, used = "", {""}
        for _ in range(MAX_PAGES):
            wanted = {**variant, "MaxResults": str(listing.page_size), **({"NextToken": token} if token else {})}
            found = self.call(listing.product, listing.version, listing.action, wanted, region=region)
            yield rows(found, *listing.items)
            token = text(found, "NextToken")
            if not token:
                return
            if token in used:
                break
            used.add(token)
        raise AliyunError("IncompleteListing", f"{listing.product} {listing.action} never came to its last page.")

    def _buckets(self) -> tuple[Resource, ...]:
        found: list[Resource] = []
        marker = ""
        for _ in range(MAX_PAGES):
            page = self.bucket_page(marker)
            found += [read_bucket(_bucket_row(bucket)) for bucket in page.buckets or []]
            if not page.is_truncated:
                return tuple(found)
            if not page.next_marker or page.next_marker <= marker:
                break
            marker = page.next_marker
        raise AliyunError("IncompleteListing", "OSS ListBuckets never came to its last page.")

    # CloudMonitor

    def metric_list(  # noqa: PLR0917 - reads like the API: what, from, until, how often
        self,
        namespace: str,
        metric: str,
        start: datetime,
        end: datetime,
        period: int,
        dimensions: Sequence[Mapping[str, str]] | None = None,
    ) -> Iterator[MetricPage]:
        """Data points with start < timestamp ≤ end, so that the last end is the next start. Without `dimensions`: of
        every resource of the account."""
        window = {"StartTime": str(_millis(start)), "EndTime": str(_millis(end)), "Period": str(period)}
        yield from self._metric_pages("DescribeMetricList", namespace, metric, window, dimensions)

    def metric_last(
        self, namespace: str, metric: str, period: int, dimensions: Sequence[Mapping[str, str]] | None = None
    ) -> Iterator[MetricPage]:
        """The newest data point of each series."""
        yield from self._metric_pages("DescribeMetricLast", namespace, metric, {"Period": str(period)}, dimensions)

    def _metric_pages(
        self,
        action: str,
        namespace: str,
        metric: str,
        window: Mapping[str, str],
        dimensions: Sequence[Mapping[str, str]] | None,
    ) -> Iterator[MetricPage]:
        for some in _portions(dimensions):
            params = {"Namespace": namespace, "MetricName": metric, **window}
            if some:
                params["Dimensions"] = json.dumps([dict(one) for one in some])
            token, used = "", {""}
            for _ in range(MAX_PAGES):
                found = self.call("Cms", "2019-01-01", action, {**params, **({"NextToken": token} if token else {})})
                yield _metric_page(found)
                token = text(found, "NextToken")
                if not token:
                    break
                if token in used:
                    raise AliyunError("IncompleteListing", f"Cms {action} repeats a page.")
                used.add(token)
            else:
                raise AliyunError("IncompleteListing", f"Cms {action} never came to its last page.")

    def metric_meta(self, namespace: str) -> tuple[MetricMeta, ...]:
        """The metrics that CloudMonitor has under a namespace today: names drift."""
        found: list[MetricMeta] = []
        for page in range(1, MAX_PAGES):
            params = {"Namespace": namespace, "PageNumber": str(page), "PageSize": "100"}
            answer = self.call("Cms", "2019-01-01", "DescribeMetricMetaList", params)
            some = rows(answer, "Resources", "Resource")
            found += map(_metric_meta, some)
            if len(found) >= (number(answer, "TotalCount") or 0) or not some:
                break
        return tuple(found)


def _security_rule(row: Row) -> SecurityRule:
    sources = ("SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId", "SourcePrefixListId")
    return SecurityRule(
        protocol=text(row, "IpProtocol").lower(),
        ports=text(row, "PortRange"),
        source=next((value for name in sources if (value := text(row, name))), ""),
        is_accepting=text(row, "Policy").lower() == "accept",
        priority=number(row, "Priority") or 1,
    )


def _metric_page(found: Row) -> MetricPage:
    try:
        points = json.loads(text(found, "Datapoints") or "[]")  # a JSON text inside the JSON
    except ValueError:
        points = None
    if not isinstance(points, list):
        raise AliyunError("InvalidResponse", "Datapoints was not a JSON list.")
    return MetricPage(number(found, "Period") or 0, tuple(_datapoint(point) for point in points))


def _datapoint(point: Mapping[str, object]) -> Datapoint:
    dimensions, values, timestamp = {}, {}, 0
    for name, value in point.items():
        if name == "timestamp":
            timestamp = int(str(value))
        elif isinstance(value, int | float):
            values[name] = float(value)
        elif value is not None:
            dimensions[name] = str(value)
    return Datapoint(timestamp, dimensions, values)


def _metric_meta(row: Row) -> MetricMeta:
    def listed(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text(row, name).split(",") if part.strip())

    return MetricMeta(
        text(row, "Namespace"),
        text(row, "MetricName"),
        text(row, "Unit"),
        tuple(int(period) for period in listed("Periods") if period.isdigit()),
        listed("Statistics"),
        listed("Dimensions"),
    )


def _portions(dimensions: Sequence[Mapping[str, str]] | None) -> Iterator[Sequence[Mapping[str, str]]]:
    if dimensions is None:
        yield ()
        return
    for start in range(0, len(dimensions), DIMENSIONS_PER_CALL):
        yield dimensions[start : start + DIMENSIONS_PER_CALL]


def _bucket_row(bucket: oss.BucketProperties) -> Row:
    created = bucket.creation_date
    return {
        "Name": bucket.name or "",
        "Region": bucket.region or "",
        "Location": bucket.location or "",
        "StorageClass": bucket.storage_class or "",
        "ExtranetEndpoint": bucket.extranet_endpoint or "",
        "IntranetEndpoint": bucket.intranet_endpoint or "",
        "CreationDate": created.isoformat() if created else "",
    }


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
