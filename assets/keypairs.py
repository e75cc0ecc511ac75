"""SSH keys: making a pair, and reading the public half and fingerprint out of a private one."""

import base64
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

OPENSSH_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


class NotAKey(ValueError):
    """Not a private key in OpenSSH's format without a passphrase."""


def make() -> str:
    """A new Ed25519 private key in OpenSSH's format."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def public_half(private: str) -> str:
    """`ssh-ed25519 AAAA…`. Raises NotAKey."""
    try:
        key = load_ssh_private_key(private.strip().encode() + b"\n", password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NotAKey from None
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def fingerprint(public: str) -> str:
    """`SHA256:…`, as ssh shows it. Raises NotAKey for what is no public key line."""
    parts = public.split()
    if len(parts) < 2 or parts[0] not in OPENSSH_KINDS:
        raise NotAKey
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except ValueError:
        raise NotAKey from None
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
