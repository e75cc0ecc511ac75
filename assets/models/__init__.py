"""Cloud accounts with their credentials, the resources found in them, and the assets that people wrote down."""

from assets.models.cloud import KEY_AGE_LIMIT, Access, CloudAccount, CloudAccountQuerySet
from assets.models.credentials import (
    AccountPurpose,
    Check,
    Credential,
    CredentialKind,
    CredentialQuerySet,
    RevealRequest,
)
from assets.models.inventory import (
    CLOUD_KINDS,
    EXPIRY_WARNING,
    MANUAL_KINDS,
    Asset,
    AssetQuerySet,
    Environment,
    Kind,
    Subscription,
)
from assets.models.ram import RamFinding, RamGroup, RamUser
from assets.models.rotations import Rotation, SshAccess
from assets.models.syncs import SyncRun, SyncStep

__all__ = [
    "CLOUD_KINDS",
    "EXPIRY_WARNING",
    "KEY_AGE_LIMIT",
    "MANUAL_KINDS",
    "Access",
    "AccountPurpose",
    "Asset",
    "AssetQuerySet",
    "Check",
    "CloudAccount",
    "CloudAccountQuerySet",
    "Credential",
    "CredentialKind",
    "CredentialQuerySet",
    "Environment",
    "Kind",
    "RamFinding",
    "RamGroup",
    "RamUser",
    "RevealRequest",
    "Rotation",
    "SshAccess",
    "Subscription",
    "SyncRun",
    "SyncStep",
]
