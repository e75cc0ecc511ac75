"""Clock, updates, files, services and image: items of the checklist. Pure."""

from __future__ import annotations

import re
from typing import Final

from bastion.hardening.findings import Finding, Said, Standard, failed, passed, unknown, unread
from bastion.hardening.output import parts

DAY_S: Final = 86_400
STALE_DAYS: Final = 14
MOST_NAMED: Final = 12
UNWANTED: Final = frozenset(
    {"telnet", "rsh", "rlogin", "rexec", "rshd", "tftp", "talk", "ntalk", "ypserv", "ypbind", "finger", "avahi-daemon",
     "cups", "cups-browsed", "rpcbind", "xinetd", "inetd", "inetutils-inetd", "bluetooth", "snmpd", "vsftpd"}
)  # fmt: skip
"""Services that nobody needs on a server unless they were agreed; each sends in clear or answers strangers."""
_SYNCHRONISED: Final = re.compile(r"\s*(System clock synchronized|NTP synchronized): yes\b")
STRICTEST: Final = {"shadow": 0o640, "gshadow": 0o640, "sudoers": 0o440, "key": 0o640, "authorized_keys": 0o644}


def time_sync(said: Said, _standard: Standard) -> Finding:
    section = said.of("time_sync")
    if not section.is_whole:
        return unread(section) if section.code != 78 else failed("no_time_sync")
    by_tool = parts(section)
    yes = any(_SYNCHRONISED.match(line) for line in by_tool.get("timedatectl", []))
    leap = any(re.match(r"Leap status\s*: Normal\b", line) for line in by_tool.get("chronyc", []))
    peer = any(line.startswith("*") for line in by_tool.get("ntpq", []))
    if yes or leap or peer:
        return passed("time_synchronised", section.text)
    said_no = any("synchronized: no" in line for line in by_tool.get("timedatectl", []))
    if said_no or any("Leap status" in line for line in by_tool.get("chronyc", [])) or by_tool.get("ntpq"):
        return failed("no_time_sync", section.text)
    return unknown("time_unread", section.text)


def security_updates(said: Said, _standard: Standard) -> Finding:
    return _updates(said, only_security=True)


def other_updates(said: Said, _standard: Standard) -> Finding:
    return _updates(said, only_security=False)


def _updates(said: Said, *, only_security: bool) -> Finding:
    section = said.of("updates")
    if not section.is_whole:
        return unread(section)
    by_tool = parts(section)
    if "apt" in by_tool:
        return _apt(by_tool, section.text, only_security=only_security)
    if "yum" not in by_tool:
        return unknown("went_wrong", section.text)
    if only_security:
        if "none" in by_tool:
            return unknown("no_security_list", section.text)
        packages = [line.split()[-1] for line in by_tool.get("security", []) if len(line.split()) >= 3]
        return _counted(packages, "security_updates", "\n".join(by_tool.get("security", [])))
    packages = [line.split()[0] for line in by_tool["yum"] if re.match(r"\S+\.\S+\s+\S+\s+\S+$", line)]
    return _counted(packages, "other_updates", "\n".join(by_tool["yum"]))


def _apt(by_tool: dict[str, list[str]], text: str, *, only_security: bool) -> Finding:
    age = next((name.split() for name in by_tool if name.startswith("age ")), [])
    lists, now = (
        int(word) if word.isascii() and word.isdecimal() and len(word) < 13 else 0 for word in [*age, "", ""][1:3]
    )
    days = (now - lists) // DAY_S
    if not lists or not now or days > STALE_DAYS:
        return unknown("lists_stale", text, str(max(days, 0)) if lists else "—")
    rows = [line for found in by_tool.values() for line in found if line.startswith("Inst ")]
    secure = [row for row in rows if re.search(r"-security\b|Debian-Security", row, re.IGNORECASE)]
    chosen = secure if only_security else [row for row in rows if row not in secure]
    names = [row.split()[1] for row in chosen if len(row.split()) > 1]
    return _counted(names, "security_updates" if only_security else "other_updates", "\n".join(chosen))


def _counted(packages: list[str], code: str, evidence: str) -> Finding:
    if not packages:
        return passed(f"no_{code}", evidence)
    names = list(dict.fromkeys(packages))
    return failed(code, evidence, str(len(names)), *names[: MOST_NAMED - 1])


def file_modes(said: Said, _standard: Standard) -> Finding:
    """Nobody but root changes what rights hang on, and secrets are read by few."""
    modes, writable = said.of("modes"), said.of("world_writable")
    if not modes.is_whole:
        return unread(modes)
    wrong = [line for line in modes.lines if _is_too_open(line)]
    wrong += [line.strip() for line in writable.lines]
    if wrong:
        return failed("files_open", "\n".join(wrong), *(line.split(" ")[-1] for line in wrong))
    if not writable.is_whole:
        return unread(writable)
    return passed("files_closed", modes.text)


def _is_too_open(line: str) -> bool:
    words = line.split(" ", 3)
    if len(words) != 4 or not re.fullmatch(r"[0-7]{1,4}", words[0]):
        return False
    mode, owner, name = int(words[0], 8) & 0o777, words[1], words[3]
    kind = "key" if name.endswith("_key") else name.rpartition("/")[2]
    if "/sudoers.d/" in name:
        kind = "sudoers"
    if mode & 0o022 or (kind != "authorized_keys" and owner != "root"):
        return True
    allowed = STRICTEST.get(kind)
    return allowed is not None and bool(mode & ~allowed & 0o177)


def services(said: Said, standard: Standard) -> Finding:
    section = said.of("services")
    if not section.is_whole:
        return unread(section)
    enabled = [line.strip() for line in section.lines]
    unwanted = [name for name in enabled if name.rpartition(".")[0].rstrip("@") in UNWANTED]
    evidence = "\n".join(enabled)
    return failed("services_unwanted", evidence, *unwanted) if unwanted else passed("services", evidence)


def image(_said: Said, standard: Standard) -> Finding:
    """By what the cloud's listing says the server was made from."""
    if not standard.image:
        return unknown("image_not_known")
    if not standard.images:
        return unknown("no_images", standard.image)
    if standard.image in standard.images:
        return passed("image", standard.image)
    return failed("other_image", standard.image, standard.image)
