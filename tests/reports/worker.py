"""A worker process of its own that makes one document and, if told so, is killed while it writes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import django
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


def run(file_id: int, *how: str) -> "subprocess.CompletedProcess[str]":
    """Work on the database of the running test; `die` kills the process when half is written."""
    database = connection.settings_dict
    host = f"{database['HOST']}" if not str(database["HOST"]).startswith("/") else ""
    query = "" if host else f"?host={database['HOST']}"
    login = f"{database['USER']}:{database['PASSWORD']}@" if database["PASSWORD"] else f"{database['USER']}@"
    port = f":{database['PORT']}" if database["PORT"] else ""
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{login}{host}{port}/{database['NAME']}{query}",
        "DJANGO_SETTINGS_MODULE": "rdmp.settings",
    }
    command = [sys.executable, "-m", "tests.reports.worker", str(file_id), *how]
    return subprocess.run(command, cwd=ROOT, check=False, env=environment, capture_output=True, text=True)


def die_while_writing(fd: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    django.setup()
    from accounts import scope  # noqa: PLC0415 - Django must be set up first
    from reports.services import rendering  # noqa: PLC0415 - as above

    if "die" in sys.argv:
        os.fsync = die_while_writing
    with scope.platform("test worker"):
        rendering.render(family="accidents", file_id=int(sys.argv[1]))


if __name__ == "__main__":
    main()
