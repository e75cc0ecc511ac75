"""The demo customer's service: a TCP port that greets and hangs up, and that can be told to stop listening.

`python -m demo.service` listens on RDMP_DEMO_PORT. `demo_alarm` and `demo_recover` steer it through a file in the
state directory; it opens again by itself when the time in the file has passed, so that a trial ends even when
nobody ends it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

log = logging.getLogger("demo.service")

FILE: Final = "demo-service.json"
GREETING: Final = b"RDMP demo service\r\n"
LOOK_EVERY_S: Final = 0.2
DEFAULT_PORT: Final = 9180


def close_for(state_dir: Path, seconds: float) -> float:
    """Tell the service to stop listening for so long; returns until when (Unix time)."""
    until = time.time() + seconds
    _write(state_dir, {"closed_until": until})
    return until


def reopen(state_dir: Path) -> None:
    """Tell the service to listen again now."""
    _write(state_dir, {"closed_until": 0})


def closed_until(state_dir: Path) -> float:
    """Until when the service is told to be closed; 0 when it is not, or when the file says nothing usable."""
    try:
        return float(json.loads((state_dir / FILE).read_text("utf-8"))["closed_until"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _write(state_dir: Path, wish: dict[str, float]) -> None:
    """Whole or not at all: the service may be reading."""
    new = state_dir / f"{FILE}.{os.getpid()}"
    new.write_text(json.dumps(wish), "utf-8")
    new.replace(state_dir / FILE)


class Service:
    """Listens while it may, and looks at the file several times a second."""

    def __init__(self, host: str, port: int, state_dir: Path) -> None:
        self._address = (host, port)
        self._state_dir = state_dir
        self._listener: socket.socket | None = None
        self._running = True

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        while self._running:
            if time.time() < closed_until(self._state_dir):
                self._close()
                time.sleep(LOOK_EVERY_S)
            else:
                self._serve_for(LOOK_EVERY_S)
        self._close()

    def _serve_for(self, seconds: float) -> None:
        if self._listener is None:
            self._listener = socket.create_server(self._address, backlog=64)
            log.info("listening on %s:%s", *self._listener.getsockname()[:2])
        if select.select([self._listener], [], [], seconds)[0]:
            with contextlib.suppress(OSError), self._listener.accept()[0] as visitor:
                visitor.settimeout(1.0)
                visitor.sendall(GREETING)

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            log.info("closed")


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    state_dir = Path(os.environ.get("RDMP_STATE_DIR", ".rdmp"))
    service = Service("127.0.0.1", int(os.environ.get("RDMP_DEMO_PORT", DEFAULT_PORT)), state_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    try:
        service.run()
    except OSError as error:
        print(f"The demo service cannot listen: {error.strerror or error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
