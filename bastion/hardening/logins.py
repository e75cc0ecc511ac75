"""Log-ins as a server has written them down (`data/logins.sh`), in the order in which they happened. Pure.

A moment is UTC. The journal says it in microseconds; files say it in the server's own time zone and mostly without a
year; `last` likewise, with a year. What cannot be read is passed over: a line of a log is anybody's words.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bastion.hardening.output import Section, harmless, parts, section_of, sections

CONSOLE: Final = ""
"""The source of a log-in at the machine's own console."""
SAME_S: Final = 10.0
"""wtmp is written when the terminal opens, a moment after sshd said that it let somebody in."""
MOST_LOGINS: Final = 20_000
_ACCEPTED: Final = re.compile(
    r"Accepted (?P<method>[\w/-]{1,40}) for (?P<account>\S{1,128}) from (?P<source>\S{1,64}) port (?P<port>\d{1,5})"
    r"(?: ssh2)?(?:: (?P<key>\S{1,40} \S{1,120}))?"
)
_JOURNAL: Final = re.compile(r"(\d{15,17}) (\d{1,10}) (Accepted .*)")
_DAY: Final = r"[A-Z][a-z]{2} [ \d]\d [\d:]{8}"
_FILE: Final = re.compile(rf"(?P<at>\S+T\S+|{_DAY}) \S+ sshd(?:-session|-auth)?\[\d{{1,10}}\]: (?P<said>Accepted .*)")
_LAST: Final = re.compile(
    rf"(?P<account>\S+)\s+(?P<line>\S+)\s+(?P<source>[\da-fA-F.:]+)\s+[A-Z][a-z]{{2}} (?P<at>{_DAY} \d{{4}})"
    rf"(?: - [A-Z][a-z]{{2}} (?P<until>{_DAY} \d{{4}}))?"
)
_ZONE: Final = re.compile(r"[+-](\d{2})(\d{2})")


@dataclass(frozen=True, slots=True)
class Login:
    """`source` CONSOLE: at the machine itself. `port` 0 is not known. `found_in` is journal, file or wtmp."""

    at: datetime
    account: str
    source: str
    port: int = 0
    method: str = ""
    key: str = ""
    found_in: str = "journal"
    ended_at: datetime | None = None
    has_terminal: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """`skew_s`: by how much the server's clock is ahead of ours; moments are ours already. `is_blind`: nothing that
    records log-ins could be read. `since`: how far back what was read goes, when that is known."""

    logins: tuple[Login, ...]
    skew_s: float
    is_blind: bool
    since: datetime | None
    sources: tuple[str, ...]


def read(output: str, *, now: datetime) -> Read | None:
    """None when it is nothing that the script would print. `now` is when the server was asked."""
    said = sections(output)
    clock = section_of(said, "clock")
    words = clock.lines
    if not words or not re.fullmatch(r"\d{9,11}", words[0].strip()):
        return None
    skew_s = int(words[0]) - now.timestamp()
    zone = _zone(words[1:])
    journal, files, wtmp = (section_of(said, name) for name in ("journal", "files", "wtmp"))
    their_now = now + timedelta(seconds=skew_s)
    found = [*_journal(journal), *_files(files, zone, their_now)]
    found = _joined(found, list(_wtmp(wtmp, zone)))
    moved = timedelta(seconds=skew_s)
    logins = sorted((_moved(one, moved) for one in found), key=lambda one: (one.at, one.account, one.source, one.port))
    oldest = section_of(said, "oldest")
    kept = {"journal": bool(journal.lines or oldest.lines), "file": bool(files.lines), "wtmp": bool(wtmp.lines)}
    sources = tuple(name for name, is_kept in kept.items() if is_kept)
    return Read(
        logins=tuple(logins),
        skew_s=skew_s,
        is_blind=not sources,
        since=_oldest(oldest, moved),
        sources=sources,
    )


def _journal(section: Section) -> Iterator[Login]:
    for line in section.lines:
        if (found := _JOURNAL.fullmatch(line)) and (login := _accepted(found[3], _from_us(found[1]), "journal")):
            yield login


