"""A worker process of its own for the tests that race two of them or kill one: drains one lane and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import django
from django.db import connection

from demo.robots import Robots

ROOT = Path(__file__).resolve().parents[2]


def environment(robots: Robots) -> dict[str, str]:
    """What a process needs to work on the database of the running test and to find the local robots."""
    database = connection.settings_dict
    host = f"{database['HOST']}" if not str(database["HOST"]).startswith("/") else ""
    query = "" if host else f"?host={database['HOST']}"
    login = f"{database['USER']}:{database['PASSWORD']}@" if database["PASSWORD"] else f"{database['USER']}@"
    port = f":{database['PORT']}" if database["PORT"] else ""
    return os.environ | {
        "DATABASE_URL": f"postgresql://{login}{host}{port}/{database['NAME']}{query}",
        "NOTIFY_DINGTALK_BASE": robots.base,
        "NOTIFY_WECOM_BASE": robots.base,
        "NOTIFY_ALLOWED_HOSTS": robots.host,
        "RDMP_TEST_TOTAL_S": "30",
        "DJANGO_SETTINGS_MODULE": "rdmp.settings",
    }


def start(lane: int, robots: Robots) -> subprocess.Popen[bytes]:
    """A process that drains one lane and ends."""
    return subprocess.Popen([sys.executable, "-m", "tests.notify.worker", str(lane)], cwd=ROOT, env=environment(robots))


def start_celery(robots: Robots) -> subprocess.Popen[bytes]:
    """A real Celery worker of the queue `notify`."""
    command = [sys.executable, "-m", "celery", "-A", "rdmp", "worker", "-Q", "notify", "--pool", "solo"]
    return subprocess.Popen([*command, "--without-mingle", "--without-gossip"], cwd=ROOT, env=environment(robots))


def main() -> None:
    django.setup()
    from notify import providers  # noqa: PLC0415 - Django must be set up first
    from notify.services import delivering  # noqa: PLC0415 - as above

    providers.TOTAL_S = float(os.environ["RDMP_TEST_TOTAL_S"])
    delivering.drain(lane=int(sys.argv[1]))


if __name__ == "__main__":
    main()
