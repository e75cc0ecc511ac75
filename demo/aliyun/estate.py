"""The resources of a simulated cloud account, each as the JSON object its product's API returns.

Field names, nesting and time formats follow the products' API references; they differ from product to product
(ECS cuts times to the minute, DRDS gives milliseconds, PolarDB-X writes ``+0000``), and so they do here.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from demo.aliyun.workings import Bills, Workings

Json = dict[str, object]

NEVER = datetime(2099, 12, 31, 15, 59, tzinfo=UTC)  # what ECS shows for pay-as-you-go
REGIONS = {"cn-hangzhou": "华东1（杭州）", "cn-shanghai": "华东2（上海）", "cn-beijing": "华北2（北京）"}
PRODUCTS = ("ecs", "rds", "slb", "redis", "mongodb", "oss", "cdn", "drds", "polardbx", "elasticsearch")


def minutes(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def offset(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


@dataclass
class Estate:
    """``rows[product]`` holds the resources; ``salt`` makes the ids of two accounts differ."""

    now: datetime
    salt: str = ""
    rows: dict[str, list[Json]] = field(default_factory=lambda: {product: [] for product in PRODUCTS})
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)  # system events of CloudMonitor
    maintenance: dict[str, Json] = field(default_factory=dict)  # what ECS plans, by event id
    trail: list[Json] = field(default_factory=list)  # events of ActionTrail, each with when and where it is listed
    global_region: str = "ap-southeast-1"  # where ActionTrail keeps what belongs to no region
    renewals: dict[str, str] = field(default_factory=dict)  # AutoRenewal … by instance
    work: Workings = field(default_factory=Workings)  # what calls that change something work on
    subscriptions: list[Json] = field(default_factory=list)  # prepaid things that no list of resources shows
    eips: list[Json] = field(default_factory=list)  # elastic addresses, each as DescribeEipAddresses lists it
    vulnerabilities: list[Json] = field(default_factory=list)  # what Security Center lists, each as it does
    suspicions: list[Json] = field(default_factory=list)
    bills: Bills = field(default_factory=Bills)  # what a test does to the bills
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def _id(self, prefix: str) -> str:
        digest = hashlib.sha256(f"{self.salt}/{prefix}/{next(self._numbers)}".encode()).hexdigest()
        return prefix + digest[:17]

    def _add(self, product: str, row: Json, key: str, tags: Mapping[str, str] | None) -> str:
        self.rows[product].append(row)
        name = str(row[key])
        self.tags[name] = dict(tags or {})
        return name

    def _until(self, days: int | None) -> datetime | None:
        if days is None:
            return None
        return (self.now + timedelta(days=days)).replace(hour=16, minute=0, second=0, microsecond=0)

    def remove(self, provider_id: str) -> Json:
        """Take a resource away as if it had been released; returns its row so that it can be put back."""
        for rows in self.rows.values():
            for row in rows:
                if provider_id in (row.get(key) for key in ID_KEYS):
                    rows.remove(row)
                    return row
        raise KeyError(provider_id)

    def find(self, name: str) -> Json:
        """The resource that people call so."""
        names = ("InstanceName", "DBInstanceDescription", "LoadBalancerName", "Description", "description", "Name")
        for rows in self.rows.values():
            for row in rows:
                if name in (row.get(key) for key in names):
                    return row
        raise KeyError(name)

    def put_back(self, product: str, row: Json) -> None:
        self.rows[product].append(row)

    def add_ecs(
        self,
        name: str,
        region: str = "cn-hangzhou",
        *,
        zone: str = "h",
        spec: str = "ecs.c7.xlarge",
        cpu: int = 4,
        memory_mib: int = 8192,
        private_ip: str = "172.16.1.10",
        eip: str = "",
        os: str = "linux",
        expires_in_days: int | None = 180,
        status: str = "Running",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        until = self._until(expires_in_days)
        names = {"linux": "Alibaba Cloud Linux 3.2104 LTS 64位", "windows": "Windows Server 2022 数据中心版 64位中文版"}
        row: Json = {
            "InstanceId": self._id("i-bp1"),
            "InstanceName": name,
            "HostName": name,
            "RegionId": region,
            "ZoneId": f"{region}-{zone}",
            "InstanceType": spec,
            "InstanceTypeFamily": spec.rsplit(".", 1)[0],
            "Cpu": cpu,
            "Memory": memory_mib,
            "OSName": names[os],
            "OSType": os,
            "Status": status,
            "InstanceChargeType": "PostPaid" if until is None else "PrePaid",
            "CreationTime": minutes(self.now - timedelta(days=400)),
            "StartTime": minutes(self.now - timedelta(days=40)),
            "ExpiredTime": minutes(until or NEVER),
            "InstanceNetworkType": "vpc",
            "VpcAttributes": {
                "VpcId": "vpc-bp1demo000000000000001",
                "VSwitchId": "vsw-bp1demo000000000000001",
                "NatIpAddress": "",
                "PrivateIpAddress": {"IpAddress": [private_ip]},
            },
            "InnerIpAddress": {"IpAddress": []},
            "PublicIpAddress": {"IpAddress": []},
            "EipAddress": {"IpAddress": eip, "AllocationId": "eip-bp1demo" if eip else "", "Bandwidth": 10},
            "SecurityGroupIds": {"SecurityGroupId": ["sg-bp1demo000000000000001"]},
            "OperationLocks": {"LockReason": []},
            "DeletionProtection": True,
            "Tags": {"Tag": [{"TagKey": key, "TagValue": value} for key, value in (tags or {}).items()]},
        }
        return self._add("ecs", row, "InstanceId", tags)

    def add_rds(
        self,
        name: str,
        region: str = "cn-hangzhou",
        *,
        zone: str = "h",
        engine: str = "MySQL",
        version: str = "8.0",
        spec: str = "mysql.x4.large.2c",
        role: str = "Primary",
        master: str = "",
        expires_in_days: int | None = 120,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        until = self._until(expires_in_days)
        instance_id = self._id("rr-bp1" if role == "Readonly" else "rm-bp1")
        row: Json = {
            "DBInstanceId": instance_id,
            "DBInstanceDescription": name,
            "RegionId": region,
            "ZoneId": f"{region}-{zone}",
            "Engine": engine,
            "EngineVersion": version,
            "DBInstanceClass": spec,
            "DBInstanceType": role,
            "DBInstanceStatus": "Running",
            "DBInstanceNetType": "Intranet",
            "InstanceNetworkType": "VPC",
            "PayType": "Postpaid" if until is None else "Prepaid",
            "ExpireTime": seconds(until) if until else "",
            "CreateTime": seconds(self.now - timedelta(days=380)),
            "LockMode": "Unlock",
            "Category": "HighAvailability",
            "DBInstanceStorageType": "cloud_essd",
            "VpcId": "vpc-bp1demo000000000000001",
            "MasterInstanceId": master,
            "ReadOnlyDBInstanceIds": {"ReadOnlyDBInstanceId": []},
            "ConnectionString": f"{instance_id}.{engine.lower()}.rds.aliyuncs.com",
            "_Port": {"MySQL": "3306", "SQLServer": "1433", "PostgreSQL": "5432"}.get(engine, "3306"),
        }
        return self._add("rds", row, "DBInstanceId", tags)

    def add_slb(
        self,
        name: str,
        region: str = "cn-hangzhou",
        *,
        zone: str = "h",
        address: str = "47.96.10.10",
        public: bool = True,
        spec: str = "slb.s2.small",
        ports: Sequence[int] = (80, 443),
        expires_in_days: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        until = self._until(expires_in_days)
        row: Json = {
            "LoadBalancerId": self._id("lb-bp1"),
            "LoadBalancerName": name,
            "LoadBalancerStatus": "active",
            "RegionId": region,
            "RegionIdAlias": region,
            "MasterZoneId": f"{region}-{zone}",
            "SlaveZoneId": f"{region}-i",
            "Address": address,
            "AddressType": "internet" if public else "intranet",
            "AddressIPVersion": "ipv4",
            "NetworkType": "classic" if public else "vpc",
            "LoadBalancerSpec": spec,
            "PayType": "PayOnDemand" if until is None else "PrePay",
            "InternetChargeType": "paybytraffic",
            "CreateTime": seconds(self.now - timedelta(days=395)),
            "CreateTimeStamp": millis(self.now - timedelta(days=395)),
            "Tags": {"Tag": [{"TagKey": key, "TagValue": value} for key, value in (tags or {}).items()]},
            "_EndTime": seconds(until) if until else "2999-09-08T16:00:00Z",
            "_Ports": list(ports),
        }
        return self._add("slb", row, "LoadBalancerId", tags)

    def add_redis(
        self,
        name: str,
        region: str = "cn-hangzhou",
        *,
        zone: str = "h",
        kind: str = "Redis",
        architecture: str = "standard",
        capacity_mb: int = 4096,
        spec: str = "redis.master.large.default",
        expires_in_days: int | None = 90,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        until = self._until(expires_in_days)
        instance_id = self._id("r-bp1")
        row: Json = {
            "InstanceId": instance_id,
            "InstanceName": name,
            "RegionId": region,
            "ZoneId": f"{region}-{zone}",
            "InstanceStatus": "Normal",
            "InstanceClass": spec,
            "InstanceType": kind,
            "EngineVersion": "6.0",
            "ArchitectureType": architecture if kind == "Redis" else "",
            "Capacity": capacity_mb,
            "Connections": 20000,
            "QPS": 100000,
            "ConnectionDomain": f"{instance_id}.redis.rds.aliyuncs.com",
            "PrivateIp": "172.16.3.20",
            "Port": 6379,
            "NetworkType": "VPC",
            "ChargeType": "PostPaid" if until is None else "PrePaid",
            "CreateTime": seconds(self.now - timedelta(days=300)),
            "EndTime": seconds(until) if until else "",
            "Tags": {"Tag": [{"Key": key, "Value": value} for key, value in (tags or {}).items()]},
        }
        return self._add("redis", row, "InstanceId", tags)

    def add_mongodb(
        self,
        name: str,
        region: str = "cn-hangzhou",
        *,
        zone: str = "h",
        kind: str = "replicate",
        spec: str = "dds.mongo.standard",
        expires_in_days: int | None = 75,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        until = self._until(expires_in_days)
        row: Json = {
            "DBInstanceId": self._id("dds-bp1"),
            "DBInstanceDescription": name,
            "DBInstanceType": kind,
            "RegionId": region,
            "ZoneId": f"{region}-{zone}",
            "DBInstanceStatus": "Running",
            "DBInstanceClass": spec,
            "DBInstanceStorage": 200,
            "Engine": "MongoDB",
            "EngineVersion": "5.0",
            "ReplicationFactor": "3",
            "NetworkType": "VPC",
            "LockMode": "Unlock",
            "ChargeType": "PostPaid" if until is None else "PrePaid",
            "CreationTime": minutes(self.now - timedelta(days=290)),
            "ExpireTime": minutes(until) if until else "",
            "Tags": {"Tag": [{"Key": key, "Value": value} for key, value in (tags or {}).items()]},
        }
        return self._add("mongodb", row, "DBInstanceId", tags)

    def add_bucket(self, name: str, region: str = "cn-hangzhou", *, storage_class: str = "Standard") -> str:
        row: Json = {
            "Name": name,
            "Region": region,
            "Location": f"oss-{region}",
            "CreationDate": (self.now - timedelta(days=390)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "StorageClass": storage_class,
            "ExtranetEndpoint": f"oss-{region}.aliyuncs.com",
            "IntranetEndpoint": f"oss-{region}-internal.aliyuncs.com",
        }
        return self._add("oss", row, "Name", None)

    def add_domain(self, domain: str, *, kind: str = "web", https: bool = True, status: str = "online") -> str:
        row: Json = {
            "DomainName": domain,
            "Cname": f"{domain}.w.kunlunsl.com",
            "CdnType": kind,
            "DomainStatus": status,
            "SslProtocol": "on" if https else "off",
            "Coverage": "domestic",
            "Sandbox": "normal",
            "Description": "",
            "GmtCreated": seconds(self.now - timedelta(days=370)),
            "GmtModified": seconds(self.now - timedelta(days=20)),
            "Sources": {
                "Source": [{"Type": "oss", "Content": "jiahe-static.oss-cn-hangzhou.aliyuncs.com", "Port": 443}]
            },
        }
        return self._add("cdn", row, "DomainName", None)

    def add_drds(self, name: str, region: str = "cn-hangzhou", *, expires_in_days: int | None = 60) -> str:
        until = self._until(expires_in_days)
        row: Json = {
            "DrdsInstanceId": self._id("drdsb"),
            "Description": name,
            "RegionId": region,
            "ZoneId": f"{region}-h",
            "Status": "RUN",
            "Type": "PRIVATE",
            "NetworkType": "VPC",
            "InstanceSeries": "drds.sn2.4c16g",
            "InstanceSpec": "drds.sn2.4c16g.8C32G",
            "CreateTime": millis(self.now - timedelta(days=360)),
            "ExpireDate": millis(until) if until else 4724323200000,
            "VpcId": "vpc-bp1demo000000000000001",
            "Vips": {"Vip": [{"IP": "172.16.4.30", "Port": "3306", "Type": "intranet"}]},
        }
        return self._add("drds", row, "DrdsInstanceId", None)

    def add_polardbx(self, name: str, region: str = "cn-shanghai", *, expires_in_days: int | None = 45) -> str:
        until = self._until(expires_in_days)
        instance_id = self._id("pxc-sh")
        row: Json = {
            "Id": instance_id,
            "DBInstanceName": instance_id,
            "Description": name,
            "RegionId": region,
            "ZoneId": f"{region}-l",
            "Status": "Running",
            "Type": "ReadWrite",
            "DBType": "polarx",
            "DBVersion": "8.0",
            "NodeClass": "polarx.x4.large.2e",
            "NodeCount": 2,
            "Network": "VPC",
            "PayType": "Postpaid" if until is None else "Prepaid",
            "CreateTime": offset(self.now - timedelta(days=200)),
            "ExpireTime": offset(until) if until else "",
            "Expired": False,
            "LockMode": "Unlock",
            "TagSet": [],
        }
        return self._add("polardbx", row, "Id", None)

    def add_elasticsearch(self, name: str, region: str = "cn-hangzhou", *, expires_in_days: int | None = 150) -> str:
        until = self._until(expires_in_days)
        row: Json = {
            "instanceId": self._id("es-cn-"),
            "description": name,
            "status": "active",
            "esVersion": "7.10.0_with_X-Pack",
            "nodeAmount": 3,
            "nodeSpec": {"spec": "elasticsearch.sn2ne.large", "disk": 200, "diskType": "cloud_essd"},
            "networkConfig": {"type": "vpc", "vpcId": "vpc-bp1demo000000000000001", "vsArea": f"{region}-h"},
            "paymentType": "postpaid" if until is None else "prepaid",
            "createdAt": (self.now - timedelta(days=180)).strftime("%Y-%m-%dT%H:%M:%S.253Z"),
            "updatedAt": (self.now - timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%S.118Z"),
            "endTime": millis(until) if until else 4749897600000,
            "tags": [],
            "_RegionId": region,
        }
        return self._add("elasticsearch", row, "instanceId", None)

    def add_eip(self, name: str, address: str, region: str = "cn-hangzhou", *, instance_id: str = "") -> str:
        allocation = self._id("eip-bp1")
        self.eips.append(
            {
                "AllocationId": allocation,
                "IpAddress": address,
                "Name": name,
                "RegionId": region,
                "Status": "InUse" if instance_id else "Available",
                "InstanceId": instance_id,
                "Bandwidth": "5",
                "InternetChargeType": "PayByTraffic",
                "AllocationTime": seconds(self.now - timedelta(days=210)),
            }
        )
        return allocation

    def add_loose_disk(self, size: int, region: str = "cn-hangzhou") -> str:
        """A data disk that hangs on nothing."""
        name = self._id("d-bp1")
        self.work.disks.append(
            {
                "DiskId": name,
                "DiskName": "",
                "RegionId": region,
                "ZoneId": f"{region}-h",
                "Size": size,
                "Category": "cloud_essd",
                "Type": "data",
                "Status": "Available",
                "InstanceId": "",
                "Portable": True,
                "CreationTime": minutes(self.now - timedelta(days=230)),
                "DetachedTime": seconds(self.now - timedelta(days=64)),
                "AutoSnapshotPolicyId": "",
            }
        )
        return name


ID_KEYS = (
    "InstanceId",
    "DBInstanceId",
    "LoadBalancerId",
    "Name",
    "DomainName",
    "DrdsInstanceId",
    "Id",
    "instanceId",
)


def demo_estate(now: datetime, salt: str = "jia") -> Estate:
    """Some forty resources of an online retailer: production in Hangzhou, data in Shanghai, tests in Beijing."""
    estate = Estate(now=now, salt=salt)
    prod, test = {"env": "production", "project": "mall"}, {"env": "test", "project": "mall"}
    for number in range(1, 5):
        days = 6 if number == 4 else 180
        estate.add_ecs(f"mall-web-{number:02}", private_ip=f"172.16.1.{10 + number}", tags=prod, expires_in_days=days)
    for number in range(1, 4):
        estate.add_ecs(
            f"mall-app-{number:02}",
            spec="ecs.g7.2xlarge",
            cpu=8,
            memory_mib=32768,
            private_ip=f"172.16.1.{30 + number}",
            tags=prod,
        )
    estate.add_ecs("rdmp-ops", private_ip="172.16.1.5", eip="47.96.88.12", tags={"env": "production", "role": "ops"})
    estate.add_ecs("mall-job-01", private_ip="172.16.1.41", expires_in_days=None, tags=prod)
    estate.add_ecs("erp-win-01", private_ip="172.16.1.51", os="windows", zone="i", tags={"env": "production"})
    estate.add_ecs("bi-etl-01", "cn-shanghai", zone="l", private_ip="172.19.1.11", expires_in_days=25, tags=prod)
    estate.add_ecs("bi-etl-02", "cn-shanghai", zone="l", private_ip="172.19.1.12", tags=prod)
    estate.add_ecs("mall-test-01", "cn-beijing", private_ip="172.20.1.11", expires_in_days=None, tags=test)
    estate.add_ecs(
        "mall-test-02", "cn-beijing", private_ip="172.20.1.12", expires_in_days=None, status="Stopped", tags=test
    )
    order = estate.add_rds("mall-order", spec="mysql.x4.xlarge.2c", tags=prod)
    estate.add_rds("mall-order-ro", role="Readonly", master=order, tags=prod)
    estate.add_rds("mall-member", expires_in_days=14, tags=prod)
    estate.add_rds("erp", engine="SQLServer", version="2019_std_ha", spec="mssql.x4.large.s2", zone="i")
    estate.add_rds("bi-warehouse", "cn-shanghai", zone="l", engine="PostgreSQL", version="14.0", spec="pg.x4.large.2c")
    estate.add_rds("mall-test", "cn-beijing", spec="mysql.n2.small.1", expires_in_days=None, tags=test)
    estate.add_slb("mall-public", tags=prod)
    estate.add_slb("mall-internal", address="172.16.0.80", public=False, ports=(8080,), tags=prod)
    estate.add_slb("bi-public", "cn-shanghai", zone="l", address="101.132.20.7", expires_in_days=28)
    estate.add_redis("mall-session", tags=prod)
    estate.add_redis("mall-cache", architecture="cluster", capacity_mb=16384, spec="redis.sharding.mid.default")
    estate.add_redis("mall-sessions", kind="Memcache", spec="memcache.master.small.default")
    estate.add_redis("mall-rank", architecture="rwsplit", spec="redis.logic.splitrw.small", expires_in_days=None)
    estate.add_mongodb("mall-comment", tags=prod)
    estate.add_mongodb("mall-log", kind="sharding", spec="dds.shard.mid", expires_in_days=None)
    for bucket, region in (("static", "cn-hangzhou"), ("backup", "cn-shanghai"), ("upload", "cn-hangzhou")):
        estate.add_bucket(f"jiahe-{bucket}", region, storage_class="IA" if bucket == "backup" else "Standard")
    for domain in ("www.jiahe.example", "static.jiahe.example"):
        estate.add_domain(domain)
    estate.add_domain("dl.jiahe.example", kind="download", https=False)
    estate.add_drds("mall-shard")
    estate.add_polardbx("mall-history")
    estate.add_elasticsearch("mall-search")
    estate.add_elasticsearch("ops-log", "cn-shanghai", expires_in_days=None)
    estate.add_loose_disk(500)
    estate.add_eip("mall-old-gateway", "47.96.91.140")
    estate.add_eip("rdmp-ops", "47.96.88.12", instance_id=str(estate.find("rdmp-ops")["InstanceId"]))
    estate.find("erp-win-01")["_Agent"] = "none"
    estate.find("mall-job-01")["_Agent"] = "old"
    for name in ("mall-web-01", "mall-order"):
        row = estate.find(name)
        estate.renewals[str(row.get("InstanceId") or row["DBInstanceId"])] = "AutoRenewal"
    for product, name, days in (("domain", "jiahe.example", 52), ("cdt", "cdt-bp1demo00000001", 9)):
        end = seconds((now + timedelta(days=days)).replace(hour=16))
        estate.subscriptions.append({"ProductCode": product, "InstanceID": name, "EndTime": end})
    return estate
