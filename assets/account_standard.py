"""The accounts of every Linux server (SOW 附件一 2.1, R121), and what a server's accounts say against it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Expected:
    name: str
    purpose: str
    has_sudo: bool


STANDARD = (
    Expected("trops", "operations", has_sudo=True),
    Expected("xxadmin", "customer", has_sudo=True),
    Expected("www", "application", has_sudo=False),
)
BY_NAME = {expected.name: expected for expected in STANDARD}


@dataclass(frozen=True)
class Account:
    """An account as it is written down; `has_sudo` None is not known."""

    name: str
    purpose: str
    has_sudo: bool | None


class Fault(StrEnum):
    MISSING = "missing"
    OTHER_NAME = "other_name"
    WITHOUT_SUDO = "without_sudo"
    WITH_SUDO = "with_sudo"
    SUDO_UNKNOWN = "sudo_unknown"
    EXTRA_SUDO = "extra_sudo"


@dataclass(frozen=True)
class Deviation:
    fault: Fault
    name: str
    instead: str = ""


def deviations(accounts: Iterable[Account]) -> tuple[Deviation, ...]:
    """What differs from the standard, in its order; further accounts only when they may use sudo."""
    there = {account.name: account for account in accounts}
    found = [deviation for expected in STANDARD for deviation in _of(expected, there)]
    extra = [account for account in there.values() if account.name not in BY_NAME and account.has_sudo]
    found += [Deviation(Fault.EXTRA_SUDO, account.name) for account in sorted(extra, key=lambda one: one.name)]
    return tuple(found)


def _of(expected: Expected, there: dict[str, Account]) -> list[Deviation]:
    account = there.get(expected.name)
    if account is None:
        instead = sorted(one.name for one in there.values() if one.purpose == expected.purpose)
        if instead:
            return [Deviation(Fault.OTHER_NAME, expected.name, ", ".join(instead))]
        return [Deviation(Fault.MISSING, expected.name)]
    if account.has_sudo is None:
        return [Deviation(Fault.SUDO_UNKNOWN, expected.name)]
    if account.has_sudo == expected.has_sudo:
        return []
    return [Deviation(Fault.WITHOUT_SUDO if expected.has_sudo else Fault.WITH_SUDO, expected.name)]
