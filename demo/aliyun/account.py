"""Who may call the simulated cloud: main accounts, RAM users, their policies and AccessKeys."""

import fnmatch
import json
from dataclasses import dataclass, field
from datetime import datetime

READ_ACTIONS = ("*:Describe*", "*:List*", "*:Get*", "*:BatchGet*", "*:Query*", "*:Lookup*", "*:Check*")


def policy_document(*actions: str, effect: str = "Allow") -> str:
    statement = {"Effect": effect, "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "1", "Statement": [statement]})


@dataclass(frozen=True)
class Policy:
    name: str
    kind: str  # "System" or "Custom", as RAM names them
    document: str

    def allows(self, action: str) -> bool:
        for statement in json.loads(self.document)["Statement"]:
            wanted = statement["Action"]
            patterns = [wanted] if isinstance(wanted, str) else wanted
            if statement["Effect"] == "Allow" and any(fnmatch.fnmatchcase(action, pattern) for pattern in patterns):
                return True
        return False


READ_ONLY_ACCESS = Policy("ReadOnlyAccess", "System", policy_document(*READ_ACTIONS))
MONITOR_READ_ONLY = Policy(
    "AliyunCloudMonitorReadOnlyAccess", "System", policy_document("cms:Query*", "cms:Describe*", "cms:List*")
)
ADMINISTRATOR_ACCESS = Policy("AdministratorAccess", "System", policy_document("*"))
ECS_FULL_ACCESS = Policy("AliyunECSFullAccess", "System", policy_document("ecs:*", "vpc:Describe*"))


@dataclass
class AccessKey:
    id: str
    secret: str
    created_at: datetime
    active: bool = True
    last_used_at: datetime | None = None
    last_service: str = ""


@dataclass
class RamUser:
    name: str
    user_id: str
    created_at: datetime
    policies: list[Policy] = field(default_factory=list)
    groups: dict[str, list[Policy]] = field(default_factory=dict)
    keys: list[AccessKey] = field(default_factory=list)
    is_root: bool = False
    display_name: str = ""
    can_sign_in: bool = False
    has_mfa: bool = False
    last_login_at: datetime | None = None

    def held_policies(self) -> list[Policy]:
        return [*self.policies, *(policy for group in self.groups.values() for policy in group)]

    def allows(self, action: str) -> bool:
        return self.is_root or any(policy.allows(action) for policy in self.held_policies())


@dataclass
class CloudUid:
    """One Alibaba Cloud account (阿里云账号) with its RAM users. The resources lie in ``Estate``."""

    uid: str
    alias: str
    users: list[RamUser] = field(default_factory=list)
    empty_groups: dict[str, list[Policy]] = field(default_factory=dict)
    """Groups that nobody is in."""

    def groups(self) -> dict[str, list[Policy]]:
        """All of them by name, as RAM lists them."""
        known = dict(self.empty_groups)
        for user in self.users:
            known |= user.groups
        return dict(sorted(known.items()))

    def disable_key(self, access_key_id: str) -> None:
        for user in self.users:
            for key in user.keys:
                key.active = key.active and key.id != access_key_id

    def find_key(self, access_key_id: str) -> tuple[RamUser, AccessKey] | None:
        for user in self.users:
            for key in user.keys:
                if key.id == access_key_id:
                    return user, key
        return None

    def user(self, name: str) -> RamUser | None:
        return next((user for user in self.users if user.name == name), None)
