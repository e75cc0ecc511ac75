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


def start(lane: int, robots: Robots) -> subprocess.Popen[bytes]:
    """Start a worker on the database of the running test."""
    database = connection.settings_dict
    host = f"{database['HOST']}" if not str(database["HOST"]).startswith("/") else ""
    query = "" if host else f"?host={database['HOST']}"
    login = f"{database['USER']}:{database['PASSWORD']}@" if database["PASSWORD"] else f"{database['USER']}@"
    port = f":{database['PORT']}" if database["PORT"] else ""
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{login}{host}{port}/{database['NAME']}{query}",
        "NOTIFY_DINGTALK_BASE": robots.base,
        "NOTIFY_WECOM_BASE": robots.base,
        "NOTIFY_ALLOWED_HOSTS": robots.host,
        "RDMP_TEST_TOTAL_S": "30",
        "DJANGO_SETTINGS_MODULE": "rdmp.settings",
    }
    return subprocess.Popen([sys.executable, "-m", "tests.notify.worker", str(lane)], cwd=ROOT, env=environment)


def main() -> None:
    django.setup()
    from notify import providers  # noqa: PLC0415 - Django must be set up first
    from notify.services import delivering  # noqa: PLC0415 - as above

    providers.TOTAL_S = float(os.environ["RDMP_TEST_TOTAL_S"])
    delivering.drain(lane=int(sys.argv[1]))


if __name__ == "__main__":
    main()
