"""Checks a bundle of evidence. Needs Python 3.9 or newer and the package `cryptography`; nothing else, and no network.

    python3 check.py [DIRECTORY] [--portal-key KEY]

KEY: the portal's public key as you know it from elsewhere (base64). Without it the keys of the bundle are believed,
which proves that nothing was changed since it was made, but not who made it.
"""

import argparse
import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def canonical(said: object) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def is_signed(key: str, signature: str, said: object) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
        public.verify(bytes.fromhex(signature), canonical(said))
    except (InvalidSignature, ValueError):
        return False
    return True


def problems(place: Path, portal_keys: "set[str]") -> "list[str]":
    session = json.loads((place / "session.json").read_text("utf-8"))["session"]
    found: list[str] = []
    before = None
    paths = sorted(place.glob("pieces/*.json"))
    if not paths:
        found.append("there is no piece")
    for number, path in enumerate(paths, start=1):
        said = json.loads(path.read_text("utf-8"))
        link, name = said["link"], path.stem
        if not is_signed(said["node_key"], said["signature"], link):
            found.append(f"{name}: the node's signature does not hold")
        arrival = {key: said[key] for key in ("arrived_at", "link", "node_key", "signature")}
        if said["portal_key"] not in portal_keys:
            found.append(f"{name}: countersigned by a key that is not the portal's")
        if not is_signed(said["portal_key"], said["countersignature"], arrival):
            found.append(f"{name}: the portal's signature does not hold")
        if link["session_id"] != session or link["number"] != number:
            found.append(f"{name}: is piece {link['number']} of session {link['session_id']}")
        if link["previous"] != (hashlib.sha256(canonical(before)).hexdigest() if before else ""):
            found.append(f"{name}: does not follow the piece before")
        if before and before["is_last"]:
            found.append(f"{name}: stands after the end")
        data = path.with_suffix(".cast.zst")
        stored = data.read_bytes() if data.exists() else None
        if stored is None:
            found.append(f"{name}: the bytes are missing")
        elif hashlib.sha256(stored).hexdigest() != link["sha256"]:
            found.append(f"{name}: the bytes are not those that were signed")
        before = link
    if before and not before["is_last"]:
        found.append("the end of the recording is not here")
    return found


def main(arguments: "list[str]") -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", default=str(Path(__file__).resolve().parent))
    parser.add_argument("--portal-key", action="append")
    said = parser.parse_args(arguments)
    place = Path(said.directory)
    keys = set(said.portal_key or json.loads((place / "keys.json").read_text("utf-8"))["portal"])
    found = problems(place, keys)
    for line in found:
        print(line)
    print("NOT INTACT" if found else "intact")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
