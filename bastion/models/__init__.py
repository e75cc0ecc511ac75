"""The rows of the bastion."""

from bastion.models.grants import AccessRequest, Grant, GrantQuerySet
from bastion.models.groups import GroupAdministrator, GroupAsset, ResourceGroup
from bastion.models.hardening import (
    DirectLogin,
    HardenedServer,
    HardeningCheck,
    HardeningException,
    HardeningExceptionQuerySet,
    HardeningPolicy,
    HardeningRemedy,
    HardeningResult,
    HardeningRun,
)
from bastion.models.nodes import Node
from bastion.models.people import LoginTicket, SshKey
from bastion.models.sessions import (
    BastionSession,
    BastionSessionQuerySet,
    FileTransfer,
    RecordingPiece,
    SessionCommand,
    SessionFact,
)

__all__ = [
    "AccessRequest",
    "BastionSession",
    "BastionSessionQuerySet",
    "DirectLogin",
    "FileTransfer",
    "Grant",
    "GrantQuerySet",
    "GroupAdministrator",
    "GroupAsset",
    "HardenedServer",
    "HardeningCheck",
    "HardeningException",
    "HardeningExceptionQuerySet",
    "HardeningPolicy",
    "HardeningRemedy",
    "HardeningResult",
    "HardeningRun",
    "LoginTicket",
    "Node",
    "RecordingPiece",
    "ResourceGroup",
    "SessionCommand",
    "SessionFact",
    "SshKey",
]
