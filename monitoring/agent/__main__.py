"""Starts the agent: ``python -m monitoring.agent [--config agent.toml]``. Ends on SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from types import FrameType

from monitoring.agent import __version__
from monitoring.agent.config import ConfigError, load
from monitoring.agent.figures import HostFigures
from monitoring.agent.server import AgentServer
from monitoring.agent.state import HostState

log = logging.getLogger("rdmp.agent")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m monitoring.agent", description="RDMP host agent")
    parser.add_argument("--config", default="", help="TOML file (default: RDMP_AGENT_CONFIG, or none)")
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        config = load(os.environ, path=arguments.config)
        state = HostState(config)
        server = AgentServer(config, HostFigures(config), state)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The agent cannot listen on {config.bind}:{config.port}: {error.strerror or error}.", file=sys.stderr)
        return 1
    state.start()
    try:
        return serve(server)
    finally:
        state.stop()


def serve(server: AgentServer) -> int:
    """Answer until told to stop; a signal ends the loop from another thread, as ``shutdown`` requires."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    host, port = server.server_address[:2]
    log.info("listening on %s:%s", host, port)
    with server:
        server.serve_forever(poll_interval=0.2)
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
