"""Master keys that lie wrapped in the configuration: KMS of Alibaba Cloud opens them when a process starts."""

import base64
import binascii

from django.conf import settings

from accounts.vault import VaultError
from assets.aliyun.resources import text
from assets.aliyun.transport import AliyunError, Connection

VERSION = "2016-01-20"


def unwrap(blob: str) -> bytes:
    """The data key that `GenerateDataKey` has wrapped as this `CiphertextBlob`. Raises VaultError."""
    endpoint = settings.RDMP_KMS_ENDPOINT
    connection = Connection(
        settings.RDMP_KMS_KEY_ID,
        settings.RDMP_KMS_KEY_SECRET,
        settings.RDMP_KMS_REGION,
        {"Kms": endpoint} if endpoint else None,
    )
    try:
        found = connection.call("Kms", VERSION, "Decrypt", {"CiphertextBlob": blob})
        return base64.b64decode(text(found, "Plaintext"), validate=True)
    except AliyunError as problem:
        raise VaultError(f"KMS does not open a master key: {problem.code}") from None
    except (binascii.Error, ValueError):
        raise VaultError("KMS does not open a master key: its answer is no data key") from None
