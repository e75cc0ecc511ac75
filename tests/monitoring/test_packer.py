"""Closed hours and days are packed: nothing is lost, nothing doubled, whoever dies, races or comes late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.db import connection, transaction
from django.db.utils import ProgrammingError

from accounts import scope
from accounts.models import Customer, User
from assets.models import Asset, CloudAccount
from monitoring import archive, pipeline, registry, storage
from monitoring.collectors import Batch
from monitoring.models import CloudUse, Event, Retention, Series
from monitoring.services import packer
from tests.conftest import NOW
from tests.monitoring.samples import START, batch, feed, minute, server

DAY = timedelta(days=1)
MIDNIGHT = START.replace(hour=0)
NEXT_NIGHT = MIDNIGHT + DAY + timedelta(hours=1)


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia)


def points(asset: Asset, metric: str = "host.cpu.util") -> dict[float, float]:
    """Every stored point of a series: minutes from START, and values."""
    with scope.customer(asset.customer_id):
        series = Series.objects.get(asset=asset, metric=metric).pk
        found = storage.read(asset_id=asset.pk, series_ids=[series], start=MIDNIGHT - 9 * DAY, end=START + 9 * DAY)
    column = found[series]
    minutes = (column.ts / 1000 - START.timestamp()) / 60
    assert len(set(minutes.tolist())) == len(minutes), "a point came twice"
    return dict(zip(minutes.tolist(), column.value.tolist(), strict=True))


def count(table: str, asset: Asset) -> int:
    """Rows of this asset: what tests without a rollback leave behind is others' assets'."""
    with transaction.atomic(), archive.as_packer(), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM samples.{table} WHERE asset_id = %s", [asset.pk])
        return int(cursor.fetchone()[0])


def steps(asset: Asset, step: storage.Step, metric: str = "host.cpu.util") -> storage.Rollup:
    with scope.customer(asset.customer_id):
        series = Series.objects.get(asset=asset, metric=metric).pk
        return storage.rollup(series_ids=[series], start=MIDNIGHT, end=MIDNIGHT + 2 * DAY, step_s=step)[series]


def test_a_closed_hour_moves_and_reads_as_before(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", range(90))
    before = points(web)
    done = packer.run(now=minute(90))
    assert (done.points, done.hours, done.days) == (60, 1, 0)
    assert (count("block", web), count("packed", web)) == (30, 1)
    assert points(web) == before
    assert packer.run(now=minute(90)).points == 0


def test_an_hour_waits_for_what_usually_comes_late(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", range(60))
    assert packer.run(now=minute(69)).points == 0
    assert packer.run(now=minute(70)).points == 60


def test_late_points_are_merged_into_their_hour(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [5] * 20, start=30)
    packer.run(now=minute(90))
    assert feed(jia, web, "host.cpu.util", [7] * 10, start=10, now=minute(90)).stored == 10
    expected = {float(at): 7.0 for at in range(10, 20)} | {float(at): 5.0 for at in range(30, 50)}
    assert points(web) == expected, "seen at once"
    assert packer.run(now=minute(91)).points == 10
    assert points(web) == expected
    assert (count("block", web), count("packed", web)) == (0, 1)


def test_points_that_come_again_after_packing_are_known(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", range(50))
    feed(jia, web, "host.mem.util", range(50))
    packer.run(now=minute(90))
    again = feed(jia, web, "host.cpu.util", range(50), now=minute(91))
    assert (again.stored, again.repeated) == (0, 50)
    registry.forget()
    assert feed(jia, web, "host.mem.util", range(40), now=minute(91)).stored == 0


def test_a_point_stored_twice_by_accident_is_packed_once(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", range(50))
    packer.run(now=minute(90))
    with scope.customer(jia), transaction.atomic():
        series = np.full(50, Series.objects.get().pk, dtype=np.int32)
        ts = np.array([round(minute(at).timestamp() * 1000) for at in range(50)])
        storage.write(customer_id=jia.pk, asset=np.full(50, web.pk), ts=ts, series=series, value=np.full(50, 1.0))
    assert points(web) == {float(at): float(at) for at in range(50)}
    assert packer.run(now=minute(90)).points == 0
    assert (count("block", web), points(web)[49]) == (0, 49.0)


def test_a_closed_day_is_kept_in_steps_that_agree_with_its_points(jia: Customer, web: Asset) -> None:
    values = [(at * 7919) % 1000 / 10 for at in range(1440 - 120)]
    feed(jia, web, "host.cpu.util", values)
    both: tuple[storage.Step, storage.Step] = (300, 3600)
    loose = {step: steps(web, step) for step in both}
    assert packer.run(now=NEXT_NIGHT).days == 1
    assert count("steps", web) == 1
    for step, expected in loose.items():
        kept = steps(web, step)
        assert kept.ts.tolist() == expected.ts.tolist()
        assert kept.low.tolist() == expected.low.tolist()
        assert kept.high.tolist() == expected.high.tolist()
        assert kept.count.tolist() == expected.count.tolist()
        np.testing.assert_allclose(kept.mean, expected.mean, rtol=1e-12)
    assert loose[300].count.max() == 5
    assert loose[300].low[0] == min(values[:5])


def test_a_late_point_changes_the_steps_of_its_day(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [5.0] * 60, start=60)
    packer.run(now=NEXT_NIGHT)
    feed(jia, web, "host.cpu.util", [99.0], start=30, now=NEXT_NIGHT)
    for _ in ("before it is packed", "after"):
        found = steps(web, 3600)
        assert found.high.tolist() == [99.0, 5.0]
        assert found.count.tolist() == [1, 60]
        packer.run(now=NEXT_NIGHT)
    assert (count("block", web), count("packed", web), count("steps", web), count("open_day", web)) == (0, 1, 1, 0)
    assert points(web) == {30.0: 99.0} | {float(at): 5.0 for at in range(60, 120)}


def test_a_closed_day_is_one_row_and_any_part_of_it_is_read(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", range(600))
    before = points(web)
    packer.run(now=minute(700))
    assert count("packed", web) == 10
    packer.run(now=NEXT_NIGHT)
    assert count("packed", web) == 1
    assert points(web) == before
    with scope.customer(jia):
        series = Series.objects.get().pk
        for start, end in ((0, 60), (125.5, 126.5), (599, 900), (-60, 0.5)):
            found = storage.read(asset_id=web.pk, series_ids=[series], start=minute(start), end=minute(end))
            assert found[series].value.tolist() == [at for at in range(600) if start <= at < end]
    assert feed(jia, web, "host.cpu.util", range(600), now=NEXT_NIGHT).repeated == 600


def test_missing_minutes_are_a_gap_not_a_zero(jia: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", [5.0] * 10)
    feed(jia, web, "host.cpu.util", [5.0] * 10, start=50)
    packer.run(now=NEXT_NIGHT)
    assert [int(ts / 1000 - START.timestamp()) // 60 for ts in steps(web, 300).ts] == [0, 5, 50, 55]


def test_assets_with_very_many_series_take_several_rows(
    jia: Customer, web: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "SERIES_IN_A_ROW", 3)
    rows = [
        (web, "host.cpu.core_util", {"core": str(core)}, minute(at), core + at) for core in range(8) for at in (0, 1)
    ]
    pipeline.ingest(batch(jia, rows), now=minute(2))
    packer.run(now=NEXT_NIGHT)
    assert (count("packed", web), count("steps", web)) == (3, 3)
    feed(jia, web, "host.cpu.core_util", [50], start=5, labels={"core": "7"}, now=NEXT_NIGHT)
    packer.run(now=NEXT_NIGHT)
    with scope.customer(jia):
        ids = list(Series.objects.order_by("pk").values_list("pk", flat=True))
        found = storage.read(asset_id=web.pk, series_ids=ids, start=START, end=minute(60))
    assert [len(found[one].ts) for one in ids] == [2] * 7 + [3]


# --- the wall ------------------------------------------------------------------------------------------------------


def test_packed_history_is_read_by_its_customer_alone(jia: Customer, yi: Customer, web: Asset) -> None:
    feed(jia, web, "host.cpu.util", range(60))
    packer.run(now=NEXT_NIGHT)
    with scope.platform("ids"):
        series = Series.objects.get(asset=web).pk
    start, end = MIDNIGHT, MIDNIGHT + DAY
    with scope.customer(yi):
        assert len(storage.read(asset_id=web.pk, series_ids=[series], start=start, end=end)[series].ts) == 0
        assert len(storage.rollup(series_ids=[series], step_s=300, start=start, end=end)[series].ts) == 0
        assert seen("packed_readable", web) == seen("steps_readable", web) == 0
    with scope.customer(jia):
        assert seen("packed_readable", web) == seen("steps_readable", web) == 1
    assert seen("packed_readable", web) == 0, "no scope, no rows"


def seen(view: str, asset: Asset) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM samples.{view} WHERE asset_id = %s", [asset.pk])
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM samples.packed",
        "SELECT * FROM samples.steps",
        "DELETE FROM samples.packed",
        "INSERT INTO samples.open_day VALUES (1, 1, now())",
        "UPDATE samples.packed_readable SET points = 0",
    ],
)
def test_the_application_cannot_touch_packed_history(web: Asset, statement: str) -> None:
    refused = pytest.raises(ProgrammingError, match="permission denied")
    with scope.platform("try"), connection.cursor() as cursor, refused, transaction.atomic():
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM monitoring_alert", "SELECT * FROM accounts_user", "UPDATE samples.packed SET points = 0"],
)
def test_the_role_that_packs_can_do_nothing_else(web: Asset, statement: str) -> None:
    with scope.platform("try"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {archive.PACK_ROLE}")
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            cursor.execute(statement)


# --- keeping and dropping ------------------------------------------------------------------------------------------


def test_a_day_is_dropped_only_when_all_of_it_is_packed(jia: Customer, web: Asset) -> None:
    today = datetime.now(START.tzinfo).replace(hour=1, minute=0, second=0, microsecond=0)
    old = today - timedelta(days=5)
    registry.forget()
    keys = [(jia.pk, web.pk, "host.cpu.util", "")]
    ts = np.array([round(old.timestamp() * 1000)])
    pipeline.ingest(Batch(jia.pk, keys, np.zeros(1, np.int32), ts, np.ones(1)), now=today)
    storage.drop_empty_days_before((today - 2 * DAY).date())
    assert has_partition(old)
    packer.run(now=today)
    storage.drop_empty_days_before((today - 2 * DAY).date())
    assert not has_partition(old)
    pipeline.ingest(Batch(jia.pk, keys, np.zeros(1, np.int32), ts + 60_000, np.ones(1)), now=today)
    with scope.customer(jia):
        series = Series.objects.get().pk
        found = storage.read(asset_id=web.pk, series_ids=[series], start=old - DAY, end=today)
    assert len(found[series].ts) == 2, "a late point finds its day again"


def has_partition(day: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"samples.block_{day:%Y%m%d}"])
        return cursor.fetchone()[0] is not None


def test_each_customer_keeps_its_history_as_long_as_agreed(jia: Customer, yi: Customer, web: Asset, lin: User) -> None:
    other = server(yi)
    for customer, asset in ((jia, web), (yi, other)):
        feed(customer, asset, "host.cpu.util", range(60))
    packer.run(now=NEXT_NIGHT)
    with scope.customer(jia):
        Retention.objects.create(
            customer=jia, points_days=40, steps_days=60, reason="test", changed_by=lin, changed_at=NOW
        )
    packer.forget(now=MIDNIGHT + 40 * DAY)
    assert (len(points(web)), len(points(other))) == (60, 60)
    packer.forget(now=MIDNIGHT + 41 * DAY)
    assert (len(points(web)), len(points(other))) == (0, 60)
    assert steps(web, 3600).count.tolist() == [60], "steps outlive the points"
    packer.forget(now=MIDNIGHT + 61 * DAY)
    assert steps(web, 3600).count.tolist() == []
    assert steps(other, 3600).count.tolist() == [60]


def test_events_and_counts_of_calls_go_with_the_history(jia: Customer, web: Asset, lin: User) -> None:
    with scope.customer(jia):
        Retention.objects.create(
            customer=jia, points_days=40, steps_days=60, reason="test", changed_by=lin, changed_at=NOW
        )
        account = CloudAccount.objects.create(
            customer=jia, name="main", account_uid="1", access_key_id="LTAI", created_at=NOW
        )
        for key, source, ends_at in (
            ("over", "cloud", None),
            ("lasting", "maintenance", MIDNIGHT + 90 * DAY),
            ("told", "expiry", MIDNIGHT),
        ):
            Event.objects.create(
                customer=jia, key=key, source=source, kind="x", title_zh="x", title_en="x", occurred_at=MIDNIGHT,
                ends_at=ends_at, recorded_at=MIDNIGHT,
            )  # fmt: skip
        for day in (0, 70):
            CloudUse.objects.create(customer=jia, cloud_account=account, day=(MIDNIGHT + day * DAY).date(), calls=1)

    def left() -> tuple[set[str], int]:
        with scope.customer(jia):
            return set(Event.objects.values_list("key", flat=True)), CloudUse.objects.count()

    packer.forget(now=MIDNIGHT + 60 * DAY)
    assert left() == ({"over", "lasting", "told"}, 2)
    packer.forget(now=MIDNIGHT + 61 * DAY)
    assert left() == ({"lasting", "told"}, 1)
    packer.forget(now=MIDNIGHT + 500 * DAY)
    assert left() == (set(), 0)


# --- dying and racing ----------------------------------------------------------------------------------------------

DIES_AT = [
    ("archive.take_raw", "before"),
    ("archive.take_raw", "after"),
    ("packing.pack", "after"),
    ("archive.add", "after"),
    ("archive.close_days", "before"),
    ("archive.close_days", "after"),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("place", "when"), DIES_AT)
def test_a_packer_killed_in_the_middle_loses_and_doubles_nothing(jia: Customer, place: str, when: str) -> None:
    web = server(jia)
    values = [float(at % 17) for at in range(600)]
    feed(jia, web, "host.cpu.util", values)
    connection.close()
    killed = run_worker(place, when)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    expected = {float(at): value for at, value in enumerate(values)}
    assert points(web) == expected
    packer.run(now=NEXT_NIGHT)
    assert points(web) == expected
    assert (count("block", web), count("packed", web), count("steps", web), count("open_day", web)) == (0, 1, 1, 0)
    assert int(steps(web, 3600).count.sum()) == 600


def run_worker(place: str, when: str) -> subprocess.CompletedProcess[str]:
    """A packer of its own process on the test's database, which ends itself by SIGKILL at a place."""
    settings = connection.settings_dict
    socket = settings["HOST"] or settings["OPTIONS"].get("host", "")
    url = f"postgresql://{settings['USER']}:{settings['PASSWORD']}@/{settings['NAME']}?host={socket}"
    if settings["PORT"]:
        url += f"&port={settings['PORT']}"
    return subprocess.run(
        [sys.executable, "-m", "tests.monitoring.packing_worker", place, when, NEXT_NIGHT.isoformat()],
        env={**os.environ, "DATABASE_URL": url},
        cwd=Path(__file__).parents[2],
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.django_db(transaction=True)
def test_packers_and_writers_that_race_lose_and_double_nothing(jia: Customer) -> None:
    web = server(jia)
    feed(jia, web, "host.cpu.util", range(600))

    def pack(_: int) -> int:
        return packer.run(now=NEXT_NIGHT).points

    def write(_: int) -> int:
        registry.forget()
        return feed(jia, web, "host.cpu.util", range(600, 900), start=600, now=NEXT_NIGHT).stored

    def closing(work: Callable[[int], int]) -> Callable[[int], int]:
        def run(number: int) -> int:
            try:
                return work(number)
            finally:
                connection.close()

        return run

    with ThreadPoolExecutor(4) as workers:
        packed = [workers.submit(closing(pack), number) for number in range(2)]
        written = [workers.submit(closing(write), number) for number in range(2)]
        assert sum(one.result() for one in written) == 300
        for one in packed:
            one.result()
    packer.run(now=NEXT_NIGHT)
    assert points(web) == {float(at): float(at) for at in range(900)}
    assert (count("block", web), count("packed", web)) == (0, 1)
