"""What travels between the platform and a location through the broker: sealed, so that nobody else on the broker
reads a secret or invents a result.

Each location has a key of its own, made from the platform's secret and the location's name: a location that is taken
over can speak for itself and nobody else. The direction is part of what is sealed: a question never passes for an
answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import zlib
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from monitoring.collectors import Job
from monitoring.collectors.config import Kind, config_of

QUESTION, ANSWER = "question", "answer"
NONCE: Final = 12
LARGEST: Final = 16 * 1024 * 1024


class ParcelError(ValueError):
    """Not sealed by whom it should have been, or damaged."""


def key_for(location: str, secret: str) -> str:
    """The key of a location, as its worker is given it."""
    made = hmac.digest(secret.encode(), f"rdmp probe {location}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(made).decode()


def seal(content: Any, *, key: str, location: str, direction: str) -> str:
    """A JSON value as a text for the broker."""
    nonce = os.urandom(NONCE)
    plain = zlib.compress(json.dumps(content).encode())
    return base64.b64encode(nonce + _cipher(key).encrypt(nonce, plain, _bound(location, direction))).decode()


def unseal(text: str, *, key: str, location: str, direction: str) -> Any:
    """What was sealed. Raises ParcelError."""
    try:
        sealed = base64.b64decode(text, validate=True)
        plain = _cipher(key).decrypt(sealed[:NONCE], sealed[NONCE:], _bound(location, direction))
        inflate = zlib.decompressobj()
        content = inflate.decompress(plain, LARGEST)
        if inflate.unconsumed_tail:
            raise ParcelError("too large")
        return json.loads(content)
    except (ValueError, InvalidTag, zlib.error) as error:
        raise ParcelError(type(error).__name__) from None


def _cipher(key: str) -> AESGCM:
    try:
        return AESGCM(base64.urlsafe_b64decode(key))
    except ValueError:
        raise ParcelError("the key is malformed") from None


def _bound(location: str, direction: str) -> bytes:
    return f"{location}|{direction}".encode()


def job_as_json(kind: str, job: Job[Any]) -> dict[str, Any]:
    """A job as its location needs it: without the collector's memory and without whose it is."""
    return {
        "target": job.target_id,
        "kind": kind,
        "config": job.config.as_json(),
        "internal": job.allow_internal,
        "token": job.token,
    }


def job_of(values: dict[str, Any]) -> tuple[Kind, Job[Any]]:
    kind = Kind(values["kind"])
    config = config_of(kind, values["config"])
    return kind, Job(values["target"], 0, 0, config, allow_internal=values["internal"], token=values["token"])
