"""Which log-ins came through the bastion or from the platform itself; what remains went round both. Pure.

A session of the bastion opens one connection to its server, within moments of being allowed (and says so when it has
to open another): each explains one log-in of the same account in that time and from an address of its node. The
platform's own work is known by the use of a secret, which is written down each time, and by the address from which the
server sees the platform.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bastion.hardening.logins import Login
from bastion.hardening.sources import network_of

BEFORE: Final = timedelta(seconds=30)
AFTER: Final = timedelta(seconds=180)
"""Clocks differ, and connecting to a slow server takes a while (`bastion.services.living.UNUSED_AFTER`)."""
USED_BEFORE: Final = timedelta(seconds=30)
USED_AFTER: Final = timedelta(minutes=5)


class Verdict(StrEnum):
    BASTION = "bastion"
    PLATFORM = "platform"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Known:
    """A connection by a session of the bastion. `addresses` empty: nobody has said from where its node comes."""

    key: int
    account: str
    since: datetime
    until: datetime
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Use:
    """The platform took an account's secret out to log in itself."""

    account: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Judged:
    login: Login
    verdict: Verdict
    session: int | None = None


def judge(
    logins: Sequence[Login], sessions: Iterable[Known], uses: Iterable[Use], platform: Sequence[str]
) -> list[Judged]:
    """The earlier log-in has the first choice; each session explains one."""
    left = sorted(sessions, key=lambda one: one.since)
    used = list(uses)
    found = []
    for login in sorted(logins, key=lambda one: one.at):
        session = _session(login, left)
        if session is not None:
            left.remove(session)
            found.append(Judged(login, Verdict.BASTION, session.key))
        elif lies_in(login.source, platform) and any(_explains(use, login) for use in used):
            found.append(Judged(login, Verdict.PLATFORM))
        else:
            found.append(Judged(login, Verdict.DIRECT))
    return found


def _session(login: Login, sessions: Sequence[Known]) -> Known | None:
    fitting = [
        one
        for one in sessions
        if one.account == login.account
        and one.since - BEFORE <= login.at <= one.until + AFTER
        and (not one.addresses or lies_in(login.source, one.addresses))
    ]
    return min(fitting, key=lambda one: abs(one.since - login.at), default=None)


def _explains(use: Use, login: Login) -> bool:
    return use.account == login.account and use.at - USED_BEFORE <= login.at <= use.at + USED_AFTER


def lies_in(source: str, networks: Iterable[str]) -> bool:
    place = network_of(source)
    if place is None:
        return False
    found = [network for text in networks if (network := network_of(text)) is not None]
    return any(network.version == place.version and place.network_address in network for network in found)
