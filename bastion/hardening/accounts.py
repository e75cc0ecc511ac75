"""Accounts, their rights and their passwords: items of the checklist. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from assets.account_standard import BY_NAME, STANDARD
from bastion.hardening.findings import Finding, Said, Standard, failed, passed, unknown, unread
from bastion.hardening.output import ABSENT, Section, parts

LEAST_LENGTH: Final = 12
LEAST_CLASSES: Final = 3
LEAST_REMEMBERED: Final = 5
NO_SHELL: Final = re.compile(r"/(nologin|false|sync|shutdown|halt)$")
_QUALITY: Final = re.compile(r"pam_(pwquality|cracklib|passwdqc)\.so")
_REMEMBER: Final = re.compile(r"pam_(?:pwhistory|unix)\.so.*\bremember=(\d{1,4})\b")


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: str
    shell: str

    @property
    def may_log_in(self) -> bool:
        return NO_SHELL.search(self.shell) is None


def accounts(said: Said) -> list[Account]:
    found = []
    for line in said.of("accounts").lines:
        columns = line.split(":")
        if len(columns) == 5 and columns[0]:
            found.append(Account(columns[0], columns[1], columns[4]))
    return found


def there(said: Said, _standard: Standard) -> Finding:
    """trops, xxadmin and www exist (附件一 2.1)."""
    if not said.of("accounts").is_whole:
        return unread(said.of("accounts"))
    known = {account.name: account for account in accounts(said)}
    evidence = "\n".join(f"{one.name}:{one.uid}:{one.shell}" for one in known.values() if one.may_log_in)
    missing = [one.name for one in STANDARD if one.name not in known]
    return failed("accounts_missing", evidence, *missing) if missing else passed("accounts_there", evidence)


def sudo(said: Said, _standard: Standard) -> Finding:
    """trops and xxadmin may use sudo, www and everybody else may not."""
    section = said.of("sudo")
    if section.code == ABSENT:
        return failed("no_sudo")
    if not section.is_whole:
        return unread(section)
    may = {
        name
        for name, lines in parts(section).items()
        if any(line.startswith("User ") and "may run" in line for line in lines)
    }
    known = {account.name for account in accounts(said)}
    without = [one.name for one in STANDARD if one.has_sudo and one.name in known and one.name not in may]
    extra = sorted(name for name in may if name and (name not in BY_NAME or not BY_NAME[name].has_sudo))
    if without:
        return failed("sudo_lacking", section.text, *without)
    return failed("sudo_extra", section.text, *extra) if extra else passed("sudo_as_agreed", section.text)


def only_one_root(said: Said, _standard: Standard) -> Finding:
    if not said.of("accounts").is_whole:
        return unread(said.of("accounts"))
    roots = [account.name for account in accounts(said) if account.uid.strip("0") == "" and account.uid]
    others = [name for name in roots if name != "root"]
    evidence = "\n".join(f"{name}:0" for name in roots)
    return failed("uid0_twins", evidence, *others) if others else passed("one_root", evidence)


@dataclass(frozen=True, slots=True)
class Shadow:
    """How a password stands in /etc/shadow; the hash itself is never read."""

    name: str
    kind: str
    most_days: str


def shadow(section: Section) -> Iterator[Shadow]:
    for line in section.lines:
        columns = line.split(":")
        if len(columns) == 6:
            yield Shadow(columns[0], columns[1], columns[5])


def no_empty_passwords(said: Said, _standard: Standard) -> Finding:
    section = said.of("shadow")
    if not section.is_whole:
        return unread(section)
    empty = [row.name for row in shadow(section) if row.kind == "empty"]
    evidence = "\n".join(f"{row.name}: {row.kind}" for row in shadow(section) if row.kind != "locked")
    return failed("empty_passwords", evidence, *empty) if empty else passed("no_empty_passwords", evidence)


def password_age(said: Said, standard: Standard) -> Finding:
    """By default for new accounts, and for each account that has a password."""
    defaults, section = said.of("login_defs"), said.of("shadow")
    if not defaults.is_whole:
        return unread(defaults)
    usual = [line for line in defaults.lines if line.startswith("PASS_")]
    most = next((line.split()[1] for line in usual if line.split()[0] == "PASS_MAX_DAYS" and len(line.split()) > 1), "")
    evidence = "\n".join(usual)
    if not _is_within(most, standard.password_days):
        return failed("password_age_default", evidence, most or "—")
    if not section.is_whole:
        return unread(section)
    rows = [row for row in shadow(section) if row.kind == "set"]
    evidence = "\n".join([evidence, *(f"{row.name}: {row.most_days or '—'}" for row in rows)])
    never = [row.name for row in rows if not _is_within(row.most_days, standard.password_days)]
    return failed("password_age_accounts", evidence, *never) if never else passed("password_age", evidence)


def _is_within(days: str, most: int) -> bool:
    return days.isascii() and days.isdecimal() and len(days) < 9 and 0 < int(days) <= most


def password_quality(said: Said, _standard: Standard) -> Finding:
    """A module of PAM that is really called, with a length and kinds of characters."""
    section = said.of("pam")
    if not section.is_whole:
        return unread(section)
    by_file = parts(section)
    lines = [line for name, found in by_file.items() if "/pam.d/" in name for line in found]
    called = [line for line in lines if _QUALITY.search(line)]
    if not lines:
        return unknown("pam_unread", section.text)
    if not called:
        return failed("no_quality_module", "\n".join(lines))
    settings = dict(_settings(by_file, "pwquality.conf")) | dict(_options(called))
    evidence = "\n".join([*called, *(f"{name} = {value}" for name, value in sorted(settings.items()))])
    length, classes = _number(settings.get("minlen", "")), _number(settings.get("minclass", ""))
    kinds = sum(_number(settings.get(f"{kind}credit", "")) < 0 for kind in "dulo")
    if length < LEAST_LENGTH or max(classes, kinds) < LEAST_CLASSES:
        return failed("quality_low", evidence, str(LEAST_LENGTH), str(LEAST_CLASSES))
    return passed("quality", evidence)


def password_history(said: Said, _standard: Standard) -> Finding:
    section = said.of("pam")
    if not section.is_whole:
        return unread(section)
    by_file = parts(section)
    lines = [line for name, found in by_file.items() if "/pam.d/" in name for line in found]
    if not lines:
        return unknown("pam_unread", section.text)
    numbers = [int(found[1]) for line in lines if (found := _REMEMBER.search(line))]
    if any("pam_pwhistory.so" in line for line in lines):
        numbers += [_number(value) for name, value in _settings(by_file, "pwhistory.conf") if name == "remember"]
    if max(numbers, default=0) < LEAST_REMEMBERED:
        return failed("history_short", "\n".join(lines), str(LEAST_REMEMBERED))
    return passed("history", "\n".join(lines))


def random_passwords(_said: Said, standard: Standard) -> Finding:
    """Drawn by the platform, and lately (密码随机化加固). What the server says has no part in it."""
    rows = standard.passwords
    if not rows:
        return unknown("no_passwords_kept")
    evidence = "\n".join(
        f"{row.account}: {'—' if row.set_at is None else format(row.set_at, '%Y-%m-%d')}"
        f"{' (random)' if row.is_random else ''}"
        for row in rows
    )
    typed = [row.account for row in rows if not row.is_random]
    if typed:
        return failed("passwords_typed", evidence, *typed)
    oldest = standard.now - timedelta(days=standard.password_days)
    old = [row.account for row in rows if row.set_at is None or row.set_at < oldest]
    return failed("passwords_old", evidence, *old) if old else passed("passwords_random", evidence)


def _settings(by_file: dict[str, list[str]], ending: str) -> Iterator[tuple[str, str]]:
    for name, lines in by_file.items():
        if ending in name:
            for line in lines:
                key, there, value = line.partition("=")
                if there:
                    yield key.strip(), value.strip()


def _options(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        for word in line.split():
            key, there, value = word.partition("=")
            if there:
                yield key, value


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"-?[0-9]{1,6}", text) else 0
