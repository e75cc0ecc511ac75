"""A worker process of its own that makes one document, or sweeps, and if told so is killed in the middle of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


def run(file_id: int, *how: str) -> "subprocess.CompletedProcess[str]":
    """One document of the database of the running test; `die` kills the process when half is written."""
    return _run("document", str(file_id), *how)


def sweep(*how: str) -> "subprocess.CompletedProcess[str]":
    """The sweep, and what it hands out; `die` kills the process when half of a report's parts are read."""
    return _run("sweep", *how)


def _run(*said: str) -> "subprocess.CompletedProcess[str]":
    database = connection.settings_dict
    host = f"{database['HOST']}" if not str(database["HOST"]).startswith("/") else ""
    query = "" if host else f"?host={database['HOST']}"
    login = f"{database['USER']}:{database['PASSWORD']}@" if database["PASSWORD"] else f"{database['USER']}@"
    port = f":{database['PORT']}" if database["PORT"] else ""
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{login}{host}{port}/{database['NAME']}{query}",
        "DJANGO_SETTINGS_MODULE": "rdmp.settings",
    }
    command = [sys.executable, "-m", "tests.reports.worker", *said]
    return subprocess.run(command, cwd=ROOT, check=False, env=environment, capture_output=True, text=True)


def die(*_said: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    django.setup()
    from accounts import scope  # noqa: PLC0415 - Django must be set up first
    from rdmp.celery import app  # noqa: PLC0415 - as above
    from reports import tasks  # noqa: PLC0415 - as above
    from reports.services import leases, rendering  # noqa: PLC0415 - as above

    if sys.argv[1] == "document":
        if "die" in sys.argv:
            os.fsync = die  # type: ignore[assignment]  # a syncing that ends it all
        with scope.platform("test worker"):
            rendering.render(family="accidents", file_id=int(sys.argv[2]))
        return
    show = leases.show

    def die_half_way(reading: Any, percent: int, **more: Any) -> None:
        if percent >= 50:
            die()
        show(reading, percent, **more)

    if "die" in sys.argv:
        leases.show = die_half_way  # type: ignore[assignment]  # whatever is shown
    app.conf.task_always_eager = True
    tasks.sweep()


if __name__ == "__main__":
    main()
