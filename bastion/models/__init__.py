"""The rows of the bastion."""

from bastion.models.grants import AccessRequest, Grant, GrantQuerySet
from bastion.models.groups import GroupAdministrator, GroupAsset, ResourceGroup
from bastion.models.nodes import Node
from bastion.models.people import LoginTicket, SshKey
from bastion.models.recordings import PortalKey, RecordingHold, RecordingPiece, RecordingPolicy, RecordingPurge
from bastion.models.sessions import (
    BastionSession,
    BastionSessionQuerySet,
    FileTransfer,
    SessionCommand,
    SessionFact,
)

__all__ = [
    "AccessRequest",
    "BastionSession",
    "BastionSessionQuerySet",
    "FileTransfer",
    "Grant",
    "GrantQuerySet",
    "GroupAdministrator",
    "GroupAsset",
    "LoginTicket",
    "Node",
    "PortalKey",
    "RecordingHold",
    "RecordingPiece",
    "RecordingPolicy",
    "RecordingPurge",
    "ResourceGroup",
    "SessionCommand",
    "SessionFact",
    "SshKey",
]
