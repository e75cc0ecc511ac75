"""Many rows in one statement leave what one by one would have left."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import bulk, scope
from accounts.models import Customer
from assets.models import Asset
from monitoring.models import Series
from tests.monitoring.samples import server

AWKWARD = ["plain", 'a "quoted" one', "back\\slash", "{braces, commas}", "NULL", "", "引号”和换行\n", "it's"]


def assets(customer: Customer, names: list[str]) -> list[Asset]:
    now = timezone.now()
    return [
        Asset(customer=customer, kind="server", os="linux", name=name, tags={"n": name}, created_at=now, changed_at=now)
        for name in names
    ]


@pytest.mark.parametrize("values", [AWKWARD, [None, "x"], [1, 2, None], [1.5, float("inf")], [True, False]])
def test_an_array_arrives_as_it_was(values: list[object], db: None) -> None:
    kind = {str: "text", int: "bigint", float: "float8", bool: "boolean"}[type(values[-1] or values[0])]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [bulk.array(values)])
        assert cursor.fetchone()[0] == values


def test_inserted_rows_have_their_keys_and_their_values(jia: Customer) -> None:
    with scope.customer(jia):
        rows = assets(jia, AWKWARD)
        with CaptureQueriesContext(connection) as seen:
            bulk.insert(rows)
        assert len(seen) == 1
        stored = Asset.objects.in_bulk([row.pk for row in rows])
        assert [(stored[row.pk].name, stored[row.pk].tags) for row in rows] == [(one, {"n": one}) for one in AWKWARD]
        assert not any(row._state.adding for row in rows)


def test_a_row_follows_what_was_saved_after_it_was_made(jia: Customer) -> None:
    with scope.customer(jia):
        (web,) = assets(jia, ["web"])
        series = Series(customer=jia, asset=web, metric="host.cpu.util", created_at=timezone.now())
        bulk.insert([web])
        bulk.insert([series])
        assert Series.objects.get().asset_id == web.pk


def test_no_json_is_no_value(jia: Customer) -> None:
    web = server(jia)
    with scope.customer(jia):
        web.tags = None
        with pytest.raises(IntegrityError), transaction.atomic():
            bulk.update([web], ["tags"])


def test_what_is_too_long_is_refused_and_not_cut_off(jia: Customer) -> None:
    with scope.customer(jia), pytest.raises(DataError), transaction.atomic():
        bulk.insert(assets(jia, ["x" * 2000, "y"]))


def test_rows_of_another_customer_are_refused(jia: Customer, yi: Customer) -> None:
    with scope.customer(jia), pytest.raises(Exception, match="row-level security"), transaction.atomic():
        bulk.insert(assets(yi, ["theirs"]))


def test_saved_rows_are_changed_together(jia: Customer) -> None:
    first, second = server(jia, "a"), server(jia, "b")
    at = timezone.now() + timedelta(hours=1)
    with scope.customer(jia):
        first.name, second.name = 'c"', "d"
        first.changed_at = second.changed_at = at
        assert bulk.update([first, second], ["name", "changed_at"]) == 2
        assert sorted(Asset.objects.values_list("name", "changed_at")) == [('c"', at), ("d", at)]
