"""KMS of the simulated cloud: data keys under one master key of an account, made and opened as the real one does.

Field names, the base64 of plaintexts and the codes are those of the API reference (Kms 2016-01-20).
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.estate import Json

NONCE, BYTES = 12, {"AES_256": 32, "AES_128": 16}


def key_id(uid: str) -> str:
    """The account's one master key."""
    return f"key-{hashlib.sha256(uid.encode()).hexdigest()[:16]}"


def _master(call: Call) -> tuple[str, AESGCM]:
    return key_id(call.uid.uid), AESGCM(hashlib.sha256(b"simulated kms " + call.uid.uid.encode()).digest())


def generate_data_key(call: Call) -> Json:
    name, master = _master(call)
    if call.need("KeyId") != name:
        raise ApiError(404, "Forbidden.KeyNotFound", "The specified Key is not found.")
    spec = call.params.get("KeySpec", "") or "AES_256"
    if spec not in BYTES:
        raise invalid("KeySpec")
    plain, nonce = os.urandom(BYTES[spec]), os.urandom(NONCE)
    blob = base64.b64encode(nonce + master.encrypt(nonce, plain, name.encode())).decode()
    return {"KeyId": name, "KeyVersionId": f"{name}-v1", "CiphertextBlob": blob, "Plaintext": _text(plain)}


def decrypt(call: Call) -> Json:
    name, master = _master(call)
    try:
        sealed = base64.b64decode(call.need("CiphertextBlob"), validate=True)
        plain = master.decrypt(sealed[:NONCE], sealed[NONCE:], name.encode())
    except (binascii.Error, ValueError, InvalidTag):
        raise invalid("CiphertextBlob") from None
    return {"KeyId": name, "KeyVersionId": f"{name}-v1", "Plaintext": _text(plain)}


def _text(plain: bytes) -> str:
    return base64.b64encode(plain).decode()


ACTIONS: Mapping[str, Callable[[Call], Json]] = {"GenerateDataKey": generate_data_key, "Decrypt": decrypt}
