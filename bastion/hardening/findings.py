"""What one look at one item of the checklist found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bastion.hardening.output import ABSENT, CUT, DENIED, Section, harmless, section_of
from bastion.hardening.rules import Seen


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is one of `bastion.hardening_words.REASONS`; `names` is what it is about; `evidence` what was read."""

    outcome: Outcome
    code: str
    names: tuple[str, ...] = ()
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Password:
    """A password that the platform keeps for this server: since when, and whether it drew the password itself."""

    account: str
    set_at: datetime | None
    is_random: bool


@dataclass(frozen=True, slots=True)
class Standard:
    """What is asked of this server, and what is known of it here. `ports`: those that may listen to others."""

    now: datetime
    ports: frozenset[int] = frozenset()
    bastions: tuple[str, ...] = ()
    """Addresses and networks from which the bastion and the platform come."""
    password_days: int = 90
    allows_passwords: bool = False
    images: frozenset[str] = frozenset()
    image: str = ""
    passwords: tuple[Password, ...] = ()
    login_ports: frozenset[int] = frozenset()
    """Where the platform itself reaches its SSH."""
    cloud: Seen | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The server's own words, by section."""

    sections: Mapping[str, Section] = field(default_factory=dict)

    def of(self, name: str) -> Section:
        return section_of(self.sections, name)


WHY_NOT: Final = {DENIED: "needs_root", ABSENT: "not_installed", CUT: "cut_off"}


def passed(code: str, evidence: str = "", *names: str) -> Finding:
    return Finding(Outcome.PASSED, code, names, harmless(evidence))


def failed(code: str, evidence: str = "", *names: str) -> Finding:
    return Finding(Outcome.FAILED, code, tuple(harmless(name, 60) for name in names[:12]), harmless(evidence))


def unknown(code: str, evidence: str = "", *names: str) -> Finding:
    return Finding(Outcome.NOT_CHECKED, code, tuple(harmless(name, 60) for name in names[:12]), harmless(evidence))


def unread(section: Section) -> Finding:
    """Why a section says nothing."""
    return unknown(WHY_NOT.get(section.code, "went_wrong"), section.text)
