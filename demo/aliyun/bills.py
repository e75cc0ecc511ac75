"""The bills of the simulated cloud: what each resource cost on each day, 18 months back.

Every figure is a pure function of the resource and the day, so that two looks at a settled day agree. As with the real
one, yesterday is not whole before noon, today is not there at all, and a page may repeat a row while a bill is made.
Field names are those of DescribeInstanceBill's reference. Days are those of Beijing.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.workings import Json

BEIJING = timezone(timedelta(hours=8))
MONTHS = 18
EARLY = 0.55
"""How much of yesterday has been reckoned before noon."""
PAY = ("InstanceChargeType", "PayType", "ChargeType", "paymentType")
BURST_EVERY, BURST_DAYS, BURST = 29, 2, 3.4
"""Now and then a download goes round the world: traffic of so many times the usual."""


@dataclass(frozen=True)
class Price:
    """What a resource of a product costs a day, in yuan; `traffic` follows the people, the rest is always the same."""

    code: str
    name: str
    item: str
    fixed: float
    traffic: float = 0.0


PRICES: Mapping[str, Price] = {
    "ecs": Price("ecs", "云服务器 ECS", "云服务器配置", 14.6),
    "rds": Price("rds", "云数据库 RDS", "实例规格", 31.2),
    "slb": Price("slb", "负载均衡 SLB", "流量", 1.9, 9.5),
    "redis": Price("redisa", "云数据库 Redis", "实例规格", 11.8),
    "mongodb": Price("dds", "云数据库 MongoDB", "实例规格", 38.4),
    "oss": Price("oss", "对象存储 OSS", "存储与流出流量", 4.4, 6.1),
    "cdn": Price("cdn", "CDN", "流出流量", 0.0, 34.0),
    "drds": Price("drds", "分布式数据库 DRDS", "实例规格", 52.0),
    "polardbx": Price("polardbx", "云原生分布式数据库 PolarDB-X", "实例规格", 58.0),
    "elasticsearch": Price("elasticsearch", "检索分析 Elasticsearch", "实例规格", 47.5),
}
DISK = Price("yundisk", "块存储", "云盘", 6.6)
EIP = Price("eip", "弹性公网 IP", "配置费", 0.48)
IDS = {
    "ecs": ("InstanceId", "InstanceName"),
    "rds": ("DBInstanceId", "DBInstanceDescription"),
    "slb": ("LoadBalancerId", "LoadBalancerName"),
    "redis": ("InstanceId", "InstanceName"),
    "mongodb": ("DBInstanceId", "DBInstanceDescription"),
    "oss": ("Name", "Name"),
    "cdn": ("DomainName", "DomainName"),
    "drds": ("DrdsInstanceId", "Description"),
    "polardbx": ("Id", "Description"),
    "elasticsearch": ("instanceId", "description"),
}
SPEC = ("InstanceType", "DBInstanceClass", "LoadBalancerSpec", "InstanceClass", "InstanceSeries", "NodeClass")


def instance_bill(call: Call) -> Json:
    """DescribeInstanceBill, of which the platform asks for days and items."""
    cycle = call.need("BillingCycle")
    if call.params.get("Granularity", "MONTHLY") != "DAILY":
        raise invalid("Granularity")
    on = _day(call.need("BillingDate"), cycle)
    today = call.now.astimezone(BEIJING).date()
    if (today.year - on.year) * 12 + today.month - on.month > MONTHS:
        raise invalid("BillingCycle")
    found = list(items_of(call, on, call.now))
    size = call.number("MaxResults", 20, top=300)
    begins = _offset(call.params.get("NextToken", ""), len(found))
    page = found[begins : begins + size]
    bills = call.estate.bills
    if begins and bills.repeats:
        bills.repeats -= 1
        page = [found[begins - 1], *page]
    if begins and bills.loses:
        bills.loses -= 1
        page = page[1:]
    more = {"NextToken": f"b{begins + size}"} if begins + size < len(found) else {}
    data: Json = {
        "BillingCycle": cycle,
        "AccountID": call.uid.uid,
        "AccountName": call.uid.alias,
        "TotalCount": len(found),
        "MaxResults": size,
        "Items": page,
        **more,
    }
    return {"Success": True, "Code": "Success", "Message": "Successful!", "Data": data}


def items_of(call: Call, on: date, now: datetime) -> Iterator[Json]:
    """The rows of a day as they are known at a moment."""
    today = now.astimezone(BEIJING).date()
    if on >= today:
        return
    is_early = on == today - timedelta(days=1) and now.astimezone(BEIJING).hour < 12
    share = EARLY if is_early else 1.0
    for product in PRICES:
        for row in call.estate.rows[product]:
            yield from _of_resource(call, product, row, on, share)
    for number, disk in enumerate(call.estate.work.disks):
        if disk["Status"] == "Available":
            yield _row(DISK, str(disk["DiskId"]), f"data-{number + 1}", on, float(str(disk["Size"])) * 0.0333 * share)
    for eip in call.estate.eips:
        if eip["Status"] == "Available":
            yield _row(EIP, str(eip["AllocationId"]), str(eip["Name"]), on, EIP.fixed * share)
    yield from call.estate.bills.extra.get(on, [])


def _of_resource(call: Call, product: str, row: Json, on: date, share: float) -> Iterator[Json]:
    price, (id_key, name_key) = PRICES[product], IDS[product]
    instance_id, name = str(row[id_key]), str(row.get(name_key) or row[id_key])
    own = 0.7 + 0.6 * _unit(instance_id)
    factor = call.estate.bills.factors.get((on, instance_id), 1.0)
    spec = str(next((row[key] for key in SPEC if key in row), ""))
    more = {"Region": str(row.get("RegionId") or row.get("Region") or ""), "InstanceSpec": spec}
    is_prepaid = next((str(row[key]) for key in PAY if key in row), "").lower().startswith("pre")
    is_stopped = row.get("Status") == "Stopped"
    if is_prepaid:
        if on.day == 1 + int(27 * _unit(f"{instance_id}/renewal")):
            paid = round(price.fixed * own * 30 * 0.85, 2)
            yield _row(price, instance_id, name, on, paid * factor, kind="SubscriptionOrder", **more)
    elif price.fixed:
        yield _row(
            price, instance_id, name, on, price.fixed * own * (0.3 if is_stopped else 1) * share * factor, **more
        )
    if price.traffic and not is_stopped:
        amount = price.traffic * own * people(instance_id, on) * share * factor
        yield _row(price, instance_id, name, on, amount, item="流出流量", **more)


def people(instance_id: str, on: date) -> float:
    """Traffic of a day: quieter at weekends, a little more every month, and now and then a burst on downloads."""
    level = (0.72 if on.weekday() >= 5 else 1.0) * (1 + 0.0006 * (on.toordinal() - 739_900))
    level *= 1 + 0.06 * math.sin(on.toordinal() / 5) + 0.05 * (_unit(f"{instance_id}{on}") - 0.5)
    burst = on.toordinal() % BURST_EVERY < BURST_DAYS and instance_id.startswith("dl.")
    return level * (BURST if burst else 1.0)


def _row(
    price: Price,
    instance_id: str,
    name: str,
    on: date,
    amount: float,
    *,
    item: str = "",
    kind: str = "",
    **more: str,
) -> Json:
    return {
        "BillingDate": on.isoformat(),
        "ProductCode": price.code,
        "ProductName": price.name,
        "ProductType": price.code,
        "ProductDetail": price.name,
        "SubscriptionType": "Subscription" if kind == "SubscriptionOrder" else "PayAsYouGo",
        "Item": kind or "PayAsYouGoBill",
        "BillingItem": item or price.item,
        "InstanceID": instance_id,
        "NickName": name,
        "Currency": "CNY",
        "PretaxGrossAmount": round(amount / 0.85, 6),
        "InvoiceDiscount": round(amount / 0.85 - amount, 6),
        "PretaxAmount": round(amount, 6),
        **more,
    }


def _unit(text: str) -> float:
    """In [0, 1), the same for the same text everywhere."""
    return zlib.crc32(text.encode()) / 2**32


def _day(text: str, cycle: str) -> date:
    try:
        on = date.fromisoformat(text)
    except ValueError as error:
        raise invalid("BillingDate") from error
    if f"{on:%Y-%m}" != cycle:
        raise invalid("BillingDate")
    return on


def _offset(token: str, most: int) -> int:
    if not token:
        return 0
    if not token.startswith("b") or not token[1:].isdigit() or int(token[1:]) > most:
        raise ApiError(400, "InvalidParameter.NextToken", "The specified NextToken is invalid.")
    return int(token[1:])


def eip_addresses(call: Call) -> Json:
    """DescribeEipAddresses of the VPC product."""
    wanted = call.params.get("Status", "")
    found = [
        one for one in call.estate.eips if one["RegionId"] == call.need("RegionId") and wanted in ("", one["Status"])
    ]
    number, size = call.number("PageNumber", 1), call.number("PageSize", 10, top=100)
    page = found[(number - 1) * size : number * size]
    return {"TotalCount": len(found), "PageNumber": number, "PageSize": size, "EipAddresses": {"EipAddress": page}}


ACTIONS: Mapping[str, Callable[[Call], Json]] = {"DescribeInstanceBill": instance_bill}
