"""Importing this starts PostgreSQL (durable as in production) and Redis in a temporary directory, for Django."""

import atexit
import base64
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import django
import psutil
from django.core.management import call_command

from rdmp.embedded.ports import free_port
from rdmp.embedded.postgres import Server
from rdmp.embedded.redis import Server as Redis


def _start() -> tuple[Server, Redis]:
    state = Path(tempfile.mkdtemp(prefix="rdmp-bench-"))
    state.chmod(0o755)
    server = Server(state, port=free_port())  # its address stays when a benchmark restarts it
    atexit.register(shutil.rmtree, state, ignore_errors=True)
    atexit.register(server.stop)
    server.start()
    redis = Redis(state, port=free_port(), appendonly=False)
    atexit.register(redis.stop)
    redis.start()
    os.environ |= {
        "REDIS_URL": redis.url,
        "DATABASE_URL": server.url,
        "DJANGO_SETTINGS_MODULE": "rdmp.settings",
        "RDMP_STATE_DIR": str(state),
        "RDMP_SECRET_KEY": "only-for-this-benchmark-" + "x" * 32,
        "RDMP_MASTER_KEYS": "b1:" + base64.b64encode(bytes(32)).decode(),
        "RDMP_DEMO": "1",
        "RDMP_LOG_LEVEL": "ERROR",
    }
    os.environ.pop("RDMP_CHECK_PERIOD_S", None)
    django.setup()
    call_command("migrate", verbosity=0)
    return server, redis


SERVER, REDIS = _start()


def cpu_seconds() -> float:
    """Ours and the database's, its processes that ended meanwhile included."""
    own = psutil.Process().cpu_times()
    main = psutil.Process(SERVER.pid)
    spent = [main.cpu_times(), *(child.cpu_times() for child in main.children(recursive=True))]
    ended = spent[0].children_user + spent[0].children_system
    return float(own.user + own.system + ended + sum(each.user + each.system for each in spent))
