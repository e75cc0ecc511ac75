"""The list API of each product: where it is, how it pages, and which function reads its rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assets.aliyun.resources import (
    Resource,
    Row,
    cdn,
    drds,
    ecs,
    elasticsearch,
    memcache,
    mongodb,
    polardbx,
    rds,
    redis,
    slb,
)


@dataclass(frozen=True)
class Listing:
    """One list API: where it is, how it pages, and how to read a row.

    ``sizes`` are the names of the page-number and page-size parameters with the greatest size the API takes;
    ``items`` and ``total`` are paths in the answer. ``variants`` are further parameters, listed one after the other.
    """

    product: str
    version: str
    action: str
    items: tuple[str, ...]
    total: tuple[str, ...]
    read: Callable[[Row], Resource]
    page_size: int = 100
    page_names: tuple[str, str] = ("PageNumber", "PageSize")
    by_token: bool = False
    is_global: bool = False
    path: str = ""  # ROA APIs only
    variants: Sequence[Mapping[str, str]] = ({},)


# Page sizes are the greatest of each API reference; Dds lists only replica sets unless asked for sharded clusters,
# and R-kvstore has three products in one list.
LISTINGS: Mapping[str, tuple[Listing, ...]] = {
    "ecs": (
        Listing(
            "Ecs", "2014-05-26", "DescribeInstances", ("Instances", "Instance"), ("TotalCount",), ecs, by_token=True
        ),
    ),
    "rds": (Listing("Rds", "2014-08-15", "DescribeDBInstances", ("Items", "DBInstance"), ("TotalRecordCount",), rds),),
    "slb": (
        Listing("Slb", "2014-05-15", "DescribeLoadBalancers", ("LoadBalancers", "LoadBalancer"), ("TotalCount",), slb),
    ),
    "redis": (
        Listing(
            "R-kvstore",
            "2015-01-01",
            "DescribeInstances",
            ("Instances", "KVStoreInstance"),
            ("TotalCount",),
            redis,
            page_size=50,
            variants=({"InstanceType": "Redis"}, {"InstanceType": "Tair"}),
        ),
    ),
    "memcache": (
        Listing(
            "R-kvstore",
            "2015-01-01",
            "DescribeInstances",
            ("Instances", "KVStoreInstance"),
            ("TotalCount",),
            memcache,
            page_size=50,
            variants=({"InstanceType": "Memcache"},),
        ),
    ),
    "mongodb": (
        Listing(
            "Dds",
            "2015-12-01",
            "DescribeDBInstances",
            ("DBInstances", "DBInstance"),
            ("TotalCount",),
            mongodb,
            variants=({"DBInstanceType": "replicate"}, {"DBInstanceType": "sharding"}),
        ),
    ),
    "cdn": (
        Listing(
            "Cdn",
            "2018-05-10",
            "DescribeUserDomains",
            ("Domains", "PageData"),
            ("TotalCount",),
            cdn,
            page_size=500,
            is_global=True,
        ),
    ),
    "drds": (
        Listing(
            "Drds", "2019-01-23", "DescribeDrdsInstances", ("Instances", "Instance"), ("Total",), drds, page_size=50
        ),
        Listing("polardbx", "2020-02-02", "DescribeDBInstances", ("DBInstances",), ("TotalNumber",), polardbx),
    ),
    "elasticsearch": (
        Listing(
            "elasticsearch",
            "2017-06-13",
            "ListInstance",
            ("Result",),
            ("Headers", "X-Total-Count"),
            elasticsearch,
            page_size=50,
            page_names=("page", "size"),
            path="/openapi/instances",
        ),
    ),
}

CLOUD_KINDS = (*LISTINGS, "oss")
