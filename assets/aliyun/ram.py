"""RAM of one account: who there is and what each may do, and the AccessKeys of a user, made and ended.

Making, disabling and deleting keys are the only calls of this package that change anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from assets.aliyun.resources import Row, parse_time, rows, text
from assets.aliyun.transport import AliyunError, Connection

RAM = ("Ram", "2015-05-01")
PER_PAGE = 100  # RAM API reference, ListUsers, ListGroups, ListUsersForGroup: 1 to 1000, 100 by default
MAX_PAGES = 1000


@dataclass(frozen=True)
class RamKey:
    access_key_id: str
    is_active: bool
    created_at: datetime | None
    last_used_at: datetime | None = None
    last_service: str = ""


@dataclass(frozen=True)
class NewKey:
    access_key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Grant:
    """A policy that a user has, directly or through `group`."""

    policy: str
    is_system: bool
    group: str = ""


@dataclass(frozen=True)
class RamGroup:
    """A group with what it grants and the names of its users; also one that nobody is in."""

    name: str
    comments: str
    created_at: datetime | None
    members: tuple[str, ...]
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class RamPerson:
    """A RAM user. `can_sign_in` and `has_mfa` None: the account may not see it."""

    name: str
    display_name: str
    user_id: str
    created_at: datetime | None
    last_login_at: datetime | None
    can_sign_in: bool | None
    has_mfa: bool | None
    groups: tuple[str, ...]
    grants: tuple[Grant, ...]
    keys: tuple[RamKey, ...]


def keys_of(connection: Connection, user: str) -> tuple[RamKey, ...]:
    """The AccessKeys of a user, at most two, without their use."""
    found = connection.call(*RAM, "ListAccessKeys", {"UserName": user})
    return tuple(
        RamKey(text(row, "AccessKeyId"), text(row, "Status") == "Active", parse_time(text(row, "CreateDate")))
        for row in rows(found, "AccessKeys", "AccessKey")
    )


def with_use(connection: Connection, user: str, key: RamKey) -> RamKey:
    wanted = {"UserName": user, "UserAccessKeyId": key.access_key_id}
    found = connection.call(*RAM, "GetAccessKeyLastUsed", wanted)
    return RamKey(
        key.access_key_id,
        key.is_active,
        key.created_at,
        parse_time(text(found, "AccessKeyLastUsed", "LastUsedDate")),
        text(found, "AccessKeyLastUsed", "ServiceName"),
    )


def make_key(connection: Connection, user: str) -> NewKey:
    """A new AccessKey, whose secret is told this once. The connection must not repeat: each call makes a key."""
    found = connection.call(*RAM, "CreateAccessKey", {"UserName": user})
    made = NewKey(text(found, "AccessKey", "AccessKeyId"), text(found, "AccessKey", "AccessKeySecret"))
    if not made.access_key_id or not made.secret:
        raise AliyunError("InvalidResponse", "CreateAccessKey answered without a key.")
    return made


def disable_key(connection: Connection, user: str, access_key_id: str) -> None:
    wanted = {"UserName": user, "UserAccessKeyId": access_key_id, "Status": "Inactive"}
    connection.call(*RAM, "UpdateAccessKey", wanted)


def delete_key(connection: Connection, user: str, access_key_id: str) -> None:
    """Also when it is gone already."""
    try:
        connection.call(*RAM, "DeleteAccessKey", {"UserName": user, "UserAccessKeyId": access_key_id})
    except AliyunError as error:
        if error.code not in ("EntityNotExist.User.AccessKey", "EntityNotExist.AccessKey"):
            raise


def groups(connection: Connection) -> Iterator[RamGroup]:
    """Every group: two calls each. Raises AliyunError rather than list fewer."""
    for row in _paged(connection, "ListGroups", ("Groups", "Group")):
        name = text(row, "GroupName")
        wanted = {"GroupName": name}
        members = _paged(connection, "ListUsersForGroup", ("Users", "User"), wanted)
        yield RamGroup(
            name=name,
            comments=text(row, "Comments"),
            created_at=parse_time(text(row, "CreateDate")),
            members=tuple(text(member, "UserName") for member in members),
            grants=_grants(connection, "ListPoliciesForGroup", wanted, name),
        )


def people(connection: Connection, known: Sequence[RamGroup]) -> Iterator[RamPerson]:
    """Every RAM user, one after the other: some six calls each. `known`: the groups that were read before.

    Raises AliyunError rather than list fewer.
    """
    for row in _paged(connection, "ListUsers", ("Users", "User")):
        name = text(row, "UserName")
        mine = {"UserName": name}
        own = [group for group in known if name in group.members]
        detail = connection.call(*RAM, "GetUser", mine)
        yield RamPerson(
            name=name,
            display_name=text(row, "DisplayName"),
            user_id=text(row, "UserId"),
            created_at=parse_time(text(row, "CreateDate")),
            last_login_at=parse_time(text(detail, "User", "LastLoginDate")),
            can_sign_in=_exists(connection, "GetLoginProfile", name, "EntityNotExist.User.LoginProfile"),
            has_mfa=_exists(connection, "GetUserMFAInfo", name, "EntityNotExist.User.MFADevice"),
            groups=tuple(group.name for group in own),
            grants=(
                *_grants(connection, "ListPoliciesForUser", mine),
                *(grant for group in own for grant in group.grants),
            ),
            keys=tuple(with_use(connection, name, key) for key in keys_of(connection, name)),
        )


def _paged(
    connection: Connection, action: str, items: tuple[str, str], params: Mapping[str, str] | None = None
) -> Iterator[Row]:
    marker, used = "", {""}
    for _ in range(MAX_PAGES):
        wanted = {**(params or {}), "MaxItems": str(PER_PAGE), **({"Marker": marker} if marker else {})}
        found = connection.call(*RAM, action, wanted)
        yield from rows(found, *items)
        if str(found.get("IsTruncated", False)).lower() != "true":
            return
        marker = text(found, "Marker")
        if marker in used:
            break
        used.add(marker)
    raise AliyunError("IncompleteListing", f"RAM {action} never came to its last page.")


def _grants(connection: Connection, action: str, wanted: dict[str, str], group: str = "") -> tuple[Grant, ...]:
    found = connection.call(*RAM, action, wanted)
    listed: Sequence[Row] = rows(found, "Policies", "Policy")
    return tuple(Grant(text(row, "PolicyName"), text(row, "PolicyType") == "System", group) for row in listed)


def _exists(connection: Connection, action: str, user: str, absent: str) -> bool | None:
    """Whether a user has it; RAM says "no" by an error. None when we may not see it."""
    try:
        connection.call(*RAM, action, {"UserName": user})
    except AliyunError as error:
        if error.code == absent:
            return False
        if error.is_permission_problem:
            return None
        raise
    return True
