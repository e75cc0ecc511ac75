"""What the findings of the hardening checks mean, in words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from assets.words import SSH_PROBLEMS
from bastion.hardening.catalogue import items
from changes.words import said

REASONS: Final[Mapping[str, str | Promise]] = {
    "needs_root": _("The account for operations may not read it: it has no sudo here without a password."),
    "not_installed": _("The program that would say it is not installed."),
    "cut_off": _("The server did not say it to the end."),
    "went_wrong": _("The program that says it failed."),
    "not_understood": _("What the server said was not understood."),
    "accounts_there": _("All agreed accounts are there."),
    "accounts_missing": _("Missing: %(names)s."),
    "no_sudo": _("sudo is not installed: nobody works but as root."),
    "sudo_lacking": _("Without sudo: %(names)s."),
    "sudo_extra": _("May use sudo and should not: %(names)s."),
    "sudo_as_agreed": _("As agreed."),
    "uid0_twins": _("Has all of root's rights under another name: %(names)s."),
    "one_root": _("root alone has user ID 0."),
    "empty_passwords": _("No password is needed for: %(names)s."),
    "no_empty_passwords": _("Every account has a password or is locked."),
    "password_age_default": _("New accounts' passwords hold for %(names)s days."),
    "password_age_accounts": _("Passwords hold for too long: %(names)s."),
    "password_age": _("Passwords end."),
    "pam_unread": _("The configuration of PAM was not found where it usually is."),
    "no_quality_module": _("Nothing looks at new passwords: PAM calls no module for it."),
    "quality_low": _("New passwords may be shorter, or less mixed, than the standard asks: %(names)s."),
    "quality": _("New passwords have to be long and mixed."),
    "history_short": _("Fewer than %(names)s old passwords are remembered."),
    "history": _("Old passwords are remembered."),
    "no_passwords_kept": _("The platform keeps no password of this server."),
    "passwords_typed": _("Typed by a person, not drawn: %(names)s."),
    "passwords_old": _("Drawn too long ago: %(names)s."),
    "passwords_random": _("Drawn by the platform, and lately."),
    "sshd_wrong": _("sshd does not say how it is set: its configuration is wrong, or it is not the usual one."),
    "root_login": _("root may log in: %(names)s."),
    "no_root_login": _("root may not log in."),
    "sshd_empty_passwords": _("sshd lets in accounts without a password."),
    "no_keys": _("sshd accepts no keys."),
    "many_tries": _("%(names)s passwords may be tried in one connection."),
    "password_login": _("sshd accepts passwords."),
    "keys_only": _("Keys only."),
    "passwords_agreed": _("Passwords are accepted, as was agreed with the customer."),
    "usual_port": _("sshd listens on port 22."),
    "other_port": _("sshd does not listen on port 22."),
    "no_banner": _("Nobody is warned."),
    "banner_empty": _("The file of the warning is empty or not there: %(names)s."),
    "banner": _("Whoever connects is warned."),
    "ports_unread": _("No listening port was understood."),
    "ports_agreed": _("Nothing listens to others but what was agreed."),
    "ports_not_agreed": _("No ports were agreed for this server yet. Listening: %(names)s."),
    "ports_extra": _("Listening, and not agreed: %(names)s."),
    "no_bastion_address": _("Nobody has written down from which addresses the bastion comes."),
    "match_blocks": _("sshd has Match blocks that may let in others: a person has to look."),
    "allow_users": _("sshd lets in the bastion's addresses alone (AllowUsers)."),
    "hosts_deny": _("hosts.deny and hosts.allow let in the bastion's addresses alone."),
    "packet_filter": _("The server's packet filter lets in the bastion's addresses alone."),
    "allowed_elsewhere": _("Others may log in as well: %(names)s."),
    "open_to_all": _(
        "Nothing on the server keeps others out. What stands before it is the item of the security group."
    ),
    "filter_unread": _(
        "There is a packet filter whose rules lead elsewhere (firewalld, ufw, nftables): a person has to look."
    ),
    "no_security_group": _("No cloud account brought it along: nobody reads what stands before it."),
    "cloud_unread": _("The cloud does not say what its security groups let through: %(names)s."),
    "group_open": _("The security group lets others to the log-in port: %(names)s."),
    "group_shut": _("The security group lets the bastion's addresses alone to the log-in port."),
    "no_time_sync": _("The clock follows no time server."),
    "time_synchronised": _("The clock follows a time server."),
    "time_unread": _("Nothing on the server says whether its clock is right."),
    "lists_stale": _("The lists of packages are %(names)s days old: the server does not know what is new."),
    "no_security_list": _("The sources of packages do not say which updates are for security."),
    "security_updates": _("Security updates wait: %(names)s."),
    "no_security_updates": _("No security update waits."),
    "other_updates": _("Updates wait: %(names)s."),
    "no_other_updates": _("No other update waits."),
    "files_open": _("Open to too many: %(names)s."),
    "files_closed": _("Closed as they should be."),
    "services_unwanted": _("Enabled, and not needed on a server: %(names)s."),
    "services": _("None of those that are known to be dangerous is enabled."),
    "image_not_known": _("Nobody knows what the server was made from."),
    "no_images": _("No hardened image was written down for this customer."),
    "image": _("Made from a hardened image."),
    "other_image": _("Made from another image: %(names)s."),
}
PROBLEMS: Final[Mapping[str, str | Promise]] = {
    **SSH_PROBLEMS,
    "by_hand": _("Windows: a person looks."),
    "no_account": _("No account for operations with a secret is written down for this server."),
    "no_secret": _("The secret of the account for operations does not open or was never entered."),
    "too_much": _("The server said more than any answer is long: the connection was ended."),
    "no_answer": _("The server answered with nothing that could be read."),
    "exit": _("The script of the checks failed on the server."),
    "went_wrong": _("The platform could not finish it; its administrators find the reason in the log."),
    "worker_lost": _("The worker that asked died twice. Nothing was changed on the server."),
    "cancelled": _("The run was cancelled."),
    "blind": _("The account for operations may read none of the server's records of log-ins."),
}
SEVERITIES: Final[Mapping[str, str | Promise]] = {
    "high": pgettext_lazy("hardening", "High"),
    "medium": pgettext_lazy("hardening", "Medium"),
    "low": pgettext_lazy("hardening", "Low"),
}


def reason_text(code: str, names: Sequence[object]) -> str:
    words = str(REASONS.get(code, code))
    shown = ", ".join(str(name) for name in names)
    return words % {"names": shown} if code in REASONS and "%(names)s" in words else words


def problem_text(code: str) -> str:
    return str(PROBLEMS.get(code, code)) if code else ""


def item_name(code: str) -> str:
    entry = items().get(code)
    return code if entry is None else said(entry.name)
