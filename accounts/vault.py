"""Envelope encryption of single values: AES-256-GCM, a data key per value, wrapped by a key-encryption key.

The blob is JSON-free and self-describing: version byte, length and text of the key id, wrapped data key, sealed value.
Both seals carry the same associated data, so that a blob cannot be moved to another customer, object or field.
"""

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
KEY_BYTES = 32
WRAPPED = "kms"
NONCE_BYTES = 12
TAG_BYTES = 16
WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES


class VaultError(RuntimeError):
    """A key is unknown or malformed, or a sealed value does not belong where it was found."""


@dataclass(frozen=True)
class KeyRing:
    """Key-encryption keys by id; new values are sealed with `primary`, old ones are opened with whichever they name."""

    primary: str
    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def parse(cls, text: str, *, unwrap: Callable[[str], bytes] | None = None) -> "KeyRing":
        """Read `id:base64key` entries separated by commas or lines; the first is the primary one. What is written as
        `id:kms:blob` is wrapped by a key management service: `unwrap` opens it.

        Raises VaultError with the place of the entry at fault: its text may be a key whose id was forgotten.
        """
        keys: dict[str, bytes] = {}
        entries = filter(None, (part.strip() for part in text.replace("\n", ",").split(",")))
        for number, entry in enumerate(entries, start=1):
            key_id, _, encoded = entry.partition(":")
            kind, _, blob = encoded.partition(":")
            try:
                if kind == WRAPPED and unwrap is not None:
                    key = unwrap(blob)
                else:
                    key = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise VaultError(f"encryption key no. {number} is not written as id:base64") from None
            if len(key) != KEY_BYTES or not key_id or not key_id.isascii() or len(key_id) > 32 or key_id in keys:
                raise VaultError(f"encryption key no. {number} must be {KEY_BYTES} bytes under an id of its own")
            keys[key_id] = key
        if not keys:
            raise VaultError("no encryption key is configured")
        return cls(primary=next(iter(keys)), keys=keys)

    def seal(self, value: str, *, bound_to: str) -> bytes:
        """Encrypt `value` so that it opens only with the same `bound_to`."""
        return self.seal_bytes(value.encode(), bound_to=bound_to)

    def open(self, blob: bytes, *, bound_to: str) -> str:
        """Decrypt a blob of `seal`. Raises VaultError for an unknown key, a damaged blob or another place."""
        try:
            return self.open_bytes(blob, bound_to=bound_to).decode()
        except UnicodeDecodeError:
            raise _not_here(blob) from None

    def seal_bytes(self, value: bytes, *, bound_to: str) -> bytes:
        data_key = AESGCM.generate_key(bit_length=KEY_BYTES * 8)
        aad = bound_to.encode()
        return self._wrapped(data_key, aad) + _seal(data_key, value, aad)

    def open_bytes(self, blob: bytes, *, bound_to: str) -> bytes:
        """Raises VaultError as `open` does."""
        aad = bound_to.encode()
        try:
            return _open(self._data_key(blob, aad), _body(blob)[WRAPPED_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise _not_here(blob) from None

    def rewrap(self, blob: bytes, *, bound_to: str) -> bytes:
        """The same blob under the primary key; what is sealed stays as it is. Raises VaultError as `open` does."""
        aad = bound_to.encode()
        return self._wrapped(self._data_key(blob, aad), aad) + _body(blob)[WRAPPED_BYTES:]

    def _wrapped(self, data_key: bytes, aad: bytes) -> bytes:
        key_id = self.primary.encode()
        return bytes([VERSION, len(key_id)]) + key_id + _seal(self.keys[self.primary], data_key, aad)

    def _data_key(self, blob: bytes, aad: bytes) -> bytes:
        try:
            if blob[0] != VERSION:
                raise ValueError
            return _open(self.keys[key_id_of(blob)], _body(blob)[:WRAPPED_BYTES], aad)
        except KeyError:
            raise VaultError(f"sealed with the unknown key {key_id_of(blob)!r}") from None
        except (InvalidTag, IndexError, ValueError):
            raise _not_here(blob) from None


def key_id_of(blob: bytes) -> str:
    """The id of the key-encryption key that a blob names."""
    return blob[2 : 2 + blob[1]].decode("ascii", "replace") if len(blob) > 2 else ""


def _body(blob: bytes) -> bytes:
    return blob[2 + blob[1] :]


def _not_here(blob: bytes) -> VaultError:
    return VaultError(f"sealed value (format {blob[:1].hex() or 'empty'}) does not open here")


def _seal(key: bytes, plain: bytes, aad: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, aad)


def _open(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
