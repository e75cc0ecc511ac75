"""Closes the recordings that a dead process left open."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway.recording import cast, chain, writer
from bastion.gateway.recording.chain import Link, Signed


def recover(directory: Path, key: Ed25519PrivateKey) -> Signed | None:
    """Close what is open, as the last piece and marked as recovered; None when the recording was closed in order.

    A row that is only half on disk goes. Raises OSError, and ValueError when nothing tells whose recording this is.
    """
    found = chain.numbers(directory)
    closed = [number for number, kinds in found.items() if "json" in kinds]
    previous = chain.read((directory / chain.link_name(max(closed))).read_bytes()).link if closed else None
    signed = None
    if previous is None or not previous.is_last:
        signed = _close(directory, key, previous)
    for path in [*directory.glob("piece-*.cast"), *directory.glob("piece-*.new")]:
        path.unlink()
    return signed


def _close(directory: Path, key: Ed25519PrivateKey, previous: Link | None) -> Signed:
    number = previous.number + 1 if previous else 1
    path = directory / chain.open_name(number)
    plain = path.read_bytes() if path.exists() else b""
    plain = plain[: plain.rfind(b"\n") + 1]
    lines = [line for line in plain.splitlines() if line.startswith(b"[")]
    before = previous.last_s if previous else 0.0
    link = Link(
        session_id=previous.session_id if previous else cast.read_header(plain.partition(b"\n")[0]).session_id,
        number=number,
        file=chain.piece_name(number),
        stored_bytes=0,
        sha256="",
        offset=previous.offset + previous.plain_bytes if previous else 0,
        plain_bytes=len(plain),
        first_s=cast.parse(lines[0]).at_s if lines and previous else before,
        last_s=cast.parse(lines[-1]).at_s if lines else before,
        has_keyframe=bool(lines) and cast.parse(lines[0]).code == "k",
        previous=previous.hash if previous else "",
        is_last=True,
        is_recovered=True,
    )
    return writer.store(directory, plain, link, key)
