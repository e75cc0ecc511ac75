"""Is the platform alive? For `make run`, which waits for it, and for the health checks of docker-compose.yml.

python -m rdmp.probe web | worker | reports | automation | poller | node    one process, as a container asks itself
python -m rdmp.probe all --wait 60        web, node, workers and beat, asked until they answer
"""

import argparse
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence

from rdmp.celery import app

# Sent by beat every second, to `worker` and `poller`: who has counted one proves beat, too.
RHYTHMS = {"timers.sweep", "monitoring.poll"}


def web_answers() -> bool:
    host = own_address()
    url = f"http://{f'[{host}]' if ':' in host else host}:{os.environ.get('RDMP_PORT', '8000')}/healthz"
    # As the proxy would ask: a portal whose public address is https sends everybody else there first.
    request = urllib.request.Request(url, headers={"X-Forwarded-Proto": "https", "Host": "127.0.0.1"})
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - http, written above
        return bool(response.status == 200)


def worker_answers(name: str) -> bool:
    worker = f"{name}@{socket.gethostname()}"
    return bool(app.control.ping(destination=[worker], timeout=5.0))


def node_answers() -> bool:
    """It listens from the moment on at which the portal has taken it."""
    address = own_address(), int(os.environ.get("RDMP_SSH_PORT", "2222"))
    with socket.create_connection(address, timeout=5) as greeting:
        return greeting.recv(8).startswith(b"SSH-2.0-")


def own_address() -> str:
    """Where this machine itself reaches what listens on RDMP_BIND."""
    bind = os.environ.get("RDMP_BIND", "127.0.0.1")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - read, not bound


def rhythms_arrive() -> bool:
    replies = app.control.inspect(timeout=1.0).stats() or {}
    counted = {task for statistics in replies.values() for task in statistics.get("total", {})}
    return counted >= RHYTHMS


PROBES: Mapping[str, Callable[[], bool]] = {
    "web": web_answers,
    "worker": lambda: worker_answers("worker"),
    "reports": lambda: worker_answers("reports"),
    "automation": lambda: worker_answers("automation"),
    "poller": lambda: worker_answers("poller"),
    "node": node_answers,
    "all": lambda: (
        web_answers()
        and node_answers()
        and rhythms_arrive()
        and worker_answers("automation")
        and worker_answers("reports")
    ),
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("process", choices=PROBES)
    parser.add_argument("--wait", type=float, default=0, help="seconds to keep asking")
    options = parser.parse_args(arguments)
    deadline = time.monotonic() + options.wait
    while not answers(PROBES[options.process]):
        if time.monotonic() >= deadline:
            return 1
        time.sleep(0.1)
    return 0


def answers(probe: Callable[[], bool]) -> bool:
    try:
        return probe()
    except OSError:  # refused, timed out, an error page: urllib's and redis' errors are OSErrors
        return False
    except app.connection_for_read().connection_errors:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
