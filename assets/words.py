"""Codes of the pure modules and of Alibaba Cloud, said to a person."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from assets.aliyun.codes import is_permission_code
from assets.relations import Tie

PROBLEMS: Mapping[str, Promise] = {
    "required": gettext_lazy("This field is needed for this kind of asset."),
    "empty": gettext_lazy("This field is needed for this kind of asset."),
    "malformed": gettext_lazy("This is not a host name, IP address or URL."),
    "number": gettext_lazy("Write an IP address in its usual form, such as 10.0.0.8."),
    "forbidden": gettext_lazy("This address belongs to no server: it is link-local, multicast or a metadata service."),
    "scheme": gettext_lazy("The URL must begin with http:// or https://."),
    "userinfo": gettext_lazy(
        "Leave user name and password out of the URL: it is shown to everybody who sees the asset."
    ),
    "port": gettext_lazy("A port is a number from 1 to 65535."),
    "own_machine": gettext_lazy("This is the machine of the platform itself: only an administrator may add it."),
    "servers_only": gettext_lazy("Only servers have hardware."),
    "taken": gettext_lazy("There is an asset of this kind with this name already."),
}
SSH_PROBLEMS: Mapping[str, Promise] = {
    "unreachable": gettext_lazy("The host does not answer SSH at this address and port."),
    "host_key_unknown": gettext_lazy("No host key was confirmed for this server yet: nothing is sent to it."),
    "host_key_changed": gettext_lazy(
        "The host proved itself with another key than the one that was confirmed. Nothing was sent. Find out why "
        "before you confirm the new one."
    ),
    "refused": gettext_lazy("The host refused the log-in."),
    "timeout": gettext_lazy("The host took the command and did not answer in time."),
    "lost": gettext_lazy("The connection broke while the host was at work."),
    "no_node": gettext_lazy(
        "The host can be reached through a node in the customer's network only, and none answers. Nothing was sent."
    ),
    "forbidden": gettext_lazy("This address belongs to no server: it is link-local, multicast or a metadata service."),
}
ROTATION_PROBLEMS: Mapping[str, Promise] = {
    **SSH_PROBLEMS,
    "operator_refused": gettext_lazy("The host refused the account with which the password was to be changed."),
    "sudo_refused": gettext_lazy(
        "The account with which the password was to be changed may not do so: check its sudo."
    ),
    "not_accepted": gettext_lazy("The host took the new password, and then did not let anybody in with it."),
    "no_operator": gettext_lazy("No account for operations with sudo is written down for this server."),
    "no_secret": gettext_lazy("A secret that is needed was never entered."),
    "key_not_of_user": gettext_lazy("RAM does not list the present AccessKey for its user any more."),
    "two_keys": gettext_lazy(
        "The user has two AccessKeys, which is all that RAM allows. Delete the one not in use first."
    ),
    "foreign_key": gettext_lazy("Meanwhile somebody else made an AccessKey for this user and uses it."),
    "other_account": gettext_lazy("The new AccessKey answers as somebody else."),
    "not_read_only": gettext_lazy("The new AccessKey can write although it should only read. It was deleted again."),
}


TIES: Mapping[Tie, Promise] = {
    Tie.HOST: gettext_lazy("host and what runs on it"),
    Tie.BALANCER: gettext_lazy("load balancer and what stands behind it"),
    Tie.REPLICA: gettext_lazy("instance and its read-only copy"),
    Tie.ADDRESS: gettext_lazy("reached at its address"),
    Tie.SAME_HOST: gettext_lazy("on the same host"),
    Tie.SAME_BALANCER: gettext_lazy("behind the same load balancer"),
    Tie.SAME_PRIMARY: gettext_lazy("copies of the same instance"),
}


def tie_text(tie: Tie) -> str:
    return str(TIES[tie])


def rotation_problem(code: str) -> str:
    """Why a rotation stopped or waits, to a person."""
    known = ROTATION_PROBLEMS.get(code)
    return str(known) if known else say(code)


def say(code: str, message: str = "", request_id: str = "") -> str:
    """What happened between us and Alibaba Cloud, and what to do about it, in one or two sentences."""
    known = {
        "InvalidAccessKeyId.NotFound": _("Alibaba Cloud does not know this AccessKey. Was it deleted?"),
        "InvalidAccessKeyId.Inactive": _("This AccessKey is disabled. Ask the customer to enable it, or replace it."),
        "SignatureDoesNotMatch": _("The secret does not belong to this AccessKey. Please enter both again."),
        "InvalidAccessKeySecret": _("The secret does not belong to this AccessKey. Please enter both again."),
        "InvalidTimeStamp.Expired": _("The clock of this machine is more than 15 minutes wrong. Please correct it."),
        "RequestTimeTooSkewed": _("The clock of this machine is more than 15 minutes wrong. Please correct it."),
        "Timeout": _("Alibaba Cloud did not answer in time. Please try again."),
        "Unreachable": _("Alibaba Cloud cannot be reached from here. Please check the network and try again."),
        "InvalidResponse": _("Alibaba Cloud sent an answer that is cut off or unreadable. Please try again."),
        "IncompleteListing": _("The list changed while it was read, so nothing was retired. It is read again."),
        "interrupted": _("The worker stopped in the middle; the next pass begins again."),
        "no_key": _("This cloud account has no AccessKey any more."),
        "root_key": _("This AccessKey belongs to the main account and may do everything. It must be replaced."),
    }
    if code in known:
        text = known[code]
    elif code.startswith("Throttling"):
        text = _("Alibaba Cloud limits the calls of this account at the moment. It is tried again.")
    elif is_permission_code(code):
        text = _("The AccessKey may not read this. ReadOnlyAccess is needed (SOW 附件一 2.2).")
    else:
        text = f"{code}: {message}" if message else code
    return f"{text} [{request_id}]" if request_id else text


def security_level(level: str) -> str:
    """How bad Security Center takes an event to be."""
    names = {
        "serious": pgettext("security event", "Serious"),
        "suspicious": pgettext("security event", "Suspicious"),
        "remind": pgettext("security event", "Reminder"),
    }
    return names.get(level, level)


def security_status(status: int) -> str:
    """What has become of an event of Security Center."""
    names = {
        0: pgettext("security event", "no longer listed"),
        1: pgettext("security event", "open"),
        2: pgettext("security event", "ignored"),
        4: pgettext("security event", "confirmed"),
        8: pgettext("security event", "marked as a false alarm"),
        16: pgettext("security event", "being handled"),
        32: pgettext("security event", "handled"),
        64: pgettext("security event", "lapsed"),
        128: pgettext("security event", "deleted"),
        512: pgettext("security event", "being blocked"),
        513: pgettext("security event", "blocked"),
    }
    return names.get(status, str(status))
