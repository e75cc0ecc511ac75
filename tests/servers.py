"""Starts the real PostgreSQL and Redis of a test run before Django reads its settings: a pytest plugin, see pyproject.

The first process starts them and tells the others by environment, so that all workers of a parallel run share one
PostgreSQL (each with a database of its own) and one Redis (each with a number of its own).
"""

import atexit
import base64
import os
import shutil
import tempfile
from pathlib import Path

from rdmp.embedded import postgres, redis

STARTED = "RDMP_TEST_SERVERS"


def _start() -> None:
    state = Path(tempfile.mkdtemp(prefix="rdmp-test-"))
    state.chmod(0o755)
    database = postgres.Server(state, durable=False)
    broker = redis.Server(state, appendonly=False)
    database.start()
    broker.start()
    atexit.register(shutil.rmtree, state, ignore_errors=True)
    atexit.register(broker.stop)
    atexit.register(database.stop)
    os.environ[STARTED] = str(state)
    os.environ["DATABASE_URL"] = database.url
    os.environ["RDMP_TEST_REDIS"] = broker.url
    os.environ["RDMP_SECRET_KEY"] = "only-for-tests-" + "x" * 32
    os.environ["RDMP_MASTER_KEYS"] = "t1:" + base64.b64encode(b"k" * 32).decode()
    os.environ["RDMP_DEMO"] = "1"
    os.environ["RDMP_PUBLIC_URL"] = "http://testserver"
    os.environ["RDMP_AGENT_TOKEN"] = "agent-token-for-tests"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "EMAIL_HOST", "RDMP_CHECK_PERIOD_S"):
        os.environ.pop(name, None)


if STARTED not in os.environ:
    _start()
_worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
os.environ["REDIS_URL"] = os.environ["RDMP_TEST_REDIS"].rsplit("/", 1)[0] + f"/{int(_worker) % 16}"
os.environ["RDMP_STATE_DIR"] = str(Path(os.environ[STARTED]) / f"state-{_worker}")
Path(os.environ["RDMP_STATE_DIR"]).mkdir(exist_ok=True)
