"""The node program.

python -m bastion.gateway enrol --portal URL --token TOKEN [--state DIR]
python -m bastion.gateway run [--state DIR] [--host HOST] [--port PORT]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway import VERSION, tunnel, wire
from bastion.gateway.contract import Piece, Refused, Tunnel, Unreachable
from bastion.gateway.recording.recovery import recover
from bastion.gateway.remote_portal import RemotePortal, enrol
from bastion.gateway.session import Node
from bastion.gateway.ssh.recorded import recorder
from bastion.gateway.ssh.server import Gateway, host_keys, serve
from bastion.gateway.web.desk import Desk
from bastion.policy import judge

KEY, IDENTITY, RECORDINGS = "node_key", "node.json", "recordings"
LAST_WORDS_S = 5.0
DEFAULT_STATE = "/var/lib/rdmp-node"
log = logging.getLogger("bastion.gateway")


def main(arguments: Sequence[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    said = _parser().parse_args(arguments)
    state = Path(said.state)
    try:
        if said.what == "enrol":
            return asyncio.run(_enrol(state, said.portal, said.token, said.port))
        return asyncio.run(_run(state, said.host, said.port))
    except (Refused, Unreachable, OSError, ValueError) as problem:
        print(f"{said.what}: {problem}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bastion.gateway", description="The RDMP node.")
    parser.add_argument("what", choices=("enrol", "run"))
    parser.add_argument("--state", default=os.environ.get("RDMP_NODE_STATE", DEFAULT_STATE))
    parser.add_argument("--portal", default=os.environ.get("RDMP_PORTAL", ""))
    parser.add_argument("--token", default=os.environ.get("RDMP_NODE_TOKEN", ""))
    parser.add_argument("--host", default=os.environ.get("RDMP_NODE_HOST", ""))
    parser.add_argument("--port", type=int, default=int(os.environ.get("RDMP_NODE_PORT", "2222")))
    return parser


async def _enrol(state: Path, portal: str, token: str, port: int) -> int:
    """Makes the node's own key, which never leaves the machine, and brings its public half with the token."""
    key = _key(state)
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    shown = tuple(one.export_public_key("openssh").decode().strip() for one in host_keys(state))
    number = await enrol(portal, wire.Enrol(token, public, VERSION, port, shown))
    (state / IDENTITY).write_text(json.dumps({"node": number, "portal": portal}))
    print(f"enrolled as node {number}")
    return 0


async def _run(state: Path, host: str, port: int) -> int:
    said = json.loads((state / IDENTITY).read_text())
    key = _key(state)
    portal = RemotePortal(said["portal"], int(said["node"]), key, state / "spool")
    recordings = state / RECORDINGS
    recordings.mkdir(mode=0o700, exist_ok=True)
    portal.end_interrupted()
    for directory in recordings.iterdir():
        _recover(directory, key, portal)
    node = Node(portal, state, recorder(recordings, key, portal), judge)
    portal.streams.serve(Tunnel, tunnel.serve)
    desk = Desk(node)
    desk.serve(portal.streams)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    talking = asyncio.ensure_future(portal.run())
    gateway = await serve(node, host=host, port=port)
    portal.load, portal.on_drain = lambda: _load(state, gateway, desk), gateway.drain
    log.info("SSH on port %d, node %s", gateway.port, said["node"])
    await over.wait()
    desk.close()
    await gateway.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(portal.emptied.wait(), LAST_WORDS_S)
    talking.cancel()
    return 0


def _recover(directory: Path, key: Ed25519PrivateKey, portal: RemotePortal) -> None:
    """Close what a killed program was recording, and send it after the rest."""
    try:
        signed = recover(directory, key)
    except (OSError, ValueError) as problem:
        log.error("%s cannot be recovered: %s", directory.name, problem)
        return
    if signed is not None:
        portal.deliver(Piece(directory.name, signed.link.number, str(directory / signed.link.file), signed.as_dict()))


def _key(state: Path) -> Ed25519PrivateKey:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state / KEY
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def _load(state: Path, gateway: Gateway, desk: Desk) -> dict[str, object]:
    """cpu and memory in percent, disk_free in bytes."""
    sessions = sum(len(visit.sessions) for visit in gateway.visits) + len(desk)
    free = psutil.disk_usage(str(state)).free
    return {
        "cpu": psutil.cpu_percent(),
        "memory": psutil.virtual_memory().percent,
        "disk_free": free,
        "sessions": sessions,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
