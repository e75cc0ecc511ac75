"""Samples behind the wall: written by a role that can only insert, read within the scope."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, time, timedelta

import numpy as np
import pytest
from django.db import connection, transaction
from django.db.utils import OperationalError, ProgrammingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import scope
from accounts.models import Customer
from assets.models import Asset
from monitoring import storage
from monitoring.models import Series
from tests.monitoring.samples import START, feed, minute, server


@pytest.fixture
def web(jia: Customer) -> Asset:
    asset = server(jia)
    feed(jia, asset, "host.cpu.util", [1, 2, 3])
    return asset


def read(asset: Asset) -> list[float]:
    with scope.platform("ids"):
        series = Series.objects.get(asset=asset).pk
    found = storage.read(asset_id=asset.pk, series_ids=[series], start=START, end=minute(60))
    return [float(value) for value in found[series].value]


def test_a_customer_reads_its_own_samples(jia: Customer, web: Asset) -> None:
    with scope.customer(jia):
        assert read(web) == [1, 2, 3]


def test_another_customer_reads_none(yi: Customer, web: Asset) -> None:
    with scope.platform("ids"):
        series = Series.objects.get(asset=web).pk
    with scope.customer(yi):
        found = storage.read(asset_id=web.pk, series_ids=[series], start=START, end=minute(60))
    assert len(found[series].ts) == 0


def test_without_a_scope_no_sample_is_shown(web: Asset) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM samples.sample")
        assert cursor.fetchone()[0] == 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM samples.block",
        "INSERT INTO samples.block VALUES (1, 1, now(), '{1}', '{1}')",
        "DELETE FROM samples.block",
        "UPDATE samples.readable SET value = '{}'",
        "SELECT * FROM samples.block_20260302",
    ],
)
def test_the_application_has_no_right_on_the_table_itself(web: Asset, statement: str) -> None:
    refused = pytest.raises(ProgrammingError, match="permission denied")
    with scope.platform("try"), connection.cursor() as cursor, refused, transaction.atomic():
        cursor.execute(statement)


@pytest.mark.parametrize("statement", ["SELECT * FROM samples.block", "SELECT * FROM monitoring_alert"])
def test_the_role_that_writes_can_read_nothing(web: Asset, statement: str) -> None:
    with scope.platform("try"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {storage.INGEST_ROLE}")
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            cursor.execute(statement)


def test_the_view_of_single_samples_agrees(jia: Customer, web: Asset) -> None:
    with scope.customer(jia), connection.cursor() as cursor:
        cursor.execute("SELECT value FROM samples.sample WHERE asset_id = %s ORDER BY ts", [web.pk])
        assert [value for (value,) in cursor] == [1, 2, 3]


def test_the_newest_value_of_each_series_is_at_hand(jia: Customer, web: Asset) -> None:
    with scope.customer(jia):
        ((ts, value),) = storage.newest([web.pk]).values()
    assert (ts, value) == (round(minute(2).timestamp() * 1000), 3.0)


def test_todays_samples_cannot_be_dropped(db: None) -> None:
    with connection.cursor() as cursor, pytest.raises(Exception, match="would drop today"):
        cursor.execute("SELECT samples.drop_empty_days_before(current_date + 1)")


QUIET_DAY = START.date() - timedelta(days=40)
"""A day into which no other test writes."""


def write_one(asset: Asset) -> None:
    at = datetime.combine(QUIET_DAY, time(1), UTC)
    ids = np.array([asset.pk])
    storage.write(
        customer_id=asset.customer_id,
        asset=ids,
        ts=np.array([round(at.timestamp() * 1000)]),
        series=ids.astype(np.int32),
        value=np.array([7.0]),
    )


def drop_quiet_day() -> int:
    return storage.drop_empty_days_before(QUIET_DAY + timedelta(days=1))


def test_a_past_day_that_was_dropped_before_anything_came_is_made_again(jia: Customer) -> None:
    asset = server(jia)
    storage.make_days([QUIET_DAY])
    assert drop_quiet_day() == 1
    with scope.customer(jia):
        write_one(asset)
        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM samples.sample WHERE asset_id = %s", [asset.pk])
            assert cursor.fetchall() == [(7,)]


@pytest.mark.django_db(transaction=True)
def test_a_past_day_is_not_dropped_while_samples_are_on_their_way_into_it(jia: Customer) -> None:
    asset = server(jia)
    storage.make_days([QUIET_DAY])

    def drop_elsewhere() -> int:
        with closing(connection):
            return drop_quiet_day()

    with scope.customer(jia), transaction.atomic(), ThreadPoolExecutor(1) as elsewhere:
        write_one(asset)
        with pytest.raises(OperationalError, match="lock timeout"):
            elsewhere.submit(drop_elsewhere).result()
        transaction.set_rollback(True)
    assert drop_quiet_day() == 1


VALUES = st.floats(allow_nan=False, allow_infinity=False)
POINTS = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(1, 6)), VALUES, min_size=1, max_size=40
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(POINTS)
def test_what_is_copied_in_is_read_back_bit_for_bit(db: None, points: dict[tuple[int, int, int], float]) -> None:
    storage.make_days([START.date()])
    rows = [(asset, at, asset * 100 + series, value) for (asset, at, series), value in points.items()]
    asset, at, series, value = (np.array(column) for column in zip(*rows, strict=True))
    start = round(START.timestamp() * 1000)
    with transaction.atomic(), scope.platform("round trip"):
        storage.write(
            customer_id=1,
            asset=asset,
            ts=start + at * 60_000,
            series=series.astype(np.int32),
            value=value.astype(float),
        )
        for one in set(asset.tolist()):
            wanted = sorted({int(each) for each in series[asset == one]})
            found = storage.read(asset_id=one, series_ids=wanted, start=START, end=minute(60))
            for each in wanted:
                expected = sorted((a, v) for o, a, s, v in rows if o == one and s == each)
                assert found[each].value.tolist() == [v for _, v in expected]
                assert found[each].ts.tolist() == [start + a * 60_000 for a, _ in expected]
        transaction.set_rollback(True)
