"""What is paid for and hangs on nothing: disks without an instance and addresses without a resource.

ECS DescribeDisks and VPC DescribeEipAddresses, each asked for what is "Available".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from assets.aliyun.paging import counted
from assets.aliyun.resources import Row, parse_time, text
from assets.aliyun.transport import Connection

DISKS: Final = ("Ecs", "2014-05-26", "DescribeDisks")
ADDRESSES: Final = ("Vpc", "2016-04-28", "DescribeEipAddresses")


@dataclass(frozen=True, slots=True)
class Unattached:
    """A disk ("disk") or an elastic address ("eip") that nothing uses. `since` is when it was taken off, if known."""

    kind: str
    instance_id: str
    name: str
    region: str
    size: str
    since: datetime | None


def unattached(client: Connection, regions: Sequence[str]) -> tuple[Unattached, ...]:
    """Everything of an account that hangs on nothing. Raises AliyunError rather than return less."""
    found: list[Unattached] = []
    for region in regions:
        found += [_disk(row, region) for row in _all(client, DISKS, region, "Disks", "Disk")]
        found += [_address(row, region) for row in _all(client, ADDRESSES, region, "EipAddresses", "EipAddress")]
    return tuple(found)


def _all(client: Connection, action: tuple[str, str, str], region: str, *path: str) -> Iterator[Row]:
    return counted(client, action, {"Status": "Available"}, path=path, region=region)


def _disk(row: Row, region: str) -> Unattached:
    size = f"{text(row, 'Size')} GiB {text(row, 'Category')}".strip()
    return Unattached("disk", *_names(row, "DiskId", "DiskName"), region, size, parse_time(text(row, "DetachedTime")))


def _address(row: Row, region: str) -> Unattached:
    size = " · ".join(filter(None, (text(row, "IpAddress"), f"{text(row, 'Bandwidth')} Mbit/s")))
    return Unattached("eip", *_names(row, "AllocationId", "Name"), region, size, None)


def _names(row: Row, key: str, name: str) -> tuple[str, str]:
    return text(row, key)[:128], text(row, name).replace("\0", "")[:200]
