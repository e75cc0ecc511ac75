"""What the products' list APIs return, read into one shape. Pure: a JSON row in, a `Resource` out.

The products disagree about names, nesting and times; the disagreements end in this file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeGuard

Row = Mapping[str, object]
Detail = str | int | float | bool | list[str]
FOREVER_YEAR = 2099  # pay-as-you-go resources show a year from here on


@dataclass(frozen=True)
class Resource:
    """One resource of a cloud account. `status` is one of Asset.Status; the provider's own word is in the details."""

    kind: str
    provider_id: str
    name: str
    region: str = ""
    zone: str = ""
    spec: str = ""
    private_ip: str = ""
    public_ip: str = ""
    host: str = ""
    port: int | None = None
    url: str = ""
    os: str = ""
    engine: str = ""
    product: str = ""
    status: str = "unknown"
    expires_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Detail] = field(default_factory=dict)


def text(row: Row, *path: str) -> str:
    """The text at a path of keys; empty when there is none."""
    found: object = row
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return str(found) if isinstance(found, str | int | float) and not isinstance(found, bool) else ""


def rows(row: Row, *path: str) -> list[Row]:
    found: object = row
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def number(row: Row, *path: str) -> int | None:
    found = text(row, *path)
    return int(found) if found.lstrip("-").isdigit() else None


def _all(row: Row, *path: str) -> list[str]:
    found: object = row
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return [str(one) for one in found] if isinstance(found, list) else []


def _first(row: Row, *path: str) -> str:
    return next(iter(_all(row, *path)), "")


def _tags(row: Row, *path: str) -> dict[str, str]:
    found = {}
    for tag in rows(row, *path):
        key = text(tag, "TagKey") or text(tag, "Key") or text(tag, "tagKey")
        if key:
            found[key] = text(tag, "TagValue") or text(tag, "Value") or text(tag, "tagValue")
    return found


def _details(row: Row, *names: str, **more: object) -> dict[str, Detail]:
    """The named fields that hold a plain value or a list of names, under their own names."""
    picked = {**{name: row.get(name) for name in names}, **more}
    return {key: value for key, value in picked.items() if _is_plain(value) and value not in ("", [])}


def _is_plain(value: object) -> TypeGuard[Detail]:
    is_names = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return is_names or isinstance(value, str | int | float | bool)


def _names(row: Row, key: str) -> list[str]:
    found = row.get(key)
    return [str(one) for one in found] if isinstance(found, list) else []


def parse_time(value: str) -> datetime | None:
    """``2017-12-10T04:04Z``, ``…:00Z``, ``…:00.253Z``, ``…:00.000+0000`` or milliseconds; None for "never"."""
    if not value:
        return None
    try:
        if value.isdigit():
            moment = datetime.fromtimestamp(int(value) / 1000, UTC)
        else:
            moment = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None if moment.year >= FOREVER_YEAR else moment


_STATUS = {
    **dict.fromkeys(("running", "normal", "active", "available", "run", "online"), "running"),
    **dict.fromkeys(("stopped", "offline", "inactive", "unavailable", "halt"), "stopped"),
    **dict.fromkeys(("locked", "locking", "expired"), "locked"),
}


def _status(raw: str, *, locked: bool = False) -> str:
    """Anything that the provider is working on (Starting, Creating, NodeChanging …) is pending."""
    if locked:
        return "locked"
    return _STATUS.get(raw.lower(), "pending" if raw else "unknown")


def ecs(row: Row) -> Resource:
    vpc = ("VpcAttributes", "PrivateIpAddress", "IpAddress")
    memory = number(row, "Memory")
    size = f"{text(row, 'Cpu')}C{memory // 1024}G" if memory and memory >= 1024 else ""
    return Resource(
        kind="ecs",
        provider_id=text(row, "InstanceId"),
        name=text(row, "InstanceName") or text(row, "HostName"),
        region=text(row, "RegionId"),
        zone=text(row, "ZoneId"),
        spec=" ".join(filter(None, (text(row, "InstanceType"), size))),
        private_ip=_first(row, *vpc) or _first(row, "InnerIpAddress", "IpAddress"),
        public_ip=text(row, "EipAddress", "IpAddress") or _first(row, "PublicIpAddress", "IpAddress"),
        os={"linux": "linux", "windows": "windows"}.get(text(row, "OSType").lower(), ""),
        status=_status(text(row, "Status"), locked=bool(rows(row, "OperationLocks", "LockReason"))),
        expires_at=parse_time(text(row, "ExpiredTime")) if text(row, "InstanceChargeType") == "PrePaid" else None,
        tags=_tags(row, "Tags", "Tag"),
        details=_details(
            row, "Status", "OSName", "HostName", "Cpu", "Memory", "InstanceChargeType", "CreationTime", "StartTime",
            VpcId=text(row, "VpcAttributes", "VpcId"),
            SecurityGroupId=", ".join(_all(row, "SecurityGroupIds", "SecurityGroupId")),
        ),
    )  # fmt: skip


