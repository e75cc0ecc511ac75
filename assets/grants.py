"""Whether what a RAM user was granted lets it only read. Pure: policies in, verdict out.

SOW 附件一 2.2 asks the customer for an AccessKey of a user with ReadOnlyAccess; R124 asks us to check that it is one.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

# The verbs with which Alibaba Cloud names its reading actions; ReadOnlyAccess itself is a list of such patterns.
_READING_VERBS = (
    "Describe",
    "List",
    "Get",
    "BatchGet",
    "Query",
    "BatchQuery",
    "Lookup",
    "Check",
    "Search",
    "Count",
    "Read",
)


class Access(StrEnum):
    READ_ONLY = "read_only"
    WRITES = "writes"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Policy:
    """A policy attached to a user, directly or through `group`. The document is None when it could not be read."""

    name: str
    is_system: bool
    document: str | None = None
    group: str = ""

    @property
    def needs_document(self) -> bool:
        return not (self.is_system and _known_system_access(self.name))


@dataclass(frozen=True)
class Verdict:
    access: Access
    writing: tuple[str, ...] = ()  # "AliyunECSFullAccess" or "snapshots: ecs:CreateSnapshot"
    unread: tuple[str, ...] = ()  # policies whose content nobody could see


def judge(policies: Iterable[Policy]) -> Verdict:
    """Writing beats unknown beats read-only: a key is called read-only only when every policy was understood."""
    writing: list[str] = []
    unread: list[str] = []
    for policy in policies:
        actions = _writing_actions(policy)
        if actions is None:
            unread.append(policy.name)
        else:
            writing.extend(f"{policy.name}: {action}" if action else policy.name for action in actions)
    access = Access.WRITES if writing else Access.UNKNOWN if unread else Access.READ_ONLY
    return Verdict(access, tuple(writing), tuple(unread))


def _known_system_access(name: str) -> Access | None:
    """System policies cannot be edited by customers, so their names can be trusted."""
    if name == "ReadOnlyAccess" or re.fullmatch(r"Aliyun\w*ReadOnlyAccess", name):
        return Access.READ_ONLY
    if name == "AdministratorAccess" or re.fullmatch(r"Aliyun\w*FullAccess", name):
        return Access.WRITES
    return None


def _writing_actions(policy: Policy) -> list[str] | None:
    """Empty when the policy only reads; [""] when it writes as a whole; None when it could not be understood."""
    if not policy.needs_document:
        return [] if _known_system_access(policy.name) is Access.READ_ONLY else [""]
    try:
        statements = json.loads(policy.document or "")["Statement"]
        return [action for statement in statements for action in _allowed_writes(statement)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _allowed_writes(statement: dict[str, object]) -> list[str]:
    if statement.get("Effect") != "Allow":
        return []
    if "Action" not in statement:
        return ["NotAction"]
    actions = statement["Action"]
    listed = [actions] if isinstance(actions, str) else actions
    if not isinstance(listed, list):
        raise TypeError("Action")
    return [str(action) for action in listed if not _only_reads(str(action))]


def _only_reads(action: str) -> bool:
    verb = action.rpartition(":")[2]
    certain = re.split(r"[*?]", verb, maxsplit=1)[0]
    return certain.startswith(_READING_VERBS)
