"""Which algorithms are spoken: modern ones towards people, whatever is not broken towards targets, old ones by request.

The order of key exchanges puts the post-quantum ones first (OpenSSH 10.1 warns when none is used).
"""

from typing import TypedDict

from asyncssh.kex import get_kex_algs


class Algorithms(TypedDict):
    kex_algs: list[str]
    encryption_algs: list[str]
    mac_algs: list[str]
    compression_algs: list[str]


def _available(*names: str) -> list[str]:
    known = {name.decode() for name in get_kex_algs()}
    return [name for name in names if name in known]


_KEX = _available(
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
)
_CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
]
_MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]

SIGNATURES = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]
SIGNATURES += ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256"]
HOST_KEYS = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]
HOST_KEYS += ["rsa-sha2-512", "rsa-sha2-256"]
OLD_HOST_KEYS = ["ssh-rsa"]

TOWARDS_PEOPLE = Algorithms(kex_algs=_KEX, encryption_algs=_CIPHERS, mac_algs=_MACS, compression_algs=["none"])
TOWARDS_TARGETS = Algorithms(
    kex_algs=[*_KEX, "diffie-hellman-group14-sha256", "diffie-hellman-group-exchange-sha256"],
    encryption_algs=_CIPHERS,
    mac_algs=_MACS,
    compression_algs=["none"],
)
TOWARDS_OLD_TARGETS = Algorithms(
    kex_algs=[
        *TOWARDS_TARGETS["kex_algs"],
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha1",
        "diffie-hellman-group1-sha1",
    ],
    encryption_algs=[*_CIPHERS, "aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"],
    mac_algs=[*_MACS, "hmac-sha1"],
    compression_algs=["none"],
)