def _files(section: Section, zone: tzinfo, now: datetime) -> Iterator[Login]:
    for name, lines in parts(section).items():
        modified = name.rpartition(" ")[2]
        last = _from_us(f"{modified}000000") if re.fullmatch(r"\d{9,11}", modified) else now
        for line in lines:
            found = _FILE.match(line)
            at = None if found is None else _moment(found["at"], zone, last or now)
            if found is not None and (login := _accepted(found["said"], at, "file")):
                yield login


def _accepted(said: str, at: datetime | None, found_in: str) -> Login | None:
    found = _ACCEPTED.match(said)
    source = "" if found is None else address(found["source"])
    if found is None or at is None or not source or int(found["port"]) > 65535:
        return None
    key = harmless(found["key"] or "", 160)
    return Login(at, harmless(found["account"], 128), source, int(found["port"]), found["method"], key, found_in)


def _wtmp(section: Section, zone: tzinfo) -> Iterator[Login]:
    for line in section.lines:
        found = _LAST.match(line)
        if found is None or found["account"] in ("reboot", "shutdown", "runlevel", "wtmp"):
            continue
        at = _with_year(found["at"], zone)
        source = address(found["source"])
        if at is not None and (source or not found["line"].startswith("pts")):
            until = _with_year(found["until"] or "", zone)
            yield Login(at, harmless(found["account"], 128), source, found_in="wtmp", ended_at=until)


def _joined(logs: Iterable[Login], terminals: list[Login]) -> list[Login]:
    """Each log-in once: the journal and the files say the same, and wtmp says it again of those with a terminal."""
    found: dict[tuple[str, str], list[Login]] = {}
    for one in sorted(logs, key=lambda one: one.at):
        known = found.setdefault((one.account, one.source), [])
        near = (other for other in reversed(known) if other.port == one.port)
        last = next(near, None)
        if last is None or (one.at - last.at).total_seconds() > SAME_S:
            known.append(one)
    for terminal in sorted(terminals, key=lambda one: one.at):
        known = found.setdefault((terminal.account, terminal.source), [])
        place = next((at for at, one in enumerate(known) if _is_same(one, terminal)), None)
        if place is None:
            known.append(terminal)
        else:
            known[place] = replace(known[place], ended_at=terminal.ended_at, has_terminal=True)
    return [one for known in found.values() for one in known][:MOST_LOGINS]


def _is_same(login: Login, terminal: Login) -> bool:
    if login.found_in == "wtmp" or login.has_terminal:
        return False
    return -1.5 <= (terminal.at - login.at).total_seconds() <= SAME_S


def address(text: str) -> str:
    """An address as it is compared: without a zone, an IPv4 one that came over IPv6 as IPv4. Empty: none."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return "" if found.is_unspecified else str(found)


def _from_us(text: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(text) / 1_000_000, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _moment(text: str, zone: tzinfo, last: datetime) -> datetime | None:
    """`2026-03-02T10:00:00.1+08:00`, or `Mar  2 10:00:00`: then of the last year in which it lies before `last`, when
    the file was last written."""
    if "T" in text:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    for year in (last.astimezone(zone).year, last.astimezone(zone).year - 1):
        at = _with_year(f"{text} {year}", zone)
        if at is not None and at <= last + timedelta(hours=1):
            return at
    return None


def _with_year(text: str, zone: tzinfo) -> datetime | None:
    try:
        found = datetime.strptime(re.sub(r" +", " ", text), "%b %d %H:%M:%S %Y").replace(tzinfo=zone)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(words: list[str]) -> tzinfo:
    """The name of the zone knows of summer time; the bare difference to UTC is what is left without one."""
    for word in words[1:]:
        name = word.partition("/zoneinfo/")[2] or word
        try:
            return ZoneInfo(name.strip())
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    found = _ZONE.fullmatch(words[0].strip()) if words else None
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        return UTC
    ahead = timedelta(hours=int(found[1]), minutes=int(found[2]))
    return timezone(-ahead if words[0].strip().startswith("-") else ahead)


def _oldest(section: Section, moved: timedelta) -> datetime | None:
    first = section.lines[0].strip() if section.lines else ""
    at = _from_us(first) if re.fullmatch(r"\d{15,17}", first) else None
    return None if at is None else at - moved


def _moved(login: Login, by: timedelta) -> Login:
    try:
        ended = None if login.ended_at is None else login.ended_at - by
        return replace(login, at=login.at - by, ended_at=ended)
    except OverflowError:
        return login
