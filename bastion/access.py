"""Who may do what on a resource, out of the grants that lead to it. Pure: every connect, socket and replay asks here.

A grant names actions, accounts, protocols, dates and weekly windows. Whoever may connect by one of them may do what any
that holds now allows; the session ends when the last of them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from accounts.windows import Window, is_active, next_change
from bastion.gateway.contract import Action

OWN: Final = "+own"
"""In place of an account: the person types a name and password of their own, which nobody keeps. Once they have, the
name stands behind it, as in `+own:deploy`. No account of a server is called so."""
IN_SIGHT: Final = timedelta(days=7)
"""An end that lies further ahead is none: sessions are asked about again long before."""


class Protocol(StrEnum):
    SSH = "ssh"
    SFTP = "sftp"
    RDP = "rdp"
    MYSQL = "mysql"


class Denial(StrEnum):
    """Why not; of several grants the one that comes nearest says it."""

    NO_GRANT = "no_grant"
    ENDED = "ended"
    NOT_YET = "not_yet"
    OTHER_PROTOCOL = "other_protocol"
    OTHER_ACCOUNT = "other_account"
    OUTSIDE_WINDOW = "outside_window"
    NO_CONNECT = "no_connect"


def is_own(account: str) -> bool:
    return account == OWN or account.startswith(f"{OWN}:")


def own_name(account: str) -> str:
    """Empty while it is not known."""
    return account.partition(":")[2] if is_own(account) else ""


@dataclass(frozen=True, slots=True)
class Terms:
    """One grant. Without accounts it is for all that the platform knows; without windows it holds around the clock."""

    actions: frozenset[Action]
    protocols: frozenset[Protocol]
    accounts: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    windows: tuple[Window, ...] = ()
    forwards: frozenset[str] = frozenset()
    """Destinations, as `gateway.contract.Access.forwards` has them."""
    allows_own: bool = False
    needs_consent: bool = False
    """Somebody has to let each session in."""

    def is_for(self, account: str) -> bool:
        if is_own(account):
            return self.allows_own
        return not self.accounts or account in self.accounts

    def denial(self, protocol: Protocol, account: str, at: datetime) -> Denial | None:
        if self.until is not None and self.until <= at:
            return Denial.ENDED
        if self.since is not None and at < self.since:
            return Denial.NOT_YET
        if protocol not in self.protocols:
            return Denial.OTHER_PROTOCOL
        if not self.is_for(account):
            return Denial.OTHER_ACCOUNT
        if self.windows and not is_active(self.windows, at):
            return Denial.OUTSIDE_WINDOW
        return None

    def fits(self, protocol: Protocol, account: str) -> bool:
        return protocol in self.protocols and self.is_for(account)

    def holds(self, at: datetime) -> bool:
        in_dates = (self.since is None or self.since <= at) and (self.until is None or at < self.until)
        return in_dates and (not self.windows or is_active(self.windows, at))

    def holds_until(self, at: datetime) -> datetime | None:
        """When it ends by itself, asked while it holds; None: never."""
        ends = [end for end in (self.until, next_change(self.windows, at) if self.windows else None) if end is not None]
        return min(ends, default=None)


@dataclass(frozen=True, slots=True)
class Decision:
    denial: Denial | None
    actions: frozenset[Action] = frozenset()
    ends_at: datetime | None = None
    """When the right to be connected ends, as far as anybody knows now; None: it does not."""
    opens_at: datetime | None = None
    """Of OUTSIDE_WINDOW and NOT_YET: when it is worth trying again."""
    forwards: frozenset[str] = frozenset()
    needs_consent: bool = False
    """Every grant that lets them connect now wants that somebody lets the session in."""

    @property
    def is_allowed(self) -> bool:
        return self.denial is None


FULL = Terms(frozenset(Action), frozenset(Protocol), forwards=frozenset({"*:*"}), allows_own=True)
"""What administrators have on every resource (SOW 附件一 1.1)."""


def decide(grants: Iterable[Terms], *, protocol: Protocol, account: str, at: datetime) -> Decision:
    """The answer for one account by one protocol at one moment."""
    judged = [(grant, grant.denial(protocol, account, at)) for grant in grants]
    actions = frozenset[Action]().union(*(grant.actions for grant, denial in judged if denial is None))
    if Action.CONNECT not in actions:
        return _denied(judged, at)
    connecting = [grant for grant, _ in judged if Action.CONNECT in grant.actions and grant.fits(protocol, account)]
    forwarding = [grant for grant, denial in judged if denial is None and Action.FORWARD in grant.actions]
    forwards = frozenset[str]().union(*(grant.forwards for grant in forwarding))
    letting = [grant for grant, denial in judged if denial is None and Action.CONNECT in grant.actions]
    consent = all(grant.needs_consent for grant in letting)
    return Decision(None, actions, _last_end(connecting, at), forwards=forwards, needs_consent=consent)


def usable_accounts(grants: Iterable[Terms], known: Sequence[str], *, protocol: Protocol, at: datetime) -> list[str]:
    """Those of the resource's accounts by which somebody may connect now, in their order."""
    terms = list(grants)
    return [name for name in known if decide(terms, protocol=protocol, account=name, at=at).is_allowed]


def _denied(judged: Sequence[tuple[Terms, Denial | None]], at: datetime) -> Decision:
    """Of grants that hold but do not let anybody connect, that is what is said."""
    order = list(Denial)
    nearest = max((denial or Denial.NO_CONNECT for _, denial in judged), key=order.index, default=Denial.NO_GRANT)
    opening = [_opens(grant, denial, at) for grant, denial in judged if Action.CONNECT in grant.actions]
    return Decision(nearest, opens_at=min((moment for moment in opening if moment is not None), default=None))


def _opens(grant: Terms, denial: Denial | None, at: datetime) -> datetime | None:
    if denial is Denial.NOT_YET:
        return grant.since
    return next_change(grant.windows, at) if denial is Denial.OUTSIDE_WINDOW else None


def _last_end(grants: Sequence[Terms], at: datetime) -> datetime | None:
    """The end of an unbroken stretch: where one grant ends while another holds, the session goes on."""
    moment = at
    while moment - at < IN_SIGHT:
        ends = [grant.holds_until(moment) for grant in grants if grant.holds(moment)]
        if not ends:
            return moment
        if None in ends:
            return None
        moment = max(end for end in ends if end is not None)
    return None
