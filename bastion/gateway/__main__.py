"""The node program.

python -m bastion.gateway enrol --portal URL [--token TOKEN] [--state DIR]     the token: else RDMP_NODE_TOKEN, or asked
python -m bastion.gateway run [--state DIR] [--host HOST] [--port PORT]
python -m bastion.gateway beside --portal URL ...                              the platform's own: RDMP_NODE_SECRET
python -m bastion.gateway standing | drain | undrain | leave [--state DIR]     how it stands with the portal; farewell
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from bastion.gateway import asking, identity, life, wire
from bastion.gateway.contract import Refused, Unreachable
from bastion.gateway.identity import Identity, NotEnrolled

GIGABYTE = 2**30
DEFAULT_STATE = "/var/lib/rdmp-node"
ASKED: Mapping[str, Callable[[Identity], Awaitable[wire.Standing]]] = {
    "standing": asking.standing,
    "drain": partial(asking.drain, is_on=True),
    "undrain": partial(asking.drain, is_on=False),
}


def main(arguments: Sequence[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    said = _parser().parse_args(arguments)
    try:
        return asyncio.run(_do(said))
    except NotEnrolled as problem:
        print(f"{said.what}: this machine is not enrolled yet ({problem})", file=sys.stderr)
    except Refused as no:
        print(f"{said.what}: {no.code} {no.words}".rstrip(), file=sys.stderr)
    except Unreachable as problem:
        print(f"{said.what}: the portal does not answer ({problem})", file=sys.stderr)
    except (OSError, ValueError) as problem:
        print(f"{said.what}: {problem}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bastion.gateway", description="The RDMP node.")
    parser.add_argument("what", choices=("enrol", "run", "beside", *ASKED, "leave"))
    parser.add_argument("--state", default=os.environ.get("RDMP_NODE_STATE", DEFAULT_STATE), type=Path)
    parser.add_argument("--portal", default=os.environ.get("RDMP_NODE_PORTAL", ""))
    parser.add_argument("--token", default=os.environ.get("RDMP_NODE_TOKEN", ""))
    parser.add_argument("--host", default=os.environ.get("RDMP_NODE_HOST", ""))
    parser.add_argument("--port", type=int, default=int(os.environ.get("RDMP_NODE_PORT", "2222")))
    least = float(os.environ.get("RDMP_NODE_LEAST_FREE_GB", "1"))
    parser.add_argument("--least-free-gb", type=float, default=least)
    return parser


async def _do(said: argparse.Namespace) -> int:
    least_free = round(said.least_free_gb * GIGABYTE)
    if said.what == "run":
        return await life.installed(said.state, said.host, said.port, least_free=least_free)
    if said.what == "beside":
        secret = _secret("RDMP_NODE_SECRET")
        return await life.beside(said.state, said.portal, secret, said.host, said.port, least_free=least_free)
    if said.what in ASKED:
        print(_words(await ASKED[said.what](identity.read(said.state))))
        return 0
    if said.what == "leave":
        await asking.leave(identity.read(said.state))
        return 0
    token = said.token or await asyncio.to_thread(_read_token)
    print(f"enrolled as node {await life.join(said.state, said.portal, token, said.port)}")
    return 0


def _words(found: wire.Standing) -> str:
    state = "draining" if found.is_draining else "working"
    return f"{found.name}: {found.version} {state}, {found.sessions} online {'heard' if found.is_heard else 'silent'}"


def _read_token() -> str:
    """From a pipe, or typed unseen: then it is on no command line and in no history."""
    return (getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()


def _secret(name: str) -> str:
    """A value from `NAME`, or from the file that `NAME_FILE` names. Raises OSError."""
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text(encoding="utf-8").strip() if path else os.environ.get(name, "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
