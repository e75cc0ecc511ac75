"""Master keys wrapped by KMS: opened at the start, over the real SDK, by whoever may and nobody else."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from accounts import secrets
from accounts.vault import KeyRing, VaultError
from assets.aliyun import kms
from assets.aliyun.transport import AliyunError
from demo.aliyun import OPERATIONS, READ_ONLY, CloudServer
from demo.aliyun.cloud import JIA_UID
from demo.aliyun.kms import key_id
from tests.assets.conftest import ClientOf


@pytest.fixture
def kms_settings(server: CloudServer, settings: LazySettings) -> Iterator[LazySettings]:
    settings.RDMP_KMS_ENDPOINT = server.url
    settings.RDMP_KMS_KEY_ID, settings.RDMP_KMS_KEY_SECRET = OPERATIONS.access_key_id, OPERATIONS.access_key_secret
    secrets._parsed.cache_clear()
    yield settings
    secrets._parsed.cache_clear()


def wrapped(client_of: ClientOf) -> tuple[str, bytes]:
    """The blob of a new data key, and the key."""
    said = {"KeyId": key_id(JIA_UID), "KeySpec": "AES_256"}
    found = client_of(OPERATIONS).call("Kms", kms.VERSION, "GenerateDataKey", said)
    return str(found["CiphertextBlob"]), base64.b64decode(str(found["Plaintext"]))


def test_a_wrapped_key_seals_and_opens_and_kms_is_asked_once(
    server: CloudServer, kms_settings: LazySettings, client_of: ClientOf
) -> None:
    blob, key = wrapped(client_of)
    kms_settings.RDMP_MASTER_KEYS = f"k2:kms:{blob}, k1:{base64.b64encode(bytes(32)).decode()}"
    ring = secrets.key_ring()
    assert (ring.primary, ring.keys["k2"], ring.keys["k1"]) == ("k2", key, bytes(32))
    sealed = ring.seal("secret", bound_to="here")
    server.stop()  # it may be away afterwards
    assert secrets.key_ring().open(sealed, bound_to="here") == "secret"
    assert base64.b64encode(key).decode() not in repr(ring)


@pytest.mark.parametrize("blob", ["", "nonsense", base64.b64encode(bytes(60)).decode()])
def test_what_kms_does_not_open_starts_nothing(kms_settings: LazySettings, blob: str) -> None:
    kms_settings.RDMP_MASTER_KEYS = f"k2:kms:{blob}"
    with pytest.raises(VaultError, match="KMS"):
        secrets.key_ring()


def test_whoever_may_not_decrypt_gets_nothing(kms_settings: LazySettings, client_of: ClientOf) -> None:
    blob, _key = wrapped(client_of)
    kms_settings.RDMP_KMS_KEY_ID, kms_settings.RDMP_KMS_KEY_SECRET = (
        READ_ONLY.access_key_id,
        READ_ONLY.access_key_secret,
    )
    with pytest.raises(VaultError, match="KMS"):
        kms.unwrap(blob)


def test_an_unknown_key_wraps_nothing(client_of: ClientOf) -> None:
    with pytest.raises(AliyunError) as refused:
        client_of(OPERATIONS).call("Kms", kms.VERSION, "GenerateDataKey", {"KeyId": "key-other"})
    assert refused.value.code == "Forbidden.KeyNotFound"


def test_without_an_opener_a_wrapped_key_is_no_key() -> None:
    with pytest.raises(VaultError):
        KeyRing.parse("k2:kms:AAAA")