def rds(row: Row) -> Resource:
    """The row of DescribeDBInstances, joined with its attribute (``Port``) and ``Tags`` by the adapter."""
    return Resource(
        kind="rds",
        provider_id=text(row, "DBInstanceId"),
        name=text(row, "DBInstanceDescription") or text(row, "DBInstanceId"),
        region=text(row, "RegionId"),
        zone=text(row, "ZoneId"),
        spec=text(row, "DBInstanceClass"),
        host=text(row, "ConnectionString"),
        port=number(row, "Port"),
        engine=" ".join(filter(None, (text(row, "Engine"), text(row, "EngineVersion")))),
        product=text(row, "Engine").lower(),
        status=_status(text(row, "DBInstanceStatus"), locked=text(row, "LockMode") not in ("", "Unlock")),
        expires_at=parse_time(text(row, "ExpireTime")),
        tags=_tags(row, "Tags", "Tag"),
        details=_details(
            row, "DBInstanceStatus", "DBInstanceType", "MasterInstanceId", "Category", "PayType", "LockMode",
            "DBInstanceStorageType", "DBInstanceStorage", "DBInstanceMemory", "DBInstanceCPU", "MaxConnections",
            "MaxIOPS", "VpcId", "CreateTime",
        ),
    )  # fmt: skip


def slb(row: Row) -> Resource:
    """The row of DescribeLoadBalancers, joined with ``EndTime``, ``Listeners`` and ``Backends`` by the adapter."""
    address, is_public = text(row, "Address"), text(row, "AddressType") == "internet"
    return Resource(
        kind="slb",
        provider_id=text(row, "LoadBalancerId"),
        name=text(row, "LoadBalancerName") or text(row, "LoadBalancerId"),
        region=text(row, "RegionId"),
        zone=text(row, "MasterZoneId"),
        spec=text(row, "LoadBalancerSpec"),
        private_ip="" if is_public else address,
        public_ip=address if is_public else "",
        host=address,
        status=_status(text(row, "LoadBalancerStatus")),
        expires_at=parse_time(text(row, "EndTime")),
        tags=_tags(row, "Tags", "Tag"),
        details=_details(
            row, "LoadBalancerStatus", "AddressType", "NetworkType", "PayType", "InternetChargeType", "SlaveZoneId",
            "VpcId", "CreateTime", "Listeners",
            backends=_names(row, "Backends"),
        ),
    )  # fmt: skip


def memcache(row: Row) -> Resource:
    return replace(redis(row), kind="memcache", product="memcached")


def redis(row: Row) -> Resource:
    return Resource(
        kind="redis",
        provider_id=text(row, "InstanceId"),
        name=text(row, "InstanceName") or text(row, "InstanceId"),
        region=text(row, "RegionId"),
        zone=text(row, "ZoneId"),
        spec=text(row, "InstanceClass"),
        private_ip=text(row, "PrivateIp"),
        host=text(row, "ConnectionDomain"),
        port=number(row, "Port"),
        engine=" ".join(filter(None, (text(row, "InstanceType"), text(row, "EngineVersion")))),
        product="redis",
        status=_status(text(row, "InstanceStatus")),
        expires_at=parse_time(text(row, "EndTime")),
        tags=_tags(row, "Tags", "Tag"),
        details=_details(
            row, "InstanceStatus", "ArchitectureType", "Capacity", "Connections", "QPS", "ChargeType", "NetworkType",
            "VpcId", "CreateTime",
        ),
    )  # fmt: skip


