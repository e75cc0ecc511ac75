"""A month of five hundred resources: everything is counted, and the database is not asked for each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from reports.blocks import Part
from reports.kinds import inventory
from reports.kinds.asking import Asked
from reports.kinds.monthly import databases, hosts, incidents, overview, security, web
from tests.reports.golden import BEFORE, day, figure, read, rows, said, table, warnings, write

pytestmark = pytest.mark.django_db
KINDS = ("ecs", "ecs", "ecs", "rds", "url")
MANY = 500
PARTS: tuple[Callable[[Asked], Part], ...] = (
    overview.read, incidents.read, security.read, web.read, hosts.read, databases.read, inventory.read,
)  # fmt: skip


def fill(customer: Customer, upto: int) -> None:
    """Resources of the contract's kinds, until there are so many."""
    with scope.customer(customer):
        there = Asset.objects.count()
        Asset.objects.bulk_create(
            Asset(
                customer=customer, name=f"{KINDS[number % 5]}-{number:03}", kind=KINDS[number % 5],
                engine="MySQL 8.0" if KINDS[number % 5] == "rds" else "", created_at=BEFORE, changed_at=BEFORE,
            )
            for number in range(there, upto)
        )  # fmt: skip


def queries(customer: Customer, part: Callable[[Asked], Part]) -> int:
    read(customer, part)
    with CaptureQueriesContext(connection) as asked:
        read(customer, part)
    return len(asked)


def test_no_part_asks_more_queries_of_more_resources(jia: Customer) -> None:
    fill(jia, 50)
    few = [queries(jia, part) for part in PARTS]
    fill(jia, MANY)
    assert [queries(jia, part) for part in PARTS] == few


def test_the_store_is_asked_by_resource_and_not_by_series(jia: Customer) -> None:
    """Its samples lie by resource and day (ADR 0004): what a resource costs does not depend on how much is known."""
    fill(jia, 20)
    few = queries(jia, hosts.read)
    with scope.customer(jia):
        watched = list(Asset.objects.filter(kind="ecs").select_related("customer"))
    counts = []
    for metrics in (("ecs.cpu.util",), ("ecs.mem.util", "ecs.net.in_bits_per_s")):
        for asset in watched:
            for metric in metrics:
                write(asset, metric, 10, first=day(1), last=day(1, 1))
        counts.append(queries(jia, hosts.read))
    assert counts[0] == counts[1] <= few + 4 * len(watched) + 1


def test_all_of_them_are_counted(jia: Customer) -> None:
    fill(jia, MANY)
    assert figure(read(jia, overview.read), "resources") == MANY
    assert [row[-1] for row in table(read(jia, overview.read), "resources").rows] == [300, 100, 100]
    listed = rows(read(jia, inventory.read), "resources")
    assert len(listed) == MANY
    part = read(jia, hosts.read)
    assert figure(part, "hosts") == 300


def test_of_five_hundred_those_that_told_something_have_their_numbers(jia: Customer) -> None:
    fill(jia, MANY)
    with scope.customer(jia):
        every = list(Asset.objects.select_related("customer").order_by("pk")[:25])
    for asset in every:
        metric, value = {"ecs": ("ecs.cpu.util", 91.0), "rds": ("rds.cpu.util", 30.0)}.get(
            asset.kind, ("url.result_code", 0.0)
        )
        labels = {"url": f"https://{asset.name}.example/"} if asset.kind == "url" else {}
        write(asset, metric, value, first=day(1), last=day(1, 6), **labels)
    part = read(jia, hosts.read)
    assert (figure(part, "hosts"), figure(part, "cpu"), figure(part, "short")) == (300, 91, 15)
    assert len(table(part, "use").rows) == 15
    assert "280" in warnings(part)[0], "285 told nothing: five are named, the others counted"
    assert said(part, "good") == ""
    part = read(jia, databases.read)
    assert (figure(part, "databases"), figure(part, "cpu"), figure(part, "short")) == (100, 30, 0)
    assert said(part, "good") == ""
    part = read(jia, web.read)
    assert (figure(part, "urls"), figure(part, "available")) == (5, 100)
    assert said(part, "good") == ""
    part = read(jia, overview.read)
    assert figure(part, "resources") == MANY
    assert figure(part, "health_availability") is None
