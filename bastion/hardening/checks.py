"""Every item of the checklist with what judges it: a server's words and the standard in, findings out. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from bastion.hardening import accounts, doors, groups, sources, system
from bastion.hardening.catalogue import items
from bastion.hardening.findings import Finding, Outcome, Said, Standard, unknown
from bastion.hardening.output import sections

log = logging.getLogger(__name__)
Check = Callable[[Said, Standard], Finding]

CHECKS: Final[Mapping[str, Check]] = {
    "accounts": accounts.there,
    "sudo": accounts.sudo,
    "one-root": accounts.only_one_root,
    "root-login": doors.root_login,
    "ssh-authentication": doors.authentication,
    "ssh-port": doors.ssh_port,
    "login-source": sources.only_from_bastion,
    "security-group": groups.login_port,
    "ports": doors.ports,
    "banner": doors.banner,
    "empty-passwords": accounts.no_empty_passwords,
    "password-random": accounts.random_passwords,
    "password-age": accounts.password_age,
    "password-quality": accounts.password_quality,
    "password-history": accounts.password_history,
    "time-sync": system.time_sync,
    "security-updates": system.security_updates,
    "other-updates": system.other_updates,
    "file-modes": system.file_modes,
    "services": system.services,
    "image": system.image,
}


def judge(output: str, standard: Standard) -> dict[str, Finding]:
    """A finding for every item, in the catalogue's order, whatever the server said."""
    said = Said(sections(output))
    return {code: _judge(code, said, standard) for code in items()}


def _judge(code: str, said: Said, standard: Standard) -> Finding:
    try:
        return CHECKS[code](said, standard)
    except (ValueError, IndexError, KeyError, OverflowError):  # words that no program of ours was written for
        log.exception("the check %s does not understand what a server said", code)
        return unknown("not_understood")


def score(outcomes: Mapping[str, Outcome]) -> int | None:
    """Of 100, by weight. What could not be read counts as not fulfilled."""
    weights = {code: items()[code].weight for code in outcomes if code in items()}
    whole = sum(weights.values())
    good = sum(weight for code, weight in weights.items() if outcomes[code] is Outcome.PASSED)
    return None if not whole else good * 100 // whole


def system_name(output: str) -> str:
    """What the server calls its operating system."""
    for line in sections(output).get("system", Said().of("")).lines:
        name, there, value = line.partition("=")
        if there and name == "PRETTY_NAME":
            return value.strip().strip("\"'")
        if not there and line and not line.startswith("@"):
            return line.strip()
    return ""


def had_root(output: str) -> bool:
    """Whether the script ran with root's rights."""
    lines = sections(output).get("rights", Said().of("")).lines
    return bool(lines) and lines[0].strip() == "0"