def mongodb(row: Row) -> Resource:
    return Resource(
        kind="mongodb",
        provider_id=text(row, "DBInstanceId"),
        name=text(row, "DBInstanceDescription") or text(row, "DBInstanceId"),
        region=text(row, "RegionId"),
        zone=text(row, "ZoneId"),
        spec=text(row, "DBInstanceClass"),
        engine=" ".join(filter(None, (text(row, "Engine"), text(row, "EngineVersion")))),
        product="mongodb",
        status=_status(text(row, "DBInstanceStatus"), locked=text(row, "LockMode") not in ("", "Unlock")),
        expires_at=parse_time(text(row, "ExpireTime")),
        tags=_tags(row, "Tags", "Tag"),
        details=_details(
            row, "DBInstanceStatus", "DBInstanceType", "DBInstanceStorage", "ReplicationFactor", "ChargeType",
            "LockMode", "CreationTime",
        ),
    )  # fmt: skip


def cdn(row: Row) -> Resource:
    domain = text(row, "DomainName")
    scheme = "https" if text(row, "SslProtocol") == "on" else "http"
    return Resource(
        kind="cdn",
        provider_id=domain,
        name=domain,
        spec=text(row, "CdnType"),
        host=domain,
        url=f"{scheme}://{domain}/",
        status=_status(text(row, "DomainStatus")),
        details=_details(row, "DomainStatus", "Cname", "Coverage", "Description", "GmtCreated", "GmtModified"),
    )


def drds(row: Row) -> Resource:
    """PolarDB-X 1.0, whose API still says DRDS. Times are milliseconds."""
    addresses = rows(row, "Vips", "Vip")
    first: Row = addresses[0] if addresses else {}
    return Resource(
        kind="drds",
        provider_id=text(row, "DrdsInstanceId"),
        name=text(row, "Description") or text(row, "DrdsInstanceId"),
        region=text(row, "RegionId"),
        zone=text(row, "ZoneId"),
        spec=text(row, "InstanceSpec") or text(row, "InstanceSeries"),
        private_ip=text(first, "IP"),
        host=text(first, "IP"),
        port=number(first, "Port"),
        engine="DRDS",
        product="drds",
        status=_status(text(row, "Status")),
        expires_at=parse_time(text(row, "ExpireDate")),
        details=_details(row, "Status", "Type", "NetworkType", "InstanceSeries", "VpcId"),
    )


def polardbx(row: Row) -> Resource:
    """PolarDB-X 2.0, the successor that has its own API; kept as the same kind of asset."""
    return Resource(
        kind="drds",
        provider_id=text(row, "Id") or text(row, "DBInstanceName"),
        name=text(row, "Description") or text(row, "Id"),
        region=text(row, "RegionId"),
        zone=text(row, "ZoneId"),
        spec=" × ".join(filter(None, (text(row, "NodeClass"), text(row, "NodeCount")))),
        engine=" ".join(filter(None, ("PolarDB-X", text(row, "DBVersion")))),
        product="polardbx",
        status=_status(text(row, "Status"), locked=text(row, "LockMode") not in ("", "Unlock")),
        expires_at=parse_time(text(row, "ExpireTime")),
        tags=_tags(row, "TagSet"),
        details=_details(row, "Status", "Type", "DBType", "PayType", "NodeCount", "LockMode", "CreateTime"),
    )


def elasticsearch(row: Row) -> Resource:
    """The API does not name the region in a row; the adapter adds ``RegionId``."""
    spec, disk = text(row, "nodeSpec", "spec"), text(row, "nodeSpec", "disk")
    size = f"× {text(row, 'nodeAmount')}" if text(row, "nodeAmount") else ""
    return Resource(
        kind="elasticsearch",
        provider_id=text(row, "instanceId"),
        name=text(row, "description") or text(row, "instanceId"),
        region=text(row, "RegionId"),
        zone=text(row, "networkConfig", "vsArea"),
        spec=" ".join(filter(None, (spec, f"{disk}G" if disk else "", size))),
        engine=" ".join(filter(None, ("Elasticsearch", text(row, "esVersion").partition("_")[0]))),
        product="elasticsearch",
        status=_status(text(row, "status")),
        expires_at=parse_time(text(row, "endTime")),
        tags=_tags(row, "tags"),
        details=_details(row, "status", "esVersion", "nodeAmount", "paymentType", "createdAt", "updatedAt"),
    )


def oss(row: Row) -> Resource:
    region, endpoint, name = text(row, "Region"), text(row, "ExtranetEndpoint"), text(row, "Name")
    return Resource(
        kind="oss",
        provider_id=name,
        name=name,
        region=region or text(row, "Location").removeprefix("oss-"),
        spec=text(row, "StorageClass"),
        host=f"{name}.{endpoint}" if endpoint else "",
        status="running",
        details=_details(row, "CreationDate", "StorageClass", "ExtranetEndpoint", "IntranetEndpoint"),
    )
