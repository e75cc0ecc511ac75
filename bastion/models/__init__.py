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
from bastion.models.host_keys import HostKeySighting
from bastion.models.nodes import Node, NodeErrand, NodeLoad
from bastion.models.people import Favourite, LoginTicket, SshKey
from bastion.models.recordings import (
    FileCopyPart,
    PortalKey,
    RecordingHold,
    RecordingPiece,
    RecordingPolicy,
    RecordingPurge,
)
from bastion.models.rules import CommandReview, CommandRule
from bastion.models.sessions import (
    BastionSession,
    BastionSessionQuerySet,
    FileTransfer,
    SessionCommand,
    SessionFact,
)
from bastion.models.shares import SessionShare

__all__ = [
    "AccessRequest",
    "BastionSession",
    "BastionSessionQuerySet",
    "CommandReview",
    "CommandRule",
    "DirectLogin",
    "Favourite",
    "FileCopyPart",
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
    "HostKeySighting",
    "LoginTicket",
    "Node",
    "NodeErrand",
    "NodeLoad",
    "PortalKey",
    "RecordingHold",
    "RecordingPiece",
    "RecordingPolicy",
    "RecordingPurge",
    "ResourceGroup",
    "SessionCommand",
    "SessionFact",
    "SessionShare",
    "SshKey",
]
