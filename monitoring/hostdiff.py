"""What changed on a host between two readings of its agent. Pure: readings in, changes out.

Only what both readings could see is compared: a section that may not be read, was switched off or failed says nothing,
and the last reading that could see it stays what later ones are compared with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MAX_DIFF_LINES: Final = 400
MAX_LINE: Final = 400
MAX_LISTED: Final = 20
BOOT_SLACK_S: Final = 30.0
SETTLING_S: Final = 900.0
"""So long after a boot the set of processes and ports is still becoming what it was."""
EPHEMERAL: Final = 32768
SECTIONS: Final = ("processes", "accounts", "sudo", "files", "firewall", "ports")
Facts = Mapping[str, Any]
Texts = Mapping[str, str]


class Kind(StrEnum):
    PASSWORD = "host-password"  # noqa: S105 - the name of a kind of change
    ACCOUNT = "host-account"
    SUDO = "host-sudo"
    CONFIG = "host-config"
    FIREWALL = "host-firewall"
    HOSTNAME = "host-hostname"
    REBOOT = "host-reboot"
    PORTS = "host-ports"
    PROCESSES = "host-processes"


@dataclass(frozen=True, slots=True)
class Change:
    """One change, in both languages; `name` tells two changes of one kind apart."""

    kind: Kind
    name: str
    title_zh: str
    title_en: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def merged(before: Facts, after: Facts) -> dict[str, Any]:
    """What the next reading is compared with: the newest reading of each section that could be seen."""
    found = dict(after)
    for section in SECTIONS:
        if not _seen(after, section) and _seen(before, section):
            found[section] = {**before[section], "hidden": after.get(section, {}).get("state", "failed")}
    accounts, old = found.get("accounts", {}), before.get("accounts", {})
    if accounts.get("passwords") == "not_permitted" and old.get("passwords") == "ok":
        users = {
            name: {
                **user,
                **{key: old["users"][name][key] for key in ("password",) if key in old["users"].get(name, {})},
            }
            for name, user in accounts.get("users", {}).items()
        }
        found["accounts"] = {**accounts, "users": users}
    return found


def compare(before: Facts, after: Facts, texts: Texts, new_texts: Texts) -> list[Change]:
    """The changes from one reading to the next. `texts` are those kept from before, `new_texts` those just fetched.

    Digests made with another key (a new token) cannot be compared: what they stand for is taken as unchanged.
    """
    if not before:
        return []
    found = [*_hostname(before, after), *_boot(before, after)]
    has_settled = after.get("at", 0) - after.get("boot", 0) >= SETTLING_S
    if before.get("key") == after.get("key"):
        both = {**texts, **new_texts}
        if _both(before, after, "accounts"):
            found += _accounts(before["accounts"], after["accounts"])
        if _both(before, after, "sudo"):
            found += _sudo(before["sudo"], after["sudo"], both)
        if _both(before, after, "files"):
            found += _files(before["files"]["items"], after["files"]["items"], both, Kind.CONFIG)
        if _both(before, after, "firewall"):
            found += _firewall(before["firewall"], after["firewall"], both)
    if has_settled and _both(before, after, "ports"):
        found += _ports(before["ports"]["items"], after["ports"]["items"])
    if has_settled and _both(before, after, "processes") and not _rebooted(before, after):
        found += _processes(before["processes"], after["processes"])
    return found


def _seen(facts: Facts, section: str) -> bool:
    state = facts.get(section, {}).get("state")
    return state == "ok" or (section == "sudo" and state == "not_permitted")


def _both(before: Facts, after: Facts, section: str) -> bool:
    return _seen(before, section) and _seen(after, section)


def _hostname(before: Facts, after: Facts) -> Iterator[Change]:
    old, new = before.get("hostname"), after.get("hostname")
    if old and new and old != new:
        yield Change(
            Kind.HOSTNAME, "", f"主机名由 {old} 变为 {new}", f"Host name changed from {old} to {new}",
            {"before": old, "after": new},
        )  # fmt: skip


def _rebooted(before: Facts, after: Facts) -> bool:
    return abs(float(after.get("boot", 0)) - float(before.get("boot", 0))) > BOOT_SLACK_S


def _boot(before: Facts, after: Facts) -> Iterator[Change]:
    if before.get("boot") and after.get("boot") and _rebooted(before, after):
        yield Change(
            Kind.REBOOT, "", "主机已重启", "The host was restarted",
            {"before": before["boot"], "after": after["boot"]},
        )  # fmt: skip


# --- users and rights ------------------------------------------------------------------------------------------------


def _accounts(before: Facts, after: Facts) -> Iterator[Change]:
    old, new = before.get("users", {}), after.get("users", {})
    for name in sorted(new.keys() - old.keys()):
        uid = new[name].get("uid", "")
        yield Change(
            Kind.ACCOUNT, name, f"新增用户 {name}（UID {uid}）", f"User {name} (UID {uid}) added", {"user": name}
        )
    for name in sorted(old.keys() - new.keys()):
        yield Change(Kind.ACCOUNT, name, f"用户 {name} 已删除", f"User {name} removed", {"user": name})
    for name in sorted(new.keys() & old.keys()):
        if new[name].get("record") != old[name].get("record"):
            yield Change(
                Kind.ACCOUNT, name, f"用户 {name} 的属性已变更", f"The record of user {name} changed",
                {"user": name, "before": _public(old[name]), "after": _public(new[name])},
            )  # fmt: skip
        if {"password"} <= new[name].keys() & old[name].keys() and new[name]["password"] != old[name]["password"]:
            yield Change(
                Kind.PASSWORD, name, f"用户 {name} 的密码已变更", f"The password of user {name} changed", {"user": name}
            )
    hidden = before.get("passwords") == after.get("passwords") == "not_permitted"
    if hidden and before.get("changed_at") != after.get("changed_at"):
        yield Change(
            Kind.PASSWORD, "", "密码文件已变更（agent 无权查看是哪个用户）",
            "The password file changed (the agent may not see whose password)",
        )  # fmt: skip


def _public(user: Facts) -> dict[str, Any]:
    return {name: user[name] for name in ("uid", "shell", "locked") if name in user}


def _sudo(before: Facts, after: Facts, texts: Texts) -> Iterator[Change]:
    yield from _files(before.get("files", {}), after.get("files", {}), texts, Kind.SUDO)
    old, new = before.get("members", {}), after.get("members", {})
    for group in sorted(old.keys() | new.keys()):
        was, now = set(old.get(group, ())), set(new.get(group, ()))
        if was != now:
            yield Change(
                Kind.SUDO, f"group {group}",
                f"管理员组 {group} 的成员已变更：{_moved(now - was, was - now)}",
                f"Members of the administrators' group {group} changed: {_moved(now - was, was - now)}",
                {"group": group, "added": sorted(now - was), "removed": sorted(was - now)},
            )  # fmt: skip


def _moved(added: set[str], removed: set[str]) -> str:
    names = [f"+{name}" for name in sorted(added)] + [f"-{name}" for name in sorted(removed)]
    return ", ".join(names[:MAX_LISTED]) + (" …" if len(names) > MAX_LISTED else "")


# --- files -----------------------------------------------------------------------------------------------------------


def _files(old: Facts, new: Facts, texts: Texts, kind: Kind) -> Iterator[Change]:
    what_zh, what_en = ("sudo 配置", "sudo file") if kind is Kind.SUDO else ("配置文件", "Configuration file")
    for name in sorted(new.keys() - old.keys()):
        detail = {"file": name, **_diff(None, new[name], texts, name)}
        yield Change(kind, name, f"新增{what_zh} {name}", f"{what_en} {name} added", detail)
    for name in sorted(old.keys() - new.keys()):
        detail = {"file": name, **_diff(old[name], None, texts, name)}
        yield Change(kind, name, f"{what_zh} {name} 已删除", f"{what_en} {name} removed", detail)
    for name in sorted(old.keys() & new.keys()):
        was, now = old[name], new[name]
        comparable = "digest" in was and "digest" in now
        if comparable and was["digest"] != now["digest"]:
            detail = {"file": name, **_diff(was, now, texts, name)}
            yield Change(kind, name, f"{what_zh} {name} 已变更", f"{what_en} {name} changed", detail)
        elif comparable and (was.get("mode"), was.get("owner")) != (now.get("mode"), now.get("owner")):
            detail = {"file": name, "before": _rights(was), "after": _rights(now)}
            yield Change(kind, name, f"{what_zh} {name} 的权限已变更", f"Rights of {name} changed", detail)
        elif not comparable and "digest" not in was and "digest" not in now and was != now:
            detail = {"file": name, "why": "not_permitted"}
            yield Change(kind, name, f"{what_zh} {name} 已变更", f"{what_en} {name} changed", detail)


def _rights(item: Facts) -> str:
    return f"{item.get('mode', '')} uid {item.get('owner', '')}"


def _diff(old: Facts | None, new: Facts | None, texts: Texts, name: str) -> dict[str, Any]:
    """A unified diff of the masked texts, or why there is none."""
    was = "" if old is None else texts.get(str(old.get("digest")))
    now = "" if new is None else texts.get(str(new.get("digest")))
    if was is None or now is None:
        return {"why": "no_text"}
    lines = list(difflib.unified_diff(was.splitlines(), now.splitlines(), name, name, lineterm="", n=3))
    if not lines:
        return {"why": "masked_only"}
    kept = [line[:MAX_LINE] for line in lines[:MAX_DIFF_LINES]]
    return {"diff": "\n".join(kept), "left_out": max(0, len(lines) - MAX_DIFF_LINES)}


def _firewall(before: Facts, after: Facts, texts: Texts) -> Iterator[Change]:
    if before.get("digest") != after.get("digest"):
        was, now = before.get("rules", 0), after.get("rules", 0)
        tool = str(after.get("tool", ""))
        yield Change(
            Kind.FIREWALL, "", f"防火墙规则已变更（{tool}，{was} → {now} 条）",
            f"Firewall rules changed ({tool}, {was} → {now})",
            {"before": was, "after": now, **_diff(before, after, texts, tool)},
        )  # fmt: skip


# --- what runs and listens -------------------------------------------------------------------------------------------


def _ports(old: Facts, new: Facts) -> Iterator[Change]:
    """Ports that servers choose for themselves for an hour are no news."""
    was = {name for name in old if _port(name) < EPHEMERAL}
    now = {name for name in new if _port(name) < EPHEMERAL}
    if was != now:
        moved = _moved(now - was, was - now)
        detail = {
            "added": [{"port": name, "process": new[name]} for name in sorted(now - was, key=_port)],
            "removed": [{"port": name, "process": old[name]} for name in sorted(was - now, key=_port)],
        }
        yield Change(Kind.PORTS, "", f"监听端口已变更：{moved}", f"Listening ports changed: {moved}", detail)


def _port(name: str) -> int:
    number = name.rsplit(" ", 1)[-1]
    return int(number) if number.isdecimal() else 0


def _processes(before: Facts, after: Facts) -> Iterator[Change]:
    """Those that have lived for ten minutes: gone now, or there since."""
    was, now = set(before.get("settled", ())), set(after.get("settled", ()))
    running = set(after.get("names", ()))
    gone, added = {name for name in was - now if name not in running}, now - was
    if gone or added:
        moved = _moved(added, gone)
        yield Change(
            Kind.PROCESSES, "", f"进程集合已变更：{moved}", f"The set of processes changed: {moved}",
            {"added": sorted(added), "removed": sorted(gone)},
        )  # fmt: skip
