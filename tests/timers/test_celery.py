"""The whole way once: a row, a sweep by message, a real Celery worker with two processes, and a Redis that forgets."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit

import pytest
import redis
from django.conf import settings
from django.db import connection

from accounts.models import Customer
from tests.conftest import NOW
from tests.timers.bells import rings
from timers import services, tasks

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_S = 40


@pytest.fixture
def worker(jia: Customer, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker on the test's own database and Redis, which also knows the bells."""
    database = (
        urlsplit(os.environ["DATABASE_URL"])._replace(path="/" + quote(connection.settings_dict["NAME"])).geturl()
    )
    environment = {**os.environ, "DATABASE_URL": database, "REDIS_URL": redis_url}
    command = "-m celery -A rdmp --quiet worker -Q timers -I tests.timers.bells --pool prefork --concurrency 2"
    command += " --hostname timers-test@%h --without-gossip --without-mingle --without-heartbeat --loglevel WARNING"
    process = subprocess.Popen([sys.executable, *command.split()], env=environment, cwd=settings.BASE_DIR)
    yield process
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def sweep_until(is_so: Callable[[], bool]) -> None:
    """What beat does: ask for a sweep again and again."""
    for _ in range(PATIENCE_S * 5):
        tasks.sweep.delay()
        if is_so():
            return
        time.sleep(0.2)
    raise AssertionError(f"not within {PATIENCE_S} s")


def test_a_worker_fires_what_is_due_and_goes_on_after_redis_forgot_everything(
    worker: subprocess.Popen[bytes], jia: Customer, redis_url: str
) -> None:
    def arm(*names: str) -> None:
        for name in names:
            services.set(key=f"bell:{name}:", due_at=NOW, task="bells.ring", args={"name": name}, customer=jia)

    def have_rung(*names: str) -> bool:
        return sorted(rings(jia)) == sorted(names)

    arm("one", "two", "three")
    sweep_until(lambda: have_rung("one", "two", "three"))
    redis.Redis.from_url(redis_url).flushdb()
    arm("four")
    sweep_until(lambda: have_rung("one", "two", "three", "four"))
    assert worker.poll() is None
