"""Where the bytes of recordings lie: sealed with a key of their own each, on disk or in a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cramjam
from django.core.files.storage import storages

from accounts import secrets
from accounts.vault import VaultError, key_id_of
from bastion.models import BastionSession, FileCopyPart, RecordingPiece
from bastion.stores import Store

MOST_PLAIN: Final = 32 * 1024 * 1024
"""Of one piece: a flood closes it at one megabyte, a keyframe of the largest screen may come on top."""


Kept = RecordingPiece | FileCopyPart


class Gone(OSError):
    """The bytes are not where they were put, or are not what was put there."""


def store() -> Store:
    kept = storages["recordings"]
    assert isinstance(kept, Store)  # noqa: S101 - the settings offer no other
    return kept


def put(session: BastionSession, number: int, data: bytes) -> str:
    """Its name; what a broken attempt has left there goes. Raises OSError when there is no room."""
    sealed = secrets.key_ring().seal_bytes(data, bound_to=RecordingPiece(session=session, number=number).bound_to)
    name = f"recordings/{session.customer_id}/{session.uid}/{number:06d}.cast.zst.sealed"
    store().put(name, sealed)
    return name


def get(kept: Kept) -> bytes:
    """What the node has sent. Raises Gone."""
    try:
        return secrets.key_ring().open_bytes(store().get(kept.file), bound_to=kept.bound_to)
    except VaultError as problem:
        raise Gone(str(problem)) from None
    except FileNotFoundError:
        raise Gone("the file is not there") from None


def plain(piece: RecordingPiece) -> bytes:
    """The rows as text. Raises Gone."""
    return unpacked(get(piece), piece.plain_bytes)


def unpacked(data: bytes, plain_bytes: int) -> bytes:
    """Never more than was announced, whatever was packed. Raises Gone."""
    if not data and not plain_bytes:
        return b""
    room = bytearray(min(plain_bytes, MOST_PLAIN))
    try:
        length = cramjam.zstd.decompress_into(data, room) if room else 0
    except (cramjam.DecompressionError, ValueError, OSError):
        raise Gone("the piece cannot be unpacked") from None
    if length != plain_bytes:
        raise Gone("the piece is not as long as was announced")
    return bytes(room)


def remove_all(kept: Sequence[Kept]) -> None:
    """Nothing happens where one has gone already. Raises OSError with some still there."""
    store().delete_many([one.file for one in kept])


def rewrap(kept: Kept) -> bool:
    """Under the primary master key; False when it is already. Raises Gone."""
    ring = secrets.key_ring()
    try:
        sealed = store().get(kept.file)
        if key_id_of(sealed) == ring.primary:
            return False
        renewed = ring.rewrap(sealed, bound_to=kept.bound_to)
    except VaultError as problem:
        raise Gone(str(problem)) from None
    except FileNotFoundError:
        raise Gone("the file is not there") from None
    store().put(kept.file, renewed)
    return True
