"""RAM of the simulated cloud beyond policies: listing users, second factors, and the life of AccessKeys."""

import hashlib
import secrets
from collections.abc import Callable, Mapping

from demo.aliyun.account import AccessKey, RamUser
from demo.aliyun.answers import ApiError, Call, invalid
from demo.aliyun.estate import Json, seconds

KEYS_PER_USER = 2


def user_of(call: Call) -> RamUser:
    name = call.params.get("UserName", "") or call.user.name
    user = call.uid.user(name)
    if user is None:
        raise ApiError(404, "EntityNotExist.User", f"The user does not exist : userName={name} .")
    return user


def _page(call: Call, rows: Mapping[str, Json]) -> tuple[list[Json], Json]:
    """A page of what is listed in the order of its names, and where the next one begins."""
    size, marker = call.number("MaxItems", 100, top=1000), call.params.get("Marker", "")
    rest = [name for name in sorted(rows) if name > marker]
    more: Json = {"IsTruncated": True, "Marker": rest[size - 1]} if len(rest) > size else {"IsTruncated": False}
    return [rows[name] for name in rest[:size]], more


def list_users(call: Call) -> Json:
    page, more = _page(call, {user.name: _row(user) for user in call.uid.users if not user.is_root})
    return {"Users": {"User": page}, **more}


def list_groups(call: Call) -> Json:
    born = seconds(min(user.created_at for user in call.uid.users))
    rows: dict[str, Json] = {
        name: {
            "GroupId": f"g-{hashlib.sha256(f'{call.uid.uid}/{name}'.encode()).hexdigest()[:16]}",
            "GroupName": name,
            "Comments": "",
            "CreateDate": born,
            "UpdateDate": born,
        }
        for name in call.uid.groups()
    }
    page, more = _page(call, rows)
    return {"Groups": {"Group": page}, **more}


def users_for_group(call: Call) -> Json:
    name = call.need("GroupName")
    if name not in call.uid.groups():
        raise ApiError(404, "EntityNotExist.Group", f"The group does not exist : groupName={name} .")
    members: dict[str, Json] = {
        user.name: {
            "UserName": user.name,
            "DisplayName": user.display_name or user.name,
            "JoinDate": seconds(user.created_at),
        }
        for user in call.uid.users
        if name in user.groups
    }
    page, more = _page(call, members)
    return {"Users": {"User": page}, **more}


def _row(user: RamUser) -> Json:
    return {
        "UserId": user.user_id,
        "UserName": user.name,
        "DisplayName": user.display_name or user.name,
        "CreateDate": seconds(user.created_at),
    }


def get_user(call: Call) -> Json:
    user = user_of(call)
    return {"User": {**_row(user), "LastLoginDate": seconds(user.last_login_at) if user.last_login_at else ""}}


def login_profile(call: Call) -> Json:
    user = user_of(call)
    if not user.can_sign_in:
        raise ApiError(404, "EntityNotExist.User.LoginProfile", "The login policy does not exist.")
    return {"LoginProfile": {"UserName": user.name, "MFABindRequired": user.has_mfa, "PasswordResetRequired": False}}


def mfa_info(call: Call) -> Json:
    user = user_of(call)
    if not user.has_mfa:
        raise ApiError(404, "EntityNotExist.User.MFADevice", "The MFA device does not exist.")
    serial = f"acs:ram::{call.uid.uid}:mfa/{user.name}"
    return {"MFADevice": {"SerialNumber": serial, "Type": "VMFA"}}


def create_access_key(call: Call) -> Json:
    user = user_of(call)
    if len(user.keys) >= KEYS_PER_USER:
        raise ApiError(409, "LimitExceeded.User.AccessKey", "The count of access keys beyond the current limits.")
    key = AccessKey(f"LTAI{secrets.token_hex(10)}", secrets.token_hex(15), call.now)
    user.keys.append(key)
    row = {"AccessKeyId": key.id, "AccessKeySecret": key.secret, "Status": "Active", "CreateDate": seconds(call.now)}
    return {"AccessKey": row}


def _key(call: Call) -> tuple[RamUser, AccessKey]:
    user, wanted = user_of(call), call.need("UserAccessKeyId")
    for key in user.keys:
        if key.id == wanted:
            return user, key
    raise ApiError(404, "EntityNotExist.User.AccessKey", "The access key does not exist.")


def update_access_key(call: Call) -> Json:
    status = call.need("Status")
    if status not in ("Active", "Inactive"):
        raise invalid("Status")
    _key(call)[1].active = status == "Active"
    return {}


def delete_access_key(call: Call) -> Json:
    user, key = _key(call)
    user.keys.remove(key)
    return {}


def delete_login_profile(call: Call) -> Json:
    user = user_of(call)
    if not user.can_sign_in:
        raise ApiError(404, "EntityNotExist.User.LoginProfile", "The login policy does not exist.")
    user.can_sign_in = False
    return {}


ACTIONS: Mapping[str, Callable[[Call], Json]] = {
    "ListUsers": list_users,
    "ListGroups": list_groups,
    "ListUsersForGroup": users_for_group,
    "GetUser": get_user,
    "GetLoginProfile": login_profile,
    "GetUserMFAInfo": mfa_info,
    "CreateAccessKey": create_access_key,
    "UpdateAccessKey": update_access_key,
    "DeleteAccessKey": delete_access_key,
    "DeleteLoginProfile": delete_login_profile,
}
