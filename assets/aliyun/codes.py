"""What the error codes of Alibaba Cloud, and our own for what has none, mean for us. Pure."""

import re

WRONG_SECRET = ("SignatureDoesNotMatch", "InvalidAccessKeySecret")
_RETRYABLE = re.compile(
    r"Throttling|ServiceUnavailable|InternalError|InternalServer|SystemBusy|SignatureNonceUsed|RequestTimeout"
    r"|IdempotentProcessing|LastTokenProcessing|LastOrderProcessing"  # an earlier call or order is still at work
    r"|^(Timeout|Unreachable|InvalidResponse|IncompleteListing)$"
)


def is_retryable_code(code: str) -> bool:
    return bool(_RETRYABLE.search(code))


def is_credential_code(code: str) -> bool:
    """The key itself is unknown, disabled or wrong: no use in asking again with it."""
    return code.startswith("InvalidAccessKeyId") or code in WRONG_SECRET


def is_permission_code(code: str) -> bool:
    return code in ("NoPermission", "AccessDenied", "NotAuthorized") or code.startswith("Forbidden")


def is_quota_text(message: str) -> bool:
    """CloudMonitor has no code of its own for a month's calls that are used up: "user api quota limit"."""
    return "quota limit" in message.lower()


def is_unknown_region_code(code: str) -> bool:
    """The product does not exist in that region."""
    return "InvalidRegion" in code or "EndpointResolving" in code
